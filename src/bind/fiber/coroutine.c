/* SPDX-License-Identifier: BSL-1.0 */
/* The fiber-aware coroutine library.
 *
 * When code in a user coroutine starts an operation, the whole fiber is suspended: the coroutine
 * yields, the resume that runs it sees `is_suspending` and yields in turn, up to the scheduler. On
 * the way back each resume continues its coroutine with nothing, and the suspended call finishes
 * there. A yield of the user's own finds `is_suspending` false and means what it always meant. */
#include "bind/fiber/resumed.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/call.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/scope.h"
#include "bind/value/class.h"
#include "bind/value/error.h"
#include "bind/value/stock.h"

/* How the coroutine's results, and its errors, reach the caller. `co` is L for an error that stands
 * on the top of L already. */
typedef int deliver_function(lua_State *L, lua_State *co, int status);

static int deliver_resume(lua_State *L, lua_State *co, int status);

/* Where the coroutine stands: resume's argument, or the upvalue of a wrap function. */
static int index_of(deliver_function *deliver)
{
    return deliver == deliver_resume ? 1 : lua_upvalueindex(3);
}

/* The coroutines that wait inside an operation of their fiber, and the fibers' own: only the
 * scheduler resumes them. */
static bool is_inside_operation(lua_State *L, const struct runtime *runtime, int index)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->inner);
    lua_pushvalue(L, index);
    lua_rawget(L, -2);
    bool is_inside = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return is_inside;
}

/* The same question before the coroutine runs. If it does not, there is room for the mark from here
 * on: no memory is asked for once it is suspended. */
static bool reserve_mark(lua_State *L, const struct runtime *runtime, int index)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->inner);
    lua_pushvalue(L, index);
    bool is_known = lua_rawget(L, -2) != LUA_TNIL;
    bool is_inside = lua_toboolean(L, -1);
    if (!is_known) {
        lua_pushvalue(L, index);
        lua_pushboolean(L, 0);
        lua_rawset(L, -4);
    }
    lua_pop(L, 2);
    return is_inside;
}

static void mark_inside_operation(lua_State *L, const struct runtime *runtime, int index,
                                  bool is_inside)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->inner);
    lua_pushvalue(L, index);
    lua_pushboolean(L, is_inside);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static int resume_again(lua_State *L, int status, lua_KContext context);

/* The coroutine has ended, and its root scope may have handlers: run them, then deliver. */
static int end_coroutine(lua_State *L, deliver_function *deliver);

static int go_on_ending(lua_State *L, int status, lua_KContext context)
{
    scope_handler_ended(L, class_runtime(L), status);
    return end_coroutine(L, (deliver_function *)context);
}

static int end_coroutine(lua_State *L, deliver_function *deliver)
{
    struct runtime *runtime = class_runtime(L);
    lua_State *co = lua_tothread(L, index_of(deliver));
    while (scope_take_handler(L, runtime, index_of(deliver))) {
        mark_inside_operation(L, runtime, index_of(deliver), true); /* nobody else resumes it */
        int status = scope_call_handler(L, runtime, (lua_KContext)deliver, go_on_ending);
        scope_handler_ended(L, runtime, status);
    }
    mark_inside_operation(L, runtime, index_of(deliver), false);
    return deliver(L, co, lua_status(co));
}

static int deliver_end(lua_State *L, lua_State *co, int status, deliver_function *deliver)
{
    if (status == LUA_YIELD || class_runtime(L)->n_handlers == 0)
        return deliver(L, co, status);
    return end_coroutine(L, deliver);
}

/* Resume `co` with `nargs` arguments on its stack. `is_marked`: it stands inside an operation. */
static int resume_step(lua_State *L, lua_State *co, int nargs, bool is_marked,
                       deliver_function *deliver)
{
    struct runtime *runtime = class_runtime(L);
    struct fiber *fiber = runtime->current;
    if (!fiber || L != runtime->running)
        return deliver_end(L, co, lua_resume(co, L, nargs), deliver);

    int n_boundaries = runtime->n_boundaries;
    if (!lua_isyieldable(L))
        runtime->n_boundaries++;
    runtime->running = co;
    int status = lua_resume(co, L, nargs);
    runtime->running = L;
    runtime->n_boundaries = n_boundaries;
    bool is_suspended = status == LUA_YIELD && runtime->is_suspending;
    /* A stack of C calls too deep refuses to go on with it: it stays inside its operation. */
    bool is_stuck = status > LUA_YIELD && lua_status(co) == LUA_YIELD;
    if (!is_stuck && is_suspended != is_marked)
        mark_inside_operation(L, runtime, index_of(deliver), is_suspended);
    if (!is_suspended)
        return deliver_end(L, co, status, deliver);
    return lua_yieldk(L, 0, (lua_KContext)deliver, resume_again);
}

/* The fiber goes on: the scheduler, or the resume above, has set L running. */
static int resume_again(lua_State *L, int status, lua_KContext context)
{
    deliver_function *deliver = (deliver_function *)context;
    const struct runtime *runtime = class_runtime(L);
    (void)status;
    if (!runtime->current || runtime->running != L) /* or somebody who knows no fibers */
        return lua_yieldk(L, 0, context, resume_again);
    return resume_step(L, lua_tothread(L, index_of(deliver)), 0, true, deliver);
}

noreturn static void raise_not_ours(lua_State *L)
{
    error_raise_detail(L, EPERM, "the coroutine is inside a call that has suspended another fiber");
}

/* Whether `co`, which has not yielded, is at work for somebody else than the calling fiber: for the
 * caller outside any fiber, who drives the loop. Where a resume that knows no fibers is in between,
 * nobody can tell: then it is not. */
static bool is_at_work_elsewhere(lua_State *L, lua_State *co)
{
    const struct fiber *fiber = class_runtime(L)->current;
    int top = lua_gettop(L);
    lua_State *thread = fiber ? fiber->thread : L;
    while (thread && thread != co && thread != L) {
        luaL_checkstack(L, LUA_MINSTACK, "too many coroutines");
        thread = resumed_push(L, class_runtime(L), thread);
    }
    lua_settop(L, top);
    return thread == L && co != L && fiber;
}

/* Why `co` cannot be resumed, or NULL: then there is room for its mark. Raises EPERM if it has
 * suspended a fiber: that one's scheduler alone resumes it. */
static const char *refuse_resume(lua_State *L, lua_State *co, int index)
{
    lua_Debug frame;
    bool is_reserved = reserve_mark(L, class_runtime(L), index);
    if (is_reserved && lua_status(co) == LUA_YIELD)
        raise_not_ours(L);
    if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &frame) && is_at_work_elsewhere(L, co))
        raise_not_ours(L);
    if (is_reserved)
        return "cannot resume non-suspended coroutine";
    if (lua_status(co) == LUA_YIELD)
        return NULL;
    if (lua_status(co) != LUA_OK)
        return "cannot resume dead coroutine";
    if (co == L || lua_getstack(co, 0, &frame))
        return "cannot resume non-suspended coroutine";
    return lua_gettop(co) == 0 ? "cannot resume dead coroutine" : NULL;
}

/* Move the `nargs` arguments on the top of L over and run. The error value is on the top of L if
 * the coroutine cannot be resumed. */
static int start_resume(lua_State *L, lua_State *co, int nargs, deliver_function *deliver)
{
    call_check_interruption(L);
    const char *refusal = refuse_resume(L, co, index_of(deliver));
    if (!refusal && !lua_checkstack(co, nargs))
        refusal = "too many arguments to resume";
    if (refusal) {
        lua_pushstring(L, refusal);
        return deliver(L, L, LUA_ERRRUN);
    }
    lua_xmove(L, co, nargs);
    return resume_step(L, co, nargs, false, deliver);
}

/* Move what the coroutine has yielded or returned: how much; or -1 and a text in its place. */
static int move_results(lua_State *L, lua_State *co)
{
    int count = lua_gettop(co);
    if (!lua_checkstack(L, count + 1)) {
        lua_settop(co, 0);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, count);
    return count;
}

/* ---- resume ---- */

static int deliver_resume(lua_State *L, lua_State *co, int status)
{
    int count = -1;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        count = move_results(L, co);
    } else {
        lua_xmove(co, L, 1); /* nothing to move when it stands there already */
    }
    if (count >= 0)
        return 1 + count;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static lua_State *check_thread(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    if (!co)
        stock_arg_error(L, 1, "thread expected");
    return co;
}

static int coroutine_resume(lua_State *L)
{
    lua_State *co = check_thread(L);
    return start_resume(L, co, lua_gettop(L) - 1, deliver_resume);
}

/* ---- wrap ---- */

static int deliver_wrap(lua_State *L, lua_State *co, int status)
{
    int count = -1;
    if (status == LUA_OK || status == LUA_YIELD)
        count = move_results(L, co);
    else
        lua_xmove(co, L, 1);
    if (count >= 0)
        return count;
    if (lua_type(L, -1) == LUA_TSTRING) { /* add position information, as the stock library does */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(3));
    return start_resume(L, co, lua_gettop(L), deliver_wrap);
}

static lua_State *create(lua_State *L)
{
    stock_check_function(L, 1);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return co;
}

static int coroutine_create(lua_State *L)
{
    create(L);
    return 1;
}

static int coroutine_wrap(lua_State *L)
{
    stock_check_function(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    create(L);
    lua_pushcclosure(L, call_wrapped, 3);
    return 1;
}

/* ---- the rest ---- */

static bool is_fiber_itself(lua_State *L, const struct runtime *runtime)
{
    return runtime->current && runtime->current->thread == L;
}

static int coroutine_yield(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    const struct fiber *fiber = runtime_caller(runtime);
    if (is_fiber_itself(L, runtime))
        error_raise(L, THRUM_ECOROUTINE_RESERVED);
    if (fiber->cleaner == L) /* the coroutine might never be resumed, or by another fiber */
        error_raise_detail(L, EPERM, "a cleanup handler cannot yield");
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_isyieldable(lua_State *L)
{
    lua_pushboolean(L, lua_isyieldable(L) && !is_fiber_itself(L, class_runtime(L)));
    return 1;
}

/* A fiber is to its coroutines what the main thread is in plain Lua. */
static int coroutine_running(lua_State *L)
{
    int is_main = lua_pushthread(L);
    lua_pushboolean(L, is_main || is_fiber_itself(L, class_runtime(L)));
    return 2;
}

static const char *status_of(lua_State *L, lua_State *co)
{
    lua_Debug frame;
    if (co == L)
        return "running";
    bool is_inside = is_inside_operation(L, class_runtime(L), 1);
    if (lua_status(co) == LUA_YIELD)
        return is_inside ? "normal" : "suspended";
    if (lua_status(co) != LUA_OK)
        return "dead";
    if (lua_getstack(co, 0, &frame))
        return "normal";
    return is_inside || lua_gettop(co) == 0 ? "dead" : "suspended"; /* an ended fiber has results */
}

static int coroutine_status(lua_State *L)
{
    lua_pushstring(L, status_of(L, check_thread(L)));
    return 1;
}

static const struct function_row functions[] = {
    {"create", coroutine_create}, {"isyieldable", coroutine_isyieldable},
    {"resume", coroutine_resume}, {"running", coroutine_running},
    {"status", coroutine_status}, {"wrap", coroutine_wrap},
    {"yield", coroutine_yield},   {0}};

int coroutine_open(lua_State *L, struct runtime *runtime)
{
    runtime->resume = coroutine_resume;
    runtime->wrapped = call_wrapped;
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &coroutine_class), functions);
    return 1;
}
