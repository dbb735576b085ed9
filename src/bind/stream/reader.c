/* SPDX-License-Identifier: BSL-1.0 */
/* stream.reader: lines, records and whole streams, over one growing buffer.
 *
 * What has come and is unread stands in a read buffer. A call looks for its piece there; as long as
 * it is not complete, a step of the steps reads more behind it. Nothing is taken out before the
 * call returns it, so a call that fails has lost nothing, and the next one of the same kind
 * searches on where this one stopped. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/stream/classes.h"
#include "bind/stream/multi_step.h"
#include "bind/stream/open.h"
#include "bind/stream/read_buffer.h"
#include "bind/value/args.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"
#include "net/search.h"

enum { MULTI_STEP_DELIMITER = 3 }; /* in the steps's table */
_Static_assert((int)READ_BUFFER_BLOCK == (int)MULTI_STEP_SPAN, "the block is the span of a step");

struct reader;

struct piece_kind {
    /* Is the piece there? 0: `length` and `dropped` tell; EAGAIN: more is needed; or an error. */
    int (*look)(struct reader *reader);
    /* The same, when nothing more will come. */
    int (*look_at_end)(struct reader *reader);
};

/* With room for its table and its bytes behind it. */
struct delimiter {
    size_t size;
    const unsigned char *bytes;
    size_t table[];
};

struct reader {
    struct multi_step steps;
    struct read_buffer read_buffer;

    /* The call under way, or the last. */
    const struct piece_kind *piece;
    struct search search; /* from `begin` on */
    struct delimiter *delimiter;
    size_t max; /* of the piece; for `exactly` its length */
    size_t length;
    size_t dropped; /* bytes behind the piece that go with it */
    bool is_none;   /* there is no piece any more: nil */
    bool has_ended;
};

/* ---- pieces ---- */

static int found(struct reader *reader, size_t length, size_t dropped)
{
    reader->length = length;
    reader->dropped = dropped;
    return length > reader->max ? EMSGSIZE : 0;
}

static int look_line(struct reader *reader)
{
    const unsigned char *data = read_buffer_unread(&reader->read_buffer);
    size_t size = read_buffer_count(&reader->read_buffer), looked = reader->search.looked;
    const unsigned char *newline =
        size > looked ? memchr(data + looked, '\n', size - looked) : NULL;
    if (newline) {
        size_t length = (size_t)(newline - data);
        reader->search.looked = length;
        size_t n_returns = length > 0 && data[length - 1] == '\r';
        return found(reader, length - n_returns, n_returns + 1);
    }
    reader->search.looked = size;
    if (size <= reader->max || (size - 1 == reader->max && data[size - 1] == '\r'))
        return EAGAIN;
    return EMSGSIZE;
}

static int look_until(struct reader *reader)
{
    const struct delimiter *delimiter = reader->delimiter;
    struct search *search = &reader->search;
    if (search_continue(search, delimiter->bytes, delimiter->size, delimiter->table,
                        read_buffer_unread(&reader->read_buffer),
                        read_buffer_count(&reader->read_buffer))) {
        search->looked -= delimiter->size; /* for the next, if this one is too long */
        search->matched = 0;
        return found(reader, search->looked, delimiter->size);
    }
    return search->looked - search->matched > reader->max ? EMSGSIZE : EAGAIN;
}

static int take_rest(struct reader *reader)
{
    reader->is_none = read_buffer_count(&reader->read_buffer) == 0;
    return found(reader, read_buffer_count(&reader->read_buffer), 0);
}

static int look_exactly(struct reader *reader)
{
    return read_buffer_count(&reader->read_buffer) < reader->max ? EAGAIN
                                                                 : found(reader, reader->max, 0);
}

static int fail_at_end(struct reader *reader)
{
    (void)reader;
    return THRUM_EEOF;
}

static int look_all(struct reader *reader)
{
    return read_buffer_count(&reader->read_buffer) > reader->max ? EMSGSIZE : EAGAIN;
}

static int take_all(struct reader *reader)
{
    return found(reader, read_buffer_count(&reader->read_buffer), 0);
}

static const struct piece_kind piece_line = {look_line, take_rest};
static const struct piece_kind piece_until = {look_until, take_rest};
static const struct piece_kind piece_exactly = {look_exactly, fail_at_end};
static const struct piece_kind piece_all = {look_all, take_all};

/* No finalizer comes in meanwhile. */
static int make_room(lua_State *L, struct reader *reader)
{
    reader->steps.state = MULTI_STEP_CALLING;
    bool is_done = read_buffer_make_room(L, &reader->read_buffer, SIZE_MAX);
    reader->steps.state = MULTI_STEP_FREE;
    return is_done ? 0 : MULTI_STEP_RAISED;
}

/* ---- the steps ---- */

static int reader_next(lua_State *L, struct multi_step *steps)
{
    struct reader *reader = (struct reader *)steps;
    int error = reader->piece->look(reader);
    if (error == EAGAIN && reader->has_ended)
        error = reader->piece->look_at_end(reader);
    if (error != EAGAIN)
        return error;
    error = make_room(L, reader);
    if (error)
        return error;
    steps->data = read_buffer_room(&reader->read_buffer, &steps->size);
    return EAGAIN;
}

static int reader_moved(struct multi_step *steps, int error, size_t size)
{
    struct reader *reader = (struct reader *)steps;
    reader->has_ended = error == THRUM_EEOF;
    if (error)
        return reader->has_ended ? 0 : error;
    read_buffer_add(&reader->read_buffer, size);
    return 0;
}

/* Outside any fiber a finalizer may have read the same piece while its string was made. */
static void take_out(lua_State *L, struct reader *reader, unsigned long n_changes)
{
    if (reader->read_buffer.n_changes != n_changes)
        return;
    reader->search = (struct search){0};
    read_buffer_take(L, &reader->read_buffer, reader->length + reader->dropped);
}

static int reader_finish(lua_State *L, struct multi_step *steps, int error)
{
    struct reader *reader = (struct reader *)steps;
    if (error) {
        multi_step_push_error(L, error, read_buffer_count(&reader->read_buffer));
        return lua_error(L);
    }
    if (reader->is_none) {
        lua_pushnil(L);
        return 1;
    }
    unsigned long n_changes = reader->read_buffer.n_changes;
    lua_pushlstring(L, (const char *)read_buffer_unread(&reader->read_buffer), reader->length);
    take_out(L, reader, n_changes);
    return 1;
}

static const struct multi_step_ops reader_flow = {"read_some", false, reader_next, reader_moved,
                                                  reader_finish};

/* ---- methods ---- */

static struct reader *self(lua_State *L)
{
    return class_check_self(L, &reader_class);
}

/* Lengths are what a string can have. */
static size_t check_max(lua_State *L, int arg)
{
    lua_Integer max = args_integer_or(L, arg, "max", 0, LUA_MAXINTEGER, LUA_MAXINTEGER);
    return (size_t)max;
}

static int read_piece(lua_State *L, struct reader *reader, const struct piece_kind *piece,
                      size_t max)
{
    if (reader->piece != piece)
        reader->search = (struct search){0};
    reader->piece = piece;
    reader->max = max;
    reader->is_none = false;
    reader->has_ended = false;
    return multi_step_run(L, &reader->steps);
}

static void check_free(lua_State *L, const struct reader *reader)
{
    if (multi_step_is_busy(&reader->steps))
        error_raise_detail(L, EBUSY, "another fiber is reading from it");
}

static int reader_line(lua_State *L)
{
    struct reader *reader = self(L);
    size_t max = check_max(L, 2);
    check_free(L, reader);
    return read_piece(L, reader, &piece_line, max);
}

static bool is_delimiter(const struct delimiter *delimiter, struct bytes bytes)
{
    return delimiter && delimiter->size == bytes.size &&
           memcmp(delimiter->bytes, bytes.data, bytes.size) == 0;
}

/* The delimiter of the last call is mostly that of the next. */
static void keep_delimiter(lua_State *L, struct reader *reader, struct bytes bytes)
{
    const size_t unit = sizeof(size_t) + 1;
    if (bytes.size > (PTRDIFF_MAX - sizeof(struct delimiter)) / unit)
        error_raise(L, ENOMEM);
    lua_getuservalue(L, 1);
    struct delimiter *delimiter = lua_newuserdata(L, sizeof(*delimiter) + bytes.size * unit);
    unsigned char *copy = (unsigned char *)(delimiter->table + bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    delimiter->size = bytes.size;
    delimiter->bytes = copy;
    search_prepare(copy, bytes.size, delimiter->table);
    lua_rawseti(L, -2, MULTI_STEP_DELIMITER);
    lua_pop(L, 1);
    reader->delimiter = delimiter;
    reader->search = (struct search){0};
}

static int reader_read_until(lua_State *L)
{
    struct reader *reader = self(L);
    struct bytes bytes = byte_span_check_bytes(L, 2, "delimiter");
    size_t max = check_max(L, 3);
    if (bytes.size == 0)
        error_raise_arg_detail(L, EINVAL, 2, "delimiter", "it is empty");
    check_free(L, reader);
    if (!is_delimiter(reader->delimiter, bytes))
        keep_delimiter(L, reader, bytes);
    return read_piece(L, reader, &piece_until, max);
}

static int reader_exactly(lua_State *L)
{
    struct reader *reader = self(L);
    size_t length = (size_t)args_integer(L, 2, "n", 0, LUA_MAXINTEGER);
    check_free(L, reader);
    return read_piece(L, reader, &piece_exactly, length);
}

static int reader_all(lua_State *L)
{
    struct reader *reader = self(L);
    size_t max = check_max(L, 2);
    check_free(L, reader);
    return read_piece(L, reader, &piece_all, max);
}

static int get_buffered(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)read_buffer_count(&self(L)->read_buffer));
    return 1;
}

static int get_stream(lua_State *L)
{
    self(L);
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, MULTI_STEP_STREAM);
    return 1;
}

/* ---- making readers ---- */

int reader_new_function(lua_State *L)
{
    lua_settop(L, 1);
    struct socket *socket = multi_step_check_stream(L, 1, reader_flow.method);
    struct reader *reader = class_new_object(L, &reader_class, sizeof(*reader));
    reader->steps.ops = &reader_flow;
    reader->steps.runtime = class_runtime(L);
    reader->steps.socket = socket;
    lua_createtable(L, MULTI_STEP_N_PLACES, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, MULTI_STEP_STREAM);
    lua_setuservalue(L, -2);
    return 1;
}

static const struct function_row methods[] = {{"line", reader_line},
                                              {"read_until", reader_read_until},
                                              {"exactly", reader_exactly},
                                              {"all", reader_all},
                                              {0}};
static const struct property_row properties[] = {
    {"buffered", get_buffered, NULL}, {"stream", get_stream, NULL}, {0}};

void reader_open(lua_State *L, struct runtime *runtime)
{
    class_open(L, class_get(L, runtime, &reader_class),
               &(struct class_rows){.methods = methods, .properties = properties});
}
