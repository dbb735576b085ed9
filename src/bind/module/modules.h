/* SPDX-License-Identifier: BSL-1.0 */
/* The modules: the list that the loaders of thrum/lua.h are made of. The test `module lists` holds
 * it against the prelude, the annotations and the pages. */
#ifndef BIND_MODULE_MODULES_H
#define BIND_MODULE_MODULES_H

#include <lua.h>

#include "lua_modules.h"

struct runtime;

/* Each is a field of `require "thrum"`, opened by NAME_open and found by luaopen_thrum_NAME. */
#define MODULES(ROW)        \
    ROW(byte_span)          \
    ROW(channel)            \
    ROW(condition_variable) \
    ROW(coroutine)          \
    ROW(fiber)              \
    ROW(file_descriptor)    \
    ROW(generic_error)      \
    ROW(ip)                 \
    ROW(mutex)              \
    ROW(semaphore)          \
    ROW(stream)             \
    ROW(system)             \
    ROW(this_fiber)         \
    ROW(time)               \
    ROW(unix)

/* Make the table of `require "thrum"`, below the top, load them, and answer the functions in the
 * table on the top, which is popped. They are no fields of its own because Lua's tracebacks take a
 * function's name from any loaded module: the globals pcall and spawn would be 'thrum.pcall' and
 * 'thrum.prelude.spawn' there. */
void lua_modules_open(lua_State *L, struct runtime *runtime);

/* The modules and parts written in Lua are listed in lua/meson.build. A chunk is called with the
 * table of `require "thrum"` and the one of internal_functions.c, when it is first asked for; what
 * a part returns is kept, and nobody but our own code is given it. Parts trust their arguments. */

/* Push what the part has returned. */
void lua_part_push(lua_State *L, struct runtime *runtime, const char *name);
/* Push what they need of C. */
void internal_functions_push(lua_State *L, struct runtime *runtime);

#endif
