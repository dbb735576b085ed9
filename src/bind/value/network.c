/* SPDX-License-Identifier: BSL-1.0 */
/* ip.network: an address and a prefix length. */
#include "bind/value/address.h"

#include <errno.h>

#include <lauxlib.h>

#include "bind/value/args.h"
#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"

struct network {
    struct object object;
    struct thrum_network value;
};

static const struct thrum_network *self(lua_State *L)
{
    const struct network *object = class_check_self(L, &network_class);
    return &object->value;
}

static int network_new(lua_State *L)
{
    struct thrum_network network;
    struct bytes text = args_string(L, 1, "text");
    if (thrum_network_parse((const char *)text.data, text.size, &network))
        error_raise_arg(L, EINVAL, 1, "text", "network such as \"10.0.0.0/8\" or \"fd00::/8\"");
    struct network *object = class_new_object(L, &network_class, sizeof(*object));
    object->value = network;
    return 1;
}

static int network_contains(lua_State *L)
{
    const struct thrum_network *network = self(L);
    lua_pushboolean(L, thrum_network_contains(network, address_check(L, 2)));
    return 1;
}

static int push(lua_State *L, struct thrum_address address)
{
    address_push(L, class_runtime(L), &address);
    return 1;
}

static int get_address(lua_State *L)
{
    return push(L, self(L)->address);
}

static int get_prefix_length(lua_State *L)
{
    lua_pushinteger(L, self(L)->prefix_length);
    return 1;
}

static int get_netmask(lua_State *L)
{
    return push(L, thrum_network_netmask(self(L)));
}

/* The network's last address; IPv6 has no broadcast. */
static int get_broadcast(lua_State *L)
{
    const struct thrum_network *network = self(L);
    if (network->address.is_v6)
        error_raise_detail(L, EINVAL, "a v6 network has no broadcast address");
    return push(L, thrum_network_last(network));
}

static int network_tostring(lua_State *L)
{
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    lua_pushlstring(L, text, thrum_network_format(self(L), text));
    return 1;
}

static int network_eq(lua_State *L)
{
    const struct network *a = class_test(L, 1, &network_class);
    const struct network *b = class_test(L, 2, &network_class);
    lua_pushboolean(L, a && b && a->value.prefix_length == b->value.prefix_length &&
                           thrum_address_compare(&a->value.address, &b->value.address) == 0);
    return 1;
}

static const struct function_row functions[] = {{"new", network_new}, {0}};
static const struct function_row methods[] = {{"contains", network_contains}, {0}};
static const struct property_row properties[] = {{"address", get_address, NULL},
                                                 {"prefix_length", get_prefix_length, NULL},
                                                 {"netmask", get_netmask, NULL},
                                                 {"broadcast", get_broadcast, NULL},
                                                 {0}};
static const struct function_row metamethods[] = {
    {"__tostring", network_tostring}, {"__eq", network_eq}, {0}};

int network_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &network_class);
    class_open(L, state, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}
