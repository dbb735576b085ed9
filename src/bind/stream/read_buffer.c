/* SPDX-License-Identifier: BSL-1.0 */
/* Bytes that a stream has sent and nobody has taken yet: see inbox.h. */
#include "bind/stream/read_buffer.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/value/byte_span.h"

/* The block grows from the one to the other while the stream fills it, beyond only for a piece that
 * needs it. */
enum { BLOCK_FIRST = 4096, BLOCK_USUAL = 65536 };

const unsigned char *inbox_unread(const struct inbox *inbox)
{
    return inbox->block ? inbox->block->data + inbox->begin : NULL;
}

struct replacement {
    struct inbox *inbox;
    struct runtime *runtime;
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
    struct inbox *inbox = replacement->inbox;
    size_t size = replacement->size;
    if (size == BLOCK_USUAL)
        teach_allocator(L);
    lua_getuservalue(L, 1);
    struct byte_span *block = byte_span_push(L, size, size);
    if (inbox->end > inbox->begin)
        memcpy(block->data, inbox_unread(inbox), inbox_count(inbox));
    inbox->end -= inbox->begin;
    inbox->begin = 0;
    inbox->block = block;
    lua_rawseti(L, -2, INBOX_BLOCK);
    return 0;
}

/* How large the block should be for the next receive. What is unread is moved only when at least as
 * much has been read since, and the block grows by doubling: a byte is copied a few times at most,
 * whatever the pieces are. */
static size_t choose_size(const struct inbox *inbox, size_t missing)
{
    size_t size = inbox->block->size, rest = inbox_count(inbox);
    if (size > BLOCK_USUAL && rest <= BLOCK_USUAL / 4)
        return BLOCK_USUAL;
    if (size < BLOCK_USUAL && inbox->was_filled)
        return size * 4;
    return rest > size / 2 && size - rest < missing ? size * 2 : size;
}

static bool needs_room(const struct inbox *inbox, size_t missing)
{
    if (!inbox->block || inbox_count(inbox) == 0)
        return true;
    size_t room = inbox->block->size - inbox->end;
    return room < missing && room < inbox->block->size / 4;
}

bool inbox_make_room(lua_State *L, struct runtime *runtime, struct inbox *inbox, size_t missing)
{
    if (!needs_room(inbox, missing))
        return true;
    inbox->n_changes++;
    size_t size = inbox->block ? choose_size(inbox, missing) : BLOCK_FIRST;
    if (!inbox->block || size != inbox->block->size) {
        struct replacement replacement = {inbox, runtime, size};
        lua_pushcfunction(L, replace_block);
        lua_pushvalue(L, 1);
        lua_pushlightuserdata(L, &replacement);
        return lua_pcall(L, 2, 0, 0) == LUA_OK;
    }
    if (inbox->end > inbox->begin)
        memmove(inbox->block->data, inbox_unread(inbox), inbox_count(inbox));
    inbox->end -= inbox->begin;
    inbox->begin = 0;
    return true;
}

unsigned char *inbox_room(const struct inbox *inbox, size_t *size)
{
    *size = inbox->block->size - inbox->end;
    return inbox->block->data + inbox->end;
}

void inbox_add(struct inbox *inbox, size_t size)
{
    inbox->was_filled = size == inbox->block->size - inbox->end;
    inbox->end += size;
    inbox->n_changes++;
}

/* A block that was needed once is not kept for ever. */
static void let_go(lua_State *L, struct inbox *inbox)
{
    if (inbox_count(inbox) > 0 || inbox->block->size <= BLOCK_USUAL)
        return;
    inbox->block = NULL;
    inbox->begin = inbox->end = 0;
    lua_getuservalue(L, 1);
    lua_pushnil(L);
    lua_rawseti(L, -2, INBOX_BLOCK);
    lua_pop(L, 1);
}

void inbox_take(lua_State *L, struct inbox *inbox, size_t size)
{
    inbox->begin += size;
    inbox->n_changes++;
    if (inbox->block)
        let_go(L, inbox);
}
