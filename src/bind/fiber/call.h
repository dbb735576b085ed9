/* SPDX-License-Identifier: BSL-1.0 */
/* Calls that may suspend the calling fiber.
 *
 * Four steps, in this order, so that nothing can leak:
 *   1. check every argument;
 *   2. fiber = call_begin(L, runtime): is it interrupted?
 *   3. try, or start fiber->operation;
 *   4. return call_done (it is finished already) or call_suspend (it completes later).
 *
 * Where the caller cannot be suspended all but the wait happens: it ends at once with
 * THRUM_ECANNOT_SUSPEND, unless it need not be, and in the module socket it takes place without
 * letting any fiber run. An error of that kind does not leave a finalizer: it is reported, and the
 * call returns nil and the error. */
#ifndef BIND_FIBER_CALL_H
#define BIND_FIBER_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/clock.h"
#include "bind/fiber/fiber.h"

/* The fiber that calls: its operation and its wait are free to use. Outside any fiber it is the
 * runtime's stand-in, and call_suspend drives the loop. Raises the interruption error in an
 * interrupted fiber, an error where suspending is forbidden, and in a state that has been closed.
 */
struct fiber *call_begin(lua_State *L, struct runtime *runtime);

/* The same for a call that has begun: one that waits in any case, for the end of what it has made,
 * or one of many steps, before another. An error: there can be no wait. */
int call_begin_late(lua_State *L, struct runtime *runtime, struct fiber **fiber);
/* What call_begin would raise besides, or 0: an interruption, a timeout (its scope has expired
 * then). After an error, and without this call, the wait must be WAIT_UNSTOPPABLE. */
int call_take_error(lua_State *L, struct fiber *fiber);

/* Whether a wait can take place here. For calls whose start has consequences, and those that do
 * nothing but wait: the others just call call_suspend. */
bool call_can_wait(lua_State *L, const struct fiber *fiber);
/* It cannot: finish with THRUM_ECANNOT_SUSPEND. */
int call_refuse(lua_State *L, struct fiber *fiber, call_finish *finish);
/* The same with another error that comes of where the call stands, and so must not leave a
 * finalizer either. */
int call_refuse_as(lua_State *L, struct fiber *fiber, int error, call_finish *finish);
/* Why not, in words. */
const char *call_why_not(lua_State *L);

/* Whether call_suspend and call_yield return in this call, as they do outside any fiber and where
 * the caller cannot be suspended; else `finish` runs in a continuation. With call_note as `finish`
 * they return the outcome: so a call of many steps is a loop and no recursion. */
bool call_returns(lua_State *L, const struct fiber *fiber);
int call_note(lua_State *L, struct fiber *fiber, int outcome);

/* Whether it would be interrupted now: nothing that holds disables that. */
bool call_is_interrupted(const struct fiber *fiber);

/* After a step of a call of many that completed at once: whether others should run before the next,
 * by call_yield. */
bool call_is_due(struct fiber *fiber);

/* Before step 3, when the wait will have a deadline: make room for it. Raises ENOMEM. */
void call_prepare_deadline(lua_State *L, struct fiber *fiber);

/* Suspend until the wait ends, then answer what `finish` does. */
int call_suspend(lua_State *L, struct fiber *fiber, const struct wait_ops *wait,
                 int64_t deadline_ns, call_finish *finish);

/* Finish a call that completed at once; every now and then let others run first. */
int call_done(lua_State *L, struct fiber *fiber, int error, call_finish *finish);

/* Let others run, then finish with `outcome`. */
int call_yield(lua_State *L, struct fiber *fiber, int outcome, call_finish *finish);

/* Return nothing, or raise. */
int call_finish_plain(lua_State *L, struct fiber *fiber, int error);

/* The same after a call_yield: others have run, and may have interrupted the fiber. */
int call_finish_yield(lua_State *L, struct fiber *fiber, int error);

/* A whole call that only lets others run. */
int call_yield_now(lua_State *L);

/* Raise the interruption error in an interrupted fiber: for interruption points that do not wait.
 * Not where C code is in between that cannot be suspended: that may be a finalizer, which runs in
 * whichever fiber has allocated and must do its work. */
void call_check_interruption(lua_State *L);

/* `seconds` from now as a deadline of the steady clock; huge values are NO_DEADLINE. */
int64_t call_deadline_after(double seconds);

#endif
