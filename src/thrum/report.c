/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors: see report.h. */
#include "report.h"

#include <stdio.h>

#include <lauxlib.h>

void report_print(const char *message, const char *traceback)
{
    fprintf(stderr, "thrum: %s\n", message);
    if (traceback)
        fprintf(stderr, "%s\n", traceback);
}

static int make_message(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

const char *report_push_message(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_pushcfunction(L, make_message);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0))
        return "(an error object that cannot be made a string)";
    return lua_tostring(L, -1);
}
