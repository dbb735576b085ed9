/* SPDX-License-Identifier: BSL-1.0 */
/* The module socket: receiving from and sending to streams, TCP's and unix ones.
 *
 * A call that waits holds its direction (struct face_way) until it is done, so what two fibers send
 * does not mix, and what they receive is whole; those that come meanwhile queue. Between the first
 * wait of a call and its end nothing raises, so nobody queues for ever.
 *
 * As with stream.reader, what has come stands in the inbox until a call returns it: an interruption
 * loses nothing. A timeout does not either: what there is, is the third result. */
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

static bool is_busy(const struct face *face, const struct face_way *way)
{
    return way->inside != WAY_FREE && (way->inside != WAY_OUTSIDE || face->runtime->is_driving);
}

static void enter(struct face_way *way, const struct fiber *fiber)
{
    way->inside = fiber->thread ? WAY_IN_FIBER : WAY_OUTSIDE;
}

/* The first in the queue is inside from now on, whenever it may run. */
static void leave(struct face_way *way)
{
    way->inside = WAY_FREE;
    struct waiter *waiter = wait_queue_take(&way->queue);
    if (!waiter)
        return;
    enter(way, waiter->fiber);
    fiber_wake(waiter->fiber, 0);
}

static const struct wait_kind wait_turn = {0, wait_queue_cancel, NULL, NULL};

/* The arguments have been looked over: whoever waits for its turn reads them again. */
static int wait_for_turn(lua_State *L, struct face *face, struct face_way *way, struct fiber *fiber,
                         int64_t start_ns, call_finish *in_turn)
{
    int64_t deadline_ns;
    if (!face_may_wait(face, start_ns, &deadline_ns))
        return in_turn(L, fiber, ETIMEDOUT);
    call_prepare_deadline(L, fiber);
    lua_pushinteger(L, start_ns);
    fiber->is_limited = false;
    list_append(&way->queue, &fiber->waiter.link);
    return call_suspend(L, fiber, &wait_turn, deadline_ns, in_turn);
}

static struct fiber *caller(const struct face *face)
{
    return runtime_caller(face->runtime);
}

/* Before a wait inside a call. */
static int begin_wait(lua_State *L, struct face *face, struct fiber **fiber, int64_t start_ns,
                      int64_t *deadline_ns)
{
    if (!face_may_wait(face, start_ns, deadline_ns))
        return ETIMEDOUT;
    int error = call_begin_late(L, face->runtime, fiber);
    if (!error)
        error = call_take_error(L, *fiber);
    if (error == ETIMEDOUT)
        (*fiber)->is_limited = true;
    return error;
}

/* ---- receive ---- */

enum { ARG_PATTERN = 2, ARG_PREFIX = 3 };

static size_t prefix_size(lua_State *L)
{
    return lua_isnil(L, ARG_PREFIX) ? 0 : lua_rawlen(L, ARG_PREFIX);
}

static void set_count(lua_State *L, struct face_call *call)
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
static void set_piece(lua_State *L, struct face_call *call)
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

/* Is the piece there? 0: its length in the inbox, what is dropped behind it; else EAGAIN. */
static int look(struct face *face, size_t *length, size_t *dropped)
{
    struct face_way *way = &face->receiving;
    const unsigned char *data = inbox_unread(&face->inbox);
    size_t size = inbox_count(&face->inbox), looked = way->call.done;
    *dropped = 0;
    if (way->call.pattern == PATTERN_COUNT && size >= way->call.size && size > 0) {
        *length = way->call.size;
        return 0;
    }
    if (way->call.pattern != PATTERN_LINE || size <= looked)
        return EAGAIN;
    const unsigned char *newline = memchr(data + looked, '\n', size - looked);
    if (!newline) {
        way->call.done = size;
        return EAGAIN;
    }
    *length = (size_t)(newline - data);
    *dropped = 1;
    return 0;
}

/* Push a line without its carriage returns, behind the prefix. A finaliser, outside any fiber, may
 * take the block from the inbox while there is no string yet. */
static void push_line(lua_State *L, const unsigned char *data, size_t size)
{
    const unsigned char *end = data + size, *found;
    size_t prefix = 0;
    const char *text = lua_tolstring(L, ARG_PREFIX, &prefix);
    luaL_Buffer buffer;
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, INBOX_BLOCK);
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

static void push_piece(lua_State *L, const struct face *face, const unsigned char *data,
                       size_t size)
{
    bool is_line = face->receiving.call.pattern == PATTERN_LINE;
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

/* Push the first `size` bytes and take them out, unless a finaliser, outside any fiber, has done
 * that while the string was made. */
static void push_taken(lua_State *L, struct face *face, size_t size, size_t dropped)
{
    unsigned long n_changes = face->inbox.n_changes;
    push_piece(L, face, inbox_unread(&face->inbox), size);
    if (face->inbox.n_changes == n_changes) {
        inbox_take(L, &face->inbox, size + dropped);
        face->receiving.total += (lua_Integer)(size + dropped);
    }
    face->receiving.call.done = 0;
}

/* The call is over. An error that is raised loses nothing. */
static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    size_t length = 0, dropped = 0;
    bool is_there = !error && !look(face, &length, &dropped);
    bool is_all = face->receiving.call.pattern == PATTERN_ALL;
    leave(&face->receiving);
    if (error == RAISED)
        return lua_error(L);
    bool is_whole = is_there;
    error = face_transfer_error(error);
    if (error == THRUM_EEOF && is_all && inbox_count(&face->inbox) > 0)
        is_there = true;
    if (!is_there) /* may raise: then nothing is taken */
        face_push_failure(L, fiber, error);
    if (!is_whole)
        length = inbox_count(&face->inbox);
    push_taken(L, face, length, dropped);
    if (is_there) {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    return 3;
}

static int go_on_receiving(lua_State *L, struct face *face, int error);

static int go_on_received(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    if (!error)
        inbox_add(&face->inbox, transfer_of(fiber)->message.length);
    return go_on_receiving(L, face, error);
}

static int go_on_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_receiving(L, lua_touserdata(L, 1), error);
}

static int wait_to_receive(lua_State *L, struct face *face)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, face, &fiber, face->receiving.call.start_ns, &deadline_ns);
    if (!error)
        error = transfer_start(fiber, TRANSFER_RECEIVE, deadline_ns);
    if (error)
        return error;
    enter(&face->receiving, fiber);
    error = face_suspend(L, fiber, deadline_ns, call_returns(L, fiber) ? call_note : go_on_received);
    face->receiving.inside = WAY_RUNNING;
    if (!error)
        inbox_add(&face->inbox, transfer_of(fiber)->message.length);
    return error;
}

static size_t count_missing(const struct face *face)
{
    const struct face_way *way = &face->receiving;
    return way->call.pattern == PATTERN_COUNT ? way->call.size - inbox_count(&face->inbox)
                                              : SIZE_MAX;
}

static int receive_more(lua_State *L, struct face *face, struct fiber *fiber)
{
    size_t room;
    if (!face->socket->core) /* the state closes */
        return EBADF;
    if (!inbox_make_room(L, face->runtime, &face->inbox, count_missing(face)))
        return RAISED;
    unsigned char *data = inbox_room(&face->inbox, &room);
    const struct transfer *transfer = transfer_begin(fiber, face->socket, data, room, 0);
    int error = transfer_try(fiber, TRANSFER_RECEIVE);
    if (error == EAGAIN && face_is_impatient(face))
        error = transfer_try(fiber, TRANSFER_RECEIVE);
    if (error)
        return error == EAGAIN ? wait_to_receive(L, face) : error;
    inbox_add(&face->inbox, transfer->message.length);
    if (!call_is_due(fiber))
        return 0;
    enter(&face->receiving, fiber);
    error = call_yield(L, fiber, 0, call_returns(L, fiber) ? call_note : go_on_after_others);
    face->receiving.inside = WAY_RUNNING;
    return error;
}

static int go_on_receiving(lua_State *L, struct face *face, int error)
{
    struct fiber *fiber = caller(face);
    size_t length, dropped;
    face->receiving.inside = WAY_RUNNING;
    while (!error && look(face, &length, &dropped) == EAGAIN)
        error = receive_more(L, face, fiber);
    enter(&face->receiving, fiber);
    return call_done(L, fiber, error, finish_receive);
}

/* Whoever waited for its turn has looked its arguments over, and they are sound. */
static void begin(struct face_way *way, const struct face_call *call)
{
    way->inside = WAY_RUNNING;
    way->call = *call;
}

static int receive_in_turn(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    struct face_call call;
    if (error) {
        face_push_failure(L, fiber, error);
        if (lua_isnil(L, ARG_PREFIX))
            lua_pushliteral(L, "");
        else
            lua_pushvalue(L, ARG_PREFIX);
        return 3;
    }
    set_piece(L, &call);
    call.start_ns = lua_tointeger(L, -1);
    begin(&face->receiving, &call);
    return go_on_receiving(L, face, 0);
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
    struct face *face = face_self(L, FACE_CLIENT);
    struct face_call call;
    lua_settop(L, ARG_PREFIX);
    set_piece(L, &call);
    call.start_ns = face_start_ns(face);
    struct fiber *fiber = face_begin(L, face->runtime);
    if (call.pattern == PATTERN_COUNT && call.size == 0 && prefix_size(L) > 0)
        return call_done(L, fiber, 0, finish_with_prefix);
    if (is_busy(face, &face->receiving))
        return wait_for_turn(L, face, &face->receiving, fiber, call.start_ns, receive_in_turn);
    begin(&face->receiving, &call);
    return go_on_receiving(L, face, 0);
}

/* ---- send ---- */

enum { ARG_DATA = 2, ARG_FIRST = 3, ARG_LAST = 4 };

/* Read what is to be sent from the arguments, as string.sub has them; the first time it may raise.
 */
static void set_part(lua_State *L, struct face_call *call)
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
    error = face_transfer_error(error);
    if (error)
        face_push_failure(L, fiber, error);
    lua_pushinteger(L, (lua_Integer)sent);
    if (!error) {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    return 3;
}

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    size_t sent = face->sending.call.first + face->sending.call.done;
    leave(&face->sending);
    return push_sent(L, fiber, error, sent);
}

static void add_sent(struct face *face, size_t size)
{
    face->sending.call.done += size;
    face->sending.total += (lua_Integer)size;
}

static int go_on_sending(lua_State *L, struct face *face, int error);

static int go_on_sent(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    if (!error)
        add_sent(face, transfer_of(fiber)->message.length);
    return go_on_sending(L, face, error);
}

static int go_on_sending_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_sending(L, lua_touserdata(L, 1), error);
}

static int wait_to_send(lua_State *L, struct face *face)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, face, &fiber, face->sending.call.start_ns, &deadline_ns);
    if (!error)
        error = transfer_start(fiber, TRANSFER_SEND, deadline_ns);
    if (error)
        return error;
    enter(&face->sending, fiber);
    error = face_suspend(L, fiber, deadline_ns, call_returns(L, fiber) ? call_note : go_on_sent);
    face->sending.inside = WAY_RUNNING;
    if (!error)
        add_sent(face, transfer_of(fiber)->message.length);
    return error;
}

static struct bytes rest_to_send(lua_State *L, const struct face_way *way)
{
    const unsigned char *data = (const unsigned char *)lua_tostring(L, ARG_DATA);
    return (struct bytes){data + way->call.first + way->call.done, way->call.size - way->call.done};
}

static int send_more(lua_State *L, struct face *face, struct fiber *fiber, struct bytes rest)
{
    if (!face->socket->core)
        return EBADF;
    const struct transfer *transfer =
        transfer_begin(fiber, face->socket, (void *)rest.data, rest.size, 0);
    int error = transfer_try(fiber, TRANSFER_SEND);
    if (error)
        return error == EAGAIN ? wait_to_send(L, face) : error;
    size_t size = transfer->message.length;
    add_sent(face, size);
    if (size == rest.size || !call_is_due(fiber))
        return 0;
    enter(&face->sending, fiber);
    error = call_yield(L, fiber, 0, call_returns(L, fiber) ? call_note : go_on_sending_after_others);
    face->sending.inside = WAY_RUNNING;
    return error;
}

static int go_on_sending(lua_State *L, struct face *face, int error)
{
    struct fiber *fiber = caller(face);
    struct face_way *way = &face->sending;
    way->inside = WAY_RUNNING;
    while (!error && way->call.done < way->call.size)
        error = send_more(L, face, fiber, rest_to_send(L, way));
    enter(way, fiber);
    return call_done(L, fiber, error, finish_send);
}

static int send_in_turn(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    struct face_call call;
    set_part(L, &call);
    if (error)
        return push_sent(L, fiber, error, call.first);
    call.start_ns = lua_tointeger(L, -1);
    begin(&face->sending, &call);
    return go_on_sending(L, face, 0);
}

static int stream_send(lua_State *L)
{
    struct face *face = face_self(L, FACE_CLIENT);
    struct face_call call;
    lua_settop(L, ARG_LAST);
    set_part(L, &call);
    call.start_ns = face_start_ns(face);
    struct fiber *fiber = face_begin(L, face->runtime);
    if (is_busy(face, &face->sending))
        return wait_for_turn(L, face, &face->sending, fiber, call.start_ns, send_in_turn);
    begin(&face->sending, &call);
    return go_on_sending(L, face, 0);
}

const struct function_row face_stream_methods[] = {
    {"receive", stream_receive}, {"send", stream_send}, {0}};
