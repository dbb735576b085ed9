/* SPDX-License-Identifier: BSL-1.0 */
/* fiber.select: see select.h.
 *
 * Each case has a waiter of its own in the queue of what it waits for. Nothing is taken or given
 * before a case has won, and the moment one has, fiber_wake takes the others off their queues: so
 * no case is met that is no longer meant, and other waiters keep their places. */
#include "bind/fiber/select.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>
#include <thrum/timer.h>

#include "bind/fiber/call.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/runtime.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

struct selection {
    int64_t timeout_ns;    /* when to give up, by the steady clock; NO_DEADLINE: never */
    int64_t deadline_ns;   /* of the wait under way */
    struct choice *winner; /* NULL: none, or not yet */
    bool has_offers;       /* a value to be sent */
    int n_choices;
    struct choice choices[];
};

/* The caller's stack: the list of cases, the selection, and two places for each case. */
enum { CASES = 1, SELECTION };

/* ---- reading the cases ---- */

noreturn static void raise_case(lua_State *L, int index, int number)
{
    char name[24];
    snprintf(name, sizeof(name), "case %d", number);
    error_raise_arg_of(L, "fiber.select", index, CASES, name,
                       "channel, {channel, value}, semaphore, timer or fiber");
}

static const struct choice_ops *ops_of(lua_State *L, int index)
{
    if (class_test(L, index, &channel_class))
        return &choice_receive;
    if (class_test(L, index, &semaphore_class))
        return &choice_semaphore;
    if (class_test(L, index, &timer_class))
        return &choice_timer;
    return class_test(L, index, &fiber_class) ? &choice_fiber : NULL;
}

/* In place of {channel, value} at `index` the channel, and behind it the value; or NULL. */
static const struct choice_ops *read_send(lua_State *L, int index)
{
    if (!lua_istable(L, index) || lua_rawlen(L, index) != 2)
        return NULL;
    lua_rawgeti(L, index, 1);
    lua_rawgeti(L, index, 2);
    if (!class_test(L, -2, &channel_class))
        return NULL;
    lua_remove(L, index);
    return &choice_send;
}

static void read_choice(lua_State *L, struct choice *choice, int number)
{
    int index = lua_gettop(L) + 1;
    lua_rawgeti(L, CASES, number);
    choice->ops = ops_of(L, index);
    if (choice->ops)
        lua_pushnil(L);
    else
        choice->ops = read_send(L, index);
    if (!choice->ops)
        raise_case(L, index, number);
    choice->object = lua_touserdata(L, index);
    choice->index = index;
    choice->number = number;
    list_init(&choice->waiter.link);
}

/* Every key is a case's number, or "timeout": what is misspelt is not left out. */
static int count_cases(lua_State *L)
{
    lua_Integer n_cases = (lua_Integer)lua_rawlen(L, CASES);
    if (n_cases > INT16_MAX)
        error_raise_detail(L, EINVAL, "more than %d cases", INT16_MAX);
    lua_pushnil(L);
    while (lua_next(L, CASES)) {
        lua_pop(L, 1);
        lua_Integer number = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        bool is_timeout =
            lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "timeout") == 0;
        if (!is_timeout && (number < 1 || number > n_cases))
            error_raise_arg_of(L, "fiber.select", lua_gettop(L), CASES, "cases",
                               "list of cases, or timeout as key,");
    }
    return (int)n_cases;
}

/* Nothing but a time that never comes is waited for like one that does. */
static int64_t read_timeout(lua_State *L, int n_choices)
{
    int64_t timeout_ns = NO_DEADLINE;
    double seconds;
    lua_pushliteral(L, "timeout");
    lua_rawget(L, CASES);
    bool is_given = !lua_isnil(L, -1);
    if (is_given && !args_is_seconds(L, -1, &seconds))
        error_raise_arg_of(L, "fiber.select", lua_gettop(L), CASES, "timeout", ARGS_SECONDS);
    if (is_given)
        timeout_ns = call_deadline_after(seconds);
    else if (n_choices == 0)
        error_raise_detail(L, EINVAL, "there is nothing to wait for");
    lua_pop(L, 1);
    return n_choices == 0 && timeout_ns == NO_DEADLINE ? NO_DEADLINE - 1 : timeout_ns;
}

/* Push the selection, and behind it every object and its value. */
static struct selection *read_cases(lua_State *L)
{
    if (!lua_istable(L, CASES))
        error_raise_arg(L, EINVAL, CASES, "cases", "table");
    lua_settop(L, CASES);
    int n_choices = count_cases(L);
    int64_t timeout_ns = read_timeout(L, n_choices);
    luaL_checkstack(L, 4 * n_choices + LUA_MINSTACK, "too many cases");
    struct selection *selection =
        lua_newuserdata(L, sizeof(*selection) + (size_t)n_choices * sizeof(struct choice));
    *selection = (struct selection){.timeout_ns = timeout_ns, .n_choices = n_choices};
    for (int i = 0; i < n_choices; i++) {
        read_choice(L, &selection->choices[i], i + 1);
        selection->has_offers |= selection->choices[i].ops->offer != NULL;
    }
    return selection;
}

/* ---- the wait ---- */

static void leave_queues(struct fiber *fiber)
{
    struct selection *selection = fiber->wait_object;
    for (int i = 0; i < selection->n_choices; i++) {
        struct choice *choice = &selection->choices[i];
        if (list_is_empty(&choice->waiter.link))
            selection->winner = choice;
        else
            list_remove(&choice->waiter.link);
    }
}

/* When something happens by the time, or may. */
static int64_t earliest(const struct selection *selection)
{
    int64_t deadline_ns = selection->timeout_ns;
    for (int i = 0; i < selection->n_choices; i++) {
        const struct choice *choice = &selection->choices[i];
        int64_t expiry_ns = choice->ops->expiry ? choice->ops->expiry(choice) : NO_DEADLINE;
        if (expiry_ns < deadline_ns)
            deadline_ns = expiry_ns;
    }
    return deadline_ns;
}

/* The time that the wait was to look at has come: what is due then is found by its own call. The
 * time of a timeout scope, and all else, ends the select. */
static void cancel_selection(struct fiber *fiber)
{
    const struct selection *selection = fiber->wait_object;
    int outcome = ECANCELED;
    if (fiber->cancel_cause == ETIMEDOUT && !fiber->timeout_scope) {
        fiber->cancel_cause = 0;
        outcome = selection->deadline_ns <= thrum_steady_clock_now_ns() ? EAGAIN : ENOMEM;
    }
    fiber_wake(fiber, outcome);
}

static void describe_choice(lua_State *L, const struct choice *choice)
{
    lua_pushstring(L, choice->ops->name);
    if (!choice->ops->describe)
        return;
    lua_pushliteral(L, " ");
    choice->ops->describe(L, choice);
    lua_concat(L, 3);
}

/* Nobody reads more. */
enum { MAX_TOLD = 8 };

static void describe_selection(lua_State *L, const struct fiber *fiber)
{
    const struct selection *selection = fiber->wait_object;
    luaL_checkstack(L, 6, "a look inside");
    lua_pushliteral(L, "(");
    int n_told = selection->n_choices < MAX_TOLD ? selection->n_choices : MAX_TOLD;
    for (int i = 0; i < n_told; i++) {
        if (i > 0)
            lua_pushliteral(L, ", ");
        describe_choice(L, &selection->choices[i]);
        lua_concat(L, i > 0 ? 3 : 2);
    }
    if (n_told < selection->n_choices) {
        lua_pushfstring(L, ", and %d more", selection->n_choices - n_told);
        lua_concat(L, 2);
    }
    if (selection->timeout_ns != NO_DEADLINE) {
        lua_pushstring(L, selection->n_choices > 0 ? ", timeout" : "timeout");
        lua_concat(L, 2);
    }
    lua_pushliteral(L, ")");
    lua_concat(L, 2);
}

static const struct wait_ops wait_selection = {0, cancel_selection, describe_selection,
                                               leave_queues};

/* ---- the call ---- */

/* The winner's value, if it has one, is in its place. */
static int finish_select(lua_State *L, struct fiber *fiber, int error)
{
    const struct choice *winner = ((struct selection *)lua_touserdata(L, SELECTION))->winner;
    (void)fiber;
    if (!winner) {
        if (error)
            error_raise(L, error);
        lua_pushnil(L);
        return 1;
    }
    if (error && error != THRUM_EEOF)
        error_raise_detail(L, error, "case %d", winner->number);
    lua_pushinteger(L, winner->number);
    if (!winner->ops->has_value)
        return 1;
    lua_pushvalue(L, winner->index + 1);
    return 2;
}

static int try_or_wait(lua_State *L, struct fiber *fiber, struct selection *selection);

static void withdraw(lua_State *L, struct selection *selection, const struct choice *but)
{
    for (int i = 0; i < selection->n_choices; i++) {
        struct choice *choice = &selection->choices[i];
        if (choice->ops->withdraw && choice != but)
            choice->ops->withdraw(L, choice);
    }
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    struct selection *selection = lua_touserdata(L, SELECTION);
    withdraw(L, selection, error ? NULL : selection->winner);
    if (error == EAGAIN)
        return try_or_wait(L, fiber, selection);
    if (!error && selection->winner->ops->collect)
        selection->winner->ops->collect(L, selection->winner);
    return finish_select(L, fiber, error);
}

/* In protected mode, on a copy of the stack: senders offer their values. */
static int offer_all(lua_State *L)
{
    struct selection *selection = lua_touserdata(L, SELECTION);
    for (int i = 0; i < selection->n_choices; i++) {
        struct choice *choice = &selection->choices[i];
        if (choice->ops->offer)
            choice->ops->offer(L, choice);
    }
    return 0;
}

static void offer(lua_State *L, struct selection *selection)
{
    int n_values = lua_gettop(L);
    lua_pushcfunction(L, offer_all);
    for (int i = 1; i <= n_values; i++)
        lua_pushvalue(L, i);
    if (lua_pcall(L, n_values, 0, 0) == LUA_OK)
        return;
    withdraw(L, selection, NULL);
    lua_error(L);
}

/* Find the first case that happens at once. */
static bool attempt(lua_State *L, struct selection *selection, int *outcome)
{
    for (int i = 0; i < selection->n_choices; i++) {
        struct choice *choice = &selection->choices[i];
        if (choice->ops->attempt(L, choice, outcome)) {
            selection->winner = choice;
            return true;
        }
    }
    return false;
}

static int wait_for_one(lua_State *L, struct selection *selection)
{
    struct fiber *fiber = call_begin(L, class_runtime(L));
    selection->deadline_ns = earliest(selection);
    if (selection->deadline_ns != NO_DEADLINE)
        call_prepare_deadline(L, fiber);
    if (selection->has_offers)
        offer(L, selection);
    for (int i = 0; i < selection->n_choices; i++) {
        struct choice *choice = &selection->choices[i];
        choice->waiter.fiber = fiber;
        list_append(choice->ops->queue(choice), &choice->waiter.link);
    }
    fiber->wait_object = selection;
    return call_suspend(L, fiber, &wait_selection, selection->deadline_ns, finish_wait);
}

static int try_or_wait(lua_State *L, struct fiber *fiber, struct selection *selection)
{
    int outcome = 0;
    for (int i = 0; i < selection->n_choices; i++) {
        if (selection->choices[i].ops->check)
            selection->choices[i].ops->check(L, &selection->choices[i]);
    }
    if (attempt(L, selection, &outcome))
        return call_done(L, fiber, outcome, finish_select);
    if (selection->timeout_ns != NO_DEADLINE &&
        selection->timeout_ns <= thrum_steady_clock_now_ns())
        return call_done(L, fiber, 0, finish_select);
    return wait_for_one(L, selection);
}

int select_function(lua_State *L)
{
    struct selection *selection = read_cases(L);
    return try_or_wait(L, call_begin(L, class_runtime(L)), selection);
}
