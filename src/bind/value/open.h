/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: each pushes its module or class table.
 *
 * The room: classes and modules built from rows, argument checks, errors, and values, that is
 * spans, addresses, networks and descriptors. It knows Lua and src/net, and nothing of fibers: a
 * runtime is a name to it. */
#ifndef BIND_VALUE_OPEN_H
#define BIND_VALUE_OPEN_H

#include <lua.h>

struct runtime;

int byte_span_open(lua_State *L, struct runtime *runtime);
int file_descriptor_open(lua_State *L, struct runtime *runtime);
int generic_error_open(lua_State *L, struct runtime *runtime);

#endif
