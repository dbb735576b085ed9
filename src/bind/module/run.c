/* SPDX-License-Identifier: BSL-1.0 */
/* Running from outside: see run.h; and the C API of thrum/lua.h. */
#include "bind/module/run.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>
#include <thrum/lua.h>

#include "bind/fiber/inspect.h"
#include "bind/fiber/open.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/scheduler.h"
#include "bind/fiber/scope.h"
#include "bind/module/modules.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"

/* ---- the main fiber ---- */

/* Leave the dead main fiber's error and traceback in place of its handle at `base`. */
static int take_main_error(lua_State *L, struct fiber *fiber, int base)
{
    luaL_checkstack(L, 4, "main fiber");
    lua_pushvalue(fiber->thread, -1);
    lua_xmove(fiber->thread, L, 1);
    fiber_push_anchored(L, fiber->runtime, fiber->traceback);
    fiber_free(L, fiber);
    lua_remove(L, base);
    return LUA_ERRRUN;
}

static int take_main_results(lua_State *L, struct fiber *fiber, int base)
{
    int count = fiber_count_results(fiber);
    luaL_checkstack(L, count, "too many results of the main fiber");
    lua_xmove(fiber->thread, L, count);
    fiber_free(L, fiber);
    lua_remove(L, base);
    return LUA_OK;
}

static int fail_drive(lua_State *L, int base)
{
    lua_pushnil(L);
    lua_remove(L, base);
    return LUA_ERRRUN;
}

static int fail_deadlock(lua_State *L, struct fiber *fiber, int base, const char *op)
{
    error_push_from(L, THRUM_EDEADLOCK, op);
    inspect_push_wait(L, fiber);
    lua_insert(L, -2);
    error_set_detail(L, "the main fiber waits in %s", lua_tostring(L, -2));
    lua_remove(L, -2);
    inspect_push_traceback(L, fiber);
    lua_remove(L, base);
    return LUA_ERRRUN;
}

static int take_end(lua_State *L, struct fiber *fiber, enum drive_end end, const char *op)
{
    int base = lua_gettop(L);
    if (end == DRIVE_FAILED)
        return fail_drive(L, base - 1);
    if (fiber->state != FIBER_ENDED)
        return fail_deadlock(L, fiber, base, op);
    if (fiber->ending != ENDED_WELL)
        return take_main_error(L, fiber, base);
    return take_main_results(L, fiber, base);
}

int run_take_end(lua_State *L, struct fiber *fiber, enum drive_end end)
{
    return take_end(L, fiber, end, NULL);
}

int run_main(lua_State *L, struct runtime *runtime, int nargs)
{
    struct fiber *fiber = fiber_spawn(L, runtime, nargs);
    fiber->is_main = true;
    enum drive_end end = scheduler_drive(L, runtime, fiber);
    if (end == DRIVE_REACHED && fiber->ending == ENDED_WELL)
        end = scheduler_drive(L, runtime, NULL);
    return take_end(L, fiber, end, "thrum.run");
}

/* A fiber that has failed and whose handle was dropped can be joined by nobody, but only the
 * collector knows: ask it at the end of a run, so that the error is not lost to chance. */
static void report_dropped(lua_State *L, struct runtime *runtime)
{
    if (!list_is_empty(&runtime->failed))
        lua_gc(L, LUA_GCCOLLECT, 0);
    report_due(L, runtime);
}

/* ---- Lua's luasocket ---- */

static struct runtime *check_outside(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    if (!scheduler_can_drive(runtime))
        error_raise_detail(L, EDEADLK,
                           runtime->context ? "the loop is being driven already"
                                            : "thrum has been closed in this state");
    return runtime;
}

static int return_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

static int finish_inside(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* Somebody else drives the loop: the program, or an outer run. */
static int run_inside(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
        error_raise_detail(L, EDEADLK, "inside a fiber there is nothing to run without a function");
    fiber_push_name(L, 1);
    lua_pop(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, finish_inside);
    return finish_inside(L, LUA_OK, 0);
}

/* thrum.run([f, ...]) */
static int thrum_run_function(lua_State *L)
{
    if (!lua_isnoneornil(L, 1) && !fiber_is_function(L, 1))
        error_raise_arg(L, EINVAL, 1, "f", "function");
    if (class_runtime(L)->current)
        return run_inside(L);
    struct runtime *runtime = check_outside(L);
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_pushcfunction(L, return_nothing);
    }
    if (run_main(L, runtime, lua_gettop(L) - 1)) {
        lua_pop(L, 1);
        return lua_error(L);
    }
    report_dropped(L, runtime);
    return lua_gettop(L);
}

static int thrum_poll_function(lua_State *L)
{
    struct runtime *runtime = check_outside(L);
    if (scheduler_poll(L, runtime) == DRIVE_FAILED)
        return lua_error(L);
    lua_pushboolean(L, scheduler_is_busy(runtime));
    return 1;
}

/* thrum.set_reporter(f | false | nil) */
static int thrum_set_reporter_function(lua_State *L)
{
    bool is_false = lua_isboolean(L, 1) && !lua_toboolean(L, 1);
    if (!lua_isnoneornil(L, 1) && !is_false && !lua_isfunction(L, 1))
        error_raise_arg(L, EINVAL, 1, "reporter", "function, false or nil");
    lua_settop(L, 1);
    report_set_reporter(L, class_runtime(L));
    return 0;
}

/* thrum.report() */
static int thrum_report(lua_State *L)
{
    report_all(L, class_runtime(L), false);
    return 0;
}

static void set_count(lua_State *L, const char *name, size_t count)
{
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

/* thrum.stats(): what is alive, for tests that look for leaks and for the curious. */
static int thrum_stats(lua_State *L)
{
    const struct runtime *runtime = class_runtime(L);
    size_t n_operations = 0, n_objects = 0;
    if (runtime->context) {
        n_operations = thrum_context_n_pending(runtime->context) - runtime->n_hidden;
        n_objects = thrum_context_n_objects(runtime->context) - runtime->n_hidden;
    }
    lua_createtable(L, 0, 3);
    set_count(L, "fibers", runtime->n_live);
    set_count(L, "operations", n_operations);
    set_count(L, "objects", n_objects);
    return 1;
}

static const struct function_row functions[] = {{"run", thrum_run_function},
                                                {"poll", thrum_poll_function},
                                                {"set_reporter", thrum_set_reporter_function},
                                                {"report", thrum_report},
                                                {"stats", thrum_stats},
                                                {"spawn", fiber_spawn_function},
                                                {"require", require_function},
                                                {0}};

int run_open(lua_State *L, struct runtime *runtime)
{
    class_set_functions(L, class_get(L, runtime, &thrum_class), functions);
    scope_open(L, runtime);
    return 0;
}

/* ---- the C API ---- */

void thrum_spawn(lua_State *L, int nargs)
{
    struct runtime *runtime = runtime_get(L);
    luaopen_thrum(L);
    lua_pop(L, 1);
    luaL_argcheck(L, fiber_is_function(L, -nargs - 1), 1, "function expected");
    runtime->returns_errors = true;
    fiber_spawn(L, runtime, nargs);
}

typedef enum drive_end drive_turn(lua_State *L, struct runtime *runtime);

/* Drive, then raise the first error that nobody took. In protected mode. */
static int drive_protected(lua_State *L)
{
    drive_turn *turn = *(drive_turn **)lua_touserdata(L, 1);
    luaopen_thrum(L);
    struct runtime *runtime = runtime_get(L);
    runtime->returns_errors = true;
    if (!scheduler_can_drive(runtime))
        return luaL_error(L, "thrum: the loop is being driven already, or has been closed");
    if (turn(L, runtime) == DRIVE_FAILED)
        return lua_error(L);
    return report_take(L, runtime) ? lua_error(L) : 0;
}

static int drive(lua_State *L, drive_turn *turn)
{
    lua_pushcfunction(L, drive_protected);
    lua_pushlightuserdata(L, &turn);
    return lua_pcall(L, 1, 0, 0);
}

static enum drive_end turn_until_idle(lua_State *L, struct runtime *runtime)
{
    enum drive_end end = scheduler_drive(L, runtime, NULL);
    if (end != DRIVE_FAILED)
        report_dropped(L, runtime);
    return end;
}

int thrum_run(lua_State *L)
{
    return drive(L, turn_until_idle);
}

int thrum_poll(lua_State *L)
{
    return drive(L, scheduler_poll);
}

int thrum_is_busy(lua_State *L)
{
    const struct runtime *runtime = runtime_find(L);
    return runtime && scheduler_is_busy(runtime);
}

void thrum_set_reporter(lua_State *L)
{
    struct runtime *runtime = runtime_get(L);
    runtime->returns_errors = true;
    report_set_reporter(L, runtime);
}

void thrum_close(lua_State *L)
{
    struct runtime *runtime = runtime_find(L);
    if (runtime && !runtime->is_driving && !runtime->current)
        runtime_end(runtime, L);
}
