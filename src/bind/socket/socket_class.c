/* SPDX-License-Identifier: BSL-1.0 */
/* Socket classes: rows of traits over the one core, and what each of them has. */
#include <lauxlib.h>

#include "bind/socket/classes.h"
#include "bind/socket/open.h"
#include "bind/socket/socket.h"
#include "net/option.h"

static const struct socket_class classes[] = {
    {&udp_socket_class, THRUM_DATAGRAM, TRAIT_SOCKET | TRAIT_DATAGRAM | TRAIT_IP, &codec_ip, 0},
    {&tcp_socket_class, THRUM_STREAM, TRAIT_SOCKET | TRAIT_STREAM | TRAIT_IP, &codec_ip, 0},
    {&tcp_acceptor_class, THRUM_STREAM, TRAIT_ACCEPTOR | TRAIT_STREAM | TRAIT_IP, &codec_ip,
     &tcp_socket_class},
    {&unix_datagram_socket_class, THRUM_DATAGRAM, TRAIT_SOCKET | TRAIT_DATAGRAM | TRAIT_UNIX,
     &codec_unix, 0},
    {&unix_stream_socket_class, THRUM_STREAM, TRAIT_SOCKET | TRAIT_STREAM | TRAIT_UNIX, &codec_unix,
     0},
    {&unix_stream_acceptor_class, THRUM_STREAM, TRAIT_ACCEPTOR | TRAIT_STREAM | TRAIT_UNIX,
     &codec_unix, &unix_stream_socket_class},
    {&unix_seqpacket_socket_class, THRUM_SEQPACKET, TRAIT_SOCKET | TRAIT_SEQPACKET | TRAIT_UNIX,
     &codec_unix, 0},
    {&unix_seqpacket_acceptor_class, THRUM_SEQPACKET, TRAIT_ACCEPTOR | TRAIT_SEQPACKET | TRAIT_UNIX,
     &codec_unix, &unix_seqpacket_socket_class},
};

static const struct socket_class *find_class(const struct class *id)
{
    const struct socket_class *class = classes;
    while (class->id != id)
        class ++;
    return class;
}

static void add_methods(lua_State *L, struct class_state *state,
                        const struct socket_method_row *rows)
{
    for (; rows->function.name; rows++)
        if ((rows->traits & ~socket_class_of(state)->traits) == 0)
            class_add_method(L, state, &rows->function);
}

static void add_properties(lua_State *L, const struct class_state *state)
{
    for (const struct socket_property_row *row = socket_properties; row->property.name; row++)
        if ((row->traits & ~socket_class_of(state)->traits) == 0)
            class_add_property(L, &row->property);
}

int socket_class_open(lua_State *L, struct runtime *runtime, const struct class *id)
{
    struct class_state *state = class_get(L, runtime, id);
    state->traits = find_class(id);
    lua_newtable(L);
    add_methods(L, state, socket_life_methods);
    add_methods(L, state, socket_connection_methods);
    add_methods(L, state, socket_receive_methods);
    add_methods(L, state, socket_send_methods);
    add_methods(L, state, socket_descriptor_methods);
    add_methods(L, state, socket_option_methods);
    add_properties(L, state);
    class_finish(L, state, &(struct class_rows){.metamethods = socket_metamethods});
    lua_newtable(L);
    add_methods(L, state, socket_class_functions);
    return 1;
}
