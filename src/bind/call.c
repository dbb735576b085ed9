/* SPDX-License-Identifier: BSL-1.0 */
/* Calls that may suspend the calling fiber: see call.h. */
#include "bind/call.h"

#include <errno.h>

#include <thrum/error.h>

#include "base/clock.h"
#include "bind/error.h"
#include "bind/limit.h"
#include "bind/modules.h"
#include "bind/runtime.h"
#include "bind/scheduler.h"

/* How many calls in a row may complete at once before a fiber lets others run: a flooded socket
 * must not starve timers and neighbours. */
enum { FAIRNESS_BUDGET = 64 };

noreturn static void raise_cannot_suspend(lua_State *L, const struct runtime *runtime)
{
    const char *why = "the loop is being driven already";
    if (!runtime->context)
        why = "thrum has been closed in this state";
    else if (runtime->current && L != runtime->running)
        why = "this coroutine was resumed by a coroutine.resume that knows no fibers: use the one "
              "of thrum.coroutine, or require \"thrum.prelude\" first";
    else if (runtime->current)
        why = "called by C code that cannot be suspended, such as a string.gsub callback, a sort "
              "comparator or a metamethod";
    error_raise_detail(L, THRUM_ECANNOT_SUSPEND, "%s", why);
}

bool call_is_interrupted(const struct fiber *fiber)
{
    return (fiber->interruption & INTERRUPTED && fiber_is_interruptible(fiber)) ||
           (fiber->interruption & INTERRUPTED_INSIDE && limit_is_cancelled(fiber));
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

void call_check_interruption(lua_State *L)
{
    const struct runtime *runtime = noun_runtime(L);
    const struct fiber *fiber = runtime->current ? runtime->current : &runtime->outside;
    bool can_suspend = runtime->n_boundaries == 0 && lua_isyieldable(L);
    if (!runtime->current || can_suspend)
        raise_if_interrupted(L, fiber);
}

static void raise_if_limited(lua_State *L, struct fiber *fiber)
{
    int error = list_is_empty(&fiber->limits) ? 0 : limit_take_error(fiber);
    if (error)
        error_raise(L, error);
}

static bool can_suspend(lua_State *L, const struct runtime *runtime)
{
    return L == runtime->running && runtime->n_boundaries == 0 && lua_isyieldable(L);
}

struct fiber *call_begin(lua_State *L, struct runtime *runtime)
{
    struct fiber *fiber = runtime->current;
    if (fiber) {
        if (!can_suspend(L, runtime))
            raise_cannot_suspend(L, runtime);
        if (fiber->n_suspend_forbidden > 0)
            error_raise(L, THRUM_ESUSPEND_FORBIDDEN);
        raise_if_interrupted(L, fiber);
        raise_if_limited(L, fiber);
        return fiber;
    }
    if (!scheduler_can_drive(runtime))
        raise_cannot_suspend(L, runtime);
    if (runtime->outside.n_suspend_forbidden > 0)
        error_raise(L, THRUM_ESUSPEND_FORBIDDEN);
    raise_if_interrupted(L, &runtime->outside);
    raise_if_limited(L, &runtime->outside);
    return &runtime->outside;
}

int call_begin_late(lua_State *L, struct runtime *runtime, struct fiber **fiber)
{
    *fiber = runtime->current ? runtime->current : &runtime->outside;
    if (!(runtime->current ? can_suspend(L, runtime) : scheduler_can_drive(runtime)))
        return THRUM_ECANNOT_SUSPEND;
    return (*fiber)->n_suspend_forbidden > 0 ? THRUM_ESUSPEND_FORBIDDEN : 0;
}

int call_take_error(struct fiber *fiber)
{
    if (call_is_interrupted(fiber))
        return THRUM_EINTERRUPTED;
    return list_is_empty(&fiber->limits) ? 0 : limit_take_error(fiber);
}

void call_prepare_deadline(lua_State *L, struct fiber *fiber)
{
    int error = deadline_prepare(fiber);
    if (error)
        error_raise(L, error);
}

/* Whoever has resumed this thread may not be the scheduler: a coroutine.resume that knows no fibers
 * can get hold of it, and the fiber may be gone by then. Only the ticket of the suspension that is
 * over goes through; anybody else finds the thread suspended as before. */
static int call_continue(lua_State *L, int status, lua_KContext ticket)
{
    const struct runtime *runtime = noun_runtime(L);
    struct fiber *fiber = runtime->current;
    (void)status;
    if (!fiber || runtime->running != L || fiber->ticket != ticket)
        return lua_yieldk(L, 0, ticket, call_continue);
    fiber->ticket = 0;
    return fiber->finish(L, fiber, fiber->outcome);
}

static int yield_to_scheduler(lua_State *L, struct fiber *fiber, call_finish *finish)
{
    struct runtime *runtime = fiber->runtime;
    if (runtime->has_held)
        dgram_send_held(L);
    fiber->site = (struct wait_site){L, noun_self(L), noun_row(L), clock_coarse_now_ns()};
    fiber->finish = finish;
    fiber->ticket = ++runtime->last_ticket;
    runtime->is_suspending = true;
    return lua_yieldk(L, 0, fiber->ticket, call_continue);
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
    if (end == DRIVE_IDLE) { /* to be told so may take others to run */
        fiber_cancel_wait(fiber, THRUM_EDEADLOCK);
        end = scheduler_drive(L, fiber->runtime, fiber);
    }
    if (end != DRIVE_REACHED)
        abandon_wait(fiber, THRUM_EDEADLOCK);
    fiber->is_ready = false;
    if (end == DRIVE_FAILED)
        lua_error(L);
    return finish(L, fiber, fiber->outcome);
}

/* The deadline of a wait inside time.with_timeout. */
static int64_t apply_limit(struct fiber *fiber, int64_t deadline_ns)
{
    struct limit *limit = limit_nearest(fiber);
    if (!limit || limit_deadline(limit) >= deadline_ns)
        return deadline_ns;
    fiber->limit = limit;
    return limit_deadline(limit);
}

int call_suspend(lua_State *L, struct fiber *fiber, const struct wait_kind *wait,
                 int64_t deadline_ns, call_finish *finish)
{
    if (!list_is_empty(&fiber->limits) && !(wait->traits & WAIT_UNSTOPPABLE))
        deadline_ns = apply_limit(fiber, deadline_ns);
    bool has_deadline = deadline_ns != NO_DEADLINE;
    fiber->wait = wait;
    fiber->is_ready = false;
    if (wait->traits & WAIT_EXTERNAL || has_deadline)
        fiber->runtime->n_pending++;
    if (has_deadline)
        deadline_set(fiber, deadline_ns);
    if (!fiber->thread)
        return drive_until_ready(L, fiber, finish);
    return yield_to_scheduler(L, fiber, finish);
}

int call_yield(lua_State *L, struct fiber *fiber, int outcome, call_finish *finish)
{
    fiber->outcome = outcome;
    if (fiber->thread) {
        scheduler_make_ready(fiber);
        return yield_to_scheduler(L, fiber, finish);
    }
    fiber->n_at_once = 0;
    if (scheduler_poll(L, fiber->runtime) == DRIVE_FAILED)
        lua_error(L);
    return finish(L, fiber, fiber->outcome);
}

bool call_is_due(struct fiber *fiber)
{
    return ++fiber->n_at_once >= FAIRNESS_BUDGET;
}

int call_done(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    if (!call_is_due(fiber))
        return finish(L, fiber, error);
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

int64_t call_deadline_after(double seconds)
{
    return clock_after(thrum_steady_clock_now_ns(), seconds);
}
