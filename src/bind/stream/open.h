/* SPDX-License-Identifier: BSL-1.0 */
/* What this room opens, once for each runtime: it pushes its module table.
 *
 * The room: transfers of many steps (multi_step.h), readers, and the buffer of what has been read
 * ahead (read_buffer.h). */
#ifndef BIND_STREAM_OPEN_H
#define BIND_STREAM_OPEN_H

#include <lua.h>

struct runtime;

int stream_open(lua_State *L, struct runtime *runtime);
void reader_open(lua_State *L, struct runtime *runtime);
int reader_new_function(lua_State *L);

#endif
