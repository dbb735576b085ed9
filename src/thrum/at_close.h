/* SPDX-License-Identifier: BSL-1.0 */
/* What the program has to put back before its state is gone, whichever code closes that. */
#ifndef THRUM_AT_CLOSE_H
#define THRUM_AT_CLOSE_H

#include <lua.h>

/* Have `end` called when the state is closed, before the runtime is finalized. `key` is an address
 * of the caller's, for the registry. */
void at_close(lua_State *L, const void *key, lua_CFunction end);

#endif
