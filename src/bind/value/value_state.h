/* SPDX-License-Identifier: BSL-1.0 */
/* What this room keeps of a Lua state: the beginning of its runtime. */
#ifndef BIND_VALUE_VALUE_STATE_H
#define BIND_VALUE_VALUE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

struct runtime;

struct value_state {
    uint64_t address_secrets[7]; /* see address.c */
    bool has_long_keys;          /* an address has one */
    int addresses; /* in the registry, a weak table: interned addresses by what the secrets make */
    /* A hook of the room fiber: the error for the running function that would have to wait where it
     * cannot suspend. */
    const char *(*why_cannot_suspend)(lua_State *L);
};

static inline struct value_state *value_state_of(struct runtime *runtime)
{
    return (struct value_state *)runtime;
}

/* Errors: those of getentropy(3). */
int value_state_init(lua_State *L, struct value_state *state);

#endif
