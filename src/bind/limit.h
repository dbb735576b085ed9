/* SPDX-License-Identifier: BSL-1.0 */
/* Limits: what time.with_timeout puts round the calls of a fiber.
 *
 * A limit counts while the thread that set it is on the fiber's chain of resumes; it ends one wait,
 * or refuses one call, and is spent. It is a userdata on that thread's stack, linked to its fiber:
 * when the thread is collected in the middle, so is the limit. */
#ifndef BIND_LIMIT_H
#define BIND_LIMIT_H

#include <stdint.h>

#include <lua.h>

struct fiber;
struct limit;
struct runtime;

/* The nearest limit of the running fiber that counts, or NULL; and when it comes. */
struct limit *limit_nearest(struct fiber *fiber);
int64_t limit_deadline(const struct limit *limit);

/* It has ended a wait: it will not end another. */
void limit_spend(struct limit *limit);

/* For call_begin, when the fiber has limits: make room for a deadline, raise ETIMEDOUT if the
 * nearest has passed. */
void limit_check(lua_State *L, struct fiber *fiber);

/* The fiber goes: forget its limits. */
void limit_forget(struct fiber *fiber);

/* time.with_timeout(seconds, f, ...) */
int limit_with_timeout(lua_State *L);
void limit_open(lua_State *L, struct runtime *runtime);

#endif
