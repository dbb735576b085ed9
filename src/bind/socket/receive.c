/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: receiving. */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/transfer.h"
#include "bind/value/byte_span.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "net/option.h"

enum { ARG_BUFFER = 2, ARG_FLAGS = 3 };
enum { STREAM_FLAGS = MSG_PEEK | MSG_OOB };
enum { DATAGRAM_FLAGS = MSG_PEEK | MSG_OOB | MSG_TRUNC };

static int check_flags(lua_State *L, const struct socket *socket)
{
    bool is_stream = socket->class->kind == THRUM_STREAM;
    const char *expected = is_stream
                               ? "0 or ip.message_flag.peek, out_of_band or'ed together"
                               : "0 or ip.message_flag.peek, out_of_band, truncate or'ed together";
    int flags =
        socket_check_flags(L, ARG_FLAGS, is_stream ? STREAM_FLAGS : DATAGRAM_FLAGS, expected);
    if (flags & MSG_OOB && !is_stream) /* it would wait for ever */
        error_raise_detail(L, EOPNOTSUPP, "datagrams have no out-of-band data");
    return flags;
}

const struct byte_span *transfer_check_buffer(lua_State *L)
{
    const struct byte_span *buffer = class_test(L, ARG_BUFFER, &byte_span_class);
    if (!buffer)
        error_raise_arg(L, EINVAL, ARG_BUFFER, "buffer", "byte_span");
    return buffer;
}

/* With MSG_TRUNC the kernel tells a datagram's whole length; a stream would throw bytes away. */
struct transfer *transfer_begin_receive(lua_State *L, struct socket *socket,
                                        const struct byte_span *buffer, int flags,
                                        struct fiber **fiber)
{
    int truncate = socket->class->kind == THRUM_STREAM ? 0 : MSG_TRUNC;
    *fiber = call_begin(L, socket->runtime);
    struct transfer *transfer =
        transfer_begin(*fiber, socket, buffer->data, buffer->size, flags | truncate);
    transfer->user_flags = flags;
    return transfer;
}

bool transfer_is_truncated(const struct transfer *transfer)
{
    return transfer->message.length > transfer->message.size &&
           (transfer->user_flags & (MSG_TRUNC | MSG_PEEK)) == 0;
}

/* The datagram was longer than the buffer: its start is there, the rest is gone. */
noreturn static void raise_truncated(lua_State *L, const struct transfer *transfer)
{
    size_t length = transfer->message.length, size = transfer->message.size;
    bool has_sender = transfer->message.peer;
    struct thrum_endpoint sender = transfer->peer;
    error_push(L, EMSGSIZE);
    lua_pushinteger(L, (lua_Integer)length);
    lua_setfield(L, -2, "length");
    if (has_sender)
        error_set_endpoint(L, &sender);
    error_set_detail(L, "a datagram of %zu bytes came, the buffer has %zu", length, size);
    lua_error(L);
    __builtin_unreachable();
}

void transfer_push_received(lua_State *L, struct fiber *fiber, int error)
{
    const struct transfer *transfer = transfer_of(fiber);
    size_t size = transfer->message.length;
    if (error)
        socket_raise(L, error);
    if (size > transfer->message.size) {
        if (transfer_is_truncated(transfer))
            raise_truncated(L, transfer);
        size = transfer->message.size;
    }
    lua_pushinteger(L, (lua_Integer)size);
}

int transfer_push_sender(lua_State *L, struct fiber *fiber)
{
    struct transfer *transfer = transfer_of(fiber);
    struct socket *socket = transfer->socket;
    return socket->class->codec->push_sender(L, 1, socket, &transfer->peer);
}

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    transfer_push_received(L, fiber, error);
    return 1;
}

static int finish_receive_from(lua_State *L, struct fiber *fiber, int error)
{
    transfer_push_received(L, fiber, error);
    return 1 + transfer_push_sender(L, fiber);
}

static int receive(lua_State *L, struct socket *socket)
{
    const struct byte_span *buffer = transfer_check_buffer(L);
    int flags = check_flags(L, socket);
    struct fiber *fiber;
    transfer_begin_receive(L, socket, buffer, flags, &fiber);
    return transfer_run(L, fiber, TRANSFER_RECEIVE, finish_receive);
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
    const struct byte_span *buffer = transfer_check_buffer(L);
    int flags = check_flags(L, socket);
    struct fiber *fiber;
    struct transfer *transfer = transfer_begin_receive(L, socket, buffer, flags, &fiber);
    transfer->message.peer = &transfer->peer;
    return transfer_run(L, fiber, TRANSFER_RECEIVE, finish_receive_from);
}

const struct socket_method_row socket_receive_methods[] = {
    {{"receive", socket_receive}, TRAIT_SOCKET},
    {{"receive_from", socket_receive_from}, TRAIT_DATAGRAM},
    {{"read_some", socket_read_some}, TRAIT_SOCKET | TRAIT_STREAM},
    {{0}, 0}};
