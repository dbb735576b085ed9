/* SPDX-License-Identifier: BSL-1.0 */
/* What others ask of the coroutine library. */
#ifndef BIND_FIBER_COROUTINE_H
#define BIND_FIBER_COROUTINE_H

#include <lua.h>

/* If the innermost call of `thread` is to coroutine.resume or to a function of coroutine.wrap, and
 * its coroutine is where the work goes on or has failed: push that coroutine. Else NULL, and
 * nothing is pushed. */
lua_State *coroutine_push_resumed(lua_State *L, lua_State *thread);

#endif
