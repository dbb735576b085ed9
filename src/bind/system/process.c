/* SPDX-License-Identifier: BSL-1.0 */
/* system.spawn, and the processes it makes.
 *
 * Any allocation may run a finalizer, which may change the caller's tables or close descriptors. So
 * what a spawn needs is first copied to places of its own: strings and objects into tables, arrays
 * into userdata; then, with nothing to allocate any more, the pointers and numbers are taken. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/process.h>

#include "base/descriptor.h"
#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/system/classes.h"
#include "bind/system/open.h"
#include "bind/system/signal_name.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/file_descriptor.h"

struct process {
    struct object object;
    thrum_process *core; /* NULL before it is started */
};

static struct process *self(lua_State *L)
{
    return class_check_self(L, &process_class);
}

/* ---- the options ---- */

/* The stack of a spawn. The fields of the table come first, in the order of their names below. */
enum {
    OPTIONS = 1,
    PROGRAM,
    ARGUMENTS,
    ENVIRONMENT,
    DIRECTORY,
    STDIN,
    STDOUT,
    STDERR,
    EXTRA_FDS,
    ARGUMENT_ARRAY,
    ENVIRONMENT_ARRAY,
    EXTRA_ARRAY,
    PROCESS
};

static const char *const fields[] = {"program", "arguments", "environment", "working_directory",
                                     "stdin",   "stdout",    "stderr",      "extra_fds"};
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

enum { PART_SIZE = 64, FIRST_EXTRA_FD = 3 };

static bool is_field(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    for (int i = 0; i < N_FIELDS; i++)
        if (strcmp(lua_tostring(L, index), fields[i]) == 0)
            return strlen(fields[i]) == lua_rawlen(L, index);
    return false;
}

/* A misspelt field must not count as one that is not there. */
static void check_fields(lua_State *L)
{
    if (!lua_istable(L, OPTIONS))
        error_raise_arg(L, EINVAL, OPTIONS, "options", "table");
    lua_pushnil(L);
    while (lua_next(L, OPTIONS)) {
        lua_pop(L, 1);
        if (!is_field(L, -1))
            error_raise_part(L, OPTIONS, lua_gettop(L), "a key of the options",
                             "program, arguments, environment, working_directory, stdin, stdout, "
                             "stderr or extra_fds");
    }
    for (int i = 0; i < N_FIELDS; i++) {
        lua_pushstring(L, fields[i]);
        lua_rawget(L, OPTIONS);
    }
}

static void check_text(lua_State *L, int index, const char *part)
{
    if (lua_type(L, index) != LUA_TSTRING)
        error_raise_part(L, OPTIONS, index, part, "string");
    if (strlen(lua_tostring(L, index)) != lua_rawlen(L, index))
        error_raise_part(L, OPTIONS, index, part, "string without zero bytes");
}

static void check_table(lua_State *L, int index, const char *part, const char *expected)
{
    if (!lua_istable(L, index))
        error_raise_part(L, OPTIONS, index, part, expected);
}

/* How many elements the list has; every key must be an index. */
static lua_Integer count_elements(lua_State *L, int index, const char *part)
{
    lua_Integer count = 0;
    char key[PART_SIZE];
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1) {
            snprintf(key, sizeof(key), "a key of %s", part);
            error_raise_part(L, OPTIONS, lua_gettop(L), key, "index of a list");
        }
        count++;
    }
    return count;
}

static void copy_argument(lua_State *L, lua_Integer i)
{
    char part[PART_SIZE];
    snprintf(part, sizeof(part), "arguments[%lld]", (long long)i);
    lua_rawgeti(L, ARGUMENTS, i);
    check_text(L, lua_gettop(L), part);
    lua_rawseti(L, -2, i);
}

/* A list with a hole has fewer elements than its last index says: one is missing on the way. */
static void copy_arguments(lua_State *L)
{
    lua_Integer count = 1;
    if (lua_isnil(L, ARGUMENTS)) {
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, PROGRAM);
        lua_rawseti(L, -2, 1);
    } else {
        check_table(L, ARGUMENTS, "arguments", "list of strings");
        count = count_elements(L, ARGUMENTS, "arguments");
        lua_createtable(L, count < INT_MAX ? (int)count : 0, 0);
        for (lua_Integer i = 1; i <= (count ? count : 1); i++)
            copy_argument(L, i);
    }
    lua_replace(L, ARGUMENTS);
}

static bool is_name(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    const char *name = lua_tostring(L, index);
    return name[0] != '\0' && !strchr(name, '=') && strlen(name) == lua_rawlen(L, index);
}

/* "name=value" of the key and the value on the top; leaves the key and that. */
static void make_variable(lua_State *L)
{
    char part[PART_SIZE];
    int value = lua_gettop(L), name = value - 1;
    if (!is_name(L, name))
        error_raise_part(L, OPTIONS, name, "a key of environment",
                         "string that is not empty and has no \"=\" and no zero byte");
    snprintf(part, sizeof(part), "environment.%.40s", lua_tostring(L, name));
    check_text(L, value, part);
    lua_pushfstring(L, "%s=%s", lua_tostring(L, name), lua_tostring(L, value));
    lua_replace(L, value);
}

static void copy_environment(lua_State *L)
{
    if (lua_isnil(L, ENVIRONMENT))
        return;
    system_replace_environment(L, ENVIRONMENT);
    check_table(L, ENVIRONMENT, "environment", "table of strings");
    lua_newtable(L);
    int copy = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, ENVIRONMENT)) {
        make_variable(L);
        lua_rawseti(L, copy, (lua_Integer)lua_rawlen(L, copy) + 1);
    }
    lua_replace(L, ENVIRONMENT);
}

static bool is_share(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), "share") == 0;
}

static void check_stdio(lua_State *L, int index)
{
    bool is_good = lua_isnil(L, index) || is_share(L, index);
    if (!is_good && !class_test(L, index, &file_descriptor_class))
        error_raise_part(L, OPTIONS, index, fields[index - PROGRAM],
                         "file_descriptor, \"share\" or nil");
}

/* Of the key and the value on the top. */
static void check_extra(lua_State *L)
{
    char part[PART_SIZE];
    int value = lua_gettop(L), key = value - 1;
    if (!lua_isinteger(L, key) || lua_tointeger(L, key) < FIRST_EXTRA_FD ||
        lua_tointeger(L, key) > INT_MAX)
        error_raise_part(L, OPTIONS, key, "a key of extra_fds", "integer from 3 to 2147483647");
    snprintf(part, sizeof(part), "extra_fds[%d]", (int)lua_tointeger(L, key));
    if (!class_test(L, value, &file_descriptor_class))
        error_raise_part(L, OPTIONS, value, part, "file_descriptor");
}

/* The copy is a list of number, object, number, object ... */
static void copy_extra_fds(lua_State *L)
{
    lua_newtable(L);
    int copy = lua_gettop(L);
    lua_Integer count = 0;
    if (!lua_isnil(L, EXTRA_FDS)) {
        check_table(L, EXTRA_FDS, "extra_fds", "table of file_descriptors");
        lua_pushnil(L);
        while (lua_next(L, EXTRA_FDS)) {
            check_extra(L);
            lua_rawseti(L, copy, count + 2);
            lua_pushvalue(L, -1);
            lua_rawseti(L, copy, count + 1);
            count += 2;
        }
    }
    lua_replace(L, EXTRA_FDS);
}

static void copy_options(lua_State *L)
{
    check_text(L, PROGRAM, "program");
    copy_arguments(L);
    copy_environment(L);
    if (!lua_isnil(L, DIRECTORY))
        check_text(L, DIRECTORY, "working_directory");
    for (int index = STDIN; index <= STDERR; index++)
        check_stdio(L, index);
    copy_extra_fds(L);
}

/* ---- without an allocation from here on ---- */

/* Of a list of strings, which keeps them alive. */
static char *const *fill_strings(lua_State *L, int list, int array)
{
    const char **strings = lua_touserdata(L, array);
    size_t count = lua_rawlen(L, list);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        strings[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    strings[count] = NULL;
    return (char *const *)strings;
}

static int descriptor_at(lua_State *L, int index, const char *part)
{
    const struct file_descriptor *object = lua_touserdata(L, index);
    if (object->fd == DESCRIPTOR_TAKEN)
        error_raise_detail(L, EBUSY, "%s: its descriptor has been taken over by a socket", part);
    if (object->fd < 0)
        error_raise_detail(L, EBADF, "%s: it is closed", part);
    return object->fd;
}

/* A standard descriptor that was closed when the program began may be something else by now: one of
 * the library's own, and then it is close-on-exec. */
static int shared_fd(lua_State *L, int number)
{
    int error = descriptor_check_inherited(number);
    if (error)
        error_raise_detail(L, EBADF, "%s: %s", fields[STDIN - PROGRAM + number],
                           error == EBADF ? "it is not open" : "it is not to be shared");
    return number;
}

static int stdio_fd(lua_State *L, int index)
{
    if (lua_isnil(L, index))
        return THRUM_PROCESS_NULL;
    if (lua_isstring(L, index))
        return shared_fd(L, index - STDIN);
    return descriptor_at(L, index, fields[index - PROGRAM]);
}

static size_t fill_extra_fds(lua_State *L)
{
    struct thrum_process_fd *rows = lua_touserdata(L, EXTRA_ARRAY);
    size_t count = lua_rawlen(L, EXTRA_FDS) / 2;
    char part[PART_SIZE];
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, EXTRA_FDS, 2 * (lua_Integer)i + 1);
        rows[i].number = (int)lua_tointeger(L, -1);
        snprintf(part, sizeof(part), "extra_fds[%d]", rows[i].number);
        lua_rawgeti(L, EXTRA_FDS, 2 * (lua_Integer)i + 2);
        rows[i].fd = descriptor_at(L, lua_gettop(L), part);
        lua_pop(L, 2);
    }
    return count;
}

static void fill_options(lua_State *L, struct thrum_process_options *options)
{
    *options = (struct thrum_process_options){.program = lua_tostring(L, PROGRAM)};
    options->arguments = fill_strings(L, ARGUMENTS, ARGUMENT_ARRAY);
    if (!lua_isnil(L, ENVIRONMENT))
        options->environment = fill_strings(L, ENVIRONMENT, ENVIRONMENT_ARRAY);
    options->working_directory = lua_tostring(L, DIRECTORY);
    for (int i = 0; i < 3; i++)
        options->stdio[i] = stdio_fd(L, STDIN + i);
    options->extra_fds = lua_touserdata(L, EXTRA_ARRAY);
    options->n_extra_fds = fill_extra_fds(L);
}

/* What the objects own has been open a moment ago. */
noreturn static void raise_descriptor(lua_State *L, int error, int number)
{
    bool is_extra = number >= FIRST_EXTRA_FD;
    const char *why = "";
    if (error == EBADF)
        why = is_extra ? ": the number is beyond the limit of descriptors" : ": it is not open";
    if (is_extra)
        error_raise_detail(L, error, "extra_fds[%d]%s", number, why);
    error_raise_detail(L, error, "%s%s", fields[STDIN - PROGRAM + number], why);
}

noreturn static void raise_failure(lua_State *L, int error,
                                   const struct thrum_process_failure *failure)
{
    if (failure->step == THRUM_PROCESS_DESCRIPTOR)
        raise_descriptor(L, error, failure->number);
    if (failure->step == THRUM_PROCESS_DIRECTORY)
        error_raise_detail(L, error, "working_directory \"%s\"", lua_tostring(L, DIRECTORY));
    if (failure->step == THRUM_PROCESS_PROGRAM)
        error_raise_detail(L, error, "program \"%s\"", lua_tostring(L, PROGRAM));
    error_raise(L, error);
}

/* ---- spawn ---- */

static size_t list_size(lua_State *L, int index)
{
    return lua_istable(L, index) ? lua_rawlen(L, index) : 0;
}

static void make_room(lua_State *L)
{
    lua_newuserdata(L, (list_size(L, ARGUMENTS) + 1) * sizeof(char *));
    lua_newuserdata(L, (list_size(L, ENVIRONMENT) + 1) * sizeof(char *));
    lua_newuserdata(L, (list_size(L, EXTRA_FDS) / 2 + 1) * sizeof(struct thrum_process_fd));
}

/* system.spawn{...} */
int process_spawn_function(lua_State *L)
{
    const struct runtime *runtime = class_runtime(L);
    struct thrum_process_options options;
    struct thrum_process_failure failure;
    luaL_checkstack(L, PROCESS + LUA_MINSTACK, "spawn");
    lua_settop(L, OPTIONS);
    check_fields(L);
    copy_options(L);
    make_room(L);
    struct process *process = class_new_object(L, &process_class, sizeof(*process));
    fill_options(L, &options);
    if (!runtime->context)
        error_raise_detail(L, ECANCELED, "thrum has been closed in this state");
    int error = thrum_process_spawn(runtime->context, &options, &process->core, &failure);
    if (error)
        raise_failure(L, error, &failure);
    return 1;
}

/* ---- processes ---- */

static void describe(lua_State *L, const struct fiber *fiber)
{
    const struct process *process = fiber->wait_object;
    if (process->core)
        lua_pushinteger(L, thrum_process_pid(process->core));
    else /* the state is closing */
        lua_pushliteral(L, "(closed)");
}

static const struct wait_ops wait_process = {WAIT_EXTERNAL, fiber_cancel_operation, describe, NULL};

static void set_integer(lua_State *L, const char *name, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    struct thrum_exit_status status;
    const struct process *process = lua_touserdata(L, 1);
    (void)fiber;
    if (!error) /* no core: the state is closing, and a finalizer drives the loop */
        error = process->core ? thrum_process_status(process->core, &status) : ECANCELED;
    if (error == ECHILD)
        error_raise_detail(L, error, "it has ended, and something else has reaped it");
    if (error)
        error_raise(L, error);
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, status.is_exited);
    lua_setfield(L, -2, "exited");
    if (status.is_exited)
        set_integer(L, "code", status.code);
    else
        set_integer(L, "signal", status.signal);
    return 1;
}

static int process_wait(lua_State *L)
{
    struct thrum_exit_status status;
    struct process *process = self(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (thrum_process_status(process->core, &status) == 0)
        return call_done(L, fiber, 0, finish_wait);
    int error = thrum_process_wait(process->core, &fiber->operation);
    if (error)
        error_raise(L, error);
    fiber->wait_object = process;
    return call_suspend(L, fiber, &wait_process, NO_DEADLINE, finish_wait);
}

static int process_kill(lua_State *L)
{
    struct process *process = self(L);
    int number = signal_check(L, 2, 1);
    int error = thrum_process_kill(process->core, number);
    if (error)
        error_raise(L, error);
    return 0;
}

static int get_pid(lua_State *L)
{
    lua_pushinteger(L, thrum_process_pid(self(L)->core));
    return 1;
}

static void push_state(lua_State *L, const struct process *process)
{
    struct thrum_exit_status status;
    char text[SIGNAL_NAME_SIZE];
    int error = thrum_process_status(process->core, &status);
    if (error)
        lua_pushstring(L, error == EAGAIN ? "running" : "ended");
    else if (status.is_exited)
        lua_pushfstring(L, "exited %d", status.code);
    else
        lua_pushstring(L, signal_name(status.signal, text));
}

static int process_tostring(lua_State *L)
{
    const struct process *process = self(L);
    push_state(L, process);
    lua_pushfstring(L, "%s (%d, %s)", class_self(L)->class->name, thrum_process_pid(process->core),
                    lua_tostring(L, -1));
    return 1;
}

/* The child runs on. A finalizer that still holds the object meets no process. */
static int process_gc(lua_State *L)
{
    struct process *process = lua_touserdata(L, 1);
    thrum_process_free(process->core);
    process->core = NULL;
    process->object.class = NULL;
    return 0;
}

/* ---- opening ---- */

static const struct function_row methods[] = {{"wait", process_wait}, {"kill", process_kill}, {0}};
static const struct property_row properties[] = {{"pid", get_pid, NULL}, {0}};
static const struct function_row metamethods[] = {
    {"__gc", process_gc}, {"__tostring", process_tostring}, {0}};

void process_open(lua_State *L, struct runtime *runtime)
{
    class_open(L, class_get(L, runtime, &process_class),
               &(struct class_rows){methods, properties, metamethods, NULL, NULL});
}
