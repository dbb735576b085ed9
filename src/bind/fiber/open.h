/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: each pushes its module or class table.
 *
 * The room: the runtime of a Lua state, fibers and the scheduler, calls that suspend (call.h),
 * time, and what fibers wait for one another by. It knows no sockets: what they wait for is an
 * operation. */
#ifndef BIND_FIBER_OPEN_H
#define BIND_FIBER_OPEN_H

#include <lua.h>

#include "bind/value/class.h"

struct runtime;

int channel_open(lua_State *L, struct runtime *runtime);
int condition_variable_open(lua_State *L, struct runtime *runtime);
int coroutine_open(lua_State *L, struct runtime *runtime);
int fiber_open(lua_State *L, struct runtime *runtime);
int mutex_open(lua_State *L, struct runtime *runtime);
int semaphore_open(lua_State *L, struct runtime *runtime);
int this_fiber_open(lua_State *L, struct runtime *runtime);
int time_open(lua_State *L, struct runtime *runtime);
/* Push a new channel. */
void channel_push(lua_State *L, lua_Integer capacity);
/* The class of one kind of timer. */
int timer_open(lua_State *L, struct runtime *runtime, const struct class *class);

/* Functions of modules that are opened elsewhere. */
int fiber_spawn_function(lua_State *L); /* spawn(f, ...) */
int require_function(lua_State *L);
int time_sleep(lua_State *L);

#endif
