/* SPDX-License-Identifier: BSL-1.0 */
/* ip.address: interning, functions, properties. */
#include "bind/value/address.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bind/value/args.h"
#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/memory.h"
#include "bind/value/value_state.h"
#include "net/interface.h"

int value_state_init(lua_State *L, struct value_state *state)
{
    if (getentropy(state->address_secrets, sizeof(state->address_secrets)))
        return errno;
    memory_push_weak_table(L, "v");
    state->addresses = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* ---- interning ---- */

/* Strangers choose the addresses, so the keys in the table have to be such that nobody can choose
 * them: a sum of products with the state's secret factors. Its upper half is as good as random for
 * any two addresses (Lemire and Kaser, "Strongly universal string hashing is fast", 2014), and here
 * it is the key's lower half, by which Lua hashes an integer. */
static lua_Integer key_of(const struct value_state *state, const struct thrum_address *address)
{
    const uint64_t *secrets = state->address_secrets;
    uint32_t words[4];
    memcpy(words, address->bytes, sizeof(words));
    uint64_t sum = secrets[0] + secrets[1] * words[0];
    if (address->is_v6) {
        sum += secrets[2] * words[1] + secrets[3] * words[2] + secrets[4] * words[3];
        sum += secrets[5] * address->scope_id + secrets[6];
    }
    return (lua_Integer)(sum << 32 | sum >> 32);
}

/* The key of an address whose place another has taken. */
static void push_long_key(lua_State *L, const struct thrum_address *address)
{
    char key[sizeof(address->bytes) + sizeof(address->scope_id) + 1];
    memcpy(key, address->bytes, sizeof(address->bytes));
    memcpy(key + sizeof(address->bytes), &address->scope_id, sizeof(address->scope_id));
    key[sizeof(key) - 1] = (char)address->is_v6;
    lua_pushlstring(L, key, sizeof(key));
}

/* The table is on the top: push the object of that address, if there is one. */
static bool find(lua_State *L, const struct value_state *state, lua_Integer key,
                 const struct thrum_address *address)
{
    if (lua_rawgeti(L, -1, key) != LUA_TNIL) {
        const struct address *object = lua_touserdata(L, -1);
        if (thrum_address_compare(&object->value, address) == 0)
            return true;
    }
    lua_pop(L, 1);
    if (!state->has_long_keys)
        return false;
    push_long_key(L, address);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

/* The object is on the top, and the table below it: put it there. */
static void keep(lua_State *L, struct value_state *state, lua_Integer key,
                 const struct thrum_address *address)
{
    bool is_taken = lua_rawgeti(L, -2, key) != LUA_TNIL;
    lua_pop(L, 1);
    if (!is_taken) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, key);
        return;
    }
    state->has_long_keys = true;
    push_long_key(L, address);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
}

/* The same, made now. Making it may run a finalizer that makes one, too: the first one stays. */
static void make(lua_State *L, struct value_state *state, lua_Integer key,
                 const struct thrum_address *address)
{
    struct address *object = class_new_object(L, &address_class, sizeof(*object));
    object->value = *address;
    lua_insert(L, -2);
    bool is_there = find(L, state, key, address);
    if (is_there)
        lua_replace(L, -3);
    lua_insert(L, -2);
    if (!is_there)
        keep(L, state, key, address);
}

void address_push(lua_State *L, struct runtime *runtime, const struct thrum_address *address)
{
    struct value_state *state = value_state_of(runtime);
    lua_Integer key = key_of(state, address);
    luaL_checkstack(L, 6, "address");
    lua_rawgeti(L, LUA_REGISTRYINDEX, state->addresses);
    if (!find(L, state, key, address))
        make(L, state, key, address);
    lua_replace(L, -2);
}

static int push(lua_State *L, struct thrum_address address)
{
    address_push(L, class_runtime(L), &address);
    return 1;
}

/* ---- checks ---- */

const struct thrum_address *address_check(lua_State *L, int arg)
{
    const struct thrum_address *address = address_test(L, arg);
    if (!address)
        error_raise_arg(L, EINVAL, arg, "addr", "ip.address");
    return address;
}

static struct thrum_address parse(lua_State *L, int arg)
{
    struct thrum_address address;
    struct bytes text = args_string(L, arg, "addr");
    if (thrum_address_parse((const char *)text.data, text.size, &address))
        error_raise_arg(L, EINVAL, arg, "addr", "IPv4 or IPv6 address in numeric form");
    return address;
}

struct thrum_address address_check_or_text(lua_State *L, int arg)
{
    if (lua_type(L, arg) == LUA_TSTRING)
        return parse(L, arg);
    const struct thrum_address *address = address_test(L, arg);
    if (!address)
        error_raise_arg(L, EINVAL, arg, "addr", "ip.address or string");
    return *address;
}

static const struct thrum_address *self(lua_State *L)
{
    const struct address *object = class_check_self(L, &address_class);
    return &object->value;
}

/* ---- functions ---- */

static int address_new(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
        return push(L, thrum_address_v4(0));
    return push(L, parse(L, 1));
}

static int any_v4(lua_State *L)
{
    return push(L, thrum_address_v4(INADDR_ANY));
}

static int any_v6(lua_State *L)
{
    return push(L, (struct thrum_address){.is_v6 = true});
}

static int loopback_v4(lua_State *L)
{
    return push(L, thrum_address_v4(INADDR_LOOPBACK));
}

static int loopback_v6(lua_State *L)
{
    return push(L, (struct thrum_address){.is_v6 = true, .bytes = {[15] = 1}});
}

static int broadcast_v4(lua_State *L)
{
    return push(L, thrum_address_v4(INADDR_BROADCAST));
}

static int from_bytes(lua_State *L)
{
    struct thrum_address address;
    struct bytes bytes = args_string(L, 1, "bytes");
    if (thrum_address_from_bytes(bytes.data, bytes.size, &address))
        error_raise_detail(L, EINVAL, "argument 1 (bytes): 4 or 16 bytes expected, got %zu",
                           bytes.size);
    return push(L, address);
}

/* ---- methods ---- */

static int to_v6(lua_State *L)
{
    return push(L, thrum_address_to_v6(self(L)));
}

static int to_v4(lua_State *L)
{
    struct thrum_address v4;
    if (thrum_address_to_v4(self(L), &v4))
        error_raise_arg(L, EINVAL, 1, "self", "v4 or v4-mapped address");
    return push(L, v4);
}

static int to_bytes(lua_State *L)
{
    const struct thrum_address *address = self(L);
    lua_pushlstring(L, (const char *)address->bytes, thrum_address_size(address));
    return 1;
}

static uint32_t check_scope_id(lua_State *L, int arg)
{
    if (lua_type(L, arg) != LUA_TSTRING)
        return (uint32_t)args_integer(L, arg, "scope", 0, UINT32_MAX);
    unsigned index;
    struct bytes name = args_string(L, arg, "scope");
    if (interface_by_name((const char *)name.data, name.size, &index))
        error_raise_arg(L, ENODEV, arg, "scope", "index or name of an interface");
    return index;
}

static int with_scope_id(lua_State *L)
{
    struct thrum_address address = *self(L);
    if (!address.is_v6)
        error_raise_arg(L, EINVAL, 1, "self", "v6 address");
    address.scope_id = check_scope_id(L, 2);
    return push(L, address);
}

/* ---- properties ---- */

static int push_answer(lua_State *L, bool (*predicate)(const struct thrum_address *))
{
    lua_pushboolean(L, predicate(self(L)));
    return 1;
}

/* The properties that only v6 addresses have: Asio's address_v4 does not know them either. */
static const struct thrum_address *self_v6(lua_State *L)
{
    const struct thrum_address *address = self(L);
    if (!address->is_v6)
        error_raise_detail(L, EINVAL, "ip.address '%s' of a v4 address", lua_tostring(L, 2));
    return address;
}

static int push_answer_v6(lua_State *L, bool (*predicate)(const struct thrum_address *))
{
    lua_pushboolean(L, predicate(self_v6(L)));
    return 1;
}

enum multicast_scope { NODE = 0x1, LINK = 0x2, SITE = 0x5, ORGANIZATION = 0x8, GLOBAL = 0xe };

static int push_scope_answer(lua_State *L, enum multicast_scope scope)
{
    lua_pushboolean(L, thrum_address_multicast_scope(self_v6(L)) == (int)scope);
    return 1;
}

static bool is_v4(const struct thrum_address *address)
{
    return !address->is_v6;
}

static bool is_v6(const struct thrum_address *address)
{
    return address->is_v6;
}

static int get_scope_id(lua_State *L)
{
    lua_pushinteger(L, self_v6(L)->scope_id);
    return 1;
}

#define GETTER(name, expression)        \
    static int get_##name(lua_State *L) \
    {                                   \
        return expression;              \
    }
GETTER(is_v4, push_answer(L, is_v4))
GETTER(is_v6, push_answer(L, is_v6))
GETTER(is_loopback, push_answer(L, thrum_address_is_loopback))
GETTER(is_multicast, push_answer(L, thrum_address_is_multicast))
GETTER(is_unspecified, push_answer(L, thrum_address_is_unspecified))
GETTER(is_private, push_answer(L, thrum_address_is_private))
GETTER(is_global, push_answer(L, thrum_address_is_global))
GETTER(is_link_local, push_answer_v6(L, thrum_address_is_link_local))
GETTER(is_site_local, push_answer_v6(L, thrum_address_is_site_local))
GETTER(is_v4_mapped, push_answer_v6(L, thrum_address_is_v4_mapped))
GETTER(is_multicast_global, push_scope_answer(L, GLOBAL))
GETTER(is_multicast_link_local, push_scope_answer(L, LINK))
GETTER(is_multicast_node_local, push_scope_answer(L, NODE))
GETTER(is_multicast_org_local, push_scope_answer(L, ORGANIZATION))
GETTER(is_multicast_site_local, push_scope_answer(L, SITE))
#undef GETTER

/* ---- metamethods ---- */

static int address_tostring(lua_State *L)
{
    char text[THRUM_ADDRESS_TEXT_SIZE];
    lua_pushlstring(L, text, thrum_address_format(self(L), text));
    return 1;
}

static int compare(lua_State *L)
{
    return thrum_address_compare(address_check(L, 1), address_check(L, 2));
}

static int address_lt(lua_State *L)
{
    lua_pushboolean(L, compare(L) < 0);
    return 1;
}

static int address_le(lua_State *L)
{
    lua_pushboolean(L, compare(L) <= 0);
    return 1;
}

/* An address is interned, so the same address is the same object, and Lua does not even ask. But an
 * object that a finalizer has brought back to life is no longer in the table. */
static int address_eq(lua_State *L)
{
    const struct thrum_address *a = address_test(L, 1);
    const struct thrum_address *b = address_test(L, 2);
    lua_pushboolean(L, a && b && thrum_address_compare(a, b) == 0);
    return 1;
}

static const struct function_row metamethods[] = {{"__tostring", address_tostring},
                                                  {"__eq", address_eq},
                                                  {"__lt", address_lt},
                                                  {"__le", address_le},
                                                  {0}};

static const struct function_row functions[] = {
    {"new", address_new},         {"any_v4", any_v4},
    {"any_v6", any_v6},           {"loopback_v4", loopback_v4},
    {"loopback_v6", loopback_v6}, {"broadcast_v4", broadcast_v4},
    {"from_bytes", from_bytes},   {0}};

static const struct function_row methods[] = {{"to_v6", to_v6},
                                              {"to_v4", to_v4},
                                              {"to_bytes", to_bytes},
                                              {"with_scope_id", with_scope_id},
                                              {0}};

#define PROPERTY(name)          \
    {                           \
#name, get_##name, NULL \
    }
static const struct property_row properties[] = {PROPERTY(is_v4),
                                                 PROPERTY(is_v6),
                                                 PROPERTY(is_loopback),
                                                 PROPERTY(is_multicast),
                                                 PROPERTY(is_unspecified),
                                                 PROPERTY(is_private),
                                                 PROPERTY(is_global),
                                                 PROPERTY(is_link_local),
                                                 PROPERTY(is_site_local),
                                                 PROPERTY(is_v4_mapped),
                                                 PROPERTY(is_multicast_global),
                                                 PROPERTY(is_multicast_link_local),
                                                 PROPERTY(is_multicast_node_local),
                                                 PROPERTY(is_multicast_org_local),
                                                 PROPERTY(is_multicast_site_local),
                                                 PROPERTY(scope_id),
                                                 {0}};
#undef PROPERTY

int address_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &address_class);
    class_open(L, state, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}
