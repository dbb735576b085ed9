/* SPDX-License-Identifier: BSL-1.0 */
/* Waiting for a descriptor that somebody else reads and writes, on a copy of it: what the part
 * socket_sec needs. */
#include <errno.h>

#include <lauxlib.h>

#include "base/descriptor.h"
#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/luasocket/luasocket.h"
#include "bind/value/error.h"

/* internal.socket_copy(fd) -> a tcp object with a copy of the descriptor; or nil */
static int internal_copy(lua_State *L)
{
    int fd = (int)luaL_checknumber(L, 1), copy;
    struct luasocket *luasocket =
        luasocket_push(L, class_runtime(L), &luasocket_tcp_class, LUASOCKET_CLIENT, AF_UNSPEC);
    if (fd < 0 || descriptor_dup(fd, &copy))
        return 0;
    if (luasocket_adopt(luasocket, copy)) {
        descriptor_close(copy);
        luasocket->wanted_fd = -1;
        return 0;
    }
    return 1;
}

/* True when it is ready, or has been closed; false when the time is over. */
static int finish_wait(lua_State *L, struct fiber *fiber, int error)
{
    bool is_over = error == ETIMEDOUT && !fiber->has_scope_expired;
    if (error && error != ECANCELED && error != EBADF && !is_over)
        error_raise(L, error);
    lua_pushboolean(L, !is_over);
    return 1;
}

/* internal.wait(luasocket, "read"|"write", seconds) -> boolean; negative seconds are for ever */
static int internal_wait(lua_State *L)
{
    static const char *const names[] = {"read", "write", NULL};
    static const enum thrum_wait waits[] = {THRUM_WAIT_READ, THRUM_WAIT_WRITE};
    struct luasocket *luasocket = class_check(L, 1, &luasocket_class, "socket");
    enum thrum_wait what = waits[luaL_checkoption(L, 2, NULL, names)];
    double seconds = luasocket_opt_seconds(L, 3);
    int64_t deadline_ns = seconds < 0 ? NO_DEADLINE : call_deadline_after(seconds);
    struct fiber *fiber = luasocket_begin(L, luasocket->runtime);
    transfer_of(fiber)->socket = luasocket->socket;
    int error = luasocket->socket->core ? 0 : EBADF;
    if (!error && deadline_ns != NO_DEADLINE)
        error = deadline_prepare(fiber);
    if (!error)
        error = thrum_socket_wait(luasocket->socket->core, &fiber->operation, what);
    if (error)
        return finish_wait(L, fiber, error);
    return luasocket_suspend(L, fiber, deadline_ns, finish_wait);
}

const struct function_row luasocket_wait_internal_functions[] = {
    {"socket_copy", internal_copy}, {"wait", internal_wait}, {0}};
