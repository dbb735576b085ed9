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

#include "bind/args.h"
#include "bind/byte_span.h"
#include "bind/call.h"
#include "bind/error.h"
#include "bind/file_descriptor.h"
#include "bind/runtime.h"
#include "bind/socket.h"
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

/* A call to send, with or without a receiver. */
struct sending {
    struct socket *socket;
    struct bytes payload;
    struct thrum_endpoint receiver;
    bool has_receiver;
    int arg_fds; /* the last argument; after it stand the copies, if it had to wait */
};

static const struct thrum_endpoint *receiver_of(const struct sending *sending)
{
    return sending->has_receiver ? &sending->receiver : NULL;
}

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
    return socket_finish_send(L, fiber, error);
}

static int finish_send_to_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    const struct socket *socket = lua_touserdata(L, 1);
    close_copies(L, ARG_RECEIVER + socket->class->codec->n_values);
    raise_if_stale(L, error);
    return socket_finish_to(L, fiber, error, ARG_RECEIVER);
}

static int wait_and_send(lua_State *L, const struct sending *sending, struct fiber *fiber,
                         call_finish *finish)
{
    int room[THRUM_MAX_FDS];
    struct thrum_fds fds = {.fds = room};
    struct descriptor_list *copies =
        descriptor_list_push(L, sending->socket->runtime, THRUM_MAX_FDS);
    socket_prepare_wait(L, sending->socket, fiber);
    file_descriptor_check_list(L, sending->arg_fds, "fds", &fds); /* finalizers may have run */
    int error = descriptor_list_copy(copies, &fds);
    if (error)
        error_raise(L, error);
    error =
        thrum_socket_send_with_fds(sending->socket->core, &fiber->operation, sending->payload.data,
                                   sending->payload.size, 0, &copies->fds, receiver_of(sending));
    if (error)
        return finish(L, fiber, error);
    return socket_suspend(L, sending->socket, fiber, finish);
}

static int send_with_fds(lua_State *L, struct sending *sending, call_finish *finish)
{
    int room[THRUM_MAX_FDS];
    struct thrum_fds fds = {.fds = room};
    struct socket *socket = sending->socket;
    lua_settop(L, sending->arg_fds);
    sending->payload = byte_span_check_gather(L, socket->runtime, ARG_PAYLOAD, "buffer");
    check_bytes(L, socket, sending->payload.size);
    file_descriptor_check_list(L, sending->arg_fds, "fds", &fds);
    struct fiber *fiber = call_begin(L, socket->runtime);
    int error =
        thrum_socket_try_send_with_fds(socket->core, sending->payload.data, sending->payload.size,
                                       0, &fds, receiver_of(sending), &fiber->operation.size);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    if (socket_is_impatient(socket))
        return socket_give_up(L, fiber, error, finish);
    return wait_and_send(L, sending, fiber, finish);
}

static int socket_send_with_fds(lua_State *L)
{
    struct sending sending = {.arg_fds = ARG_PAYLOAD + 1};
    sending.socket = socket_self(L, TRAIT_SOCKET | TRAIT_UNIX);
    return send_with_fds(L, &sending, finish_send_with_fds);
}

static int socket_send_to_with_fds(lua_State *L)
{
    struct sending sending = {.has_receiver = true};
    sending.socket = socket_self(L, TRAIT_DATAGRAM | TRAIT_UNIX);
    const struct endpoint_codec *codec = sending.socket->class->codec;
    sending.arg_fds = ARG_RECEIVER + codec->n_values;
    codec->check(L, ARG_RECEIVER, AF_UNIX, false, &sending.receiver);
    return send_with_fds(L, &sending, finish_send_to_with_fds);
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

static struct descriptor_list *check_arrived(lua_State *L, const struct fiber *fiber, int error)
{
    struct descriptor_list *list = lua_touserdata(L, ARRIVED);
    if (error == EMSGSIZE || error == EMFILE)
        raise_lost(L, error, fiber->operation.size, list->fds.max);
    if (!error && socket_is_truncated(fiber))
        thrum_fds_close(&list->fds);
    return list;
}

static int finish_receive_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    struct descriptor_list *list = check_arrived(L, fiber, error);
    socket_push_received(L, fiber, error, false);
    descriptor_list_push_objects(L, noun_runtime(L), list);
    return 2;
}

static int finish_receive_from_with_fds(lua_State *L, struct fiber *fiber, int error)
{
    struct socket *socket = fiber->transfer.socket;
    struct descriptor_list *list = check_arrived(L, fiber, error);
    socket_push_received(L, fiber, error, true);
    int n_values = socket->class->codec->push_sender(L, 1, socket, &fiber->operation.endpoint);
    descriptor_list_push_objects(L, noun_runtime(L), list);
    return 2 + n_values;
}

static int receive_with_fds(lua_State *L, struct socket *socket, bool with_sender,
                            call_finish *finish)
{
    const struct byte_span *buffer = socket_check_buffer(L);
    check_bytes(L, socket, buffer->size);
    size_t max = (size_t)args_integer(L, ARG_MAX_FDS, "maxfds", 0, THRUM_MAX_FDS);
    lua_settop(L, ARRIVED - 1);
    struct descriptor_list *list = descriptor_list_push(L, socket->runtime, max);
    struct fiber *fiber = socket_begin_receive(L, socket, buffer, 0);
    struct thrum_operation *operation = &fiber->operation;
    int flags = socket_receive_flags(fiber);
    struct thrum_endpoint *sender = with_sender ? &operation->endpoint : NULL;
    int error = thrum_socket_try_receive_with_fds(socket->core, buffer->data, buffer->size, flags,
                                                  &list->fds, &operation->size, sender);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    if (socket_is_impatient(socket)) {
        error = thrum_socket_try_receive_with_fds(socket->core, buffer->data, buffer->size, flags,
                                                  &list->fds, &operation->size, sender);
        return socket_give_up(L, fiber, error, finish);
    }
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_receive_with_fds(socket->core, operation, buffer->data, buffer->size,
                                          flags, &list->fds);
    if (error)
        return finish(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish);
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

const struct socket_method_row socket_passing_methods[] = {
    {{"send_with_fds", socket_send_with_fds}, TRAIT_SOCKET | TRAIT_UNIX},
    {{"send_to_with_fds", socket_send_to_with_fds}, TRAIT_DATAGRAM | TRAIT_UNIX},
    {{"receive_with_fds", socket_receive_with_fds}, TRAIT_SOCKET | TRAIT_UNIX},
    {{"receive_from_with_fds", socket_receive_from_with_fds}, TRAIT_DATAGRAM | TRAIT_UNIX},
    {{0}, 0}};
