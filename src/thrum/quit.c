/* SPDX-License-Identifier: BSL-1.0 */
/* --fibers-on-quit: see quit.h.
 *
 * As with Ctrl-C in a session (interrupt.c), a signal finds the program in one of two places. In
 * the loop: a fiber that waits for a pipe writes the report. Or in Lua code that does not give the
 * loop a turn, which is what one would most like to see: a debug hook writes it there and then. */
#include "quit.h"

#include <signal.h>

#include <lauxlib.h>

#include <thrum/descriptor.h>

#include "at_close.h"
#include "bind/fiber/call.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/module/modules.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "print_error.h"
#include "quit_lua.h"
#include "repl.h"
#include "signal_pipe.h"

static struct {
    struct runtime *runtime;
    struct signal_pipe pipe;
    volatile sig_atomic_t is_asked; /* and not answered yet */
    lua_Hook hook;                  /* the script's own, put aside */
    int hook_mask;
    int hook_count;
} quit;

/* Its address is the report's key in the registry. */
static const char report_key;

/* ---- in the loop ---- */

static const struct wait_ops wait_quit = {false, fiber_cancel_operation, NULL, NULL};

static int start_wait(lua_State *L, struct fiber *fiber);

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        error_raise(L, error);
    signal_pipe_drain(&quit.pipe);
    if (!quit.is_asked)
        return start_wait(L, fiber); /* the hook has answered */
    quit.is_asked = 0;
    return 0;
}

static int start_wait(lua_State *L, struct fiber *fiber)
{
    int error = thrum_descriptor_wait(quit.pipe.reader, &fiber->operation);
    if (error)
        error_raise(L, error);
    return call_suspend(L, fiber, &wait_quit, NO_DEADLINE, finish_wait);
}

static int wait_for_quit(lua_State *L)
{
    return start_wait(L, call_begin(L, class_runtime(L)));
}

/* ---- in Lua code that goes on and on ---- */

static void report_now(lua_State *L, lua_Debug *where)
{
    (void)where;
    lua_sethook(L, quit.hook, quit.hook_mask, quit.hook_count);
    if (!quit.is_asked)
        return;
    quit.is_asked = 0;
    luaL_checkstack(L, 2, "--fibers-on-quit");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &report_key);
    if (lua_pcall(L, 0, 0, 0)) {
        print_error(report_push_message(L, -1), NULL);
        lua_pop(L, 2);
    }
}

static void put_hook(lua_State *running)
{
    if (lua_gethook(running) == report_now)
        return;
    quit.hook = lua_gethook(running);
    quit.hook_mask = lua_gethookmask(running);
    quit.hook_count = lua_gethookcount(running);
    lua_sethook(running, report_now, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void catch_signal(int number)
{
    lua_State *running = quit.runtime->running;
    (void)number;
    quit.is_asked = 1;
    if (running)
        put_hook(running);
    signal_pipe_write(&quit.pipe);
}

/* ---- the beginning ---- */

static void take_signal(void)
{
    struct sigaction ours = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGQUIT, &ours, NULL);
}

static int end_at_close(lua_State *L)
{
    (void)L;
    quit_end();
    return 0;
}

void quit_begin(lua_State *L, struct runtime *runtime)
{
    static const char guard_key;
    static const struct function_row functions[] = {{"wait", wait_for_quit}, {0}};
    int error = signal_pipe_open(&quit.pipe, runtime->context);
    if (error) {
        error_push_from(L, error, "thrum --fibers-on-quit");
        lua_error(L);
    }
    quit.runtime = runtime;
    at_close(L, &guard_key, end_at_close);
    if (luaL_loadbuffer(L, (const char *)quit_lua, sizeof(quit_lua), "=thrum.quit"))
        lua_error(L);
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &thrum_class), functions);
    lua_getfield(L, -1, "wait");
    lua_remove(L, -2);
    lua_pushcfunction(L, repl_above);
    lua_call(L, 2, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &report_key);
    struct fiber *fiber = fiber_spawn(L, runtime, 0);
    fiber_forget(L, fiber);
    lua_pop(L, 1);
    take_signal();
}

void quit_end(void)
{
    struct sigaction current;
    if (!quit.runtime)
        return;
    sigaction(SIGQUIT, NULL, &current);
    if (current.sa_handler == catch_signal)
        signal(SIGQUIT, SIG_DFL);
    signal_pipe_close(&quit.pipe);
    quit.runtime = NULL;
}
