/* SPDX-License-Identifier: BSL-1.0 */
/* SIGINT outside a session ends the program, as ever, but first it says where each fiber stood. */
#ifndef THRUM_SIGINT_H
#define THRUM_SIGINT_H

#include <lua.h>

struct runtime;

/* From here on, if the signal has its default disposition. Without memory or descriptors that is
 * left as it is. */
void sigint_begin(lua_State *L, struct runtime *runtime);

/* Back to the default disposition, unless a script has set another. Quiet when done twice. */
void sigint_end(void);

#endif
