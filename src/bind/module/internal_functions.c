/* SPDX-License-Identifier: BSL-1.0 */
/* What the modules written in Lua need of C: a table of functions that only they are given. They
 * trust their arguments.
 *
 *   error(code, op, ...) -> error       an error object as C makes it: `code` is its name, such as
 *                                       "EINVAL" or "eof", the rest is joined to its detail
 *   raise(code, op, ...)                the same, raised
 *   raise_arg(op, arg, name, expected, value)   EINVAL about an argument
 *   raise_text(text)                    an error that is a text, at the script's line that called
 *   expired_scopes() -> n               how many with_timeouts round the call have ended a wait
 *   pcall(f, ...)                       for what never suspends
 *   error_name(error) -> string | nil   of an error object: the name of its code
 *   part(name) -> any                   what that part of a module has returned
 *   quietly(f, ...) -> ...              for what never suspends and may raise SIGPIPE */
#include <stdbool.h>

#include <lauxlib.h>

#include "bind/dgram/open.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/luasocket/open.h"
#include "bind/module/modules.h"
#include "bind/socket/open.h"
#include "bind/stream/open.h"
#include "bind/system/open.h"
#include "bind/value/address.h"
#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/open.h"

enum { ARG_CODE = 1, ARG_OP = 2, ARG_DETAIL = 3 };

static int internal_error(lua_State *L)
{
    int error = error_by_name(luaL_checkstring(L, ARG_CODE));
    luaL_argcheck(L, error != 0, ARG_CODE, "no such error");
    int n_pieces = lua_gettop(L) - ARG_OP;
    if (n_pieces > 0)
        lua_concat(L, n_pieces);
    error_push_from(L, error, lua_tostring(L, ARG_OP));
    error_set_where(L);
    if (n_pieces > 0) {
        lua_pushvalue(L, ARG_DETAIL);
        lua_setfield(L, -2, "detail");
    }
    return 1;
}

static int internal_raise(lua_State *L)
{
    internal_error(L);
    return lua_error(L);
}

static int internal_raise_arg(lua_State *L)
{
    enum { ARG_ARG = 2, ARG_NAME, ARG_EXPECTED, ARG_VALUE };
    lua_settop(L, ARG_VALUE);
    error_raise_arg_of(L, luaL_checkstring(L, 1), ARG_VALUE, (int)luaL_checkinteger(L, ARG_ARG),
                       lua_tostring(L, ARG_NAME), luaL_checkstring(L, ARG_EXPECTED));
}

static int internal_raise_text(lua_State *L)
{
    luaL_checkstring(L, 1);
    class_push_caller(L);
    if (lua_isstring(L, -1))
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, 1));
    else
        lua_settop(L, 1);
    return lua_error(L);
}

static int internal_expired_scopes(lua_State *L)
{
    const struct fiber *fiber = runtime_caller(class_runtime(L));
    lua_pushinteger(L, timeout_scope_count_expired(fiber));
    return 1;
}

/* What is called never suspends: this is no interruption point, as the fiber-aware pcall is. */
static int internal_pcall(lua_State *L)
{
    bool is_done = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == LUA_OK;
    lua_pushboolean(L, is_done);
    lua_insert(L, 1);
    return lua_gettop(L);
}

static int internal_error_name(lua_State *L)
{
    lua_pushstring(L, error_name(L, 1));
    return 1;
}

/* address(value) -> ip.address of a text, or the object itself; nil for what is no address */
static int internal_address(lua_State *L)
{
    if (address_test(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_type(L, 1) != LUA_TSTRING)
        return 0;
    struct thrum_address address;
    size_t length;
    const char *text = lua_tolstring(L, 1, &length);
    if (thrum_address_parse(text, length, &address))
        return 0;
    address_push(L, class_runtime(L), &address);
    return 1;
}

static int internal_part(lua_State *L)
{
    lua_part_push(L, class_runtime(L), luaL_checkstring(L, 1));
    return 1;
}

/* One table for all: through it, modules share what is private to them. */
static const char table_key;

void internal_functions_push(lua_State *L, struct runtime *runtime)
{
    static const struct function_row functions[] = {{"error", internal_error},
                                                    {"raise", internal_raise},
                                                    {"raise_arg", internal_raise_arg},
                                                    {"raise_text", internal_raise_text},
                                                    {"expired_scopes", internal_expired_scopes},
                                                    {"pcall", internal_pcall},
                                                    {"error_name", internal_error_name},
                                                    {"address", internal_address},
                                                    {"part", internal_part},
                                                    {"quietly", call_without_sigpipe},
                                                    {0}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &thrum_class), functions);
    dgram_add_internal_functions(L, runtime);
    luasocket_add_internal_functions(L, runtime);
    luasocket_select_open(L, runtime);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
}
