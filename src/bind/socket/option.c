/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets: set_option, get_option, io_control, over the rows of net/option. */
#include "net/option.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/socket.h"
#include "bind/value/address.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

enum { ARG_NAME = 2, ARG_VALUE = 3, ARG_INTERFACE = 4, ARG_SOURCE = 4, ARG_SOURCE_INTERFACE = 5 };

struct option_call {
    const struct socket *socket;
    const struct option_row *row;
    int family;
    int level;
    int name;
};

/* ---- finding the row ---- */

static const struct option_row *check_row(lua_State *L, const struct socket *socket,
                                          enum option_access access)
{
    struct bytes name = args_string(L, ARG_NAME, "name");
    const struct option_row *row =
        option_find((const char *)name.data, name.size, socket->class->traits);
    if (!row)
        error_raise_detail(L, ENOPROTOOPT, "no option '%s'", (const char *)name.data);
    if (!(row->access & access))
        error_raise_detail(L, ENOPROTOOPT, "option '%s' can only be %s", row->name,
                           access == OPTION_SET ? "read" : "set");
    return row;
}

static struct option_call begin(lua_State *L, enum option_access access)
{
    const struct socket *socket = socket_self(L, 0);
    const struct option_row *row = check_row(L, socket, access);
    struct option_call call = {.socket = socket, .row = row};
    if (!thrum_socket_is_open(socket->core))
        socket_raise(L, EBADF);
    call.family = thrum_socket_family(socket->core);
    bool is_v6 = call.family == AF_INET6;
    call.level = is_v6 ? row->level_v6 : row->level_v4;
    call.name = is_v6 ? row->name_v6 : row->name_v4;
    if (call.level < 0)
        error_raise_detail(L, ENOPROTOOPT, "option '%s' is not for a %s socket", row->name,
                           is_v6 ? "v6" : "v4");
    return call;
}

noreturn static void raise_option(lua_State *L, const struct option_call *call, int error)
{
    error_raise_detail(L, error, "option '%s'", call->row->name);
}

static void apply(lua_State *L, const struct option_call *call, const void *value, size_t size)
{
    int error = thrum_socket_set_option(call->socket->core, call->level, call->name, value, size);
    if (error)
        raise_option(L, call, error);
}

/* ---- choices ---- */

noreturn static void raise_choice(lua_State *L, const struct option_row *row)
{
    char expected[128] = "one of";
    size_t length = strlen(expected);
    for (const struct option_choice *choice = row->choices; choice->name; choice++)
        length +=
            (size_t)snprintf(expected + length, sizeof(expected) - length, " \"%s\"", choice->name);
    error_raise_arg(L, EINVAL, ARG_VALUE, row->name, expected);
}

static int check_choice(lua_State *L, const struct option_row *row)
{
    const char *came = lua_type(L, ARG_VALUE) == LUA_TSTRING ? lua_tostring(L, ARG_VALUE) : NULL;
    for (const struct option_choice *choice = row->choices; came && choice->name; choice++)
        if (strcmp(came, choice->name) == 0 && lua_rawlen(L, ARG_VALUE) == strlen(came))
            return choice->value;
    raise_choice(L, row);
}

static void push_choice(lua_State *L, const struct option_row *row, int value)
{
    for (const struct option_choice *choice = row->choices; choice->name; choice++)
        if (choice->value == value) {
            lua_pushstring(L, choice->name);
            return;
        }
    lua_pushinteger(L, value); /* the kernel knows one more than we do */
}

/* ---- groups and interfaces ---- */

static struct option_interface check_interface(lua_State *L, int arg)
{
    struct option_interface interface = {.by = INTERFACE_BY_INDEX};
    const struct thrum_address *address = address_test(L, arg);
    if (address) {
        interface.by = INTERFACE_BY_ADDRESS;
        interface.address = *address;
    } else if (lua_type(L, arg) == LUA_TSTRING) {
        struct bytes name = args_string(L, arg, "interface");
        if (option_interface_by_name((const char *)name.data, name.size, &interface))
            error_raise_arg(L, ENODEV, arg, "interface", "name of an interface");
    } else if (lua_isinteger(L, arg)) {
        interface.index = (unsigned)args_integer(L, arg, "interface", 0, INT_MAX);
    } else {
        error_raise_arg(L, EINVAL, arg, "interface", "ip.address, interface name or index");
    }
    return interface;
}

static struct option_interface check_interface_or_any(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return (struct option_interface){.by = INTERFACE_ANY};
    return check_interface(L, arg);
}

static void apply_group(lua_State *L, const struct option_call *call, int error, const void *value,
                        size_t size)
{
    if (error == EINVAL)
        error_raise_arg(L, EINVAL, ARG_VALUE, "group", "multicast address");
    if (error)
        raise_option(L, call, error);
    apply(L, call, value, size);
}

static void set_group(lua_State *L, const struct option_call *call)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size;
    const struct thrum_address *group = address_check(L, ARG_VALUE);
    struct option_interface interface = check_interface_or_any(L, ARG_INTERFACE);
    int error = option_encode_group(call->family, group, &interface, value, &size);
    apply_group(L, call, error, value, size);
}

static void set_source(lua_State *L, const struct option_call *call)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size;
    const struct thrum_address *group = address_check(L, ARG_VALUE);
    const struct thrum_address *source = address_check(L, ARG_SOURCE);
    struct option_interface interface = check_interface_or_any(L, ARG_SOURCE_INTERFACE);
    int error = option_encode_source(call->family, group, source, &interface, value, &size);
    apply_group(L, call, error, value, size);
}

static void set_interface(lua_State *L, const struct option_call *call)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size;
    struct option_interface interface = check_interface(L, ARG_VALUE);
    int error = option_encode_interface(call->family, &interface, value, &size);
    if (error)
        raise_option(L, call, error);
    apply(L, call, value, size);
}

/* ---- linger ---- */

/* Without metamethods: nothing else can run while the value is read. */
static void set_linger(lua_State *L, const struct option_call *call)
{
    int has_seconds = 0;
    struct linger value = {0};
    if (lua_type(L, ARG_VALUE) == LUA_TTABLE && lua_checkstack(L, 2)) {
        bool has_switch = lua_rawgeti(L, ARG_VALUE, 1) == LUA_TBOOLEAN;
        value.l_onoff = lua_toboolean(L, -1);
        lua_rawgeti(L, ARG_VALUE, 2);
        lua_Integer seconds = lua_tointegerx(L, -1, &has_seconds);
        has_seconds = has_switch && has_seconds && lua_type(L, -1) == LUA_TNUMBER && seconds >= 0 &&
                      seconds <= call->row->maximum;
        value.l_linger = (int)seconds;
        lua_pop(L, 2);
    }
    if (!has_seconds)
        error_raise_arg(L, EINVAL, ARG_VALUE, call->row->name,
                        "{boolean, whole seconds from 0 to 2147483647}");
    apply(L, call, &value, sizeof(value));
}

static int get_linger(lua_State *L, const struct option_call *call)
{
    struct linger value = {0};
    size_t size = sizeof(value);
    int error = thrum_socket_get_option(call->socket->core, call->level, call->name, &value, &size);
    if (error)
        raise_option(L, call, error);
    lua_createtable(L, 2, 0);
    lua_pushboolean(L, value.l_onoff);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, value.l_linger);
    lua_rawseti(L, -2, 2);
    return 1;
}

/* ---- set ---- */

static void set_int(lua_State *L, const struct option_call *call, int value)
{
    apply(L, call, &value, sizeof(value));
}

static void set_string(lua_State *L, const struct option_call *call)
{
    struct bytes text = args_string(L, ARG_VALUE, call->row->name);
    if (text.size > (size_t)call->row->maximum || memchr(text.data, 0, text.size))
        error_raise_arg(L, EINVAL, ARG_VALUE, call->row->name, "shorter string without NUL");
    apply(L, call, text.data, text.size);
}

/* Never rounded to 0, which would mean the system's default. */
static void set_seconds(lua_State *L, const struct option_call *call)
{
    bool is_number = lua_type(L, ARG_VALUE) == LUA_TNUMBER;
    double milliseconds = is_number ? ceil(lua_tonumber(L, ARG_VALUE) * 1000) : -1;
    if (!(milliseconds >= call->row->minimum && milliseconds <= call->row->maximum))
        error_raise_arg(L, EINVAL, ARG_VALUE, call->row->name, "seconds from 0 to 2147483");
    set_int(L, call, (int)milliseconds);
}

static int socket_set_option(lua_State *L)
{
    struct option_call call = begin(L, OPTION_SET);
    const struct option_row *row = call.row;
    switch (row->shape) {
    case OPTION_BOOLEAN:
        set_int(L, &call, args_boolean(L, ARG_VALUE, row->name));
        break;
    case OPTION_INTEGER:
        set_int(L, &call, (int)args_integer(L, ARG_VALUE, row->name, row->minimum, row->maximum));
        break;
    case OPTION_UNSIGNED:
        set_int(L, &call, (int)args_integer(L, ARG_VALUE, row->name, 0, UINT_MAX));
        break;
    case OPTION_CHOICE:
        set_int(L, &call, check_choice(L, row));
        break;
    case OPTION_STRING:
        set_string(L, &call);
        break;
    case OPTION_SECONDS:
        set_seconds(L, &call);
        break;
    case OPTION_LINGER:
        set_linger(L, &call);
        break;
    case OPTION_GROUP:
        set_group(L, &call);
        break;
    case OPTION_SOURCE:
        set_source(L, &call);
        break;
    case OPTION_INTERFACE:
        set_interface(L, &call);
        break;
    case OPTION_ERROR: /* its row can only be read */
        break;
    }
    return 0;
}

/* ---- get ---- */

static int get_string(lua_State *L, const struct option_call *call)
{
    char text[256];
    size_t size = sizeof(text);
    int error = thrum_socket_get_option(call->socket->core, call->level, call->name, text, &size);
    if (error)
        raise_option(L, call, error);
    lua_pushlstring(L, text, strnlen(text, size));
    return 1;
}

static int push_pending_error(lua_State *L, int error)
{
    if (error)
        error_push(L, error);
    else
        lua_pushnil(L);
    return 1;
}

static int socket_get_option(lua_State *L)
{
    struct option_call call = begin(L, OPTION_GET);
    const struct option_row *row = call.row;
    if (row->shape == OPTION_STRING)
        return get_string(L, &call);
    if (row->shape == OPTION_LINGER)
        return get_linger(L, &call);

    int value = 0;
    size_t size = sizeof(value);
    int error = thrum_socket_get_option(call.socket->core, call.level, call.name, &value, &size);
    if (error)
        raise_option(L, &call, error);
    if (row->shape == OPTION_ERROR)
        return push_pending_error(L, value);
    if (row->shape == OPTION_BOOLEAN)
        lua_pushboolean(L, value);
    else if (row->shape == OPTION_UNSIGNED)
        lua_pushinteger(L, (unsigned)value);
    else if (row->shape == OPTION_CHOICE)
        push_choice(L, row, value);
    else if (row->shape == OPTION_SECONDS)
        lua_pushnumber(L, value / 1000.0);
    else
        lua_pushinteger(L, value);
    return 1;
}

/* ---- io_control ---- */

static int socket_io_control(lua_State *L)
{
    static const char bytes_readable[] = "bytes_readable";
    const struct socket *socket = socket_self(L, TRAIT_SOCKET);
    struct bytes command = args_string(L, ARG_NAME, "command");
    if (command.size != sizeof(bytes_readable) - 1 ||
        memcmp(command.data, bytes_readable, command.size) != 0)
        error_raise_detail(L, ENOTSUP, "no command '%s'", (const char *)command.data);
    size_t size;
    int error = thrum_socket_available(socket->core, &size);
    if (error)
        socket_raise(L, error);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

const struct socket_method_row socket_option_methods[] = {
    {{"set_option", socket_set_option}, 0},
    {{"get_option", socket_get_option}, 0},
    {{"io_control", socket_io_control}, TRAIT_SOCKET},
    {{0}, 0}};
