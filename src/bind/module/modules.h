/* SPDX-License-Identifier: BSL-1.0 */
/* The modules, and what each file of the binding opens: _open functions that return 1 push their
 * module or class table, the others only make a class. Called once per runtime, by module.c. */
#ifndef BIND_MODULE_MODULES_H
#define BIND_MODULE_MODULES_H

#include <stdbool.h>

#include <lua.h>

#include "bind/value/class.h"

struct runtime;
struct fiber;

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

#define MODULE_OPEN(name) int name##_open(lua_State *L, struct runtime *runtime);
MODULES(MODULE_OPEN)
#undef MODULE_OPEN

/* The same, written in Lua: lua/thrum/NAME.lua, whose text is in the library. A chunk is called
 * with the table of `require "thrum"` and the one of native.c, when that field is first asked for.
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
void native_push(lua_State *L, struct runtime *runtime);
/* Add what dgram alone needs to the table on the top. */
void dgram_set_natives(lua_State *L, struct runtime *runtime);
void dgram_free_batch(lua_State *L, struct runtime *runtime);
/* Send what dgram holds back: before the running fiber suspends. */
void dgram_send_held(lua_State *L);
/* Add what socket alone needs to the table on the top. */
void face_set_natives(lua_State *L, struct runtime *runtime);
void face_select_open(lua_State *L, struct runtime *runtime);
/* native.quietly(f, ...) -> ... */
int quiet_call(lua_State *L);

int timer_open(lua_State *L, struct runtime *runtime, enum noun_id id);
int signal_open(lua_State *L, struct runtime *runtime);
void process_open(lua_State *L, struct runtime *runtime);
void reader_open(lua_State *L, struct runtime *runtime);
/* The table of a socket class: what makes its objects. */
int socket_class_open(lua_State *L, struct runtime *runtime, enum noun_id id);
/* What all lookups share, and the flags, pushed; then a protocol's functions, for its table. */
int resolver_open(lua_State *L, struct runtime *runtime);
void resolver_set_functions(lua_State *L, struct runtime *runtime, enum noun_id protocol);

/* Make a fiber of the function and `nargs` arguments on the top; leaves its handle there. Raises
 * ECANCELED in a closed state. */
struct fiber *fiber_spawn(lua_State *L, struct runtime *runtime, int nargs);

/* Whether the value can be spawned: a function, or one with a name. */
bool fiber_is_function(lua_State *L, int index);

/* Push the name of what can be spawned, at `index`, and put the function itself there; or nil. */
void fiber_push_name(lua_State *L, int index);

/* spawn(f, ...): the Lua function. */
int fiber_spawn_function(lua_State *L);

/* Functions of modules that stand in files of their own. */
int ip_connect(lua_State *L);
int time_sleep(lua_State *L);
int ip_connect_any(lua_State *L);
int process_spawn_function(lua_State *L);
int require_function(lua_State *L);
int inherit_fd_function(lua_State *L);
int inherit_listen_fds_function(lua_State *L);
int reader_new_function(lua_State *L);

/* If the value at `index` is system.environment, replace it by the table of its variables. */
void system_replace_environment(lua_State *L, int index);

#endif
