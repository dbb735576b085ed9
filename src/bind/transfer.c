/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: receiving and sending, and what their calls that may suspend have in common. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/args.h"
#include "bind/byte_span.h"
#include "bind/call.h"
#include "bind/error.h"
#include "bind/runtime.h"
#include "bind/socket.h"
#include "net/option.h"

/* ---- deadlines and flags ---- */

static int64_t socket_deadline(const struct socket *socket)
{
    return socket->timeout == HUGE_VAL ? NO_DEADLINE : call_deadline_after(socket->timeout);
}

void socket_prepare_wait(lua_State *L, const struct socket *socket, struct fiber *fiber)
{
    if (socket->timeout != HUGE_VAL)
        call_prepare_deadline(L, fiber);
}

int socket_give_up(lua_State *L, struct fiber *fiber, int error, call_finish *finish)
{
    return call_done(L, fiber, error == EAGAIN ? ETIMEDOUT : error, finish);
}

/* A socket is known by where it is bound, or else by its peer. */
void socket_describe_wait(lua_State *L, const struct fiber *fiber)
{
    const struct thrum_socket *core = fiber->transfer.socket->core;
    struct thrum_endpoint endpoint;
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    if (!core) /* the state is closing */
        lua_pushliteral(L, "(closed)");
    else if (thrum_socket_local_endpoint(core, &endpoint))
        lua_pushliteral(L, "(not open)");
    else if (thrum_endpoint_format(&endpoint, text) > 0)
        lua_pushstring(L, text);
    else if (!thrum_socket_remote_endpoint(core, &endpoint) &&
             thrum_endpoint_format(&endpoint, text) > 0)
        lua_pushfstring(L, "-> %s", text);
    else
        lua_pushliteral(L, "(no name)");
}

static const struct wait_kind wait_socket = {WAIT_EXTERNAL, fiber_cancel_operation,
                                             socket_describe_wait};

int socket_suspend_until(lua_State *L, struct socket *socket, struct fiber *fiber,
                         int64_t deadline_ns, call_finish *finish)
{
    fiber->transfer.socket = socket;
    return call_suspend(L, fiber, &wait_socket, deadline_ns, finish);
}

int socket_suspend(lua_State *L, struct socket *socket, struct fiber *fiber, call_finish *finish)
{
    return socket_suspend_until(L, socket, fiber, socket_deadline(socket), finish);
}

enum { STREAM_FLAGS = MSG_PEEK | MSG_OOB };
enum { RECEIVE_FLAGS = MSG_PEEK | MSG_OOB | MSG_TRUNC };
enum { SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_EOR };

noreturn static void raise_flags(lua_State *L, int arg, int allowed)
{
    const char *expected = "0 or ip.message_flag.do_not_route, end_of_record, out_of_band or'ed "
                           "together";
    if (allowed == RECEIVE_FLAGS)
        expected = "0 or ip.message_flag.peek, out_of_band, truncate or'ed together";
    else if (allowed == STREAM_FLAGS)
        expected = "0 or ip.message_flag.peek, out_of_band or'ed together";
    error_raise_arg(L, EINVAL, arg, "flags", expected);
}

static int check_flags(lua_State *L, int arg, int allowed)
{
    int type = lua_type(L, arg);
    if (type <= LUA_TNIL)
        return 0;
    int is_integer = 0;
    lua_Integer flags = type == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer || (flags & ~(lua_Integer)allowed))
        raise_flags(L, arg, allowed);
    return (int)flags;
}

/* ---- receive ---- */

enum { ARG_BUFFER = 2, ARG_RECEIVE_FLAGS = 3 };

/* The datagram was longer than the buffer: its start is there, the rest is gone. */
noreturn static void raise_truncated(lua_State *L, const struct fiber *fiber, bool with_sender)
{
    /* Outside any fiber a finaliser may use the same operation while the error is made. */
    size_t length = fiber->operation.size;
    size_t size = fiber->transfer.size;
    struct thrum_endpoint sender = fiber->operation.endpoint;
    error_push(L, EMSGSIZE);
    lua_pushinteger(L, (lua_Integer)length);
    lua_setfield(L, -2, "length");
    if (with_sender)
        error_set_endpoint(L, &sender);
    error_set_detail(L, "a datagram of %zu bytes came, the buffer has %zu", length, size);
    lua_error(L);
    __builtin_unreachable();
}

bool socket_is_truncated(const struct fiber *fiber)
{
    return fiber->operation.size > fiber->transfer.size &&
           (fiber->transfer.flags & (MSG_TRUNC | MSG_PEEK)) == 0;
}

void socket_push_received(lua_State *L, const struct fiber *fiber, int error, bool with_sender)
{
    size_t size = fiber->operation.size;
    if (error)
        socket_raise(L, error);
    if (size > fiber->transfer.size) {
        if (socket_is_truncated(fiber))
            raise_truncated(L, fiber, with_sender);
        size = fiber->transfer.size;
    }
    lua_pushinteger(L, (lua_Integer)size);
}

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    socket_push_received(L, fiber, error, false);
    return 1;
}

static int finish_receive_from(lua_State *L, struct fiber *fiber, int error)
{
    struct socket *socket = fiber->transfer.socket;
    socket_push_received(L, fiber, error, true);
    return 1 + socket->class->codec->push_sender(L, 1, socket, &fiber->operation.endpoint);
}

const struct byte_span *socket_check_buffer(lua_State *L)
{
    const struct byte_span *buffer = noun_test(L, ARG_BUFFER, NOUN_BYTE_SPAN);
    if (!buffer)
        error_raise_arg(L, EINVAL, ARG_BUFFER, "buffer", "byte_span");
    return buffer;
}

static int check_receive_flags(lua_State *L, const struct socket *socket)
{
    bool is_stream = socket->class->kind == THRUM_STREAM;
    int flags = check_flags(L, ARG_RECEIVE_FLAGS, is_stream ? STREAM_FLAGS : RECEIVE_FLAGS);
    if (flags & MSG_OOB && !is_stream) /* it would wait for ever */
        error_raise_detail(L, EOPNOTSUPP, "datagrams have no out-of-band data");
    return flags;
}

struct fiber *socket_begin_receive(lua_State *L, struct socket *socket,
                                   const struct byte_span *buffer, int flags)
{
    struct fiber *fiber = call_begin(L, socket->runtime);
    fiber->transfer.socket = socket;
    fiber->transfer.size = buffer->size;
    fiber->transfer.flags = flags;
    return fiber;
}

/* With MSG_TRUNC the kernel tells a datagram's whole length; a stream would throw bytes away. */
int socket_receive_flags(const struct fiber *fiber)
{
    bool is_stream = fiber->transfer.socket->class->kind == THRUM_STREAM;
    return is_stream ? fiber->transfer.flags : fiber->transfer.flags | MSG_TRUNC;
}

static int receive(lua_State *L, struct socket *socket)
{
    const struct byte_span *buffer = socket_check_buffer(L);
    int user_flags = check_receive_flags(L, socket);
    struct fiber *fiber = socket_begin_receive(L, socket, buffer, user_flags);
    struct thrum_operation *operation = &fiber->operation;
    int flags = socket_receive_flags(fiber);
    int error =
        thrum_socket_try_receive(socket->core, buffer->data, buffer->size, flags, &operation->size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_receive);
    if (socket_is_impatient(socket)) {
        error = thrum_socket_try_receive(socket->core, buffer->data, buffer->size, flags,
                                         &operation->size);
        return socket_give_up(L, fiber, error, finish_receive);
    }
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_receive(socket->core, operation, buffer->data, buffer->size, flags);
    if (error)
        return finish_receive(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish_receive);
}

static int socket_receive(lua_State *L)
{
    return receive(L, socket_self(L, TRAIT_SOCKET));
}

/* Asio's name for it on a stream, without flags. */
static int socket_read_some(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET | TRAIT_STREAM);
    lua_settop(L, ARG_BUFFER);
    return receive(L, socket);
}

static int socket_receive_from(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_DATAGRAM);
    const struct byte_span *buffer = socket_check_buffer(L);
    int user_flags = check_receive_flags(L, socket);
    struct fiber *fiber = socket_begin_receive(L, socket, buffer, user_flags);
    struct thrum_operation *operation = &fiber->operation;
    int flags = socket_receive_flags(fiber);
    int error = thrum_socket_try_receive_from(socket->core, buffer->data, buffer->size, flags,
                                              &operation->size, &operation->endpoint);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_receive_from);
    if (socket_is_impatient(socket)) {
        error = thrum_socket_try_receive_from(socket->core, buffer->data, buffer->size, flags,
                                              &operation->size, &operation->endpoint);
        return socket_give_up(L, fiber, error, finish_receive_from);
    }
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_receive_from(socket->core, operation, buffer->data, buffer->size, flags);
    if (error)
        return finish_receive_from(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish_receive_from);
}

/* ---- send ---- */

enum { ARG_PAYLOAD = 2, ARG_RECEIVER = 3 };

int socket_finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        socket_raise(L, error);
    lua_pushinteger(L, (lua_Integer)fiber->operation.size);
    return 1;
}

/* An error that is about where the datagram was going says so. */
int socket_finish_to(lua_State *L, struct fiber *fiber, int error, int arg)
{
    if (error) {
        const struct socket *socket = lua_touserdata(L, 1);
        struct thrum_endpoint receiver;
        if (error == EBADF || error == ECANCELED || error >= THRUM_ERROR_RANGE)
            socket_raise(L, error);
        socket->class->codec->check(L, arg, AF_UNSPEC, false, &receiver);
        error_raise_endpoint(L, error, &receiver);
    }
    lua_pushinteger(L, (lua_Integer)fiber->operation.size);
    return 1;
}

static int finish_send_to(lua_State *L, struct fiber *fiber, int error)
{
    return socket_finish_to(L, fiber, error, ARG_RECEIVER);
}

static int send_bytes(lua_State *L, struct socket *socket)
{
    int flags = check_flags(L, ARG_PAYLOAD + 1, SEND_FLAGS);
    struct bytes payload = byte_span_check_gather(L, socket->runtime, ARG_PAYLOAD, "buffer");
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct thrum_operation *operation = &fiber->operation;
    int error =
        thrum_socket_try_send(socket->core, payload.data, payload.size, flags, &operation->size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, socket_finish_send);
    if (socket_is_impatient(socket))
        return socket_give_up(L, fiber, error, socket_finish_send);
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_send(socket->core, operation, payload.data, payload.size, flags);
    if (error)
        return socket_finish_send(L, fiber, error);
    return socket_suspend(L, socket, fiber, socket_finish_send);
}

static int socket_send(lua_State *L)
{
    return send_bytes(L, socket_self(L, TRAIT_SOCKET));
}

static int socket_write_some(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET | TRAIT_STREAM);
    lua_settop(L, ARG_PAYLOAD);
    return send_bytes(L, socket);
}

static int socket_send_to(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_DATAGRAM);
    const struct endpoint_codec *codec = socket->class->codec;
    struct thrum_endpoint receiver;
    codec->check(L, ARG_RECEIVER, thrum_socket_family(socket->core), false, &receiver);
    int flags = check_flags(L, ARG_RECEIVER + codec->n_values, SEND_FLAGS);
    struct bytes payload = byte_span_check_gather(L, socket->runtime, ARG_PAYLOAD, "buffer");
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct thrum_operation *operation = &fiber->operation;
    int error = thrum_socket_try_send_to(socket->core, payload.data, payload.size, flags, &receiver,
                                         &operation->size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_send_to);
    if (socket_is_impatient(socket))
        return socket_give_up(L, fiber, error, finish_send_to);
    socket_prepare_wait(L, socket, fiber);
    error =
        thrum_socket_send_to(socket->core, operation, payload.data, payload.size, flags, &receiver);
    if (error)
        return finish_send_to(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish_send_to);
}

const struct socket_method_row socket_transfer_methods[] = {
    {{"receive", socket_receive}, TRAIT_SOCKET},
    {{"receive_from", socket_receive_from}, TRAIT_DATAGRAM},
    {{"read_some", socket_read_some}, TRAIT_SOCKET | TRAIT_STREAM},
    {{"send", socket_send}, TRAIT_SOCKET},
    {{"send_to", socket_send_to}, TRAIT_DATAGRAM},
    {{"write_some", socket_write_some}, TRAIT_SOCKET | TRAIT_STREAM},
    {{0}, 0}};
