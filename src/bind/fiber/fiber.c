/* SPDX-License-Identifier: BSL-1.0 */
/* Fibers: their records, how a wait ends, and deadlines. No Lua code runs from this file. */
#include "bind/fiber/fiber.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/memory.h"

/* ---- waits ---- */

static void operation_done(struct thrum_operation *operation)
{
    fiber_wake(operation->user, operation->error);
}

void fiber_cancel_operation(struct fiber *fiber)
{
    thrum_operation_cancel(&fiber->operation);
}

const struct wait_ops wait_operation = {WAIT_EXTERNAL, fiber_cancel_operation, NULL, NULL};

void fiber_make_ready(struct fiber *fiber)
{
    struct runtime *runtime = fiber->runtime;
    fiber->is_ready = true;
    if (!fiber->thread || fiber->waits_in_place)
        return; /* such a caller looks at is_ready itself */
    fiber->next_ready = NULL;
    *runtime->ready_end = fiber;
    runtime->ready_end = &fiber->next_ready;
}

static void end_wait(struct fiber *fiber, int outcome)
{
    if (fiber->wait->traits & WAIT_EXTERNAL || fiber->deadline_ns != INT64_MAX)
        fiber->runtime->n_pending--;
    fiber->wait = NULL;
    fiber->outcome = outcome;
    fiber_make_ready(fiber);
}

/* Apart from the rest, which nearly every wait gets by with. */
static __attribute__((noinline)) void wake_specially(struct fiber *fiber, int outcome)
{
    if (fiber->wait->leave)
        fiber->wait->leave(fiber);
    if (outcome == ECANCELED && fiber->cancel_cause) {
        outcome = fiber->cancel_cause;
        if (outcome == ETIMEDOUT && fiber->timeout_scope) {
            timeout_scope_expire(fiber->timeout_scope);
            fiber->has_scope_expired = true;
        }
    }
    fiber->timeout_scope = NULL;
    fiber->cancel_cause = 0;
    end_wait(fiber, outcome);
    fiber->deadline_ns = INT64_MAX;
}

void fiber_wake(struct fiber *fiber, int outcome)
{
    if (fiber->wait->leave || fiber->cancel_cause || fiber->timeout_scope ||
        fiber->deadline_ns != INT64_MAX)
        wake_specially(fiber, outcome);
    else
        end_wait(fiber, outcome);
}

void fiber_cancel_wait(struct fiber *fiber, int cause)
{
    if (!fiber->wait || fiber->cancel_cause)
        return;
    fiber->cancel_cause = cause;
    fiber->wait->cancel(fiber);
}

void fiber_drop_deadline(struct fiber *fiber)
{
    if (fiber->deadline_ns == INT64_MAX)
        return;
    fiber->deadline_ns = INT64_MAX;
    if (!(fiber->wait->traits & WAIT_EXTERNAL))
        fiber->runtime->n_pending--;
}

bool fiber_is_interruptible(const struct fiber *fiber)
{
    return fiber->n_interruption_disabled == 0 && fiber->n_cleanups == 0;
}

void fiber_interrupt(struct fiber *fiber)
{
    fiber->interruption |= INTERRUPTED;
    if (fiber_is_interruptible(fiber))
        fiber_cancel_wait(fiber, THRUM_EINTERRUPTED);
}

int fiber_start_timer(struct fiber *fiber, int64_t deadline_ns)
{
    int error = 0;
    if (!fiber->timer)
        error = thrum_timer_new(fiber->runtime->context, &fiber->timer);
    return error ? error : thrum_timer_wait(fiber->timer, &fiber->operation, deadline_ns);
}

/* ---- life ---- */

static void init_record(struct fiber *fiber, struct runtime *runtime)
{
    *fiber = (struct fiber){.runtime = runtime,
                            .anchor = LUA_NOREF,
                            .cleanup_anchor = LUA_NOREF,
                            .at_end = LUA_NOREF,
                            .traceback = LUA_NOREF,
                            .end = LUA_NOREF,
                            .origin = LUA_NOREF,
                            .deadline_ns = INT64_MAX};
    list_init(&fiber->link);
    list_init(&fiber->waiter.link);
    fiber->waiter.fiber = fiber;
    list_init(&fiber->timeout_scopes);
    list_init(&fiber->watchers);
    list_init(&fiber->group_link);
    thrum_operation_init(&fiber->operation, operation_done, fiber);
}

void fiber_init_callers(struct runtime *runtime)
{
    init_record(&runtime->main_caller, runtime);
    init_record(&runtime->nested, runtime);
    runtime->main_caller.state = runtime->nested.state = FIBER_ALIVE;
}

int fiber_anchor_value(lua_State *L, struct runtime *runtime)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->anchors);
    lua_insert(L, -2);
    int anchor = luaL_ref(L, -2);
    lua_pop(L, 1);
    return anchor;
}

void fiber_push_anchored(lua_State *L, const struct runtime *runtime, int anchor)
{
    if (anchor == LUA_NOREF) {
        lua_pushnil(L);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->anchors);
    lua_rawgeti(L, -1, anchor);
    lua_remove(L, -2);
}

void fiber_release_anchor(lua_State *L, struct runtime *runtime, int anchor)
{
    if (anchor == LUA_NOREF)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->anchors);
    luaL_unref(L, -1, anchor);
    lua_pop(L, 1);
}

void fiber_reserve_thread(lua_State *L, const struct runtime *runtime)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->inner);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* The place and the name stay below the function for as long as its thread lives. */
enum { PLACE = 1, NAME, FUNCTION };

int fiber_count_results(const struct fiber *fiber)
{
    if (fiber->ending == ENDED_WELL)
        return lua_gettop(fiber->thread) - NAME;
    return fiber->ending == ENDED_WITH_ERROR ? 1 : 0;
}

struct fiber *fiber_new(lua_State *L, struct runtime *runtime, int nargs)
{
    lua_State *thread = lua_newthread(L);
    lua_insert(L, -nargs - FUNCTION - 1);
    if (!lua_checkstack(thread, nargs + FUNCTION))
        luaL_error(L, "too many arguments to spawn");
    lua_xmove(L, thread, nargs + FUNCTION);
    fiber_reserve_thread(L, runtime);
    int anchor = fiber_anchor_value(L, runtime);

    struct fiber *fiber = memory_alloc(L, sizeof(*fiber));
    if (!fiber) {
        fiber_release_anchor(L, runtime, anchor);
        luaL_error(L, "not enough memory");
    }
    init_record(fiber, runtime);
    fiber->thread = thread;
    fiber->anchor = anchor;
    fiber->place = lua_tostring(thread, PLACE);
    fiber->name = lua_tostring(thread, NAME);
    fiber->n_args = nargs;
    fiber->id = ++runtime->last_id;
    list_append(&runtime->fibers, &fiber->link);
    runtime->n_live++;
    fiber_make_ready(fiber);
    return fiber;
}

void fiber_left_failed(struct runtime *runtime)
{
    if (!runtime->report_timer || !list_is_empty(&runtime->failed))
        return;
    thrum_timer_free(runtime->report_timer);
    runtime->report_timer = NULL;
}

/* Set what is anchored for the fiber's thread, the value on the top. */
static void replace_anchored(lua_State *L, const struct fiber *fiber)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, fiber->runtime->anchors);
    lua_insert(L, -2);
    lua_rawseti(L, -2, fiber->anchor);
    lua_pop(L, 1);
}

void fiber_leave_to_handle(lua_State *L, const struct fiber *fiber)
{
    if (fiber->ending == ENDED_WELL && fiber_count_results(fiber) == 0)
        return; /* its thread holds nothing */
    lua_pushboolean(L, 0);
    replace_anchored(L, fiber);
}

void fiber_take_back(lua_State *L, const struct fiber *fiber)
{
    lua_pushthread(fiber->thread);
    lua_xmove(fiber->thread, L, 1);
    replace_anchored(L, fiber);
}

void fiber_free(lua_State *L, struct fiber *fiber)
{
    struct runtime *runtime = fiber->runtime;
    list_remove(&fiber->link);
    fiber_left_failed(runtime);
    list_remove(&fiber->waiter.link);
    if (fiber->wait && fiber->wait->leave)
        fiber->wait->leave(fiber);
    while (!list_is_empty(&fiber->watchers))
        wait_queue_take(&fiber->watchers);
    timeout_scope_forget(fiber);
    if (fiber->group)
        fiber->group->rules->lose_child(L, fiber);
    if (fiber->joiner)
        fiber->joiner->joined = NULL;
    if (fiber->joined)
        fiber->joined->joiner = NULL;
    if (fiber->handle)
        fiber->handle->fiber = NULL;
    deadline_free(fiber);
    thrum_timer_free(fiber->timer);
    thrum_operation_deinit(&fiber->operation);
    fiber_release_anchor(L, runtime, fiber->anchor);
    fiber_release_anchor(L, runtime, fiber->cleanup_anchor);
    fiber_release_anchor(L, runtime, fiber->at_end);
    fiber_release_anchor(L, runtime, fiber->traceback);
    fiber_release_anchor(L, runtime, fiber->end);
    fiber_release_anchor(L, runtime, fiber->origin);
    memory_free(L, fiber, sizeof(*fiber));
}

void fiber_forget(lua_State *L, struct fiber *fiber)
{
    fiber->is_detached = true;
    if (fiber->handle)
        fiber->handle->fiber = NULL;
    fiber->handle = NULL;
    if (fiber->state != FIBER_ENDED)
        return;
    if (!fiber->group && (fiber->ending != ENDED_WITH_ERROR || fiber->is_error_delivered)) {
        fiber_free(L, fiber);
        return;
    }
    if (fiber->group && fiber->group->rules->keep_thread(L, fiber)) {
        fiber_leave_to_handle(L, fiber);
        return;
    }
    fiber_take_back(L, fiber);
    if (fiber->group)
        return;
    list_remove(&fiber->link);
    list_append(&fiber->runtime->unreported, &fiber->link);
    fiber_left_failed(fiber->runtime);
}

void fiber_push_title(lua_State *L, const struct fiber *fiber)
{
    lua_pushfstring(L, fiber->name ? "%I \"%s\"" : "%I", (LUAI_UACINT)fiber->id, fiber->name);
}

/* ---- deadlines ----
 *
 * A fiber's deadline timer is left running when a wait ends before it: the next wait with a
 * deadline will most likely be later, so the timer that fires too early is armed again for what is
 * due by then. A server that receives with a timeout thus arms a timer once per timeout, not once
 * per datagram. The timer outlives its fiber by at most one turn of the loop. */
struct deadline {
    struct fiber *fiber; /* NULL once the fiber is gone */
    struct list link;    /* in the runtime's orphans then */
    lua_State *main;     /* whose allocator it came from */
    thrum_timer *timer;
    int64_t armed_ns; /* INT64_MAX: not armed */
    struct thrum_operation operation;
};

static void deadline_destroy(struct deadline *deadline)
{
    list_remove(&deadline->link);
    thrum_timer_free(deadline->timer);
    thrum_operation_deinit(&deadline->operation);
    memory_free(deadline->main, deadline, sizeof(*deadline));
}

/* An arming that fails for want of memory is a deadline that has come: late is worse than early. */
static void deadline_arm(struct deadline *deadline)
{
    deadline->armed_ns = deadline->fiber->deadline_ns;
    if (thrum_timer_wait(deadline->timer, &deadline->operation, deadline->armed_ns)) {
        deadline->armed_ns = INT64_MAX;
        fiber_cancel_wait(deadline->fiber, ETIMEDOUT);
    }
}

static void deadline_fired(struct thrum_operation *operation)
{
    struct deadline *deadline = operation->user;
    struct fiber *fiber = deadline->fiber;
    deadline->armed_ns = INT64_MAX;
    if (!fiber)
        deadline_destroy(deadline);
    else if (fiber->deadline_ns == INT64_MAX)
        return;
    else if (fiber->deadline_ns <= thrum_steady_clock_now_ns())
        fiber_cancel_wait(fiber, ETIMEDOUT);
    else
        deadline_arm(deadline);
}

static struct deadline *deadline_new(struct fiber *fiber)
{
    lua_State *L = fiber->runtime->main;
    struct deadline *deadline = memory_alloc(L, sizeof(*deadline));
    if (!deadline)
        return NULL;
    *deadline = (struct deadline){.fiber = fiber, .main = L, .armed_ns = INT64_MAX};
    list_init(&deadline->link);
    if (thrum_timer_new(fiber->runtime->context, &deadline->timer)) {
        memory_free(L, deadline, sizeof(*deadline));
        return NULL;
    }
    thrum_operation_init(&deadline->operation, deadline_fired, deadline);
    return deadline;
}

int deadline_prepare(struct fiber *fiber)
{
    if (!fiber->deadline)
        fiber->deadline = deadline_new(fiber);
    return fiber->deadline ? 0 : ENOMEM;
}

void deadline_set(struct fiber *fiber, int64_t deadline_ns)
{
    struct deadline *deadline = fiber->deadline;
    fiber->deadline_ns = deadline_ns;
    if (!thrum_operation_is_pending(&deadline->operation))
        deadline_arm(deadline);
    else if (deadline->armed_ns > deadline_ns)
        thrum_operation_cancel(&deadline->operation); /* deadline_fired arms it again */
}

void deadline_free(struct fiber *fiber)
{
    struct deadline *deadline = fiber->deadline;
    if (!deadline)
        return;
    fiber->deadline = NULL;
    deadline->fiber = NULL;
    if (thrum_operation_is_pending(&deadline->operation)) {
        list_append(&fiber->runtime->orphans, &deadline->link);
        thrum_operation_cancel(&deadline->operation);
    } else {
        deadline_destroy(deadline);
    }
}

void deadline_free_orphans(struct runtime *runtime)
{
    while (!list_is_empty(&runtime->orphans))
        deadline_destroy(LIST_ITEM(runtime->orphans.next, struct deadline, link));
}
