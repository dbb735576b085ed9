/* SPDX-License-Identifier: BSL-1.0 */
/* fiber.select: a wait for several things, exactly one of which happens. */
#ifndef BIND_FIBER_SELECT_H
#define BIND_FIBER_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "bind/fiber/fiber.h"
#include "bind/value/class.h"

/* A case. Its object stands at `index` of the caller's stack, and behind it the value that is to be
 * sent or was received. */
struct choice {
    struct waiter waiter; /* in the object's queue; out of it once this has happened */
    const struct choice_ops *ops;
    void *object;
    int index;
    int number; /* in the list */
};

/* What a case can wait for. A queue's owner takes a waiter off and wakes its fiber, as ever; that
 * ends the select, and the other cases leave their queues. The second half may be NULL. */
struct choice_ops {
    const char *name;
    bool has_value; /* that is returned */
    /* Whether it happens without a wait; then it has, and `*outcome` is 0 or an error. */
    bool (*attempt)(lua_State *L, struct choice *choice, int *outcome);
    struct list *(*queue)(const struct choice *choice);

    void (*check)(lua_State *L, const struct choice *choice);    /* raise what stands against it */
    void (*offer)(lua_State *L, struct choice *choice);          /* before a wait; may raise */
    void (*withdraw)(lua_State *L, struct choice *choice);       /* after it, in vain */
    void (*collect)(lua_State *L, struct choice *choice);        /* after it: the value received */
    int64_t (*expiry)(const struct choice *choice);              /* when to look, steady clock */
    void (*describe)(lua_State *L, const struct choice *choice); /* push more than the name */
};

extern const struct choice_ops choice_receive;
extern const struct choice_ops choice_send;
extern const struct choice_ops choice_semaphore;
extern const struct choice_ops choice_timer;
extern const struct choice_ops choice_fiber;

/* fiber.select(cases) */
int select_function(lua_State *L);

/* The wait has ended (for fiber_wake), or never will (for fiber_free). */
struct selection;
void selection_end(struct selection *selection);

#endif
