/* SPDX-License-Identifier: BSL-1.0 */
/* ip.connect and ip.connect_any: their arguments, checked and copied; the rest is Lua
 * (lua/thrum/ip/connect.lua), loaded when it is first asked for. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/socket/socket.h"
#include "bind/value/address.h"
#include "bind/value/args.h"
#include "bind/value/error.h"
#include "net/option.h"

enum { PART_SIZE = 64 };

/* Replace the table on the top by its field of that name. */
static void replace_by_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

static void copy_result(lua_State *L, int arg, lua_Integer i)
{
    char part[PART_SIZE];
    int is_integer = 0;
    snprintf(part, sizeof(part), "results[%lld]", (long long)i);
    lua_rawgeti(L, arg, i);
    if (!lua_istable(L, -1))
        error_raise_part(L, arg, -1, part, "table with address and port");
    lua_pushvalue(L, -1);
    replace_by_field(L, "address");
    if (!address_test(L, -1)) {
        snprintf(part, sizeof(part), "results[%lld].address", (long long)i);
        error_raise_part(L, arg, -1, part, "ip.address");
    }
    lua_rawseti(L, -3, 2 * i - 1);
    replace_by_field(L, "port");
    lua_Integer port = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_integer) : -1;
    if (!is_integer || port < 0 || port > UINT16_MAX) {
        snprintf(part, sizeof(part), "results[%lld].port", (long long)i);
        error_raise_part(L, arg, -1, part, "integer from 0 to 65535");
    }
    lua_pop(L, 1);
    lua_pushinteger(L, port);
    lua_rawseti(L, -2, 2 * i);
}

/* Push the list at `arg` as address, port, address, port, ...: nobody else can change that one. */
static void copy_results(lua_State *L, int arg)
{
    if (!lua_istable(L, arg))
        error_raise_arg(L, EINVAL, arg, "results", "list of tables with address and port");
    lua_Integer count = (lua_Integer)lua_rawlen(L, arg);
    if (count > INT_MAX / 2)
        error_raise_arg(L, EINVAL, arg, "results", "shorter list");
    luaL_checkstack(L, 8, "results");
    lua_newtable(L);
    for (lua_Integer i = 1; i <= count; i++)
        copy_result(L, arg, i);
}

static int finish(lua_State *L, int status, lua_KContext n_arguments)
{
    (void)status;
    return lua_gettop(L) - (int)n_arguments;
}

/* Call the chunk's function of that name with the values above `n_arguments`. Only datagram sockets
 * connect without a wait. */
static int call_chunk(lua_State *L, const char *name, int n_arguments, bool will_wait)
{
    struct fiber *fiber = call_begin(L, class_runtime(L)); /* before anything has begun */
    if (will_wait && !call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    class_runtime(L)->push_part(L, class_runtime(L), "ip_connect");
    replace_by_field(L, name);
    lua_insert(L, n_arguments + 1);
    lua_callk(L, lua_gettop(L) - n_arguments - 1, LUA_MULTRET, n_arguments, finish);
    return finish(L, LUA_OK, n_arguments);
}

int ip_connect(lua_State *L)
{
    enum { ARG_SOCKET = 1, ARG_RESULTS, ARG_CONDITION };
    lua_settop(L, ARG_CONDITION);
    const struct socket *socket = class_test(L, ARG_SOCKET, &socket_class);
    unsigned wanted = TRAIT_SOCKET | TRAIT_IP;
    if (!socket || (socket->class->traits & wanted) != wanted)
        error_raise_arg(L, EINVAL, ARG_SOCKET, "sock", "ip.tcp.socket or ip.udp.socket");
    if (!lua_isnil(L, ARG_CONDITION) && !lua_isfunction(L, ARG_CONDITION))
        error_raise_arg(L, EINVAL, ARG_CONDITION, "condition", "function or nil");
    lua_pushvalue(L, ARG_SOCKET);
    copy_results(L, ARG_RESULTS);
    lua_pushvalue(L, ARG_CONDITION);
    return call_chunk(L, "connect", ARG_CONDITION, socket->class->kind != THRUM_DATAGRAM);
}

/* The recommended delay of RFC 8305, 8. */
#define DEFAULT_DELAY 0.25

static double check_delay(lua_State *L, int arg)
{
    if (lua_isnil(L, arg))
        return DEFAULT_DELAY;
    if (!lua_istable(L, arg))
        error_raise_arg(L, EINVAL, arg, "options", "table or nil");
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "delay") != 0)
            error_raise_part(L, arg, lua_gettop(L), "a key of the options", "delay");
    }
    lua_pushvalue(L, arg);
    replace_by_field(L, "delay");
    if (lua_isnil(L, -1))
        return DEFAULT_DELAY;
    double delay;
    if (!args_is_seconds(L, -1, &delay))
        error_raise_part(L, arg, lua_gettop(L), "delay", ARGS_SECONDS);
    return delay;
}

int ip_connect_any(lua_State *L)
{
    enum { ARG_RESULTS = 1, ARG_OPTIONS };
    lua_settop(L, ARG_OPTIONS);
    double delay = check_delay(L, ARG_OPTIONS);
    lua_settop(L, ARG_OPTIONS);
    copy_results(L, ARG_RESULTS);
    lua_pushnumber(L, delay);
    return call_chunk(L, "connect_any", ARG_OPTIONS, true);
}
