/* SPDX-License-Identifier: BSL-1.0 */
/* The module socket: receiving and sending datagrams, UDP's and unix ones. */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/luasocket/luasocket.h"
#include "bind/value/address.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"

/* The largest that UDP has, and more than LuaSocket's 8192. */
enum { DATAGRAM_SIZE = 65535 };

/* ---- buffers ----
 *
 * What is there at once is received into one piece of memory for all, and made a string before
 * anybody else runs. Who waits has a buffer of its own meanwhile, from a list of those that are
 * free. */

enum { ARG_SIZE = 2, PLACE_BUFFER = 3, MAX_POOLED = 64 };

static const char pool_key, scratch_key; /* in the registry: their addresses */

void luasocket_open_buffers(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &pool_key);
    lua_newuserdata(L, DATAGRAM_SIZE);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key);
}

static void take_buffer(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count == 0) {
        lua_newuserdata(L, DATAGRAM_SIZE);
    } else {
        lua_rawgeti(L, -1, count);
        lua_pushnil(L);
        lua_rawseti(L, -3, count);
    }
    lua_replace(L, PLACE_BUFFER);
    lua_settop(L, PLACE_BUFFER);
}

static void give_buffer_back(lua_State *L)
{
    if (lua_rawlen(L, PLACE_BUFFER) != DATAGRAM_SIZE)
        return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count < MAX_POOLED) {
        lua_pushvalue(L, PLACE_BUFFER);
        lua_rawseti(L, -2, count + 1);
    }
    lua_pop(L, 1);
}

static size_t check_size(lua_State *L)
{
    double size = luaL_optnumber(L, ARG_SIZE, DATAGRAM_SIZE);
    luaL_argcheck(L, size >= 0 && size < (double)PTRDIFF_MAX, ARG_SIZE, "invalid size");
    return (size_t)size;
}

/* ---- the sender ---- */

/* The text of the last sender's address is kept, unless it has a zone: what its interface is called
 * may change. */
static int push_ip_sender(lua_State *L, struct luasocket *luasocket,
                          const struct thrum_endpoint *sender)
{
    char text[THRUM_ADDRESS_TEXT_SIZE];
    struct thrum_address address, shown;
    uint16_t port;
    lua_getuservalue(L, 1);
    if (luasocket->has_last_sender && address_is_of(&luasocket->last_sender, &sender->sa.any)) {
        lua_rawgeti(L, -1, LUASOCKET_SENDER);
        lua_pushinteger(L, ntohs(sender->sa.v4.sin_port)); /* where v6 has its own, too */
        return 2;
    }
    if (thrum_endpoint_to_address(sender, &address, &port))
        return 0;
    shown = address;
    if (thrum_address_is_v4_mapped(&address))
        (void)thrum_address_to_v4(&address, &shown);
    lua_pushlstring(L, text, thrum_address_format(&shown, text));
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, LUASOCKET_SENDER);
    lua_pushinteger(L, port);
    luasocket->last_sender = address;
    luasocket->has_last_sender = !address.is_v6 || address.scope_id == 0;
    return 2;
}

static int push_sender(lua_State *L, struct luasocket *luasocket,
                       const struct thrum_endpoint *sender)
{
    const char *path = "";
    size_t length = 0;
    if (luasocket->class != &luasocket_unix_datagram_class)
        return push_ip_sender(L, luasocket, sender);
    if (sender->size > 0)
        (void)thrum_endpoint_to_path(sender, &path, &length);
    lua_pushlstring(L, path, length);
    return 1;
}

/* ---- receive ---- */

static int push_received(lua_State *L, struct fiber *fiber, int error, const void *data,
                         bool with_sender)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    if (error)
        return luasocket_push_failure(L, fiber, luasocket_transfer_error(error));
    struct thrum_endpoint sender;
    if (with_sender) /* outside any fiber a finalizer may use the operation */
        sender = transfer_of(fiber)->peer;
    lua_pushlstring(L, data, transfer_of(fiber)->message.length);
    if (!with_sender)
        return 1;
    lua_replace(L, ARG_SIZE);
    int count = push_sender(L, luasocket, &sender);
    lua_pushvalue(L, ARG_SIZE);
    lua_insert(L, -1 - count);
    return 1 + count;
}

static int end_wait(lua_State *L, struct fiber *fiber, int error, bool with_sender)
{
    int count = push_received(L, fiber, error, lua_touserdata(L, PLACE_BUFFER), with_sender);
    give_buffer_back(L);
    return count;
}

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    return end_wait(L, fiber, error, false);
}

static int finish_receive_from(lua_State *L, struct fiber *fiber, int error)
{
    return end_wait(L, fiber, error, true);
}

static int wait_to_receive(lua_State *L, struct fiber *fiber, int64_t deadline_ns, bool with_sender)
{
    struct thrum_message *message = &transfer_of(fiber)->message;
    if (message->size <= DATAGRAM_SIZE) {
        struct transfer described = *transfer_of(fiber); /* finalizers may run */
        take_buffer(L);
        *transfer_of(fiber) = described;
        message->data = lua_touserdata(L, PLACE_BUFFER);
    }
    return luasocket_wait(L, fiber, TRANSFER_RECEIVE, deadline_ns,
                          with_sender ? finish_receive_from : finish_receive);
}

static int ask(lua_State *L, struct fiber *fiber, bool with_sender)
{
    struct luasocket *luasocket = lua_touserdata(L, 1);
    size_t size = check_size(L);
    int64_t start_ns = luasocket_start_ns(luasocket), deadline_ns;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key); /* which keeps it */
    void *data = lua_touserdata(L, -1);
    lua_settop(L, PLACE_BUFFER);
    if (size > DATAGRAM_SIZE) {
        data = lua_newuserdata(L, size);
        lua_replace(L, PLACE_BUFFER);
    }
    struct transfer *transfer = transfer_begin(fiber, luasocket->socket, data, size, 0);
    if (with_sender)
        transfer->message.peer = &transfer->peer;
    int error = luasocket_try(luasocket, fiber, TRANSFER_RECEIVE, start_ns, &deadline_ns);
    if (error == EAGAIN)
        return wait_to_receive(L, fiber, deadline_ns, with_sender);
    return push_received(L, fiber, error, data, with_sender);
}

/* Others have run: they may have interrupted the fiber. */
static int ask_again(lua_State *L, struct fiber *fiber, bool with_sender)
{
    int error = call_take_error(L, fiber);
    fiber->has_scope_expired = error == ETIMEDOUT;
    return error ? luasocket_push_failure(L, fiber, error) : ask(L, fiber, with_sender);
}

static int ask_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)error;
    return ask_again(L, fiber, false);
}

static int ask_after_others_from(lua_State *L, struct fiber *fiber, int error)
{
    (void)error;
    return ask_again(L, fiber, true);
}

/* Others have their turn before, for what was received is in nobody's own memory. */
static int receive(lua_State *L, const struct luasocket *luasocket, bool with_sender)
{
    check_size(L);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    if (!call_is_due(fiber))
        return ask(L, fiber, with_sender);
    return call_yield(L, fiber, 0, with_sender ? ask_after_others_from : ask_after_others);
}

static int datagram_receive(lua_State *L)
{
    return receive(L, luasocket_self(L, LUASOCKET_ANY), false);
}

static int datagram_receivefrom(lua_State *L)
{
    return receive(L, luasocket_self(L, LUASOCKET_UNCONNECTED), true);
}

/* ---- send ---- */

enum { ARG_DATA = 2, ARG_RECEIVER = 3, ARG_PORT = 4 };

static int finish_send(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        return luasocket_push_failure(L, fiber, luasocket_transfer_error(error));
    lua_pushinteger(L, (lua_Integer)transfer_of(fiber)->message.length);
    return 1;
}

static int datagram_send(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_CONNECTED);
    size_t size;
    const char *data = luaL_checklstring(L, ARG_DATA, &size);
    int64_t start_ns = luasocket_start_ns(luasocket);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    transfer_begin(fiber, luasocket->socket, (void *)data, size, 0);
    return luasocket_run(L, luasocket, fiber, TRANSFER_SEND, start_ns, finish_send);
}

static int send_to(lua_State *L, struct luasocket *luasocket, struct thrum_endpoint *receiver)
{
    size_t size;
    const char *data = lua_tolstring(L, ARG_DATA, &size);
    int64_t start_ns = luasocket_start_ns(luasocket);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    struct transfer *transfer = transfer_begin(fiber, luasocket->socket, (void *)data, size, 0);
    transfer->message.peer = receiver;
    return luasocket_run(L, luasocket, fiber, TRANSFER_SEND, start_ns, finish_send);
}

static int fail_by(lua_State *L, const char *text)
{
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
}

static bool reaches_v4(const struct luasocket *luasocket)
{
    int v6_only = 1;
    size_t size = sizeof(v6_only);
    return !thrum_socket_get_option(luasocket->socket->core, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only,
                                    &size) &&
           !v6_only;
}

/* A port from 0 to 65535, a number or digits; else -1. */
static long check_port(lua_State *L)
{
    int is_integer = 0;
    if (lua_type(L, ARG_PORT) != LUA_TNUMBER)
        luaL_checkstring(L, ARG_PORT);
    lua_Integer port = lua_tointegerx(L, ARG_PORT, &is_integer);
    return is_integer && port >= 0 && port <= UINT16_MAX ? (long)port : -1;
}

/* Numeric addresses only: a lookup for each datagram would be slow. */
static int udp_sendto(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_UNCONNECTED);
    struct thrum_address address;
    struct thrum_endpoint receiver;
    size_t length;
    luaL_checkstring(L, ARG_DATA);
    const char *text = luaL_checklstring(L, ARG_RECEIVER, &length);
    long port = check_port(L);
    if (thrum_address_parse(text, length, &address))
        return fail_by(L, "Name or service not known");
    if (port < 0)
        return fail_by(L, "Servname not supported for ai_socktype");
    int family = address.is_v6 ? AF_INET6 : AF_INET;
    if (luasocket->family == AF_UNSPEC) {
        int error = luasocket_open(luasocket, family);
        if (error)
            return luasocket_push_failure(L, NULL, error);
    }
    if (luasocket->family == AF_INET6 && !address.is_v6 && luasocket_is_open(luasocket) &&
        reaches_v4(luasocket))
        address = thrum_address_to_v6(&address);
    else if (luasocket->family != family)
        return fail_by(L, "Address family for hostname not supported");
    thrum_endpoint_from_address(&address, (uint16_t)port, &receiver);
    return send_to(L, luasocket, &receiver);
}

static int unix_sendto(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_UNCONNECTED);
    struct thrum_endpoint receiver;
    size_t length;
    luaL_checkstring(L, ARG_DATA);
    const char *path = luaL_checklstring(L, ARG_RECEIVER, &length);
    int error = thrum_endpoint_from_path(path, length, &receiver);
    return error ? luasocket_push_failure(L, NULL, error) : send_to(L, luasocket, &receiver);
}

const struct function_row luasocket_datagram_methods[] = {{"receive", datagram_receive},
                                                          {"receivefrom", datagram_receivefrom},
                                                          {"send", datagram_send},
                                                          {"sendto", udp_sendto},
                                                          {0}};

const struct function_row luasocket_unix_methods[] = {{"receive", datagram_receive},
                                                      {"receivefrom", datagram_receivefrom},
                                                      {"send", datagram_send},
                                                      {"sendto", unix_sendto},
                                                      {0}};
