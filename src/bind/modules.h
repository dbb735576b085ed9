/* SPDX-License-Identifier: BSL-1.0 */
/* What each file of the binding opens: _open functions that return 1 push their module or class
 * table, the others only make a class. Called once per runtime, by module.c. */
#ifndef BIND_MODULES_H
#define BIND_MODULES_H

#include <lua.h>

#include "bind/noun.h"

struct runtime;
struct fiber;

void fiber_open(lua_State *L, struct runtime *runtime);
int this_fiber_open(lua_State *L, struct runtime *runtime);
int coroutine_open(lua_State *L, struct runtime *runtime);
int mutex_open(lua_State *L, struct runtime *runtime);
int condition_variable_open(lua_State *L, struct runtime *runtime);
int semaphore_open(lua_State *L, struct runtime *runtime);
int channel_open(lua_State *L, struct runtime *runtime);
int time_open(lua_State *L, struct runtime *runtime);
int timer_open(lua_State *L, struct runtime *runtime, enum noun_id id);
int system_open(lua_State *L, struct runtime *runtime);
int signal_open(lua_State *L, struct runtime *runtime);
int byte_span_open(lua_State *L, struct runtime *runtime);
int file_descriptor_open(lua_State *L, struct runtime *runtime);
int ip_open(lua_State *L, struct runtime *runtime);
/* The table of a socket class: its constructor. */
int udp_socket_open(lua_State *L, struct runtime *runtime);

/* Make a fiber of the function and `nargs` arguments on the top; leaves its handle there. Raises
 * ECANCELED in a closed state. */
struct fiber *fiber_spawn(lua_State *L, struct runtime *runtime, int nargs);

/* spawn(f, ...): the Lua function. */
int fiber_spawn_function(lua_State *L);

#endif
