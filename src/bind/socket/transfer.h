/* SPDX-License-Identifier: BSL-1.0 */
/* The one way of every call that a socket may keep waiting: try, start, suspend, finish.
 *
 *   1. The caller checks its arguments, has call_begin give it the fiber, and describes what it
 *      wants in the fiber's transfer: transfer_begin.
 *   2. transfer_run tries, and if there is nothing yet starts the fiber's operation and suspends.
 *      Who has rules of its own for how long to wait calls transfer_try and transfer_wait.
 *   3. `finish` finds the outcome in the transfer again, on the caller's thread. */
#ifndef BIND_SOCKET_TRANSFER_H
#define BIND_SOCKET_TRANSFER_H

#include <errno.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <lua.h>

#include <thrum/message.h>

#include "bind/fiber/call.h"
#include "bind/socket/socket.h"

enum transfer_type { TRANSFER_RECEIVE, TRANSFER_SEND, TRANSFER_ACCEPT, TRANSFER_CONNECT };

/* What a call wants of a socket, and what has come of it. It stands in the fiber. Outside any fiber
 * a finalizer may use the same one while `finish` allocates: take out what is needed before. */
struct transfer {
    struct socket *socket; /* anchored, like the bytes, by the caller's stack */
    struct thrum_message message;
    struct thrum_endpoint peer; /* the message's, once it has been started, or a connect's */
    thrum_socket *accepted;     /* an accept's */
    int user_flags;             /* what the caller asked for; the message's may have more */
};

static inline struct transfer *transfer_of(struct fiber *fiber)
{
    _Static_assert(sizeof(struct transfer) <= FIBER_CALL_SIZE, "FIBER_CALL_SIZE is too small");
    return (struct transfer *)fiber->call.bytes;
}

/* Bytes to be moved by the call of `fiber`. Who receives has message.peer point to `peer`; who
 * sends may have it point anywhere until the try has been made. */
static inline struct transfer *transfer_begin(struct fiber *fiber, struct socket *socket,
                                              void *data, size_t size, int flags)
{
    struct transfer *transfer = transfer_of(fiber);
    transfer->socket = socket;
    transfer->message = (struct thrum_message){.data = data, .size = size, .flags = flags};
    return transfer;
}

/* Ask now: 0, EAGAIN, or an error. An EAGAIN may be given without asking, because to start tells
 * as well: who may not wait tries twice. */
static inline int transfer_try(struct fiber *fiber, enum transfer_type type)
{
    struct transfer *transfer = transfer_of(fiber);
    thrum_socket *core = transfer->socket->core;
    switch (type) {
    case TRANSFER_RECEIVE:
        return thrum_socket_try_receive(core, &transfer->message);
    case TRANSFER_SEND:
        return thrum_socket_try_send(core, &transfer->message);
    case TRANSFER_ACCEPT:
        return thrum_socket_try_accept(core, transfer->accepted);
    default:
        return thrum_socket_try_connect(core, &transfer->peer);
    }
}

/* Start the fiber's operation and suspend until it ends or that time has come. */
int transfer_wait(lua_State *L, struct fiber *fiber, enum transfer_type type, int64_t deadline_ns,
                  call_finish *finish);

/* The operation alone, for who suspends in his own way; with a deadline, room is made for it. */
int transfer_start(struct fiber *fiber, enum transfer_type type, int64_t deadline_ns);
int transfer_suspend(lua_State *L, struct fiber *fiber, int64_t deadline_ns, call_finish *finish);

/* The same with the socket's own timeout; with one of 0 it is asked once more instead, and there is
 * no wait. */
int transfer_wait_for_socket(lua_State *L, struct fiber *fiber, enum transfer_type type,
                             call_finish *finish);

/* Both, with the socket's own timeout. */
static inline int transfer_run(lua_State *L, struct fiber *fiber, enum transfer_type type,
                               call_finish *finish)
{
    int error = transfer_try(fiber, type);
    if (error != EAGAIN)
        return call_done(L, fiber, error, finish);
    return transfer_wait_for_socket(L, fiber, type, finish);
}

/* When a wait that begins now has to end by the socket's timeout. */
int64_t transfer_deadline(const struct socket *socket);

/* Tell where the socket that the fiber waits for is bound: a wait_ops' describe. */
void transfer_describe_wait(lua_State *L, const struct fiber *fiber);

/* ---- what receives and sends of every kind share ---- */

/* The buffer of a receive, at 2. */
const struct byte_span *transfer_check_buffer(lua_State *L);
/* A receive into it. The kernel is asked for a datagram's whole length. */
struct transfer *transfer_begin_receive(lua_State *L, struct socket *socket,
                                        const struct byte_span *buffer, int flags,
                                        struct fiber **fiber);
/* Push how many bytes have come, or raise: `error`, or EMSGSIZE for a datagram that was longer. */
void transfer_push_received(lua_State *L, struct fiber *fiber, int error);
bool transfer_is_truncated(const struct transfer *transfer);
/* Push the values of the sender of a datagram. */
int transfer_push_sender(lua_State *L, struct fiber *fiber);
/* Push how many bytes were sent, or raise; the second for a send whose receiver is at 3. */
int transfer_finish_send(lua_State *L, struct fiber *fiber, int error);
int transfer_finish_send_to(lua_State *L, struct fiber *fiber, int error);
/* Raise the error of a call with an endpoint at `arg`, which the error tells if it is about it. */
noreturn void transfer_raise_to(lua_State *L, int error, int arg);

#endif
