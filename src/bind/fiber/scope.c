/* SPDX-License-Identifier: BSL-1.0 */
/* Scopes: see scope.h. */
#include "bind/fiber/scope.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/call.h"
#include "bind/fiber/inspect.h"
#include "bind/fiber/runtime.h"
#include "bind/value/args.h"
#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/stock.h"

/* ---- lists ----
 *
 * A list is a table: the handlers at 1, 2, ..., and at 0 how many of them lie below the current
 * scope. runtime->n_handlers is zero nearly always, and then nobody has to look. */

static void push_thread(lua_State *L, int index)
{
    if (index == 0)
        lua_pushthread(L);
    else
        lua_pushvalue(L, index);
}

/* Push the list of the thread at `index`; false and nothing if it has none. */
static bool push_list(lua_State *L, const struct runtime *runtime, int index)
{
    if (runtime->n_handlers == 0)
        return false;
    luaL_checkstack(L, 4, "scope");
    push_thread(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->scopes);
    lua_insert(L, -2);
    bool has_list = lua_rawget(L, -2) == LUA_TTABLE;
    lua_remove(L, -2);
    if (!has_list)
        lua_pop(L, 1);
    return has_list;
}

static void push_new_list(lua_State *L, const struct runtime *runtime)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->scopes);
    lua_newtable(L);
    lua_pushthread(L);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_remove(L, -2);
}

static lua_Integer get_base(lua_State *L)
{
    lua_rawgeti(L, -1, 0);
    lua_Integer base = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return base;
}

static void set_base(lua_State *L, lua_Integer base)
{
    lua_pushinteger(L, base);
    lua_rawseti(L, -2, 0);
}

bool scope_take_handler(lua_State *L, struct runtime *runtime, int index)
{
    if (!push_list(L, runtime, index))
        return false;
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count <= get_base(L)) {
        lua_pop(L, 1);
        return false;
    }
    lua_rawgeti(L, -1, count);
    lua_pushnil(L);
    lua_rawseti(L, -3, count);
    lua_remove(L, -2);
    runtime->n_handlers--;
    return true;
}

/* Begin a scope of the running thread; returns the base to go back to. */
static lua_KContext enter(lua_State *L, const struct runtime *runtime)
{
    if (!push_list(L, runtime, 0))
        return 0;
    lua_Integer old_base = get_base(L);
    set_base(L, (lua_Integer)lua_rawlen(L, -1));
    lua_pop(L, 1);
    return (lua_KContext)old_base;
}

static void leave(lua_State *L, const struct runtime *runtime, lua_KContext old_base)
{
    if (!push_list(L, runtime, 0))
        return;
    set_base(L, old_base);
    lua_pop(L, 1);
}

/* ---- handlers ---- */

static void never_cancelled(struct fiber *fiber)
{
    (void)fiber;
}

static void describe_end(lua_State *L, const struct fiber *fiber)
{
    (void)fiber;
    lua_pushliteral(L, "(for the end: a cleanup handler has raised)");
}

static const struct wait_ops wait_for_the_end = {0, never_cancelled, describe_end, NULL};

static int make_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* In place of the error value on the top: the error that says a handler has raised it. */
static void wrap_error(lua_State *L)
{
    luaL_checkstack(L, 3, "cleanup handler");
    lua_pushcfunction(L, make_text);
    lua_pushvalue(L, -2);
    bool has_text = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isstring(L, -1);
    error_push_from(L, THRUM_ECLEANUP_FAILED, "scope_cleanup");
    if (has_text)
        error_set_detail(L, "%s", lua_tostring(L, -2));
    lua_remove(L, -2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "cause");
}

/* The error value is on the top: the run is over. In a fiber this does not return: the fiber waits
 * for an end that nobody gives it, and the scheduler hands the error to the caller that runs it.
 * Where C is in between the error is raised, and the fiber may go on until it suspends. */
static void raise_fatal(lua_State *L, struct runtime *runtime)
{
    struct fiber *fiber = runtime->current;
    wrap_error(L);
    if (fiber && runtime->fatal == LUA_NOREF) {
        lua_pushvalue(L, -1);
        runtime->fatal = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    if (!fiber || !lua_isyieldable(L) || runtime->n_boundaries > 0)
        lua_error(L);
    call_suspend(L, fiber, &wait_for_the_end, NO_DEADLINE, call_finish_plain);
}

static struct fiber *current_fiber(struct runtime *runtime)
{
    return runtime_caller(runtime);
}

/* Below the handler stays which thread ran the one around it. */
int scope_call_handler(lua_State *L, struct runtime *runtime, lua_KContext context, lua_KFunction k)
{
    struct fiber *fiber = current_fiber(runtime);
    lua_pushlightuserdata(L, fiber->cleaner);
    lua_insert(L, -2);
    fiber->n_cleanups++;
    fiber->cleaner = L;
    return lua_pcallk(L, 0, 0, 0, context, k);
}

void scope_handler_ended(lua_State *L, struct runtime *runtime, int status)
{
    struct fiber *fiber = current_fiber(runtime);
    bool has_failed = status != LUA_OK && status != LUA_YIELD;
    if (has_failed && runtime->current)
        raise_fatal(L, runtime); /* still inside the handler: no timeout scope ends this wait */
    fiber->cleaner = lua_touserdata(L, has_failed ? -2 : -1);
    fiber->n_cleanups--;
    if (has_failed)
        raise_fatal(L, runtime);
    lua_pop(L, 1);
}

/* ---- scope, pcall, xpcall ----
 *
 * All three call a function in protected mode, run the handlers of the scope, and answer what is
 * then on the stack: true and results, or false and an error value. */

static int end_scope(lua_State *L, lua_KContext old_base);
static int scope_scope(lua_State *L);

static int go_on_ending(lua_State *L, int status, lua_KContext old_base)
{
    scope_handler_ended(L, class_runtime(L), status);
    return end_scope(L, old_base);
}

static bool is_scope_function(lua_State *L)
{
    return class_row(L)->function == scope_scope;
}

/* Run the handlers of the scope that ends, then go back to the old one. */
static int end_scope(lua_State *L, lua_KContext old_base)
{
    struct runtime *runtime = class_runtime(L);
    while (scope_take_handler(L, runtime, 0)) {
        int status = scope_call_handler(L, runtime, old_base, go_on_ending);
        scope_handler_ended(L, runtime, status);
    }
    leave(L, runtime, old_base);
    if (!is_scope_function(L))
        return lua_gettop(L);
    if (!lua_toboolean(L, 1)) {
        lua_settop(L, 2);
        return lua_error(L);
    }
    return lua_gettop(L) - 1;
}

/* The protected call has ended: the results, or the error value on the top. */
static int finish_call(lua_State *L, int status, lua_KContext old_base)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_replace(L, 1);
    }
    return end_scope(L, old_base);
}

/* f, arguments...  ->  true, f, arguments... */
static int call_protected(lua_State *L)
{
    stock_check_any(L, 1);
    call_check_interruption(L);
    lua_KContext old_base = enter(L, class_runtime(L));
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, old_base, finish_call);
    return finish_call(L, status, old_base);
}

static int scope_pcall(lua_State *L)
{
    return call_protected(L);
}

/* handler, true, results...  or  handler, true, ..., error value */
static int finish_xpcall(lua_State *L, int status, lua_KContext old_base)
{
    lua_remove(L, 1);
    return finish_call(L, status, old_base);
}

/* handler, f, arguments...  ->  handler, true, f, arguments... */
static int call_handled(lua_State *L)
{
    lua_KContext old_base = enter(L, class_runtime(L));
    lua_pushboolean(L, 1);
    lua_insert(L, 2);
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, old_base, finish_xpcall);
    return finish_xpcall(L, status, old_base);
}

static int scope_xpcall(lua_State *L)
{
    stock_check_function(L, 2);
    call_check_interruption(L);
    lua_pushvalue(L, 1);
    lua_copy(L, 2, 1);
    lua_replace(L, 2);
    return call_handled(L);
}

/* It raises what f does: the traceback is kept before the frames are gone. */
static int scope_scope(lua_State *L)
{
    if (!lua_isfunction(L, 1))
        error_raise_arg(L, EINVAL, 1, "f", "function");
    lua_pushcfunction(L, inspect_keep_traceback);
    lua_insert(L, 1);
    return call_handled(L);
}

/* ---- scope_cleanup_push, scope_cleanup_pop ---- */

static int scope_cleanup_push(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    if (!lua_isfunction(L, 1))
        error_raise_arg(L, EINVAL, 1, "handler", "function");
    lua_settop(L, 1);
    if (!push_list(L, runtime, 0))
        push_new_list(L, runtime);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    runtime->n_handlers++;
    return 0;
}

static int finish_pop(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    scope_handler_ended(L, class_runtime(L), status);
    return 0;
}

static int scope_cleanup_pop(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    bool executes = lua_isnoneornil(L, 1) || args_boolean(L, 1, "execute");
    if (!scope_take_handler(L, runtime, 0))
        error_raise_detail(L, EINVAL, "this scope has no cleanup handler");
    if (!executes)
        return 0;
    return finish_pop(L, scope_call_handler(L, runtime, 0, finish_pop), 0);
}

static const struct function_row functions[] = {{"scope", scope_scope},
                                                {"scope_cleanup_push", scope_cleanup_push},
                                                {"scope_cleanup_pop", scope_cleanup_pop},
                                                {"pcall", scope_pcall},
                                                {"xpcall", scope_xpcall},
                                                {0}};

void scope_open(lua_State *L, struct runtime *runtime)
{
    class_set_functions(L, class_get(L, runtime, &thrum_class), functions);
    runtime->own_pcall = scope_pcall;
    runtime->own_xpcall = scope_xpcall;
}

/* ---- the root scope of a fiber ---- */

static int run_root(lua_State *L);

static int go_on_running_root(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    scope_handler_ended(L, class_runtime(L), status);
    return run_root(L);
}

/* Upvalue 3 is the thread whose function has ended. */
static int run_root(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    while (scope_take_handler(L, runtime, lua_upvalueindex(3))) {
        int status = scope_call_handler(L, runtime, 0, go_on_running_root);
        scope_handler_ended(L, runtime, status);
    }
    return 0;
}

static const struct function_row root_row = {"scope_cleanup", run_root};

lua_State *scope_push_root_thread(lua_State *L, struct fiber *fiber)
{
    struct runtime *runtime = fiber->runtime;
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->anchors);
    lua_rawgeti(L, -1, fiber->anchor);
    lua_remove(L, -2);
    if (!push_list(L, runtime, lua_gettop(L))) {
        lua_pop(L, 1);
        return NULL;
    }
    lua_pop(L, 1);
    lua_State *thread = lua_newthread(L);
    fiber_reserve_thread(L, runtime);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, class_get(L, runtime, &thrum_class));
    lua_pushlightuserdata(L, (void *)&root_row);
    lua_rotate(L, -3, -1);
    lua_pushcclosure(L, run_root, 3);
    lua_xmove(L, thread, 1);
    return thread;
}
