/* SPDX-License-Identifier: BSL-1.0 */
/* byte_span: its functions and methods. */
#include "bind/value/byte_span.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/value/args.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/memory.h"
#include "bind/value/open.h"

/* Above this a block is asked for once on trial, so that a size no machine has is an error object
 * and not Lua's "not enough memory". */
enum { TRIAL_SIZE = 1 << 20 };

/* ---- making and finding spans ---- */

static struct byte_span *self(lua_State *L)
{
    return class_check_self(L, &byte_span_class);
}

static struct bytes bytes_of(const struct byte_span *span)
{
    return (struct bytes){span->data, span->size};
}

static void check_memory(lua_State *L, size_t capacity)
{
    if (capacity < TRIAL_SIZE)
        return;
    size_t size = capacity + sizeof(struct byte_span);
    void *trial = size > capacity && size < PTRDIFF_MAX ? memory_alloc(L, size) : NULL;
    if (!trial)
        error_raise_detail(L, ENOMEM, "no memory for %zu bytes", capacity);
    memory_free(L, trial, size);
}

struct byte_span *byte_span_push(lua_State *L, size_t size, size_t capacity)
{
    check_memory(L, capacity);
    struct byte_span *span = lua_newuserdata(L, sizeof(*span) + capacity);
    *span = (struct byte_span){{&byte_span_class}, (unsigned char *)(span + 1), size, capacity};
    memset(span->data, 0, capacity);
    class_push_metatable(L, &byte_span_class);
    lua_setmetatable(L, -2);
    return span;
}

static bool is_own_span(const struct byte_span *span)
{
    return span->data == (const unsigned char *)(span + 1);
}

/* The user value of a block's own span is the slice that was made of it last: a program that
 * receives messages of one length into a buffer takes the same one again and again, and no window
 * ever changes. Push what stands there; true if it is the window that is wanted. */
static bool push_last_slice(lua_State *L, int index, const unsigned char *data, size_t size)
{
    lua_getuservalue(L, index);
    const struct byte_span *last = byte_span_test(L, -1);
    return last && last->data == data && last->size == size;
}

/* Push the window [first, first + size) of the span at `index`; 0-based, checked by the caller. */
static void push_slice_at(lua_State *L, int index, const struct byte_span *span, size_t first,
                          size_t size)
{
    bool is_own = is_own_span(span);
    if (is_own && push_last_slice(L, index, span->data + first, size))
        return;
    struct byte_span *slice = lua_newuserdata(L, sizeof(*slice));
    *slice = (struct byte_span){span->object, span->data + first, size, span->capacity - first};
    if (is_own)
        lua_pushvalue(L, index);
    else
        lua_getuservalue(L, index);
    lua_setuservalue(L, -2); /* the block */
    lua_getmetatable(L, index);
    lua_setmetatable(L, -2);
    if (!is_own)
        return;
    lua_replace(L, -2); /* the one that it was not */
    lua_pushvalue(L, -1);
    lua_setuservalue(L, index);
}

static void push_slice(lua_State *L, const struct byte_span *self, size_t first, size_t size)
{
    push_slice_at(L, 1, self, first, size);
}

void byte_span_push_slice(lua_State *L, int index, size_t first, size_t size)
{
    push_slice_at(L, index, lua_touserdata(L, index), first, size);
}

struct bytes byte_span_check_bytes(lua_State *L, int arg, const char *name)
{
    const struct byte_span *span = byte_span_test(L, arg);
    if (span)
        return bytes_of(span);
    if (lua_type(L, arg) != LUA_TSTRING)
        error_raise_arg(L, EINVAL, arg, name, "byte_span or string");
    struct bytes bytes;
    bytes.data = (const unsigned char *)lua_tolstring(L, arg, &bytes.size);
    return bytes;
}

/* ---- gathering ---- */

/* The bytes of element `i` of the list at `arg`, left on the stack's top. */
static struct bytes get_piece(lua_State *L, int arg, const char *name, lua_Integer i)
{
    lua_rawgeti(L, arg, i);
    struct bytes piece = {0};
    const struct byte_span *span = byte_span_test(L, -1);
    if (span)
        piece = bytes_of(span);
    else if (lua_type(L, -1) == LUA_TSTRING)
        piece.data = (const unsigned char *)lua_tolstring(L, -1, &piece.size);
    else
        error_raise_arg_detail(L, EINVAL, arg, name,
                               "element %lld: byte_span or string expected, got %s", (long long)i,
                               luaL_typename(L, -1));
    return piece;
}

static size_t measure_pieces(lua_State *L, int arg, const char *name, lua_Integer count)
{
    size_t size = 0;
    for (lua_Integer i = 1; i <= count; i++) {
        size_t more = get_piece(L, arg, name, i).size;
        if (more > PTRDIFF_MAX - size)
            error_raise_detail(L, ENOMEM, "argument %d (%s): too long together", arg, name);
        size += more;
        lua_pop(L, 1);
    }
    return size;
}

struct bytes byte_span_check_gather(lua_State *L, int arg, const char *name)
{
    const struct byte_span *span = class_test(L, arg, &byte_span_class);
    if (span)
        return bytes_of(span);
    int type = lua_type(L, arg);
    if (type == LUA_TSTRING)
        return args_string(L, arg, name);
    if (type != LUA_TTABLE)
        error_raise_arg(L, EINVAL, arg, name, "byte_span, string or a list of them");
    lua_Integer count = (lua_Integer)lua_rawlen(L, arg);
    size_t size = measure_pieces(L, arg, name, count);
    struct byte_span *whole = byte_span_push(L, size, size);
    size_t at = 0;
    for (lua_Integer i = 1; i <= count; i++) {
        struct bytes piece = get_piece(L, arg, name, i);
        if (piece.size > size - at) /* a finalizer, run by byte_span_push, has changed the list */
            error_raise_detail(L, EINVAL, "argument %d (%s): changed meanwhile", arg, name);
        if (piece.size)
            memcpy(whole->data + at, piece.data, piece.size);
        at += piece.size;
        lua_pop(L, 1);
    }
    whole->size = at;
    lua_replace(L, arg);
    return bytes_of(whole);
}

/* ---- new, slice, copy, append ---- */

static int span_new(lua_State *L)
{
    lua_Integer size = args_integer(L, 1, "length", 0, LUA_MAXINTEGER);
    lua_Integer capacity = args_integer_or(L, 2, "capacity", size, LUA_MAXINTEGER, size);
    byte_span_push(L, (size_t)size, (size_t)capacity);
    return 1;
}

noreturn static void raise_range(lua_State *L, int arg, const char *name, lua_Integer minimum,
                                 size_t maximum)
{
    error_push(L, ERANGE);
    lua_pushinteger(L, arg);
    lua_setfield(L, -2, "arg");
    error_set_detail(L, "argument %d (%s): %lld to %zu expected, got %lld", arg, name,
                     (long long)minimum, maximum, (long long)lua_tointeger(L, arg));
    lua_error(L);
    __builtin_unreachable();
}

/* A position, 1-based, from `minimum` to `maximum`; ERANGE outside. nil or nothing: `fallback`. */
static size_t check_position_or(lua_State *L, int arg, const char *name, size_t minimum,
                                size_t maximum, size_t fallback)
{
    int type = lua_type(L, arg);
    if (type <= LUA_TNIL)
        return fallback;
    int is_integer = 0;
    lua_Integer position = type == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer)
        error_raise_arg(L, EINVAL, arg, name, "integer");
    if (position < (lua_Integer)minimum || (lua_Unsigned)position > maximum)
        raise_range(L, arg, name, (lua_Integer)minimum, maximum);
    return (size_t)position;
}

static size_t check_position(lua_State *L, int arg, const char *name, size_t minimum,
                             size_t maximum)
{
    size_t position = check_position_or(L, arg, name, minimum, maximum, SIZE_MAX);
    if (position == SIZE_MAX)
        error_raise_arg(L, EINVAL, arg, name, "integer");
    return position;
}

static int span_slice(lua_State *L)
{
    const struct byte_span *span = self(L);
    size_t first = check_position_or(L, 2, "first", 1, span->capacity + 1, 1);
    size_t last = check_position_or(L, 3, "last", first - 1, span->capacity, span->size);
    if (last < first - 1) /* no `last` was given, and `first` is beyond the end */
        raise_range(L, 2, "first", 1, span->size + 1);
    push_slice(L, span, first - 1, last - (first - 1));
    return 1;
}

static int span_copy(lua_State *L)
{
    struct byte_span *span = self(L);
    struct bytes source = byte_span_check_bytes(L, 2, "src");
    size_t size = source.size < span->size ? source.size : span->size;
    if (size)
        memmove(span->data, source.data, size);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

static size_t measure_rest(lua_State *L, size_t size)
{
    int top = lua_gettop(L);
    for (int arg = 2; arg <= top; arg++) {
        if (lua_isnil(L, arg))
            continue;
        size_t more = byte_span_check_bytes(L, arg, "piece").size;
        if (more > PTRDIFF_MAX - size)
            error_raise_detail(L, ENOMEM, "too long together");
        size += more;
    }
    return size;
}

static void copy_rest(lua_State *L, unsigned char *to, int top)
{
    for (int arg = 2; arg <= top; arg++) {
        if (lua_isnil(L, arg))
            continue;
        struct bytes piece = byte_span_check_bytes(L, arg, "piece");
        if (piece.size)
            memmove(to, piece.data, piece.size);
        to += piece.size;
    }
}

/* span:append(...) and byte_span.append(...): the first argument is a span, a string or nil.
 * Growing doubles the capacity, so that appending in a loop is linear. */
static int span_append(lua_State *L)
{
    struct byte_span *span = byte_span_test(L, 1);
    struct bytes head = {0};
    if (!lua_isnoneornil(L, 1))
        head = byte_span_check_bytes(L, 1, "self");
    int top = lua_gettop(L);
    size_t size = measure_rest(L, head.size);
    if (span && size <= span->capacity) {
        copy_rest(L, span->data + head.size, top);
        push_slice(L, span, 0, size);
        return 1;
    }
    size_t doubled = span ? 2 * span->capacity : 0;
    struct byte_span *grown = byte_span_push(L, size, doubled > size ? doubled : size);
    if (head.size)
        memcpy(grown->data, head.data, head.size);
    copy_rest(L, grown->data + head.size, top);
    return 1;
}

/* ---- elements and integers ---- */

static int get_item(lua_State *L)
{
    const struct byte_span *span = self(L);
    lua_pushinteger(L, span->data[check_position(L, 2, "index", 1, span->size) - 1]);
    return 1;
}

static int set_item(lua_State *L)
{
    struct byte_span *span = self(L);
    size_t position = check_position(L, 2, "index", 1, span->size);
    span->data[position - 1] = (unsigned char)args_integer(L, 3, "value", 0, UINT8_MAX);
    return 0;
}

static bool check_big_endian(lua_State *L, int arg)
{
    static const char *const orders[] = {"be", "le", NULL};
    return lua_isnoneornil(L, arg) || args_choice(L, arg, "order", orders) == 0;
}

static unsigned char *check_field(lua_State *L, const struct byte_span *span, size_t width)
{
    if (span->size < width)
        error_raise_detail(L, ERANGE, "a span of %zu bytes or more expected, this has %zu", width,
                           span->size);
    size_t last = span->size - width + 1;
    return span->data + check_position(L, 2, "index", 1, last) - 1;
}

static int get_uint(lua_State *L, size_t width)
{
    const unsigned char *field = check_field(L, self(L), width);
    lua_pushinteger(L, (lua_Integer)bytes_get_uint(field, width, check_big_endian(L, 3)));
    return 1;
}

/* A u64 is the 64 bits of a Lua integer, so any integer will do. */
static int set_uint(lua_State *L, size_t width)
{
    unsigned char *field = check_field(L, self(L), width);
    bool is_whole = width == sizeof(lua_Integer);
    lua_Integer value =
        args_integer(L, 3, "value", is_whole ? LUA_MININTEGER : 0,
                     is_whole ? LUA_MAXINTEGER : ((lua_Integer)1 << (8 * width)) - 1);
    bytes_set_uint(field, width, check_big_endian(L, 4), (uint64_t)value);
    return 0;
}

#define UINT_ACCESSORS(bits)             \
    static int get_u##bits(lua_State *L) \
    {                                    \
        return get_uint(L, (bits) / 8);  \
    }                                    \
    static int set_u##bits(lua_State *L) \
    {                                    \
        return set_uint(L, (bits) / 8);  \
    }
UINT_ACCESSORS(8)
UINT_ACCESSORS(16)
UINT_ACCESSORS(32)
UINT_ACCESSORS(64)
#undef UINT_ACCESSORS

/* ---- searching ---- */

static int push_position(lua_State *L, size_t position)
{
    if (position == BYTES_NONE)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)position + 1);
    return 1;
}

/* Argument 3: where a search from the front begins (1 by default), 0-based. */
static size_t check_first(lua_State *L, const struct byte_span *span)
{
    return check_position_or(L, 3, "first", 1, span->size + 1, 1) - 1;
}

/* Argument 3: the last position where a search from the back may find something. */
static size_t check_last(lua_State *L, const struct byte_span *span)
{
    return check_position_or(L, 3, "last", 1, span->size + 1, 0) - 1; /* 0 - 1: BYTES_NONE */
}

static int span_find(lua_State *L)
{
    const struct byte_span *span = self(L);
    struct bytes needle = byte_span_check_bytes(L, 2, "s");
    return push_position(L, bytes_find(bytes_of(span), needle, check_first(L, span)));
}

static int span_rfind(lua_State *L)
{
    const struct byte_span *span = self(L);
    struct bytes needle = byte_span_check_bytes(L, 2, "s");
    return push_position(L, bytes_rfind(bytes_of(span), needle, check_last(L, span)));
}

static int find_first(lua_State *L, bool is_member)
{
    const struct byte_span *span = self(L);
    struct bytes set = byte_span_check_bytes(L, 2, "set");
    size_t first = check_first(L, span);
    return push_position(L, bytes_find_first_of(bytes_of(span), set, first, is_member));
}

static int find_last(lua_State *L, bool is_member)
{
    const struct byte_span *span = self(L);
    struct bytes set = byte_span_check_bytes(L, 2, "set");
    size_t last = check_last(L, span);
    return push_position(L, bytes_find_last_of(bytes_of(span), set, last, is_member));
}

static int span_find_first_of(lua_State *L)
{
    return find_first(L, true);
}

static int span_find_first_not_of(lua_State *L)
{
    return find_first(L, false);
}

static int span_find_last_of(lua_State *L)
{
    return find_last(L, true);
}

static int span_find_last_not_of(lua_State *L)
{
    return find_last(L, false);
}

static int span_starts_with(lua_State *L)
{
    struct bytes bytes = bytes_of(self(L));
    lua_pushboolean(L, bytes_start_with(bytes, byte_span_check_bytes(L, 2, "prefix")));
    return 1;
}

static int span_ends_with(lua_State *L)
{
    struct bytes bytes = bytes_of(self(L));
    lua_pushboolean(L, bytes_end_with(bytes, byte_span_check_bytes(L, 2, "suffix")));
    return 1;
}

static int span_trimmed(lua_State *L)
{
    static const unsigned char white_space[] = {' ', '\f', '\n', '\r', '\t', '\v'};
    const struct byte_span *span = self(L);
    struct bytes set = {white_space, sizeof(white_space)};
    if (!lua_isnoneornil(L, 2))
        set = byte_span_check_bytes(L, 2, "set");
    size_t first = bytes_find_first_of(bytes_of(span), set, 0, false);
    if (first == BYTES_NONE)
        push_slice(L, span, 0, 0);
    else
        push_slice(L, span, first,
                   bytes_find_last_of(bytes_of(span), set, BYTES_NONE, false) - first + 1);
    return 1;
}

/* ---- the rest ---- */

static int span_fill(lua_State *L)
{
    struct byte_span *span = self(L);
    int byte = (int)args_integer(L, 2, "byte", 0, UINT8_MAX);
    memset(span->data, byte, span->size);
    return 0;
}

static int span_hex(lua_State *L)
{
    struct bytes bytes = bytes_of(self(L));
    luaL_Buffer buffer;
    char *text = luaL_buffinitsize(L, &buffer, 2 * bytes.size);
    bytes_hex(bytes, text);
    luaL_pushresultsize(&buffer, 2 * bytes.size);
    return 1;
}

static int get_capacity(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)self(L)->capacity);
    return 1;
}

static int span_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)self(L)->size);
    return 1;
}

static int span_tostring(lua_State *L)
{
    struct bytes bytes = bytes_of(self(L));
    lua_pushlstring(L, (const char *)bytes.data, bytes.size);
    return 1;
}

static int span_eq(lua_State *L)
{
    const struct byte_span *a = byte_span_test(L, 1);
    const struct byte_span *b = byte_span_test(L, 2);
    lua_pushboolean(L, a && b && bytes_equal(bytes_of(a), bytes_of(b)));
    return 1;
}

static const struct function_row methods[] = {{"slice", span_slice},
                                              {"copy", span_copy},
                                              {"append", span_append},
                                              {"starts_with", span_starts_with},
                                              {"ends_with", span_ends_with},
                                              {"find", span_find},
                                              {"rfind", span_rfind},
                                              {"find_first_of", span_find_first_of},
                                              {"find_last_of", span_find_last_of},
                                              {"find_first_not_of", span_find_first_not_of},
                                              {"find_last_not_of", span_find_last_not_of},
                                              {"trimmed", span_trimmed},
                                              {"get_u8", get_u8},
                                              {"get_u16", get_u16},
                                              {"get_u32", get_u32},
                                              {"get_u64", get_u64},
                                              {"set_u8", set_u8},
                                              {"set_u16", set_u16},
                                              {"set_u32", set_u32},
                                              {"set_u64", set_u64},
                                              {"fill", span_fill},
                                              {"hex", span_hex},
                                              {0}};
static const struct property_row properties[] = {{"capacity", get_capacity, NULL}, {0}};
static const struct function_row metamethods[] = {
    {"__len", span_len}, {"__tostring", span_tostring}, {"__eq", span_eq}, {0}};
static const struct function_row functions[] = {{"new", span_new}, {"append", span_append}, {0}};

int byte_span_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &byte_span_class);
    class_open(L, state,
               &(struct class_rows){methods, properties, metamethods, get_item, set_item});
    lua_newtable(L);
    class_set_functions(L, state, functions);
    return 1;
}
