/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: connecting, listening and accepting, and who is at the other end. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/transfer.h"
#include "bind/value/args.h"
#include "bind/value/error.h"
#include "net/option.h"

/* ---- connect ---- */

enum { ARG_REMOTE = 2 };

static int finish_connect(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    if (error)
        transfer_raise_to(L, error, ARG_REMOTE);
    return 0;
}

static int socket_connect(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_SOCKET);
    struct thrum_endpoint remote;
    socket->class->codec->check(L, ARG_REMOTE, thrum_socket_family(socket->core), false, &remote);
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = socket;
    transfer->peer = remote;
    int error = transfer_try(fiber, TRANSFER_CONNECT);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_connect);
    if (!call_can_wait(L, fiber)) /* a connect that has begun goes on */
        return call_refuse(L, fiber, finish_connect);
    return transfer_wait(L, fiber, TRANSFER_CONNECT, transfer_deadline(socket), finish_connect);
}

/* ---- accept ---- */

static int socket_listen(lua_State *L)
{
    const struct socket *socket = socket_self(L, TRAIT_ACCEPTOR);
    int backlog = (int)args_integer_or(L, 2, "backlog", 0, INT_MAX, SOMAXCONN);
    int error = thrum_socket_listen(socket->core, backlog);
    if (error)
        socket_raise(L, error);
    return 0;
}

enum { RESULT_ACCEPTED = 2 };

static int finish_accept(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    if (error)
        socket_raise(L, error);
    lua_pushvalue(L, RESULT_ACCEPTED);
    return 1;
}

/* The owner of the connection stands on the stack before there is one. */
static int socket_accept(lua_State *L)
{
    struct socket *socket = socket_self(L, TRAIT_ACCEPTOR);
    lua_settop(L, RESULT_ACCEPTED - 1);
    struct socket *accepted = socket_push(L, class_get(L, socket->runtime, socket->class->accepts));
    struct fiber *fiber = call_begin(L, socket->runtime);
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = socket;
    transfer->accepted = accepted->core;
    return transfer_run(L, fiber, TRANSFER_ACCEPT, finish_accept);
}

/* ---- the other end ---- */

static int socket_remote_credentials(lua_State *L)
{
    const struct socket *socket = socket_self(L, TRAIT_SOCKET | TRAIT_UNIX);
    struct thrum_credentials peer;
    int error = thrum_socket_remote_credentials(socket->core, &peer);
    if (error)
        socket_raise(L, error);
    lua_pushinteger(L, peer.pid);
    lua_pushinteger(L, peer.uid);
    lua_pushinteger(L, peer.gid);
    return 3;
}

const struct socket_method_row socket_connection_methods[] = {
    {{"connect", socket_connect}, TRAIT_SOCKET},
    {{"listen", socket_listen}, TRAIT_ACCEPTOR},
    {{"accept", socket_accept}, TRAIT_ACCEPTOR},
    {{"remote_credentials", socket_remote_credentials}, TRAIT_SOCKET | TRAIT_UNIX},
    {{0}, 0}};
