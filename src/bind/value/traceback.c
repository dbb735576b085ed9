/* SPDX-License-Identifier: BSL-1.0 */
/* Tracebacks for people: see traceback.h. */
#include "bind/value/traceback.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/value/class.h"

/* Of a long stack these many frames at either end, as in luaL_traceback. */
enum { N_FIRST = 10, N_LAST = 11 };

/* ---- names of functions in modules ---- */

static const char global_prefix[] = "_G.", own_prefix[] = "thrum.";

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* A function may stand in several modules: its short name counts, whatever order the table has. */
static bool is_better(const char *name, const char *best)
{
    if (!best || starts_with(best, global_prefix))
        return !best;
    if (starts_with(name, global_prefix))
        return true;
    if (starts_with(name, own_prefix) != starts_with(best, own_prefix))
        return starts_with(best, own_prefix);
    return strcmp(name, best) < 0;
}

/* Stack: function, best name or nil, module's name, module. Look for the function in the module. */
static void look_in_module(lua_State *L, int function)
{
    int best = function + 1, module_name = lua_gettop(L) - 1, module = module_name + 1;
    lua_pushnil(L);
    while (lua_next(L, module)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, function)) {
            lua_pushfstring(L, "%s.%s", lua_tostring(L, module_name), lua_tostring(L, -2));
            if (is_better(lua_tostring(L, -1), lua_tostring(L, best)))
                lua_replace(L, best);
        }
        lua_settop(L, module + 1); /* the key */
    }
}

/* Push the name by which a loaded module has the frame's function: "string.rep"; or nil. */
static void push_module_name(lua_State *L, lua_Debug *frame)
{
    lua_getinfo(L, "f", frame);
    int function = lua_gettop(L);
    lua_pushnil(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    int loaded = lua_gettop(L);
    lua_pushnil(L);
    while (lua_istable(L, loaded) && lua_next(L, loaded)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1))
            look_in_module(L, function);
        lua_settop(L, loaded + 1);
    }
    lua_settop(L, function + 1);
    lua_remove(L, function);
}

/* ---- frames ---- */

/* Push what the frame's function is, or nil if nothing can be said of it. `is_own`: it is Lua code
 * of thrum's own; `is_called`: it was called by such code, whose name for it tells nothing. */
static void push_function_text(lua_State *L, lua_Debug *frame, bool is_own, bool is_called)
{
    push_module_name(L, frame);
    const char *name = lua_tostring(L, -1);
    if (name) {
        bool is_global = starts_with(name, global_prefix);
        lua_pushfstring(L, "function '%s'", name + (is_global ? sizeof(global_prefix) - 1 : 0));
    } else if (*frame->namewhat != '\0' && !is_called) {
        lua_pushfstring(L, "%s '%s'", frame->namewhat, frame->name);
    } else if (is_own || *frame->what == 'C') {
        lua_pushnil(L);
    } else if (*frame->what == 'm') {
        lua_pushliteral(L, "main chunk");
    } else {
        lua_pushfstring(L, "function <%s:%d>", frame->short_src, frame->linedefined);
    }
    lua_remove(L, -2);
}

static bool get_frame(lua_State *thread, int level, const char *what, lua_Debug *frame)
{
    return lua_getstack(thread, level, frame) && lua_getinfo(thread, what, frame);
}

/* Whether code of thrum's own has called the frame at this level. */
static bool is_called_by_own(lua_State *thread, int level)
{
    lua_Debug caller;
    return get_frame(thread, level + 1, "S", &caller) && class_is_own_lua(&caller);
}

/* Append the line of one frame, or nothing; returns whether there is one. */
static bool append_frame(lua_State *L, lua_State *thread, int level, lua_Debug *frame)
{
    bool is_own = class_is_own_lua(frame), is_called = is_called_by_own(thread, level);
    if (is_called && (is_own || *frame->what == 'C'))
        return false;
    push_function_text(L, frame, is_own, is_called);
    const char *text = lua_tostring(L, -1);
    if (!text) {
        lua_pop(L, 1);
        return false;
    }
    if (frame->currentline > 0 && !is_own)
        lua_pushfstring(L, "\n\t%s:%d: in %s", frame->short_src, frame->currentline, text);
    else
        lua_pushfstring(L, "\n\t%s: in %s", is_own ? "[thrum]" : frame->short_src, text);
    lua_remove(L, -2);
    if (frame->istailcall && !is_own && !is_called)
        lua_pushliteral(L, "\n\t(...tail calls...)");
    else
        lua_pushliteral(L, "");
    lua_concat(L, 3);
    return true;
}

/* The last level, found as luaL_traceback does: to reach a level takes as many steps. */
static int find_last(lua_State *thread)
{
    lua_Debug frame;
    int low = 0, high = 1;
    while (lua_getstack(thread, high, &frame)) {
        low = high;
        high *= 2;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(thread, middle, &frame))
            low = middle + 1;
        else
            high = middle;
    }
    return high - 1;
}

void traceback_append(lua_State *L, lua_State *thread, int level)
{
    lua_Debug frame;
    int last = find_last(thread), n_shown = 0;
    bool is_long = last - level > N_FIRST + N_LAST;
    luaL_checkstack(L, LUA_MINSTACK, "traceback");
    while (get_frame(thread, level, "Slnt", &frame)) {
        n_shown += append_frame(L, thread, level, &frame);
        level++;
        if (is_long && n_shown == N_FIRST && level < last - N_LAST + 1) {
            lua_pushliteral(L, "\n\t...");
            lua_concat(L, 2);
            level = last - N_LAST + 1;
            is_long = false;
        }
    }
}
