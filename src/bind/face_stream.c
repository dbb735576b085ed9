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

#include "bind/byte_span.h"
#include "bind/error.h"
#include "bind/face.h"
#include "bind/runtime.h"
#include "bind/wait_queue.h"

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
    way->done = 0;
    fiber_wake(waiter->fiber, 0);
}

static const struct wait_kind wait_turn = {0, wait_queue_cancel, NULL};

static int wait_for_turn(lua_State *L, struct face_way *way, struct fiber *fiber,
                         int64_t deadline_ns, call_finish *finish)
{
    fiber->is_limited = false;
    list_append(&way->queue, &fiber->waiter.link);
    return call_suspend(L, fiber, &wait_turn, deadline_ns, finish);
}

static struct fiber *caller(const struct face *face)
{
    return face->runtime->current ? face->runtime->current : &face->runtime->outside;
}

/* Before a wait inside a call. */
static int begin_wait(lua_State *L, struct face *face, struct fiber **fiber, int64_t start_ns,
                      int64_t *deadline_ns)
{
    if (!face_may_wait(face, start_ns, deadline_ns))
        return ETIMEDOUT;
    int error = call_begin_late(L, face->runtime, fiber);
    if (!error)
        error = call_take_error(*fiber);
    if (error == ETIMEDOUT)
        (*fiber)->is_limited = true;
    return error ? error : face_prepare_wait(*fiber, *deadline_ns);
}

/* Outside any fiber a step returns how its wait has ended. */
static int note(lua_State *L, struct fiber *fiber, int outcome)
{
    (void)L;
    (void)fiber;
    return outcome;
}

/* ---- receive ---- */

enum { ARG_PATTERN = 2, ARG_PREFIX = 3, PLACE_START = 4 };

enum pattern { PATTERN_LINE, PATTERN_ALL, PATTERN_COUNT };

/* What is asked for. */
struct piece {
    enum pattern pattern;
    size_t size; /* for a count: how many bytes besides the prefix */
    struct bytes prefix;
};

static struct piece check_piece(lua_State *L)
{
    size_t length;
    const char *prefix = luaL_optlstring(L, ARG_PREFIX, "", &length);
    struct piece piece = {PATTERN_COUNT, 0, {(const unsigned char *)prefix, length}};
    if (lua_isnumber(L, ARG_PATTERN)) {
        double count = lua_tonumber(L, ARG_PATTERN);
        luaL_argcheck(L, count >= 0, ARG_PATTERN, "invalid receive pattern");
        size_t wanted = count < (double)PTRDIFF_MAX ? (size_t)count : PTRDIFF_MAX;
        piece.size = wanted > length ? wanted - length : 0;
        return piece;
    }
    const char *pattern = luaL_optstring(L, ARG_PATTERN, "*l");
    if (pattern[0] == '*' && (pattern[1] == 'l' || pattern[1] == 'a'))
        piece.pattern = pattern[1] == 'l' ? PATTERN_LINE : PATTERN_ALL;
    else
        luaL_argerror(L, ARG_PATTERN, "invalid receive pattern");
    return piece;
}

/* Nothing is asked of the peer: the prefix is long enough. */
static bool is_complete(lua_State *L, const struct piece *piece)
{
    return piece->pattern == PATTERN_COUNT && piece->size == 0 && piece->prefix.size > 0 &&
           lua_tonumber(L, ARG_PATTERN) <= (double)piece->prefix.size;
}

/* Is the piece there? 0: its length in the inbox, what is dropped behind it; else EAGAIN. */
static int look(struct face *face, const struct piece *piece, size_t *length, size_t *dropped)
{
    const unsigned char *data = inbox_unread(&face->inbox);
    size_t size = inbox_count(&face->inbox), looked = face->receiving.done;
    *dropped = 0;
    if (piece->pattern == PATTERN_COUNT && size >= piece->size && size > 0) {
        *length = piece->size;
        return 0;
    }
    if (piece->pattern != PATTERN_LINE || size <= looked)
        return EAGAIN;
    const unsigned char *newline = memchr(data + looked, '\n', size - looked);
    if (!newline) {
        face->receiving.done = size;
        return EAGAIN;
    }
    *length = (size_t)(newline - data);
    *dropped = 1;
    return 0;
}

/* Push a line without its carriage returns, behind the prefix. */
static void push_line(lua_State *L, const struct piece *piece, const unsigned char *data,
                      size_t size)
{
    const unsigned char *end = data + size, *found;
    luaL_Buffer buffer;
    luaL_buffinitsize(L, &buffer, piece->prefix.size + size);
    luaL_addlstring(&buffer, (const char *)piece->prefix.data, piece->prefix.size);
    while ((found = memchr(data, '\r', (size_t)(end - data)))) {
        luaL_addlstring(&buffer, (const char *)data, (size_t)(found - data));
        data = found + 1;
    }
    luaL_addlstring(&buffer, (const char *)data, (size_t)(end - data));
    luaL_pushresult(&buffer);
}

static void push_piece(lua_State *L, const struct piece *piece, const unsigned char *data,
                       size_t size)
{
    if (piece->pattern == PATTERN_LINE && size > 0 && data[size - 1] == '\r')
        size--;
    if (size == 0)
        lua_pushlstring(L, (const char *)piece->prefix.data, piece->prefix.size);
    else if (piece->pattern == PATTERN_LINE && (piece->prefix.size > 0 || memchr(data, '\r', size)))
        push_line(L, piece, data, size);
    else if (piece->prefix.size > 0) {
        lua_pushvalue(L, ARG_PREFIX);
        lua_pushlstring(L, (const char *)data, size);
        lua_concat(L, 2);
    } else
        lua_pushlstring(L, (const char *)data, size);
}

/* Push the first `size` bytes and take them out, unless a finaliser, outside any fiber, has done
 * that while the string was made. */
static void push_taken(lua_State *L, struct face *face, const struct piece *piece, size_t size,
                       size_t dropped)
{
    const struct byte_span *block = face->inbox.block;
    size_t begin = face->inbox.begin;
    push_piece(L, piece, inbox_unread(&face->inbox), size);
    if (face->inbox.block == block && face->inbox.begin == begin) {
        inbox_take(L, &face->inbox, size + dropped);
        face->receiving.total += (lua_Integer)(size + dropped);
    }
    face->receiving.done = 0;
}

/* The call is over. An error that is raised loses nothing. */
static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    struct piece piece = check_piece(L);
    size_t length = 0, dropped = 0;
    leave(&face->receiving);
    if (error == RAISED)
        return lua_error(L);
    bool is_there = !error && !look(face, &piece, &length, &dropped);
    face->receiving.done = 0;
    error = face_transfer_error(error);
    if (!is_there)
        length = inbox_count(&face->inbox);
    if (error == THRUM_EEOF && piece.pattern == PATTERN_ALL && length > 0)
        is_there = true;
    if (!is_there)
        face_push_failure(L, fiber, error);
    push_taken(L, face, &piece, length, dropped);
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
        inbox_add(&face->inbox, fiber->operation.size);
    return go_on_receiving(L, face, error);
}

static int go_on_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_receiving(L, lua_touserdata(L, 1), error);
}

static int wait_to_receive(lua_State *L, struct face *face, unsigned char *data, size_t size)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, face, &fiber, lua_tointeger(L, PLACE_START), &deadline_ns);
    if (!error)
        error = thrum_socket_receive(face->socket->core, &fiber->operation, data, size, 0);
    if (error)
        return error;
    enter(&face->receiving, fiber);
    error = face_suspend(L, face, fiber, deadline_ns, fiber->thread ? go_on_received : note);
    if (!error)
        inbox_add(&face->inbox, fiber->operation.size);
    return error;
}

/* A try may answer that it is better to start an operation; who will not wait asks again. */
static int try_to_receive(struct face *face, unsigned char *data, size_t room, size_t *size)
{
    thrum_socket *core = face->socket->core;
    int error = thrum_socket_try_receive(core, data, room, 0, size);
    if (error == EAGAIN && face->block_timeout == 0)
        error = thrum_socket_try_receive(core, data, room, 0, size);
    return error;
}

static int receive_more(lua_State *L, struct face *face, struct fiber *fiber)
{
    size_t room, size = 0;
    if (!face->socket->core) /* the state closes */
        return EBADF;
    if (!inbox_make_room(L, face->runtime, &face->inbox))
        return RAISED;
    unsigned char *data = inbox_room(&face->inbox, &room);
    int error = try_to_receive(face, data, room, &size);
    if (error)
        return error == EAGAIN ? wait_to_receive(L, face, data, room) : error;
    inbox_add(&face->inbox, size);
    if (!call_is_due(fiber))
        return 0;
    enter(&face->receiving, fiber);
    return call_yield(L, fiber, 0, fiber->thread ? go_on_after_others : note);
}

static int go_on_receiving(lua_State *L, struct face *face, int error)
{
    struct fiber *fiber = caller(face);
    struct piece piece = check_piece(L);
    size_t length, dropped;
    while (!error && look(face, &piece, &length, &dropped) == EAGAIN)
        error = receive_more(L, face, fiber);
    enter(&face->receiving, fiber);
    return call_done(L, fiber, error, finish_receive);
}

static int receive_in_turn(lua_State *L, struct fiber *fiber, int error)
{
    if (!error)
        return go_on_receiving(L, lua_touserdata(L, 1), 0);
    face_push_failure(L, fiber, error);
    lua_pushvalue(L, ARG_PREFIX);
    return 3;
}

static int stream_receive(lua_State *L)
{
    struct face *face = face_self(L, FACE_CLIENT);
    int64_t deadline_ns;
    lua_settop(L, ARG_PREFIX);
    struct piece piece = check_piece(L);
    int64_t start_ns = face_start_ns(face);
    lua_pushinteger(L, start_ns);
    struct fiber *fiber = call_begin(L, face->runtime);
    if (is_complete(L, &piece)) {
        lua_pushvalue(L, ARG_PREFIX);
        lua_pushnil(L);
        lua_pushnil(L);
        return 3;
    }
    if (!is_busy(face, &face->receiving)) {
        face->receiving.done = 0;
        return go_on_receiving(L, face, 0);
    }
    if (!face_may_wait(face, start_ns, &deadline_ns))
        return receive_in_turn(L, fiber, ETIMEDOUT);
    call_prepare_deadline(L, fiber);
    return wait_for_turn(L, &face->receiving, fiber, deadline_ns, receive_in_turn);
}

/* ---- send ---- */

enum { ARG_DATA = 2, ARG_FIRST = 3, ARG_LAST = 4, PLACE_SEND_START = 5 };

/* As string.sub has them; then the one is how many bytes stand before, the other where the end is.
 */
static void normalize_range(lua_State *L, size_t size)
{
    double first = luaL_optnumber(L, ARG_FIRST, 1), last = luaL_optnumber(L, ARG_LAST, -1);
    if (first < 0)
        first += (double)size + 1;
    if (last < 0)
        last += (double)size + 1;
    if (!(first >= 1))
        first = 1;
    if (!(last <= (double)size))
        last = (double)size;
    if (first > (double)PTRDIFF_MAX)
        first = (double)(PTRDIFF_MAX / 2);
    lua_pushinteger(L, (lua_Integer)first - 1);
    lua_replace(L, ARG_FIRST);
    lua_pushinteger(L, (lua_Integer)last);
    lua_replace(L, ARG_LAST);
}

static struct bytes rest_to_send(lua_State *L, const struct face *face)
{
    size_t begin = (size_t)lua_tointeger(L, ARG_FIRST) + face->sending.done;
    lua_Integer end = lua_tointeger(L, ARG_LAST);
    const unsigned char *data = (const unsigned char *)lua_tostring(L, ARG_DATA);
    size_t size = end > (lua_Integer)begin ? (size_t)end - begin : 0;
    return (struct bytes){size > 0 ? data + begin : data, size};
}

static int push_sent(lua_State *L, struct fiber *fiber, int error, size_t done)
{
    error = face_transfer_error(error);
    if (error)
        face_push_failure(L, fiber, error);
    lua_pushinteger(L, lua_tointeger(L, ARG_FIRST) + (lua_Integer)done);
    if (!error) {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    return 3;
}

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    size_t done = face->sending.done;
    leave(&face->sending);
    return push_sent(L, fiber, error, done);
}

static void add_sent(struct face *face, size_t size)
{
    face->sending.done += size;
    face->sending.total += (lua_Integer)size;
}

static int go_on_sending(lua_State *L, struct face *face, int error);

static int go_on_sent(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    if (!error)
        add_sent(face, fiber->operation.size);
    return go_on_sending(L, face, error);
}

static int go_on_sending_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on_sending(L, lua_touserdata(L, 1), error);
}

static int wait_to_send(lua_State *L, struct face *face, struct bytes rest)
{
    struct fiber *fiber;
    int64_t deadline_ns;
    int error = begin_wait(L, face, &fiber, lua_tointeger(L, PLACE_SEND_START), &deadline_ns);
    if (!error)
        error = thrum_socket_send(face->socket->core, &fiber->operation, rest.data, rest.size, 0);
    if (error)
        return error;
    enter(&face->sending, fiber);
    error = face_suspend(L, face, fiber, deadline_ns, fiber->thread ? go_on_sent : note);
    if (!error)
        add_sent(face, fiber->operation.size);
    return error;
}

static int send_more(lua_State *L, struct face *face, struct fiber *fiber, struct bytes rest)
{
    size_t size = 0;
    if (!face->socket->core)
        return EBADF;
    int error = thrum_socket_try_send(face->socket->core, rest.data, rest.size, 0, &size);
    if (error)
        return error == EAGAIN ? wait_to_send(L, face, rest) : error;
    add_sent(face, size);
    if (size == rest.size || !call_is_due(fiber))
        return 0;
    enter(&face->sending, fiber);
    return call_yield(L, fiber, 0, fiber->thread ? go_on_sending_after_others : note);
}

static int go_on_sending(lua_State *L, struct face *face, int error)
{
    struct fiber *fiber = caller(face);
    struct bytes rest;
    while (!error && (rest = rest_to_send(L, face)).size > 0)
        error = send_more(L, face, fiber, rest);
    enter(&face->sending, fiber);
    return call_done(L, fiber, error, finish_send);
}

static int send_in_turn(lua_State *L, struct fiber *fiber, int error)
{
    if (!error)
        return go_on_sending(L, lua_touserdata(L, 1), 0);
    return push_sent(L, fiber, error, 0);
}

static int stream_send(lua_State *L)
{
    struct face *face = face_self(L, FACE_CLIENT);
    size_t size;
    int64_t deadline_ns;
    luaL_checklstring(L, ARG_DATA, &size);
    lua_settop(L, ARG_LAST);
    normalize_range(L, size);
    int64_t start_ns = face_start_ns(face);
    lua_pushinteger(L, start_ns);
    struct fiber *fiber = call_begin(L, face->runtime);
    if (!is_busy(face, &face->sending)) {
        face->sending.done = 0;
        return go_on_sending(L, face, 0);
    }
    if (!face_may_wait(face, start_ns, &deadline_ns))
        return push_sent(L, fiber, ETIMEDOUT, 0);
    call_prepare_deadline(L, fiber);
    return wait_for_turn(L, &face->sending, fiber, deadline_ns, send_in_turn);
}

const struct function_row face_stream_methods[] = {
    {"receive", stream_receive}, {"send", stream_send}, {0}};
