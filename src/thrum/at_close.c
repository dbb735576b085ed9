/* SPDX-License-Identifier: BSL-1.0 */
/* See at_close.h. */
#include "at_close.h"

void at_close(lua_State *L, const void *key, lua_CFunction end)
{
    lua_newuserdata(L, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, end);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key); /* made after the runtime, it is finalized before it */
}
