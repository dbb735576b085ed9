/* SPDX-License-Identifier: BSL-1.0 */
/* Error objects: a table with code, category and what helps, and the categories themselves. */
#include "bind/value/error.h"
#include "bind/value/address.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/open.h"
#include "bind/value/value_state.h"

enum { DETAIL_SIZE = 256 };

/* ---- categories ---- */

struct category {
    struct object object;
    enum thrum_category value;
};

static void push_category(lua_State *L, enum thrum_category category)
{
    class_push_metatable(L, &category_class);
    lua_rawgeti(L, -1, category + 1);
    lua_remove(L, -2);
}

static enum thrum_category check_category(lua_State *L)
{
    const struct category *category = class_check_self(L, &category_class);
    return category->value;
}

static int category_tostring(lua_State *L)
{
    lua_pushstring(L, thrum_category_name(check_category(L)));
    return 1;
}

static void push_message(lua_State *L, enum thrum_category category, lua_Integer code)
{
    char text[DETAIL_SIZE];
    bool is_known_size = code >= 0 && code < THRUM_ERROR_RANGE;
    int error = is_known_size ? thrum_error_from(category, (int)code) : -1;
    if (error < 0)
        lua_pushfstring(L, "Unknown error %I", (LUAI_UACINT)code);
    else
        lua_pushstring(L, thrum_error_message(error, text, sizeof(text)));
}

static int category_message(lua_State *L)
{
    enum thrum_category category = check_category(L);
    int is_integer;
    lua_Integer code = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer)
        error_raise_arg(L, EINVAL, 2, "code", "integer");
    push_message(L, category, code);
    return 1;
}

static const struct function_row category_methods[] = {{"message", category_message}, {0}};
static const struct function_row category_metamethods[] = {{"__tostring", category_tostring}, {0}};

/* The category objects live in their own metatable, under their number plus one. */
static void open_categories(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &category_class);
    class_open(
        L, state,
        &(struct class_rows){.methods = category_methods, .metamethods = category_metamethods});
    class_push_metatable(L, state->class);
    for (int i = 0; i < THRUM_N_CATEGORIES; i++) {
        struct category *category = class_new_object(L, &category_class, sizeof(*category));
        category->value = (enum thrum_category)i;
        lua_rawseti(L, -2, i + 1);
    }
    lua_pop(L, 1);
}

/* ---- error objects ---- */

bool error_test(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    class_push_metatable(L, &error_class);
    bool is_ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_ours;
}

/* Code and category of the error object at `index`; false if a user has spoiled its fields. */
static bool get_error(lua_State *L, int index, lua_Integer *code, enum thrum_category *category)
{
    if (!error_test(L, index))
        return false;
    index = lua_absindex(L, index);
    lua_pushstring(L, "code");
    lua_rawget(L, index);
    lua_pushstring(L, "category");
    lua_rawget(L, index);
    int is_integer;
    *code = lua_tointegerx(L, -2, &is_integer);
    const struct category *found = class_test(L, -1, &category_class);
    if (found)
        *category = found->value;
    lua_pop(L, 2);
    return is_integer && found;
}

static void push_error_table(lua_State *L, enum thrum_category category, lua_Integer code)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, code);
    lua_setfield(L, -2, "code");
    push_category(L, category);
    lua_setfield(L, -2, "category");
    class_push_metatable(L, &error_class);
    lua_setmetatable(L, -2);
}

void error_push_from(lua_State *L, int error, const char *op)
{
    luaL_checkstack(L, 6, "error object");
    push_error_table(L, thrum_error_category(error), thrum_error_code(error));
    if (op) {
        lua_pushstring(L, op);
        lua_setfield(L, -2, "op");
    }
}

void error_push(lua_State *L, int error)
{
    char name[DETAIL_SIZE];
    class_function_name(L, name, sizeof(name));
    error_push_from(L, error, name);
    error_set_where(L);
    if (error == THRUM_ECANNOT_SUSPEND)
        error_set_detail(L, "%s", value_state_of(class_runtime(L))->why_cannot_suspend(L));
}

void error_set_where(lua_State *L)
{
    class_push_caller(L);
    lua_setfield(L, -2, "where");
}

void error_set_detail(lua_State *L, const char *format, ...)
{
    char text[DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "detail");
}

void error_raise(lua_State *L, int error)
{
    error_push(L, error);
    lua_error(L);
    __builtin_unreachable();
}

void error_raise_detail(lua_State *L, int error, const char *format, ...)
{
    char text[DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_push(L, error);
    error_set_detail(L, "%s", text);
    lua_error(L);
    __builtin_unreachable();
}

/* What came, in words: a number or a short string by its value, the rest by its type. */
static void describe_value(lua_State *L, int index, char *text, size_t size)
{
    switch (lua_type(L, index)) {
    case LUA_TNONE:
        snprintf(text, size, "nothing");
        return;
    case LUA_TNUMBER:
        lua_pushvalue(L, index);
        snprintf(text, size, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return;
    case LUA_TBOOLEAN:
        snprintf(text, size, "%s", lua_toboolean(L, index) ? "true" : "false");
        return;
    case LUA_TSTRING:
        snprintf(text, size, "\"%.40s\"", lua_tostring(L, index));
        return;
    default:
        break;
    }
    const struct thrum_address *address = address_test(L, index);
    if (address) {
        thrum_address_format(address, text);
    } else if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) {
        snprintf(text, size, "%.60s", lua_tostring(L, -1));
        lua_pop(L, 1);
    } else {
        snprintf(text, size, "%s", luaL_typename(L, index));
    }
}

/* Raise the error object on the top, about an argument that came so. */
noreturn static void raise_about_arg(lua_State *L, int arg, const char *name, const char *expected,
                                     const char *came)
{
    lua_pushinteger(L, arg);
    lua_setfield(L, -2, "arg");
    if (name)
        error_set_detail(L, "argument %d (%s): %s expected, got %s", arg, name, expected, came);
    else
        error_set_detail(L, "argument %d: %s expected, got %s", arg, expected, came);
    lua_error(L);
    __builtin_unreachable();
}

void error_raise_arg(lua_State *L, int error, int arg, const char *name, const char *expected)
{
    char came[DETAIL_SIZE];
    describe_value(L, arg, came, sizeof(came));
    error_push(L, error);
    raise_about_arg(L, arg, name, expected, came);
}

void error_raise_part(lua_State *L, int arg, int index, const char *part, const char *expected)
{
    char came[DETAIL_SIZE];
    describe_value(L, index, came, sizeof(came));
    error_push(L, EINVAL);
    raise_about_arg(L, arg, part, expected, came);
}

void error_raise_arg_of(lua_State *L, const char *op, int index, int arg, const char *name,
                        const char *expected)
{
    char came[DETAIL_SIZE];
    describe_value(L, index, came, sizeof(came));
    error_push_from(L, EINVAL, op);
    error_set_where(L);
    raise_about_arg(L, arg, name, expected, came);
}

void error_raise_arg_detail(lua_State *L, int error, int arg, const char *name, const char *format,
                            ...)
{
    char text[DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_push(L, error);
    lua_pushinteger(L, arg);
    lua_setfield(L, -2, "arg");
    error_set_detail(L, "argument %d (%s): %s", arg, name, text);
    lua_error(L);
    __builtin_unreachable();
}

const char *error_name(lua_State *L, int index)
{
    lua_Integer code;
    enum thrum_category category;
    if (!get_error(L, index, &code, &category) || code <= 0 || code >= THRUM_ERROR_RANGE)
        return NULL;
    return thrum_error_name(thrum_error_from(category, (int)code));
}

int error_by_name(const char *name)
{
    static const int own[] = {
#define OWN_ERROR(constant, base, code, name, text) constant,
        THRUM_OWN_ERRORS(OWN_ERROR)
#undef OWN_ERROR
    };
    for (const struct thrum_posix_error *row = thrum_posix_errors(); row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->code;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(thrum_error_name(own[i]), name) == 0)
            return own[i];
    return 0;
}

bool error_is(lua_State *L, int index, int error)
{
    lua_Integer code;
    enum thrum_category category;
    return get_error(L, index, &code, &category) && category == thrum_error_category(error) &&
           code == thrum_error_code(error);
}

int error_is_interruption(lua_State *L, int index)
{
    return error_is(L, index, THRUM_EINTERRUPTED);
}

/* ---- metamethods and methods ---- */

/* The raw field of self as a string on the stack, or nothing. */
static const char *push_string_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, 1);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* The endpoint whose path is the raw field of self; false if there is none. */
static bool get_path(lua_State *L, struct thrum_endpoint *endpoint)
{
    size_t length;
    bool is_path = push_string_field(L, "path") != NULL;
    const char *path = is_path ? lua_tolstring(L, -1, &length) : NULL;
    is_path = is_path && thrum_endpoint_from_path(path, length, endpoint) == 0;
    lua_pop(L, 1);
    return is_path;
}

/* " 192.0.2.1:53" for an error with address and port, where the address may be a text or a name,
 * and " /run/x.sock" for one with a path. */
static void push_endpoint_text(lua_State *L)
{
    struct thrum_endpoint endpoint;
    char text[THRUM_ENDPOINT_TEXT_SIZE] = "";
    lua_pushstring(L, "address");
    lua_rawget(L, 1);
    lua_pushstring(L, "port");
    lua_rawget(L, 1);
    const struct thrum_address *address = address_test(L, -2);
    lua_Integer port = lua_tointeger(L, -1);
    bool is_endpoint = lua_isinteger(L, -1) && port >= 0 && port <= UINT16_MAX;
    if (is_endpoint && address) {
        thrum_address_format_port(address, (uint16_t)port, text);
        lua_pushfstring(L, " %s", text);
    } else if (is_endpoint && lua_type(L, -2) == LUA_TSTRING) {
        const char *host = lua_tostring(L, -2);
        bool needs_brackets = strchr(host, ':') && host[0] != '[';
        lua_pushfstring(L, needs_brackets ? " [%s]:%I" : " %s:%I", host, (LUAI_UACINT)port);
    } else if (get_path(L, &endpoint)) {
        thrum_endpoint_format(&endpoint, text);
        lua_pushfstring(L, " %s", text);
    } else {
        lua_pushliteral(L, "");
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static int error_tostring(lua_State *L)
{
    lua_Integer code;
    enum thrum_category category;
    if (!get_error(L, 1, &code, &category))
        class_raise_self(L);
    lua_settop(L, 1);
    push_message(L, category, code);
    const char *op = push_string_field(L, "op");
    const char *detail = push_string_field(L, "detail");
    const char *where = push_string_field(L, "where");
    push_endpoint_text(L);
    lua_pushfstring(L, "%s%s%s%s%s%s", lua_tostring(L, 2), op ? ": " : "", op ? op : "",
                    lua_tostring(L, -1), detail ? ": " : "", detail ? detail : "");
    if (where)
        lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), where);
    return 1;
}

/* "cannot serve: " .. err */
static int error_concat(lua_State *L)
{
    for (int arg = 1; arg <= 2; arg++) {
        int type = lua_type(L, arg);
        if (type != LUA_TSTRING && type != LUA_TNUMBER && !error_test(L, arg))
            error_raise_arg(L, EINVAL, arg, NULL, "string");
    }
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

/* A system error and the generic one of the same POSIX meaning are equal. */
static int error_eq(lua_State *L)
{
    lua_Integer code_a, code_b;
    enum thrum_category category_a, category_b;
    if (!get_error(L, 1, &code_a, &category_a) || !get_error(L, 2, &code_b, &category_b)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (category_a == THRUM_CATEGORY_SYSTEM)
        category_a = THRUM_CATEGORY_GENERIC;
    if (category_b == THRUM_CATEGORY_SYSTEM)
        category_b = THRUM_CATEGORY_GENERIC;
    lua_pushboolean(L, code_a == code_b && category_a == category_b);
    return 1;
}

static int error_togeneric(lua_State *L)
{
    lua_Integer code;
    enum thrum_category category;
    if (!get_error(L, 1, &code, &category))
        class_raise_self(L);
    bool has_range = code > 0 && code < THRUM_ERROR_RANGE;
    int posix = has_range ? thrum_error_togeneric(thrum_error_from(category, (int)code)) : 0;
    if (posix)
        push_error_table(L, THRUM_CATEGORY_GENERIC, posix);
    else
        lua_settop(L, 1);
    return 1;
}

static const struct function_row error_methods[] = {{"togeneric", error_togeneric}, {0}};
static const struct function_row error_metamethods[] = {
    {"__tostring", error_tostring}, {"__eq", error_eq}, {"__concat", error_concat}, {0}};

void error_open(lua_State *L, struct runtime *runtime)
{
    open_categories(L, runtime);
    struct class_state *state = class_get(L, runtime, &error_class);
    class_open(L, state, &(struct class_rows){.metamethods = error_metamethods});
    /* An error is a plain table: an unknown field is nil, and users may add their own. */
    class_push_metatable(L, state->class);
    error_string_add_length(L, state);
    lua_newtable(L);
    class_set_functions(L, state, error_methods);
    error_string_add_methods(L, state);
    lua_setfield(L, -2, "__index");
    lua_pushnil(L);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
}

/* ---- the generic_error module ---- */

static int generic_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNUMBER)
        error_raise_detail(L, EINVAL, "there is no such name");
    push_error_table(L, THRUM_CATEGORY_GENERIC, lua_tointeger(L, -1));
    return 1;
}

static int generic_next(lua_State *L)
{
    lua_settop(L, 2);
    if (!lua_next(L, lua_upvalueindex(2)))
        return 0;
    push_error_table(L, THRUM_CATEGORY_GENERIC, lua_tointeger(L, -1));
    lua_replace(L, -2);
    return 2;
}

/* for name, error in pairs(generic_error): every name this system has. */
static int generic_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushcclosure(L, generic_next, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static void set_generic_closure(lua_State *L, struct class_state *state, const char *name,
                                lua_CFunction function)
{
    lua_pushlightuserdata(L, state);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

int generic_error_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &generic_error_class);
    lua_newtable(L);
    lua_newtable(L);
    for (const struct thrum_posix_error *row = thrum_posix_errors(); row->name; row++) {
        lua_pushinteger(L, row->code);
        lua_setfield(L, -2, row->name);
    }
    lua_newtable(L);
    set_generic_closure(L, state, "__index", generic_index);
    set_generic_closure(L, state, "__pairs", generic_pairs);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    return 1;
}
