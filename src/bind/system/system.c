/* SPDX-License-Identifier: BSL-1.0 */
/* system: this process, its command line and environment, random bytes. Signals stand in signal.c,
 * children in process.c, what this process was given in inherit.c. */
#include "bind/system/open.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/random.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/system/classes.h"
#include "bind/system/signal_name.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

extern char **environ;

/* ---- processes ---- */

static int system_getpid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int system_getppid(lua_State *L)
{
    lua_pushinteger(L, getppid());
    return 1;
}

/* One process: what kill(2) takes for a group, or for everybody, is mostly a mistake's result. */
static int system_kill(lua_State *L)
{
    pid_t pid = (pid_t)args_integer(L, 1, "pid", 1, INT_MAX);
    int number = signal_check(L, 2, 0);
    if (kill(pid, number))
        error_raise(L, errno);
    return 0;
}

/* As at the program's end: first the runtime, so that finalizers start nothing any more. */
static int system_exit(lua_State *L)
{
    int status = (int)args_integer_or(L, 1, "code", 0, 255, EXIT_SUCCESS);
    struct runtime *runtime = class_runtime(L);
    runtime_call_before_suspend(L, runtime);
    report_all(L, runtime, true);
    runtime->current = NULL; /* nothing of this fiber runs on */
    runtime->running = NULL;
    runtime_end(runtime, L);
    lua_close(L);
    exit(status);
}

/* ---- random bytes ---- */

enum { MAX_RANDOM = 1 << 20 };

static int system_random_bytes(lua_State *L)
{
    luaL_Buffer buffer;
    size_t size = (size_t)args_integer(L, 1, "n", 0, MAX_RANDOM);
    char *bytes = luaL_buffinitsize(L, &buffer, size);
    int error = random_fill(bytes, size);
    if (error)
        error_raise(L, error);
    luaL_pushresultsize(&buffer, size);
    return 1;
}

static const struct function_row functions[] = {{"spawn", process_spawn_function},
                                                {"inherited_fd", inherit_fd_function},
                                                {"listen_fds", inherit_listen_fds_function},
                                                {"kill", system_kill},
                                                {"getpid", system_getpid},
                                                {"getppid", system_getppid},
                                                {"random_bytes", system_random_bytes},
                                                {"exit", system_exit},
                                                {0}};

/* ---- arguments and environment ----
 *
 * Made when they are first asked for; the registry keeps them by the addresses of these. */

static const char arguments_key, environment_key;

/* Whether the value of `key` is there already; pushed if so. */
static bool push_kept(lua_State *L, const void *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

static int keep(lua_State *L, const void *key)
{
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    return 1;
}

/* Append arg[index] of the table at `arg` to the list on the top; false if it is no string. */
static bool append_word(lua_State *L, int arg, lua_Integer index)
{
    if (lua_rawgeti(L, arg, index) != LUA_TSTRING) {
        lua_pop(L, 1);
        return false;
    }
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return true;
}

/* The program stands at the lowest index of lua(1)'s table `arg`, the script at 0. */
static void append_words(lua_State *L, int arg)
{
    lua_Integer first = 0, index = 1;
    while (lua_rawgeti(L, arg, first - 1) == LUA_TSTRING) {
        lua_pop(L, 1);
        first--;
    }
    lua_pop(L, 1);
    append_word(L, arg, first);
    if (first < 0)
        append_word(L, arg, 0);
    while (append_word(L, arg, index))
        index++;
}

static int get_arguments(lua_State *L)
{
    if (push_kept(L, &arguments_key))
        return 1;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushliteral(L, "arg");
    lua_rawget(L, -2);
    lua_newtable(L);
    if (lua_istable(L, -2))
        append_words(L, lua_gettop(L) - 1);
    return keep(L, &arguments_key);
}

/* From the last to the first: of two with one name getenv(3) finds the first. */
static void push_variables(lua_State *L)
{
    int count = 0;
    while (environ && environ[count])
        count++;
    lua_createtable(L, 0, count);
    while (count-- > 0) {
        const char *entry = environ[count], *equals = strchr(entry, '=');
        if (!equals)
            continue;
        lua_pushlstring(L, entry, (size_t)(equals - entry));
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
}

static int environment_assign(lua_State *L)
{
    error_raise_detail(L, EINVAL, "the environment can only be read");
}

/* The copy is their upvalue: nobody can reach it to change it. */
static int environment_next(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_next(L, lua_upvalueindex(1)))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int environment_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, environment_next, 1);
    lua_pushvalue(L, 1);
    return 2;
}

/* The metatable of an empty table, so that assigning always comes here. */
static void push_environment_metatable(lua_State *L)
{
    static const struct function_row metamethods[] = {{"__newindex", environment_assign}, {0}};
    lua_newtable(L);
    push_variables(L);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, environment_pairs, 1);
    lua_setfield(L, -3, "__pairs");
    lua_setfield(L, -2, "__index");
    class_set_functions(L, class_get(L, class_runtime(L), &environment_class), metamethods);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static int get_environment(lua_State *L)
{
    if (push_kept(L, &environment_key))
        return 1;
    lua_newtable(L);
    push_environment_metatable(L);
    lua_setmetatable(L, -2);
    return keep(L, &environment_key);
}

void system_replace_environment(lua_State *L, int index)
{
    if (push_kept(L, &environment_key)) {
        if (lua_rawequal(L, -1, index)) {
            luaL_getmetafield(L, index, "__index");
            lua_replace(L, index);
        }
        lua_pop(L, 1);
    }
}

static const struct property_row properties[] = {
    {"arguments", get_arguments, NULL}, {"environment", get_environment, NULL}, {0}};

int system_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &system_class);
    lua_newtable(L);
    class_set_functions(L, state, functions);
    process_open(L, runtime);
    signal_open(L, runtime);
    lua_setfield(L, -2, "signal");
    class_make_strict(L, state, properties);
    return 1;
}
