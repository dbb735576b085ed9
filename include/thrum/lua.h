/* SPDX-License-Identifier: BSL-1.0 */
/* thrum inside a C program's own lua_State: open the modules, spawn fibers, drive the loop. */
#ifndef THRUM_LUA_H
#define THRUM_LUA_H

#include <lua.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* Each state has a runtime of its own, made by the first luaopen_thrum and ended by thrum_close or
 * lua_close. States share nothing: several may run in several threads. A state, its fibers and its
 * sockets are used from one thread at a time. */

/* Loaders: push a module. `require "thrum"` and `require "thrum.ip"` find them by name in the
 * shared module; an embedding program gives them to luaL_requiref. */
THRUM_API int luaopen_thrum(lua_State *L);
THRUM_API int luaopen_thrum_byte_span(lua_State *L);
THRUM_API int luaopen_thrum_channel(lua_State *L);
THRUM_API int luaopen_thrum_condition_variable(lua_State *L);
THRUM_API int luaopen_thrum_coroutine(lua_State *L);
THRUM_API int luaopen_thrum_dgram(lua_State *L);
THRUM_API int luaopen_thrum_emitter(lua_State *L);
THRUM_API int luaopen_thrum_fiber(lua_State *L);
THRUM_API int luaopen_thrum_file_descriptor(lua_State *L);
THRUM_API int luaopen_thrum_generic_error(lua_State *L);
THRUM_API int luaopen_thrum_ip(lua_State *L);
THRUM_API int luaopen_thrum_mutex(lua_State *L);
THRUM_API int luaopen_thrum_semaphore(lua_State *L);
THRUM_API int luaopen_thrum_socket(lua_State *L);
THRUM_API int luaopen_thrum_stream(lua_State *L);
THRUM_API int luaopen_thrum_system(lua_State *L);
THRUM_API int luaopen_thrum_this_fiber(lua_State *L);
THRUM_API int luaopen_thrum_time(lua_State *L);
THRUM_API int luaopen_thrum_unix(lua_State *L);

/* Make a fiber of the function and the `nargs` arguments on the stack's top, pop them, push the
 * fiber's handle. The fiber begins to run in the next thrum_run or thrum_poll.
 * Raises a Lua error when memory runs out, or when the value is no function. */
THRUM_API void thrum_spawn(lua_State *L, int nargs);

/* Run fibers until none can run and nothing is pending. Call it outside any fiber.
 * Returns LUA_OK; or LUA_ERRRUN or LUA_ERRMEM with the error on the stack's top, for an error that
 * no fiber joins and no reporter takes, and when it is called from inside a fiber.
 *
 * An error is reported when nobody can join its fiber any more, and of a fiber that could still be
 * joined when nobody has for a second. */
THRUM_API int thrum_run(lua_State *L);

/* Run what is ready, without waiting; otherwise like thrum_run. */
THRUM_API int thrum_poll(lua_State *L);

/* 1 while a fiber can run or waits for something that is pending, else 0. */
THRUM_API int thrum_is_busy(lua_State *L);

/* Where uncaught errors of fibers that nobody joins go: the function on the stack's top, popped,
 * called as reporter(error value, traceback, id, name), strings but for the error; the name may be
 * nil. nil takes the reporter away; without one, thrum_run and thrum_poll return the error. false
 * drops them.
 *
 * In a state for which none of thrum_spawn, thrum_run, thrum_poll and this has been called there is
 * a default reporter, for stock interpreters: it writes to standard error. */
THRUM_API void thrum_set_reporter(lua_State *L);

/* End the runtime: abandon what is pending, close every socket, forget the fibers. Nothing runs.
 * Objects that live on answer EBADF. lua_close does the same. While the loop is being driven, from
 * inside a fiber for example, it does nothing. */
THRUM_API void thrum_close(lua_State *L);

THRUM_END_DECLS

#endif
