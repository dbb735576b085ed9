/* SPDX-License-Identifier: BSL-1.0 */
/* The scheduler: the ready list, and driving the loop from outside any fiber. */
#ifndef BIND_FIBER_SCHEDULER_H
#define BIND_FIBER_SCHEDULER_H

#include <stdbool.h>

#include <lua.h>

#include "bind/fiber/fiber.h"

struct runtime;

/* Run rounds until `until` is ready (the stand-in of a caller outside) or has ended (a fiber), or,
 * for NULL, until no fiber can run and nothing is pending. Call only where scheduler_can_drive. */
enum drive_end {
    DRIVE_REACHED,
    DRIVE_IDLE,  /* no fiber can run and nothing is pending */
    DRIVE_FAILED /* a cleanup handler raised, or the scheduler itself ran out of memory; the error
                    is on the top of L */
};
enum drive_end scheduler_drive(lua_State *L, struct runtime *runtime, struct fiber *until);

/* One round without waiting: DRIVE_IDLE or DRIVE_FAILED. */
enum drive_end scheduler_poll(lua_State *L, struct runtime *runtime);

/* Whether a call outside any fiber may drive the loop now. */
bool scheduler_can_drive(const struct runtime *runtime);

/* Whether a fiber can run or something is pending. */
bool scheduler_is_busy(const struct runtime *runtime);

#endif
