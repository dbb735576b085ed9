/* SPDX-License-Identifier: BSL-1.0 */
/* The interactive session: see repl.h. repl.lua has its course; here is what it needs of the
 * terminal and of the scheduler.
 *
 * It runs outside any fiber, so waiting for the user is a suspending call like another: it drives
 * the loop, and with it all fibers, until standard input is readable. */
#include "repl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include <thrum/descriptor.h>
#include <thrum/error.h>
#include <thrum/lua.h>

#include "bind/fiber/call.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/module/modules.h"
#include "bind/module/run.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "interrupt.h"
#include "line.h"
#include "print_error.h"
#include "repl_lua.h"

static struct {
    lua_State *L;
    const struct line_reader *reader;
    thrum_descriptor *input; /* NULL once it is known never to block */
    bool is_hidden;
    unsigned long long last_id; /* of the fibers made when the last prompt was shown */
    unsigned long long n_runs;  /* of them ours, since then */
} session;

/* ---- reading ---- */

/* A fiber whose handle nobody has kept is reported as soon as it fails: collect such handles. */
static void collect_handles(lua_State *L, const struct runtime *runtime)
{
    if (runtime->last_id != session.last_id + session.n_runs)
        lua_gc(L, LUA_GCCOLLECT, 0);
    session.last_id = runtime->last_id;
    session.n_runs = 0;
}

/* start(prompt) */
static int start(lua_State *L)
{
    collect_handles(L, class_runtime(L));
    interrupt_aim(NULL);
    session.reader->start(luaL_checkstring(L, 1));
    return 0;
}

/* take() -> line | false at the end of the input | nil, there is no line yet */
static int take(lua_State *L)
{
    const char *text;
    size_t size;
    enum line_state state = session.reader->take(&text, &size);
    if (state == LINE_READY)
        lua_pushlstring(L, text, size);
    else if (state == LINE_END)
        lua_pushboolean(L, 0);
    else
        lua_pushnil(L);
    return 1;
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    if (error == EOPNOTSUPP) {
        thrum_descriptor_free(session.input);
        session.input = NULL;
    } else if (error && error != EINTR) {
        error_raise(L, error);
    }
    if (error != EINTR)
        session.reader->feed();
    lua_pushboolean(L, error != EINTR);
    return 1;
}

/* wait() -> whether some input was read; false after Ctrl-C */
static int wait(lua_State *L)
{
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (!session.input)
        return call_yield(L, fiber, 0, finish_wait);
    int error = thrum_descriptor_wait(session.input, &fiber->operation);
    if (error)
        error_raise(L, error);
    return call_suspend(L, fiber, &wait_operation, NO_DEADLINE, finish_wait);
}

static int cancel(lua_State *L)
{
    (void)L;
    session.reader->cancel();
    return 0;
}

static int remember(lua_State *L)
{
    session.reader->remember(luaL_checkstring(L, 1));
    return 0;
}

/* ---- running ---- */

/* run(f, ...) -> true, results... | false, error value, traceback or nil */
static int run(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    struct fiber *fiber = fiber_spawn(L, runtime, lua_gettop(L) - 1);
    fiber->is_main = true;
    session.n_runs++;
    interrupt_aim(fiber);
    enum drive_end end = scheduler_drive(L, runtime, fiber);
    interrupt_aim(NULL);
    int status = run_take_end(L, fiber, end);
    if (end == DRIVE_FAILED) { /* for good */
        lua_pop(L, 1);
        return lua_error(L);
    }
    if (end == DRIVE_IDLE)
        fiber_interrupt(
            fiber); /* what it waits for will not come: it is to let go of what it has */
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* message(error value) -> text */
static int message(lua_State *L)
{
    report_push_message(L, 1);
    return 1;
}

/* ---- writing above the prompt ---- */

static int call_above(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    if (session.is_hidden || !session.reader || !session.reader->hide()) {
        lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
        return lua_gettop(L);
    }
    session.is_hidden = true;
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    session.is_hidden = false;
    session.reader->show();
    return status ? lua_error(L) : lua_gettop(L);
}

int repl_above(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, call_above, 1);
    return 1;
}

static void report_above(lua_State *L, struct runtime *runtime)
{
    if (!report_push_reporter(L, runtime))
        return;
    lua_pushcclosure(L, call_above, 1);
    report_set_reporter(L, runtime);
}

/* ---- completion ---- */

struct completion {
    const char *word;
    int index;
    char *candidate;
};

static const char completer_key;

/* complete_with(f): f(word, index from 1) -> candidate | nil */
static int complete_with(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &completer_key);
    return 0;
}

static int complete_protected(lua_State *L)
{
    struct completion *completion = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &completer_key);
    lua_pushstring(L, completion->word);
    lua_pushinteger(L, completion->index + 1);
    lua_call(L, 2, 1);
    const char *candidate = lua_tostring(L, -1);
    completion->candidate = candidate ? strdup(candidate) : NULL;
    return 0;
}

/* Called by the line reader, through which no Lua error may jump. */
static char *complete(const char *word, int index)
{
    struct completion completion = {word, index, NULL};
    if (!lua_checkstack(session.L, 2))
        return NULL;
    lua_pushcfunction(session.L, complete_protected);
    lua_pushlightuserdata(session.L, &completion);
    if (lua_pcall(session.L, 1, 0, 0))
        lua_pop(session.L, 1);
    return completion.candidate;
}

/* ---- the session ---- */

static const struct function_row functions[] = {{"start", start},
                                                {"take", take},
                                                {"wait", wait},
                                                {"cancel", cancel},
                                                {"remember", remember},
                                                {"run", run},
                                                {"message", message},
                                                {"above", repl_above},
                                                {"complete_with", complete_with},
                                                {0}};

static bool can_edit(void)
{
    return line_editor && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static int begin(lua_State *L, struct runtime *runtime)
{
    session.L = L;
    session.last_id = runtime->last_id;
    session.n_runs = 0;
    int error = interrupt_begin(runtime);
    if (error)
        return error;
    error = thrum_descriptor_new(runtime->context, STDIN_FILENO, &session.input);
    if (error) {
        interrupt_end();
        return error;
    }
    session.reader = can_edit() ? line_editor : &line_plain;
    session.reader->begin(complete);
    return 0;
}

static void end(void)
{
    session.reader->end();
    session.reader = NULL;
    thrum_descriptor_free(session.input);
    session.input = NULL;
    interrupt_end();
}

void repl_run(lua_State *L, struct runtime *runtime)
{
    if (luaL_loadbuffer(L, (const char *)repl_lua, sizeof(repl_lua), "=thrum.repl"))
        lua_error(L);
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &thrum_class), functions);
    report_above(L, runtime);
    int error = begin(L, runtime);
    if (error) {
        error_push_from(L, error, "thrum -i");
        lua_error(L);
    }
    int status = lua_pcall(L, 1, 0, 0);
    end();
    if (status)
        lua_error(L);
}
