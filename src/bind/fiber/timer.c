/* SPDX-License-Identifier: BSL-1.0 */
/* time.steady_timer and time.system_timer: an expiry that any number of fibers wait for. */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/timer.h>

#include "base/clock.h"
#include "bind/fiber/call.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/select.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

/* The system's clock may be set meanwhile: look again at least that often. */
#define SYSTEM_CLOCK_RECHECK_NS INT64_C(60000000000)

struct timer {
    struct object object;
    int64_t (*now_ns)(void) THRUM_NOEXCEPT;
    int64_t expiry_ns; /* of that clock */
    struct list waiters;
};

static struct timer *self(lua_State *L)
{
    return class_check_self(L, &timer_class);
}

/* The row's state tells the clock: the two classes share all else. */
static int timer_new(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    bool is_system = class_self(L) == class_get(L, runtime, &system_timer_class);
    struct timer *timer = lua_newuserdata(L, sizeof(*timer));
    *timer = (struct timer){{&timer_class},
                            is_system ? thrum_system_clock_now_ns : thrum_steady_clock_now_ns,
                            .expiry_ns = INT64_MIN};
    list_init(&timer->waiters);
    class_push_metatable(L, class_self(L)->class);
    lua_setmetatable(L, -2);
    return 1;
}

static lua_Integer cancel_waiters(struct timer *timer)
{
    lua_Integer count = 0;
    struct waiter *waiter;
    while ((waiter = wait_queue_take(&timer->waiters))) {
        count += waiter->fiber->wait != NULL; /* else it is over, and the fiber has not run since */
        fiber_cancel_wait(waiter->fiber, ECANCELED);
    }
    return count;
}

/* As Asio has it: waits for the old expiry end with ECANCELED. */
static int set_expiry(struct timer *timer, int64_t expiry_ns)
{
    cancel_waiters(timer);
    timer->expiry_ns = expiry_ns;
    return 0;
}

static int expires_after(lua_State *L)
{
    struct timer *timer = self(L);
    double seconds = args_seconds(L, 2);
    return set_expiry(timer, clock_after(timer->now_ns(), seconds));
}

static int expires_at(lua_State *L)
{
    struct timer *timer = self(L);
    return set_expiry(timer, clock_after(0, args_time(L, 2)));
}

/* ---- wait ---- */

static int64_t steady_deadline(const struct timer *timer)
{
    int64_t steady = thrum_steady_clock_now_ns();
    if (timer->now_ns == thrum_steady_clock_now_ns)
        return timer->expiry_ns;
    int64_t now = timer->now_ns();
    if (timer->expiry_ns <= now)
        return steady;
    int64_t left = timer->expiry_ns - now;
    return steady + (left < SYSTEM_CLOCK_RECHECK_NS ? left : SYSTEM_CLOCK_RECHECK_NS);
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error);

static int suspend(lua_State *L, struct timer *timer, struct fiber *fiber)
{
    int error = fiber_start_timer(fiber, steady_deadline(timer));
    if (error)
        error_raise(L, error);
    return wait_queue_suspend(L, &timer->waiters, fiber, &wait_operation, finish_wait);
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    struct timer *timer = lua_touserdata(L, 1);
    bool has_new_expiry = list_is_empty(&fiber->waiter.link);
    list_remove(&fiber->waiter.link);
    if (error)
        error_raise(L, error);
    if (!has_new_expiry && timer->now_ns() < timer->expiry_ns)
        return suspend(L, timer, call_begin(L, class_runtime(L)));
    return 0;
}

static int timer_wait(lua_State *L)
{
    struct timer *timer = self(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (timer->expiry_ns <= timer->now_ns())
        return call_yield(L, fiber, 0, call_finish_yield);
    return suspend(L, timer, fiber);
}

/* ---- a case of fiber.select ---- */

static bool attempt_expiry(lua_State *L, struct choice *choice, int *outcome)
{
    const struct timer *timer = choice->object;
    (void)L;
    (void)outcome;
    return timer->expiry_ns <= timer->now_ns();
}

static struct list *expiry_queue(const struct choice *choice)
{
    return &((struct timer *)choice->object)->waiters;
}

static int64_t choice_expiry(const struct choice *choice)
{
    return steady_deadline(choice->object);
}

const struct choice_ops choice_timer = {
    .name = "timer", .attempt = attempt_expiry, .queue = expiry_queue, .expiry = choice_expiry};

/* ---- the rest ---- */

static int timer_cancel(lua_State *L)
{
    lua_pushinteger(L, cancel_waiters(self(L)));
    return 1;
}

static int get_expiry(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)self(L)->expiry_ns / 1e9);
    return 1;
}

static const struct function_row methods[] = {{"expires_after", expires_after},
                                              {"expires_at", expires_at},
                                              {"wait", timer_wait},
                                              {"cancel", timer_cancel},
                                              {0}};
static const struct property_row properties[] = {{"expiry", get_expiry, NULL}, {0}};
static const struct function_row functions[] = {{"new", timer_new}, {0}};

int timer_open(lua_State *L, struct runtime *runtime, const struct class *id)
{
    struct class_state *state = class_get(L, runtime, id);
    class_open(L, state, &(struct class_rows){.methods = methods, .properties = properties});
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}
