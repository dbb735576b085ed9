/* SPDX-License-Identifier: BSL-1.0 */
/* Memory from the state's allocator: see memory.h. */
#include "bind/value/memory.h"

void *memory_alloc(lua_State *L, size_t size)
{
    void *opaque;
    lua_Alloc alloc = lua_getallocf(L, &opaque);
    return alloc(opaque, NULL, 0, size);
}

void memory_free(lua_State *L, void *memory, size_t size)
{
    void *opaque;
    lua_Alloc alloc = lua_getallocf(L, &opaque);
    if (memory)
        alloc(opaque, memory, size, 0);
}

void memory_push_weak_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}
