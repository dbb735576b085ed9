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
    face_stream_methods, face_datagram_methods, face_stream_methods, face_unix_methods};

static bool is_stream_kind(const struct luasocket_kind *kind)
{
    return methods_of_kind[kind - luasocket_kinds] == face_stream_methods;
}

/* native.socket_new(kind, state, family): made and opened, unless the family is 0. */
static int native_new(lua_State *L)
{
    const struct luasocket_kind *kind = &luasocket_kinds[luaL_checkoption(L, 1, NULL, kind_names)];
    enum face_state state = (enum face_state)luaL_checkinteger(L, 2);
    static const char *const names[] = {"any", "inet", "inet6", "unix", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    int family = families[luaL_checkoption(L, 3, "any", names)];
    struct face *face = face_push(L, class_runtime(L), kind->class, state, AF_UNSPEC);
    int error = family == AF_UNSPEC ? 0 : face_open(face, family);
    return error ? face_push_failure(L, NULL, error) : 1;
}

/* native.socket_methods(kind) -> the table of its C functions. */
static int native_methods(lua_State *L)
{
    const struct luasocket_kind *kind = &luasocket_kinds[luaL_checkoption(L, 1, NULL, kind_names)];
    struct class_state *state = class_get(L, class_runtime(L), kind->class);
    lua_newtable(L);
    class_set_functions(L, state, common_methods);
    class_set_functions(L, state, methods_of_kind[kind - luasocket_kinds]);
    if (is_stream_kind(kind))
        class_set_functions(L, state, face_server_methods);
    return 1;
}

/* native.socket_set_metatable(kind, state, metatable) */
static int native_set_metatable(lua_State *L)
{
    int kind = luaL_checkoption(L, 1, NULL, kind_names);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, luasocket_metatable_key(kind, luaL_checkinteger(L, 2)));
    return 0;
}

/* native.socket_of(face) -> what is behind it: a socket of ours, or nil for no object of these. */
static int native_of(lua_State *L)
{
    if (!class_test(L, 1, &luasocket_class))
        return 0;
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, FACE_SOCKET);
    return 1;
}

/* native.socket_pointer(object) -> its address, to tell objects apart. */
static int native_pointer(lua_State *L)
{
    lua_pushfstring(L, "%p", lua_topointer(L, 1));
    return 1;
}

/* native.socket_is(face, kind, states) */
static int native_is(lua_State *L)
{
    const struct face *face = class_test(L, 1, &luasocket_class);
    bool is_it = face && strcmp(luasocket_kinds[luasocket_kind_of(face->class)].name, luaL_checkstring(L, 2)) == 0 &&
                 face->state & luaL_checkinteger(L, 3);
    lua_pushboolean(L, is_it);
    return 1;
}

/* native.socket_family(face) -> "inet", "inet6", "unix", or nil while it is open */
static int native_family(lua_State *L)
{
    const struct face *face = class_check(L, 1, &luasocket_class, "socket");
    if (face->family == AF_UNSPEC)
        return 0;
    lua_pushstring(L, face->family == AF_INET    ? "inet"
                      : face->family == AF_INET6 ? "inet6"
                                                 : "unix");
    return 1;
}

/* native.socket_text(category, code) -> the text for an error object's */
static int native_text(lua_State *L)
{
    static const char *const names[] = {"system", "generic", "resolver", "misc", "fiber", NULL};
    enum thrum_category category = (enum thrum_category)luaL_checkoption(L, 1, NULL, names);
    face_push_text(L, thrum_error_from(category, (int)luaL_checkinteger(L, 2)));
    return 1;
}

/* native.socket_flag(face, name[, value]): for unix sockets, which have these without a use.
 * Returns the value, or nil if that failed. */
static int native_flag(lua_State *L)
{
    static const char *const names[] = {"keepalive", "reuseaddr", NULL};
    static const int options[] = {SO_KEEPALIVE, SO_REUSEADDR};
    const struct face *face = class_check(L, 1, &luasocket_class, "socket");
    int option = options[luaL_checkoption(L, 2, NULL, names)], value = lua_toboolean(L, 3);
    size_t size = sizeof(value);
    int error = EBADF;
    if (face_is_open(face) && lua_isnoneornil(L, 3))
        error = thrum_socket_get_option(face->socket->core, SOL_SOCKET, option, &value, &size);
    else if (face_is_open(face))
        error = thrum_socket_set_option(face->socket->core, SOL_SOCKET, option, &value, size);
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

/* native.socket_set_number(face, name, value) -> whether it was set. */
static int native_set_number(lua_State *L)
{
    const struct face *face = class_check(L, 1, &luasocket_class, "socket");
    const char *name = luaL_checkstring(L, 2);
    int value = (int)luaL_checkinteger(L, 3), error = EBADF;
    for (size_t i = 0; i < sizeof(number_options) / sizeof(number_options[0]); i++)
        if (strcmp(number_options[i].name, name) == 0 && face_is_open(face))
            error = thrum_socket_set_option(face->socket->core, number_options[i].level,
                                            number_options[i].option, &value, sizeof(value));
    lua_pushboolean(L, !error);
    return 1;
}

/* native.socket_multicast_if(face) -> the address, or nil */
static int native_multicast_if(lua_State *L)
{
    const struct face *face = class_check(L, 1, &luasocket_class, "socket");
    struct thrum_address address;
    char text[THRUM_ADDRESS_TEXT_SIZE];
    struct in_addr value;
    size_t size = sizeof(value);
    if (!face_is_open(face) ||
        thrum_socket_get_option(face->socket->core, IPPROTO_IP, IP_MULTICAST_IF, &value, &size))
        return 0;
    (void)thrum_address_from_bytes(&value, sizeof(value), &address);
    lua_pushlstring(L, text, thrum_address_format(&address, text));
    return 1;
}

/* ---- methods of all ---- */

static int face_close(lua_State *L)
{
    struct face *face = face_self(L, FACE_ANY);
    if (face_is_open(face)) {
        int fd = thrum_socket_native_handle(face->socket->core);
        (void)thrum_socket_close(face->socket->core);
        face_select_closing(L, fd);
    }
    face->is_connecting = false;
    face->wanted_fd = -1;
    lua_pushinteger(L, 1);
    return 1;
}

static int face_dirty(lua_State *L)
{
    lua_pushboolean(L, inbox_count(&face_self(L, FACE_ANY)->inbox) > 0);
    return 1;
}

static int face_getfamily(lua_State *L)
{
    const struct face *face = face_self(L, FACE_ANY);
    lua_pushstring(L, face->family == AF_INET6 ? "inet6" : "inet4");
    return 1;
}

static int face_getfd(lua_State *L)
{
    const struct face *face = face_self(L, FACE_ANY);
    lua_pushinteger(L, face_is_open(face) ? thrum_socket_native_handle(face->socket->core)
                                          : face->wanted_fd);
    return 1;
}

/* Nothing is closed: who sets another descriptor has taken the one before. */
static int face_setfd(lua_State *L)
{
    struct face *face = face_self(L, FACE_ANY);
    double number = luaL_checknumber(L, 2);
    int fd = number >= 0 && number <= INT_MAX ? (int)number : -1, old;
    face->wanted_fd = -1;
    if (face_is_open(face) && thrum_socket_native_handle(face->socket->core) == fd)
        return 0;
    if (face_is_open(face))
        (void)thrum_socket_release(face->socket->core, &old);
    int error = fd < 0 ? 0 : face_adopt(face, fd);
    return error && error != EEXIST ? face_push_failure(L, NULL, error) : 0;
}

static int face_settimeout(lua_State *L)
{
    struct face *face = face_self(L, FACE_ANY);
    double seconds = face_opt_seconds(L, 2);
    const char *mode = luaL_optstring(L, 3, "b");
    if (*mode == 'b')
        face->block_timeout = seconds;
    else if (*mode == 't' || *mode == 'r')
        face->total_timeout = seconds;
    else
        luaL_argerror(L, 3, "invalid timeout mode");
    lua_pushinteger(L, 1);
    return 1;
}

static int face_gettimeout(lua_State *L)
{
    const struct face *face = face_self(L, FACE_ANY);
    lua_pushnumber(L, face->block_timeout);
    lua_pushnumber(L, face->total_timeout);
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
        return face_push_failure(L, NULL, EAFNOSUPPORT);
    if (thrum_address_is_v4_mapped(&address))
        (void)thrum_address_to_v4(&address, &address);
    lua_pushlstring(L, text, thrum_address_format(&address, text));
    lua_pushinteger(L, port);
    lua_pushstring(L, address.is_v6 ? "inet6" : "inet");
    return 3;
}

static int face_getsockname(lua_State *L)
{
    const struct face *face = face_self(L, FACE_ANY);
    struct thrum_endpoint endpoint;
    int error = EBADF;
    if (face->socket->core)
        error = thrum_socket_local_endpoint(face->socket->core, &endpoint);
    return error ? face_push_failure(L, NULL, error) : push_endpoint(L, &endpoint);
}

static int face_getpeername(lua_State *L)
{
    bool is_udp = class_self(L) == class_get(L, class_runtime(L), &luasocket_udp_class);
    const struct face *face = face_self(L, is_udp ? FACE_CONNECTED : FACE_ANY);
    struct thrum_endpoint endpoint;
    int error = EBADF;
    if (face->socket->core)
        error = thrum_socket_remote_endpoint(face->socket->core, &endpoint);
    return error ? face_push_failure(L, NULL, error) : push_endpoint(L, &endpoint);
}

static double now_minus(int64_t then_ns)
{
    return (double)(thrum_steady_clock_now_ns() - then_ns) / NS_PER_SECOND;
}

static int face_getstats(lua_State *L)
{
    const struct face *face = face_self(L, FACE_ANY);
    lua_pushinteger(L, face->receiving.total);
    lua_pushinteger(L, face->sending.total);
    lua_pushnumber(L, now_minus(face->born_ns) + face->age);
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

static int face_setstats(lua_State *L)
{
    struct face *face = face_self(L, FACE_ANY);
    face->receiving.total = check_count(L, 2, face->receiving.total);
    face->sending.total = check_count(L, 3, face->sending.total);
    if (!lua_isnoneornil(L, 4))
        face->age = luaL_checknumber(L, 4) - now_minus(face->born_ns);
    lua_pushinteger(L, 1);
    return 1;
}

static int face_shutdown(lua_State *L)
{
    static const char *const names[] = {"receive", "send", "both", NULL};
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    struct face *face = face_self(L, FACE_CLIENT);
    int how = hows[luaL_checkoption(L, 2, "both", names)];
    if (face->socket->core)
        (void)thrum_socket_shutdown(face->socket->core, how);
    lua_pushinteger(L, 1);
    return 1;
}

static const struct function_row common_methods[] = {{"close", face_close},
                                                     {"dirty", face_dirty},
                                                     {"getfamily", face_getfamily},
                                                     {"getfd", face_getfd},
                                                     {"getpeername", face_getpeername},
                                                     {"getsockname", face_getsockname},
                                                     {"gettimeout", face_gettimeout},
                                                     {"setfd", face_setfd},
                                                     {"settimeout", face_settimeout},
                                                     {"getstats", face_getstats},
                                                     {"setstats", face_setstats},
                                                     {"shutdown", face_shutdown},
                                                     {0}};

static const struct function_row functions[] = {{"socket_new", native_new},
                                                {"socket_methods", native_methods},
                                                {"socket_set_metatable", native_set_metatable},
                                                {"socket_of", native_of},
                                                {"socket_is", native_is},
                                                {"socket_pointer", native_pointer},
                                                {"socket_family", native_family},
                                                {"socket_text", native_text},
                                                {"socket_flag", native_flag},
                                                {"socket_set_number", native_set_number},
                                                {"socket_multicast_if", native_multicast_if},
                                                {"select", face_select},
                                                {"select_closing", native_select_closing},
                                                {"sleep", time_sleep},
                                                {0}};

/* native.socket_lookups: ip.tcp's and ip.udp's own, under the module's name. */
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

void face_set_natives(lua_State *L, struct runtime *runtime)
{
    static const struct class *const classes[] = {
        &luasocket_class,             &luasocket_tcp_class,           &luasocket_udp_class,
        &luasocket_unix_stream_class, &luasocket_unix_datagram_class, &luasocket_watch_class};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        class_get(L, runtime, classes[i])->waits_in_place = true;
    class_set_functions(L, class_get(L, runtime, &luasocket_class), functions);
    class_set_functions(L, class_get(L, runtime, &luasocket_class), face_connect_natives);
    class_set_functions(L, class_get(L, runtime, &luasocket_class), face_wait_natives);
    face_open_buffers(L);
    set_lookups(L, runtime);
    lua_pushinteger(L, FACE_MAX_SELECTED);
    lua_setfield(L, -2, "socket_setsize");
}
