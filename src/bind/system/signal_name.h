/* SPDX-License-Identifier: BSL-1.0 */
/* Signals by name and number. */
#ifndef BIND_SYSTEM_SIGNAL_NAME_H
#define BIND_SYSTEM_SIGNAL_NAME_H

#include <lua.h>

enum { SIGNAL_NAME_SIZE = 24 };

/* The name of a signal, which signal_check reads again; the number as text if it has none. It
 * stands in `text` or in static memory. */
const char *signal_name(int number, char text[SIGNAL_NAME_SIZE]);

/* The signal at `arg`, a number from `minimum` or a name such as "SIGTERM"; or EINVAL raised. */
int signal_check(lua_State *L, int arg, int minimum);

/* Set the names as fields of the table on the top. */
void signal_set_constants(lua_State *L);

#endif
