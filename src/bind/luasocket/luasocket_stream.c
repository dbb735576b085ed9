/* SPDX-License-Identifier: BSL-1.0 */
/* The module socket: receiving from and sending to streams, TCP's and unix ones.
 *
 * A call that waits holds its direction (struct luasocket_direction) until it is done, so what two
 * fibers send does not mix, and what they receive is whole; those that come meanwhile queue.
 * Between the first wait of a call and its end nothing raises, so nobody queues for ever.
 *
 * As with stream.reader, what has come stands in the read buffer until a call returns it: an
 * interruption loses nothing. A timeout does not either: what there is, is the third result. */
#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/fiber/wait_queue.h"
#include "bind/luasocket/luasocket.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"

/* An error value stands on the top of the stack. */
enum { RAISED = -1 };

/* ---- who is inside ---- */

static bool is_busy(const struct luasocket *luasocket, const struct luasocket_direction *direction)
{
    return direction->in_use != DIRECTION_FREE &&
           (direction->in_use != DIRECTION_OUTSIDE || luasocket->runtime->is_driving);
}

static void enter(struct luasocket_direction *direction, const struct fiber *fiber)
{
    direction->in_use = fiber->thread ? DIRECTION_IN_FIBER : DIRECTION_OUTSIDE;
}

/* The first in the queue is inside from now on, whenever it may run. */
static void leave(struct luasocket_direction *direction)
{
    direction->in_use = DIRECTION_FREE;
    struct waiter *waiter = wait_queue_take(&direction->queue);
    if (!waiter)
        return;
    enter(direction, waiter->fiber);
    fiber_wake(waiter->fiber, 0);
}

static const struct wait_ops wait_queue_position = {0, wait_queue_cancel, NULL, NULL};

/* The arguments have been looked over: a call that waits in the queue reads them again. */
static int wait_in_queue(lua_State *L, struct luasocket *luasocket,
                         struct luasocket_direction *direction, struct fiber *fiber,
                         int64_t start_ns, call_finish *at_front)
{
    int64_t deadline_ns;
    if (!luasocket_may_wait(luasocket, start_ns, &deadline_ns))
        return at_front(L, fiber, ETIMEDOUT);
    call_prepare_deadline(L, fiber);
    lua_pushinteger(L, start_ns);
    fiber->has_scope_expired = false;
    list_append(&direction->queue, &fiber->waiter.link);
    return call_suspend(L, fiber, &wait_queue_position, deadline_ns, at_front);
}

static struct fiber *caller(const struct luasocket *luasocket)
{
    return runtime_caller(luasocket->runtime);
}

/* Before a wait inside a call. */
static int begin_wait(lua_State *L, struct luasocket *luasocket, struct fiber **fiber,
                      int64_t start_ns, int64_t *deadline_ns)
{
    if (!luasocket_may_wait(luasocket, start_ns, deadline_ns))
        return ETIMEDOUT;
    int error = call_begin_late(L, luasocket->runtime, fiber);
    if (!error)
        error = call_take_error(L, *fiber);
    if (error == ETIMEDOUT)
        (*fiber)->has_scope_expired = true;
    return error;
}

/* ---- receive ---- */

enum { ARG_PATTERN = 2, ARG_PREFIX = 3 };

static size_t prefix_size(lua_State *L)
{
    return lua_isnil(L, ARG_PREFIX) ? 0 : lua_rawlen(L, ARG_PREFIX);
}

static void set_count(lua_State *L, struct luasocket_call *call)
{
    double count = lua_tonumber(L, ARG_PATTERN);
    luaL_argcheck(L, count >= 0, ARG_PATTERN, "invalid receive pattern");
    size_t size = prefix_size(L), wanted = PTRDIFF_MAX;
    if (count < (double)PTRDIFF_MAX)
        wanted = (size_t)count;
    call->pattern = PATTERN_COUNT;
    call->size = wanted > size ? wanted - size : 0;
}

/* Read what is asked for from the arguments into `call`: the first time it may raise. */
static void set_piece(lua_State *L, struct luasocket_call *call)
{
    call->done = 0;
    call->pattern = PATTERN_LINE;
    if (!lua_isnil(L, ARG_PREFIX))
        luaL_checkstring(L, ARG_PREFIX);
    if (lua_isnil(L, ARG_PATTERN))
        return;
    if (lua_isnumber(L, ARG_PATTERN)) {
        set_count(L, call);
        return;
    }
    const char *pattern = luaL_checkstring(L, ARG_PATTERN);
    if (pattern[0] == '*' && pattern[1] == 'a')
        call->pattern = PATTERN_ALL;
    else if (pattern[0] != '*' || pattern[1] != 'l')
        luaL_argerror(L, ARG_PATTERN, "invalid receive pattern");
}

/* Is the piece there? 0: its length in the read buffer, what is dropped behind it; else EAGAIN. */
static int look(struct luasocket *luasocket, size_t *length, size_t *dropped)
{
    struct luasocket_direction *direction = &luasocket->receiving;
    const unsigned char *data = read_buffer_unread(&luasocket->read_buffer);
    size_t size = read_buffer_count(&luasocket->read_buffer), looked = direction->call.done;
    *dropped = 0;
    if (direction->call.pattern == PATTERN_COUNT && size >= direction->call.size && size > 0) {
        *length = direction->call.size;
        return 0;
    }
    if (direction->call.pattern != PATTERN_LINE || size <= looked)
        return EAGAIN;
    const unsigned char *newline = memchr(data + looked, '\n', size - looked);
    if (!newline) {
        direction->call.done = size;
        return EAGAIN;
    }
    *length = (size_t)(newline - data);
    *dropped = 1;
    return 0;
}

/* Push a line without its carriage returns, behind the prefix. A finalizer, outside any fiber, may
 * take the block from the read buffer while there is no string yet. */
static void push_line(lua_State *L, const unsigned char *data, size_t size)
{
    const unsigned char *end = data + size, *found;
    size_t prefix = 0;
    const char *text = lua_tolstring(L, ARG_PREFIX, &prefix);
    luaL_Buffer buffer;
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, READ_BUFFER_BLOCK);
    luaL_buffinitsize(L, &buffer, prefix + size);
    luaL_addlstring(&buffer, text ? text : "", prefix);
    while ((found = memchr(data, '\r', (size_t)(end - data)))) {
        luaL_addlstring(&buffer, (const char *)data, (size_t)(found - data));
        data = found + 1;
    }
    luaL_addlstring(&buffer, (const char *)data, (size_t)(end - data));
    luaL_pushresult(&buffer);
    lua_insert(L, -3);
    lua_pop(L, 2);
}

static void push_piece(lua_State *L, const struct luasocket *luasocket, const unsigned char *data,
                       size_t size)
{
    bool is_line = luasocket->receiving.call.pattern == PATTERN_LINE;
    if (is_line && size > 0 && data[size - 1] == '\r')
        size--;
    if (is_line && size > 0 && memchr(data, '\r', size)) {
        push_line(L, data, size);
        return;
    }
    lua_pushlstring(L, (const char *)data, size);
    if (lua_isnil(L, ARG_PREFIX))
        return;
    lua_pushvalue(L, ARG_PREFIX);
    lua_insert(L, -2);
    lua_concat(L, 2);
}

/* Push the first `size` bytes and take them out, unless a finalizer, outside any fiber, has done
 * that while the string was made. */
static void push_taken(lua_State *L, struct luasocket *luasocket, size_t size, size_t dropped)
{
    unsigned long n_changes = luasocket->read_buffer.n_changes;
    push_piece(L, luasocket, read_buffer_unread(&luasocket->read_buffer), size);
    if (luasocket->read_buffer.n_changes == n_changes) {
        read_buffer_take(L, &luasocket->read_buffer, size + dropped);
        luasocket->receiving.total += (lua_Integer)(size + dropped);
    }
    luasocket->receiving.call.done = 0;
}

/* The call is over. An error that is raised loses nothing. */
static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    size_t length = 0, dropped = 0;
    bool is_there = !error && !look(luasocket, &length, &dropped);
    bool is_all = luasocket->receiving.call.pattern == PATTERN_ALL;
    leave(&luasocket->receiving);
    if (error == RAISED)
        return lua_error(L);
    bool is_whole = is_there;
    error = luasocket_transfer_error(error);
    if (error == THRUM_EEOF && is_all && read_buffer_count(&luasocket->read_buffer) > 0)
        is_there = true;
    if (!is_there) /* may raise: then nothing is taken */
        luasocket_push_failure(L, fiber, error);
    if (!is_whole)
        length = read_buffer_count(&luasocket->read_buffer);
    push_taken(L, luasocket, length, dropped);
    if (is_there) {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    return 3;
}

static int go_on_receiving(lua_State *L, struct luasocket *luasocket, int error);

static int go_on_received(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    if (!error)
        read_buffer_add(&luasocket->read_buffer, transfer_of(fiber)->message.length);
    return go_on_receiving(L, luasocket, error);
}

static int go_on_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_receiving(L, lua_touserdata(L, 1), error);
}

static int wait_to_receive(lua_State *L, struct luasocket *luasocket)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, luasocket, &fiber, luasocket->receiving.call.start_ns, &deadline_ns);
    if (!error)
        error = transfer_start(fiber, TRANSFER_RECEIVE, deadline_ns);
    if (error)
        return error;
    enter(&luasocket->receiving, fiber);
    error = luasocket_suspend(L, fiber, deadline_ns,
                              call_returns(L, fiber) ? call_note : go_on_received);
    luasocket->receiving.in_use = DIRECTION_RUNNING;
    if (!error)
        read_buffer_add(&luasocket->read_buffer, transfer_of(fiber)->message.length);
    return error;
}

static size_t count_missing(const struct luasocket *luasocket)
{
    const struct luasocket_direction *direction = &luasocket->receiving;
    return direction->call.pattern == PATTERN_COUNT
               ? direction->call.size - read_buffer_count(&luasocket->read_buffer)
               : SIZE_MAX;
}

static int receive_more(lua_State *L, struct luasocket *luasocket, struct fiber *fiber)
{
    size_t room;
    if (!luasocket->socket->core) /* the state closes */
        return EBADF;
    if (!read_buffer_make_room(L, &luasocket->read_buffer, count_missing(luasocket)))
        return RAISED;
    unsigned char *data = read_buffer_room(&luasocket->read_buffer, &room);
    const struct transfer *transfer = transfer_begin(fiber, luasocket->socket, data, room, 0);
    int error = transfer_try(fiber, TRANSFER_RECEIVE);
    if (error == EAGAIN && luasocket_is_impatient(luasocket))
        error = transfer_try(fiber, TRANSFER_RECEIVE);
    if (error)
        return error == EAGAIN ? wait_to_receive(L, luasocket) : error;
    read_buffer_add(&luasocket->read_buffer, transfer->message.length);
    if (!call_is_due(fiber))
        return 0;
    enter(&luasocket->receiving, fiber);
    error = call_yield(L, fiber, 0, call_returns(L, fiber) ? call_note : go_on_after_others);
    luasocket->receiving.in_use = DIRECTION_RUNNING;
    return error;
}

static int go_on_receiving(lua_State *L, struct luasocket *luasocket, int error)
{
    struct fiber *fiber = caller(luasocket);
    size_t length, dropped;
    luasocket->receiving.in_use = DIRECTION_RUNNING;
    while (!error && look(luasocket, &length, &dropped) == EAGAIN)
        error = receive_more(L, luasocket, fiber);
    enter(&luasocket->receiving, fiber);
    return call_done(L, fiber, error, finish_receive);
}

/* A call that waited in the queue has looked its arguments over, and they are sound. */
static void begin(struct luasocket_direction *direction, const struct luasocket_call *call)
{
    direction->in_use = DIRECTION_RUNNING;
    direction->call = *call;
}

static int receive_at_front(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    struct luasocket_call call;
    if (error) {
        luasocket_push_failure(L, fiber, error);
        if (lua_isnil(L, ARG_PREFIX))
            lua_pushliteral(L, "");
        else
            lua_pushvalue(L, ARG_PREFIX);
        return 3;
    }
    set_piece(L, &call);
    call.start_ns = lua_tointeger(L, -1);
    begin(&luasocket->receiving, &call);
    return go_on_receiving(L, luasocket, 0);
}

/* It is long enough: nothing is asked of the peer. */
static int finish_with_prefix(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    (void)error;
    lua_pushvalue(L, ARG_PREFIX);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
}

static int stream_receive(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_CLIENT);
    struct luasocket_call call;
    lua_settop(L, ARG_PREFIX);
    set_piece(L, &call);
    call.start_ns = luasocket_start_ns(luasocket);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    if (call.pattern == PATTERN_COUNT && call.size == 0 && prefix_size(L) > 0)
        return call_done(L, fiber, 0, finish_with_prefix);
    if (is_busy(luasocket, &luasocket->receiving))
        return wait_in_queue(L, luasocket, &luasocket->receiving, fiber, call.start_ns,
                             receive_at_front);
    begin(&luasocket->receiving, &call);
    return go_on_receiving(L, luasocket, 0);
}

/* ---- send ---- */

enum { ARG_DATA = 2, ARG_FIRST = 3, ARG_LAST = 4 };

/* Read what is to be sent from the arguments, as string.sub has them; the first time it may raise.
 */
static void set_part(lua_State *L, struct luasocket_call *call)
{
    size_t size;
    luaL_checklstring(L, ARG_DATA, &size);
    call->done = call->first = 0;
    call->size = size;
    if (lua_isnil(L, ARG_FIRST) && lua_isnil(L, ARG_LAST))
        return;
    double first = luaL_optnumber(L, ARG_FIRST, 1), last = luaL_optnumber(L, ARG_LAST, -1);
    if (first < 0)
        first += (double)size + 1;
    if (last < 0)
        last += (double)size + 1;
    if (!(first >= 1))
        first = 1;
    if (!(last <= (double)size))
        last = (double)size;
    call->first = first < (double)PTRDIFF_MAX ? (size_t)first - 1 : PTRDIFF_MAX;
    call->size = last >= first ? (size_t)last - call->first : 0;
}

static int push_sent(lua_State *L, struct fiber *fiber, int error, size_t sent)
{
    error = luasocket_transfer_error(error);
    if (error)
        luasocket_push_failure(L, fiber, error);
    lua_pushinteger(L, (lua_Integer)sent);
    if (!error) {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    return 3;
}

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    size_t sent = luasocket->sending.call.first + luasocket->sending.call.done;
    leave(&luasocket->sending);
    return push_sent(L, fiber, error, sent);
}

static void add_sent(struct luasocket *luasocket, size_t size)
{
    luasocket->sending.call.done += size;
    luasocket->sending.total += (lua_Integer)size;
}

static int go_on_sending(lua_State *L, struct luasocket *luasocket, int error);

static int go_on_sent(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    if (!error)
        add_sent(luasocket, transfer_of(fiber)->message.length);
    return go_on_sending(L, luasocket, error);
}

static int go_on_sending_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_sending(L, lua_touserdata(L, 1), error);
}

static int wait_to_send(lua_State *L, struct luasocket *luasocket)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, luasocket, &fiber, luasocket->sending.call.start_ns, &deadline_ns);
    if (!error)
        error = transfer_start(fiber, TRANSFER_SEND, deadline_ns);
    if (error)
        return error;
    enter(&luasocket->sending, fiber);
    error =
        luasocket_suspend(L, fiber, deadline_ns, call_returns(L, fiber) ? call_note : go_on_sent);
    luasocket->sending.in_use = DIRECTION_RUNNING;
    if (!error)
        add_sent(luasocket, transfer_of(fiber)->message.length);
    return error;
}

static struct bytes rest_to_send(lua_State *L, const struct luasocket_direction *direction)
{
    const unsigned char *data = (const unsigned char *)lua_tostring(L, ARG_DATA);
    return (struct bytes){data + direction->call.first + direction->call.done,
                          direction->call.size - direction->call.done};
}

static int send_more(lua_State *L, struct luasocket *luasocket, struct fiber *fiber,
                     struct bytes rest)
{
    if (!luasocket->socket->core)
        return EBADF;
    const struct transfer *transfer =
        transfer_begin(fiber, luasocket->socket, (void *)rest.data, rest.size, 0);
    int error = transfer_try(fiber, TRANSFER_SEND);
    if (error)
        return error == EAGAIN ? wait_to_send(L, luasocket) : error;
    size_t size = transfer->message.length;
    add_sent(luasocket, size);
    if (size == rest.size || !call_is_due(fiber))
        return 0;
    enter(&luasocket->sending, fiber);
    error =
        call_yield(L, fiber, 0, call_returns(L, fiber) ? call_note : go_on_sending_after_others);
    luasocket->sending.in_use = DIRECTION_RUNNING;
    return error;
}

static int go_on_sending(lua_State *L, struct luasocket *luasocket, int error)
{
    struct fiber *fiber = caller(luasocket);
    struct luasocket_direction *direction = &luasocket->sending;
    direction->in_use = DIRECTION_RUNNING;
    while (!error && direction->call.done < direction->call.size)
        error = send_more(L, luasocket, fiber, rest_to_send(L, direction));
    enter(direction, fiber);
    return call_done(L, fiber, error, finish_send);
}

static int send_at_front(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    struct luasocket_call call;
    set_part(L, &call);
    if (error)
        return push_sent(L, fiber, error, call.first);
    call.start_ns = lua_tointeger(L, -1);
    begin(&luasocket->sending, &call);
    return go_on_sending(L, luasocket, 0);
}

static int stream_send(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_CLIENT);
    struct luasocket_call call;
    lua_settop(L, ARG_LAST);
    set_part(L, &call);
    call.start_ns = luasocket_start_ns(luasocket);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    if (is_busy(luasocket, &luasocket->sending))
        return wait_in_queue(L, luasocket, &luasocket->sending, fiber, call.start_ns,
                             send_at_front);
    begin(&luasocket->sending, &call);
    return go_on_sending(L, luasocket, 0);
}

const struct function_row luasocket_stream_methods[] = {
    {"receive", stream_receive}, {"send", stream_send}, {0}};
