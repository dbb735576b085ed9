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

struct timeout_scope {
    struct object object;
    struct list link;    /* in its fiber's scopes */
    struct fiber *fiber; /* NULL once it has ended */
    lua_State *thread;
    int64_t deadline_ns;
    unsigned n_cleanups; /* of the fiber when it began */
    unsigned n_interruption_disabled;
    bool is_expired;
    bool is_cancelled;
    bool covers_wait; /* the fiber's last */
};

/* A coroutine that has yielded to its user is not running: its scopes are for its own calls. And a
 * cleanup handler has none but its own: a timeout in there would be the end of the run. */
static bool counts(const struct timeout_scope *scope, const struct fiber *fiber)
{
    return scope->n_cleanups == fiber->n_cleanups && lua_status(scope->thread) == LUA_OK;
}

/* What was disabled around it puts off the fiber's own interruption, not this. */
static bool can_interrupt(const struct timeout_scope *scope, const struct fiber *fiber)
{
    return scope->n_cleanups == fiber->n_cleanups &&
           scope->n_interruption_disabled >= fiber->n_interruption_disabled;
}

struct timeout_scope *timeout_scope_nearest(struct fiber *fiber)
{
    struct timeout_scope *nearest = NULL;
    for (struct list *node = fiber->timeout_scopes.next; node != &fiber->timeout_scopes;
         node = node->next) {
        struct timeout_scope *scope = LIST_ITEM(node, struct timeout_scope, link);
        scope->covers_wait = counts(scope, fiber);
        if (scope->covers_wait && !scope->is_expired &&
            scope->deadline_ns < (nearest ? nearest->deadline_ns : NO_DEADLINE))
            nearest = scope;
    }
    return nearest;
}

int64_t timeout_scope_deadline(const struct timeout_scope *scope)
{
    return scope->deadline_ns;
}

void timeout_scope_expire(struct timeout_scope *scope)
{
    scope->is_expired = true;
}

int timeout_scope_count_expired(const struct fiber *fiber)
{
    int count = 0;
    for (struct list *node = fiber->timeout_scopes.next; node != &fiber->timeout_scopes;
         node = node->next)
        count += LIST_ITEM(node, struct timeout_scope, link)->is_expired;
    return count;
}

bool timeout_scope_is_cancelled(const struct fiber *fiber)
{
    for (struct list *node = fiber->timeout_scopes.next; node != &fiber->timeout_scopes;
         node = node->next) {
        const struct timeout_scope *scope = LIST_ITEM(node, struct timeout_scope, link);
        if (scope->is_cancelled && counts(scope, fiber) && can_interrupt(scope, fiber))
            return true;
    }
    return false;
}

void timeout_scope_cancel(struct timeout_scope *scope)
{
    struct fiber *fiber = scope->fiber;
    if (!fiber)
        return;
    scope->is_cancelled = true;
    fiber->interruption |= INTERRUPTED_INSIDE;
    if (scope->covers_wait && can_interrupt(scope, fiber))
        fiber_cancel_wait(fiber, THRUM_EINTERRUPTED);
}

int timeout_scope_take_error(struct fiber *fiber)
{
    struct timeout_scope *scope = timeout_scope_nearest(fiber);
    if (!scope)
        return 0;
    int error = deadline_prepare(fiber);
    if (error || scope->deadline_ns > thrum_steady_clock_now_ns())
        return error;
    timeout_scope_expire(scope);
    return ETIMEDOUT;
}

static bool has_cancelled(const struct fiber *fiber)
{
    for (struct list *node = fiber->timeout_scopes.next; node != &fiber->timeout_scopes;
         node = node->next) {
        if (LIST_ITEM(node, struct timeout_scope, link)->is_cancelled)
            return true;
    }
    return false;
}

void timeout_scope_end(struct timeout_scope *scope)
{
    struct fiber *fiber = scope->fiber;
    list_remove(&scope->link);
    scope->fiber = NULL;
    if (scope->is_cancelled && fiber && !has_cancelled(fiber))
        fiber->interruption &= INTERRUPTED;
}

void timeout_scope_forget(struct fiber *fiber)
{
    while (!list_is_empty(&fiber->timeout_scopes))
        timeout_scope_end(LIST_ITEM(fiber->timeout_scopes.next, struct timeout_scope, link));
}

static int timeout_scope_gc(lua_State *L)
{
    timeout_scope_end(lua_touserdata(L, 1));
    return 0;
}

struct timeout_scope *timeout_scope_push(lua_State *L, struct runtime *runtime, int64_t deadline_ns)
{
    struct fiber *fiber = runtime_caller(runtime);
    struct timeout_scope *scope = lua_newuserdata(L, sizeof(*scope));
    *scope = (struct timeout_scope){{&timeout_scope_class},
                                    .thread = L,
                                    .deadline_ns = deadline_ns,
                                    .n_cleanups = fiber->n_cleanups,
                                    .n_interruption_disabled = fiber->n_interruption_disabled};
    list_init(&scope->link);
    class_push_metatable(L, &timeout_scope_class);
    lua_setmetatable(L, -2);
    lua_pushthread(
        L); /* lest it be freed before timeout_scope_gc has run, when both die in one cycle */
    lua_setuservalue(L, -2);
    scope->fiber = fiber;
    list_append(&fiber->timeout_scopes, &scope->link);
    return scope;
}

void timeout_scope_open(lua_State *L, struct runtime *runtime)
{
    static const struct function_row metamethods[] = {{"__gc", timeout_scope_gc}, {0}};
    class_open(L, class_get(L, runtime, &timeout_scope_class),
               &(struct class_rows){.metamethods = metamethods});
}
