/* SPDX-License-Identifier: BSL-1.0 */
/* The list of the modules and of the parts that are written in Lua: the one table that the C
 * loaders, the texts built into the library and the gate `pages` go by. */
#ifndef BIND_MODULE_MODULES_H
#define BIND_MODULE_MODULES_H

#include <lua.h>

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

/* The same, written in Lua: lua/thrum/NAME.lua, whose text is in the library. A chunk is called
 * with the table of `require "thrum"` and the one of internal_functions.c, when that field is first
 * asked for.
 */
#define LUA_MODULES(ROW) \
    ROW(dgram)           \
    ROW(emitter)         \
    ROW(socket)

/* Make the table of `require "thrum"`, below the top, load them, and answer the functions in the
 * table on the top, which is popped. They are no fields of its own because Lua's tracebacks take a
 * function's name from any loaded module: the globals pcall and spawn would be 'thrum.pcall' and
 * 'thrum.prelude.spawn' there. */
void lua_modules_open(lua_State *L, struct runtime *runtime);
/* Parts of modules, likewise: what a chunk returns is kept, and nobody else is given it. They trust
 * their arguments. */
#define LUA_PARTS(ROW)    \
    ROW(dgram_address)    \
    ROW(dgram_args)       \
    ROW(dgram_base)       \
    ROW(dgram_bind)       \
    ROW(dgram_block_list) \
    ROW(dgram_connect)    \
    ROW(dgram_multicast)  \
    ROW(dgram_queue)      \
    ROW(dgram_receive)    \
    ROW(dgram_send)       \
    ROW(dgram_timeout)    \
    ROW(ip_connect)       \
    ROW(socket_connect)   \
    ROW(socket_dns)       \
    ROW(socket_foreign)   \
    ROW(socket_helper)    \
    ROW(socket_installed) \
    ROW(socket_option)    \
    ROW(socket_sec)       \
    ROW(socket_serial)    \
    ROW(socket_try)       \
    ROW(socket_unix)

/* Push what the part has returned. */
void lua_part_push(lua_State *L, struct runtime *runtime, const char *name);
/* Push what they need of C. */
void internal_functions_push(lua_State *L, struct runtime *runtime);

#endif
