/* SPDX-License-Identifier: BSL-1.0 */
/* Nouns: the modules and classes that Lua sees, built from rows of functions and properties.
 *
 * Every C function that Lua can call is a closure with two upvalues: its noun, and its row (or, for
 * __index and __newindex, the noun's table of fields). That is how a function finds its runtime and
 * what its self must be, and how an error names the function without cost until there is one. */
#ifndef BIND_VALUE_CLASS_H
#define BIND_VALUE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>

#include <lauxlib.h>
#include <lua.h>

struct runtime;
struct socket_class;

/* Identifier and the man page's name. */
#define NOUNS(ROW)                                                            \
    ROW(NOUN_THRUM, "thrum")                                                  \
    ROW(NOUN_ERROR, "error")                                                  \
    ROW(NOUN_CATEGORY, "error_category")                                      \
    ROW(NOUN_GENERIC_ERROR, "generic_error")                                  \
    ROW(NOUN_FIBER, "fiber")                                                  \
    ROW(NOUN_NAMED_FUNCTION, "fiber.named")                                   \
    ROW(NOUN_GROUP, "fiber.group")                                            \
    ROW(NOUN_THIS_FIBER, "this_fiber")                                        \
    ROW(NOUN_COROUTINE, "coroutine")                                          \
    ROW(NOUN_MUTEX, "mutex")                                                  \
    ROW(NOUN_CONDITION_VARIABLE, "condition_variable")                        \
    ROW(NOUN_SEMAPHORE, "semaphore")                                          \
    ROW(NOUN_CHANNEL, "channel")                                              \
    ROW(NOUN_TIME, "time")                                                    \
    ROW(NOUN_STEADY_CLOCK, "time.steady_clock")                               \
    ROW(NOUN_SYSTEM_CLOCK, "time.system_clock")                               \
    ROW(NOUN_STEADY_TIMER, "time.steady_timer")                               \
    ROW(NOUN_SYSTEM_TIMER, "time.system_timer")                               \
    ROW(NOUN_TIMER, "timer") /* the kind of both classes' objects */          \
    ROW(NOUN_LIMIT, "time.with_timeout")                                      \
    ROW(NOUN_SYSTEM, "system")                                                \
    ROW(NOUN_ENVIRONMENT, "system.environment")                               \
    ROW(NOUN_PROCESS, "system.process")                                       \
    ROW(NOUN_SIGNAL, "system.signal")                                         \
    ROW(NOUN_SIGNAL_SET, "system.signal.set")                                 \
    ROW(NOUN_STREAM, "stream")                                                \
    ROW(NOUN_READER, "stream.reader")                                         \
    ROW(NOUN_BYTE_SPAN, "byte_span")                                          \
    ROW(NOUN_FILE_DESCRIPTOR, "file_descriptor")                              \
    ROW(NOUN_DESCRIPTOR_LIST, "file_descriptor.list") /* never shown */       \
    ROW(NOUN_IP, "ip")                                                        \
    ROW(NOUN_ADDRESS, "ip.address")                                           \
    ROW(NOUN_NETWORK, "ip.network")                                           \
    ROW(NOUN_MESSAGE_FLAG, "ip.message_flag")                                 \
    ROW(NOUN_ADDRESS_INFO_FLAG, "ip.address_info_flag")                       \
    ROW(NOUN_QUERY, "lookup")                                                 \
    ROW(NOUN_UDP, "ip.udp")                                                   \
    ROW(NOUN_TCP, "ip.tcp")                                                   \
    ROW(NOUN_SOCKET, "socket") /* the kind of every socket class's objects */ \
    ROW(NOUN_UDP_SOCKET, "ip.udp.socket")                                     \
    ROW(NOUN_TCP_SOCKET, "ip.tcp.socket")                                     \
    ROW(NOUN_TCP_ACCEPTOR, "ip.tcp.acceptor")                                 \
    ROW(NOUN_DGRAM_SOCKET, "dgram.Socket") /* written in Lua */               \
    ROW(NOUN_UNIX_DATAGRAM_SOCKET, "unix.datagram.socket")                    \
    ROW(NOUN_UNIX_STREAM_SOCKET, "unix.stream.socket")                        \
    ROW(NOUN_UNIX_STREAM_ACCEPTOR, "unix.stream.acceptor")                    \
    ROW(NOUN_UNIX_SEQPACKET_SOCKET, "unix.seqpacket.socket")                  \
    ROW(NOUN_UNIX_SEQPACKET_ACCEPTOR, "unix.seqpacket.acceptor")              \
    ROW(NOUN_FACE, "socket") /* the kind of the objects of LuaSocket */       \
    ROW(NOUN_FACE_TCP, "socket.tcp")                                          \
    ROW(NOUN_FACE_UDP, "socket.udp")                                          \
    ROW(NOUN_FACE_STREAM, "socket.unix.stream")                               \
    ROW(NOUN_FACE_DGRAM, "socket.unix.dgram")                                 \
    ROW(NOUN_FACE_WATCH, "socket.select") /* never shown */

enum noun_id {
#define NOUN_CONSTANT(id, name) id,
    NOUNS(NOUN_CONSTANT)
#undef NOUN_CONSTANT
        N_NOUNS
};

struct noun {
    struct runtime *runtime;
    const char *name;
    const struct socket_class *socket_class;
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

static inline struct noun *noun_self(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static inline const struct function_row *noun_row(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(2));
}

static inline struct runtime *noun_runtime(lua_State *L)
{
    return noun_self(L)->runtime;
}

/* What every userdata of ours begins with: the address of its kind. The self check reads it instead
 * of comparing metatables: two calls of Lua's API in place of five, on a path that makes five
 * checks per datagram echoed. No other module's userdata begins with an address inside our library,
 * and an object stays what it is even when the debug library gives its metatable to something else.
 */
struct object {
    const char *kind;
};
extern const char noun_kinds[N_NOUNS];

/* The userdata at `index` if it is of that class, else NULL. */
static inline void *noun_test(lua_State *L, int index, enum noun_id id)
{
    struct object *object = lua_touserdata(L, index);
    if (object && lua_rawlen(L, index) >= sizeof(*object) && object->kind == &noun_kinds[id])
        return object;
    return NULL;
}

/* Push a new userdata of that class, zero but for its header. */
void *noun_new_object(lua_State *L, const struct runtime *runtime, enum noun_id id, size_t size);

/* The userdata of that class at `arg`, or a raised error that names the function and argument. */
void *noun_check(lua_State *L, int arg, enum noun_id id, const char *name);

/* Self, for the methods of a class. */
noreturn void noun_raise_self(lua_State *L);
static inline void *noun_check_self(lua_State *L, enum noun_id id)
{
    void *object = noun_test(L, 1, id);
    if (!object)
        noun_raise_self(L);
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
void noun_open_class(lua_State *L, struct noun *noun, const struct class_rows *rows);

/* The same in steps, for a class whose rows stand in several places: push an empty table of fields,
 * add to it, then make the metatable, which pops it. */
void noun_add_method(lua_State *L, struct noun *noun, const struct function_row *row);
void noun_add_property(lua_State *L, const struct property_row *row);
void noun_finish_class(lua_State *L, struct noun *noun, const struct class_rows *rows);

/* Push the metatable of a class. */
void noun_push_metatable(lua_State *L, const struct noun *noun);

/* Add functions to the table on the stack's top. Rows end with a NULL name. */
void noun_set_functions(lua_State *L, struct noun *noun, const struct function_row *rows);

/* Give the table on the stack's top an __index that answers properties and raises for the rest. */
void noun_make_strict(lua_State *L, struct noun *noun, const struct property_row *properties);

/* Push which line of a script has called the running function, by way of other functions of ours
 * maybe, in C or in Lua: "script.lua:12", or nil. */
void noun_push_caller(lua_State *L);

/* Whether the frame, filled by "S", runs Lua code of thrum's own. */
bool noun_is_own_lua(const lua_Debug *frame);

/* Write the running function's full name, "ip.udp.socket.bind", never more than `size` bytes. */
void noun_function_name(lua_State *L, char *name, size_t size);

#endif
