/* SPDX-License-Identifier: BSL-1.0 */
/* Fibers as Lua sees them: spawn, the handle's class, this_fiber. */
#include "bind/fiber/open.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/call.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/group.h"
#include "bind/fiber/inspect.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/scheduler.h"
#include "bind/fiber/select.h"
#include "bind/value/error.h"

/* ---- spawn ---- */

/* What fiber.named makes: its user value is the function, and then the name. */
struct named_function {
    struct object object;
};

void fiber_push_name(lua_State *L, int index)
{
    if (!class_test(L, index, &named_function_class)) {
        lua_pushnil(L);
        return;
    }
    lua_getuservalue(L, index);
    lua_rawgeti(L, -1, 1);
    lua_replace(L, index);
    lua_rawgeti(L, -1, 2);
    lua_remove(L, -2);
}

/* The handle exists, closed, before the fiber: nothing is lost if memory runs out in between. Its
 * user value is the fiber's thread, which may have nobody else once the fiber has ended. */
struct fiber *fiber_spawn(lua_State *L, struct runtime *runtime, int nargs)
{
    int function = lua_gettop(L) - nargs;
    if (!runtime->context) {
        error_push_from(L, ECANCELED, "spawn");
        error_set_detail(L, "thrum has been closed in this state");
        lua_error(L);
    }
    luaL_checkstack(L, 8, "spawn");
    struct fiber_handle *handle = class_new_object(L, &fiber_class, sizeof(*handle));
    class_push_caller(L);
    fiber_push_name(L, function);
    lua_rotate(L, function, 3);
    struct fiber *fiber = fiber_new(L, runtime, nargs);
    runtime->is_unrun |= !runtime->current;
    fiber->handle = handle;
    handle->fiber = fiber;
    fiber_push_anchored(L, runtime, fiber->anchor);
    lua_setuservalue(L, -2);
    return fiber;
}

bool fiber_is_function(lua_State *L, int index)
{
    return lua_isfunction(L, index) || class_test(L, index, &named_function_class);
}

int fiber_spawn_function(lua_State *L)
{
    if (!fiber_is_function(L, 1))
        error_raise_arg(L, EINVAL, 1, "f", "function");
    fiber_spawn(L, class_runtime(L), lua_gettop(L) - 1);
    return 1;
}

/* fiber.named(name, f) */
static int fiber_named(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        error_raise_arg(L, EINVAL, 1, "name", "string");
    if (!lua_isfunction(L, 2))
        error_raise_arg(L, EINVAL, 2, "f", "function");
    lua_settop(L, 2);
    class_new_object(L, &named_function_class, sizeof(struct named_function));
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 2);
    lua_setuservalue(L, -2);
    return 1;
}

/* ---- join ---- */

static void cancel_join(struct fiber *fiber)
{
    if (fiber->joined)
        fiber->joined->joiner = NULL;
    fiber->joined = NULL;
    fiber_wake(fiber, ECANCELED);
}

static void describe_join(lua_State *L, const struct fiber *fiber)
{
    fiber_push_title(L, fiber->joined);
}

static const struct wait_ops wait_join = {0, cancel_join, describe_join, NULL};

/* In place of the fiber's thread the handle, at index 1, gets what is kept of its end: a table, or
 * the name alone. Allocates nothing. */
static void keep_end(lua_State *L, const struct fiber *fiber)
{
    fiber_push_anchored(L, fiber->runtime, fiber->end);
    lua_setuservalue(L, 1);
}

/* Raise a copy of the error that the fiber's group keeps. */
static int raise_kept(lua_State *L, struct fiber *fiber)
{
    lua_pushvalue(fiber->thread, -1);
    lua_xmove(fiber->thread, L, 1);
    report_note_origin(L, fiber);
    keep_end(L, fiber);
    fiber->handle->is_joined = true;
    fiber->joiner = NULL;
    fiber->is_error_delivered = true;
    fiber_forget(L, fiber);
    return lua_error(L);
}

/* Move the ended fiber's results, or its error, to the top of L, and let go of it. */
static int take_results(lua_State *L, struct fiber *fiber)
{
    if (fiber->group)
        return raise_kept(L, fiber);
    struct fiber_handle *handle = fiber->handle;
    enum fiber_ending ending = fiber->ending;
    lua_State *thread = fiber->thread;
    int count = fiber_count_results(fiber);
    if (!lua_checkstack(L, count + 1)) {
        fiber->joiner = NULL;
        if (ending == ENDED_WITH_ERROR)
            report_expect(fiber);
        luaL_error(L, "stack overflow (too many results of a fiber)");
    }
    lua_xmove(thread, L, count);
    if (ending == ENDED_WITH_ERROR)
        report_note_origin(L, fiber);
    keep_end(L, fiber);
    handle->is_joined = true;
    handle->interruption_caught = ending == ENDED_INTERRUPTED;
    fiber_free(L, fiber);
    if (ending == ENDED_WITH_ERROR)
        lua_error(L);
    return count;
}

static int finish_join(lua_State *L, struct fiber *fiber, int error)
{
    const struct fiber_handle *handle = lua_touserdata(L, 1);
    struct fiber *joined = fiber->joined;
    fiber->joined = NULL;
    if (!error && !handle->fiber) { /* the state is closing, and a finalizer drives the loop */
        if (joined)
            joined->joiner = NULL;
        error = ECANCELED;
    }
    if (error)
        error_raise(L, error);
    return take_results(L, handle->fiber);
}

/* Joined or detached: nobody can join it any more. */
static bool is_given_up(const struct fiber_handle *handle)
{
    return !handle->fiber || handle->fiber->is_detached;
}

static bool is_joinable(const struct fiber_handle *handle)
{
    return !is_given_up(handle) && !handle->fiber->joiner;
}

noreturn static void raise_not_joinable(lua_State *L)
{
    error_raise_detail(L, EINVAL, "the fiber is not joinable: it was joined or detached");
}

noreturn static void raise_being_joined(lua_State *L)
{
    error_raise_detail(L, EINVAL, "the fiber is not joinable: another waits to join it");
}

static struct fiber *check_joinable(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (is_given_up(handle))
        raise_not_joinable(L);
    if (handle->fiber->joiner)
        raise_being_joined(L);
    return handle->fiber;
}

static int fiber_join(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (handle->fiber && handle->fiber == class_runtime(L)->current)
        error_raise_detail(L, EDEADLK, "a fiber cannot join itself");
    struct fiber *joined = check_joinable(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    fiber->joined = joined;
    joined->joiner = fiber; /* nobody else may join or detach it from here on */
    if (joined->state == FIBER_ENDED)
        return call_done(L, fiber, 0, finish_join);
    return call_suspend(L, fiber, &wait_join, NO_DEADLINE, finish_join);
}

/* ---- a case of fiber.select: the end, without the join ---- */

static struct fiber *watched(const struct choice *choice)
{
    return ((const struct fiber_handle *)choice->object)->fiber;
}

static void check_watched(lua_State *L, const struct choice *choice)
{
    const struct fiber *fiber = watched(choice);
    if (is_given_up(choice->object))
        error_raise_detail(L, EINVAL, "case %d: the fiber was joined or detached", choice->number);
    if (fiber == fiber->runtime->current)
        error_raise_detail(L, EDEADLK, "case %d: a fiber cannot wait for its own end",
                           choice->number);
}

static bool attempt_watch(lua_State *L, struct choice *choice, int *outcome)
{
    (void)L;
    (void)outcome;
    return watched(choice)->state == FIBER_ENDED;
}

static struct list *watch_queue(const struct choice *choice)
{
    return &watched(choice)->watchers;
}

static void describe_watch(lua_State *L, const struct choice *choice)
{
    if (watched(choice))
        fiber_push_title(L, watched(choice));
    else
        lua_pushliteral(L, "(detached)");
}

const struct choice_ops choice_fiber = {.name = "fiber",
                                        .attempt = attempt_watch,
                                        .queue = watch_queue,
                                        .check = check_watched,
                                        .describe = describe_watch};

/* ---- the handle's other methods ---- */

/* The handle of one that goes on can still interrupt it. */
static int fiber_detach(lua_State *L)
{
    lua_settop(L, 1);
    report_push_end(L, check_joinable(L)->name);
    struct fiber *fiber = check_joinable(L); /* a finalizer may have come in between */
    fiber->is_detached = true;
    if (fiber->state == FIBER_ENDED) {
        keep_end(L, fiber);
        fiber_forget(L, fiber);
        return 0;
    }
    lua_pushvalue(L, -1);
    report_share_end(L, fiber);
    lua_setuservalue(L, 1);
    return 0;
}

/* Always valid: there may be nothing left to interrupt. */
static int fiber_method_interrupt(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (handle->fiber)
        fiber_interrupt(handle->fiber);
    return 0;
}

static int get_joinable(lua_State *L)
{
    lua_pushboolean(L, is_joinable(class_check_self(L, &fiber_class)));
    return 1;
}

static int get_interruption_caught(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (!handle->is_joined)
        error_raise_detail(L, EINVAL, "the fiber has not been joined");
    lua_pushboolean(L, handle->interruption_caught);
    return 1;
}

static int get_handle_name(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (handle->fiber) {
        lua_pushstring(L, handle->fiber->name);
    } else {
        lua_getuservalue(L, 1);
        report_push_end_name(L, -1);
    }
    return 1;
}

/* Of one that has died of an error. */
static int get_traceback(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (handle->fiber)
        fiber_push_anchored(L, handle->fiber->runtime, handle->fiber->end);
    else
        lua_getuservalue(L, 1);
    report_push_end_traceback(L, -1);
    return 1;
}

static int fiber_gc(lua_State *L)
{
    const struct fiber_handle *handle = class_test(L, 1, &fiber_class);
    if (handle && handle->fiber)
        fiber_forget(L, handle->fiber);
    return 0;
}

static int fiber_tostring(lua_State *L)
{
    static const char *const states[] = {"new", "alive", "alive", "ended"};
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    if (!is_given_up(handle)) {
        fiber_push_title(L, handle->fiber);
        lua_pushfstring(L, "fiber %s (%s)", lua_tostring(L, -1), states[handle->fiber->state]);
    } else {
        lua_pushfstring(L, "fiber (%s)", handle->is_joined ? "joined" : "detached");
    }
    return 1;
}

static int named_tostring(lua_State *L)
{
    class_check_self(L, &named_function_class);
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, 2);
    lua_pushfstring(L, "function \"%s\"", lua_tostring(L, -1));
    return 1;
}

static const struct function_row methods[] = {
    {"join", fiber_join}, {"detach", fiber_detach}, {"interrupt", fiber_method_interrupt}, {0}};
static const struct property_row properties[] = {
    {"joinable", get_joinable, NULL},
    {"interruption_caught", get_interruption_caught, NULL},
    {"name", get_handle_name, NULL},
    {"traceback", get_traceback, NULL},
    {0}};
static const struct function_row metamethods[] = {
    {"__gc", fiber_gc}, {"__tostring", fiber_tostring}, {0}};

static const struct function_row named_metamethods[] = {{"__tostring", named_tostring}, {0}};
static const struct function_row functions[] = {{"group", group_function},
                                                {"list", inspect_list},
                                                {"named", fiber_named},
                                                {"select", select_function},
                                                {0}};

int fiber_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &fiber_class);
    class_open(L, state, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    class_open(L, class_get(L, runtime, &named_function_class),
               &(struct class_rows){.metamethods = named_metamethods});
    group_open(L, runtime);
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}

/* ---- this_fiber ---- */

static int this_fiber_yield(lua_State *L)
{
    return call_yield_now(L);
}

static const struct fiber *check_current(lua_State *L)
{
    const struct fiber *fiber = class_runtime(L)->current;
    return fiber ? fiber : &class_runtime(L)->main_caller;
}

static int get_id(lua_State *L)
{
    lua_pushfstring(L, "%I", (LUAI_UACINT)check_current(L)->id);
    return 1;
}

/* Outside any fiber the caller is the program's main thread of control. */
static int get_is_main(lua_State *L)
{
    const struct fiber *fiber = check_current(L);
    lua_pushboolean(L, fiber->is_main || !fiber->thread);
    return 1;
}

/* The fiber's thread, or something that stands for the caller outside. */
static void push_key(lua_State *L, const struct fiber *fiber)
{
    if (fiber->thread) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, fiber->runtime->anchors);
        lua_rawgeti(L, -1, fiber->anchor);
        lua_remove(L, -2);
    } else {
        lua_pushboolean(L, 1);
    }
}

/* A table per fiber, made on first use, kept as long as the fiber's thread. */
static int get_local(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    const struct fiber *fiber = check_current(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->locals);
    push_key(L, fiber);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    return 1;
}

static struct fiber *current_fiber(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    return runtime_caller(runtime);
}

static int disable_interruption(lua_State *L)
{
    current_fiber(L)->n_interruption_disabled++;
    return 0;
}

static int forbid_suspend(lua_State *L)
{
    current_fiber(L)->n_suspend_forbidden++;
    return 0;
}

static int count_down(lua_State *L, unsigned *count, const char *opening)
{
    if (*count == 0)
        error_raise_detail(L, EPERM, "there is no this_fiber.%s to undo", opening);
    --*count;
    return 0;
}

static int restore_interruption(lua_State *L)
{
    return count_down(L, &current_fiber(L)->n_interruption_disabled, "disable_interruption");
}

static int allow_suspend(lua_State *L)
{
    return count_down(L, &current_fiber(L)->n_suspend_forbidden, "forbid_suspend");
}

static int get_name(lua_State *L)
{
    lua_pushstring(L, check_current(L)->name);
    return 1;
}

static const struct function_row this_fiber_functions[] = {
    {"yield", this_fiber_yield},
    {"disable_interruption", disable_interruption},
    {"restore_interruption", restore_interruption},
    {"forbid_suspend", forbid_suspend},
    {"allow_suspend", allow_suspend},
    {0}};
static const struct property_row this_fiber_properties[] = {{"id", get_id, NULL},
                                                            {"name", get_name, NULL},
                                                            {"is_main", get_is_main, NULL},
                                                            {"local_", get_local, NULL},
                                                            {0}};

int this_fiber_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &this_fiber_class);
    lua_newtable(L);
    class_set_functions(L, state, this_fiber_functions);
    class_make_strict(L, state, this_fiber_properties);
    return 1;
}
