/* SPDX-License-Identifier: BSL-1.0 */
/* Timeout scopes: what ends the calls that a fiber makes inside one function. time.with_timeout
 * sets one that ends by the time, fiber.group one that ends when it is cancelled.
 *
 * A scope counts while the thread that set it is on the fiber's chain of resumes. By its time it
 * ends one wait, or refuses one call, and has expired; once cancelled it ends every interruption
 * point inside, as an interruption does. It is a userdata on that thread's stack, linked to its
 * fiber: when the thread is collected in the middle, so is the scope. */
#ifndef BIND_FIBER_TIMEOUT_SCOPE_H
#define BIND_FIBER_TIMEOUT_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

struct fiber;
struct timeout_scope;
struct runtime;

/* Push a new scope round what the running thread calls from here on. Without a time:
 * NO_DEADLINE. */
struct timeout_scope *timeout_scope_push(lua_State *L, struct runtime *runtime,
                                         int64_t deadline_ns);
/* Nothing is inside any more. */
void timeout_scope_end(struct timeout_scope *scope);
/* Interrupt what is inside. */
void timeout_scope_cancel(struct timeout_scope *scope);

/* Before a wait of the running fiber: the nearest scope with a time that counts, or NULL; and when
 * it comes. A cancellation finds this wait. */
struct timeout_scope *timeout_scope_nearest(struct fiber *fiber);
int64_t timeout_scope_deadline(const struct timeout_scope *scope);

/* It has ended a wait: it will not end another. */
void timeout_scope_expire(struct timeout_scope *scope);
/* How many of the running fiber have. */
int timeout_scope_count_expired(const struct fiber *fiber);

/* For a call that may suspend: ETIMEDOUT if a scope of the running fiber has passed, which has
 * expired then; ENOMEM if there is no room for the wait's deadline; or 0. */
int timeout_scope_take_error(struct fiber *fiber);
/* Whether one that counts in the running fiber was cancelled; that is INTERRUPTED_INSIDE. */
bool timeout_scope_is_cancelled(const struct fiber *fiber);

/* The fiber goes: forget its scopes. */
void timeout_scope_forget(struct fiber *fiber);

/* time.with_timeout(seconds, f, ...) */
int with_timeout_function(lua_State *L);
void timeout_scope_open(lua_State *L, struct runtime *runtime);

#endif
