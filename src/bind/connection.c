/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: connecting, listening and accepting, and who is at the other end. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/args.h"
#include "bind/call.h"
#include "bind/error.h"
#include "bind/runtime.h"
#include "bind/socket.h"
#include "net/option.h"

/* ---- connect ---- */

enum { ARG_REMOTE = 2 };

static int finish_connect(lua_State *L, struct fiber *fiber, int error)
{
    if (!error)
        return 0;
    return socket_finish_to(L, fiber, error, ARG_REMOTE);
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
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, finish_connect);
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_connect(socket->core, &fiber->operation, &remote);
    if (error)
        return finish_connect(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish_connect);
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
    struct socket *accepted = socket_push(L, &socket->runtime->nouns[socket->class->accepts]);
    struct fiber *fiber = call_begin(L, socket->runtime);
    int error = thrum_socket_try_accept(socket->core, accepted->core);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_accept);
    if (socket_is_impatient(socket)) {
        error = thrum_socket_try_accept(socket->core, accepted->core);
        return socket_give_up(L, fiber, error, finish_accept);
    }
    socket_prepare_wait(L, socket, fiber);
    error = thrum_socket_accept(socket->core, &fiber->operation, accepted->core);
    if (error)
        return finish_accept(L, fiber, error);
    return socket_suspend(L, socket, fiber, finish_accept);
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
