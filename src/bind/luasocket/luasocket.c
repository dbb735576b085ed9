/* SPDX-License-Identifier: BSL-1.0 */
/* The objects of the module socket: kind, state, life and waits; see luasocket.h. */
#include "bind/luasocket/luasocket.h"

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
#include "bind/luasocket/open.h"
#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/value/error.h"
#include "net/option.h"

#define NS_PER_SECOND 1e9

/* ---- self ---- */

const struct luasocket_kind luasocket_kinds[LUASOCKET_N_KINDS] = {
    {&luasocket_tcp_class, &tcp_socket_class, "tcp"},
    {&luasocket_udp_class, &udp_socket_class, "udp"},
    {&luasocket_unix_stream_class, &unix_stream_socket_class, "unixstream"},
    {&luasocket_unix_datagram_class, &unix_datagram_socket_class, "unixdgram"},
};

/* Of the metatables in the registry: their addresses. */
static const char metatable_keys[LUASOCKET_N_KINDS][LUASOCKET_CONNECTED + 1];

int luasocket_kind_of(const struct class *class)
{
    int i = 0;
    while (luasocket_kinds[i].class != class)
        i++;
    return i;
}

const char *luasocket_metatable_key(int kind, enum luasocket_state state)
{
    return &metatable_keys[kind][state];
}

static const char *name_of(unsigned states)
{
    switch (states) {
    case LUASOCKET_MASTER:
        return "master";
    case LUASOCKET_CLIENT:
        return "client";
    case LUASOCKET_SERVER:
        return "server";
    case LUASOCKET_UNCONNECTED:
        return "unconnected";
    case LUASOCKET_CONNECTED:
        return "connected";
    default:
        return "any";
    }
}

noreturn static void raise_self(lua_State *L, unsigned states)
{
    const char *kind = luasocket_kinds[luasocket_kind_of(class_self(L)->class)].name;
    luaL_argerror(L, 1, lua_pushfstring(L, "%s{%s} expected", kind, name_of(states)));
    __builtin_unreachable();
}

int luasocket_adopt(struct luasocket *luasocket, int fd)
{
    struct descriptor_kind kind;
    int error = luasocket->socket->core ? 0 : EBADF;
    if (!error)
        error = descriptor_socket_kind(fd, &kind);
    if (!error) /* of any protocol: LuaSocket's programs ping with a udp object */
        error = thrum_socket_assign(luasocket->socket->core, kind.family, fd);
    if (!error)
        luasocket->family = kind.family;
    luasocket->wanted_fd = error == EEXIST ? fd : -1;
    return error;
}

struct luasocket *luasocket_self(lua_State *L, unsigned states)
{
    struct luasocket *luasocket = class_test(L, 1, &luasocket_class);
    if (!luasocket || luasocket->class != class_self(L)->class || !(luasocket->state & states))
        raise_self(L, states);
    if (__builtin_expect(luasocket->wanted_fd >= 0, false))
        (void)luasocket_adopt(luasocket, luasocket->wanted_fd);
    return luasocket;
}

/* ---- life ---- */

void luasocket_set_state(lua_State *L, int index, enum luasocket_state state)
{
    struct luasocket *luasocket = lua_touserdata(L, index);
    index = lua_absindex(L, index);
    luasocket->state = state;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[luasocket_kind_of(luasocket->class)][state]);
    lua_setmetatable(L, index);
}

struct luasocket *luasocket_push(lua_State *L, struct runtime *runtime, const struct class *class,
                                 enum luasocket_state state, int family)
{
    struct luasocket *luasocket = lua_newuserdata(L, sizeof(*luasocket));
    *luasocket = (struct luasocket){{NULL}, .class = class, .runtime = runtime, .family = family};
    luasocket->block_timeout = luasocket->total_timeout = -1;
    luasocket->wanted_fd = -1;
    list_init(&luasocket->receiving.queue);
    list_init(&luasocket->sending.queue);
    lua_createtable(L, LUASOCKET_N_PLACES, 0);
    luasocket->socket =
        socket_push(L, class_get(L, runtime, luasocket_kinds[luasocket_kind_of(class)].socket));
    lua_rawseti(L, -2, LUASOCKET_SOCKET);
    lua_setuservalue(L, -2);
    luasocket->born_ns = thrum_steady_clock_now_ns();
    luasocket->object.class = &luasocket_class;
    luasocket_set_state(L, -1, state);
    return luasocket;
}

/* LuaSocket's IPv6 sockets have nothing to do with IPv4. */
int luasocket_open(struct luasocket *luasocket, int family)
{
    const int yes = 1;
    thrum_socket *core = luasocket->socket->core;
    if (!core)
        return ECANCELED;
    if (thrum_socket_is_open(core))
        return 0;
    int error = thrum_socket_open(core, family, 0);
    if (!error && family == AF_INET6)
        (void)thrum_socket_set_option(core, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (!error)
        luasocket->family = family;
    return error;
}

/* ---- waits ---- */

double luasocket_opt_seconds(lua_State *L, int arg)
{
    double seconds = luaL_optnumber(L, arg, -1);
    return isnan(seconds) ? -1 : seconds;
}

bool luasocket_may_wait(const struct luasocket *luasocket, int64_t start_ns, int64_t *deadline_ns)
{
    *deadline_ns = NO_DEADLINE;
    if (luasocket->block_timeout == 0)
        return false;
    if (luasocket->block_timeout > 0)
        *deadline_ns = call_deadline_after(luasocket->block_timeout);
    if (luasocket->total_timeout >= 0) {
        double rest = luasocket->total_timeout -
                      (double)(thrum_steady_clock_now_ns() - start_ns) / NS_PER_SECOND;
        int64_t end_ns = rest > 0 ? call_deadline_after(rest) : 0;
        if (end_ns < *deadline_ns)
            *deadline_ns = end_ns;
    }
    return *deadline_ns != 0;
}

int luasocket_suspend(lua_State *L, struct fiber *fiber, int64_t deadline_ns, call_finish *finish)
{
    fiber->has_scope_expired = false;
    return transfer_suspend(L, fiber, deadline_ns, finish);
}

int luasocket_try(const struct luasocket *luasocket, struct fiber *fiber, enum transfer_type type,
                  int64_t start_ns, int64_t *deadline_ns)
{
    if (!luasocket->socket->core)
        return EBADF;
    int error = transfer_try(fiber, type);
    if (error == EAGAIN && luasocket_is_impatient(luasocket))
        error = transfer_try(fiber, type);
    if (error == EAGAIN && !luasocket_may_wait(luasocket, start_ns, deadline_ns))
        error = ETIMEDOUT;
    return error;
}

int luasocket_wait(lua_State *L, struct fiber *fiber, enum transfer_type type, int64_t deadline_ns,
                   call_finish *finish)
{
    int error = transfer_start(fiber, type, deadline_ns);
    return error ? finish(L, fiber, error) : luasocket_suspend(L, fiber, deadline_ns, finish);
}

int luasocket_run(lua_State *L, const struct luasocket *luasocket, struct fiber *fiber,
                  enum transfer_type type, int64_t start_ns, call_finish *finish)
{
    int64_t deadline_ns;
    int error = luasocket_try(luasocket, fiber, type, start_ns, &deadline_ns);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    return luasocket_wait(L, fiber, type, deadline_ns, finish);
}
