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

const char *report_push_message(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    if (lua_isstring(L, index) || luaL_getmetafield(L, index, "__tostring") != LUA_TNIL)
        return luaL_tolstring(L, index, NULL);
    return lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}
