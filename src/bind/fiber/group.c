/* SPDX-License-Identifier: BSL-1.0 */
/* fiber.group: fibers that are waited for, and fail, together.
 *
 * A group's record lives as long as its handle or a child. Whatever comes first, a child's error,
 * an error of the group's function or the interruption of who joins, settles what the join will
 * raise, and interrupts all children; the join then waits for the last of them, and nothing ends
 * that wait. Errors that come later belong to their fibers' handles, and so to the reporter. */
#include "bind/fiber/group.h"

#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/classes.h"
#include "bind/fiber/open.h"
#include "bind/fiber/report.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/timeout_scope.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/error.h"
#include "bind/value/memory.h"

struct group {
    struct group_head head;      /* first: a fiber knows no more of it */
    struct group_handle *handle; /* NULL once collected */
    struct list children;        /* who have not ended, by group_link */
    size_t n_children;
    struct fiber *failed;       /* the first, if that was first: kept, with its error */
    struct list joiners;        /* one or none */
    struct list interrupts;     /* link in the runtime's list of groups to interrupt */
    struct timeout_scope *body; /* round the calls of its function while that runs, or NULL */
    bool has_function;
    bool is_interrupted; /* and with it every child, those to come, too */
    bool is_decided;     /* what the join raises */
    bool has_ended;
};

static inline struct group *group_of(const struct fiber *child)
{
    return (struct group *)child->group;
}

struct group_handle {
    struct object object;
    struct group *group;
};

/* ---- what a handle keeps ----
 *
 * Its user value is a table: the scope round the group's function, which others may cancel, and the
 * thread of the child that has failed. */
enum { KEPT_LIMIT = 1, KEPT_THREAD };

/* The handle is on the top. */
static void make_room(lua_State *L, const struct runtime *runtime, const struct group *group)
{
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -1);
    lua_setuservalue(L, -3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->groups);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, group);
    lua_pop(L, 1);
}

/* Keep the value on the top, pops it. False if the handle is gone, or going. */
static bool keep(lua_State *L, const struct runtime *runtime, const struct group *group, int what)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->groups);
    lua_rawgetp(L, -1, group);
    bool has_handle = group->handle && lua_istable(L, -1);
    if (has_handle) {
        lua_pushvalue(L, -3);
        lua_rawseti(L, -2, what);
    }
    lua_pop(L, 3);
    return has_handle;
}

static void keep_nothing(lua_State *L, const struct runtime *runtime, const struct group *group,
                         int what)
{
    lua_pushnil(L);
    keep(L, runtime, group, what);
}

static bool keep_thread(lua_State *L, const struct fiber *child)
{
    lua_pushthread(child->thread);
    lua_xmove(child->thread, L, 1);
    return keep(L, child->runtime, group_of(child), KEPT_THREAD);
}

/* ---- life ---- */

static const struct group_rules rules;

static struct group *push_group(lua_State *L, struct runtime *runtime)
{
    struct group_handle *handle = class_new_object(L, &group_class, sizeof(*handle));
    struct group *group = memory_alloc(L, sizeof(*group));
    if (!group)
        error_raise(L, ENOMEM);
    *group = (struct group){.head = {&rules}, .handle = handle};
    list_init(&group->children);
    list_init(&group->joiners);
    list_init(&group->interrupts);
    handle->group = group;
    make_room(L, runtime, group);
    return group;
}

static void free_if_done(lua_State *L, struct group *group)
{
    if (group->handle || group->n_children > 0)
        return;
    struct fiber *failed = group->failed;
    wait_queue_take(&group->joiners); /* only in a state that closes */
    memory_free(L, group, sizeof(*group));
    if (!failed)
        return;
    failed->group = NULL;
    if (!failed->handle)
        fiber_forget(L, failed);
}

static int group_gc(lua_State *L)
{
    struct group_handle *handle = lua_touserdata(L, 1);
    struct group *group = handle->group;
    handle->object.class = NULL; /* a finalizer that still holds it meets no group */
    handle->group = NULL;
    if (!group)
        return 0;
    group->handle = NULL;
    group->body = NULL;
    if (group->failed && !group->failed->handle)
        fiber_take_back(L, group->failed);
    free_if_done(L, group);
    return 0;
}

/* ---- interruption ---- */

static void interrupt_children(struct group *group)
{
    for (struct list *node = group->children.next; node != &group->children; node = node->next)
        fiber_interrupt(LIST_ITEM(node, struct fiber, group_link));
    if (group->body)
        timeout_scope_cancel(group->body);
}

/* A child may wait for a group of its own, whose children are interrupted in their turn: by the
 * list, however deep they nest. */
static void interrupt(struct runtime *runtime, struct group *group)
{
    struct list *pending = &runtime->groups_to_interrupt;
    bool is_first = list_is_empty(pending);
    if (group->is_interrupted)
        return;
    group->is_interrupted = true;
    list_append(pending, &group->interrupts);
    while (is_first && !list_is_empty(pending)) {
        struct group *next = LIST_ITEM(pending->next, struct group, interrupts);
        interrupt_children(next);
        list_remove(&next->interrupts);
    }
}

/* ---- waits ---- */

static const char *push_number(lua_State *L, const struct group *group)
{
    return lua_pushfstring(L, group->n_children == 1 ? "%I fiber" : "%I fibers",
                           (LUAI_UACINT)group->n_children);
}

static void describe_join(lua_State *L, const struct fiber *fiber)
{
    lua_pushfstring(L, "(%s)", push_number(L, fiber->wait_object));
    lua_remove(L, -2);
}

/* It is settled what comes of the wait: only the children's end is missing. */
static const struct wait_ops wait_settled = {WAIT_UNSTOPPABLE, fiber_drop_deadline, describe_join,
                                             NULL};

static void settle_wait(struct fiber *joiner, int outcome)
{
    joiner->wait_outcome = outcome;
    joiner->wait = &wait_settled;
    fiber_drop_deadline(joiner);
}

static void cancel_join(struct fiber *joiner)
{
    struct group *group = joiner->wait_object;
    group->is_decided = true;
    settle_wait(joiner, ECANCELED);
    interrupt(joiner->runtime, group);
}

static const struct wait_ops wait_join = {0, cancel_join, describe_join, NULL};

static struct fiber *joiner_of(struct group *group)
{
    return list_is_empty(&group->joiners) ? NULL : wait_queue_first(&group->joiners)->fiber;
}

/* The last child has ended: nobody comes in before the joiner runs. */
static void wake_joiner(struct group *group)
{
    struct waiter *joiner = wait_queue_take(&group->joiners);
    if (!joiner)
        return;
    group->has_ended = true;
    fiber_wake(joiner->fiber, joiner->fiber->wait_outcome);
}

static void fail(struct group *group, struct fiber *child)
{
    struct fiber *joiner = joiner_of(group);
    group->is_decided = true;
    group->failed = child;
    child->group = &group->head;
    if (joiner)
        settle_wait(joiner, 0);
    interrupt(child->runtime, group);
}

static void remove_child(struct group *group, struct fiber *child)
{
    list_remove(&child->group_link);
    group->n_children--;
    child->group = NULL;
}

static void child_ended(lua_State *L, struct fiber *child)
{
    struct group *group = group_of(child);
    remove_child(group, child);
    if (child->ending == ENDED_WITH_ERROR && !group->is_decided)
        fail(group, child);
    if (group->n_children == 0)
        wake_joiner(group);
    free_if_done(L, group);
}

static bool is_awaited(const struct fiber *child)
{
    const struct group *group = group_of(child);
    return !list_is_empty(&group->joiners) || (group->has_function && !group->has_ended);
}

static void lose_child(lua_State *L, struct fiber *child)
{
    struct group *group = group_of(child);
    if (group->failed == child) {
        group->failed = NULL;
        child->group = NULL;
    } else {
        remove_child(group, child);
    }
    free_if_done(L, group);
}

static const struct group_rules rules = {child_ended, keep_thread, is_awaited, lose_child};

/* ---- joining ---- */

/* Raise the first error. The failed fiber's own handle still has it. */
static int raise_failure(lua_State *L, struct group *group)
{
    struct fiber *failed = group->failed;
    lua_pushvalue(failed->thread, -1);
    lua_xmove(failed->thread, L, 1);
    report_note_origin(L, failed);
    group->failed = NULL;
    failed->group = NULL;
    failed->is_error_delivered = true;
    keep_nothing(L, failed->runtime, group, KEPT_THREAD);
    if (!failed->handle)
        fiber_free(L, failed);
    return lua_error(L);
}

/* Wait until the last child has ended. An interruption, or a timeout, that is there already is as
 * good as one that comes. */
static int wait_for_children(lua_State *L, struct group *group, struct fiber *fiber,
                             call_finish *finish)
{
    int error = group->is_decided ? 0 : call_take_error(L, fiber);
    if (error)
        group->is_decided = true;
    if (group->is_decided)
        interrupt(fiber->runtime, group);
    fiber->wait_object = group;
    fiber->wait_outcome = error;
    return wait_queue_suspend(L, &group->joiners, fiber,
                              group->is_decided ? &wait_settled : &wait_join, finish);
}

static struct group *self(lua_State *L)
{
    return ((struct group_handle *)class_check_self(L, &group_class))->group;
}

noreturn static void raise_ended(lua_State *L)
{
    error_raise_detail(L, EINVAL, "the group has ended");
}

static void check_joinable(lua_State *L, struct group *group)
{
    const struct fiber *current = class_runtime(L)->current;
    if (group->has_ended)
        raise_ended(L);
    if (group->has_function)
        error_raise_detail(L, EINVAL, "the group is joined at the end of its function");
    if (joiner_of(group))
        error_raise_detail(L, EINVAL, "another waits to join the group");
    if (current && current->group == &group->head)
        error_raise_detail(L, EDEADLK, "a fiber cannot join its own group");
}

static int finish_join(lua_State *L, struct fiber *fiber, int error)
{
    struct group *group = ((struct group_handle *)lua_touserdata(L, 1))->group;
    (void)fiber;
    if (!group) /* the state is closing, and a finalizer drives the loop */
        error_raise(L, ECANCELED);
    group->has_ended = true;
    if (group->failed)
        return raise_failure(L, group);
    if (error)
        error_raise(L, error);
    return 0;
}

static int group_join(lua_State *L)
{
    struct group *group = self(L);
    struct fiber *fiber;
    check_joinable(L, group);
    lua_settop(L, 1);
    if (call_begin_late(L, class_runtime(L), &fiber))
        call_begin(L, class_runtime(L)); /* raises */
    if (group->n_children > 0 && !call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    if (group->n_children > 0)
        return wait_for_children(L, group, fiber, finish_join);
    group->has_ended = true;
    return call_done(L, fiber, group->is_decided ? 0 : call_take_error(L, fiber), finish_join);
}

/* ---- with a function ----
 *
 * While it runs: scope, group, its function's results. From its end on: whether that was well,
 * group, results or the error value. */

static int raise_again(lua_State *L)
{
    lua_settop(L, 1);
    return lua_error(L);
}

/* The error on the top is the function's, and not the first: it goes to the reporter. */
static void report_later_error(lua_State *L, struct runtime *runtime)
{
    lua_pushcfunction(L, raise_again);
    lua_insert(L, -2);
    fiber_forget(L, fiber_spawn(L, runtime, 1));
    lua_pop(L, 1);
}

static int finish_function(lua_State *L, struct fiber *fiber, int error)
{
    struct group *group = ((struct group_handle *)lua_touserdata(L, 2))->group;
    struct runtime *runtime = fiber->runtime;
    bool was_well = lua_toboolean(L, 1);
    if (group)
        group->has_ended = true;
    if (group && group->failed) {
        if (!was_well && !error_is_interruption(L, -1))
            report_later_error(L, runtime);
        return raise_failure(L, group);
    }
    if (!was_well)
        return lua_error(L);
    if (error)
        error_raise(L, error);
    return lua_gettop(L) - 2;
}

/* Whether the error on the top is only the interruption of what was inside the group. */
static bool is_own_interruption(lua_State *L, const struct group *group, const struct fiber *fiber)
{
    return group->is_interrupted && !call_is_interrupted(fiber) && error_is_interruption(L, -1);
}

static int function_ended(lua_State *L, int status, lua_KContext context)
{
    struct group *group = ((struct group_handle *)lua_touserdata(L, 2))->group;
    struct fiber *fiber;
    bool was_well = status == LUA_OK || status == LUA_YIELD;
    (void)context;
    timeout_scope_end(lua_touserdata(L, 1));
    lua_checkstack(L, LUA_MINSTACK); /* above the results; should it fail, there is Lua's reserve */
    if (group)
        keep_nothing(L, class_runtime(L), group, KEPT_LIMIT);
    int error = call_begin_late(L, class_runtime(L), &fiber);
    if (!error && !call_can_wait(L, fiber))
        error = THRUM_ECANNOT_SUSPEND;
    if (group) {
        group->body = NULL;
        if (!was_well && is_own_interruption(L, group, fiber)) {
            lua_settop(L, 2);
            was_well = true;
        }
        group->is_decided |= !was_well;
    }
    lua_pushboolean(L, was_well);
    lua_replace(L, 1);
    if (!group || group->n_children == 0)
        return finish_function(L, fiber, 0);
    if (error) {
        interrupt(fiber->runtime, group);
        return finish_function(L, fiber, error);
    }
    return wait_for_children(L, group, fiber, finish_function);
}

static int call_function(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    struct fiber *fiber = call_begin(L, runtime);
    if (!call_can_wait(L, fiber)) /* here and at its end */
        return call_refuse(L, fiber, call_finish_plain);
    struct group *group = push_group(L, runtime);
    group->has_function = true;
    group->body = timeout_scope_push(L, runtime, NO_DEADLINE);
    lua_pushvalue(L, -1);
    keep(L, runtime, group, KEPT_LIMIT);
    lua_insert(L, 1);
    lua_insert(L, 2); /* scope, group, f, ... */
    lua_pushvalue(L, 2);
    lua_insert(L, 4);
    return function_ended(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, function_ended),
                          0);
}

int group_function(lua_State *L)
{
    if (lua_isfunction(L, 1))
        return call_function(L);
    if (!lua_isnone(L, 1))
        error_raise_arg(L, EINVAL, 1, "f", "function or nothing");
    push_group(L, class_runtime(L));
    return 1;
}

/* ---- the handle's other methods ---- */

static int group_spawn(lua_State *L)
{
    struct group *group = self(L);
    if (!fiber_is_function(L, 2))
        error_raise_arg(L, EINVAL, 2, "f", "function");
    if (group->has_ended)
        raise_ended(L);
    struct fiber *child = fiber_spawn(L, class_runtime(L), lua_gettop(L) - 2);
    child->group = &group->head;
    child->interruption = group->is_interrupted ? INTERRUPTED : 0;
    list_append(&group->children, &child->group_link);
    group->n_children++;
    return 1;
}

static int group_interrupt(lua_State *L)
{
    interrupt(class_runtime(L), self(L));
    return 0;
}

static int group_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)self(L)->n_children);
    return 1;
}

static int group_tostring(lua_State *L)
{
    const struct group *group = self(L);
    const char *state = "";
    if (group->has_ended)
        state = "ended";
    else if (group->failed)
        state = "failed, ";
    else if (group->is_interrupted)
        state = "interrupted, ";
    lua_pushfstring(L, "fiber.group (%s%s)", state, group->has_ended ? "" : push_number(L, group));
    return 1;
}

static const struct function_row methods[] = {
    {"spawn", group_spawn}, {"join", group_join}, {"interrupt", group_interrupt}, {0}};
static const struct function_row metamethods[] = {
    {"__gc", group_gc}, {"__len", group_len}, {"__tostring", group_tostring}, {0}};

void group_open(lua_State *L, struct runtime *runtime)
{
    class_open(L, class_get(L, runtime, &group_class),
               &(struct class_rows){.methods = methods, .metamethods = metamethods});
}
