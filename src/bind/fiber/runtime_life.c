/* SPDX-License-Identifier: BSL-1.0 */
/* The life of a runtime: made once per state, kept in the registry, ended by the state's collector.
 */
#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <unistd.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/report.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/value/memory.h"

static void free_fibers(lua_State *L, struct list *fibers)
{
    while (!list_is_empty(fibers))
        fiber_free(L, LIST_ITEM(fibers->next, struct fiber, link));
}

static void end_caller(struct fiber *fiber)
{
    timeout_scope_forget(fiber);
    deadline_free(fiber);
    thrum_timer_free(fiber->timer);
    fiber->timer = NULL;
    thrum_operation_deinit(&fiber->operation);
}

void runtime_end(struct runtime *runtime, lua_State *L)
{
    if (!runtime->context)
        return;
    /* Abandons every operation: from here on nothing will wake anybody. */
    thrum_context_free(runtime->context);
    runtime->context = NULL;
    runtime->current = NULL; /* os.exit closes the state from inside a fiber */
    runtime->running = NULL;
    runtime->is_suspending = false;
    runtime->ready = NULL;
    runtime->ready_end = &runtime->ready;
    runtime->n_pending = 0;
    runtime->n_live = 0;
    free_fibers(L, &runtime->fibers); /* a group that goes with them gives up the error it has */
    free_fibers(L, &runtime->failed);
    free_fibers(L, &runtime->unreported);
    report_deinit(runtime);
    end_caller(&runtime->main_caller);
    end_caller(&runtime->nested);
    deadline_free_orphans(runtime);
}

static int runtime_gc(lua_State *L)
{
    struct runtime *runtime = runtime_align(lua_touserdata(L, 1));
    if (runtime->context)
        report_close(L, runtime);
    runtime_end(runtime, L);
    return 0;
}

static int new_weak_table(lua_State *L, const char *mode)
{
    memory_push_weak_table(L, mode);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void init_registry(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_rawseti(L, -2, 0); /* the free list of luaL_unref, which so never asks for memory */
    runtime->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
    runtime->inner = new_weak_table(L, "k");
    runtime->locals = new_weak_table(L, "k");
    runtime->scopes = new_weak_table(L, "k");
    runtime->groups = new_weak_table(L, "v");
    runtime->fatal = LUA_NOREF;
}

static int runtime_new(lua_State *L);

static lua_CFunction global_function(lua_State *L, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 2);
    return function;
}

static void note_protected_calls(lua_State *L, struct runtime *runtime)
{
    runtime->lua_pcall = global_function(L, "pcall");
    runtime->lua_xpcall = global_function(L, "xpcall");
}

struct runtime *runtime_get(lua_State *L)
{
    struct runtime *runtime = runtime_find(L);
    if (runtime)
        return runtime;
    luaL_checkstack(L, 4, "thrum");
    runtime_call_quietly(L, runtime_new);
    runtime = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return runtime;
}

static void raise_error(lua_State *L, const char *what, int error)
{
    char text[128];
    luaL_error(L, "thrum: %s: %s%s", what, thrum_error_message(error, text, sizeof(text)),
               error == ENOSPC ? " (fs.epoll.max_user_watches, see epoll(7))" : "");
}

/* Pushes its address. */
static int runtime_new(lua_State *L)
{
    struct runtime *runtime =
        runtime_align(lua_newuserdata(L, sizeof(*runtime) + alignof(struct runtime)));
    *runtime = (struct runtime){.ready_end = &runtime->ready};
    list_init(&runtime->fibers);
    report_init(runtime);
    list_init(&runtime->orphans);
    list_init(&runtime->groups_to_interrupt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    runtime->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, runtime_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    init_registry(L, runtime);
    runtime->values.why_cannot_suspend = call_why_not;

    int error = value_state_init(L, &runtime->values);
    if (error)
        raise_error(L, "cannot get random bytes", error);
    error = thrum_context_new(&runtime->context);
    if (error)
        raise_error(L, "cannot make an event loop", error);
    fiber_init_callers(runtime);
    note_protected_calls(L, runtime);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_registry_key);
    lua_pushlightuserdata(L, runtime);
    return 1;
}
