/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: it pushes its module table.
 *
 * The room: processes, signals, the descriptors that a program is born with. */
#ifndef BIND_SYSTEM_OPEN_H
#define BIND_SYSTEM_OPEN_H

#include <lua.h>

struct runtime;

int system_open(lua_State *L, struct runtime *runtime);

#endif
