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
#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/fiber/open.h"
#include "bind/luasocket/open.h"
#include "bind/socket/open.h"
#include "bind/socket/classes.h"
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
static const char metatable_keys[LUASOCKET_N_KINDS][FACE_CONNECTED + 1];

int luasocket_kind_of(const struct class *class)
{
    int i = 0;
    while (luasocket_kinds[i].class != class)
        i++;
    return i;
}

const char *luasocket_metatable_key(int kind, enum face_state state)
{
    return &metatable_keys[kind][state];
}

static const char *name_of(unsigned states)
{
    switch (states) {
    case FACE_MASTER:
        return "master";
    case FACE_CLIENT:
        return "client";
    case FACE_SERVER:
        return "server";
    case FACE_UNCONNECTED:
        return "unconnected";
    case FACE_CONNECTED:
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

int face_adopt(struct face *face, int fd)
{
    struct descriptor_kind kind;
    int error = face->socket->core ? 0 : EBADF;
    if (!error)
        error = descriptor_socket_kind(fd, &kind);
    if (!error) /* of any protocol: LuaSocket's programs ping with a udp object */
        error = thrum_socket_assign(face->socket->core, kind.family, fd);
    if (!error)
        face->family = kind.family;
    face->wanted_fd = error == EEXIST ? fd : -1;
    return error;
}

struct face *face_self(lua_State *L, unsigned states)
{
    struct face *face = class_test(L, 1, &luasocket_class);
    if (!face || face->class != class_self(L)->class || !(face->state & states))
        raise_self(L, states);
    if (__builtin_expect(face->wanted_fd >= 0, false))
        (void)face_adopt(face, face->wanted_fd);
    return face;
}

/* ---- life ---- */

void face_set_state(lua_State *L, int index, enum face_state state)
{
    struct face *face = lua_touserdata(L, index);
    index = lua_absindex(L, index);
    face->state = state;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[luasocket_kind_of(face->class)][state]);
    lua_setmetatable(L, index);
}

struct face *face_push(lua_State *L, struct runtime *runtime, const struct class *class,
                       enum face_state state, int family)
{
    struct face *face = lua_newuserdata(L, sizeof(*face));
    *face = (struct face){{NULL}, .class = class, .runtime = runtime, .family = family};
    face->block_timeout = face->total_timeout = -1;
    face->wanted_fd = -1;
    list_init(&face->receiving.queue);
    list_init(&face->sending.queue);
    lua_createtable(L, FACE_N_PLACES, 0);
    face->socket = socket_push(L, class_get(L, runtime, luasocket_kinds[luasocket_kind_of(class)].socket));
    lua_rawseti(L, -2, FACE_SOCKET);
    lua_setuservalue(L, -2);
    face->born_ns = thrum_steady_clock_now_ns();
    face->object.class = &luasocket_class;
    face_set_state(L, -1, state);
    return face;
}

/* LuaSocket's IPv6 sockets have nothing to do with IPv4. */
int face_open(struct face *face, int family)
{
    const int yes = 1;
    thrum_socket *core = face->socket->core;
    if (!core)
        return ECANCELED;
    if (thrum_socket_is_open(core))
        return 0;
    int error = thrum_socket_open(core, family, 0);
    if (!error && family == AF_INET6)
        (void)thrum_socket_set_option(core, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (!error)
        face->family = family;
    return error;
}

/* ---- waits ---- */

double face_opt_seconds(lua_State *L, int arg)
{
    double seconds = luaL_optnumber(L, arg, -1);
    return isnan(seconds) ? -1 : seconds;
}

bool face_may_wait(const struct face *face, int64_t start_ns, int64_t *deadline_ns)
{
    *deadline_ns = NO_DEADLINE;
    if (face->block_timeout == 0)
        return false;
    if (face->block_timeout > 0)
        *deadline_ns = call_deadline_after(face->block_timeout);
    if (face->total_timeout >= 0) {
        double rest =
            face->total_timeout - (double)(thrum_steady_clock_now_ns() - start_ns) / NS_PER_SECOND;
        int64_t end_ns = rest > 0 ? call_deadline_after(rest) : 0;
        if (end_ns < *deadline_ns)
            *deadline_ns = end_ns;
    }
    return *deadline_ns != 0;
}

int face_suspend(lua_State *L, struct fiber *fiber, int64_t deadline_ns, call_finish *finish)
{
    fiber->is_limited = false;
    return transfer_suspend(L, fiber, deadline_ns, finish);
}

int face_try(const struct face *face, struct fiber *fiber, enum transfer_type type,
             int64_t start_ns, int64_t *deadline_ns)
{
    if (!face->socket->core)
        return EBADF;
    int error = transfer_try(fiber, type);
    if (error == EAGAIN && face_is_impatient(face))
        error = transfer_try(fiber, type);
    if (error == EAGAIN && !face_may_wait(face, start_ns, deadline_ns))
        error = ETIMEDOUT;
    return error;
}

int face_wait(lua_State *L, struct fiber *fiber, enum transfer_type type, int64_t deadline_ns,
              call_finish *finish)
{
    int error = transfer_start(fiber, type, deadline_ns);
    return error ? finish(L, fiber, error) : face_suspend(L, fiber, deadline_ns, finish);
}

int face_run(lua_State *L, const struct face *face, struct fiber *fiber, enum transfer_type type,
             int64_t start_ns, call_finish *finish)
{
    int64_t deadline_ns;
    int error = face_try(face, fiber, type, start_ns, &deadline_ns);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    return face_wait(L, fiber, type, deadline_ns, finish);
}
