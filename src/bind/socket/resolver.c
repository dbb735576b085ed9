/* SPDX-License-Identifier: BSL-1.0 */
/* Names: ip.udp and ip.tcp look up addresses, and the names of addresses. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/resolver.h>

#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/value/address.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

/* ---- protocols ---- */

struct protocol {
    int type;
    int number;
    int name_flags; /* of getnameinfo(3) */
};

static const struct protocol udp = {SOCK_DGRAM, IPPROTO_UDP, NI_DGRAM};
static const struct protocol tcp = {SOCK_STREAM, IPPROTO_TCP, 0};

/* The one whose table holds the running function. */
static const struct protocol *own_protocol(lua_State *L)
{
    return class_self(L)->traits;
}

/* ---- flags ---- */

/* The system's own numbers. */
static const struct {
    const char *name;
    int value;
} flags[] = {{"canonical_name", AI_CANONNAME},     {"passive", AI_PASSIVE},
             {"numeric_host", AI_NUMERICHOST},     {"numeric_service", AI_NUMERICSERV},
             {"v4_mapped", AI_V4MAPPED},           {"all_matching", AI_ALL},
             {"address_configured", AI_ADDRCONFIG}};

enum { N_FLAGS = sizeof(flags) / sizeof(flags[0]) };

static int check_flags(lua_State *L, int arg)
{
    int allowed = 0;
    for (int i = 0; i < N_FLAGS; i++)
        allowed |= flags[i].value;
    if (lua_isnoneornil(L, arg))
        return 0;
    int is_integer = 0;
    lua_Integer value = lua_type(L, arg) == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer || (value & ~(lua_Integer)allowed))
        error_raise_arg(L, EINVAL, arg, "flags",
                        "0 or flags of ip.address_info_flag or'ed together");
    return (int)value;
}

/* ---- one lookup ---- */

/* The question as text, and who asks the system. It stands on the stack of the call, which so
 * anchors it. */
struct query {
    struct object object;
    thrum_resolver *core; /* NULL once its answer has been given */
    bool is_named;        /* the canonical name was asked for */
    char service[NI_MAXSERV];
    char host[NI_MAXHOST]; /* "" for none */
};

enum { ARG_HOST = 1, ARG_SERVICE, ARG_FLAGS, QUERY };

/* A finalizer that still holds it meets no query. */
static void free_core(struct query *query)
{
    thrum_resolver_free(query->core);
    query->core = NULL;
    query->object.class = NULL;
}

static int query_gc(lua_State *L)
{
    free_core(lua_touserdata(L, 1));
    return 0;
}

/* Behind the arguments, and without its core. */
static struct query *push_query(lua_State *L)
{
    lua_settop(L, QUERY - 1);
    return class_new_object(L, &lookup_class, sizeof(struct query));
}

/* The second step of a call, and what its third begins with. */
static struct fiber *begin(lua_State *L, struct query *query)
{
    struct fiber *fiber = call_begin(L, class_runtime(L));
    int error = thrum_resolver_new(fiber->runtime->context, &query->core);
    if (error)
        error_raise(L, error);
    return fiber;
}

static void write_endpoint(const struct query *query, char *text, size_t size)
{
    bool needs_brackets = strchr(query->host, ':') && query->host[0] != '[';
    snprintf(text, size, "%s%s%s:%s", needs_brackets ? "[" : "", query->host,
             needs_brackets ? "]" : "", query->service);
}

static void describe_query(lua_State *L, const struct fiber *fiber)
{
    char text[sizeof(struct query)];
    write_endpoint(fiber->wait_object, text, sizeof(text));
    lua_pushstring(L, text);
}

static const struct wait_ops wait_query = {true, fiber_cancel_operation, describe_query, NULL};

/* The error of a lookup that has ended says what was looked up. */
noreturn static void raise_lookup(lua_State *L, const struct query *query, int error)
{
    char text[sizeof(struct query)];
    if (error == ECANCELED || thrum_error_category(error) == THRUM_CATEGORY_FIBER)
        error_raise(L, error);
    write_endpoint(query, text, sizeof(text));
    error_raise_detail(L, error, "%.200s", text);
}

static int suspend(lua_State *L, struct fiber *fiber, struct query *query, call_finish *finish)
{
    fiber->wait_object = query;
    return call_suspend(L, fiber, &wait_query, NO_DEADLINE, finish);
}

/* ---- addresses of a name ---- */

/* "" for nil. An address is written with the number of its zone, which is right for any address. */
static void check_host(lua_State *L, char *text)
{
    const struct thrum_address *address = address_test(L, ARG_HOST);
    if (lua_isnoneornil(L, ARG_HOST))
        return;
    if (address) {
        thrum_address_format(address, text);
        return;
    }
    size_t length = 0;
    const char *host =
        lua_type(L, ARG_HOST) == LUA_TSTRING ? lua_tolstring(L, ARG_HOST, &length) : NULL;
    if (!host)
        error_raise_arg(L, EINVAL, ARG_HOST, "host", "string, ip.address or nil");
    if (length == 0 || length >= NI_MAXHOST || memchr(host, '\0', length))
        error_raise_arg(L, EINVAL, ARG_HOST, "host",
                        "name or numeric address of 1 to 1024 bytes without NUL");
    memcpy(text, host, length + 1);
}

static void check_service(lua_State *L, char *text)
{
    if (lua_type(L, ARG_SERVICE) == LUA_TNUMBER) {
        lua_Integer port = args_integer(L, ARG_SERVICE, "service", 0, UINT16_MAX);
        snprintf(text, NI_MAXSERV, "%d", (int)port);
        return;
    }
    size_t length = 0;
    const char *service =
        lua_type(L, ARG_SERVICE) == LUA_TSTRING ? lua_tolstring(L, ARG_SERVICE, &length) : NULL;
    if (!service)
        error_raise_arg(L, EINVAL, ARG_SERVICE, "service", "string or integer from 0 to 65535");
    if (length == 0 || length >= NI_MAXSERV || memchr(service, '\0', length))
        error_raise_arg(L, EINVAL, ARG_SERVICE, "service",
                        "name or port number of 1 to 31 bytes without NUL");
    memcpy(text, service, length + 1);
}

/* Push { address = , port = [, canonical_name = ] }. */
static bool push_entry(lua_State *L, const struct addrinfo *entry, const char *name)
{
    struct thrum_endpoint endpoint = {.size = entry->ai_addrlen};
    struct thrum_address address;
    uint16_t port;
    if (entry->ai_addrlen > sizeof(endpoint.sa))
        return false;
    memcpy(&endpoint.sa, entry->ai_addr, entry->ai_addrlen);
    if (thrum_endpoint_to_address(&endpoint, &address, &port))
        return false;
    lua_createtable(L, 0, name ? 3 : 2);
    address_push(L, class_runtime(L), &address);
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, port);
    lua_setfield(L, -2, "port");
    if (name) {
        lua_pushstring(L, name);
        lua_setfield(L, -2, "canonical_name");
    }
    return true;
}

static void raise_if(lua_State *L, struct query *query, int error)
{
    if (!error && !query->core) /* the state is closing, and a finalizer drives the loop */
        error = ECANCELED;
    if (error)
        raise_lookup(L, query, error);
}

/* The system names the first entry; the name is that of all. */
static int finish_addresses(lua_State *L, struct fiber *fiber, int error)
{
    struct query *query = lua_touserdata(L, QUERY);
    (void)fiber;
    raise_if(L, query, error);
    const struct addrinfo *entry = thrum_resolver_addresses(query->core);
    const char *name = query->is_named && entry ? entry->ai_canonname : NULL;
    lua_Integer count = 0;
    lua_newtable(L);
    for (; entry; entry = entry->ai_next)
        if (push_entry(L, entry, name))
            lua_rawseti(L, -2, ++count);
    free_core(query);
    return 1;
}

static int look_up(lua_State *L, int family)
{
    const struct protocol *protocol = own_protocol(L);
    struct addrinfo hints = {.ai_flags = check_flags(L, ARG_FLAGS),
                             .ai_family = family,
                             .ai_socktype = protocol->type,
                             .ai_protocol = protocol->number};
    struct query *query = push_query(L);
    query->is_named = hints.ai_flags & AI_CANONNAME;
    check_host(L, query->host);
    check_service(L, query->service);
    const char *host = query->host[0] == '\0' ? NULL : query->host;
    struct fiber *fiber = begin(L, query);
    int error = thrum_resolver_try_look_up(query->core, host, query->service, &hints);
    if (error == EINVAL)
        error_raise_arg(L, EINVAL, ARG_SERVICE, "service", "name or port number up to 65535");
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish_addresses);
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, finish_addresses);
    error = thrum_resolver_look_up(query->core, &fiber->operation, host, query->service, &hints);
    if (error)
        return finish_addresses(L, fiber, error);
    return suspend(L, fiber, query, finish_addresses);
}

static int get_address_info(lua_State *L)
{
    return look_up(L, AF_UNSPEC);
}

static int get_address_v4_info(lua_State *L)
{
    return look_up(L, AF_INET);
}

static int get_address_v6_info(lua_State *L)
{
    return look_up(L, AF_INET6);
}

/* ---- names of an address ---- */

static int finish_names(lua_State *L, struct fiber *fiber, int error)
{
    struct query *query = lua_touserdata(L, QUERY);
    (void)fiber;
    raise_if(L, query, error);
    lua_createtable(L, 1, 0);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, thrum_resolver_host_name(query->core));
    lua_setfield(L, -2, "host_name");
    lua_pushstring(L, thrum_resolver_service_name(query->core));
    lua_setfield(L, -2, "service_name");
    lua_rawseti(L, -2, 1);
    free_core(query);
    return 1;
}

static int get_name_info(lua_State *L)
{
    struct thrum_address address = address_check_or_text(L, ARG_HOST);
    uint16_t port = args_port(L, ARG_SERVICE);
    struct thrum_endpoint endpoint;
    thrum_endpoint_from_address(&address, port, &endpoint);
    struct query *query = push_query(L);
    thrum_address_format(&address, query->host);
    snprintf(query->service, sizeof(query->service), "%u", (unsigned)port);
    struct fiber *fiber = begin(L, query);
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, finish_names);
    int error = thrum_resolver_look_up_names(query->core, &fiber->operation, &endpoint,
                                             own_protocol(L)->name_flags);
    if (error)
        return finish_names(L, fiber, error);
    return suspend(L, fiber, query, finish_names);
}

/* ---- opening ---- */

static const struct function_row functions[] = {{"get_address_info", get_address_info},
                                                {"get_address_v4_info", get_address_v4_info},
                                                {"get_address_v6_info", get_address_v6_info},
                                                {"get_name_info", get_name_info},
                                                {0}};

static void push_flags(lua_State *L, struct class_state *state)
{
    lua_newtable(L);
    for (int i = 0; i < N_FLAGS; i++) {
        lua_pushinteger(L, flags[i].value);
        lua_setfield(L, -2, flags[i].name);
    }
    class_make_strict(L, state, NULL);
}

int resolver_open(lua_State *L, struct runtime *runtime)
{
    static const struct function_row metamethods[] = {{"__gc", query_gc}, {0}};
    class_open(L, class_get(L, runtime, &lookup_class),
               &(struct class_rows){.metamethods = metamethods});
    push_flags(L, class_get(L, runtime, &address_info_flag_class));
    return 1;
}

void resolver_set_functions(lua_State *L, struct class_state *state, int type)
{
    state->traits = type == SOCK_DGRAM ? &udp : &tcp;
    class_set_functions(L, state, functions);
}
