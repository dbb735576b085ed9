/* SPDX-License-Identifier: BSL-1.0 */
/* Bytes that a stream has sent and nobody has taken yet: see read_buffer.h. */
#include "bind/stream/read_buffer.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/value/byte_span.h"

/* The block grows from the one to the other while the stream fills it, beyond only for a piece that
 * needs it. */
enum { BLOCK_FIRST = 4096, BLOCK_USUAL = 65536 };

const unsigned char *read_buffer_unread(const struct read_buffer *buffer)
{
    return buffer->block ? buffer->block->data + buffer->begin : NULL;
}

struct replacement {
    struct read_buffer *buffer;
    size_t size;
};

/* The stream is a busy one, and strings of such sizes will come and go. From a larger piece that is
 * freed an allocator such as glibc's learns to keep their pages; else it gives them back at each
 * collection, and each page of the next strings costs a fault: a tenth of the time that it takes to
 * receive in blocks. */
static void teach_allocator(lua_State *L)
{
    lua_newuserdata(L, (size_t)4 * BLOCK_USUAL);
    lua_pop(L, 1);
}

/* Called in protected mode, with the object and a replacement: put a new block in its place. */
static int replace_block(lua_State *L)
{
    const struct replacement *replacement = lua_touserdata(L, 2);
    struct read_buffer *buffer = replacement->buffer;
    size_t size = replacement->size;
    if (size == BLOCK_USUAL)
        teach_allocator(L);
    lua_getuservalue(L, 1);
    struct byte_span *block = byte_span_push(L, size, size);
    if (buffer->end > buffer->begin)
        memcpy(block->data, read_buffer_unread(buffer), read_buffer_count(buffer));
    buffer->end -= buffer->begin;
    buffer->begin = 0;
    buffer->block = block;
    lua_rawseti(L, -2, READ_BUFFER_BLOCK);
    return 0;
}

/* How large the block should be for the next receive. What is unread is moved only when at least as
 * much has been read since, and the block grows by doubling: a byte is copied a few times at most,
 * whatever the pieces are. */
static size_t choose_size(const struct read_buffer *buffer, size_t missing)
{
    size_t size = buffer->block->size, rest = read_buffer_count(buffer);
    if (size > BLOCK_USUAL && rest <= BLOCK_USUAL / 4)
        return BLOCK_USUAL;
    if (size < BLOCK_USUAL && buffer->was_filled)
        return size * 4;
    return rest > size / 2 && size - rest < missing ? size * 2 : size;
}

static bool needs_room(const struct read_buffer *buffer, size_t missing)
{
    if (!buffer->block || read_buffer_count(buffer) == 0)
        return true;
    size_t room = buffer->block->size - buffer->end;
    return room < missing && room < buffer->block->size / 4;
}

bool read_buffer_make_room(lua_State *L, struct read_buffer *buffer, size_t missing)
{
    if (!needs_room(buffer, missing))
        return true;
    buffer->n_changes++;
    size_t size = buffer->block ? choose_size(buffer, missing) : BLOCK_FIRST;
    if (!buffer->block || size != buffer->block->size) {
        struct replacement replacement = {buffer, size};
        lua_pushcfunction(L, replace_block);
        lua_pushvalue(L, 1);
        lua_pushlightuserdata(L, &replacement);
        return lua_pcall(L, 2, 0, 0) == LUA_OK;
    }
    if (buffer->end > buffer->begin)
        memmove(buffer->block->data, read_buffer_unread(buffer), read_buffer_count(buffer));
    buffer->end -= buffer->begin;
    buffer->begin = 0;
    return true;
}

unsigned char *read_buffer_room(const struct read_buffer *buffer, size_t *size)
{
    *size = buffer->block->size - buffer->end;
    return buffer->block->data + buffer->end;
}

void read_buffer_add(struct read_buffer *buffer, size_t size)
{
    buffer->was_filled = size == buffer->block->size - buffer->end;
    buffer->end += size;
    buffer->n_changes++;
}

/* A block that was needed once is not kept for ever. */
static void let_go(lua_State *L, struct read_buffer *buffer)
{
    if (read_buffer_count(buffer) > 0 || buffer->block->size <= BLOCK_USUAL)
        return;
    buffer->block = NULL;
    buffer->begin = buffer->end = 0;
    lua_getuservalue(L, 1);
    lua_pushnil(L);
    lua_rawseti(L, -2, READ_BUFFER_BLOCK);
    lua_pop(L, 1);
}

void read_buffer_take(lua_State *L, struct read_buffer *buffer, size_t size)
{
    buffer->begin += size;
    buffer->n_changes++;
    if (buffer->block)
        let_go(L, buffer);
}
