/* SPDX-License-Identifier: BSL-1.0 */
/* The module socket: the methods that all its objects have, and what its Lua part is given. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>
#include <thrum/timer.h>

#include "base/descriptor.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/luasocket/luasocket.h"
#include "bind/luasocket/open.h"
#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/value/error.h"
#include "net/option.h"

#define NS_PER_SECOND 1e9

static const struct function_row common_methods[];

static const char *const kind_names[] = {"tcp", "udp", "unixstream", "unixdgram", NULL};

/* What a kind has besides, in the order of luasocket_kinds. */
static const struct function_row *const methods_of_kind[] = {
    luasocket_stream_methods, luasocket_datagram_methods, luasocket_stream_methods,
    luasocket_unix_methods};

static bool is_stream_kind(const struct luasocket_kind *kind)
{
    return methods_of_kind[kind - luasocket_kinds] == luasocket_stream_methods;
}

/* internal.socket_new(kind, state, family): made and opened, unless the family is 0. */
static int internal_new(lua_State *L)
{
    const struct luasocket_kind *kind = &luasocket_kinds[luaL_checkoption(L, 1, NULL, kind_names)];
    enum luasocket_state state = (enum luasocket_state)luaL_checkinteger(L, 2);
    static const char *const names[] = {"any", "inet", "inet6", "unix", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    int family = families[luaL_checkoption(L, 3, "any", names)];
    struct luasocket *luasocket =
        luasocket_push(L, class_runtime(L), kind->class, state, AF_UNSPEC);
    int error = family == AF_UNSPEC ? 0 : luasocket_open(luasocket, family);
    return error ? luasocket_push_failure(L, NULL, error) : 1;
}

/* internal.socket_methods(kind) -> the table of its C functions. */
static int internal_methods(lua_State *L)
{
    const struct luasocket_kind *kind = &luasocket_kinds[luaL_checkoption(L, 1, NULL, kind_names)];
    struct class_state *state = class_get(L, class_runtime(L), kind->class);
    lua_newtable(L);
    class_set_functions(L, state, common_methods);
    class_set_functions(L, state, methods_of_kind[kind - luasocket_kinds]);
    if (is_stream_kind(kind))
        class_set_functions(L, state, luasocket_server_methods);
    return 1;
}

/* internal.socket_set_metatable(kind, state, metatable) */
static int internal_set_metatable(lua_State *L)
{
    int kind = luaL_checkoption(L, 1, NULL, kind_names);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, luasocket_metatable_key(kind, luaL_checkinteger(L, 2)));
    return 0;
}

/* internal.socket_of(luasocket) -> what is behind it: a socket of ours, or nil for no object of
 * these. */
static int internal_of(lua_State *L)
{
    if (!class_test(L, 1, &luasocket_class))
        return 0;
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, LUASOCKET_SOCKET);
    return 1;
}

/* internal.socket_pointer(object) -> its address, to tell objects apart. */
static int internal_pointer(lua_State *L)
{
    lua_pushfstring(L, "%p", lua_topointer(L, 1));
    return 1;
}

/* internal.socket_is(luasocket, kind, states) */
static int internal_is(lua_State *L)
{
    const struct luasocket *luasocket = class_test(L, 1, &luasocket_class);
    bool is_it = luasocket &&
                 strcmp(luasocket_kinds[luasocket_kind_of(luasocket->class)].name,
                        luaL_checkstring(L, 2)) == 0 &&
                 luasocket->state & luaL_checkinteger(L, 3);
    lua_pushboolean(L, is_it);
    return 1;
}

/* internal.socket_family(luasocket) -> "inet", "inet6", "unix", or nil while it is open */
static int internal_family(lua_State *L)
{
    const struct luasocket *luasocket = class_check(L, 1, &luasocket_class, "socket");
    if (luasocket->family == AF_UNSPEC)
        return 0;
    lua_pushstring(L, luasocket->family == AF_INET    ? "inet"
                      : luasocket->family == AF_INET6 ? "inet6"
                                                      : "unix");
    return 1;
}

/* internal.socket_text(category, code) -> the text for an error object's */
static int internal_text(lua_State *L)
{
    static const char *const names[] = {"system", "generic", "resolver", "misc", "fiber", NULL};
    enum thrum_category category = (enum thrum_category)luaL_checkoption(L, 1, NULL, names);
    luasocket_push_text(L, thrum_error_from(category, (int)luaL_checkinteger(L, 2)));
    return 1;
}

/* internal.socket_flag(luasocket, name[, value]): for unix sockets, which have these without a use.
 * Returns the value, or nil if that failed. */
static int internal_flag(lua_State *L)
{
    static const char *const names[] = {"keepalive", "reuseaddr", NULL};
    static const int options[] = {SO_KEEPALIVE, SO_REUSEADDR};
    const struct luasocket *luasocket = class_check(L, 1, &luasocket_class, "socket");
    int option = options[luaL_checkoption(L, 2, NULL, names)], value = lua_toboolean(L, 3);
    size_t size = sizeof(value);
    int error = EBADF;
    if (luasocket_is_open(luasocket) && lua_isnoneornil(L, 3))
        error = thrum_socket_get_option(luasocket->socket->core, SOL_SOCKET, option, &value, &size);
    else if (luasocket_is_open(luasocket))
        error = thrum_socket_set_option(luasocket->socket->core, SOL_SOCKET, option, &value, size);
    if (error)
        return 0;
    lua_pushboolean(L, value);
    return 1;
}

/* LuaSocket gives the system any int, and so do we: the options of our own classes know limits. */
static const struct {
    const char *name;
    int level, option;
} number_options[] = {
    {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF},
    {"send-buffer-size", SOL_SOCKET, SO_SNDBUF},
    {"ip-multicast-ttl", IPPROTO_IP, IP_MULTICAST_TTL},
    {"ipv6-unicast-hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {"ipv6-multicast-hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
#ifdef TCP_KEEPIDLE
    {"tcp-keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
#endif
#ifdef TCP_KEEPCNT
    {"tcp-keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
#endif
#ifdef TCP_KEEPINTVL
    {"tcp-keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
#endif
#ifdef TCP_DEFER_ACCEPT
    {"tcp-defer-accept", IPPROTO_TCP, TCP_DEFER_ACCEPT},
#endif
#ifdef TCP_FASTOPEN
    {"tcp-fastopen", IPPROTO_TCP, TCP_FASTOPEN},
#endif
#ifdef TCP_FASTOPEN_CONNECT
    {"tcp-fastopen-connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
#endif
};

/* internal.socket_set_number(luasocket, name, value) -> whether it was set. */
static int internal_set_number(lua_State *L)
{
    const struct luasocket *luasocket = class_check(L, 1, &luasocket_class, "socket");
    const char *name = luaL_checkstring(L, 2);
    int value = (int)luaL_checkinteger(L, 3), error = EBADF;
    for (size_t i = 0; i < sizeof(number_options) / sizeof(number_options[0]); i++)
        if (strcmp(number_options[i].name, name) == 0 && luasocket_is_open(luasocket))
            error = thrum_socket_set_option(luasocket->socket->core, number_options[i].level,
                                            number_options[i].option, &value, sizeof(value));
    lua_pushboolean(L, !error);
    return 1;
}

/* internal.socket_multicast_if(luasocket) -> the address, or nil */
static int internal_multicast_if(lua_State *L)
{
    const struct luasocket *luasocket = class_check(L, 1, &luasocket_class, "socket");
    struct thrum_address address;
    char text[THRUM_ADDRESS_TEXT_SIZE];
    struct in_addr value;
    size_t size = sizeof(value);
    if (!luasocket_is_open(luasocket) ||
        thrum_socket_get_option(luasocket->socket->core, IPPROTO_IP, IP_MULTICAST_IF, &value,
                                &size))
        return 0;
    (void)thrum_address_from_bytes(&value, sizeof(value), &address);
    lua_pushlstring(L, text, thrum_address_format(&address, text));
    return 1;
}

/* ---- methods of all ---- */

static int luasocket_close(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    if (luasocket_is_open(luasocket)) {
        int fd = thrum_socket_native_handle(luasocket->socket->core);
        (void)thrum_socket_close(luasocket->socket->core);
        luasocket_select_closing(L, fd);
    }
    luasocket->is_connecting = false;
    luasocket->wanted_fd = -1;
    lua_pushinteger(L, 1);
    return 1;
}

static int luasocket_dirty(lua_State *L)
{
    lua_pushboolean(L, read_buffer_count(&luasocket_self(L, LUASOCKET_ANY)->read_buffer) > 0);
    return 1;
}

static int luasocket_getfamily(lua_State *L)
{
    const struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    lua_pushstring(L, luasocket->family == AF_INET6 ? "inet6" : "inet4");
    return 1;
}

static int luasocket_getfd(lua_State *L)
{
    const struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    lua_pushinteger(L, luasocket_is_open(luasocket)
                           ? thrum_socket_native_handle(luasocket->socket->core)
                           : luasocket->wanted_fd);
    return 1;
}

/* Nothing is closed: who sets another descriptor has taken the one before. */
static int luasocket_setfd(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    double number = luaL_checknumber(L, 2);
    int fd = number >= 0 && number <= INT_MAX ? (int)number : -1, old;
    luasocket->wanted_fd = -1;
    if (luasocket_is_open(luasocket) && thrum_socket_native_handle(luasocket->socket->core) == fd)
        return 0;
    if (luasocket_is_open(luasocket))
        (void)thrum_socket_release(luasocket->socket->core, &old);
    int error = fd < 0 ? 0 : luasocket_adopt(luasocket, fd);
    return error && error != EEXIST ? luasocket_push_failure(L, NULL, error) : 0;
}

static int luasocket_settimeout(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    double seconds = luasocket_opt_seconds(L, 2);
    const char *mode = luaL_optstring(L, 3, "b");
    if (*mode == 'b')
        luasocket->block_timeout = seconds;
    else if (*mode == 't' || *mode == 'r')
        luasocket->total_timeout = seconds;
    else
        luaL_argerror(L, 3, "invalid timeout mode");
    lua_pushinteger(L, 1);
    return 1;
}

static int luasocket_gettimeout(lua_State *L)
{
    const struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    lua_pushnumber(L, luasocket->block_timeout);
    lua_pushnumber(L, luasocket->total_timeout);
    return 2;
}

static int push_endpoint(lua_State *L, const struct thrum_endpoint *endpoint)
{
    char text[THRUM_ADDRESS_TEXT_SIZE];
    struct thrum_address address;
    uint16_t port;
    if (endpoint->sa.any.sa_family == AF_UNIX) {
        const char *path = "";
        size_t length = 0;
        (void)thrum_endpoint_to_path(endpoint, &path, &length);
        lua_pushlstring(L, path, length);
        return 1;
    }
    if (thrum_endpoint_to_address(endpoint, &address, &port))
        return luasocket_push_failure(L, NULL, EAFNOSUPPORT);
    if (thrum_address_is_v4_mapped(&address))
        (void)thrum_address_to_v4(&address, &address);
    lua_pushlstring(L, text, thrum_address_format(&address, text));
    lua_pushinteger(L, port);
    lua_pushstring(L, address.is_v6 ? "inet6" : "inet");
    return 3;
}

static int luasocket_getsockname(lua_State *L)
{
    const struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    struct thrum_endpoint endpoint;
    int error = EBADF;
    if (luasocket->socket->core)
        error = thrum_socket_local_endpoint(luasocket->socket->core, &endpoint);
    return error ? luasocket_push_failure(L, NULL, error) : push_endpoint(L, &endpoint);
}

static int luasocket_getpeername(lua_State *L)
{
    bool is_udp = class_self(L) == class_get(L, class_runtime(L), &luasocket_udp_class);
    const struct luasocket *luasocket =
        luasocket_self(L, is_udp ? LUASOCKET_CONNECTED : LUASOCKET_ANY);
    struct thrum_endpoint endpoint;
    int error = EBADF;
    if (luasocket->socket->core)
        error = thrum_socket_remote_endpoint(luasocket->socket->core, &endpoint);
    return error ? luasocket_push_failure(L, NULL, error) : push_endpoint(L, &endpoint);
}

static double now_minus(int64_t then_ns)
{
    return (double)(thrum_steady_clock_now_ns() - then_ns) / NS_PER_SECOND;
}

static int luasocket_getstats(lua_State *L)
{
    const struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    lua_pushinteger(L, luasocket->receiving.total);
    lua_pushinteger(L, luasocket->sending.total);
    lua_pushnumber(L, now_minus(luasocket->born_ns) + luasocket->age);
    return 3;
}

static lua_Integer check_count(lua_State *L, int arg, lua_Integer fallback)
{
    if (lua_isnoneornil(L, arg))
        return fallback;
    double count = luaL_checknumber(L, arg);
    luaL_argcheck(L, fabs(count) < 0x1p63, arg, "count out of range");
    return (lua_Integer)count;
}

static int luasocket_setstats(lua_State *L)
{
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_ANY);
    luasocket->receiving.total = check_count(L, 2, luasocket->receiving.total);
    luasocket->sending.total = check_count(L, 3, luasocket->sending.total);
    if (!lua_isnoneornil(L, 4))
        luasocket->age = luaL_checknumber(L, 4) - now_minus(luasocket->born_ns);
    lua_pushinteger(L, 1);
    return 1;
}

static int luasocket_shutdown(lua_State *L)
{
    static const char *const names[] = {"receive", "send", "both", NULL};
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    struct luasocket *luasocket = luasocket_self(L, LUASOCKET_CLIENT);
    int how = hows[luaL_checkoption(L, 2, "both", names)];
    if (luasocket->socket->core)
        (void)thrum_socket_shutdown(luasocket->socket->core, how);
    lua_pushinteger(L, 1);
    return 1;
}

static const struct function_row common_methods[] = {{"close", luasocket_close},
                                                     {"dirty", luasocket_dirty},
                                                     {"getfamily", luasocket_getfamily},
                                                     {"getfd", luasocket_getfd},
                                                     {"getpeername", luasocket_getpeername},
                                                     {"getsockname", luasocket_getsockname},
                                                     {"gettimeout", luasocket_gettimeout},
                                                     {"setfd", luasocket_setfd},
                                                     {"settimeout", luasocket_settimeout},
                                                     {"getstats", luasocket_getstats},
                                                     {"setstats", luasocket_setstats},
                                                     {"shutdown", luasocket_shutdown},
                                                     {0}};

static const struct function_row functions[] = {{"socket_new", internal_new},
                                                {"socket_methods", internal_methods},
                                                {"socket_set_metatable", internal_set_metatable},
                                                {"socket_of", internal_of},
                                                {"socket_is", internal_is},
                                                {"socket_pointer", internal_pointer},
                                                {"socket_family", internal_family},
                                                {"socket_text", internal_text},
                                                {"socket_flag", internal_flag},
                                                {"socket_set_number", internal_set_number},
                                                {"socket_multicast_if", internal_multicast_if},
                                                {"select", luasocket_select},
                                                {"select_closing", internal_select_closing},
                                                {"sleep", time_sleep},
                                                {0}};

/* internal.socket_lookups: ip.tcp's and ip.udp's own, under the module's name. */
static void set_lookups(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    lua_newtable(L);
    resolver_set_functions(L, class_get(L, runtime, &luasocket_tcp_class), SOCK_STREAM);
    lua_setfield(L, -2, "tcp");
    lua_newtable(L);
    resolver_set_functions(L, class_get(L, runtime, &luasocket_udp_class), SOCK_DGRAM);
    lua_setfield(L, -2, "udp");
    lua_setfield(L, -2, "socket_lookups");
}

void luasocket_add_internal_functions(lua_State *L, struct runtime *runtime)
{
    static const struct class *const classes[] = {&luasocket_class,
                                                  &luasocket_tcp_class,
                                                  &luasocket_udp_class,
                                                  &luasocket_unix_stream_class,
                                                  &luasocket_unix_datagram_class,
                                                  &luasocket_watch_class};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        class_get(L, runtime, classes[i])->waits_in_place = true;
    class_set_functions(L, class_get(L, runtime, &luasocket_class), functions);
    class_set_functions(L, class_get(L, runtime, &luasocket_class),
                        luasocket_connect_internal_functions);
    class_set_functions(L, class_get(L, runtime, &luasocket_class),
                        luasocket_wait_internal_functions);
    luasocket_open_buffers(L);
    set_lookups(L, runtime);
    lua_pushinteger(L, LUASOCKET_MAX_SELECTED);
    lua_setfield(L, -2, "socket_setsize");
}
