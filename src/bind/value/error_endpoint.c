/* SPDX-License-Identifier: BSL-1.0 */
/* Errors that are about an endpoint. */
#include <lauxlib.h>

#include <thrum/address.h>

#include "bind/value/address.h"
#include "bind/value/class.h"
#include "bind/value/error.h"

void error_set_endpoint(lua_State *L, const struct thrum_endpoint *endpoint)
{
    struct thrum_address address;
    uint16_t port;
    const char *path;
    size_t length;
    if (thrum_endpoint_to_address(endpoint, &address, &port) == 0) {
        address_push(L, class_runtime(L), &address);
        lua_setfield(L, -2, "address");
        lua_pushinteger(L, port);
        lua_setfield(L, -2, "port");
    } else if (thrum_endpoint_to_path(endpoint, &path, &length) == 0 && length > 0) {
        lua_pushlstring(L, path, length);
        lua_setfield(L, -2, "path");
    }
}

void error_raise_endpoint(lua_State *L, int error, const struct thrum_endpoint *endpoint)
{
    error_push(L, error);
    error_set_endpoint(L, endpoint);
    lua_error(L);
    __builtin_unreachable();
}
