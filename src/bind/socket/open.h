/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: each pushes its module table.
 *
 * The room: socket classes as rows of traits over one core, one way for every transfer
 * (transfer.h), options, endpoints, lookups. */
#ifndef BIND_SOCKET_OPEN_H
#define BIND_SOCKET_OPEN_H

#include <lua.h>

#include "bind/value/class.h"

struct runtime;

int ip_open(lua_State *L, struct runtime *runtime);
int unix_open(lua_State *L, struct runtime *runtime);
/* The table of a socket class: what makes its objects. */
int socket_class_open(lua_State *L, struct runtime *runtime, const struct class *class);
/* What all lookups share, and the flags, pushed; then a protocol's functions, for the table on the
 * top, as those of a class: of SOCK_DGRAM's protocol or SOCK_STREAM's. */
int resolver_open(lua_State *L, struct runtime *runtime);
void resolver_set_functions(lua_State *L, struct class_state *state, int type);

/* Functions of the module ip in a file of their own. */
int ip_connect(lua_State *L);
int ip_connect_any(lua_State *L);

#endif
