/* SPDX-License-Identifier: BSL-1.0 */
/* Try, start, suspend, finish: once for every call that a socket may keep waiting. */
#include "bind/socket/transfer.h"

#include <errno.h>
#include <math.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/value/error.h"

int64_t transfer_deadline(const struct socket *socket)
{
    return socket->timeout == HUGE_VAL ? NO_DEADLINE : call_deadline_after(socket->timeout);
}

/* A socket is known by where it is bound, or else by its peer. */
void transfer_describe_wait(lua_State *L, const struct fiber *fiber)
{
    const struct transfer *transfer = transfer_of((struct fiber *)fiber);
    const struct thrum_socket *core = transfer->socket->core;
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

static const struct wait_ops wait_socket = {WAIT_EXTERNAL, fiber_cancel_operation,
                                            transfer_describe_wait, NULL};

/* A send that is only tried may have its receiver on the C stack. */
static void keep_peer(struct transfer *transfer)
{
    if (!transfer->message.peer || transfer->message.peer == &transfer->peer)
        return;
    transfer->peer = *transfer->message.peer;
    transfer->message.peer = &transfer->peer;
}

int transfer_start(struct fiber *fiber, enum transfer_type type, int64_t deadline_ns)
{
    struct transfer *transfer = transfer_of(fiber);
    thrum_socket *core = transfer->socket->core;
    int error = deadline_ns == NO_DEADLINE ? 0 : deadline_prepare(fiber);
    if (error)
        return error;
    if (type == TRANSFER_SEND)
        keep_peer(transfer);
    switch (type) {
    case TRANSFER_RECEIVE:
        return thrum_socket_receive(core, &fiber->operation, &transfer->message);
    case TRANSFER_SEND:
        return thrum_socket_send(core, &fiber->operation, &transfer->message);
    case TRANSFER_ACCEPT:
        return thrum_socket_accept(core, &fiber->operation, transfer->accepted);
    default:
        return thrum_socket_connect(core, &fiber->operation, &transfer->peer);
    }
}

int transfer_suspend(lua_State *L, struct fiber *fiber, int64_t deadline_ns, call_finish *finish)
{
    return call_suspend(L, fiber, &wait_socket, deadline_ns, finish);
}

int transfer_wait_for_socket(lua_State *L, struct fiber *fiber, enum transfer_type type,
                             call_finish *finish)
{
    const struct socket *socket = transfer_of(fiber)->socket;
    if (socket_is_impatient(socket)) {
        int error = type == TRANSFER_SEND ? EAGAIN : transfer_try(fiber, type);
        return call_done(L, fiber, error == EAGAIN ? ETIMEDOUT : error, finish);
    }
    return transfer_wait(L, fiber, type, transfer_deadline(socket), finish);
}

int transfer_wait(lua_State *L, struct fiber *fiber, enum transfer_type type, int64_t deadline_ns,
                  call_finish *finish)
{
    int error = transfer_start(fiber, type, deadline_ns);
    return error ? finish(L, fiber, error) : transfer_suspend(L, fiber, deadline_ns, finish);
}

noreturn void transfer_raise_to(lua_State *L, int error, int arg)
{
    const struct socket *socket = lua_touserdata(L, 1);
    struct thrum_endpoint endpoint;
    if (error == EBADF || error == ECANCELED || error >= THRUM_ERROR_RANGE)
        socket_raise(L, error);
    socket->class->codec->check(L, arg, AF_UNSPEC, false, &endpoint);
    error_raise_endpoint(L, error, &endpoint);
}
