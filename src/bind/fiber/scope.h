/* SPDX-License-Identifier: BSL-1.0 */
/* Scopes: cleanup handlers that run when a block ends, however it ends.
 *
 * Each thread, a fiber's or a user coroutine's, has one list of handlers; a scope is the part of it
 * above a base. A thread gets its list with its first handler, so a scope without any costs next to
 * nothing. Handlers run with interruption disabled and may suspend. One that raises is the end of
 * the run: the loop stops, and the caller that runs it gets the error. */
#ifndef BIND_FIBER_SCOPE_H
#define BIND_FIBER_SCOPE_H

#include <stdbool.h>

#include <lua.h>

struct runtime;
struct fiber;

/* Push the newest handler of the current scope of the thread at `index` and take it off its list.
 * False, and nothing pushed, if there is none. Index 0 is the running thread. */
bool scope_take_handler(lua_State *L, struct runtime *runtime, int index);

/* Call the handler on the top. If it suspends, the caller goes on in `k` with `context`; both ways
 * the caller's next step is scope_handler_ended with the status it has got. */
int scope_call_handler(lua_State *L, struct runtime *runtime, lua_KContext context,
                       lua_KFunction k);
void scope_handler_ended(lua_State *L, struct runtime *runtime, int status);

/* The fiber's function has ended. If its root scope has handlers: push the thread that runs them in
 * the fiber's name, ready to be resumed; else NULL. */
lua_State *scope_push_root_thread(lua_State *L, struct fiber *fiber);

/* scope, scope_cleanup_push, scope_cleanup_pop, pcall, xpcall, into the table on the top. */
void scope_open(lua_State *L, struct runtime *runtime);

#endif
