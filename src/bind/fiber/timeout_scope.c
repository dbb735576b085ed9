/* SPDX-License-Identifier: BSL-1.0 */
/* Timeout scopes: see timeout_scope.h. */
#include "bind/fiber/timeout_scope.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>
#include <thrum/timer.h>

#include "bind/fiber/classes.h"
#include "bind/fiber/runtime.h"
#include "bind/value/class.h"
#include "bind/value/error.h"

struct limit {
    struct object object;
    struct list link;    /* in its fiber's limits */
    struct fiber *fiber; /* NULL once it has ended */
    lua_State *thread;
    int64_t deadline_ns;
    unsigned n_cleanups; /* of the fiber when it began */
    unsigned n_interruption_disabled;
    bool is_spent;
    bool is_cancelled;
    bool covers_wait; /* the fiber's last */
};

/* A coroutine that has yielded to its user is not running: its limits are for its own calls. And a
 * cleanup handler has none but its own: a timeout in there would be the end of the run. */
static bool counts(const struct limit *limit, const struct fiber *fiber)
{
    return limit->n_cleanups == fiber->n_cleanups && lua_status(limit->thread) == LUA_OK;
}

/* What was disabled around it puts off the fiber's own interruption, not this. */
static bool can_interrupt(const struct limit *limit, const struct fiber *fiber)
{
    return limit->n_cleanups == fiber->n_cleanups &&
           limit->n_interruption_disabled >= fiber->n_interruption_disabled;
}

struct limit *limit_nearest(struct fiber *fiber)
{
    struct limit *nearest = NULL;
    for (struct list *node = fiber->limits.next; node != &fiber->limits; node = node->next) {
        struct limit *limit = LIST_ITEM(node, struct limit, link);
        limit->covers_wait = counts(limit, fiber);
        if (limit->covers_wait && !limit->is_spent &&
            limit->deadline_ns < (nearest ? nearest->deadline_ns : NO_DEADLINE))
            nearest = limit;
    }
    return nearest;
}

int64_t limit_deadline(const struct limit *limit)
{
    return limit->deadline_ns;
}

void limit_spend(struct limit *limit)
{
    limit->is_spent = true;
}

int limit_count_spent(const struct fiber *fiber)
{
    int count = 0;
    for (struct list *node = fiber->limits.next; node != &fiber->limits; node = node->next)
        count += LIST_ITEM(node, struct limit, link)->is_spent;
    return count;
}

bool limit_is_cancelled(const struct fiber *fiber)
{
    for (struct list *node = fiber->limits.next; node != &fiber->limits; node = node->next) {
        const struct limit *limit = LIST_ITEM(node, struct limit, link);
        if (limit->is_cancelled && counts(limit, fiber) && can_interrupt(limit, fiber))
            return true;
    }
    return false;
}

void limit_cancel(struct limit *limit)
{
    struct fiber *fiber = limit->fiber;
    if (!fiber)
        return;
    limit->is_cancelled = true;
    fiber->interruption |= INTERRUPTED_INSIDE;
    if (limit->covers_wait && can_interrupt(limit, fiber))
        fiber_cancel_wait(fiber, THRUM_EINTERRUPTED);
}

int limit_take_error(struct fiber *fiber)
{
    struct limit *limit = limit_nearest(fiber);
    if (!limit)
        return 0;
    int error = deadline_prepare(fiber);
    if (error || limit->deadline_ns > thrum_steady_clock_now_ns())
        return error;
    limit_spend(limit);
    return ETIMEDOUT;
}

static bool has_cancelled(const struct fiber *fiber)
{
    for (struct list *node = fiber->limits.next; node != &fiber->limits; node = node->next) {
        if (LIST_ITEM(node, struct limit, link)->is_cancelled)
            return true;
    }
    return false;
}

void limit_end(struct limit *limit)
{
    struct fiber *fiber = limit->fiber;
    list_remove(&limit->link);
    limit->fiber = NULL;
    if (limit->is_cancelled && fiber && !has_cancelled(fiber))
        fiber->interruption &= INTERRUPTED;
}

void limit_forget(struct fiber *fiber)
{
    while (!list_is_empty(&fiber->limits))
        limit_end(LIST_ITEM(fiber->limits.next, struct limit, link));
}

static int limit_gc(lua_State *L)
{
    limit_end(lua_touserdata(L, 1));
    return 0;
}

struct limit *limit_push(lua_State *L, struct runtime *runtime, int64_t deadline_ns)
{
    struct fiber *fiber = runtime_caller(runtime);
    struct limit *limit = lua_newuserdata(L, sizeof(*limit));
    *limit = (struct limit){{&timeout_scope_class},
                            .thread = L,
                            .deadline_ns = deadline_ns,
                            .n_cleanups = fiber->n_cleanups,
                            .n_interruption_disabled = fiber->n_interruption_disabled};
    list_init(&limit->link);
    class_push_metatable(L, &timeout_scope_class);
    lua_setmetatable(L, -2);
    lua_pushthread(L); /* lest it be freed before limit_gc has run, when both die in one cycle */
    lua_setuservalue(L, -2);
    limit->fiber = fiber;
    list_append(&fiber->limits, &limit->link);
    return limit;
}

void limit_open(lua_State *L, struct runtime *runtime)
{
    static const struct function_row metamethods[] = {{"__gc", limit_gc}, {0}};
    class_open(L, class_get(L, runtime, &timeout_scope_class),
                    &(struct class_rows){.metamethods = metamethods});
}
