/* SPDX-License-Identifier: BSL-1.0 */
/* Argument checks of the functions that take the place of Lua's own: they raise what Lua's raise,
 * word for word, because programs and their tests compare it. */
#ifndef BIND_VALUE_STOCK_H
#define BIND_VALUE_STOCK_H

#include <lua.h>

/* Raise a string: "bad argument #1 to 'resume' (thread expected)". As luaL_argerror, but where the
 * call itself tells no name, as under pcall, the function has the one that Lua's has, although it
 * also stands in thrum's tables. */
void stock_arg_error(lua_State *L, int arg, const char *text);

/* As luaL_checkany, luaL_checktype for a function, and luaL_checkstring. */
void stock_check_any(lua_State *L, int arg);
void stock_check_function(lua_State *L, int arg);
const char *stock_check_string(lua_State *L, int arg);

#endif
