/* SPDX-License-Identifier: BSL-1.0 */
/* What Lua's own functions raise: see stock.h. */
#include "bind/value/stock.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/value/class.h"

static bool has_call_name(lua_State *L)
{
    lua_Debug frame;
    return lua_getstack(L, 0, &frame) && lua_getinfo(L, "n", &frame) && frame.name;
}

void stock_arg_error(lua_State *L, int arg, const char *text)
{
    const struct class_state *state = class_self(L);
    bool is_global = strcmp(state->class->name, "thrum") == 0;
    if (has_call_name(L))
        luaL_argerror(L, arg, text);
    luaL_error(L, "bad argument #%d to '%s%s%s' (%s)", arg, is_global ? "" : state->class->name,
               is_global ? "" : ".", class_row(L)->name, text);
}

void stock_check_any(lua_State *L, int arg)
{
    if (lua_isnone(L, arg))
        stock_arg_error(L, arg, "value expected");
}

static const char *type_name(lua_State *L, int arg)
{
    if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING)
        return lua_tostring(L, -1);
    return lua_islightuserdata(L, arg) ? "light userdata" : luaL_typename(L, arg);
}

static void type_error(lua_State *L, int arg, const char *expected)
{
    const char *came = type_name(L, arg);
    stock_arg_error(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, came));
}

void stock_check_function(lua_State *L, int arg)
{
    if (!lua_isfunction(L, arg))
        type_error(L, arg, "function");
}

const char *stock_check_string(lua_State *L, int arg)
{
    const char *text = lua_tostring(L, arg);
    if (!text)
        type_error(L, arg, "string");
    return text;
}
