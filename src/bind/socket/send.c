/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: sending. */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/transfer.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"
#include "net/option.h"

enum { ARG_PAYLOAD = 2, ARG_RECEIVER = 3 };
enum { SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_EOR };

static int check_flags(lua_State *L, int arg)
{
    return socket_check_flags(L, arg, SEND_FLAGS,
                              "0 or ip.message_flag.do_not_route, end_of_record, out_of_band "
                              "or'ed together");
}

static inline int push_sent(lua_State *L, struct fiber *fiber)
{
    lua_pushinteger(L, (lua_Integer)transfer_of(fiber)->message.length);
    return 1;
}

int transfer_finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        socket_raise(L, error);
    return push_sent(L, fiber);
}

int transfer_finish_send_to(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        transfer_raise_to(L, error, ARG_RECEIVER);
    return push_sent(L, fiber);
}

static int send_bytes(lua_State *L, struct socket *socket)
{
    int flags = check_flags(L, ARG_PAYLOAD + 1);
    struct bytes payload = byte_span_check_gather(L, ARG_PAYLOAD, "buffer");
    struct fiber *fiber = call_begin(L, socket->runtime);
    transfer_begin(fiber, socket, (void *)payload.data, payload.size, flags);
    return transfer_run(L, fiber, TRANSFER_SEND, transfer_finish_send);
}

static int socket_send(lua_State *L)
{
    return send_bytes(L, socket_self(L, TRAIT_SOCKET));
}

/* Asio's name for it on a stream, without flags. */
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
    int flags = check_flags(L, ARG_RECEIVER + codec->n_values);
    struct bytes payload = byte_span_check_gather(L, ARG_PAYLOAD, "buffer");
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct transfer *transfer =
        transfer_begin(fiber, socket, (void *)payload.data, payload.size, flags);
    transfer->message.peer = &receiver;
    return transfer_run(L, fiber, TRANSFER_SEND, transfer_finish_send_to);
}

const struct socket_method_row socket_send_methods[] = {
    {{"send", socket_send}, TRAIT_SOCKET},
    {{"send_to", socket_send_to}, TRAIT_DATAGRAM},
    {{"write_some", socket_write_some}, TRAIT_SOCKET | TRAIT_STREAM},
    {{0}, 0}};
