/* SPDX-License-Identifier: BSL-1.0 */
/* Transfers of several steps: see multi_step.h.
 *
 * Inside a fiber a step that has to wait does not return: its continuation goes on with the next.
 * Outside any fiber, and where the fiber cannot be suspended, it returns, so that a call of a
 * million steps is a loop and no recursion. */
#include "bind/stream/multi_step.h"

#include <errno.h>
#include <math.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/socket/classes.h"
#include "bind/socket/transfer.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"
#include "net/option.h"

/* ---- streams ---- */

static bool is_callable(lua_State *L, int index)
{
    if (lua_isfunction(L, index))
        return true;
    if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

static bool has_method(lua_State *L, int arg, const char *method)
{
    if (lua_type(L, arg) == LUA_TUSERDATA) {
        if (class_is_object(L, arg)) /* whose unknown fields raise */
            return false;
        if (luaL_getmetafield(L, arg, "__index") == LUA_TNIL)
            return false;
        lua_pop(L, 1);
    } else if (lua_type(L, arg) != LUA_TTABLE) {
        return false;
    }
    lua_getfield(L, arg, method);
    bool has_it = is_callable(L, lua_gettop(L));
    lua_pop(L, 1);
    return has_it;
}

struct socket *multi_step_check_stream(lua_State *L, int arg, const char *method)
{
    const unsigned traits = TRAIT_SOCKET | TRAIT_STREAM;
    struct socket *socket = class_test(L, arg, &socket_class);
    if (socket && (traits & ~socket->class->traits) == 0)
        return socket;
    if (socket || !has_method(L, arg, method)) {
        lua_pushfstring(L, "stream socket or object with %s", method);
        error_raise_arg(L, EINVAL, arg, "stream", lua_tostring(L, -1));
    }
    return NULL;
}

/* ---- who is inside ---- */

/* A caller outside any fiber that waited and failed with the loop has left without reporting it. */
bool multi_step_is_busy(const struct multi_step *steps)
{
    return steps->state != MULTI_STEP_FREE &&
           (steps->state != MULTI_STEP_OUTSIDE || steps->runtime->is_driving);
}

static void enter(struct multi_step *steps, const struct fiber *fiber)
{
    steps->state = fiber->thread ? MULTI_STEP_IN_FIBER : MULTI_STEP_OUTSIDE;
}

static struct multi_step *leave(lua_State *L)
{
    struct multi_step *steps = lua_touserdata(L, 1);
    steps->state = MULTI_STEP_FREE;
    return steps;
}

static struct fiber *caller(const struct multi_step *steps)
{
    return runtime_caller(steps->runtime);
}

/* ---- the steps ---- */

static int finish(lua_State *L, struct fiber *fiber, int error)
{
    struct multi_step *steps = leave(L);
    (void)fiber;
    return steps->ops->finish(L, steps, error);
}

static int take_step(lua_State *L, struct fiber *fiber, struct multi_step *steps);

static int go_on(lua_State *L, struct multi_step *steps, int error)
{
    struct fiber *fiber = caller(steps);
    while (!error && (error = steps->ops->next(L, steps)) == EAGAIN)
        error = take_step(L, fiber, steps);
    enter(steps, fiber);
    return call_done(L, fiber, error, finish);
}

int multi_step_run(lua_State *L, struct multi_step *steps)
{
    struct fiber *fiber;
    if (call_begin_late(L, steps->runtime, &fiber))
        call_begin(L, steps->runtime); /* raises, and says why */
    return go_on(L, steps, call_take_error(L, fiber));
}

static int go_on_moved(lua_State *L, struct fiber *fiber, int error)
{
    struct multi_step *steps = leave(L);
    return go_on(L, steps, steps->ops->moved(steps, error, transfer_of(fiber)->message.length));
}

static int go_on_after_others(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return go_on(L, leave(L), error);
}

/* After a step that did not wait: now and then others run first. */
static int let_others_run(lua_State *L, struct fiber *fiber, struct multi_step *steps)
{
    if (!call_is_due(fiber))
        return 0;
    enter(steps, fiber);
    int error = call_yield(L, fiber, 0, call_returns(L, fiber) ? call_note : go_on_after_others);
    steps->state = MULTI_STEP_FREE;
    return error;
}

/* ---- a step with a socket ---- */

static enum transfer_type type_of(const struct multi_step *steps)
{
    return steps->ops->is_write ? TRANSFER_SEND : TRANSFER_RECEIVE;
}

static int step_socket(lua_State *L, struct fiber *fiber, struct multi_step *steps)
{
    if (steps->socket->object.class != &socket_class) /* finalized: the state closes */
        return EBADF;
    struct transfer *transfer = transfer_begin(fiber, steps->socket, steps->data, steps->size, 0);
    int error = transfer_try(fiber, type_of(steps));
    if (error == EAGAIN && socket_is_impatient(steps->socket)) {
        error = steps->ops->is_write ? EAGAIN : transfer_try(fiber, type_of(steps));
        error = error == EAGAIN ? ETIMEDOUT : error;
    }
    if (error != EAGAIN) {
        error = steps->ops->moved(steps, error, transfer->message.length);
        return error ? error : let_others_run(L, fiber, steps);
    }
    int64_t deadline_ns = transfer_deadline(steps->socket);
    error = transfer_start(fiber, type_of(steps), deadline_ns);
    if (error)
        return steps->ops->moved(steps, error, 0);
    enter(steps, fiber);
    error =
        transfer_suspend(L, fiber, deadline_ns, call_returns(L, fiber) ? call_note : go_on_moved);
    steps->state = MULTI_STEP_FREE;
    return steps->ops->moved(steps, error, transfer->message.length);
}

/* ---- a step with another object ---- */

static int return_answer(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 2;
}

/* Called with the steps, in protected mode: stream:read_some(span). */
static int call_method(lua_State *L)
{
    struct multi_step *steps = lua_touserdata(L, 1);
    lua_getuservalue(L, 1);
    lua_rawgeti(L, 2, MULTI_STEP_STREAM);
    lua_rawgeti(L, 2, MULTI_STEP_SPAN);
    lua_replace(L, 2);
    const struct byte_span *span = byte_span_test(L, 2);
    lua_getfield(L, 3, steps->ops->method);
    lua_insert(L, 3);
    byte_span_push_slice(L, 2, (size_t)(steps->data - span->data), steps->size);
    lua_callk(L, 2, 2, 0, return_answer);
    return 2;
}

/* The two values on the top are the method's answer: how many bytes, or nil and nothing else for
 * the end. */
static int take_answer(lua_State *L, struct multi_step *steps)
{
    int is_integer = 0;
    bool is_end = !steps->ops->is_write && lua_isnil(L, -2) && lua_isnil(L, -1);
    lua_Integer size = lua_type(L, -2) == LUA_TNUMBER ? lua_tointegerx(L, -2, &is_integer) : 0;
    if (is_integer && size >= 0 && (lua_Unsigned)size <= steps->size) {
        lua_pop(L, 2);
        return steps->ops->moved(steps, 0, (size_t)size);
    }
    if (is_end) {
        lua_pop(L, 2);
        return steps->ops->moved(steps, THRUM_EEOF, 0);
    }
    luaL_tolstring(L, -2, NULL);
    error_push(L, EINVAL);
    error_set_detail(L, "the stream's %s has to return an integer from 0 to %zu, got %s",
                     steps->ops->method, steps->size, lua_tostring(L, -2));
    return MULTI_STEP_RAISED;
}

static int take_result(lua_State *L, int status)
{
    struct multi_step *steps = leave(L);
    if (status == LUA_OK || status == LUA_YIELD)
        return take_answer(L, steps);
    if (!error_is(L, -1, THRUM_EEOF))
        return MULTI_STEP_RAISED;
    int error = steps->ops->moved(steps, THRUM_EEOF, 0);
    if (error) /* the stream's own error object says it best */
        return MULTI_STEP_RAISED;
    lua_pop(L, 1);
    return 0;
}

static int go_on_called(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    int error = take_result(L, status);
    return go_on(L, lua_touserdata(L, 1), error);
}

static int step_object(lua_State *L, struct fiber *fiber, struct multi_step *steps)
{
    lua_pushcfunction(L, call_method);
    lua_pushvalue(L, 1);
    steps->state = MULTI_STEP_CALLING;
    int error = take_result(L, lua_pcallk(L, 1, 2, 0, 0, go_on_called));
    return error ? error : let_others_run(L, fiber, steps);
}

static int take_step(lua_State *L, struct fiber *fiber, struct multi_step *steps)
{
    int error = call_begin_late(L, steps->runtime, &fiber);
    error = error ? error : call_take_error(L, fiber);
    if (error)
        return error;
    return steps->socket ? step_socket(L, fiber, steps) : step_object(L, fiber, steps);
}

/* ---- errors ---- */

static void set_length(lua_State *L, size_t length)
{
    lua_pushliteral(L, "length");
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pushliteral(L, "length");
        lua_pushinteger(L, (lua_Integer)length);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
}

void multi_step_push_error(lua_State *L, int error, size_t length)
{
    if (error != MULTI_STEP_RAISED)
        error_push(L, error);
    if (error == EBADF)
        error_set_detail(L, "the socket is not open");
    if (error_test(L, -1))
        set_length(L, length);
}
