/* SPDX-License-Identifier: BSL-1.0 */
/* byte_span objects: windows on blocks of bytes.
 *
 * A block is the memory behind the span that byte_span.new made, in the same userdata; a slice
 * holds that span as its user value, and that span the last slice made of it. So the collector
 * keeps a block as long as a window on it lives, and a slice costs one small allocation and no
 * finalizer. Operations need no count of their own: the call that started one holds its span on the
 * fiber's stack, and a state that closes destroys every operation in a finalizer, before any memory
 * goes.
 */
#ifndef BIND_VALUE_BYTE_SPAN_H
#define BIND_VALUE_BYTE_SPAN_H

#include <stddef.h>

#include <lua.h>

#include "bind/value/classes.h"
#include "net/bytes.h"

struct byte_span {
    struct object object;
    unsigned char *data;
    size_t size;
    size_t capacity; /* from `data` on */
};

static inline struct byte_span *byte_span_test(lua_State *L, int arg)
{
    return class_test(L, arg, &byte_span_class);
}

/* Push a new span of its own block, zeroed. Raises ENOMEM for a size that memory cannot hold. */
struct byte_span *byte_span_push(lua_State *L, size_t size, size_t capacity);

/* Push the window [first, first + size) of the span at `index`; the caller has checked that it lies
 * in its capacity. */
void byte_span_push_slice(lua_State *L, int index, size_t first, size_t size);

/* The bytes of a span or a string at `arg`; with _gather also of a list of them, which is replaced
 * by one span in its place on the stack. */
struct bytes byte_span_check_bytes(lua_State *L, int arg, const char *name);
struct bytes byte_span_check_gather(lua_State *L, int arg, const char *name);

#endif
