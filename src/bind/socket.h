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

#include "bind/noun.h"

struct socket;

/* How a family writes an endpoint in arguments and results: an address and a port, or a path. */
struct endpoint_codec {
    int n_values; /* how many arguments, and results, an endpoint is */
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
    /* Push an endpoint as people write it. */
    void (*push_text)(lua_State *L, const struct thrum_endpoint *endpoint);
    /* The family that open and assign are asked for at `arg`. */
    int (*check_family)(lua_State *L, int arg);
};
extern const struct endpoint_codec codec_ip;

struct socket_class {
    enum noun_id id;
    enum thrum_kind kind;
    unsigned traits; /* enum option_trait */
    const struct endpoint_codec *codec;
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

/* Raise `error`; EBADF says that the socket is not open. */
noreturn void socket_raise(lua_State *L, int error);

/* Rows of the files that share the class: a row serves the classes that have all its traits. */
struct socket_method_row {
    struct function_row function;
    unsigned traits;
};
struct socket_property_row {
    struct property_row property;
    unsigned traits;
};
extern const struct socket_method_row socket_transfer_methods[]; /* transfer.c */
extern const struct socket_method_row socket_option_methods[];   /* option.c */

#endif
