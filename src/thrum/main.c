/* SPDX-License-Identifier: BSL-1.0 */
/* The thrum program: a state with the prelude, the runner as its main fiber, and the exit status.
 */
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include <thrum/lua.h>

#include "base/random.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/module/modules.h"
#include "bind/module/run.h"
#include "prelude.h"
#include "print_error.h"
#include "quit.h"
#include "repl.h"
#include "runner.h"
#include "sigint.h"

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
    static const luaL_Reg loaders[] = {
#define LOADER(name) {"thrum." #name, luaopen_thrum_##name},
        MODULES(LOADER) LUA_MODULES(LOADER){"thrum.prelude", load_prelude},
        {"thrum", luaopen_thrum},
        {NULL, NULL}};
#undef LOADER
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, loaders, 0);
    lua_pop(L, 1);
}

/* os.exit, in place of Lua's at upvalue 1: what dgram holds back leaves before the process does,
 * and the program is over for errors that nobody has joined. */
static int exit_process(lua_State *L)
{
    if (!lua_isboolean(L, 1))
        luaL_optinteger(L, 1, EXIT_SUCCESS); /* a wrong one is refused in the name of this call */
    struct runtime *runtime = runtime_get(L);
    runtime_call_before_suspend(L, runtime);
    report_all(L, runtime, true);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void replace_exit(lua_State *L)
{
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "exit");
    lua_pushcclosure(L, exit_process, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* Lua's math.random begins with the same numbers in every run: fine for a library, but two runs of
 * a program must not make the same ids. Left so if the system has no random bytes. */
static void seed_random(lua_State *L)
{
    unsigned seed;
    if (random_fill(&seed, sizeof(seed)))
        return;
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, seed);
    lua_call(L, 1, 0);
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

/* Push the function that gives what the options ask for; whether a session is to follow. */
static bool push_runner(lua_State *L, struct runtime *runtime, const struct command_line *line)
{
    if (luaL_loadbuffer(L, (const char *)runner_lua, sizeof(runner_lua), "=thrum.runner"))
        return lua_error(L);
    push_command_line(L, line->argc, line->argv);
    lua_pushstring(L, THRUM_VERSION);
    lua_pushboolean(L, isatty(STDIN_FILENO));
    lua_call(L, 3, 3);
    bool shows_fibers = lua_toboolean(L, -1);
    bool is_interactive = lua_toboolean(L, -2);
    lua_pop(L, 2);
    if (shows_fibers)
        quit_begin(L, runtime);
    return is_interactive;
}

/* Run the function and arguments above `runner` as a main fiber, until that ends. Leaves its
 * results, or the error value and its traceback. */
static int run_piece(lua_State *L, struct runtime *runtime, int runner)
{
    struct fiber *fiber = fiber_spawn(L, runtime, lua_gettop(L) - runner - 1);
    fiber->is_main = true;
    return run_take_end(L, fiber, scheduler_drive(L, runtime, fiber));
}

/* Run everything that the runner on the top gives, and then, unless a session is to follow, all
 * other fibers: those go on behind its prompt. */
static int run_pieces(lua_State *L, struct runtime *runtime, bool is_interactive)
{
    int runner = lua_gettop(L);
    for (;;) {
        lua_pushvalue(L, runner);
        lua_insert(L, runner + 1); /* below the results of the last piece */
        lua_call(L, lua_gettop(L) - runner - 1, LUA_MULTRET);
        if (lua_gettop(L) == runner)
            break;
        int status = run_piece(L, runtime, runner);
        if (status)
            return status;
    }
    if (is_interactive || scheduler_drive(L, runtime, NULL) != DRIVE_FAILED)
        return LUA_OK;
    lua_pushnil(L); /* there is no traceback */
    return LUA_ERRRUN;
}

static void report_main(lua_State *L)
{
    const char *traceback = lua_tostring(L, -1);
    print_error(report_push_message(L, -2), traceback);
}

/* Everything that can raise, in protected mode. */
static int run(lua_State *L)
{
    struct command_line *line = lua_touserdata(L, 1);
    luaL_openlibs(L);
    seed_random(L);
    replace_exit(L);
    runtime_get(L)->calls_hook_at_exit = true;
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "thrum.prelude");
    lua_call(L, 1, 0);

    struct runtime *runtime = runtime_get(L);
    sigint_begin(L, runtime);
    bool is_interactive = push_runner(L, runtime, line);
    if (run_pieces(L, runtime, is_interactive))
        report_main(L);
    else
        line->status = EXIT_SUCCESS;
    if (is_interactive && line->status == EXIT_SUCCESS) {
        line->status = EXIT_FAILURE; /* unless it ends well */
        lua_settop(L, 0);
        sigint_end(); /* there it interrupts a chunk */
        repl_run(L, runtime);
        line->status = EXIT_SUCCESS;
    }
    report_all(L, runtime, true);
    return 0;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        print_error("not enough memory", NULL);
        return EXIT_FAILURE;
    }
    struct command_line line = {argc, argv, EXIT_FAILURE};
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &line);
    if (lua_pcall(L, 1, 0, 0))
        print_error(report_push_message(L, -1), NULL);
    quit_end();
    sigint_end();
    thrum_close(L); /* finalizers start nothing any more */
    lua_close(L);
    return line.status;
}
