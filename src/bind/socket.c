/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets as Lua sees them: life, state, and how a class is put together from rows. */
#include "bind/socket.h"

#include <errno.h>
#include <math.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/args.h"
#include "bind/error.h"
#include "bind/file_descriptor.h"
#include "bind/modules.h"
#include "bind/runtime.h"
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

static int socket_new(lua_State *L)
{
    const struct noun *noun = noun_self(L);
    struct socket *socket = lua_newuserdata(L, sizeof(*socket));
    *socket = (struct socket){{&noun_kinds[NOUN_SOCKET]}, .runtime = noun->runtime};
    socket->class = noun->socket_class;
    socket->timeout = HUGE_VAL;
    noun_push_metatable(L, noun);
    lua_setmetatable(L, -2);
    if (!noun->runtime->context)
        error_raise_detail(L, ECANCELED, "thrum has been closed in this state");
    raise_if(L, thrum_socket_new(noun->runtime->context, socket->class->kind, &socket->core));
    return 1;
}

static int socket_gc(lua_State *L)
{
    struct socket *socket = noun_test(L, 1, NOUN_SOCKET);
    if (!socket)
        return 0;
    thrum_socket_free(socket->core);
    socket->core = NULL;
    socket->object.kind = NULL; /* a finalizer that still holds it meets no socket */
    return 0;
}

static int socket_open(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    int family = socket->class->codec->check_family(L, 2);
    raise_if(L, thrum_socket_open(socket->core, family, 0));
    return 0;
}

static int socket_assign(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    int family = socket->class->codec->check_family(L, 2);
    struct file_descriptor *descriptor = file_descriptor_check_open(L, 3, "fd");
    int error = thrum_socket_assign(socket->core, family, descriptor->fd);
    if (error == EINVAL)
        error_raise_arg(L, EINVAL, 3, "fd", "socket of this class and family");
    raise_if(L, error);
    descriptor->fd = DESCRIPTOR_TAKEN;
    return 0;
}

/* The owner exists before the descriptor leaves the socket. */
static int socket_release(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    struct file_descriptor *descriptor = file_descriptor_push(L, noun_runtime(L));
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

static const struct socket_method_row socket_life_methods[] = {
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
static int push_endpoint_value(lua_State *L, endpoint_query *query, int which)
{
    const struct socket *socket = socket_self(L, TRAIT_IP);
    struct thrum_endpoint endpoint;
    raise_if(L, query(socket->core, &endpoint));
    int count = socket->class->codec->push(L, &endpoint);
    lua_pushvalue(L, which - count);
    return 1;
}

static int get_local_address(lua_State *L)
{
    return push_endpoint_value(L, thrum_socket_local_endpoint, 0);
}

static int get_local_port(lua_State *L)
{
    return push_endpoint_value(L, thrum_socket_local_endpoint, 1);
}

static int get_remote_address(lua_State *L)
{
    return push_endpoint_value(L, thrum_socket_remote_endpoint, 0);
}

static int get_remote_port(lua_State *L)
{
    return push_endpoint_value(L, thrum_socket_remote_endpoint, 1);
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

static const struct socket_property_row socket_properties[] = {
    {{"is_open", get_is_open, NULL}, 0},
    {{"local_address", get_local_address, NULL}, TRAIT_IP},
    {{"local_port", get_local_port, NULL}, TRAIT_IP},
    {{"remote_address", get_remote_address, NULL}, TRAIT_IP | TRAIT_SOCKET},
    {{"remote_port", get_remote_port, NULL}, TRAIT_IP | TRAIT_SOCKET},
    {{"timeout", get_timeout, set_timeout}, 0},
    {{0}, 0}};

/* ---- metamethods ---- */

static int socket_tostring(lua_State *L)
{
    const struct socket *socket = socket_self(L, 0);
    struct thrum_endpoint endpoint;
    struct thrum_address address;
    uint16_t port;
    char text[THRUM_ENDPOINT_TEXT_SIZE] = "closed";
    if (thrum_socket_is_open(socket->core))
        snprintf(text, sizeof(text), "open");
    if (!thrum_socket_local_endpoint(socket->core, &endpoint) &&
        !thrum_endpoint_to_address(&endpoint, &address, &port))
        thrum_address_format_port(&address, port, text);
    lua_pushfstring(L, "%s (%s)", noun_self(L)->name, text);
    return 1;
}

static const struct function_row metamethods[] = {
    {"__gc", socket_gc}, {"__tostring", socket_tostring}, {0}};

/* ---- classes ---- */

static const struct socket_class udp_class = {NOUN_UDP_SOCKET, THRUM_DATAGRAM,
                                              TRAIT_SOCKET | TRAIT_DATAGRAM | TRAIT_IP, &codec_ip};

static void add_methods(lua_State *L, struct noun *noun, const struct socket_method_row *rows)
{
    for (; rows->function.name; rows++)
        if ((rows->traits & ~noun->socket_class->traits) == 0)
            noun_add_method(L, noun, &rows->function);
}

static void add_properties(lua_State *L, const struct noun *noun)
{
    for (const struct socket_property_row *row = socket_properties; row->property.name; row++)
        if ((row->traits & ~noun->socket_class->traits) == 0)
            noun_add_property(L, &row->property);
}

/* Push the class's table: its constructor. */
static int open_class(lua_State *L, struct runtime *runtime, const struct socket_class *class)
{
    static const struct function_row functions[] = {{"new", socket_new}, {0}};
    struct noun *noun = &runtime->nouns[class->id];
    noun->socket_class = class;
    lua_newtable(L);
    add_methods(L, noun, socket_life_methods);
    add_methods(L, noun, socket_transfer_methods);
    add_methods(L, noun, socket_option_methods);
    add_properties(L, noun);
    noun_finish_class(L, noun, &(struct class_rows){.metamethods = metamethods});
    lua_newtable(L);
    noun_set_functions(L, noun, functions);
    return 1;
}

int udp_socket_open(lua_State *L, struct runtime *runtime)
{
    return open_class(L, runtime, &udp_class);
}
