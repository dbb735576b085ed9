/* SPDX-License-Identifier: BSL-1.0 */
/* thrum --fibers-on-quit: SIGQUIT writes what every fiber waits for, and the program goes on. */
#ifndef THRUM_QUIT_H
#define THRUM_QUIT_H

#include <lua.h>

struct runtime;

/* From here on SIGQUIT is ours, until a script waits for it itself. Raises. */
void quit_begin(lua_State *L, struct runtime *runtime);

/* Give it back; quiet if it was not taken. */
void quit_end(void);

#endif
