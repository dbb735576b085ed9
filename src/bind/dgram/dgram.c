/* SPDX-License-Identifier: BSL-1.0 */
/* What dgram, written in Lua, needs of C: calls that give errors instead of raising them, a receive
 * that makes a string, and sends that never wait. They trust their arguments.
 *
 *   receiver() -> userdata
 *       what a socket needs to receive
 *   receive(sock, receiver, batch, is_counted) -> count | nil, error
 *       suspends until at least one datagram is there; its data, address and port are put into the
 *       table `batch`, from 1 on, and so are those of others that are there, too; is_counted:
 *       whether it keeps a run from ending
 *   cancel_receive(sock, receiver)
 *       end that wait with ECANCELED; without a receiver there is none
 *   count_receive(sock, receiver, is_counted)
 *       change that for a wait under way
 *   send(sock, data[, addr, port]) -> true | false | nil, error | nothing
 *       false: it would have to wait; nothing: data is no string, or port is no port
 *   defer(sock, receiver, strings, data, addr, port) -> true | false | nothing
 *       keep it, to be sent later with others; false: now is the time; nothing: not this one
 *   send_deferred(sock, receiver) -> "done" | "wait" | nil, error
 *       send them; "wait": the next one would have to; an error: the one it is about is gone
 *   take_deferred(sock, receiver, strings) -> data, addr, port | nothing
 *       the next one, to be sent by other means
 *   set_send_deferred(f)
 *       the function that sends what is deferred
 *   on_suspend(has_deferred)
 *       whether that is to be called before a fiber suspends
 *   may_defer
 *       whether they would leave if the program were ended meanwhile
 *   is_overdue(receiver) -> boolean
 *       whether something has been deferred for more than some milliseconds
 *   at_end(fiber, f)
 *       have f called when it has ended, before that is known to anybody: fiber.h
 *   set_peer(sock, addr, port) -> true | nil, error
 *   bytes(value) -> string | nil
 *       of a byte_span
 *   interface(name) -> index | nil
 *   interfaces() -> list of indexes */
#include <errno.h>

#include <lauxlib.h>

#include <thrum/error.h>

#include "base/clock.h"
#include "bind/dgram/classes.h"
#include "bind/dgram/open.h"
#include "bind/fiber/classes.h"
#include "bind/fiber/runtime.h"
#include "bind/socket/transfer.h"
#include "bind/value/address.h"
#include "bind/value/byte_span.h"
#include "bind/value/error.h"
#include "bind/value/memory.h"
#include "net/interface.h"
#include "net/message.h"

/* ---- receive ----
 *
 * As long as datagrams are there a batch of them is fetched with one system call, and while there
 * are none, one is waited for. In between, the shim's own rule says when to ask first. */

enum { ARG_RECEIVER = 2, ARG_BATCH = 3, ARG_IS_COUNTED = 4 };
enum { DATAGRAM_SIZE = 65536 }; /* none is longer */

/* Memory for the datagram that is waited for. Most are short, and pages that nobody has written to
 * cost nothing, so each socket has its own. */
struct receiver {
    struct fiber *fiber; /* that waits to receive, or NULL */
    bool is_flooded;
    int n_deferred; /* datagrams to be sent together; those before the next have left */
    int next_deferred;
    int64_t deferred_since_ns; /* the first of them; of the steady clock, coarsely */
    struct thrum_message deferred[MESSAGE_MAX_BATCH];
    struct thrum_endpoint deferred_peers[MESSAGE_MAX_BATCH];
    unsigned char data[DATAGRAM_SIZE];
};

struct batch {
    struct thrum_message messages[MESSAGE_MAX_BATCH];
    struct thrum_endpoint peers[MESSAGE_MAX_BATCH];
    unsigned char data[MESSAGE_MAX_BATCH][DATAGRAM_SIZE];
};

static int internal_receiver(lua_State *L)
{
    struct receiver *receiver = lua_newuserdata(L, sizeof(*receiver));
    receiver->fiber = NULL;
    receiver->is_flooded = false;
    receiver->n_deferred = receiver->next_deferred = 0;
    return 1;
}

static const struct wait_ops wait_counted = {WAIT_EXTERNAL, fiber_cancel_operation,
                                             transfer_describe_wait, NULL};
static const struct wait_ops wait_uncounted = {0, fiber_cancel_operation, transfer_describe_wait,
                                               NULL};

static int push_failure(lua_State *L, int error)
{
    lua_pushnil(L);
    error_push(L, error);
    return 2;
}

/* Data, address and port: three places of the batch from `place` on. The sender first: it may stand
 * in the fiber, where a finalizer that comes with an allocation describes a call of its own. */
static void put_datagram(lua_State *L, struct socket *socket, int place, const void *data,
                         size_t size, const struct thrum_endpoint *sender)
{
    socket->class->codec->push_sender(L, 1, socket, sender);
    lua_rawseti(L, ARG_BATCH, place + 2);
    lua_rawseti(L, ARG_BATCH, place + 1);
    lua_pushlstring(L, data, size);
    lua_rawseti(L, ARG_BATCH, place);
}

static int finish_receive(lua_State *L, struct fiber *fiber, int error)
{
    struct socket *socket = lua_touserdata(L, 1);
    struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    const struct transfer *transfer = transfer_of(fiber);
    receiver->fiber = NULL;
    if (error)
        return push_failure(L, error);
    put_datagram(L, socket, 1, receiver->data, transfer->message.length, &transfer->peer);
    lua_pushinteger(L, 1);
    return 1;
}

/* A yield may come in between: the count is on the top. */
static int finish_batch(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    return error ? push_failure(L, error) : 1;
}

static const char batch_key; /* in the registry: its address */

static struct batch *make_batch(lua_State *L)
{
    struct batch *batch = lua_newuserdata(L, sizeof(*batch));
    for (int i = 0; i < MESSAGE_MAX_BATCH; i++)
        batch->messages[i] = (struct thrum_message){
            .data = batch->data[i], .size = DATAGRAM_SIZE, .peer = &batch->peers[i]};
    lua_rawsetp(L, LUA_REGISTRYINDEX, &batch_key);
    return batch;
}

/* One for all sockets of the state, made on first use: what comes is made strings at once. */
static struct batch *get_batch(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &batch_key);
    struct batch *batch = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return batch ? batch : make_batch(L);
}

/* How many came; or 0, and then there are none. A fiber that gets many gives way the sooner. */
static int receive_batch(lua_State *L, struct fiber *fiber, struct socket *socket, size_t *count)
{
    struct batch *batch = get_batch(L);
    int error =
        thrum_socket_try_receive_batch(socket->core, batch->messages, MESSAGE_MAX_BATCH, count);
    if (error)
        return error;
    for (size_t i = 0; i < *count; i++) {
        const struct thrum_message *message = &batch->messages[i];
        put_datagram(L, socket, 3 * (int)i + 1, message->data, message->length, message->peer);
    }
    fiber->n_immediate_completions += (unsigned)*count - 1;
    return 0;
}

static int wait_for_datagram(lua_State *L, struct fiber *fiber, struct socket *socket,
                             struct receiver *receiver)
{
    struct transfer *transfer = transfer_begin(fiber, socket, receiver->data, DATAGRAM_SIZE, 0);
    transfer->message.peer = &transfer->peer;
    int error = transfer_start(fiber, TRANSFER_RECEIVE, NO_DEADLINE);
    if (error)
        return push_failure(L, error);
    receiver->fiber = fiber;
    return call_suspend(L, fiber,
                        lua_toboolean(L, ARG_IS_COUNTED) ? &wait_counted : &wait_uncounted,
                        NO_DEADLINE, finish_receive);
}

static int internal_receive(lua_State *L)
{
    struct socket *socket = lua_touserdata(L, 1);
    struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    struct fiber *fiber = call_begin(L, socket->runtime);
    int error;
    if (receiver->is_flooded) {
        size_t count = 0;
        error = receive_batch(L, fiber, socket, &count);
        receiver->is_flooded = error == 0;
        lua_pushinteger(L, (lua_Integer)count);
        return error == EAGAIN ? wait_for_datagram(L, fiber, socket, receiver)
                               : call_done(L, fiber, error, finish_batch);
    }
    struct transfer *transfer = transfer_begin(fiber, socket, receiver->data, DATAGRAM_SIZE, 0);
    transfer->message.peer = &transfer->peer;
    error = transfer_try(fiber, TRANSFER_RECEIVE);
    if (error == EAGAIN)
        return wait_for_datagram(L, fiber, socket, receiver);
    receiver->is_flooded = error == 0;
    return call_done(L, fiber, error, finish_receive);
}

/* The fiber that waits to receive here, or NULL: also when it has been woken already, and when the
 * state closes, for then there is none. */
static struct fiber *find_waiting(lua_State *L)
{
    const struct socket *socket = lua_touserdata(L, 1);
    const struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    if (!receiver || !receiver->fiber || !socket->runtime->context)
        return NULL;
    const struct wait_ops *wait = receiver->fiber->wait;
    return wait == &wait_counted || wait == &wait_uncounted ? receiver->fiber : NULL;
}

static int internal_cancel_receive(lua_State *L)
{
    struct fiber *fiber = find_waiting(L);
    if (fiber)
        fiber_cancel_wait(fiber, ECANCELED);
    return 0;
}

/* It goes on waiting, as another kind. */
static int internal_count_receive(lua_State *L)
{
    const struct wait_ops *kind = lua_toboolean(L, 3) ? &wait_counted : &wait_uncounted;
    struct fiber *fiber = find_waiting(L);
    if (!fiber || fiber->wait == kind)
        return 0;
    fiber->wait = kind;
    if (kind->traits & WAIT_EXTERNAL)
        fiber->runtime->n_pending++;
    else
        fiber->runtime->n_pending--;
    return 0;
}

/* ---- send ---- */

static bool is_port(lua_State *L, int arg)
{
    int is_integer;
    lua_Integer port = lua_tointegerx(L, arg, &is_integer);
    return is_integer && port > 0 && port <= UINT16_MAX && lua_type(L, arg) == LUA_TNUMBER;
}

static int internal_send(lua_State *L)
{
    enum { ARG_DATA = 2, ARG_TO = 3 };
    struct socket *socket = lua_touserdata(L, 1);
    struct thrum_endpoint receiver;
    struct thrum_message message = {0};
    message.data = (void *)lua_tolstring(L, ARG_DATA, &message.size);
    bool has_receiver = !lua_isnoneornil(L, ARG_TO);
    if (lua_type(L, ARG_DATA) != LUA_TSTRING || (has_receiver && !is_port(L, ARG_TO + 1)))
        return 0;
    if (has_receiver) {
        socket->class->codec->check(L, ARG_TO, thrum_socket_family(socket->core), false, &receiver);
        message.peer = &receiver;
    }
    int error = thrum_socket_try_send(socket->core, &message);
    if (error && error != EAGAIN) {
        push_failure(L, error);
        if (has_receiver)
            error_set_endpoint(L, &receiver);
        return 2;
    }
    lua_pushboolean(L, error == 0);
    return 1;
}

/* ---- deferred sends ----
 *
 * lua/thrum/dgram/queue.lua tells when. The strings are kept by a table, under their numbers. */

enum { MAX_DEFERRED = 2048 };        /* bytes: more would be kept for too long */
enum { MAX_DEFERRED_NS = 10000000 }; /* from the first on; the clock's step comes on top */

static bool is_overdue(const struct receiver *receiver)
{
    return receiver->n_deferred > 0 &&
           clock_coarse_now_ns() - receiver->deferred_since_ns > MAX_DEFERRED_NS;
}

static int internal_defer(lua_State *L)
{
    enum { ARG_STRINGS = 3, ARG_DATA, ARG_TO };
    const struct socket *socket = lua_touserdata(L, 1);
    struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    if (receiver->n_deferred == MESSAGE_MAX_BATCH || lua_type(L, ARG_DATA) != LUA_TSTRING ||
        lua_rawlen(L, ARG_DATA) > MAX_DEFERRED || !is_port(L, ARG_TO + 1))
        return 0;
    struct thrum_message *message = &receiver->deferred[receiver->n_deferred];
    struct thrum_endpoint *peer = &receiver->deferred_peers[receiver->n_deferred];
    *message = (struct thrum_message){.peer = peer};
    message->data = (void *)lua_tolstring(L, ARG_DATA, &message->size);
    socket->class->codec->check(L, ARG_TO, thrum_socket_family(socket->core), false, peer);
    if (receiver->n_deferred == 0)
        receiver->deferred_since_ns = clock_coarse_now_ns();
    lua_settop(L, ARG_DATA);
    lua_rawseti(L, ARG_STRINGS, ++receiver->n_deferred);
    lua_pushboolean(L, receiver->n_deferred < MESSAGE_MAX_BATCH && !is_overdue(receiver));
    return 1;
}

static int internal_is_overdue(lua_State *L)
{
    lua_pushboolean(L, is_overdue(lua_touserdata(L, 1)));
    return 1;
}

static bool has_next_deferred(struct receiver *receiver)
{
    if (receiver->next_deferred < receiver->n_deferred)
        return true;
    receiver->n_deferred = receiver->next_deferred = 0;
    return false;
}

static int internal_send_deferred(lua_State *L)
{
    const struct socket *socket = lua_touserdata(L, 1);
    struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    while (has_next_deferred(receiver)) {
        struct thrum_message *next = &receiver->deferred[receiver->next_deferred];
        size_t count = 0;
        size_t n_left = (size_t)(receiver->n_deferred - receiver->next_deferred);
        int error = thrum_socket_try_send_batch(socket->core, next, n_left, &count);
        receiver->next_deferred += (int)count;
        if (error == EAGAIN) {
            lua_pushliteral(L, "wait");
            return 1;
        }
        if (error) {
            receiver->next_deferred++;
            push_failure(L, error);
            error_set_endpoint(L, next->peer);
            return 2;
        }
    }
    lua_pushliteral(L, "done");
    return 1;
}

static int internal_take_deferred(lua_State *L)
{
    enum { ARG_STRINGS = 3 };
    const struct socket *socket = lua_touserdata(L, 1);
    struct receiver *receiver = lua_touserdata(L, ARG_RECEIVER);
    if (!has_next_deferred(receiver))
        return 0;
    const struct thrum_message *next = &receiver->deferred[receiver->next_deferred++];
    lua_rawgeti(L, ARG_STRINGS, receiver->next_deferred);
    return 1 + socket->class->codec->push(L, next->peer);
}

static const char send_deferred_key;

static int internal_set_send_deferred(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &send_deferred_key);
    return 0;
}

/* The runtime's hook. The wait of the running fiber has begun, and what it waits for stands in the
 * fiber: no finalizer and no debug hook may call anything on its behalf now. */
static void send_deferred(lua_State *L)
{
    lua_Hook hook = lua_gethook(L);
    int hook_mask = lua_gethookmask(L), hook_count = lua_gethookcount(L);
    int was_running = lua_gc(L, LUA_GCISRUNNING, 0);
    if (!lua_checkstack(L, 2))
        return;
    lua_gc(L, LUA_GCSTOP, 0);
    lua_sethook(L, NULL, 0, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &send_deferred_key);
    if (lua_pcall(L, 0, 0, 0)) /* no memory: they stay deferred until the listeners have run */
        lua_pop(L, 1);
    lua_sethook(L, hook, hook_mask, hook_count);
    if (was_running)
        lua_gc(L, LUA_GCRESTART, 0);
}

static int internal_on_suspend(lua_State *L)
{
    class_runtime(L)->before_suspend = lua_toboolean(L, 1) ? send_deferred : NULL;
    return 0;
}

static int internal_at_end(lua_State *L)
{
    const struct fiber_handle *handle = class_check_self(L, &fiber_class);
    lua_settop(L, 2);
    if (handle->fiber)
        handle->fiber->at_end = fiber_anchor_value(L, class_runtime(L));
    return 0;
}

static int internal_set_peer(lua_State *L)
{
    enum { ARG_REMOTE = 2 };
    struct socket *socket = lua_touserdata(L, 1);
    struct thrum_endpoint remote;
    socket->class->codec->check(L, ARG_REMOTE, thrum_socket_family(socket->core), false, &remote);
    int error = thrum_socket_try_connect(socket->core, &remote);
    if (error)
        return push_failure(L, error);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- values ---- */

static int internal_bytes(lua_State *L)
{
    const struct byte_span *span = byte_span_test(L, 1);
    if (span)
        lua_pushlstring(L, (const char *)span->data, span->size);
    else
        lua_pushnil(L);
    return 1;
}

static int internal_interface(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    unsigned index;
    if (interface_by_name(name, length, &index))
        return 0;
    lua_pushinteger(L, index);
    return 1;
}

static int internal_interfaces(lua_State *L)
{
    unsigned indexes[MAX_INTERFACES];
    size_t count;
    int error = interface_list(indexes, &count);
    if (error)
        error_raise(L, error);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, indexes[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void dgram_add_internal_functions(lua_State *L, struct runtime *runtime)
{
    static const struct function_row functions[] = {
        {"receiver", internal_receiver},
        {"receive", internal_receive},
        {"cancel_receive", internal_cancel_receive},
        {"count_receive", internal_count_receive},
        {"send", internal_send},
        {"defer", internal_defer},
        {"send_deferred", internal_send_deferred},
        {"take_deferred", internal_take_deferred},
        {"is_overdue", internal_is_overdue},
        {"at_end", internal_at_end},
        {"interface", internal_interface},
        {"on_suspend", internal_on_suspend},
        {"set_send_deferred", internal_set_send_deferred},
        {"set_peer", internal_set_peer},
        {"bytes", internal_bytes},
        {"interfaces", internal_interfaces},
        {0}};
    class_set_functions(L, class_get(L, runtime, &dgram_socket_class), functions);
    lua_pushboolean(L, runtime->calls_hook_at_exit);
    lua_setfield(L, -2, "may_defer");
}
