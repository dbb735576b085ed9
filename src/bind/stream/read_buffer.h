/* SPDX-License-Identifier: BSL-1.0 */
/* Bytes that a stream has sent and nobody has taken yet: the block of a byte_span, which grows. */
#ifndef BIND_STREAM_READ_BUFFER_H
#define BIND_STREAM_READ_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

struct byte_span;
struct runtime;

struct inbox {
    struct byte_span *block; /* NULL: none */
    size_t begin, end;       /* what is unread */
    unsigned long n_changes; /* of what is unread, or where it stands */
    bool was_filled;         /* the last receive took all the room that it was given */
};

/* Where the block is kept: in the table that is the user value of the object at 1. */
enum { INBOX_BLOCK = 2 };

const unsigned char *inbox_unread(const struct inbox *inbox);

static inline size_t inbox_count(const struct inbox *inbox)
{
    return inbox->end - inbox->begin;
}

/* Make room behind what is unread, in an inbox of the object at 1, for a piece that so many bytes
 * are missing of; SIZE_MAX: nobody knows. On an error, which stands on the top then, false. */
bool inbox_make_room(lua_State *L, struct runtime *runtime, struct inbox *inbox, size_t missing);

/* Where the next receive goes; and that it has come. */
unsigned char *inbox_room(const struct inbox *inbox, size_t *size);
void inbox_add(struct inbox *inbox, size_t size);

/* Take so many bytes out. */
void inbox_take(lua_State *L, struct inbox *inbox, size_t size);

#endif
