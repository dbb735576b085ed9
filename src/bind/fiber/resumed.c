/* SPDX-License-Identifier: BSL-1.0 */
/* Who resumed whom: see resumed.h. */
#include "bind/fiber/resumed.h"

#include <stdbool.h>

#include <lauxlib.h>

#include "bind/fiber/runtime.h"

/* What `thread`'s innermost call has for a coroutine: pushed, or nil. Lua keeps the function of a
 * suspended call no longer, but what stands last in its frame: resume's is the coroutine itself. */
static void push_coroutine_of(lua_State *L, const struct runtime *runtime, lua_State *thread,
                              lua_Debug *frame)
{
    lua_getinfo(L, "f", frame);
    if (lua_tocfunction(L, -1) == runtime->wrapped) {
        lua_getupvalue(L, -1, 3);
        lua_remove(L, -2);
    } else if (lua_tocfunction(L, -1) == runtime->resume && lua_status(thread) == LUA_OK) {
        lua_pop(L, 1);
        if (lua_checkstack(thread, 1) && lua_getlocal(thread, frame, 1))
            lua_xmove(thread, L, 1);
        else
            lua_pushnil(L);
    } else if (!lua_isthread(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

lua_State *resumed_push(lua_State *L, const struct runtime *runtime, lua_State *thread)
{
    lua_Debug frame;
    if (!lua_getstack(thread, 0, &frame))
        return NULL;
    push_coroutine_of(L, runtime, thread, &frame);
    lua_State *co = lua_tothread(L, -1);
    bool is_alike = false; /* both run, both are suspended, or both have failed */
    if (co && lua_status(thread) <= LUA_YIELD)
        is_alike = lua_status(co) == lua_status(thread);
    else if (co)
        is_alike = lua_status(co) > LUA_YIELD;
    if (is_alike && lua_getstack(co, 0, &frame))
        return co;
    lua_pop(L, 1);
    return NULL;
}
