/* SPDX-License-Identifier: BSL-1.0 */
/* channel: values from fiber to fiber, in order, each to one receiver.
 *
 * A channel's user value is a table: the buffered values at 1 to n and, by the address of its
 * record, what a suspended sender has to give or a suspended receiver has been given. So a value
 * that was handed over cannot be taken by somebody else before its receiver runs. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/args.h"
#include "bind/error.h"
#include "bind/modules.h"
#include "bind/runtime.h"
#include "bind/wait_queue.h"

struct channel {
    struct object object;
    lua_Integer capacity;
    lua_Integer first; /* the buffered values stand at first + 1 to first + count */
    lua_Integer count;
    bool is_closed;
    struct list senders;
    struct list receivers;
};

static const struct wait_kind wait_turn = {false, wait_queue_cancel, NULL};

static struct channel *self(lua_State *L)
{
    return noun_check_self(L, NOUN_CHANNEL);
}

static int channel_new(lua_State *L)
{
    lua_Integer capacity = args_integer_or(L, 1, "capacity", 0, INT_MAX, 0);
    struct channel *channel = noun_new_object(L, noun_runtime(L), NOUN_CHANNEL, sizeof(*channel));
    channel->capacity = capacity;
    list_init(&channel->senders);
    list_init(&channel->receivers);
    lua_newtable(L);
    lua_setuservalue(L, -2);
    return 1;
}

/* ---- values by fiber; the channel is at index 1 ---- */

/* Put the value on the top aside for the fiber; pops it. */
static void put_aside(lua_State *L, const struct fiber *fiber)
{
    lua_getuservalue(L, 1);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, fiber);
    lua_pop(L, 1);
}

/* Push what was put aside for the fiber, and forget it. */
static void take_aside(lua_State *L, const struct fiber *fiber)
{
    lua_getuservalue(L, 1);
    lua_rawgetp(L, -1, fiber);
    lua_pushnil(L);
    lua_rawsetp(L, -3, fiber);
    lua_remove(L, -2);
}

/* ---- the buffer ---- */

static void push_back(lua_State *L, struct channel *channel)
{
    lua_getuservalue(L, 1);
    lua_insert(L, -2);
    lua_rawseti(L, -2, channel->first + ++channel->count);
    lua_pop(L, 1);
}

static void take_front(lua_State *L, struct channel *channel)
{
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, ++channel->first);
    lua_pushnil(L);
    lua_rawseti(L, -3, channel->first);
    lua_remove(L, -2);
    if (--channel->count == 0)
        channel->first = 0;
}

/* ---- send ---- */

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error) {
        take_aside(L, fiber);
        error_raise(L, error);
    }
    return 0;
}

static int channel_send(lua_State *L)
{
    struct channel *channel = self(L);
    if (lua_isnoneornil(L, 2))
        error_raise_arg(L, EINVAL, 2, "value", "anything but nil");
    struct fiber *fiber = call_begin(L, noun_runtime(L));
    if (channel->is_closed)
        error_raise_detail(L, EPIPE, "the channel is closed");
    lua_settop(L, 2);
    struct fiber *receiver = wait_queue_take(&channel->receivers);
    if (receiver) {
        put_aside(L, receiver);
        fiber_wake(receiver, 0);
        return call_done(L, fiber, 0, call_finish_plain);
    }
    if (channel->count < channel->capacity) {
        push_back(L, channel);
        return call_done(L, fiber, 0, call_finish_plain);
    }
    put_aside(L, fiber);
    return wait_queue_suspend(L, &channel->senders, fiber, &wait_turn, finish_send);
}

/* ---- receive ---- */

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    take_aside(L, fiber);
    if (error)
        error_raise(L, error);
    return 1;
}

/* The oldest value there is, on the top; false if there is none. */
static bool take_value(lua_State *L, struct channel *channel)
{
    struct fiber *sender = wait_queue_take(&channel->senders);
    if (channel->count > 0) {
        take_front(L, channel);
        if (sender) {
            take_aside(L, sender);
            push_back(L, channel);
        }
    } else if (sender) {
        take_aside(L, sender);
    } else {
        return false;
    }
    if (sender)
        fiber_wake(sender, 0);
    return true;
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
    struct fiber *fiber = call_begin(L, noun_runtime(L));
    lua_settop(L, 1);
    if (take_value(L, channel))
        return call_done(L, fiber, 0, finish_taken);
    if (channel->is_closed)
        return call_done(L, fiber, THRUM_EEOF, finish);
    return wait_queue_suspend(L, &channel->receivers, fiber, &wait_turn, finish);
}

static int channel_receive(lua_State *L)
{
    return receive(L, self(L), finish_receive);
}

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
    return receive(L, noun_check(L, 1, NOUN_CHANNEL, "channel"), finish_next);
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

/* Values that were sent are received; who waits in vain is told. */
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
    struct noun *noun = &runtime->nouns[NOUN_CHANNEL];
    noun_open_class(L, noun, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    lua_newtable(L);
    noun_set_functions(L, noun, functions);
    return 1;
}
