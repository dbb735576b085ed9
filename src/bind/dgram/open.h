/* SPDX-License-Identifier: BSL-1.0 */
/* What this room gives to the Lua parts of module dgram.
 *
 * The room: receives that make strings, sends that never wait, and the sends that are deferred
 * while listeners run. Nothing below it knows it: before a fiber suspends, the runtime's hook is
 * called. */
#ifndef BIND_DGRAM_OPEN_H
#define BIND_DGRAM_OPEN_H

#include <lua.h>

struct runtime;

/* Add its functions to the table on the top. */
void dgram_add_internal_functions(lua_State *L, struct runtime *runtime);

#endif
