/* SPDX-License-Identifier: BSL-1.0 */
/* The endpoint codec of the IP families: an address and a port. */
#include <errno.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/socket.h"
#include "bind/value/address.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

/* A v4 address reaches a v6 socket mapped; a mapped one reaches a v4 socket as v4. */
static void adapt_family(lua_State *L, int arg, int family, struct thrum_address *address)
{
    if (family == AF_INET6)
        *address = thrum_address_to_v6(address);
    else if (thrum_address_to_v4(address, address))
        error_raise_arg(L, EAFNOSUPPORT, arg, "addr", "v4 address for a v4 socket");
}

static void check_ip(lua_State *L, int arg, int family, bool is_local,
                     struct thrum_endpoint *endpoint)
{
    struct thrum_address other;
    const struct thrum_address *address = address_test(L, arg);
    if (!address) {
        other = is_local ? address_check_or_text(L, arg) : *address_check(L, arg);
        address = &other;
    }
    uint16_t port = args_port(L, arg + 1);
    if (family != AF_UNSPEC && address->is_v6 != (family == AF_INET6)) {
        other = *address;
        adapt_family(L, arg, family, &other);
        address = &other;
    }
    thrum_endpoint_from_address(address, port, endpoint);
}

static int push_ip(lua_State *L, const struct thrum_endpoint *endpoint)
{
    struct thrum_address address;
    uint16_t port;
    int error = thrum_endpoint_to_address(endpoint, &address, &port);
    if (error)
        error_raise(L, error);
    address_push(L, class_runtime(L), &address);
    lua_pushinteger(L, port);
    return 2;
}

static int push_ip_sender(lua_State *L, int index, struct socket *socket,
                          const struct thrum_endpoint *endpoint)
{
    if (socket->has_last_address && address_is_of(&socket->last_address, &endpoint->sa.any)) {
        lua_getuservalue(L, index);
        lua_pushinteger(L, ntohs(endpoint->sa.v4.sin_port)); /* where v6 has its own, too */
        return 2;
    }
    push_ip(L, endpoint);
    lua_pushvalue(L, -2);
    lua_setuservalue(L, index);
    socket->last_address = *address_check(L, -2);
    socket->has_last_address = true;
    return 2;
}

static int check_ip_family(lua_State *L, int arg)
{
    const struct thrum_address *address = address_test(L, arg);
    if (address)
        return address->is_v6 ? AF_INET6 : AF_INET;
    if (lua_type(L, arg) == LUA_TSTRING) {
        const char *name = lua_tostring(L, arg);
        bool is_short = lua_rawlen(L, arg) == 2; /* and no NUL hides in it */
        if (is_short && strcmp(name, "v4") == 0)
            return AF_INET;
        if (is_short && strcmp(name, "v6") == 0)
            return AF_INET6;
    }
    error_raise_arg(L, EINVAL, arg, "address_family", "\"v4\", \"v6\" or an ip.address");
}

const struct endpoint_codec codec_ip = {2, 1, check_ip, push_ip, push_ip_sender, check_ip_family};
