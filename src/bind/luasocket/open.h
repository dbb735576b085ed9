/* SPDX-License-Identifier: BSL-1.0 */
/* What this room gives to the Lua part of module socket.
 *
 * The room: LuaSocket's objects over sockets of ours, its texts of errors (luasocket_error.c alone
 * knows them), and its select. Nothing below it knows it. */
#ifndef BIND_LUASOCKET_OPEN_H
#define BIND_LUASOCKET_OPEN_H

#include <lua.h>

struct runtime;

/* Add its functions to the table on the top. */
void luasocket_add_internal_functions(lua_State *L, struct runtime *runtime);
void luasocket_select_open(lua_State *L, struct runtime *runtime);
/* quietly(f, ...) -> ...: call what never suspends and may raise SIGPIPE. */
int call_without_sigpipe(lua_State *L);

#endif
