/* SPDX-License-Identifier: BSL-1.0 */
/* Errors as LuaSocket tells them: nil and a text. Programs compare these texts, so they are an
 * interface; this is the one place that knows them. */
#include <errno.h>
#include <netdb.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/luasocket/luasocket.h"
#include "bind/value/error.h"

enum { TEXT_SIZE = 256 };

#define RESOLVER(name) (THRUM_ERROR_RESOLVER + (name < 0 ? -(name) : (name)))

static const struct {
    int error;
    const char *text;
} texts[] = {
    {ETIMEDOUT, "timeout"},
    {THRUM_EEOF, "closed"},
    {EPIPE, "closed"},
    {ECONNRESET, "closed"},
    {ECONNABORTED, "closed"},
    {ECONNREFUSED, "connection refused"},
    {EADDRINUSE, "address already in use"},
    {EISCONN, "already connected"},
    {EACCES, "permission denied"},
    {ENAMETOOLONG, "path too long"},
    {RESOLVER(EAI_AGAIN), "temporary failure in name resolution"},
    {RESOLVER(EAI_BADFLAGS), "invalid value for ai_flags"},
    {RESOLVER(EAI_FAIL), "non-recoverable failure in name resolution"},
    {RESOLVER(EAI_FAMILY), "ai_family not supported"},
    {RESOLVER(EAI_MEMORY), "memory allocation failure"},
    {RESOLVER(EAI_NONAME), "host or service not provided, or not known"},
    {RESOLVER(EAI_OVERFLOW), "argument buffer overflow"},
    {RESOLVER(EAI_SERVICE), "service not supported for socket type"},
    {RESOLVER(EAI_SOCKTYPE), "ai_socktype not supported"},
};

void luasocket_push_text(lua_State *L, int error)
{
    char text[TEXT_SIZE];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].error == error) {
            lua_pushstring(L, texts[i].text);
            return;
        }
    }
    lua_pushstring(L, thrum_error_message(error, text, sizeof(text)));
}

static bool is_raised(const struct fiber *fiber, int error)
{
    if (error == ENOMEM || thrum_error_category(error) == THRUM_CATEGORY_FIBER)
        return true;
    return error == ETIMEDOUT && fiber && fiber->has_scope_expired;
}

int luasocket_push_failure(lua_State *L, struct fiber *fiber, int error)
{
    if (is_raised(fiber, error)) {
        if (fiber)
            fiber->has_scope_expired = false;
        error_raise(L, error);
    }
    lua_pushnil(L);
    luasocket_push_text(L, error);
    return 2;
}

int luasocket_push_result(lua_State *L, struct fiber *fiber, int error)
{
    if (error)
        return luasocket_push_failure(L, fiber, error);
    lua_pushinteger(L, 1);
    return 1;
}
