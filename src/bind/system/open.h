/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: it pushes its module table.
 *
 * The room: processes, signals, the descriptors that a program is born with. */
#ifndef BIND_SYSTEM_OPEN_H
#define BIND_SYSTEM_OPEN_H

#include <lua.h>

struct runtime;

int system_open(lua_State *L, struct runtime *runtime);
int signal_open(lua_State *L, struct runtime *runtime);
void process_open(lua_State *L, struct runtime *runtime);
int process_spawn_function(lua_State *L);
int inherit_fd_function(lua_State *L);
int inherit_listen_fds_function(lua_State *L);

/* If the value at `index` is system.environment, replace it by the table of its variables. */
void system_replace_environment(lua_State *L, int index);

#endif
