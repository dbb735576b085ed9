/* SPDX-License-Identifier: BSL-1.0 */
/* ip: the module, its helpers, its flags. */
#include "bind/socket/open.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/classes.h"
#include "bind/value/address.h"
#include "bind/value/args.h"
#include "bind/value/class.h"
#include "bind/value/error.h"

static int ip_host_name(lua_State *L)
{
    char name[256];
    if (gethostname(name, sizeof(name)))
        error_raise(L, errno);
    name[sizeof(name) - 1] = '\0';
    lua_pushstring(L, name);
    return 1;
}

static int ip_tostring(lua_State *L)
{
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    const struct thrum_address *address = address_check(L, 1);
    size_t length = lua_isnoneornil(L, 2)
                        ? thrum_address_format(address, text)
                        : thrum_address_format_port(address, args_port(L, 2), text);
    lua_pushlstring(L, text, length);
    return 1;
}

static int ip_toendpoint(lua_State *L)
{
    struct thrum_address address;
    uint16_t port;
    struct bytes text = args_string(L, 1, "text");
    if (thrum_address_parse_port((const char *)text.data, text.size, &address, &port))
        error_raise_arg(L, EINVAL, 1, "text",
                        "endpoint such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"");
    address_push(L, class_runtime(L), &address);
    lua_pushinteger(L, port);
    return 2;
}

static const struct function_row functions[] = {
    {"host_name", ip_host_name}, {"tostring", ip_tostring},       {"toendpoint", ip_toendpoint},
    {"connect", ip_connect},     {"connect_any", ip_connect_any}, {0}};

/* The system's own numbers, so that they combine with | and go to the kernel as they are. */
static const struct {
    const char *name;
    int value;
} message_flags[] = {{"peek", MSG_PEEK},
                     {"out_of_band", MSG_OOB},
                     {"do_not_route", MSG_DONTROUTE},
                     {"end_of_record", MSG_EOR},
                     {"truncate", MSG_TRUNC}};

static void set_message_flags(lua_State *L, struct class_state *state)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(message_flags) / sizeof(message_flags[0]); i++) {
        lua_pushinteger(L, message_flags[i].value);
        lua_setfield(L, -2, message_flags[i].name);
    }
    class_make_strict(L, state, NULL);
    lua_setfield(L, -2, "message_flag");
}

int ip_open(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &ip_class), functions);
    set_message_flags(L, class_get(L, runtime, &message_flag_class));
    address_open(L, runtime);
    lua_setfield(L, -2, "address");
    network_open(L, runtime);
    lua_setfield(L, -2, "network");
    resolver_open(L, runtime);
    lua_setfield(L, -2, "address_info_flag");
    lua_newtable(L);
    resolver_set_functions(L, class_get(L, runtime, &udp_class), SOCK_DGRAM);
    socket_class_open(L, runtime, &udp_socket_class);
    lua_setfield(L, -2, "socket");
    lua_setfield(L, -2, "udp");
    lua_newtable(L);
    resolver_set_functions(L, class_get(L, runtime, &tcp_class), SOCK_STREAM);
    socket_class_open(L, runtime, &tcp_socket_class);
    lua_setfield(L, -2, "socket");
    socket_class_open(L, runtime, &tcp_acceptor_class);
    lua_setfield(L, -2, "acceptor");
    lua_setfield(L, -2, "tcp");
    return 1;
}
