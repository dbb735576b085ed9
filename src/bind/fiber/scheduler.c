/* SPDX-License-Identifier: BSL-1.0 */
/* The scheduler: see scheduler.h.
 *
 * A round resumes the fibers that were ready at its start; then the loop is polled if somebody is
 * ready again, else it blocks for one completion. No Lua runs under a completion: a completion only
 * links its fiber to the ready list. */
#include "bind/fiber/scheduler.h"

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/group.h"
#include "bind/fiber/open.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/scope.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/error.h"

static struct fiber *take_ready(struct runtime *runtime)
{
    struct fiber *fiber = runtime->ready;
    runtime->ready = fiber->next_ready;
    if (!runtime->ready)
        runtime->ready_end = &runtime->ready;
    fiber->is_ready = false;
    return fiber;
}

/* ---- ends ---- */

/* Lua's errors on a fiber's thread have nobody to catch them while it does not run, and any
 * allocation may run a finalizer that raises: such work is done on L, in protected mode. */
struct failure {
    struct runtime *runtime;
    int error;
    const char *op;
};

static int make_failure(lua_State *L)
{
    const struct failure *failure = lua_touserdata(L, 1);
    error_push_from(L, failure->error, failure->op);
    return 1;
}

/* Put an error object, or the error that prevented it, on the top of the fiber's thread. */
static void fail_fiber(lua_State *L, struct fiber *fiber, int error, const char *op)
{
    struct failure failure = {fiber->runtime, error, op};
    lua_pushcfunction(L, make_failure);
    lua_pushlightuserdata(L, &failure);
    lua_pcall(L, 1, 1, 0);
    lua_xmove(L, fiber->thread, 1);
}

static int classify(lua_State *L)
{
    lua_pushboolean(L, error_is_interruption(L, 1));
    return 1;
}

/* Whether the fiber's error, on the top of its thread, is the interruption. */
static bool is_interruption(lua_State *L, struct fiber *fiber)
{
    lua_pushcfunction(L, classify);
    lua_pushvalue(fiber->thread, -1);
    lua_xmove(fiber->thread, L, 1);
    bool is_it = !lua_pcall(L, 1, 1, 0) && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_it;
}

/* Any allocation may collect the fiber's handle, or run a finalizer that calls thrum.report: either
 * would free a fiber that has ended. So it ends when all is known of it. */
static void end_fiber(lua_State *L, struct fiber *fiber, int status)
{
    struct runtime *runtime = fiber->runtime;
    fiber->state = FIBER_ENDING;
    if (status == LUA_OK)
        fiber->ending = ENDED_WELL;
    else if (fiber->interruption & INTERRUPTED && is_interruption(L, fiber))
        fiber->ending = ENDED_INTERRUPTED;
    else
        fiber->ending = ENDED_WITH_ERROR;
    if (fiber->ending == ENDED_WITH_ERROR || fiber->name)
        report_keep_end(L, fiber);
    if (fiber->when_ended)
        fiber->when_ended(L, fiber);

    fiber->state = FIBER_ENDED;
    runtime->n_live--;
    if (fiber->group) /* before the joiner is woken: it may be another child, and is interrupted */
        fiber->group->rules->child_ended(L, fiber);
    if (!list_is_empty(&fiber->watchers))
        wait_queue_wake_all(&fiber->watchers, 0);
    if (fiber->ending == ENDED_WITH_ERROR && (!fiber->is_detached || fiber->group))
        report_expect(fiber);
    if (fiber->joiner)
        fiber_wake(fiber->joiner, 0);
    else if (fiber->is_detached)
        fiber_forget(L, fiber);
    else
        fiber_leave_to_handle(L, fiber);
}

/* ---- running one fiber ---- */

/* Resume the fiber's thread. LUA_YIELD: it has been suspended. */
static int resume_fiber(lua_State *L, struct fiber *fiber, int nargs)
{
    struct runtime *runtime = fiber->runtime;
    lua_State *thread = fiber->thread;
    runtime->current = fiber;
    runtime->running = thread;
    runtime->n_boundaries = 0;
    fiber->n_immediate_completions = 0;
    int status = lua_resume(thread, L, nargs);
    runtime->current = NULL;
    runtime->running = NULL;
    if (status > LUA_YIELD && lua_status(thread) == LUA_YIELD) {
        /* It was not run at all: the caller is too deep in C calls. Another may run it. */
        lua_xmove(thread, L, 1);
        fiber_make_ready(fiber);
        lua_error(L);
    }
    if (status == LUA_YIELD && !runtime->is_suspending) {
        /* The stock coroutine.yield in the fiber itself: there is nobody it could yield to. */
        fail_fiber(L, fiber, THRUM_ECOROUTINE_RESERVED, "coroutine.yield");
        status = LUA_ERRRUN;
    }
    runtime->is_suspending = false;
    return status;
}

static int make_cleanup(lua_State *L)
{
    struct fiber *fiber = lua_touserdata(L, 1);
    lua_State *thread = scope_push_root_thread(L, fiber);
    if (!thread)
        return 0;
    fiber->cleanup_anchor = fiber_anchor_value(L, fiber->runtime);
    fiber->body = fiber->thread;
    fiber->thread = thread;
    return 0;
}

/* The fiber's function has ended with `status`. True if its root scope has handlers to be run. If
 * there is no memory for them, the caller that runs the loop gets the error, and a later run tries
 * again. */
static bool begin_cleanup(lua_State *L, struct fiber *fiber, int status)
{
    if (fiber->runtime->n_handlers == 0)
        return false;
    fiber->body_status = status;
    lua_pushcfunction(L, make_cleanup);
    lua_pushlightuserdata(L, fiber);
    if (lua_pcall(L, 1, 0, 0)) {
        fiber->is_body_over = true;
        fiber_make_ready(fiber);
        lua_error(L);
    }
    return fiber->body != NULL;
}

static int end_cleanup(lua_State *L, struct fiber *fiber)
{
    fiber->thread = fiber->body;
    fiber->body = NULL;
    fiber_release_anchor(L, fiber->runtime, fiber->cleanup_anchor);
    fiber->cleanup_anchor = LUA_NOREF;
    return fiber->body_status;
}

static void call_at_end(lua_State *L, struct fiber *fiber, int status)
{
    if (fiber->at_end == LUA_NOREF)
        return;
    fiber_push_anchored(L, fiber->runtime, fiber->at_end);
    if (lua_pcall(L, 0, 0, 0)) {
        fiber->body_status = status;
        fiber->is_body_over = true;
        fiber_make_ready(fiber);
        lua_error(L);
    }
    fiber_release_anchor(L, fiber->runtime, fiber->at_end);
    fiber->at_end = LUA_NOREF;
}

static void run_fiber(lua_State *L, struct fiber *fiber)
{
    int nargs = 0;
    if (fiber->state == FIBER_NEW) {
        fiber->state = FIBER_ALIVE;
        nargs = fiber->n_args;
    }
    int status = fiber->is_body_over ? fiber->body_status : resume_fiber(L, fiber, nargs);
    fiber->is_body_over = false;
    if (status != LUA_YIELD && !fiber->body && begin_cleanup(L, fiber, status))
        status = resume_fiber(L, fiber, 0);
    if (status == LUA_YIELD)
        return;
    if (fiber->body)
        status = end_cleanup(L, fiber);
    call_at_end(L, fiber, status);
    end_fiber(L, fiber, status);
}

/* ---- rounds ---- */

static void run_round(lua_State *L, struct runtime *runtime)
{
    struct fiber **end = runtime->ready_end;
    while (runtime->ready && runtime->fatal == LUA_NOREF) {
        bool is_last = end == &runtime->ready->next_ready;
        run_fiber(L, take_ready(runtime));
        if (is_last)
            break;
    }
    if (!list_is_empty(&runtime->unreported) || !list_is_empty(&runtime->failed))
        report_due(L, runtime);
}

struct drive {
    struct runtime *runtime;
    struct fiber *until;
    bool is_once;
};

static bool is_reached(const struct drive *drive)
{
    const struct fiber *until = drive->until;
    return until && (until->thread ? until->state == FIBER_ENDED : until->is_ready);
}

/* What is left after a round: take what has completed, or wait for it. False: nothing can come. */
static bool turn_loop(struct runtime *runtime)
{
    if (runtime->ready && thrum_context_n_pending(runtime->context) > runtime->n_hidden)
        thrum_context_poll(runtime->context);
    else if (runtime->ready) /* nothing can complete, and a round of yields costs no system call */
        return true;
    else if (runtime->n_pending > 0)
        thrum_context_run_some(runtime->context);
    else
        return false;
    return true;
}

/* A cleanup handler that raised has ended the run, now and for every later try. */
static void raise_fatal(lua_State *L, const struct runtime *runtime)
{
    if (runtime->fatal == LUA_NOREF)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->fatal);
    lua_error(L);
}

/* In protected mode: a Lua error here is that, a stack of C calls too deep, or memory running out
 * in the scheduler's own bookkeeping. */
static int drive_protected(lua_State *L)
{
    struct drive *drive = lua_touserdata(L, 1);
    struct runtime *runtime = drive->runtime;
    if (drive->is_once) {
        thrum_context_poll(runtime->context);
        run_round(L, runtime);
        raise_fatal(L, runtime);
        return 0;
    }
    while (!is_reached(drive)) {
        run_round(L, runtime);
        raise_fatal(L, runtime);
        if (!is_reached(drive) && !turn_loop(runtime))
            break;
    }
    return 0;
}

bool scheduler_is_busy(const struct runtime *runtime)
{
    return runtime->ready || runtime->n_pending > 0;
}

bool scheduler_can_drive(const struct runtime *runtime)
{
    return runtime->context && !runtime->is_driving && !runtime->current;
}

static enum drive_end drive(lua_State *L, struct drive *drive)
{
    struct runtime *runtime = drive->runtime;
    lua_pushcfunction(L, drive_protected);
    lua_pushlightuserdata(L, drive);
    runtime->is_driving = true;
    runtime->is_unrun = false;
    int status = lua_pcall(L, 1, 0, 0);
    runtime->is_driving = false;
    runtime->current = NULL;
    runtime->running = NULL;
    if (status)
        return DRIVE_FAILED;
    return is_reached(drive) ? DRIVE_REACHED : DRIVE_IDLE;
}

enum drive_end scheduler_drive(lua_State *L, struct runtime *runtime, struct fiber *until)
{
    return drive(L, &(struct drive){.runtime = runtime, .until = until});
}

enum drive_end scheduler_poll(lua_State *L, struct runtime *runtime)
{
    return drive(L, &(struct drive){.runtime = runtime, .is_once = true});
}
