/* SPDX-License-Identifier: BSL-1.0 */
/* Calls that may suspend the calling fiber: see call.h. */
#include "bind/fiber/call.h"

#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "base/clock.h"
#include "bind/fiber/open.h"
#include "bind/fiber/report.h"
#include "bind/fiber/resumed.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/scheduler.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/value/error.h"

/* How many calls in a row may complete at once before a fiber lets others run: a flooded socket
 * must not starve timers and neighbors. */
enum { FAIRNESS_BUDGET = 64 };

static bool can_suspend(lua_State *L, const struct runtime *runtime)
{
    return L == runtime->running && runtime->n_boundaries == 0 && lua_isyieldable(L);
}

/* ---- where the caller cannot be suspended ----
 *
 * Under a C function that cannot be yielded across (a string.gsub callback, a finalizer, a debug
 * hook), in a coroutine that somebody resumed who knows no fibers, and in what the scheduler itself
 * has Lua call, a call is made all the same. Only its wait cannot be: it is begun, given what has
 * happened by then, and withdrawn. The calls of the module socket wait in place instead, as
 * LuaSocket does: the loop turns, but no fiber runs. What must not begin in vain asks first, by
 * call_can_wait.
 *
 * Nothing that was meant for the fiber is delivered there, neither its interruption nor its
 * timeouts: who runs there may be a finalizer, which belongs to nobody. */

static bool is_in_place(lua_State *L, const struct fiber *fiber)
{
    const struct runtime *runtime = fiber->runtime;
    if (fiber->thread)
        return !can_suspend(L, runtime);
    return fiber != &runtime->main_caller || fiber->n_suspend_forbidden > 0;
}

bool call_returns(lua_State *L, const struct fiber *fiber)
{
    return !fiber->thread || !can_suspend(L, fiber->runtime);
}

bool call_can_wait(lua_State *L, const struct fiber *fiber)
{
    return !is_in_place(L, fiber) || class_self(L)->waits_in_place;
}

static bool is_protected_call(lua_State *L, const struct runtime *runtime, lua_Debug *frame)
{
    lua_getinfo(L, "f", frame);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return function && (function == runtime->lua_pcall || function == runtime->lua_xpcall ||
                        function == runtime->own_pcall || function == runtime->own_xpcall);
}

/* Who has resumed the coroutine by what coroutine.wrap returned: its errors go on there. NULL, if
 * nobody has. */
static lua_State *find_wrapper(lua_State *L, const struct runtime *runtime, const lua_State *co)
{
    lua_Debug frame;
    int top = lua_gettop(L);
    lua_State *next, *thread = runtime->current ? runtime->current->thread : runtime->main;
    luaL_checkstack(L, LUA_MINSTACK, "call");
    while (thread && (next = resumed_push(L, runtime, thread)) != co) {
        lua_settop(L, top);
        thread = next;
    }
    bool is_wrapped = false;
    if (thread && lua_getstack(thread, 0, &frame)) {
        lua_getinfo(L, "f", &frame);
        is_wrapped = lua_tocfunction(L, -1) == runtime->wrapped;
    }
    lua_settop(L, top);
    return is_wrapped ? thread : NULL;
}

enum raised { RAISED_OUT, RAISED_IN_FINALIZER, RAISED_AND_CAUGHT };

/* What comes of an error raised in the thread that somebody runs in, or has resumed another from.
 */
static enum raised look_down(lua_State *L, const struct runtime *runtime, lua_State *thread)
{
    lua_Debug frame;
    for (int level = 1; lua_getstack(thread, level, &frame); level++) {
        lua_getinfo(L, "n", &frame); /* a frame under a finalizer is named for it */
        if (frame.name && strcmp(frame.name, "__gc") == 0 &&
            strcmp(frame.namewhat, "metamethod") == 0)
            return RAISED_IN_FINALIZER;
        if (is_protected_call(L, runtime, &frame))
            return RAISED_AND_CAUGHT;
    }
    return RAISED_OUT;
}

/* Whether an error raised here would leave a finalizer: Lua raises it in whatever code happened to
 * be running. The collector rests while a finalizer runs: nearly always that tells, and a deep
 * stack, where to reach a level takes as many steps, is not looked at. */
static bool is_in_finalizer(lua_State *L)
{
    if (lua_gc(L, LUA_GCISRUNNING, 0))
        return false;
    const struct runtime *runtime = class_runtime(L);
    lua_State *thread = L;
    enum raised raised = RAISED_OUT;
    luaL_checkstack(L, 1, "call");
    while (thread && (raised = look_down(L, runtime, thread)) == RAISED_OUT)
        thread = find_wrapper(L, runtime, thread);
    return raised == RAISED_IN_FINALIZER;
}

const char *call_why_not(lua_State *L)
{
    const struct runtime *runtime = class_runtime(L);
    if (!runtime->context)
        return "thrum has been closed in this state";
    if (!runtime->current)
        return "the loop is being driven already";
    if (L != runtime->running)
        return "this coroutine was resumed by a coroutine.resume that knows no fibers: use the one "
               "of thrum.coroutine, or require \"thrum.prelude\" first";
    return "called by C code that cannot be suspended, such as a string.gsub callback, a sort "
           "comparator or a metamethod";
}

struct refusal {
    struct fiber *fiber;
    call_finish *finish;
    int error;
};

/* The function that was called, once more, on a copy of its stack; the refusal is on the top. */
static int finish_refused(lua_State *L)
{
    const struct refusal *refusal = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return refusal->finish(L, refusal->fiber, refusal->error);
}

/* Finish in protected mode; an error goes to the reporter, and nil and the error are returned. */
static int finish_reported(lua_State *L, struct refusal *refusal)
{
    int count = lua_gettop(L);
    luaL_checkstack(L, count + LUA_MINSTACK, "call");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushcclosure(L, finish_refused, 2);
    for (int i = 1; i <= count; i++)
        lua_pushvalue(L, i);
    lua_pushlightuserdata(L, refusal);
    if (lua_pcall(L, count + 1, LUA_MULTRET, 0) == LUA_OK)
        return lua_gettop(L) - count;
    report_error(L, refusal->fiber->runtime);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* The call ends because of where it stands: what it was to do is not the error's matter. */
static int finish_here(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    if (finish != call_note && is_in_finalizer(L))
        return finish_reported(L, &(struct refusal){fiber, finish, error});
    return finish(L, fiber, error);
}

static bool is_about_place(int error)
{
    return error == THRUM_ECANNOT_SUSPEND || error == THRUM_EDEADLOCK;
}

static inline int finish_call(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    if (__builtin_expect(error != 0, false) && is_about_place(error))
        return finish_here(L, fiber, error, finish);
    return finish(L, fiber, error);
}

int call_refuse_as(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    return finish_here(L, fiber, error, finish);
}

int call_refuse(lua_State *L, struct fiber *fiber, call_finish *finish)
{
    return finish_here(L, fiber, THRUM_ECANNOT_SUSPEND, finish);
}

int call_note(lua_State *L, struct fiber *fiber, int outcome)
{
    (void)L;
    (void)fiber;
    return outcome;
}

/* ---- beginning ---- */

bool call_is_interrupted(const struct fiber *fiber)
{
    return (fiber->interruption & INTERRUPTED && fiber_is_interruptible(fiber)) ||
           (fiber->interruption & INTERRUPTED_INSIDE && timeout_scope_is_cancelled(fiber));
}

static __attribute__((noinline)) void raise_interruption(lua_State *L, const struct fiber *fiber)
{
    if (call_is_interrupted(fiber))
        error_raise(L, THRUM_EINTERRUPTED);
}

static inline void raise_if_interrupted(lua_State *L, const struct fiber *fiber)
{
    if (fiber->interruption)
        raise_interruption(L, fiber);
}

/* Whether what is meant for the fiber reaches this call. */
static bool is_addressed(lua_State *L, const struct fiber *fiber)
{
    return fiber->thread ? can_suspend(L, fiber->runtime) : !is_in_finalizer(L);
}

void call_check_interruption(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    const struct fiber *fiber = runtime_caller(runtime);
    bool is_reached = runtime->n_boundaries == 0 && lua_isyieldable(L);
    if (fiber->interruption && (fiber->thread ? is_reached : !is_in_finalizer(L)))
        raise_interruption(L, fiber);
}

static void raise_if_expired(lua_State *L, struct fiber *fiber)
{
    int error = list_is_empty(&fiber->timeout_scopes) ? 0 : timeout_scope_take_error(fiber);
    if (error)
        error_raise(L, error);
}

noreturn static void raise_closed(lua_State *L)
{
    error_raise(L, THRUM_ECANNOT_SUSPEND);
}

/* A wait that takes place may end by a timeout scope: make room for its deadline. */
static void prepare_scopes(lua_State *L, struct fiber *fiber)
{
    int error = list_is_empty(&fiber->timeout_scopes) ? 0 : deadline_prepare(fiber);
    if (error)
        error_raise(L, error);
}

/* Outside any fiber, or where the fiber cannot be suspended. */
static __attribute__((noinline)) struct fiber *begin_elsewhere(lua_State *L,
                                                               struct runtime *runtime)
{
    struct fiber *fiber = runtime_caller(runtime);
    if (!runtime->context)
        raise_closed(L);
    bool is_bound = fiber->n_suspend_forbidden > 0 || fiber->interruption ||
                    !list_is_empty(&fiber->timeout_scopes);
    if (fiber != &runtime->main_caller || (is_bound && is_in_finalizer(L))) {
        prepare_scopes(L, fiber);
        return fiber;
    }
    if (fiber->n_suspend_forbidden > 0)
        error_raise(L, THRUM_ESUSPEND_FORBIDDEN);
    raise_if_interrupted(L, fiber);
    raise_if_expired(L, fiber);
    return fiber;
}

struct fiber *call_begin(lua_State *L, struct runtime *runtime)
{
    struct fiber *fiber = runtime->current;
    if (!fiber || !can_suspend(L, runtime))
        return begin_elsewhere(L, runtime);
    if (fiber->n_suspend_forbidden > 0)
        error_raise(L, THRUM_ESUSPEND_FORBIDDEN);
    raise_if_interrupted(L, fiber);
    raise_if_expired(L, fiber);
    return fiber;
}

int call_begin_late(lua_State *L, struct runtime *runtime, struct fiber **fiber)
{
    *fiber = runtime_caller(runtime);
    if (!runtime->context)
        return THRUM_ECANNOT_SUSPEND;
    if ((*fiber)->n_suspend_forbidden == 0 || !is_addressed(L, *fiber))
        return list_is_empty(&(*fiber)->timeout_scopes) ? 0 : deadline_prepare(*fiber);
    return THRUM_ESUSPEND_FORBIDDEN;
}

int call_take_error(lua_State *L, struct fiber *fiber)
{
    if ((!fiber->interruption && list_is_empty(&fiber->timeout_scopes)) || !is_addressed(L, fiber))
        return 0;
    if (call_is_interrupted(fiber))
        return THRUM_EINTERRUPTED;
    return list_is_empty(&fiber->timeout_scopes) ? 0 : timeout_scope_take_error(fiber);
}

void call_prepare_deadline(lua_State *L, struct fiber *fiber)
{
    int error = deadline_prepare(fiber);
    if (error)
        error_raise(L, error);
}

/* This thread may have been resumed by another than the scheduler: a coroutine.resume that knows no
 * fibers can get hold of it, and the fiber may be gone by then. Only the suspension_id of the
 * suspension that is over goes through; anybody else finds the thread suspended as before. */
static int call_continue(lua_State *L, int status, lua_KContext suspension_id)
{
    const struct runtime *runtime = class_runtime(L);
    struct fiber *fiber = runtime->current;
    (void)status;
    if (!fiber || runtime->running != L || fiber->suspension_id != suspension_id)
        return lua_yieldk(L, 0, suspension_id, call_continue);
    fiber->suspension_id = 0;
    return fiber->finish(L, fiber, fiber->outcome);
}

static int yield_to_scheduler(lua_State *L, struct fiber *fiber, call_finish *finish)
{
    struct runtime *runtime = fiber->runtime;
    runtime_call_before_suspend(L, runtime);
    fiber->site = (struct wait_site){L, class_self(L), class_row(L), clock_coarse_now_ns()};
    fiber->finish = finish;
    fiber->suspension_id = ++runtime->last_suspension_id;
    runtime->is_suspending = true;
    return lua_yieldk(L, 0, fiber->suspension_id, call_continue);
}

/* The caller outside cannot go on waiting: make its wait end, without running any Lua. One that
 * would have to get a mutex first, which nobody is going to unlock, ends without it. */
static void abandon_wait(struct fiber *fiber, int cause)
{
    fiber_cancel_wait(fiber, cause);
    if (fiber->wait && !(fiber->wait->traits & WAIT_EXTERNAL)) {
        list_remove(&fiber->waiter.link);
        fiber_wake(fiber, ECANCELED);
    }
    while (!fiber->is_ready)
        thrum_context_run_one(fiber->runtime->context);
}

static int drive_until_ready(lua_State *L, struct fiber *fiber, call_finish *finish)
{
    enum drive_end end = scheduler_drive(L, fiber->runtime, fiber);
    if (end == DRIVE_IDLE) { /* for the fiber to get that error, others may have to run */
        fiber_cancel_wait(fiber, THRUM_EDEADLOCK);
        end = scheduler_drive(L, fiber->runtime, fiber);
    }
    if (end != DRIVE_REACHED)
        abandon_wait(fiber, THRUM_EDEADLOCK);
    fiber->is_ready = false;
    if (end == DRIVE_FAILED)
        lua_error(L);
    return finish_call(L, fiber, fiber->outcome, finish);
}

/* Let the wait end by itself: true, if it has. */
static bool wait_in_place(lua_State *L, const struct fiber *fiber)
{
    thrum_context *context = fiber->runtime->context;
    bool is_blocking =
        class_self(L)->waits_in_place && fiber->wait && fiber->wait->traits & WAIT_EXTERNAL;
    if (is_blocking)
        runtime_call_before_suspend(L, fiber->runtime);
    if (!fiber->is_ready)
        thrum_context_poll(context);
    while (!fiber->is_ready && is_blocking && thrum_context_run_one(context) > 0) {
    }
    return fiber->is_ready;
}

static int end_in_place(lua_State *L, struct fiber *fiber, call_finish *finish)
{
    fiber->waits_in_place = true;
    if (!wait_in_place(L, fiber))
        abandon_wait(fiber, THRUM_ECANNOT_SUSPEND);
    fiber->waits_in_place = false;
    fiber->is_ready = false;
    return finish_call(L, fiber, fiber->outcome, finish);
}

/* The deadline of a wait inside time.with_timeout. */
static int64_t apply_timeout_scope(struct fiber *fiber, int64_t deadline_ns)
{
    struct timeout_scope *scope = timeout_scope_nearest(fiber);
    if (!scope || timeout_scope_deadline(scope) >= deadline_ns)
        return deadline_ns;
    fiber->timeout_scope = scope;
    return timeout_scope_deadline(scope);
}

int call_suspend(lua_State *L, struct fiber *fiber, const struct wait_ops *wait,
                 int64_t deadline_ns, call_finish *finish)
{
    bool has_limits = !list_is_empty(&fiber->timeout_scopes) && !(wait->traits & WAIT_UNSTOPPABLE);
    bool ends_here = is_in_place(L, fiber);
    if (has_limits && !(call_returns(L, fiber) && is_in_finalizer(L)))
        deadline_ns = apply_timeout_scope(fiber, deadline_ns);
    bool has_deadline = deadline_ns != NO_DEADLINE;
    fiber->wait = wait;
    fiber->is_ready = false;
    if (wait->traits & WAIT_EXTERNAL || has_deadline)
        fiber->runtime->n_pending++;
    if (has_deadline)
        deadline_set(fiber, deadline_ns);
    if (ends_here)
        return end_in_place(L, fiber, finish);
    if (!fiber->thread)
        return drive_until_ready(L, fiber, finish);
    return yield_to_scheduler(L, fiber, finish);
}

int call_yield(lua_State *L, struct fiber *fiber, int outcome, call_finish *finish)
{
    if (is_in_place(L, fiber))
        return finish_call(L, fiber, outcome, finish);
    fiber->outcome = outcome;
    if (fiber->thread) {
        fiber_make_ready(fiber);
        return yield_to_scheduler(L, fiber, finish);
    }
    fiber->n_immediate_completions = 0;
    if (scheduler_poll(L, fiber->runtime) == DRIVE_FAILED)
        lua_error(L);
    return finish_call(L, fiber, fiber->outcome, finish);
}

bool call_is_due(struct fiber *fiber)
{
    return ++fiber->n_immediate_completions >= FAIRNESS_BUDGET;
}

int call_done(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    if (!call_is_due(fiber))
        return finish_call(L, fiber, error, finish);
    return call_yield(L, fiber, error, finish);
}

int call_finish_plain(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    if (error)
        error_raise(L, error);
    return 0;
}

int call_finish_yield(lua_State *L, struct fiber *fiber, int error)
{
    call_check_interruption(L);
    return call_finish_plain(L, fiber, error);
}

int call_yield_now(lua_State *L)
{
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (fiber->thread && can_suspend(L, fiber->runtime)) {
        fiber->outcome = 0;
        fiber_make_ready(fiber);
        return yield_to_scheduler(L, fiber, call_finish_yield);
    }
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_yield);
    return call_yield(L, fiber, 0, call_finish_yield);
}

int64_t call_deadline_after(double seconds)
{
    return clock_after(thrum_steady_clock_now_ns(), seconds);
}
