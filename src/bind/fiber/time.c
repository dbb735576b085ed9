/* SPDX-License-Identifier: BSL-1.0 */
/* time: sleeping and the clocks. Seconds are numbers. */
#include "bind/fiber/open.h"

#include <thrum/error.h>
#include <thrum/timer.h>

#include "bind/fiber/call.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

int time_sleep(lua_State *L)
{
    double seconds = args_seconds(L, 1);
    if (seconds == 0) /* there is nothing to wait for but the others */
        return call_yield_now(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    int error = fiber_start_timer(fiber, call_deadline_after(seconds));
    if (error)
        error_raise(L, error);
    return call_suspend(L, fiber, &wait_operation, NO_DEADLINE, call_finish_plain);
}

static int steady_clock_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)thrum_steady_clock_now_ns() / 1e9);
    return 1;
}

static int system_clock_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)thrum_system_clock_now_ns() / 1e9);
    return 1;
}

static const struct function_row functions[] = {
    {"sleep", time_sleep}, {"with_timeout", with_timeout_function}, {0}};
static const struct function_row steady_clock_functions[] = {{"now", steady_clock_now}, {0}};
static const struct function_row system_clock_functions[] = {{"now", system_clock_now}, {0}};

static void set_clock(lua_State *L, struct class_state *state, const char *name,
                      const struct function_row *rows)
{
    lua_newtable(L);
    class_set_functions(L, state, rows);
    lua_setfield(L, -2, name);
}

int time_open(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &time_class), functions);
    set_clock(L, class_get(L, runtime, &steady_clock_class), "steady_clock",
              steady_clock_functions);
    set_clock(L, class_get(L, runtime, &system_clock_class), "system_clock",
              system_clock_functions);
    timeout_scope_open(L, runtime);
    timer_open(L, runtime, &steady_timer_class);
    lua_setfield(L, -2, "steady_timer");
    timer_open(L, runtime, &system_timer_class);
    lua_setfield(L, -2, "system_timer");
    return 1;
}
