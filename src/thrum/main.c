/* SPDX-License-Identifier: BSL-1.0 */
/* The thrum program: a state with the prelude, the runner as its main fiber, and the exit status. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#include <thrum/lua.h>

#include "bind/run.h"
#include "bind/runtime.h"
#include "prelude.h"
#include "runner.h"

static void print_error(const char *where, const char *message, const char *traceback)
{
    fprintf(stderr, "thrum: %s%s\n", where, message);
    if (traceback)
        fprintf(stderr, "%s\n", traceback);
}

static int make_message(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

/* The error value at `index` as text, whatever it is and whatever its __tostring does. Pushes it. */
static const char *push_message(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_pushcfunction(L, make_message);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0))
        return "(an error object that cannot be made a string)";
    return lua_tostring(L, -1);
}

static int load_prelude(lua_State *L)
{
    if (luaL_loadbuffer(L, (const char *)prelude_lua, sizeof(prelude_lua), "=thrum.prelude"))
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* A script that asks for them by their long names gets the ones the program has. */
static void preload(lua_State *L)
{
    static const luaL_Reg loaders[] = {{"thrum", luaopen_thrum},
                                       {"thrum.byte_span", luaopen_thrum_byte_span},
                                       {"thrum.channel", luaopen_thrum_channel},
                                       {"thrum.condition_variable",
                                        luaopen_thrum_condition_variable},
                                       {"thrum.coroutine", luaopen_thrum_coroutine},
                                       {"thrum.file_descriptor", luaopen_thrum_file_descriptor},
                                       {"thrum.generic_error", luaopen_thrum_generic_error},
                                       {"thrum.ip", luaopen_thrum_ip},
                                       {"thrum.mutex", luaopen_thrum_mutex},
                                       {"thrum.prelude", load_prelude},
                                       {"thrum.semaphore", luaopen_thrum_semaphore},
                                       {"thrum.system", luaopen_thrum_system},
                                       {"thrum.this_fiber", luaopen_thrum_this_fiber},
                                       {"thrum.time", luaopen_thrum_time},
                                       {NULL, NULL}};
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, loaders, 0);
    lua_pop(L, 1);
}

static void push_command_line(lua_State *L, int argc, char **argv)
{
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
}

struct command_line {
    int argc;
    char **argv;
    int status;
};

static void report_main(lua_State *L)
{
    const char *traceback = lua_tostring(L, -1);
    print_error("", push_message(L, -2), traceback);
}

/* Everything that can raise, in protected mode. */
static int run(lua_State *L)
{
    struct command_line *line = lua_touserdata(L, 1);
    luaL_openlibs(L);
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "thrum.prelude");
    lua_call(L, 1, 0);

    if (luaL_loadbuffer(L, (const char *)runner_lua, sizeof(runner_lua), "=thrum"))
        return lua_error(L);
    push_command_line(L, line->argc, line->argv);
    lua_pushstring(L, THRUM_VERSION);
    struct runtime *runtime = runtime_get(L);
    line->status = EXIT_SUCCESS;
    if (run_main(L, runtime, 2)) {
        line->status = EXIT_FAILURE;
        report_main(L);
    }
    run_report_rest(L, runtime);
    return 0;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        print_error("", "not enough memory", NULL);
        return EXIT_FAILURE;
    }
    struct command_line line = {argc, argv, EXIT_FAILURE};
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &line);
    if (lua_pcall(L, 1, 0, 0))
        print_error("", push_message(L, -1), NULL);
    thrum_close(L); /* finalizers start nothing any more */
    lua_close(L);
    return line.status;
}
