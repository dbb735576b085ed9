/* SPDX-License-Identifier: BSL-1.0 */
/* A look inside: see inspect.h. */
#include "bind/fiber/inspect.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/fiber/resumed.h"
#include "bind/fiber/runtime.h"
#include "bind/value/class.h"
#include "bind/value/traceback.h"

/* ---- waits ---- */

void inspect_push_wait(lua_State *L, const struct fiber *fiber)
{
    const struct wait_site *site = &fiber->site;
    luaL_checkstack(L, 4, "a look inside");
    lua_pushfstring(L, "%s.%s", site->state->class->name, site->row->name);
    if (!fiber->wait || !fiber->wait->describe)
        return;
    lua_pushliteral(L, " ");
    fiber->wait->describe(L, fiber);
    lua_concat(L, 3);
}

/* ---- tracebacks ---- */

/* Of the caller's stack: fiber.list, and the function it calls quietly. */
enum { OWN_FRAMES = 2 };

static void append(lua_State *L, const char *text)
{
    lua_pushstring(L, text);
    lua_concat(L, 2);
}

static bool is_suspended(const struct fiber *fiber)
{
    return fiber->state == FIBER_ALIVE && fiber->runtime->current != fiber;
}

/* The thread inside this one that the fiber's work goes on in, or has failed in: pushed; or NULL,
 * and nothing is pushed. */
static lua_State *push_next_inside(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    if (is_suspended(fiber) && thread == fiber->site.thread)
        return NULL;
    return resumed_push(L, fiber->runtime, thread);
}

/* What inspect_keep_traceback keeps: a table of these. */
enum { KEPT_ERROR = 1, KEPT_TEXT, KEPT_THREAD };

static int keep(lua_State *L)
{
    struct fiber *fiber = lua_touserdata(L, 2);
    lua_createtable(L, KEPT_THREAD, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, KEPT_ERROR);
    lua_pushliteral(L, "");
    traceback_append(L, L, OWN_FRAMES);
    lua_rawseti(L, -2, KEPT_TEXT);
    lua_pushthread(L);
    lua_rawseti(L, -2, KEPT_THREAD);
    int anchor = fiber_anchor_value(L, fiber->runtime);
    fiber_release_anchor(L, fiber->runtime, fiber->traceback);
    fiber->traceback = anchor;
    return 0;
}

/* Whether the kept table on the top is about this thread, and about the error that the fiber ended
 * with: a function of coroutine.wrap puts a position before it. */
static bool is_kept_for(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    size_t size, kept_size;
    const char *error = lua_tolstring(fiber->thread, -1, &size);
    lua_rawgeti(L, -1, KEPT_THREAD);
    lua_rawgeti(L, -2, KEPT_ERROR);
    const char *kept = lua_tolstring(L, -1, &kept_size);
    bool is_it = lua_tothread(L, -2) == thread && kept_size <= size &&
                 memcmp(error + size - kept_size, kept, kept_size) == 0;
    lua_pop(L, 2);
    return is_it;
}

/* Append the frames kept for a thread that has failed, to the text on the top; false if none are.
 */
static bool append_kept(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    bool has_failed = fiber->state >= FIBER_ENDING && fiber->ending == ENDED_WITH_ERROR;
    if (!has_failed || fiber->traceback == LUA_NOREF || lua_type(fiber->thread, -1) != LUA_TSTRING)
        return false;
    fiber_push_anchored(L, fiber->runtime, fiber->traceback);
    bool is_kept = is_kept_for(L, fiber, thread);
    if (is_kept) {
        lua_rawgeti(L, -1, KEPT_TEXT);
        lua_remove(L, -2);
        lua_concat(L, 2);
    } else {
        lua_pop(L, 1);
    }
    return is_kept;
}

/* The error value is at 1: it stays. Within, on behalf of a handler: whether it is known already,
 * because a scope further in has raised it again. */
static bool is_known(lua_State *L, const struct fiber *fiber)
{
    if (fiber->traceback == LUA_NOREF)
        return false;
    fiber_push_anchored(L, fiber->runtime, fiber->traceback);
    lua_rawgeti(L, -1, KEPT_ERROR);
    lua_rawgeti(L, -2, KEPT_THREAD);
    bool is_it = lua_rawequal(L, -2, 1) && lua_tothread(L, -1) == L;
    lua_pop(L, 3);
    return is_it;
}

int inspect_keep_traceback(lua_State *L)
{
    const struct runtime *runtime = runtime_find(L);
    struct fiber *fiber = runtime->current;
    lua_settop(L, 1);
    if (!fiber || lua_type(L, 1) != LUA_TSTRING || !lua_checkstack(L, 5) || is_known(L, fiber))
        return 1;
    lua_pushcfunction(L, keep);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, fiber);
    lua_pcall(L, 2, 0, 0); /* without memory there is only the traceback of the end */
    lua_settop(L, 1);
    return 1;
}

/* A suspended C function's own frame tells nothing: Lua keeps something else in its place. */
static void append_thread(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    if (append_kept(L, fiber, thread))
        return;
    if (!is_suspended(fiber)) {
        traceback_append(L, thread, thread == L ? OWN_FRAMES : 0);
    } else {
        if (thread == fiber->site.thread) {
            lua_pushfstring(L, "\n\t[C]: in %s.%s", fiber->site.state->class->name,
                            fiber->site.row->name);
            lua_concat(L, 2);
        }
        traceback_append(L, thread, 1);
    }
}

/* Append a thread that has resumed the one before; nothing if it is all thrum's own. */
static void append_resumer(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    lua_pushvalue(L, -1);
    append(L, "\n\t(in a coroutine, resumed at)");
    size_t size = lua_rawlen(L, -1);
    append_thread(L, fiber, thread);
    if (lua_rawlen(L, -1) == size)
        lua_pop(L, 1);
    else
        lua_remove(L, -2);
}

/* Innermost first, as in any traceback. The threads found inside stand on the stack meanwhile. */
static void append_threads(lua_State *L, const struct fiber *fiber, lua_State *thread)
{
    int base = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, "too many coroutines to trace");
    for (lua_State *next = thread; (next = push_next_inside(L, fiber, next));)
        luaL_checkstack(L, LUA_MINSTACK, "too many coroutines to trace");
    lua_pushvalue(L, base);
    int innermost = lua_gettop(L) - 1; /* the text is on the top */
    append_thread(L, fiber, innermost > base ? lua_tothread(L, innermost) : thread);
    for (int i = innermost - 1; i > base; i--)
        append_resumer(L, fiber, lua_tothread(L, i));
    if (innermost > base)
        append_resumer(L, fiber, thread);
    lua_replace(L, base);
    lua_settop(L, base);
}

void inspect_push_traceback(lua_State *L, const struct fiber *fiber)
{
    luaL_checkstack(L, LUA_MINSTACK, "a look inside");
    lua_pushliteral(L, "stack traceback:");
    if (fiber->runtime->current == fiber && fiber->runtime->running != L) {
        traceback_append(L, L,
                         OWN_FRAMES); /* a coroutine.resume that knows no fibers is in between */
        append(L, "\n\t(in a coroutine, resumed at)");
    }
    if (fiber->state != FIBER_NEW)
        append_threads(L, fiber, fiber->thread);
    if (!fiber->place)
        return;
    lua_pushfstring(L, "\n\t(in a fiber, spawned at %s)", fiber->place);
    lua_concat(L, 2);
}

/* ---- fiber.list ---- */

static const char *state_of(const struct fiber *fiber)
{
    if (fiber->state == FIBER_NEW)
        return "new";
    if (fiber->runtime->current == fiber)
        return "running";
    return fiber->wait ? "waiting" : "ready";
}

static void push_entry(lua_State *L, const struct fiber *fiber)
{
    lua_createtable(L, 0, 8);
    lua_pushfstring(L, "%I", (LUAI_UACINT)fiber->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, fiber->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, fiber->place);
    lua_setfield(L, -2, "spawned_at");
    lua_pushboolean(L, fiber->is_main);
    lua_setfield(L, -2, "is_main");
    lua_pushstring(L, state_of(fiber));
    lua_setfield(L, -2, "state");
    if (is_suspended(fiber)) {
        lua_pushnumber(L, (lua_Number)fiber->site.since_ns / 1e9);
        lua_setfield(L, -2, "since");
    }
    if (fiber->wait) {
        inspect_push_wait(L, fiber);
        lua_setfield(L, -2, "waits_for");
    }
    inspect_push_traceback(L, fiber);
    lua_setfield(L, -2, "traceback");
}

static int push_entries(lua_State *L)
{
    const struct runtime *runtime = runtime_find(L);
    lua_Integer count = 0;
    lua_newtable(L);
    for (const struct list *link = runtime->fibers.next; link != &runtime->fibers;
         link = link->next) {
        const struct fiber *fiber = LIST_ITEM(link, struct fiber, link);
        if (fiber->state >= FIBER_ENDING)
            continue;
        push_entry(L, fiber);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* The collector rests meanwhile: a finalizer could make fibers, and free them. */
int inspect_list(lua_State *L)
{
    lua_settop(L, 0);
    return runtime_call_quietly(L, push_entries);
}
