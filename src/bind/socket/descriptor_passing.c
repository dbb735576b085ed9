/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: messages that carry descriptors.
 *
 * The objects in a list for sending are the user's: while the send waits, somebody may close them,
 * take them out of the table, or forget them. So a send that has to wait does so with copies of its
 * own. What is received has an owner on the stack before it comes, a descriptor_list; it becomes
 * objects when the call ends. */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/transfer.h"
#include "bind/value/args.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"
#include "bind/value/file_descriptor.h"
#include "net/option.h"

/* On a stream descriptors come with a byte, so there has to be one. */
static void check_bytes(lua_State *L, const struct socket *socket, size_t size)
{
    if (size == 0 && socket->class->kind == THRUM_STREAM)
        error_raise_arg_detail(L, EINVAL, 2, "buffer",
                               "on a stream descriptors need a byte to go with");
}

/* ---- sending ---- */

enum { ARG_PAYLOAD = 2, ARG_RECEIVER = 3 };

static void close_copies(lua_State *L, int arg_fds)
{
    if (lua_gettop(L) > arg_fds) {
        struct descriptor_list *copies = lua_touserdata(L, arg_fds + 1);
        thrum_fds_close(&copies->fds);
    }
}

/* The list was looked through, but a native_handle may have been closed behind an object's back. */
static void raise_if_stale(lua_State *L, int error)
{
    const struct socket *socket = lua_touserdata(L, 1);
    if (error == EBADF && socket->core && thrum_socket_is_open(socket->core))
        error_raise_detail(L, EBADF, "a descriptor in the list is not open");
}

static int finish_send_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    close_copies(L, ARG_PAYLOAD + 1);
    raise_if_stale(L, error);
    return transfer_finish_send(L, fiber, error);
}

static int finish_send_to_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    const struct socket *socket = lua_touserdata(L, 1);
    close_copies(L, ARG_RECEIVER + socket->class->codec->n_values);
    raise_if_stale(L, error);
    return transfer_finish_send_to(L, fiber, error);
}

/* The copies stand behind the last argument, the list. */
static int wait_and_send(lua_State *L, struct fiber *fiber, int arg_fds, call_finish *finish)
{
    struct transfer *transfer = transfer_of(fiber);
    struct socket *socket = transfer->socket;
    int room[THRUM_MAX_FDS];
    struct thrum_fds fds = {.fds = room};
    struct transfer described = *transfer; /* finalizers may run */
    struct descriptor_list *copies = descriptor_list_push(L, THRUM_MAX_FDS);
    file_descriptor_check_list(L, arg_fds, "fds", &fds);
    int error = descriptor_list_copy(copies, &fds);
    if (error)
        error_raise(L, error);
    *transfer = described;
    transfer->message.fds = &copies->fds;
    return transfer_wait(L, fiber, TRANSFER_SEND, transfer_deadline(socket), finish);
}

static int send_with_fds(lua_State *L, struct socket *socket, int arg_fds,
                         struct thrum_endpoint *receiver, call_finish *finish)
{
    int room[THRUM_MAX_FDS];
    struct thrum_fds fds = {.fds = room};
    lua_settop(L, arg_fds);
    struct bytes payload = byte_span_check_gather(L, ARG_PAYLOAD, "buffer");
    check_bytes(L, socket, payload.size);
    file_descriptor_check_list(L, arg_fds, "fds", &fds);
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct transfer *transfer =
        transfer_begin(fiber, socket, (void *)payload.data, payload.size, 0);
    transfer->message.fds = &fds;
    transfer->message.peer = receiver;
    int error = transfer_try(fiber, TRANSFER_SEND);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    if (socket_is_impatient(socket))
        return call_done(L, fiber, ETIMEDOUT, finish);
    return wait_and_send(L, fiber, arg_fds, finish);
}

static int socket_send_with_fds(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET | TRAIT_UNIX);
    return send_with_fds(L, socket, ARG_PAYLOAD + 1, NULL, finish_send_with_fds);
}

static int socket_send_to_with_fds(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_DATAGRAM | TRAIT_UNIX);
    const struct endpoint_codec *codec = socket->class->codec;
    struct thrum_endpoint receiver;
    codec->check(L, ARG_RECEIVER, AF_UNIX, false, &receiver);
    return send_with_fds(L, socket, ARG_RECEIVER + codec->n_values, &receiver,
                         finish_send_to_with_fds);
}

/* ---- receiving ---- */

enum { ARG_MAX_FDS = 3, ARRIVED = 4 };

/* Bytes came with what was lost: how many, as for a datagram that was too long. */
noreturn static void raise_lost(lua_State *L, int error, size_t size, size_t max)
{
    error_push(L, error);
    lua_pushinteger(L, (lua_Integer)size);
    lua_setfield(L, -2, "length");
    if (error == EMSGSIZE)
        error_set_detail(L, "more than %zu descriptors came, and all are closed", max);
    else
        error_set_detail(L, "descriptors came that found no room here, and all are closed");
    lua_error(L);
    __builtin_unreachable();
}

static struct descriptor_list *check_arrived(lua_State *L, struct fiber *fiber, int error)
{
    const struct transfer *transfer = transfer_of(fiber);
    struct descriptor_list *list = lua_touserdata(L, ARRIVED);
    if (error == EMSGSIZE || error == EMFILE)
        raise_lost(L, error, transfer->message.length, list->fds.max);
    if (!error && transfer_is_truncated(transfer))
        thrum_fds_close(&list->fds);
    return list;
}

static int finish_receive_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    struct descriptor_list *list = check_arrived(L, fiber, error);
    transfer_push_received(L, fiber, error);
    descriptor_list_push_objects(L, list);
    return 2;
}

static int finish_receive_from_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    struct descriptor_list *list = check_arrived(L, fiber, error);
    transfer_push_received(L, fiber, error);
    int n_values = transfer_push_sender(L, fiber);
    descriptor_list_push_objects(L, list);
    return 2 + n_values;
}

static int receive_with_fds(lua_State *L, struct socket *socket, bool with_sender,
                            call_finish *finish)
{
    const struct byte_span *buffer = transfer_check_buffer(L);
    check_bytes(L, socket, buffer->size);
    size_t max = (size_t)args_integer(L, ARG_MAX_FDS, "maxfds", 0, THRUM_MAX_FDS);
    lua_settop(L, ARRIVED - 1);
    struct descriptor_list *list = descriptor_list_push(L, max);
    struct fiber *fiber;
    struct transfer *transfer = transfer_begin_receive(L, socket, buffer, 0, &fiber);
    transfer->message.fds = &list->fds;
    if (with_sender)
        transfer->message.peer = &transfer->peer;
    return transfer_run(L, fiber, TRANSFER_RECEIVE, finish);
}

static int socket_receive_with_fds(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET | TRAIT_UNIX);
    return receive_with_fds(L, socket, false, finish_receive_with_fds);
}

static int socket_receive_from_with_fds(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_DATAGRAM | TRAIT_UNIX);
    return receive_with_fds(L, socket, true, finish_receive_from_with_fds);
}

const struct socket_method_row socket_descriptor_methods[] = {
    {{"send_with_fds", socket_send_with_fds}, TRAIT_SOCKET | TRAIT_UNIX},
    {{"send_to_with_fds", socket_send_to_with_fds}, TRAIT_DATAGRAM | TRAIT_UNIX},
    {{"receive_with_fds", socket_receive_with_fds}, TRAIT_SOCKET | TRAIT_UNIX},
    {{"receive_from_with_fds", socket_receive_from_with_fds}, TRAIT_DATAGRAM | TRAIT_UNIX},
    {{0}, 0}};
