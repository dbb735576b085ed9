/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: connecting, receiving and sending, the calls that may suspend. */
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

/* What has to stand before an operation of this socket is started. */
static void prepare_wait(lua_State *L, const struct socket *socket, struct fiber *fiber)
{
    if (socket->timeout != HUGE_VAL)
        call_prepare_deadline(L, fiber);
}

/* A socket is known by where it is bound. */
static void describe_socket(lua_State *L, const struct fiber *fiber)
{
    const struct socket *socket = fiber->transfer.socket;
    struct thrum_endpoint local;
    if (thrum_socket_local_endpoint(socket->core, &local))
        lua_pushliteral(L, "(not open)");
    else
        socket->class->codec->push_text(L, &local);
}

static const struct wait_kind wait_socket = {WAIT_EXTERNAL, fiber_cancel_operation,
                                             describe_socket};

static int wait_operation_of(lua_State *L, struct socket *socket, struct fiber *fiber,
                             call_finish *finish)
{
    fiber->transfer.socket = socket;
    return call_suspend(L, fiber, &wait_socket, socket_deadline(socket), finish);
}

enum { RECEIVE_FLAGS = MSG_PEEK | MSG_OOB | MSG_TRUNC };
enum { SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_EOR };

noreturn static void raise_flags(lua_State *L, int arg, bool is_receive)
{
    error_raise_arg(L, EINVAL, arg, "flags",
                    is_receive ? "0 or ip.message_flag.peek, out_of_band, truncate or'ed together"
                               : "0 or ip.message_flag.do_not_route, end_of_record, out_of_band "
                                 "or'ed together");
}

static int check_flags(lua_State *L, int arg, int allowed)
{
    int type = lua_type(L, arg);
    if (type <= LUA_TNIL)
        return 0;
    int is_integer = 0;
    lua_Integer flags = type == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer || (flags & ~(lua_Integer)allowed))
        raise_flags(L, arg, allowed == RECEIVE_FLAGS);
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

static void push_received(lua_State *L, const struct fiber *fiber, int error, bool with_sender)
{
    size_t size = fiber->operation.size;
    if (error)
        socket_raise(L, error);
    if (size > fiber->transfer.size) {
        if ((fiber->transfer.flags & (MSG_TRUNC | MSG_PEEK)) == 0)
            raise_truncated(L, fiber, with_sender);
        size = fiber->transfer.size;
    }
    lua_pushinteger(L, (lua_Integer)size);
}

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    push_received(L, fiber, error, false);
    return 1;
}

static int finish_receive_from(lua_State *L, struct fiber *fiber, int error)
{
    struct socket *socket = fiber->transfer.socket;
    push_received(L, fiber, error, true);
    return 1 + socket->class->codec->push_sender(L, 1, socket, &fiber->operation.endpoint);
}

/* Check the arguments, take the fiber, and note what finishing needs. */
static struct fiber *begin_receive(lua_State *L, struct socket *socket,
                                   const struct byte_span **buffer)
{
    *buffer = noun_test(L, ARG_BUFFER, NOUN_BYTE_SPAN);
    if (!*buffer)
        error_raise_arg(L, EINVAL, ARG_BUFFER, "buffer", "byte_span");
    int flags = check_flags(L, ARG_RECEIVE_FLAGS, RECEIVE_FLAGS);
    if (flags & MSG_OOB && socket->class->kind == THRUM_DATAGRAM) /* it would wait for ever */
        error_raise_detail(L, EOPNOTSUPP, "datagrams have no out-of-band data");
    struct fiber *fiber = call_begin(L, socket->runtime);
    fiber->transfer.socket = socket;
    fiber->transfer.size = (*buffer)->size;
    fiber->transfer.flags = flags;
    return fiber;
}

/* With MSG_TRUNC the kernel tells a datagram's whole length; a stream would throw bytes away. */
static int kernel_flags(const struct fiber *fiber)
{
    bool is_stream = fiber->transfer.socket->class->kind == THRUM_STREAM;
    return is_stream ? fiber->transfer.flags : fiber->transfer.flags | MSG_TRUNC;
}

static int socket_receive(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET);
    const struct byte_span *buffer;
    struct fiber *fiber = begin_receive(L, socket, &buffer);
    struct thrum_operation *operation = &fiber->operation;
    int flags = kernel_flags(fiber);
    int error =
        thrum_socket_try_receive(socket->core, buffer->data, buffer->size, flags, &operation->size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_receive);
    prepare_wait(L, socket, fiber);
    error = thrum_socket_receive(socket->core, operation, buffer->data, buffer->size, flags);
    if (error)
        return finish_receive(L, fiber, error);
    return wait_operation_of(L, socket, fiber, finish_receive);
}

static int socket_receive_from(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_DATAGRAM);
    const struct byte_span *buffer;
    struct fiber *fiber = begin_receive(L, socket, &buffer);
    struct thrum_operation *operation = &fiber->operation;
    int flags = kernel_flags(fiber);
    int error = thrum_socket_try_receive_from(socket->core, buffer->data, buffer->size, flags,
                                              &operation->size, &operation->endpoint);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_receive_from);
    prepare_wait(L, socket, fiber);
    error = thrum_socket_receive_from(socket->core, operation, buffer->data, buffer->size, flags);
    if (error)
        return finish_receive_from(L, fiber, error);
    return wait_operation_of(L, socket, fiber, finish_receive_from);
}

/* ---- send ---- */

enum { ARG_PAYLOAD = 2, ARG_RECEIVER = 3 };

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        socket_raise(L, error);
    lua_pushinteger(L, (lua_Integer)fiber->operation.size);
    return 1;
}

/* An error that is about where the datagram was going says so. */
static int finish_to(lua_State *L, struct fiber *fiber, int error, int arg)
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
    return finish_to(L, fiber, error, ARG_RECEIVER);
}

static int socket_send(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET);
    int flags = check_flags(L, ARG_PAYLOAD + 1, SEND_FLAGS);
    struct bytes payload = byte_span_check_gather(L, socket->runtime, ARG_PAYLOAD, "buffer");
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct thrum_operation *operation = &fiber->operation;
    int error =
        thrum_socket_try_send(socket->core, payload.data, payload.size, flags, &operation->size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_send);
    prepare_wait(L, socket, fiber);
    error = thrum_socket_send(socket->core, operation, payload.data, payload.size, flags);
    if (error)
        return finish_send(L, fiber, error);
    return wait_operation_of(L, socket, fiber, finish_send);
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
    prepare_wait(L, socket, fiber);
    error =
        thrum_socket_send_to(socket->core, operation, payload.data, payload.size, flags, &receiver);
    if (error)
        return finish_send_to(L, fiber, error);
    return wait_operation_of(L, socket, fiber, finish_send_to);
}

/* ---- connect ---- */

enum { ARG_REMOTE = 2 };

static int finish_connect(lua_State *L, struct fiber *fiber, int error)
{
    if (!error)
        return 0;
    return finish_to(L, fiber, error, ARG_REMOTE);
}

static int socket_connect(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET);
    struct thrum_endpoint remote;
    socket->class->codec->check(L, ARG_REMOTE, thrum_socket_family(socket->core), false, &remote);
    struct fiber *fiber = call_begin(L, socket->runtime);
    int error = thrum_socket_try_connect(socket->core, &remote);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_connect);
    prepare_wait(L, socket, fiber);
    error = thrum_socket_connect(socket->core, &fiber->operation, &remote);
    if (error)
        return finish_connect(L, fiber, error);
    return wait_operation_of(L, socket, fiber, finish_connect);
}

const struct socket_method_row socket_transfer_methods[] = {
    {{"receive", socket_receive}, TRAIT_SOCKET},
    {{"receive_from", socket_receive_from}, TRAIT_DATAGRAM},
    {{"send", socket_send}, TRAIT_SOCKET},
    {{"send_to", socket_send_to}, TRAIT_DATAGRAM},
    {{"connect", socket_connect}, TRAIT_SOCKET},
    {{0}, 0}};
