/* SPDX-License-Identifier: BSL-1.0 */
/* system.signal: the signals by name, and sets of them to wait for. */
#include <errno.h>
#include <signal.h>

#include <lauxlib.h>

#include <thrum/signal.h>

#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/system/classes.h"
#include "bind/system/open.h"
#include "bind/system/signal_name.h"
#include "bind/value/error.h"

struct signal_set {
    struct object object;
    thrum_signal_set *core; /* NULL before it is made */
    sigset_t numbers;       /* what it has, for tostring */
};

static struct signal_set *self(lua_State *L)
{
    return class_check_self(L, &signal_set_class);
}

static void raise_if(lua_State *L, int error)
{
    if (error)
        error_raise(L, error);
}

/* A finalizer that still holds it meets no set. */
static void free_core(struct signal_set *set)
{
    thrum_signal_set_free(set->core);
    set->core = NULL;
    set->object.class = NULL;
}

noreturn static void raise_add(lua_State *L, int error, int arg)
{
    if (error == EINVAL)
        error_raise_arg(L, EINVAL, arg, "signal", "signal that can be waited for");
    error_raise(L, error);
}

static int add(lua_State *L, struct signal_set *set, int arg)
{
    int number = signal_check(L, arg, 1);
    int error = thrum_signal_set_add(set->core, number);
    if (!error)
        sigaddset(&set->numbers, number);
    return error;
}

/* All or nothing: a set that could not be made catches no signal. */
static int set_new(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    int n_signals = lua_gettop(L);
    for (int arg = 1; arg <= n_signals; arg++)
        signal_check(L, arg, 1);
    struct signal_set *set = class_new_object(L, &signal_set_class, sizeof(*set));
    sigemptyset(&set->numbers);
    if (!runtime->context)
        error_raise_detail(L, ECANCELED, "thrum has been closed in this state");
    raise_if(L, thrum_signal_set_new(runtime->context, &set->core));
    for (int arg = 1; arg <= n_signals; arg++) {
        int error = add(L, set, arg);
        if (error) {
            free_core(set);
            raise_add(L, error, arg);
        }
    }
    return 1;
}

static int set_add(lua_State *L)
{
    int error = add(L, self(L), 2);
    if (error)
        raise_add(L, error, 2);
    return 0;
}

static int set_remove(lua_State *L)
{
    struct signal_set *set = self(L);
    int number = signal_check(L, 2, 1);
    raise_if(L, thrum_signal_set_remove(set->core, number));
    sigdelset(&set->numbers, number);
    return 0;
}

static int set_clear(lua_State *L)
{
    struct signal_set *set = self(L);
    raise_if(L, thrum_signal_set_clear(set->core));
    sigemptyset(&set->numbers);
    return 0;
}

static int set_cancel(lua_State *L)
{
    raise_if(L, thrum_signal_set_cancel(self(L)->core));
    return 0;
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    char text[SIGNAL_NAME_SIZE];
    raise_if(L, error);
    int number = fiber->operation.value;
    lua_pushinteger(L, number);
    lua_pushstring(L, signal_name(number, text));
    return 2;
}

static int set_wait(lua_State *L)
{
    struct signal_set *set = self(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    raise_if(L, thrum_signal_set_wait(set->core, &fiber->operation));
    return call_suspend(L, fiber, &wait_operation, NO_DEADLINE, finish_wait);
}

static int set_tostring(lua_State *L)
{
    const struct signal_set *set = self(L);
    char text[SIGNAL_NAME_SIZE];
    int n_names = 0;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    luaL_addstring(&buffer, class_self(L)->class->name);
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&set->numbers, number) != 1)
            continue;
        luaL_addstring(&buffer, n_names++ ? ", " : " (");
        luaL_addstring(&buffer, signal_name(number, text));
    }
    luaL_addstring(&buffer, n_names ? ")" : " (empty)");
    luaL_pushresult(&buffer);
    return 1;
}

static int set_gc(lua_State *L)
{
    free_core(lua_touserdata(L, 1));
    return 0;
}

/* ---- opening ---- */

static const struct function_row methods[] = {{"add", set_add},     {"remove", set_remove},
                                              {"clear", set_clear}, {"cancel", set_cancel},
                                              {"wait", set_wait},   {0}};
static const struct function_row metamethods[] = {
    {"__gc", set_gc}, {"__tostring", set_tostring}, {0}};
static const struct function_row functions[] = {{"new", set_new}, {0}};

int signal_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &signal_set_class);
    class_open(L, state, &(struct class_rows){.methods = methods, .metamethods = metamethods});
    lua_newtable(L);
    signal_set_constants(L);
    lua_newtable(L);
    class_set_functions(L, state, functions);
    lua_setfield(L, -2, "set");
    class_make_strict(L, class_get(L, runtime, &signal_class), NULL);
    return 1;
}
