/* SPDX-License-Identifier: BSL-1.0 */
/* Reports: see report.h. */
#include "bind/fiber/report.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/timer.h>

#include "bind/fiber/inspect.h"
#include "bind/fiber/runtime.h"
#include "bind/value/traceback.h"

/* ---- what is known of a dead fiber ----
 *
 * A table, shared by the fiber's record and its handle. */
enum { END_NAME = 1, END_TRACEBACK };

/* Or nil, if there was no memory to keep it. */
static void push_traceback(lua_State *L, const struct fiber *fiber)
{
    fiber_push_anchored(L, fiber->runtime, fiber->traceback);
    if (lua_type(L, -1) == LUA_TSTRING)
        return;
    lua_pop(L, 1);
    lua_pushnil(L);
}

void report_push_end(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_createtable(L, END_TRACEBACK, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, END_NAME);
}

void report_share_end(lua_State *L, struct fiber *fiber)
{
    fiber->end = fiber_anchor_value(L, fiber->runtime);
}

static void push_field(lua_State *L, int end, int field)
{
    if (lua_istable(L, end))
        lua_rawgeti(L, end, field);
    else
        lua_pushnil(L);
}

void report_push_end_name(lua_State *L, int end)
{
    push_field(L, end, END_NAME);
}

void report_push_end_traceback(lua_State *L, int end)
{
    push_field(L, end, END_TRACEBACK);
}

/* ---- whence an error came ----
 *
 * A fiber remembers the last error that came out of a join: a weak table, so that what the program
 * has dealt with is not kept alive. */
enum { ORIGIN_ERROR = 1, ORIGIN_TEXT };

static int note_origin(lua_State *L)
{
    const struct fiber *dead = lua_touserdata(L, 2);
    struct runtime *runtime = dead->runtime;
    lua_createtable(L, ORIGIN_TEXT, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, ORIGIN_ERROR);
    lua_pushliteral(L, "\nraised by fiber ");
    fiber_push_title(L, dead);
    lua_pushliteral(L, "\n");
    push_traceback(L, dead);
    if (lua_isnil(L, -1))
        return 0;
    lua_concat(L, 4);
    lua_rawseti(L, -2, ORIGIN_TEXT);
    int anchor = fiber_anchor_value(L, runtime);
    fiber_release_anchor(L, runtime, runtime->current->origin);
    runtime->current->origin = anchor;
    return 0;
}

void report_note_origin(lua_State *L, struct fiber *dead)
{
    if (!dead->runtime->current || !lua_checkstack(L, 4))
        return;
    lua_pushcfunction(L, note_origin);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, dead);
    if (lua_pcall(L, 2, 0, 0)) /* without memory the report has one traceback less */
        lua_pop(L, 1);
}

/* Whether the error at -1 is the one at -2; a string may have got something put before it. */
static bool is_same_error(lua_State *L)
{
    size_t size, old_size;
    if (lua_rawequal(L, -1, -2))
        return !lua_isnil(L, -1);
    if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TSTRING)
        return false;
    const char *error = lua_tolstring(L, -1, &size);
    const char *old = lua_tolstring(L, -2, &old_size);
    return old_size > 0 && old_size < size && memcmp(error + size - old_size, old, old_size) == 0;
}

/* Append to the traceback on the top that of the fiber whose error this one has died of. */
static void append_origin(lua_State *L, const struct fiber *fiber)
{
    if (fiber->origin == LUA_NOREF)
        return;
    fiber_push_anchored(L, fiber->runtime, fiber->origin);
    lua_rawgeti(L, -1, ORIGIN_TEXT);
    lua_rawgeti(L, -2, ORIGIN_ERROR);
    lua_remove(L, -3);
    lua_pushvalue(fiber->thread, -1);
    lua_xmove(fiber->thread, L, 1);
    bool is_it = is_same_error(L);
    lua_pop(L, 2);
    if (is_it)
        lua_concat(L, 2);
    else
        lua_pop(L, 1);
}

static int keep_end(lua_State *L)
{
    struct fiber *fiber = lua_touserdata(L, 1);
    if (fiber->end == LUA_NOREF) {
        report_push_end(L, fiber->name);
        report_share_end(L, fiber);
    }
    if (fiber->ending != ENDED_WITH_ERROR)
        return 0;
    fiber_push_anchored(L, fiber->runtime, fiber->end);
    inspect_push_traceback(L, fiber);
    append_origin(L, fiber);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, END_TRACEBACK);
    fiber_release_anchor(L, fiber->runtime, fiber->traceback);
    fiber->traceback = LUA_NOREF; /* released once, should there be no memory for the next */
    fiber->traceback = fiber_anchor_value(L, fiber->runtime);
    return 0;
}

void report_keep_end(lua_State *L, struct fiber *fiber)
{
    lua_pushcfunction(L, keep_end);
    lua_pushlightuserdata(L, fiber);
    if (lua_pcall(L, 1, 0, 0))
        lua_pop(L, 1);
}

/* ---- the default reporter ---- */

static int make_message(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

const char *report_push_message(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    if (lua_type(L, index) == LUA_TSTRING) { /* needs no memory */
        lua_pushvalue(L, index);
        return lua_tostring(L, -1);
    }
    lua_pushcfunction(L, make_message);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "(an error object that cannot be made a string)");
    }
    return lua_tostring(L, -1);
}

static void write_line(lua_State *L, int index)
{
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    if (!text)
        return;
    fwrite(text, 1, size, stderr);
    fputc('\n', stderr);
}

/* The error value, traceback, id and name stand from `report` on. It asks no memory of Lua, not
 * even a call: the fiber may have died for want of it, and hold all there was as long as its
 * handle. */
static void write_report_at(lua_State *L, int report)
{
    int traceback = report + 1, id = report + 2, name = report + 3;
    report_push_message(L, report);
    fprintf(stderr, "thrum: uncaught error in fiber %s", lua_tostring(L, id));
    if (!lua_isnil(L, name))
        fprintf(stderr, " \"%s\"", lua_tostring(L, name));
    fputs(": ", stderr);
    write_line(L, -1);
    write_line(L, traceback);
    lua_pop(L, 1);
}

/* err, traceback, id, name */
static int write_report(lua_State *L)
{
    lua_settop(L, 4);
    write_report_at(L, 1);
    return 0;
}

/* The same for what is no error: only the text. */
static int write_notice(lua_State *L)
{
    lua_pushfstring(L, "thrum: %s", lua_tostring(L, 1));
    write_line(L, -1);
    return 0;
}

static int keep_silent(lua_State *L)
{
    (void)L;
    return 0;
}

/* ---- the reporter ---- */

void report_set_reporter(lua_State *L, struct runtime *runtime)
{
    int reporter = LUA_NOREF;
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        if (!lua_toboolean(L, -1)) {
            lua_pop(L, 1);
            lua_pushcfunction(L, keep_silent);
        }
        reporter = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, runtime->reporter);
    runtime->reporter = reporter;
}

static bool has_reporter(const struct runtime *runtime)
{
    return runtime->reporter != LUA_NOREF || !runtime->returns_errors;
}

bool report_push_reporter(lua_State *L, const struct runtime *runtime)
{
    if (runtime->reporter != LUA_NOREF)
        lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->reporter);
    else if (!runtime->returns_errors)
        lua_pushcfunction(L, write_report);
    return has_reporter(runtime);
}

/* The reporter's own error is on the top, the report of which it was raised below it. */
static void write_failed_report(lua_State *L, int report)
{
    write_report_at(L, report);
    report_push_message(L, -1);
    lua_pushcfunction(L, write_notice);
    lua_pushfstring(L, "the reporter has raised an error: %s", lua_tostring(L, -2));
    if (lua_pcall(L, 1, 0, 0))
        lua_pop(L, 1);
}

/* Give the reporter the error value, traceback, id and name on the top; pops them. If it raises,
 * somebody shall see both errors all the same. `write`: what writes in place of the default. */
static void give(lua_State *L, const struct runtime *runtime, lua_CFunction write)
{
    int report = lua_gettop(L) - 3;
    luaL_checkstack(L, LUA_MINSTACK, "uncaught error");
    if (runtime->reporter == LUA_NOREF && has_reporter(runtime) && write == write_report) {
        write_report_at(L, report);
    } else if (report_push_reporter(L, runtime)) {
        if (runtime->reporter == LUA_NOREF) {
            lua_pop(L, 1);
            lua_pushcfunction(L, write);
        }
        for (int i = 0; i < 4; i++)
            lua_pushvalue(L, report + i);
        if (lua_pcall(L, 4, 0, 0))
            write_failed_report(L, report);
    }
    lua_settop(L, report - 1);
}

/* ---- who is reported ---- */

/* The time that somebody has for a join. */
static const int64_t report_delay_ns = 1000000000;

static bool is_awaited(const struct fiber *fiber)
{
    return fiber->joiner || (fiber->group && fiber->group->rules->is_awaited(fiber));
}

/* The timer only sees to it that the loop turns: it keeps nobody from ending. Where there is no
 * memory for it, the next turn that comes will do. */
static void arm(struct runtime *runtime)
{
    if (list_is_empty(&runtime->failed) || !has_reporter(runtime) ||
        thrum_operation_is_pending(&runtime->report_wait))
        return;
    if (!runtime->report_timer && thrum_timer_new(runtime->context, &runtime->report_timer))
        return;
    thrum_timer_wait(runtime->report_timer, &runtime->report_wait,
                     LIST_ITEM(runtime->failed.next, struct fiber, link)->report_ns);
}

/* If the time has come, the round that follows looks; if not, the timer was given up, and others
 * may have failed since. */
static void timer_ended(struct thrum_operation *wait)
{
    if (wait->error)
        arm(wait->user);
}

void report_init(struct runtime *runtime)
{
    list_init(&runtime->failed);
    list_init(&runtime->unreported);
    runtime->reporter = LUA_NOREF;
    thrum_operation_init(&runtime->report_wait, timer_ended, runtime);
}

void report_deinit(struct runtime *runtime)
{
    thrum_timer_free(runtime->report_timer);
    runtime->report_timer = NULL;
    thrum_operation_deinit(&runtime->report_wait);
}

static void append_failed(struct fiber *fiber)
{
    list_remove(&fiber->link);
    list_append(&fiber->runtime->failed, &fiber->link);
    fiber->report_ns = thrum_steady_clock_now_ns() + report_delay_ns;
}

void report_expect(struct fiber *fiber)
{
    append_failed(fiber);
    if (!is_awaited(fiber))
        arm(fiber->runtime);
}

/* There is nothing left to report of it. */
static void leave_failed(struct fiber *fiber)
{
    list_remove(&fiber->link);
    list_append(&fiber->runtime->fibers, &fiber->link);
    fiber_left_failed(fiber->runtime);
}

/* Push the error value, traceback, id and name of a fiber that has failed, and note that it
 * was reported. An allocation may free it, by a finalizer or with its handle: `is_gone` has that
 * done first, when nobody can join it any more. */
static void push_report(lua_State *L, struct fiber *fiber, bool is_gone)
{
    unsigned long long id = fiber->id;
    const char *name = fiber->name;
    luaL_checkstack(L, 6, "uncaught error");
    lua_pushthread(fiber->thread); /* where the name stands */
    lua_xmove(fiber->thread, L, 1);
    lua_pushvalue(fiber->thread, -1);
    lua_xmove(fiber->thread, L, 1);
    push_traceback(L, fiber);
    fiber->is_error_delivered = true;
    if (is_gone)
        fiber_free(L, fiber);
    else
        leave_failed(fiber);
    lua_pushfstring(L, "%I", (LUAI_UACINT)id);
    lua_pushstring(L, name);
    lua_remove(L, -5);
}

static void report_unreported(lua_State *L, struct runtime *runtime)
{
    while (!list_is_empty(&runtime->unreported) && has_reporter(runtime)) {
        push_report(L, LIST_ITEM(runtime->unreported.next, struct fiber, link), true);
        give(L, runtime, write_report);
    }
}

/* The first who can still be joined and is due by then; who needs no report is passed over. */
static struct fiber *next_failed(struct runtime *runtime, int64_t now_ns, bool is_over)
{
    while (!list_is_empty(&runtime->failed)) {
        struct fiber *fiber = LIST_ITEM(runtime->failed.next, struct fiber, link);
        if (fiber->report_ns >= now_ns)
            return NULL;
        if (fiber->is_error_delivered)
            leave_failed(fiber);
        else if (fiber->joiner || (is_awaited(fiber) && !is_over))
            append_failed(fiber);
        else
            return fiber;
    }
    return NULL;
}

void report_due(lua_State *L, struct runtime *runtime)
{
    report_unreported(L, runtime);
    if (list_is_empty(&runtime->failed) || !has_reporter(runtime))
        return;
    struct fiber *fiber;
    while ((fiber = next_failed(runtime, thrum_steady_clock_now_ns(), false))) {
        push_report(L, fiber, false);
        give(L, runtime, write_report);
    }
    arm(runtime);
}

/* All who have failed by now, as if their second were over. */
void report_all(lua_State *L, struct runtime *runtime, bool is_over)
{
    struct fiber *fiber;
    int64_t now_ns = thrum_steady_clock_now_ns() + report_delay_ns;
    report_unreported(L, runtime);
    while (has_reporter(runtime) && (fiber = next_failed(runtime, now_ns, is_over))) {
        push_report(L, fiber, false);
        give(L, runtime, write_report);
    }
}

void report_error(lua_State *L, struct runtime *runtime)
{
    const struct fiber *fiber = runtime_caller(runtime);
    luaL_checkstack(L, LUA_MINSTACK, "report");
    lua_pushvalue(L, -1);
    lua_pushliteral(L, "stack traceback:");
    traceback_append(L, L, 1);
    lua_pushfstring(L, "%I", (LUAI_UACINT)fiber->id);
    lua_pushstring(L, fiber->name);
    give(L, runtime, write_report);
}

bool report_take(lua_State *L, struct runtime *runtime)
{
    struct fiber *fiber = NULL;
    bool is_gone = !list_is_empty(&runtime->unreported);
    if (is_gone)
        fiber = LIST_ITEM(runtime->unreported.next, struct fiber, link);
    else
        fiber = next_failed(runtime, thrum_steady_clock_now_ns(), false);
    if (!fiber)
        return false;
    push_report(L, fiber, is_gone);
    lua_pop(L, 3);
    return true;
}

/* ---- the end of the state ---- */

static struct fiber *find_new(const struct runtime *runtime, int *count)
{
    struct fiber *first = NULL;
    *count = 0;
    for (struct list *link = runtime->fibers.next; link != &runtime->fibers; link = link->next) {
        struct fiber *fiber = LIST_ITEM(link, struct fiber, link);
        if (fiber->state != FIBER_NEW)
            continue;
        first = first ? first : fiber;
        ++*count;
    }
    return first;
}

/* A script in a stock interpreter has spawned fibers, and nothing has driven the loop since. */
static void report_never_run(lua_State *L, struct runtime *runtime)
{
    int count;
    const struct fiber *first = find_new(runtime, &count);
    if (!first)
        return;
    luaL_checkstack(L, 6, "never run");
    lua_pushfstring(L,
                    count == 1 ? "%d fiber was spawned and has never run, at %s: "
                                 "in a stock interpreter a script ends with thrum.run()"
                               : "%d fibers were spawned and have never run, the first at %s: "
                                 "in a stock interpreter a script ends with thrum.run()",
                    count, first->place ? first->place : "?");
    inspect_push_traceback(L, first);
    lua_pushfstring(L, "%I", (LUAI_UACINT)first->id);
    lua_pushstring(L, first->name);
    give(L, runtime, write_notice);
}

static int close_protected(lua_State *L)
{
    struct runtime *runtime = lua_touserdata(L, 1);
    if (runtime->is_unrun && has_reporter(runtime))
        report_never_run(L, runtime);
    report_all(L, runtime, true);
    return 0;
}

/* Nobody drives the loop from here on, the reporter neither. */
void report_close(lua_State *L, struct runtime *runtime)
{
    runtime->is_driving = true;
    runtime->current = NULL; /* os.exit closes the state from inside a fiber */
    runtime->running = NULL;
    lua_pushcfunction(L, close_protected);
    lua_pushlightuserdata(L, runtime);
    if (lua_pcall(L, 1, 0, 0)) /* no memory, and no time left to find some */
        lua_pop(L, 1);
    runtime->is_driving = false;
}
