/* SPDX-License-Identifier: BSL-1.0 */
/* unix: the module, a table for each kind of socket. */
#include "bind/socket/open.h"

#include "bind/socket/classes.h"
#include "bind/value/class.h"

static void set_class(lua_State *L, struct runtime *runtime, const struct class *id,
                      const char *name)
{
    socket_class_open(L, runtime, id);
    lua_setfield(L, -2, name);
}

int unix_open(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    lua_newtable(L);
    set_class(L, runtime, &unix_datagram_socket_class, "socket");
    lua_setfield(L, -2, "datagram");
    lua_newtable(L);
    set_class(L, runtime, &unix_stream_socket_class, "socket");
    set_class(L, runtime, &unix_stream_acceptor_class, "acceptor");
    lua_setfield(L, -2, "stream");
    lua_newtable(L);
    set_class(L, runtime, &unix_seqpacket_socket_class, "socket");
    set_class(L, runtime, &unix_seqpacket_acceptor_class, "acceptor");
    lua_setfield(L, -2, "seqpacket");
    return 1;
}
