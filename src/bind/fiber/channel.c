/* SPDX-License-Identifier: BSL-1.0 */
/* channel: values from fiber to fiber, in order, each to one receiver.
 *
 * A channel's user value is a table: the buffered values at 1 to n and, by the address of its
 * place in the queue, what a suspended sender has to give or a suspended receiver has been given.
 * So a value that was handed over cannot be taken by somebody else before its receiver runs. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/classes.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/select.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

struct channel {
    struct object object;
    lua_Integer capacity;
    lua_Integer first; /* the buffered values stand at first + 1 to first + count */
    lua_Integer count;
    bool is_closed;
    struct list senders;
    struct list receivers;
};

static const struct wait_ops wait_turn = {0, wait_queue_cancel, NULL, NULL};

static struct channel *self(lua_State *L)
{
    return class_check_self(L, &channel_class);
}

void channel_push(lua_State *L, lua_Integer capacity)
{
    struct channel *channel = class_new_object(L, &channel_class, sizeof(*channel));
    channel->capacity = capacity;
    list_init(&channel->senders);
    list_init(&channel->receivers);
    lua_newtable(L);
    lua_setuservalue(L, -2);
}

static int channel_new(lua_State *L)
{
    channel_push(L, args_integer_or(L, 1, "capacity", 0, INT_MAX, 0));
    return 1;
}

/* ---- values by waiter; the channel is at `index` ---- */

/* Put the value on the top aside for the waiter; pops it. */
static inline void put_aside(lua_State *L, int index, const struct waiter *waiter)
{
    lua_getuservalue(L, index);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, waiter);
    lua_pop(L, 1);
}

/* Push what was put aside for the waiter, and forget it. */
static inline void take_aside(lua_State *L, int index, const struct waiter *waiter)
{
    lua_getuservalue(L, index);
    lua_rawgetp(L, -1, waiter);
    lua_pushnil(L);
    lua_rawsetp(L, -3, waiter);
    lua_remove(L, -2);
}

/* ---- the buffer ---- */

/* Append the value on the top; pops it. */
static inline void push_back(lua_State *L, int index, struct channel *channel)
{
    lua_getuservalue(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, channel->first + channel->count + 1);
    channel->count++;
    lua_pop(L, 1);
}

static inline void take_front(lua_State *L, int index, struct channel *channel)
{
    lua_getuservalue(L, index);
    lua_rawgeti(L, -1, ++channel->first);
    lua_pushnil(L);
    lua_rawseti(L, -3, channel->first);
    lua_remove(L, -2);
    if (--channel->count == 0)
        channel->first = 0;
}

/* ---- giving and taking without a wait ----
 *
 * What asks for memory comes first, so nobody is taken off a queue, and no value out of the buffer,
 * when there is none. */

/* Give the value on the top to the first receiver, or to the buffer; pops it. Or false. */
static inline bool give(lua_State *L, int index, struct channel *channel)
{
    if (!list_is_empty(&channel->receivers)) {
        struct waiter *receiver = wait_queue_first(&channel->receivers);
        put_aside(L, index, receiver);
        list_remove(&receiver->link);
        fiber_wake(receiver->fiber, 0);
        return true;
    }
    if (channel->count == channel->capacity)
        return false;
    push_back(L, index, channel);
    return true;
}

/* The first sender's value moves up into a buffer that is still full. */
static void refill(lua_State *L, int index, struct channel *channel)
{
    struct waiter *sender = wait_queue_first(&channel->senders);
    lua_getuservalue(L, index);
    lua_rawgetp(L, -1, sender);
    push_back(L, index, channel);
    lua_pushnil(L);
    lua_rawsetp(L, -2, sender);
    lua_pop(L, 1);
    list_remove(&sender->link);
    fiber_wake(sender->fiber, 0);
}

/* Push the oldest value there is; or false. */
static inline bool take_value(lua_State *L, int index, struct channel *channel)
{
    if (channel->count > 0) {
        if (!list_is_empty(&channel->senders))
            refill(L, index, channel);
        take_front(L, index, channel);
        return true;
    }
    struct waiter *sender = wait_queue_take(&channel->senders);
    if (!sender)
        return false;
    take_aside(L, index, sender);
    fiber_wake(sender->fiber, 0);
    return true;
}

/* ---- send ---- */

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error) {
        take_aside(L, 1, &fiber->waiter);
        error_raise(L, error);
    }
    return 0;
}

static int channel_send(lua_State *L)
{
    struct channel *channel = self(L);
    if (lua_isnoneornil(L, 2))
        error_raise_arg(L, EINVAL, 2, "value", "anything but nil");
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (channel->is_closed)
        error_raise_detail(L, EPIPE, "the channel is closed");
    lua_settop(L, 2);
    if (give(L, 1, channel))
        return call_done(L, fiber, 0, call_finish_plain);
    put_aside(L, 1, &fiber->waiter);
    return wait_queue_suspend(L, &channel->senders, fiber, &wait_turn, finish_send);
}

/* ---- receive ---- */

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        error_raise(L, error);
    take_aside(L, 1, &fiber->waiter);
    return 1;
}

/* The value is on the top already, and stays there if others run first. */
static int finish_taken(lua_State *L, struct fiber *fiber, int error)
{
    (void)L;
    (void)fiber;
    (void)error;
    return 1;
}

/* Receive a value; at the end of the channel `finish` gets THRUM_EEOF. */
static int receive(lua_State *L, struct channel *channel, call_finish *finish)
{
    struct fiber *fiber = call_begin(L, class_runtime(L));
    lua_settop(L, 1);
    if (take_value(L, 1, channel))
        return call_done(L, fiber, 0, finish_taken);
    if (channel->is_closed)
        return call_done(L, fiber, THRUM_EEOF, finish);
    return wait_queue_suspend(L, &channel->receivers, fiber, &wait_turn, finish);
}

static int channel_receive(lua_State *L)
{
    return receive(L, self(L), finish_receive);
}

/* ---- cases of fiber.select ---- */

static bool attempt_receive(lua_State *L, struct choice *choice, int *outcome)
{
    struct channel *channel = choice->object;
    if (take_value(L, choice->index, channel)) {
        lua_replace(L, choice->index + 1);
        return true;
    }
    *outcome = THRUM_EEOF;
    return channel->is_closed;
}

static struct list *receive_queue(const struct choice *choice)
{
    return &((struct channel *)choice->object)->receivers;
}

static void collect_value(lua_State *L, struct choice *choice)
{
    take_aside(L, choice->index, &choice->waiter);
    lua_replace(L, choice->index + 1);
}

const struct choice_ops choice_receive = {.name = "channel.receive",
                                          .has_value = true,
                                          .attempt = attempt_receive,
                                          .queue = receive_queue,
                                          .collect = collect_value};

static bool attempt_send(lua_State *L, struct choice *choice, int *outcome)
{
    struct channel *channel = choice->object;
    if (channel->is_closed) {
        *outcome = EPIPE;
        return true;
    }
    lua_pushvalue(L, choice->index + 1);
    if (give(L, choice->index, channel))
        return true;
    lua_pop(L, 1);
    return false;
}

static struct list *send_queue(const struct choice *choice)
{
    return &((struct channel *)choice->object)->senders;
}

static void offer_value(lua_State *L, struct choice *choice)
{
    lua_pushvalue(L, choice->index + 1);
    put_aside(L, choice->index, &choice->waiter);
}

/* It may not have got so far. */
static void withdraw_value(lua_State *L, struct choice *choice)
{
    lua_getuservalue(L, choice->index);
    if (lua_rawgetp(L, -1, &choice->waiter) != LUA_TNIL) {
        lua_pushnil(L);
        lua_rawsetp(L, -3, &choice->waiter);
    }
    lua_pop(L, 2);
}

const struct choice_ops choice_send = {.name = "channel.send",
                                       .attempt = attempt_send,
                                       .queue = send_queue,
                                       .offer = offer_value,
                                       .withdraw = withdraw_value};

/* ---- values ---- */

static int finish_next(lua_State *L, struct fiber *fiber, int error)
{
    if (error != THRUM_EEOF)
        return finish_receive(L, fiber, error);
    lua_pushnil(L);
    return 1;
}

static int channel_next(lua_State *L)
{
    return receive(L, class_check(L, 1, &channel_class, "channel"), finish_next);
}

static int channel_values(lua_State *L)
{
    static const struct function_row next_row = {"values", channel_next};
    self(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushlightuserdata(L, (void *)&next_row);
    lua_pushcclosure(L, channel_next, 2);
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- the rest ---- */

/* Values that were sent are received; waiting receivers get eof, waiting senders EPIPE. */
static int channel_close(lua_State *L)
{
    struct channel *channel = self(L);
    channel->is_closed = true;
    wait_queue_wake_all(&channel->senders, EPIPE);
    wait_queue_wake_all(&channel->receivers, THRUM_EEOF);
    return 0;
}

static int get_capacity(lua_State *L)
{
    lua_pushinteger(L, self(L)->capacity);
    return 1;
}

static int get_is_closed(lua_State *L)
{
    lua_pushboolean(L, self(L)->is_closed);
    return 1;
}

static int channel_len(lua_State *L)
{
    lua_pushinteger(L, self(L)->count);
    return 1;
}

static const struct function_row methods[] = {{"send", channel_send},
                                              {"receive", channel_receive},
                                              {"values", channel_values},
                                              {"close", channel_close},
                                              {0}};
static const struct property_row properties[] = {
    {"capacity", get_capacity, NULL}, {"is_closed", get_is_closed, NULL}, {0}};
static const struct function_row metamethods[] = {{"__len", channel_len}, {0}};
static const struct function_row functions[] = {{"new", channel_new}, {0}};

int channel_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &channel_class);
    class_open(L, state, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}
