/* SPDX-License-Identifier: BSL-1.0 */
/* Who resumed whom: from a thread to the coroutine that it has resumed. */
#ifndef BIND_FIBER_RESUMED_H
#define BIND_FIBER_RESUMED_H

#include <lua.h>

struct runtime;

/* If the innermost call of `thread` is to coroutine.resume or to a function of coroutine.wrap, and
 * its coroutine is where the work goes on or has failed: push that coroutine. Else NULL, and
 * nothing is pushed. */
lua_State *resumed_push(lua_State *L, const struct runtime *runtime, lua_State *thread);

#endif
