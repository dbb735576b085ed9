/* SPDX-License-Identifier: BSL-1.0 */
/* thrum.require: what Lua's own does, but the chunk of a module may suspend. Lua's calls it where
 * nothing can.
 *
 * So two fibers may ask for one module at a time: the second waits until the first has it. Who
 * loads what stands in a table, by name: {the fiber's id, a channel that is closed at the end, how
 * deep the fiber is in loads of it inside its load}; and who waits for what, by the fiber's id: the
 * name. So a loop is found before it would wait for itself. */
#include <stdnoreturn.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/fiber/call.h"
#include "bind/fiber/fiber.h"
#include "bind/fiber/inspect.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/value/class.h"
#include "bind/value/stock.h"

enum { NAME = 1, LOADED, HANDLER };
enum { FIBER_ID = 1, CHANNEL, DEPTH };

/* How often a module may be asked for anew while it is being loaded, by its own fiber. Lua has a
 * stack of C calls that ends such a loop; a chunk that suspends has none. */
enum { MAX_DEPTH = 100 };

/* In place of the fiber's id: a load inside another. */
enum { NESTED = -1 };

/* ---- who loads what ---- */

static const char loaders_key;

/* By fiber: the name of the module it waits for. */
static const char waits_key;

static void push_registered(lua_State *L, const char *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static lua_Integer current_id(const struct runtime *runtime)
{
    return runtime->current ? (lua_Integer)runtime->current->id : 0;
}

static void fiber_ended(lua_State *L, const struct fiber *fiber);

static void begin_loading(lua_State *L, const struct runtime *runtime)
{
    if (runtime->current)
        runtime->current->when_ended = fiber_ended;
    push_registered(L, &loaders_key);
    lua_pushvalue(L, NAME);
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, current_id(runtime));
    lua_rawseti(L, -2, FIBER_ID);
    channel_push(L, 0);
    lua_rawseti(L, -2, CHANNEL);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Close the channel of the entry on the top, pops that: those who wait for it go on. */
static void close_entry(lua_State *L)
{
    lua_rawgeti(L, -1, CHANNEL);
    lua_getfield(L, -1, "close");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

static bool is_entry_of(lua_State *L, lua_Integer id)
{
    lua_rawgeti(L, -1, FIBER_ID);
    bool is_it = lua_tointeger(L, -1) == id;
    lua_pop(L, 1);
    return is_it;
}

/* What the fiber has begun is over. If the fiber was before, another may have begun it since. */
static void end_loading(lua_State *L, lua_Integer id)
{
    push_registered(L, &loaders_key);
    lua_pushvalue(L, NAME);
    if (lua_rawget(L, -2) == LUA_TNIL || !is_entry_of(L, id)) {
        lua_pop(L, 2);
        return;
    }
    lua_pushvalue(L, NAME);
    lua_pushnil(L);
    lua_rawset(L, -4);
    close_entry(L);
    lua_pop(L, 1);
}

/* Take a load of the fiber's off the list of loaders on the top, and push its entry. */
static bool take_entry_of(lua_State *L, lua_Integer id)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (is_entry_of(L, id)) {
            lua_insert(L, -2);
            lua_pushnil(L);
            lua_rawset(L, -4);
            return true;
        }
        lua_pop(L, 1);
    }
    return false;
}

/* What the fiber has left unfinished stands in coroutines that nobody may ever resume. */
static int abandon_loads(lua_State *L)
{
    push_registered(L, &loaders_key);
    while (take_entry_of(L, lua_tointeger(L, 1)))
        close_entry(L);
    return 0;
}

static void fiber_ended(lua_State *L, const struct fiber *fiber)
{
    lua_pushcfunction(L, abandon_loads);
    lua_pushinteger(L, (lua_Integer)fiber->id);
    if (lua_pcall(L, 1, 0, 0))
        lua_pop(L, 1);
}

/* Push the fiber's id and the channel, or return false if nobody loads it. */
static bool push_loading(lua_State *L)
{
    push_registered(L, &loaders_key);
    lua_pushvalue(L, NAME);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_rawgeti(L, -1, FIBER_ID);
    lua_rawgeti(L, -2, CHANNEL);
    return true;
}

/* The fiber waits for the module, or, without `is_waiting`, for none any more. */
static void note_wait(lua_State *L, lua_Integer id, bool is_waiting)
{
    push_registered(L, &waits_key);
    if (is_waiting)
        lua_pushvalue(L, NAME);
    else
        lua_pushnil(L);
    lua_rawseti(L, -2, id);
    lua_pop(L, 1);
}

/* Who loads the module that the fiber waits for, or -1. */
static lua_Integer next_in_chain(lua_State *L, lua_Integer id)
{
    lua_Integer loader = -1;
    push_registered(L, &loaders_key);
    push_registered(L, &waits_key);
    if (lua_rawgeti(L, -1, id) != LUA_TNIL && lua_rawget(L, -3) != LUA_TNIL) {
        lua_rawgeti(L, -1, FIBER_ID);
        loader = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 3);
    return loader;
}

noreturn static void raise_loop(lua_State *L)
{
    luaL_error(L, "loop or previous error loading module '%s'", lua_tostring(L, NAME));
    __builtin_unreachable();
}

/* Inside a load of the same module by the same fiber another begins, or has ended. */
static void count_depth(lua_State *L, int change)
{
    push_registered(L, &loaders_key);
    lua_pushvalue(L, NAME);
    if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_rawgeti(L, -1, DEPTH);
        lua_Integer depth = lua_tointeger(L, -1) + change;
        if (depth > MAX_DEPTH)
            raise_loop(L);
        lua_pushinteger(L, depth);
        lua_rawseti(L, -3, DEPTH);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

/* Each fiber in the chain waits for the next one's module: would this one wait for itself? */
static void refuse_loop(lua_State *L, lua_Integer id, lua_Integer loader)
{
    while (loader >= 0 && loader != id)
        loader = next_in_chain(L, loader);
    if (loader == id)
        raise_loop(L);
}

static int ask_again(lua_State *L, int status, lua_KContext id)
{
    note_wait(L, (lua_Integer)id, false);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    lua_settop(L, NAME);
    return require_function(L);
}

/* The loader's id and the channel are on the top. */
static int wait_for_other(lua_State *L, lua_Integer id)
{
    struct fiber *fiber = runtime_caller(class_runtime(L));
    refuse_loop(L, id, lua_tointeger(L, -2));
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    lua_getfield(L, -1, "values");
    lua_insert(L, -2);
    lua_call(L, 1, 2);
    note_wait(L, id, true);
    return ask_again(L, lua_pcallk(L, 1, 1, 0, (lua_KContext)id, ask_again), (lua_KContext)id);
}

/* ---- loading: as in Lua's loadlib.c ---- */

/* Push what loads the module, and the value its searcher gave with it. */
static void push_loader(lua_State *L, const char *name)
{
    luaL_Buffer message;
    lua_getfield(L, LOADED, LUA_LOADLIBNAME);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "searchers") != LUA_TTABLE)
        luaL_error(L, "'package.searchers' must be a table");
    int searchers = lua_gettop(L);
    luaL_buffinit(L, &message);
    for (lua_Integer i = 1;; i++) {
        if (lua_rawgeti(L, searchers, i) == LUA_TNIL) {
            lua_pop(L, 1);
            luaL_pushresult(&message);
            luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -1));
        }
        lua_pushstring(L, name);
        lua_call(L, 1, 2);
        if (lua_isfunction(L, -2))
            return;
        lua_pop(L, 1);
        if (lua_isstring(L, -1))
            luaL_addvalue(&message);
        else
            lua_pop(L, 1);
    }
}

/* `loader`: the fiber's id, or NESTED. */
static int finish(lua_State *L, int status, lua_KContext loader)
{
    const char *name = lua_tostring(L, NAME);
    if (loader != NESTED)
        end_loading(L, (lua_Integer)loader);
    else
        count_depth(L, -1);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    if (!lua_isnil(L, -1))
        lua_setfield(L, LOADED, name);
    if (lua_getfield(L, LOADED, name) == LUA_TNIL) {
        lua_pushboolean(L, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, LOADED, name);
    }
    return 1;
}

int require_function(lua_State *L)
{
    const char *name = stock_check_string(L, NAME);
    const struct runtime *runtime = class_runtime(L);
    lua_settop(L, NAME);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, LOADED, name);
    if (lua_toboolean(L, -1))
        return 1;
    lua_settop(L, LOADED);
    bool is_nested = push_loading(L);
    if (is_nested && lua_tointeger(L, -2) != current_id(runtime))
        return wait_for_other(L, current_id(runtime));
    lua_settop(L, LOADED);

    lua_pushcfunction(L, inspect_keep_traceback);
    push_loader(L, name);
    lua_pushvalue(L, NAME);
    lua_insert(L, -2);
    if (is_nested)
        count_depth(L, 1);
    else
        begin_loading(L, runtime);
    lua_KContext loader = is_nested ? NESTED : (lua_KContext)current_id(runtime);
    return finish(L, lua_pcallk(L, 2, 1, HANDLER, loader, finish), loader);
}
