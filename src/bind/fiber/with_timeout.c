/* SPDX-License-Identifier: BSL-1.0 */
/* time.with_timeout: a function in a timeout scope. */
#include <errno.h>

#include <lauxlib.h>

#include "bind/fiber/call.h"
#include "bind/fiber/inspect.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/value/args.h"
#include "bind/value/class.h"
#include "bind/value/error.h"

/* scope, handler, results...  or  scope, handler, ..., error value */
static int finish(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    timeout_scope_end(lua_touserdata(L, 1));
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L) - 2;
}

int with_timeout_function(lua_State *L)
{
    double seconds = args_seconds(L, 1);
    if (!lua_isfunction(L, 2))
        error_raise_arg(L, EINVAL, 2, "f", "function");
    call_check_interruption(L);
    timeout_scope_push(L, class_runtime(L), call_deadline_after(seconds));
    lua_replace(L, 1);
    lua_pushcfunction(L, inspect_keep_traceback);
    lua_insert(L, 2);
    return finish(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, 0, finish), 0);
}
