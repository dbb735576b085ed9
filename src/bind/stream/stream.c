/* SPDX-License-Identifier: BSL-1.0 */
/* stream: whole transfers over sockets that move what they can, and the module. */
#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/fiber/runtime.h"
#include "bind/stream/classes.h"
#include "bind/stream/multi_step.h"
#include "bind/stream/open.h"
#include "bind/value/args.h"
#include "bind/value/byte_span.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"

struct transfer {
    struct multi_step steps;
    unsigned char *data;
    size_t size;
    size_t minimum;
    size_t done;
};

enum { ARG_STREAM = 1, ARG_BUFFER, ARG_MINIMUM };

/* ---- steps ---- */

static int transfer_next(lua_State *L, struct multi_step *steps)
{
    const struct transfer *transfer = (const struct transfer *)steps;
    (void)L;
    if (transfer->done >= transfer->minimum)
        return 0;
    steps->data = transfer->data + transfer->done;
    steps->size = transfer->size - transfer->done;
    return EAGAIN;
}

static int transfer_moved(struct multi_step *steps, int error, size_t size)
{
    if (!error)
        ((struct transfer *)steps)->done += size;
    return error;
}

static int transfer_finish(lua_State *L, struct multi_step *steps, int error)
{
    size_t done = ((const struct transfer *)steps)->done;
    if (error) {
        multi_step_push_error(L, error, done);
        return lua_error(L);
    }
    lua_pushinteger(L, (lua_Integer)done);
    return 1;
}

static const struct multi_step_ops reading = {"read_some", false, transfer_next, transfer_moved,
                                              transfer_finish};
static const struct multi_step_ops writing = {"write_some", true, transfer_next, transfer_moved,
                                              transfer_finish};

/* ---- calls ---- */

/* Another object is handed spans: a string becomes one. */
static void need_span(lua_State *L, struct bytes *bytes)
{
    if (byte_span_test(L, ARG_BUFFER))
        return;
    struct byte_span *span = byte_span_push(L, bytes->size, bytes->size);
    if (bytes->size > 0)
        memcpy(span->data, bytes->data, bytes->size);
    bytes->data = span->data;
    lua_replace(L, ARG_BUFFER);
}

/* Put the transfer below its arguments. */
static struct transfer *push_transfer(lua_State *L, const struct multi_step_ops *ops,
                                      struct socket *socket, struct bytes bytes, size_t minimum)
{
    if (!socket)
        need_span(L, &bytes);
    struct transfer *transfer = lua_newuserdata(L, sizeof(*transfer));
    *transfer = (struct transfer){{.ops = ops, .runtime = class_runtime(L), .socket = socket},
                                  .data = (unsigned char *)bytes.data,
                                  .size = bytes.size,
                                  .minimum = minimum};
    lua_insert(L, 1);
    if (!socket) {
        lua_createtable(L, MULTI_STEP_N_PLACES, 0);
        lua_pushvalue(L, 1 + ARG_STREAM);
        lua_rawseti(L, -2, MULTI_STEP_STREAM);
        lua_pushvalue(L, 1 + ARG_BUFFER);
        lua_rawseti(L, -2, MULTI_STEP_SPAN);
        lua_setuservalue(L, 1);
    }
    return transfer;
}

static int run_transfer(lua_State *L, const struct multi_step_ops *ops, bool has_minimum)
{
    struct bytes bytes;
    lua_settop(L, has_minimum ? ARG_MINIMUM : ARG_BUFFER);
    struct socket *socket = multi_step_check_stream(L, ARG_STREAM, ops->method);
    if (ops->is_write) {
        bytes = byte_span_check_gather(L, ARG_BUFFER, "buffer");
    } else {
        const struct byte_span *span = class_check(L, ARG_BUFFER, &byte_span_class, "buffer");
        bytes = (struct bytes){span->data, span->size};
    }
    size_t minimum = bytes.size;
    if (has_minimum)
        minimum = (size_t)args_integer(L, ARG_MINIMUM, "n", 0, (lua_Integer)bytes.size);
    struct transfer *transfer = push_transfer(L, ops, socket, bytes, minimum);
    return multi_step_run(L, &transfer->steps);
}

static int stream_read_all(lua_State *L)
{
    return run_transfer(L, &reading, false);
}

static int stream_read_at_least(lua_State *L)
{
    return run_transfer(L, &reading, true);
}

static int stream_write_all(lua_State *L)
{
    return run_transfer(L, &writing, false);
}

static int stream_write_at_least(lua_State *L)
{
    return run_transfer(L, &writing, true);
}

static const struct function_row functions[] = {{"read_all", stream_read_all},
                                                {"read_at_least", stream_read_at_least},
                                                {"reader", reader_new_function},
                                                {"write_all", stream_write_all},
                                                {"write_at_least", stream_write_at_least},
                                                {0}};

int stream_open(lua_State *L, struct runtime *runtime)
{
    reader_open(L, runtime);
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, &stream_class), functions);
    return 1;
}
