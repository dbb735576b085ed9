/* SPDX-License-Identifier: BSL-1.0 */
/* The module socket: binding, connecting, listening and accepting. Names have been looked up by the
 * Lua part, whose functions trust their arguments. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "base/descriptor.h"
#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/luasocket/luasocket.h"
#include "bind/luasocket/open.h"
#include "bind/value/address.h"

enum { ARG_ENDPOINT = 2, ARG_PORT = 3, ARG_START = 4 };

/* The address and port, or the path, from ARG_ENDPOINT on. */
static int check_endpoint(lua_State *L, struct thrum_endpoint *endpoint)
{
    const struct thrum_address *address = address_test(L, ARG_ENDPOINT);
    if (address) {
        uint16_t port = (uint16_t)luaL_checkinteger(L, ARG_PORT);
        thrum_endpoint_from_address(address, port, endpoint);
        return 0;
    }
    size_t length;
    const char *path = luaL_checklstring(L, ARG_ENDPOINT, &length);
    return thrum_endpoint_from_path(path, length, endpoint);
}

static struct face *check_face(lua_State *L)
{
    return class_check(L, 1, &luasocket_class, "socket");
}

/* Read the endpoint, and make a descriptor for it unless there is one. A descriptor of another
 * family gives way to one of this, if it was made by a failed attempt. */
static int prepare(lua_State *L, struct face *face, struct thrum_endpoint *endpoint)
{
    int error = check_endpoint(L, endpoint);
    return error ? error : face_open(face, endpoint->sa.any.sa_family);
}

/* native.socket_bind(face, address, port) -> 1 | nil, text */
static int native_bind(lua_State *L)
{
    struct face *face = check_face(L);
    struct thrum_endpoint endpoint;
    int error = prepare(L, face, &endpoint);
    if (!error)
        error = thrum_socket_bind(face->socket->core, &endpoint);
    return face_push_result(L, NULL, error);
}

/* native.socket_start(face) -> the time, for connect */
static int native_start(lua_State *L)
{
    lua_pushinteger(L, face_start_ns(check_face(L)));
    return 1;
}

/* ---- connect ---- */

static int finish_connect(lua_State *L, struct fiber *fiber, int error)
{
    struct face *face = lua_touserdata(L, 1);
    face->is_connecting = error == ETIMEDOUT;
    return face_push_result(L, fiber, error == ECANCELED ? THRUM_EEOF : error);
}

/* Ask the system itself, as a call that will not wait must, and one that goes on connecting. */
static int connect_now(const struct face *face, const struct thrum_endpoint *endpoint)
{
    int fd = thrum_socket_native_handle(face->socket->core);
    return descriptor_connect(fd, &endpoint->sa.any, endpoint->size);
}

static bool is_under_way(int error)
{
    return error == EINPROGRESS || error == EAGAIN;
}

/* native.connect(face, address, port, start) -> 1 | nil, text */
static int native_connect(lua_State *L)
{
    struct face *face = check_face(L);
    int64_t start_ns = lua_tointeger(L, ARG_START), deadline_ns;
    struct thrum_endpoint endpoint;
    lua_settop(L, ARG_START);
    int error = prepare(L, face, &endpoint);
    struct fiber *fiber = face_begin(L, face->runtime);
    bool may_wait = face_may_wait(face, start_ns, &deadline_ns);
    if (!error)
        error = thrum_socket_try_connect(face->socket->core, &endpoint);
    if (error == EAGAIN && (!may_wait || face->is_connecting)) {
        error = connect_now(face, &endpoint);
        return call_done(L, fiber, is_under_way(error) ? ETIMEDOUT : error, finish_connect);
    }
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = face->socket;
    transfer->peer = endpoint;
    if (!error)
        error = transfer_try(fiber, TRANSFER_CONNECT);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_connect);
    return face_wait(L, fiber, TRANSFER_CONNECT, deadline_ns, finish_connect);
}

/* native.socket_disconnect(face) -> 1 | nil, text */
static int native_disconnect(lua_State *L)
{
    const struct face *face = check_face(L);
    int error = EBADF;
    if (face_is_open(face))
        error = thrum_socket_disconnect(face->socket->core);
    return face_push_result(L, NULL, error);
}

static int native_set_state(lua_State *L)
{
    check_face(L);
    face_set_state(L, 1, (enum face_state)luaL_checkinteger(L, 2));
    return 0;
}

/* Forget the descriptor: another attempt begins. */
static int native_reset(lua_State *L)
{
    struct face *face = check_face(L);
    if (face->socket->core)
        (void)thrum_socket_close(face->socket->core);
    face->family = AF_UNSPEC;
    return 0;
}

const struct function_row face_connect_natives[] = {{"socket_bind", native_bind},
                                                    {"socket_start", native_start},
                                                    {"connect", native_connect},
                                                    {"socket_disconnect", native_disconnect},
                                                    {"socket_set_state", native_set_state},
                                                    {"socket_reset", native_reset},
                                                    {0}};

/* ---- servers ---- */

enum { DEFAULT_BACKLOG = 32, ACCEPTED = 2 };

static int face_listen(lua_State *L)
{
    struct face *face = face_self(L, FACE_MASTER);
    double number = luaL_optnumber(L, 2, DEFAULT_BACKLOG);
    int backlog = number >= 0 && number < INT_MAX ? (int)number : INT_MAX, error = EBADF;
    if (face->socket->core)
        error = thrum_socket_listen(face->socket->core, backlog);
    if (error)
        return face_push_failure(L, NULL, error);
    face_set_state(L, 1, FACE_SERVER);
    lua_pushinteger(L, 1);
    return 1;
}

static int finish_accept(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        return face_push_failure(L, fiber, face_transfer_error(error));
    lua_pushvalue(L, ACCEPTED);
    return 1;
}

/* The owner of the connection stands on the stack before there is one. */
static int face_accept(lua_State *L)
{
    struct face *face = face_self(L, FACE_SERVER);
    int64_t start_ns = face_start_ns(face);
    lua_settop(L, ACCEPTED - 1);
    struct face *accepted = face_push(L, face->runtime, face->class, FACE_CLIENT, face->family);
    struct fiber *fiber = face_begin(L, face->runtime);
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = face->socket;
    transfer->accepted = accepted->socket->core;
    return face_run(L, face, fiber, TRANSFER_ACCEPT, start_ns, finish_accept);
}

const struct function_row face_server_methods[] = {
    {"accept", face_accept}, {"listen", face_listen}, {0}};
