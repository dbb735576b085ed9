/* SPDX-License-Identifier: BSL-1.0 */
/* Socket objects: every class is a row of traits over the one core. */
#ifndef BIND_SOCKET_H
#define BIND_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <lua.h>

#include <thrum/address.h>
#include <thrum/socket.h>

#include "bind/fiber.h"
#include "bind/noun.h"

struct byte_span;
struct socket;

/* How a family writes an endpoint in arguments and results: an address and a port, or a path. */
struct endpoint_codec {
    int n_values; /* how many arguments, and results, an endpoint is */
    int n_family; /* how many arguments tell the family */
    /* Read the endpoint whose first value is at `arg`, for a socket of `family` (AF_UNSPEC: not
     * open yet); raises EINVAL, or EAFNOSUPPORT for an endpoint that family cannot reach. With
     * `is_local`, what only bind takes will do too. */
    void (*check)(lua_State *L, int arg, int family, bool is_local,
                  struct thrum_endpoint *endpoint);
    /* Push the values of an endpoint; returns n_values. For the sender of a datagram `socket`, at
     * `index` on the stack, remembers the last one. */
    int (*push)(lua_State *L, const struct thrum_endpoint *endpoint);
    int (*push_sender)(lua_State *L, int index, struct socket *socket,
                       const struct thrum_endpoint *endpoint);
    /* The family that open and assign are asked for at `arg`, if they are asked for one. */
    int (*check_family)(lua_State *L, int arg);
};
extern const struct endpoint_codec codec_ip;   /* endpoint_ip.c */
extern const struct endpoint_codec codec_unix; /* endpoint_unix.c */

struct socket_class {
    enum noun_id id;
    enum thrum_kind kind;
    unsigned traits; /* enum option_trait */
    const struct endpoint_codec *codec;
    enum noun_id accepts; /* an acceptor: the class of what it gives */
};

struct socket {
    struct object object;
    struct runtime *runtime;
    thrum_socket *core;
    const struct socket_class *class;
    double timeout; /* seconds a call may be suspended, HUGE_VAL for no limit */
    /* The last sender: its object is the user value, so a packet costs no look-up. */
    struct thrum_address last_address;
    bool has_last_address;
};

/* Self, for the methods and properties of every socket class: a method that only some of the traits
 * know says which it needs. */
static inline struct socket *socket_self(lua_State *L, unsigned traits)
{
    struct socket *socket = noun_check_self(L, NOUN_SOCKET);
    if (traits & ~socket->class->traits)
        noun_raise_self(L);
    return socket;
}

/* Push a new socket of that class, closed. */
struct socket *socket_push(lua_State *L, const struct noun *noun);

/* Raise `error`; EBADF says that the socket is not open. */
noreturn void socket_raise(lua_State *L, int error);

/* ---- calls that may suspend: transfer.c ---- */

/* Tell where the socket that the fiber waits for is bound: a wait_kind's describe. */
void socket_describe_wait(lua_State *L, const struct fiber *fiber);
/* A call that may not wait asks the system once; neither a timer nor an operation is started. */
static inline bool socket_is_impatient(const struct socket *socket)
{
    return socket->timeout == 0;
}
/* Such a call is over: a receive or an accept has been tried again, because the first try may not
 * have asked. */
int socket_give_up(lua_State *L, struct fiber *fiber, int error, call_finish *finish);
/* What has to stand before an operation of this socket is started. */
void socket_prepare_wait(lua_State *L, const struct socket *socket, struct fiber *fiber);
/* Wait for the fiber's operation, which is one of this socket's. */
int socket_suspend(lua_State *L, struct socket *socket, struct fiber *fiber, call_finish *finish);
/* The same until that time, whatever the socket's own timeout. */
int socket_suspend_until(lua_State *L, struct socket *socket, struct fiber *fiber,
                         int64_t deadline_ns, call_finish *finish);

/* The buffer of a receive, at 2; with it the fiber of the call, where what finishing needs is
 * noted.
 */
const struct byte_span *socket_check_buffer(lua_State *L);
struct fiber *socket_begin_receive(lua_State *L, struct socket *socket,
                                   const struct byte_span *buffer, int flags);
/* The flags for the kernel: it is to tell a datagram's whole length. */
int socket_receive_flags(const struct fiber *fiber);
/* Push how many bytes have come, or raise: `error`, or EMSGSIZE for a datagram that was longer. */
void socket_push_received(lua_State *L, const struct fiber *fiber, int error, bool with_sender);
bool socket_is_truncated(const struct fiber *fiber);
/* Push how many bytes were sent, or raise; an error that is about an endpoint tells the one at
 * `arg`. */
int socket_finish_send(lua_State *L, struct fiber *fiber, int error);
int socket_finish_to(lua_State *L, struct fiber *fiber, int error, int arg);

/* Rows of the files that share the classes: a row serves those that have all its traits. */
struct socket_method_row {
    struct function_row function;
    unsigned traits;
};
struct socket_property_row {
    struct property_row property;
    unsigned traits;
};
extern const struct socket_method_row socket_transfer_methods[];   /* transfer.c */
extern const struct socket_method_row socket_passing_methods[];    /* passing.c */
extern const struct socket_method_row socket_connection_methods[]; /* connection.c */
extern const struct socket_method_row socket_option_methods[];     /* option.c */

#endif
