/* SPDX-License-Identifier: BSL-1.0 */
/* The string methods of error objects: programs written for errors that are strings call them. They
 * are Lua's own, called with the error's text in place of the error. */
#include <lauxlib.h>

#include "bind/value/class.h"
#include "bind/value/error.h"

/* Put the error's text in its place at 1. */
static void replace_self(lua_State *L)
{
    if (!error_test(L, 1))
        class_raise_self(L);
    luaL_tolstring(L, 1, NULL);
    lua_replace(L, 1);
}

static int call_string_method(lua_State *L)
{
    const char *name = class_row(L)->name;
    replace_self(L);
    if (luaL_getmetafield(L, 1, "__index") != LUA_TTABLE)
        return luaL_error(L, "strings have no methods in this state");
    lua_getfield(L, -1, name);
    lua_insert(L, 1);
    lua_pop(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int error_len(lua_State *L)
{
    replace_self(L);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

void error_string_add_methods(lua_State *L, struct class_state *state)
{
    static const struct function_row methods[] = {{"byte", call_string_method},
                                                  {"find", call_string_method},
                                                  {"format", call_string_method},
                                                  {"gmatch", call_string_method},
                                                  {"gsub", call_string_method},
                                                  {"len", call_string_method},
                                                  {"lower", call_string_method},
                                                  {"match", call_string_method},
                                                  {"rep", call_string_method},
                                                  {"reverse", call_string_method},
                                                  {"sub", call_string_method},
                                                  {"upper", call_string_method},
                                                  {0}};
    class_set_functions(L, state, methods);
}

void error_string_add_length(lua_State *L, struct class_state *state)
{
    static const struct function_row metamethods[] = {{"__len", error_len}, {0}};
    class_set_functions(L, state, metamethods);
}
