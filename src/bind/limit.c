/* SPDX-License-Identifier: BSL-1.0 */
/* Limits: see limit.h. */
#include "bind/limit.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/timer.h>

#include "bind/args.h"
#include "bind/call.h"
#include "bind/error.h"
#include "bind/inspect.h"
#include "bind/noun.h"
#include "bind/runtime.h"

struct limit {
    struct object object;
    struct list link; /* in its fiber's limits */
    lua_State *thread;
    int64_t deadline_ns;
    unsigned n_cleanups; /* of the fiber when it began */
    bool is_spent;
};

/* A coroutine that has yielded to its user is not running: its limits are for its own calls. And a
 * cleanup handler has none but its own: a timeout in there would be the end of the run. */
static bool counts(const struct limit *limit, const struct fiber *fiber)
{
    return !limit->is_spent && limit->n_cleanups == fiber->n_cleanups &&
           lua_status(limit->thread) == LUA_OK;
}

struct limit *limit_nearest(struct fiber *fiber)
{
    struct limit *nearest = NULL;
    for (struct list *node = fiber->limits.next; node != &fiber->limits; node = node->next) {
        struct limit *limit = LIST_ITEM(node, struct limit, link);
        if (counts(limit, fiber) && (!nearest || limit->deadline_ns < nearest->deadline_ns))
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

void limit_check(lua_State *L, struct fiber *fiber)
{
    struct limit *limit = limit_nearest(fiber);
    if (!limit)
        return;
    call_prepare_deadline(L, fiber);
    if (limit->deadline_ns > thrum_steady_clock_now_ns())
        return;
    limit_spend(limit);
    error_raise(L, ETIMEDOUT);
}

void limit_forget(struct fiber *fiber)
{
    while (!list_is_empty(&fiber->limits))
        list_remove(fiber->limits.next);
}

static int limit_gc(lua_State *L)
{
    struct limit *limit = lua_touserdata(L, 1);
    list_remove(&limit->link);
    return 0;
}

static struct limit *push_limit(lua_State *L, double seconds)
{
    struct runtime *runtime = noun_runtime(L);
    struct fiber *fiber = runtime->current ? runtime->current : &runtime->outside;
    struct limit *limit = lua_newuserdata(L, sizeof(*limit));
    *limit = (struct limit){{&noun_kinds[NOUN_LIMIT]},
                            .thread = L,
                            .deadline_ns = call_deadline_after(seconds),
                            .n_cleanups = fiber->n_cleanups};
    list_init(&limit->link);
    noun_push_metatable(L, &runtime->nouns[NOUN_LIMIT]);
    lua_setmetatable(L, -2);
    lua_pushthread(L); /* lest it be freed before limit_gc has run, when both die in one cycle */
    lua_setuservalue(L, -2);
    list_append(&fiber->limits, &limit->link);
    return limit;
}

/* limit, handler, results...  or  limit, handler, ..., error value */
static int finish(lua_State *L, int status, lua_KContext context)
{
    struct limit *limit = lua_touserdata(L, 1);
    (void)context;
    list_remove(&limit->link);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L) - 2;
}

int limit_with_timeout(lua_State *L)
{
    double seconds = args_seconds(L, 1);
    if (!lua_isfunction(L, 2))
        error_raise_arg(L, EINVAL, 2, "f", "function");
    call_check_interruption(L);
    push_limit(L, seconds);
    lua_replace(L, 1);
    lua_pushcfunction(L, inspect_keep_traceback);
    lua_insert(L, 2);
    return finish(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, 0, finish), 0);
}

void limit_open(lua_State *L, struct runtime *runtime)
{
    static const struct function_row metamethods[] = {{"__gc", limit_gc}, {0}};
    noun_open_class(L, &runtime->nouns[NOUN_LIMIT],
                    &(struct class_rows){.metamethods = metamethods});
}
