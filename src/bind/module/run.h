/* SPDX-License-Identifier: BSL-1.0 */
/* Running a main fiber from outside: what thrum.run and the program share. */
#ifndef BIND_MODULE_RUN_H
#define BIND_MODULE_RUN_H

#include <lua.h>

#include <thrum/visibility.h>

#include "bind/fiber/scheduler.h"

struct runtime;

/* Run the function and `nargs` arguments on the top of L as the main fiber, then everything else
 * until no fiber can run and nothing is pending. Pops them. Returns LUA_OK and leaves the results,
 * or another status and leaves the error value and its traceback (a string, or nil). An error in
 * the main fiber ends the run at once. */
int run_main(lua_State *L, struct runtime *runtime, int nargs);

/* What became of the main fiber whose handle is on the top of L, or below the error of
 * DRIVE_FAILED, after scheduler_drive(L, runtime, fiber): in place of the handle, and answered, as
 * by run_main, but the error of a fiber that waits for ever names no function that raised it: no
 * script has called one. A fiber that has not ended goes on waiting for what nobody will give it.
 */
int run_take_end(lua_State *L, struct fiber *fiber, enum drive_end end);

/* thrum.run, thrum.poll, thrum.stats, thrum.set_reporter */
int run_open(lua_State *L, struct runtime *runtime);

#endif
