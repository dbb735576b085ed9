/* SPDX-License-Identifier: BSL-1.0 */
/* Limits: what ends the calls that a fiber makes inside one function. time.with_timeout sets one
 * that ends by the time, fiber.group one that ends when it is cancelled.
 *
 * A limit counts while the thread that set it is on the fiber's chain of resumes. By its time it
 * ends one wait, or refuses one call, and is spent; once cancelled it ends every interruption point
 * inside, as an interruption does. It is a userdata on that thread's stack, linked to its fiber:
 * when the thread is collected in the middle, so is the limit. */
#ifndef BIND_FIBER_TIMEOUT_SCOPE_H
#define BIND_FIBER_TIMEOUT_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

struct fiber;
struct limit;
struct runtime;

/* Push a new limit round what the running thread calls from here on. Without a time:
 * NO_DEADLINE. */
struct limit *limit_push(lua_State *L, struct runtime *runtime, int64_t deadline_ns);
/* Nothing is inside any more. */
void limit_end(struct limit *limit);
/* Interrupt what is inside. */
void limit_cancel(struct limit *limit);

/* Before a wait of the running fiber: the nearest limit with a time that counts, or NULL; and when
 * it comes. A cancellation finds this wait. */
struct limit *limit_nearest(struct fiber *fiber);
int64_t limit_deadline(const struct limit *limit);

/* It has ended a wait: it will not end another. */
void limit_spend(struct limit *limit);
/* How many of the running fiber have. */
int limit_count_spent(const struct fiber *fiber);

/* For a call that may suspend: ETIMEDOUT if a limit of the running fiber has passed, which is spent
 * then; ENOMEM if there is no room for the wait's deadline; or 0. */
int limit_take_error(struct fiber *fiber);
/* Whether one that counts in the running fiber was cancelled; that is INTERRUPTED_INSIDE. */
bool limit_is_cancelled(const struct fiber *fiber);

/* The fiber goes: forget its limits. */
void limit_forget(struct fiber *fiber);

/* time.with_timeout(seconds, f, ...) */
int limit_with_timeout(lua_State *L);
void limit_open(lua_State *L, struct runtime *runtime);

#endif
