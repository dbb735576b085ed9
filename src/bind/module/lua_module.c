/* SPDX-License-Identifier: BSL-1.0 */
/* The modules written in Lua, and parts of modules: their text, and loading them when they are
 * first asked for, so that they cost a program nothing that does not use them. */
#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/lua.h>

#include "bind/fiber/runtime.h"
#include "bind/module/modules.h"
#include "bind/value/classes.h"
#include "lua_texts.h"

struct lua_module {
    const char *name;
    const unsigned char *text;
    size_t size;
};

#define MODULE(name) {#name, name##_lua, sizeof(name##_lua)},
static const struct lua_module modules[] = {LUA_MODULES(MODULE){NULL, NULL, 0}};
static const struct lua_module parts[] = {LUA_PARTS(MODULE){NULL, NULL, 0}};
#undef MODULE

static const struct lua_module *find(const struct lua_module *module, const char *name)
{
    while (module->name && strcmp(module->name, name) != 0)
        module++;
    return module->name ? module : NULL;
}

/* Call the chunk for the package at `package`, and push what it returned. */
static void call_chunk(lua_State *L, struct runtime *runtime, const struct lua_module *module,
                       int package)
{
    luaL_checkstack(L, 4, module->name);
    lua_pushfstring(L, "=thrum.%s", module->name);
    if (luaL_loadbufferx(L, (const char *)module->text, module->size, lua_tostring(L, -1), "t"))
        lua_error(L);
    lua_remove(L, -2);
    lua_pushvalue(L, package);
    internal_functions_push(L, runtime);
    lua_call(L, 2, 1);
}

/* Call the module's chunk for the package at 1, set its field there, and push what it returned. */
static void load_module(lua_State *L, const struct lua_module *module)
{
    call_chunk(L, class_runtime(L), module, 1);
    lua_pushstring(L, module->name);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
}

/* A part that the prelude needs: it is found by its name, and a loop over all fields does not see
 * it. */
static const char shown_part[] = "socket_installed";

/* Upvalue 2 has the package's functions. */
static int index_package(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    const struct lua_module *module =
        lua_type(L, 2) == LUA_TSTRING ? find(modules, lua_tostring(L, 2)) : NULL;
    if (module)
        load_module(L, module);
    else if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), shown_part) == 0)
        lua_part_push(L, class_runtime(L), shown_part);
    return 1;
}

static int next_field(lua_State *L)
{
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : 0;
}

/* Set the fields of the table at `index` in the one on the top. */
static void copy_fields(lua_State *L, int index)
{
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* A loop over all fields sees these modules, too, and the functions. */
static int pairs_of_package(lua_State *L)
{
    lua_settop(L, 1);
    for (const struct lua_module *module = modules; module->name; module++) {
        lua_getfield(L, 1, module->name);
        lua_pop(L, 1);
    }
    lua_pushcfunction(L, next_field);
    lua_newtable(L);
    copy_fields(L, lua_upvalueindex(2));
    copy_fields(L, 1);
    return 2;
}

static const char parts_key; /* of the table in the registry that has those loaded: its address */

static void push_loaded_parts(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parts_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parts_key);
}

void lua_part_push(lua_State *L, struct runtime *runtime, const char *name)
{
    luaL_checkstack(L, 4, name);
    push_loaded_parts(L);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        const struct lua_module *part = find(parts, name);
        lua_pop(L, 1);
        if (!part)
            luaL_error(L, "no part of a module is called '%s'", name);
        luaopen_thrum(L);
        call_chunk(L, runtime, part, lua_gettop(L));
        lua_remove(L, -2);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
    }
    lua_remove(L, -2);
}

static void set_metamethod(lua_State *L, struct class_state *state, const char *name,
                           lua_CFunction function)
{
    lua_pushlightuserdata(L, state);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

void lua_modules_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &thrum_class);
    lua_createtable(L, 0, 3);
    set_metamethod(L, state, "__index", index_package);
    set_metamethod(L, state, "__pairs", pairs_of_package);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
}
