/* SPDX-License-Identifier: BSL-1.0 */
/* ip.address objects: immutable and interned, one userdata for one address. */
#ifndef BIND_VALUE_ADDRESS_H
#define BIND_VALUE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <lua.h>

#include <thrum/address.h>

#include "bind/value/classes.h"

struct runtime;

/* Whether it is the address of that IPv4 or IPv6 endpoint. */
static inline bool address_is_of(const struct thrum_address *address, const struct sockaddr *other)
{
    if (other->sa_family == AF_INET)
        return !address->is_v6 &&
               memcmp(address->bytes, &((const struct sockaddr_in *)other)->sin_addr, 4) == 0;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)other;
    return address->is_v6 && address->scope_id == v6->sin6_scope_id &&
           memcmp(address->bytes, &v6->sin6_addr, 16) == 0;
}

/* Push the object of that address. */
void address_push(lua_State *L, struct runtime *runtime, const struct thrum_address *address);

struct address {
    struct object object;
    struct thrum_address value;
};

/* The address of the object at `index`, or NULL if it is none. */
static inline const struct thrum_address *address_test(lua_State *L, int index)
{
    const struct address *object = class_test(L, index, &address_class);
    return object ? &object->value : NULL;
}

/* The address at `arg`, or a raised error; with _or_text a string in numeric form will do as well.
 */
const struct thrum_address *address_check(lua_State *L, int arg);
struct thrum_address address_check_or_text(lua_State *L, int arg);

int address_open(lua_State *L, struct runtime *runtime); /* pushes the class's table */
int network_open(lua_State *L, struct runtime *runtime); /* pushes the class's table */

#endif
