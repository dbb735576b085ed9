/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: each pushes its module table.
 *
 * The room: socket classes as rows of traits over one core, one way for every transfer
 * (transfer.h), options, endpoints, lookups. */
#ifndef BIND_SOCKET_OPEN_H
#define BIND_SOCKET_OPEN_H

#include <lua.h>

struct runtime;

int ip_open(lua_State *L, struct runtime *runtime);
int unix_open(lua_State *L, struct runtime *runtime);

#endif
