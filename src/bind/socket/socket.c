/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets as Lua sees them: life, state, and how a class is put together from rows. */
#include "bind/socket/socket.h"

#include <errno.h>
#include <math.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "base/descriptor.h"
#include "bind/fiber/runtime.h"
#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/value/args.h"
#include "bind/value/error.h"
#include "bind/value/file_descriptor.h"
#include "net/option.h"

noreturn void socket_raise(lua_State *L, int error)
{
    if (error == EBADF)
        error_raise_detail(L, EBADF, "the socket is not open");
    error_raise(L, error);
}

static void raise_if(lua_State *L, int error)
{
    if (error)
        socket_raise(L, error);
}

/* ---- life ---- */

struct socket *socket_push(lua_State *L, const struct class_state *state)
{
    struct socket *socket = lua_newuserdata(L, sizeof(*socket));
    *socket = (struct socket){{&socket_class}, .runtime = state->runtime};
    socket->class = socket_class_of(state);
    socket->timeout = HUGE_VAL;
    class_push_metatable(L, state->class);
    lua_setmetatable(L, -2);
    if (!state->runtime->context)
        error_raise_detail(L, ECANCELED, "thrum has been closed in this state");
    raise_if(L, thrum_socket_new(state->runtime->context, socket->class->kind, &socket->core));
    return socket;
}

static int socket_new(lua_State *L)
{
    socket_push(L, class_self(L));
    return 1;
}

static int socket_pair(lua_State *L)
{
    const struct socket *a = socket_push(L, class_self(L));
    const struct socket *b = socket_push(L, class_self(L));
    raise_if(L, thrum_socket_pair(a->core, b->core));
    return 2;
}

static int socket_gc(lua_State *L)
{
    struct socket *socket = class_test(L, 1, &socket_class);
    if (!socket)
        return 0;
    thrum_socket_free(socket->core);
    socket->core = NULL;
    socket->object.class = NULL; /* a finalizer that still holds it meets no socket */
    return 0;
}

static int socket_open(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    int family = socket->class->codec->check_family(L, 2);
    raise_if(L, thrum_socket_open(socket->core, family, 0));
    return 0;
}

enum { KIND_SIZE = 64 };

noreturn static void raise_kind(lua_State *L, int error, int arg, int fd, const char *expected)
{
    char came[KIND_SIZE] = "a descriptor that is not open";
    (void)descriptor_describe(fd, came, sizeof(came));
    error_raise_arg_detail(L, error, arg, "fd", "%s expected, got %s", expected, came);
}

static bool is_same_kind(const struct descriptor_kind *a, const struct descriptor_kind *b)
{
    return a->family == b->family && a->type == b->type && a->is_listening == b->is_listening;
}

/* The core looks at family and type again; whether it listens, and what it speaks, is the class's
 * business. */
static void check_kind(lua_State *L, const struct socket_class *class, int family, int arg, int fd)
{
    char text[KIND_SIZE];
    struct descriptor_kind expected = {.family = family, .type = (int)class->kind}, actual;
    expected.protocol = descriptor_usual_protocol(family, expected.type);
    expected.is_listening = class->traits & TRAIT_ACCEPTOR;
    int error = descriptor_socket_kind(fd, &actual);
    if (!error && (!is_same_kind(&actual, &expected) || !descriptor_is_usual(&actual)))
        error = EINVAL;
    if (!error)
        return;
    descriptor_format_kind(&expected, text, sizeof(text));
    raise_kind(L, error, arg, fd, text);
}

static int socket_assign(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    const struct socket_class *class = socket->class;
    int family = class->codec->check_family(L, 2);
    int arg = 2 + class->codec->n_family;
    struct file_descriptor *descriptor = file_descriptor_check_open(L, arg, "fd");
    check_kind(L, class, family, arg, descriptor->fd);
    raise_if(L, thrum_socket_assign(socket->core, family, descriptor->fd));
    descriptor->fd = DESCRIPTOR_TAKEN;
    return 0;
}

/* The owner exists before the descriptor leaves the socket. */
static int socket_release(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    struct file_descriptor *descriptor = file_descriptor_push(L);
    raise_if(L, thrum_socket_release(socket->core, &descriptor->fd));
    return 1;
}

static int socket_close(lua_State *L)
{
    raise_if(L, thrum_socket_close(socket_self(L, 0)->core));
    return 0;
}

static int socket_cancel(lua_State *L)
{
    raise_if(L, thrum_socket_cancel(socket_self(L, 0)->core));
    return 0;
}

static int socket_shutdown(lua_State *L)
{
    static const char *const directions[] = {"receive", "send", "both", NULL};
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    const struct socket *socket = socket_self(L, TRAIT_SOCKET);
    int how = hows[args_choice(L, 2, "what", directions)];
    raise_if(L, thrum_socket_shutdown(socket->core, how));
    return 0;
}

static int socket_bind(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    struct thrum_endpoint endpoint;
    socket->class->codec->check(L, 2, thrum_socket_family(socket->core), true, &endpoint);
    int error = thrum_socket_bind(socket->core, &endpoint);
    if (error == EBADF)
        socket_raise(L, error);
    if (error)
        error_raise_endpoint(L, error, &endpoint);
    return 0;
}

static int socket_disconnect(lua_State *L)
{
    raise_if(L, thrum_socket_disconnect(socket_self(L, TRAIT_DATAGRAM)->core));
    return 0;
}

const struct socket_method_row socket_life_methods[] = {
    {{"open", socket_open}, 0},
    {{"assign", socket_assign}, 0},
    {{"release", socket_release}, 0},
    {{"close", socket_close}, 0},
    {{"cancel", socket_cancel}, 0},
    {{"bind", socket_bind}, 0},
    {{"shutdown", socket_shutdown}, TRAIT_SOCKET},
    {{"disconnect", socket_disconnect}, TRAIT_DATAGRAM},
    {{0}, 0}};

/* ---- properties ---- */

static int get_is_open(lua_State *L)
{
    lua_pushboolean(L, thrum_socket_is_open(socket_self(L, 0)->core));
    return 1;
}

typedef int endpoint_query(const thrum_socket *socket,
                           struct thrum_endpoint *endpoint) THRUM_NOEXCEPT;

/* Push value `which` of the endpoint that `query` tells. */
static int push_endpoint_value(lua_State *L, unsigned traits, endpoint_query *query, int which)
{
    const struct socket *socket = socket_self(L, traits);
    struct thrum_endpoint endpoint;
    raise_if(L, query(socket->core, &endpoint));
    int count = socket->class->codec->push(L, &endpoint);
    lua_pushvalue(L, which - count);
    return 1;
}

static int get_local_address(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_IP, thrum_socket_local_endpoint, 0);
}

static int get_local_port(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_IP, thrum_socket_local_endpoint, 1);
}

static int get_local_path(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_UNIX, thrum_socket_local_endpoint, 0);
}

static int get_remote_address(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_IP | TRAIT_SOCKET, thrum_socket_remote_endpoint, 0);
}

static int get_remote_port(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_IP | TRAIT_SOCKET, thrum_socket_remote_endpoint, 1);
}

static int get_remote_path(lua_State *L)
{
    return push_endpoint_value(L, TRAIT_UNIX | TRAIT_SOCKET, thrum_socket_remote_endpoint, 0);
}

static int get_at_mark(lua_State *L)
{
    const struct socket *socket = socket_self(L, TRAIT_IP | TRAIT_STREAM | TRAIT_SOCKET);
    bool is_at_mark;
    raise_if(L, thrum_socket_at_mark(socket->core, &is_at_mark));
    lua_pushboolean(L, is_at_mark);
    return 1;
}

static int get_timeout(lua_State *L)
{
    double timeout = socket_self(L, 0)->timeout;
    if (timeout == HUGE_VAL)
        lua_pushnil(L);
    else
        lua_pushnumber(L, timeout);
    return 1;
}

static int set_timeout(lua_State *L)
{
    struct socket *socket = socket_self(L, 0);
    socket->timeout = lua_isnil(L, 3) ? HUGE_VAL : args_seconds(L, 3);
    return 0;
}

const struct socket_property_row socket_properties[] = {
    {{"is_open", get_is_open, NULL}, 0},
    {{"local_address", get_local_address, NULL}, TRAIT_IP},
    {{"local_port", get_local_port, NULL}, TRAIT_IP},
    {{"remote_address", get_remote_address, NULL}, TRAIT_IP | TRAIT_SOCKET},
    {{"remote_port", get_remote_port, NULL}, TRAIT_IP | TRAIT_SOCKET},
    {{"local_path", get_local_path, NULL}, TRAIT_UNIX},
    {{"remote_path", get_remote_path, NULL}, TRAIT_UNIX | TRAIT_SOCKET},
    {{"at_mark", get_at_mark, NULL}, TRAIT_IP | TRAIT_STREAM | TRAIT_SOCKET},
    {{"timeout", get_timeout, set_timeout}, 0},
    {{0}, 0}};

/* ---- metamethods ---- */

static int socket_tostring(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    struct thrum_endpoint endpoint;
    char text[THRUM_ENDPOINT_TEXT_SIZE] = "";
    const char *state = thrum_socket_is_open(socket->core) ? "open" : "closed";
    if (!thrum_socket_local_endpoint(socket->core, &endpoint))
        thrum_endpoint_format(&endpoint, text);
    lua_pushfstring(L, "%s (%s)", class_self(L)->class->name, text[0] ? text : state);
    return 1;
}

const struct function_row socket_metamethods[] = {
    {"__gc", socket_gc}, {"__tostring", socket_tostring}, {0}};

/* ---- flags ---- */

int socket_check_given_flags(lua_State *L, int arg, int allowed, const char *expected)
{
    int is_integer = 0;
    lua_Integer flags = lua_type(L, arg) == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer || (flags & ~(lua_Integer)allowed))
        error_raise_arg(L, EINVAL, arg, "flags", expected);
    return (int)flags;
}

/* ---- functions of the classes ---- */

const struct socket_method_row socket_class_functions[] = {
    {{"new", socket_new}, 0}, {{"pair", socket_pair}, TRAIT_SOCKET | TRAIT_UNIX}, {{0}, 0}};
