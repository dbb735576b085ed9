/* SPDX-License-Identifier: BSL-1.0 */
/* The runtime: where it stands, and how it is found. */
#include "bind/fiber/runtime.h"

#include <stdalign.h>
#include <stdint.h>

#include <lauxlib.h>

const char runtime_registry_key;

/* The runtime stands inside a userdata, so that it outlives every finalizer of the state, whatever
 * their order; Lua aligns userdata less than an operation needs. */
struct runtime *runtime_align(void *memory)
{
    uintptr_t alignment = alignof(struct runtime);
    return (struct runtime *)(((uintptr_t)memory + alignment - 1) & ~(alignment - 1));
}

struct runtime *runtime_find(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_registry_key);
    void *memory = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return memory ? runtime_align(memory) : NULL;
}

int runtime_call_quietly(lua_State *L, lua_CFunction function)
{
    int was_running = lua_gc(L, LUA_GCISRUNNING, 0);
    lua_gc(L, LUA_GCSTOP, 0);
    lua_pushcfunction(L, function);
    int status = lua_pcall(L, 0, 1, 0);
    if (was_running)
        lua_gc(L, LUA_GCRESTART, 0);
    if (status)
        lua_error(L);
    return 1;
}
