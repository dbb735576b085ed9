/* SPDX-License-Identifier: BSL-1.0 */
/* ip.address objects: immutable and interned, one userdata for one address. */
#ifndef BIND_ADDRESS_H
#define BIND_ADDRESS_H

#include <lua.h>

#include <thrum/address.h>

#include "bind/noun.h"

struct runtime;

/* Push the object of that address. */
void address_push(lua_State *L, struct runtime *runtime, const struct thrum_address *address);

struct address {
    struct object object;
    struct thrum_address value;
};

/* The address of the object at `index`, or NULL if it is none. */
static inline const struct thrum_address *address_test(lua_State *L, int index)
{
    const struct address *object = noun_test(L, index, NOUN_ADDRESS);
    return object ? &object->value : NULL;
}

/* The address at `arg`, or a raised error; with _or_text a string in numeric form will do as well.
 */
const struct thrum_address *address_check(lua_State *L, int arg);
struct thrum_address address_check_or_text(lua_State *L, int arg);

int address_open(lua_State *L, struct runtime *runtime); /* pushes the class's table */
int network_open(lua_State *L, struct runtime *runtime); /* pushes the class's table */

#endif
