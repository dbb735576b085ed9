/* SPDX-License-Identifier: BSL-1.0 */
/* The modules by name: opened once per state, handed out by the loaders of thrum/lua.h. */
#include "bind/dgram/open.h"
#include "bind/fiber/open.h"
#include "bind/luasocket/open.h"
#include "bind/module/modules.h"
#include "bind/socket/open.h"
#include "bind/stream/open.h"
#include "bind/system/open.h"
#include "bind/value/open.h"

#include <lauxlib.h>

#include <thrum/lua.h>

#include "bind/fiber/runtime.h"
#include "bind/module/run.h"
#include "bind/value/error.h"

static const struct {
    const char *name;
    int (*open)(lua_State *L, struct runtime *runtime);
} modules[] = {
#define MODULE(name) {#name, name##_open},
    MODULES(MODULE)
#undef MODULE
};

/* Push the table `require "thrum"` returns; it also keeps the modules by name. */
static void open_all(lua_State *L, struct runtime *runtime)
{
    error_open(L, runtime);
    runtime->push_part = lua_part_push;
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        modules[i].open(L, runtime);
        lua_setfield(L, -2, modules[i].name);
    }
    lua_pushliteral(L, THRUM_VERSION);
    lua_setfield(L, -2, "version");
    lua_newtable(L);
    run_open(L, runtime);
    lua_modules_open(L, runtime);
}

/* Key of the table in the registry: its address. A state has one or none. */
static const char table_key;

/* The long names are ours from here on, whatever stands in package.path. */
static void preload(lua_State *L)
{
    static const luaL_Reg loaders[] = {
#define LOADER(name) {"thrum." #name, luaopen_thrum_##name},
        MODULES(LOADER) LUA_MODULES(LOADER){NULL, NULL}};
#undef LOADER
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const luaL_Reg *loader = loaders; loader->name; loader++) {
        if (lua_getfield(L, -1, loader->name) == LUA_TNIL) {
            lua_pushcfunction(L, loader->func);
            lua_setfield(L, -3, loader->name);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static int open_table(lua_State *L)
{
    open_all(L, runtime_get(L));
    preload(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
    return 1;
}

int luaopen_thrum(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    return runtime_call_quietly(L, open_table);
}

static int open_one(lua_State *L, const char *name)
{
    luaopen_thrum(L);
    lua_getfield(L, -1, name);
    return 1;
}

#define LOADER(name)                       \
    int luaopen_thrum_##name(lua_State *L) \
    {                                      \
        return open_one(L, #name);         \
    }
MODULES(LOADER)
LUA_MODULES(LOADER)
#undef LOADER
