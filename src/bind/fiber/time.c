/* SPDX-License-Identifier: BSL-1.0 */
/* time: sleeping and the clocks. Seconds are numbers. */
#include "bind/module/modules.h"

#include <thrum/error.h>
#include <thrum/timer.h>

#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

int time_sleep(lua_State *L)
{
    double seconds = args_seconds(L, 1);
    struct fiber *fiber = call_begin(L, noun_runtime(L));
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    if (seconds == 0) /* there is nothing to wait for but the others */
        return call_yield(L, fiber, 0, call_finish_yield);
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
    {"sleep", time_sleep}, {"with_timeout", limit_with_timeout}, {0}};
static const struct function_row steady_clock_functions[] = {{"now", steady_clock_now}, {0}};
static const struct function_row system_clock_functions[] = {{"now", system_clock_now}, {0}};

static void set_clock(lua_State *L, struct noun *noun, const char *name,
                      const struct function_row *rows)
{
    lua_newtable(L);
    noun_set_functions(L, noun, rows);
    lua_setfield(L, -2, name);
}

int time_open(lua_State *L, struct runtime *runtime)
{
    struct noun *nouns = runtime->nouns;
    lua_newtable(L);
    noun_set_functions(L, &nouns[NOUN_TIME], functions);
    set_clock(L, &nouns[NOUN_STEADY_CLOCK], "steady_clock", steady_clock_functions);
    set_clock(L, &nouns[NOUN_SYSTEM_CLOCK], "system_clock", system_clock_functions);
    limit_open(L, runtime);
    timer_open(L, runtime, NOUN_STEADY_TIMER);
    lua_setfield(L, -2, "steady_timer");
    timer_open(L, runtime, NOUN_SYSTEM_TIMER);
    lua_setfield(L, -2, "system_timer");
    return 1;
}
