/* SPDX-License-Identifier: BSL-1.0 */
/* Classes: the modules and classes that Lua sees, built from rows of functions and properties.
 *
 * Every C function that Lua can call is a closure with two upvalues: its class, and its row (or,
 * for __index and __newindex, the class's table of fields). That is how a function finds its
 * runtime and what its self must be, and how an error names the function without cost until there
 * is one. */
#ifndef BIND_VALUE_CLASS_H
#define BIND_VALUE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>

#include <lauxlib.h>
#include <lua.h>

struct runtime;

/* A module or class: its address is its identity, and so are those of its keys in the registry. */
struct class
{
    const char *name; /* the man page's */
    char metatable_key;
    char state_key;
};
#define CLASS_DECLARATION(identifier, name) extern const struct class identifier;
#define CLASS_DEFINITION(identifier, name) const struct class identifier = {name, 0, 0};

/* The same in a Lua state, made once by class_get. */
struct class_state {
    struct runtime *runtime;
    const struct class *class;
    const void *traits;  /* what its room keeps of the class */
    bool waits_in_place; /* its functions wait where they cannot suspend, and everybody else with
                            them */
};

struct function_row {
    const char *name;
    lua_CFunction function;
};

/* A getter finds self at 1 and the field's name at 2, a setter the value at 3. No setter: it can
 * only be read. */
struct property_row {
    const char *name;
    lua_CFunction get;
    lua_CFunction set;
};

static inline struct class_state *class_self(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static inline const struct function_row *class_row(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(2));
}

static inline struct runtime *class_runtime(lua_State *L)
{
    return class_self(L)->runtime;
}

/* What every userdata of ours begins with: the address of its class. The self check reads it
 * instead of comparing metatables: two calls of Lua's API in place of five, on a path that makes
 * five checks per datagram echoed. No other module's userdata begins with an address inside our
 * library, and an object stays what it is even when the debug library gives its metatable to
 * something else. */
struct object {
    const struct class *class;
};

/* The userdata at `index` if it is of that class, else NULL. */
static inline void *class_test(lua_State *L, int index, const struct class *class)
{
    struct object *object = lua_touserdata(L, index);
    if (object && lua_rawlen(L, index) >= sizeof(*object) && object->class == class)
        return object;
    return NULL;
}

/* What the class is in this state, made at the first call. */
struct class_state *class_get(lua_State *L, struct runtime *runtime, const struct class *class);

/* Whether a userdata, at `index`, is an object of any class of this library. */
bool class_is_object(lua_State *L, int index);

/* Push a new userdata of that class, zero but for its header. */
void *class_new_object(lua_State *L, const struct class *class, size_t size);

/* The userdata of that class at `arg`, or a raised error that names the function and argument. */
void *class_check(lua_State *L, int arg, const struct class *class, const char *name);

/* Self, for the methods of a class. */
noreturn void class_raise_self(lua_State *L);
static inline void *class_check_self(lua_State *L, const struct class *class)
{
    void *object = class_test(L, 1, class);
    if (!object)
        class_raise_self(L);
    return object;
}

/* Make the metatable of a class and keep it in the registry: methods and properties behind one
 * __index, and the metamethods given (names with their underscores). A class whose objects have
 * elements gives the functions that see number keys. Any of these may be NULL. Rows must outlive
 * the state. */
struct class_rows {
    const struct function_row *methods;
    const struct property_row *properties;
    const struct function_row *metamethods;
    lua_CFunction get_item;
    lua_CFunction set_item;
};
void class_open(lua_State *L, struct class_state *state, const struct class_rows *rows);

/* The same in steps, for a class whose rows stand in several places: push an empty table of fields,
 * add to it, then make the metatable, which pops it. */
void class_add_method(lua_State *L, struct class_state *state, const struct function_row *row);
void class_add_property(lua_State *L, const struct property_row *row);
void class_finish(lua_State *L, struct class_state *state, const struct class_rows *rows);

/* Push the metatable of a class. */
void class_push_metatable(lua_State *L, const struct class *class);

/* Add functions to the table on the stack's top. Rows end with a NULL name. */
void class_set_functions(lua_State *L, struct class_state *state, const struct function_row *rows);

/* Give the table on the stack's top an __index that answers properties and raises for the rest. */
void class_make_strict(lua_State *L, struct class_state *state,
                       const struct property_row *properties);

/* Push which line of a script has called the running function, by way of other functions of ours
 * maybe, in C or in Lua: "script.lua:12", or nil. */
void class_push_caller(lua_State *L);

/* Whether the frame, filled by "S", runs Lua code of thrum's own. */
bool class_is_own_lua(const lua_Debug *frame);

/* Write the running function's full name, "ip.udp.socket.bind", never more than `size` bytes. */
void class_function_name(lua_State *L, char *name, size_t size);

#endif
