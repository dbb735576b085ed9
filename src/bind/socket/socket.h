/* SPDX-License-Identifier: BSL-1.0 */
/* Socket objects: every class is a row of traits over the one core. */
#ifndef BIND_SOCKET_SOCKET_H
#define BIND_SOCKET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <lua.h>

#include <thrum/address.h>
#include <thrum/socket.h>

#include "bind/fiber/fiber.h"
#include "bind/socket/classes.h"

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
    const struct class *id;
    enum thrum_kind kind;
    unsigned traits; /* enum option_trait */
    const struct endpoint_codec *codec;
    const struct class *accepts; /* an acceptor: the class of what it gives */
};

static inline const struct socket_class *socket_class_of(const struct class_state *state)
{
    return state->traits;
}

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
    struct socket *socket = class_check_self(L, &socket_class);
    if (traits & ~socket->class->traits)
        class_raise_self(L);
    return socket;
}

/* Push a new socket of that class, closed. */
struct socket *socket_push(lua_State *L, const struct class_state *state);

/* Raise `error`; EBADF says that the socket is not open. */
noreturn void socket_raise(lua_State *L, int error);

/* A call that may not wait asks the system once; neither a timer nor an operation is started. */
static inline bool socket_is_impatient(const struct socket *socket)
{
    return socket->timeout == 0;
}

/* Flags of a call at `arg`: none, or a combination of those allowed. */
int socket_check_given_flags(lua_State *L, int arg, int allowed, const char *expected);
static inline int socket_check_flags(lua_State *L, int arg, int allowed, const char *expected)
{
    return lua_isnoneornil(L, arg) ? 0 : socket_check_given_flags(L, arg, allowed, expected);
}

/* Rows of the files that share the classes: a row serves those that have all its traits. */
struct socket_method_row {
    struct function_row function;
    unsigned traits;
};
struct socket_property_row {
    struct property_row property;
    unsigned traits;
};
extern const struct socket_method_row socket_life_methods[]; /* socket.c */
extern const struct socket_method_row socket_class_functions[];
extern const struct socket_property_row socket_properties[];
extern const struct function_row socket_metamethods[];
extern const struct socket_method_row socket_receive_methods[];    /* receive.c */
extern const struct socket_method_row socket_send_methods[];       /* send.c */
extern const struct socket_method_row socket_descriptor_methods[]; /* descriptor_passing.c */
extern const struct socket_method_row socket_connection_methods[]; /* connect.c */
extern const struct socket_method_row socket_option_methods[];     /* option.c */

#endif
