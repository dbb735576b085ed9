/* SPDX-License-Identifier: BSL-1.0 */
/* The runtime: made once per state, kept in the registry, ended by the state's collector. */
#include "bind/fiber/runtime.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <unistd.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/report.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/module/modules.h"

/* Its address is the runtime's key in every registry. */
static const char runtime_key;

void *runtime_alloc(lua_State *L, size_t size)
{
    void *opaque;
    lua_Alloc alloc = lua_getallocf(L, &opaque);
    return alloc(opaque, NULL, 0, size);
}

void runtime_free(lua_State *L, void *memory, size_t size)
{
    void *opaque;
    lua_Alloc alloc = lua_getallocf(L, &opaque);
    if (memory)
        alloc(opaque, memory, size, 0);
}

static void free_fibers(lua_State *L, struct list *fibers)
{
    while (!list_is_empty(fibers))
        fiber_free(L, LIST_ITEM(fibers->next, struct fiber, link));
}

static void end_caller(struct fiber *fiber)
{
    limit_forget(fiber);
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
    end_caller(&runtime->outside);
    end_caller(&runtime->nested);
    deadline_free_orphans(runtime);
    dgram_free_batch(L, runtime);
}

/* The runtime stands inside a userdata, so that it outlives every finaliser of the state, whatever
 * their order; Lua aligns userdata less than an operation needs. */
static struct runtime *align_runtime(void *memory)
{
    uintptr_t alignment = alignof(struct runtime);
    return (struct runtime *)(((uintptr_t)memory + alignment - 1) & ~(alignment - 1));
}

static int runtime_gc(lua_State *L)
{
    struct runtime *runtime = align_runtime(lua_touserdata(L, 1));
    if (runtime->context)
        report_close(L, runtime);
    runtime_end(runtime, L);
    return 0;
}

static void init_nouns(struct runtime *runtime)
{
    static const char *const names[] = {
#define NOUN_NAME(id, name) name,
        NOUNS(NOUN_NAME)
#undef NOUN_NAME
    };
    for (int i = 0; i < N_NOUNS; i++)
        runtime->nouns[i] = (struct noun){.runtime = runtime, .name = names[i]};
}

static int new_weak_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void init_registry(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_rawseti(L, -2, 0); /* the free list of luaL_unref, which so never asks for memory */
    runtime->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
    runtime->addresses = new_weak_table(L, "v");
    runtime->inner = new_weak_table(L, "k");
    runtime->locals = new_weak_table(L, "k");
    runtime->scopes = new_weak_table(L, "k");
    runtime->groups = new_weak_table(L, "v");
    runtime->fatal = LUA_NOREF;
}

struct runtime *runtime_find(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
    void *memory = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return memory ? align_runtime(memory) : NULL;
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
        align_runtime(lua_newuserdata(L, sizeof(*runtime) + alignof(struct runtime)));
    *runtime = (struct runtime){.ready_end = &runtime->ready};
    list_init(&runtime->fibers);
    report_init(runtime);
    list_init(&runtime->orphans);
    list_init(&runtime->groups_to_interrupt);
    init_nouns(runtime);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    runtime->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, runtime_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    init_registry(L, runtime);

    if (getentropy(runtime->address_secrets, sizeof(runtime->address_secrets)))
        raise_error(L, "cannot get random bytes", errno);
    int error = thrum_context_new(&runtime->context);
    if (error)
        raise_error(L, "cannot make an event loop", error);
    fiber_init_callers(runtime);
    note_protected_calls(L, runtime);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_key);
    lua_pushlightuserdata(L, runtime);
    return 1;
}
