/* SPDX-License-Identifier: BSL-1.0 */
/* Classes: see class.h. */
#include "bind/value/class.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "bind/value/error.h"

/* What metatables of ours have under its address. */
static const char own_mark;

bool class_is_object(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    bool is_own = lua_rawgetp(L, -1, &own_mark) != LUA_TNIL;
    lua_pop(L, 2);
    return is_own;
}

struct class_state *class_get(lua_State *L, struct runtime *runtime, const struct class *class)
{
    luaL_checkstack(L, 2, class->name);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class->state_key) == LUA_TNIL) {
        lua_pop(L, 1);
        struct class_state *made = lua_newuserdata(L, sizeof(*made));
        *made = (struct class_state){.runtime = runtime, .class = class};
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &class->state_key);
    }
    struct class_state *state = lua_touserdata(L, -1); /* the registry keeps it */
    lua_pop(L, 1);
    return state;
}

void *class_check(lua_State *L, int arg, const struct class *class, const char *name)
{
    void *object = class_test(L, arg, class);
    if (!object)
        error_raise_arg(L, EINVAL, arg, name, class->name);
    return object;
}

void class_raise_self(lua_State *L)
{
    error_raise_arg(L, EINVAL, 1, "self", class_self(L)->class->name);
}

/* Every error object names its function and its caller, every fiber its own: snprintf takes a
 * thousand instructions for the one, lua_pushfstring two thousand for the other. */
static size_t add_text(char *text, size_t size, size_t length, const char *more)
{
    while (*more != '\0' && length + 1 < size)
        text[length++] = *more++;
    text[length] = '\0';
    return length;
}

static size_t add_number(char *text, size_t size, size_t length, unsigned number)
{
    char digits[3 * sizeof(number) + 1];
    char *first = digits + sizeof(digits) - 1;
    *first = '\0';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return add_text(text, size, length, first);
}

void class_function_name(lua_State *L, char *name, size_t size)
{
    const struct class_state *state = class_self(L);
    const char *field = NULL;
    if (lua_islightuserdata(L, lua_upvalueindex(2)))
        field = ((const struct function_row *)lua_touserdata(L, lua_upvalueindex(2)))->name;
    else if (lua_type(L, 2) == LUA_TSTRING)
        field = lua_tostring(L, 2);
    size_t length = add_text(name, size, 0, state->class->name);
    if (field && field[0] != '\0')
        add_text(name, size, add_text(name, size, length, "."), field);
}

static void push_place(lua_State *L, const char *source, unsigned line)
{
    char text[LUA_IDSIZE + 16];
    size_t length = add_text(text, sizeof(text), 0, source);
    length = add_text(text, sizeof(text), length, ":");
    lua_pushlstring(L, text, add_number(text, sizeof(text), length, line));
}

/* Chunks of our own have names that no file has: a script may well be called thrum.lua. */
bool class_is_own_lua(const lua_Debug *frame)
{
    static const char start[] = "=thrum.";
    return strncmp(frame->source, start, sizeof(start) - 1) == 0;
}

void class_push_caller(lua_State *L)
{
    lua_Debug frame;
    for (int level = 1; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0 && !class_is_own_lua(&frame)) {
            push_place(L, frame.short_src, (unsigned)frame.currentline);
            return;
        }
    }
    lua_pushnil(L);
}

void *class_new_object(lua_State *L, const struct class *class, size_t size)
{
    struct object *object = lua_newuserdata(L, size);
    memset(object, 0, size);
    object->class = class;
    class_push_metatable(L, class);
    lua_setmetatable(L, -2);
    return object;
}

/* ---- fields ----
 *
 * Upvalue 2 of __index maps a name to a method, or to a property's row. A method look-up is on the
 * path of every call, so it is one look-up in that table and nothing else: the key itself is
 * consumed, and a name that is not there is raised by the table's own __index, which still has it.
 */

noreturn static void raise_field(lua_State *L, int key, const char *problem)
{
    if (lua_type(L, key) == LUA_TSTRING) /* the error's op names it */
        error_raise_detail(L, EINVAL, "%s", problem);
    error_raise_detail(L, EINVAL, "%s: the key is a %s", problem, luaL_typename(L, key));
}

static int raise_no_field(lua_State *L)
{
    raise_field(L, 2, "there is no such field");
}

static int get_property(lua_State *L)
{
    const struct property_row *property = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_pushstring(L, property->name);
    return property->get(L);
}

static int index_field(lua_State *L)
{
    if (lua_gettable(L, lua_upvalueindex(2)) == LUA_TFUNCTION)
        return 1;
    return get_property(L);
}

/* The same where objects have elements: upvalue 3 gets them. */
static int index_item(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TNUMBER)
        return lua_tocfunction(L, lua_upvalueindex(3))(L);
    return index_field(L);
}

static int newindex_field(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_gettable(L, lua_upvalueindex(2));
    const struct property_row *property = lua_touserdata(L, -1); /* NULL for a method */
    if (!property || !property->set)
        raise_field(L, 2, "this field cannot be assigned");
    return property->set(L);
}

static int newindex_item(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TNUMBER)
        return lua_tocfunction(L, lua_upvalueindex(3))(L);
    return newindex_field(L);
}

/* ---- building ---- */

void class_add_method(lua_State *L, struct class_state *state, const struct function_row *row)
{
    lua_pushlightuserdata(L, state);
    lua_pushlightuserdata(L, (void *)row);
    lua_pushcclosure(L, row->function, 2);
    lua_setfield(L, -2, row->name);
}

void class_add_property(lua_State *L, const struct property_row *row)
{
    lua_pushlightuserdata(L, (void *)row);
    lua_setfield(L, -2, row->name);
}

void class_set_functions(lua_State *L, struct class_state *state, const struct function_row *rows)
{
    for (; rows && rows->name; rows++)
        class_add_method(L, state, rows);
}

static void set_properties(lua_State *L, const struct property_row *rows)
{
    for (; rows && rows->name; rows++)
        class_add_property(L, rows);
}

/* Push a closure of the state, the fields at `fields`, and the element function if there is one. */
static void push_accessor(lua_State *L, struct class_state *state, int fields,
                          lua_CFunction accessor, lua_CFunction item)
{
    lua_pushlightuserdata(L, state);
    lua_pushvalue(L, fields);
    if (item)
        lua_pushcfunction(L, item);
    lua_pushcclosure(L, accessor, item ? 3 : 2);
}

/* Unknown names raise: the table of fields on the top gets an __index that says so. */
static void make_fields_strict(lua_State *L, struct class_state *state)
{
    lua_createtable(L, 0, 1);
    push_accessor(L, state, lua_gettop(L) - 1, raise_no_field, NULL);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

void class_finish(lua_State *L, struct class_state *state, const struct class_rows *rows)
{
    int fields = lua_gettop(L);
    make_fields_strict(L, state);
    lua_newtable(L);
    push_accessor(L, state, fields, rows->get_item ? index_item : index_field, rows->get_item);
    lua_setfield(L, -2, "__index");
    push_accessor(L, state, fields, rows->set_item ? newindex_item : newindex_field,
                  rows->set_item);
    lua_setfield(L, -2, "__newindex");
    class_set_functions(L, state, rows->metamethods);
    lua_pushstring(L, state->class->name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &own_mark);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state->class->metatable_key);
    lua_pop(L, 1);
}

void class_open(lua_State *L, struct class_state *state, const struct class_rows *rows)
{
    lua_newtable(L);
    class_set_functions(L, state, rows->methods);
    set_properties(L, rows->properties);
    class_finish(L, state, rows);
}

void class_push_metatable(lua_State *L, const struct class *class)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &class->metatable_key);
}

void class_make_strict(lua_State *L, struct class_state *state,
                       const struct property_row *properties)
{
    lua_newtable(L);
    set_properties(L, properties);
    make_fields_strict(L, state);
    lua_newtable(L);
    push_accessor(L, state, lua_gettop(L) - 1, index_field, NULL);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
}
