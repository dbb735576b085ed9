/* SPDX-License-Identifier: BSL-1.0 */
/* Bytes that a stream has sent and nobody has taken yet: the block of a byte_span, which grows. */
#ifndef BIND_STREAM_READ_BUFFER_H
#define BIND_STREAM_READ_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

struct byte_span;

struct read_buffer {
    struct byte_span *block; /* NULL: none */
    size_t begin, end;       /* what is unread */
    unsigned long n_changes; /* of what is unread, or where it stands */
    bool was_filled;         /* the last receive took all the room that it was given */
};

/* Where the block is kept: in the table that is the user value of the object at 1. */
enum { READ_BUFFER_BLOCK = 2 };

const unsigned char *read_buffer_unread(const struct read_buffer *buffer);

static inline size_t read_buffer_count(const struct read_buffer *buffer)
{
    return buffer->end - buffer->begin;
}

/* Make room behind what is unread, in a read buffer of the object at 1, for a piece that so many
 * bytes are missing of; SIZE_MAX: nobody knows. On an error, which stands on the top then, false.
 */
bool read_buffer_make_room(lua_State *L, struct read_buffer *buffer, size_t missing);

/* Where the next receive goes; and that it has come. */
unsigned char *read_buffer_room(const struct read_buffer *buffer, size_t *size);
void read_buffer_add(struct read_buffer *buffer, size_t size);

/* Take so many bytes out. */
void read_buffer_take(lua_State *L, struct read_buffer *buffer, size_t size);

#endif
