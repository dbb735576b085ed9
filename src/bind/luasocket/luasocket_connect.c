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

static struct luasocket *check_luasocket(lua_State *L)
{
    return class_check(L, 1, &luasocket_class, "socket");
}

/* Read the endpoint, and make a descriptor for it unless there is one. A descriptor of another
 * family gives way to one of this, if it was made by a failed attempt. */
static int prepare(lua_State *L, struct luasocket *luasocket, struct thrum_endpoint *endpoint)
{
    int error = check_endpoint(L, endpoint);
    return error ? error : luasocket_open(luasocket, endpoint->sa.any.sa_family);
}

/* internal.socket_bind(luasocket, address, port) -> 1 | nil, text */
static int internal_bind(lua_State *L)
{
    struct luasocket *luasocket = check_luasocket(L);
    struct thrum_endpoint endpoint;
    int error = prepare(L, luasocket, &endpoint);
    if (!error)
        error = thrum_socket_bind(luasocket->socket->core, &endpoint);
    return luasocket_push_result(L, NULL, error);
}

/* internal.socket_start(luasocket) -> the time, for connect */
static int internal_start(lua_State *L)
{
    lua_pushinteger(L, luasocket_start_ns(check_luasocket(L)));
    return 1;
}

/* ---- connect ---- */

static int finish_connect(lua_State *L, struct fiber *fiber, int error)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    luasocket->is_connecting = error == ETIMEDOUT;
    return luasocket_push_result(L, fiber, error == ECANCELED ? THRUM_EEOF : error);
}

/* Ask the system itself, as a call that will not wait must, and one that goes on connecting. */
static int connect_now(const struct luasocket *luasocket, const struct thrum_endpoint *endpoint)
{
    int fd = thrum_socket_native_handle(luasocket->socket->core);
    return descriptor_connect(fd, &endpoint->sa.any, endpoint->size);
}

static bool is_under_way(int error)
{
    return error == EINPROGRESS || error == EAGAIN;
}

/* internal.connect(luasocket, address, port, start) -> 1 | nil, text */
static int internal_connect(lua_State *L)
{
    struct luasocket *luasocket = check_luasocket(L);
    int64_t start_ns = lua_tointeger(L, ARG_START), deadline_ns;
    struct thrum_endpoint endpoint;
    lua_settop(L, ARG_START);
    int error = prepare(L, luasocket, &endpoint);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    bool may_wait = luasocket_may_wait(luasocket, start_ns, &deadline_ns);
    if (!error)
        error = thrum_socket_try_connect(luasocket->socket->core, &endpoint);
    if (error == EAGAIN && (!may_wait || luasocket->is_connecting)) {
        error = connect_now(luasocket, &endpoint);
        return call_done(L, fiber, is_under_way(error) ? ETIMEDOUT : error, finish_connect);
    }
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = luasocket->socket;
    transfer->peer = endpoint;
    if (!error)
        error = transfer_try(fiber, TRANSFER_CONNECT);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_connect);
    return luasocket_wait(L, fiber, TRANSFER_CONNECT, deadline_ns, finish_connect);
}

/* internal.socket_disconnect(luasocket) -> 1 | nil, text */
static int internal_disconnect(lua_State *L)
{
    const struct luasocket *luasocket = check_luasocket(L);
    int error = EBADF;
    if (luasocket_is_open(luasocket))
        error = thrum_socket_disconnect(luasocket->socket->core);
    return luasocket_push_result(L, NULL, error);
}

static int internal_set_state(lua_State *L)
{
    check_luasocket(L);
    luasocket_set_state(L, 1, (enum luasocket_state)luaL_checkinteger(L, 2));
    return 0;
}

/* Forget the descriptor: another attempt begins. */
static int internal_reset(lua_State *L)
{
    struct luasocket *luasocket = check_luasocket(L);
    if (luasocket->socket->core)
        (void)thrum_socket_close(luasocket->socket->core);
    luasocket->family = AF_UNSPEC;
    return 0;
}

const struct function_row luasocket_connect_internal_functions[] = {
    {"socket_bind", internal_bind},
    {"socket_start", internal_start},
    {"connect", internal_connect},
    {"socket_disconnect", internal_disconnect},
    {"socket_set_state", internal_set_state},
    {"socket_reset", internal_reset},
    {0}};

/* ---- servers ---- */

enum { DEFAULT_BACKLOG = 32, ACCEPTED = 2 };

static int luasocket_listen(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_MASTER);
    double number = luaL_optnumber(L, 2, DEFAULT_BACKLOG);
    int backlog = number >= 0 && number < INT_MAX ? (int)number : INT_MAX, error = EBADF;
    if (luasocket->socket->core)
        error = thrum_socket_listen(luasocket->socket->core, backlog);
    if (error)
        return luasocket_push_failure(L, NULL, error);
    luasocket_set_state(L, 1, LUASOCKET_SERVER);
    lua_pushinteger(L, 1);
    return 1;
}

static int finish_accept(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        return luasocket_push_failure(L, fiber, luasocket_transfer_error(error));
    lua_pushvalue(L, ACCEPTED);
    return 1;
}

/* The owner of the connection stands on the stack before there is one. */
static int luasocket_accept(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_SERVER);
    int64_t start_ns = luasocket_start_ns(luasocket);
    lua_settop(L, ACCEPTED - 1);
    struct luasocket *accepted = luasocket_push(L, luasocket->runtime, luasocket->class,
                                                LUASOCKET_CLIENT, luasocket->family);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = luasocket->socket;
    transfer->accepted = accepted->socket->core;
    return luasocket_run(L, luasocket, fiber, TRANSFER_ACCEPT, start_ns, finish_accept);
}

const struct function_row luasocket_server_methods[] = {
    {"accept", luasocket_accept}, {"listen", luasocket_listen}, {0}};
