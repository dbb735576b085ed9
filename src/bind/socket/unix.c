/* SPDX-License-Identifier: BSL-1.0 */
/* unix: the module, a table for each kind of socket. */
#include "bind/module/modules.h"

#include "bind/value/class.h"

static void set_class(lua_State *L, struct runtime *runtime, enum noun_id id, const char *name)
{
    socket_class_open(L, runtime, id);
    lua_setfield(L, -2, name);
}

int unix_open(lua_State *L, struct runtime *runtime)
{
    lua_newtable(L);
    lua_newtable(L);
    set_class(L, runtime, NOUN_UNIX_DATAGRAM_SOCKET, "socket");
    lua_setfield(L, -2, "datagram");
    lua_newtable(L);
    set_class(L, runtime, NOUN_UNIX_STREAM_SOCKET, "socket");
    set_class(L, runtime, NOUN_UNIX_STREAM_ACCEPTOR, "acceptor");
    lua_setfield(L, -2, "stream");
    lua_newtable(L);
    set_class(L, runtime, NOUN_UNIX_SEQPACKET_SOCKET, "socket");
    set_class(L, runtime, NOUN_UNIX_SEQPACKET_ACCEPTOR, "acceptor");
    lua_setfield(L, -2, "seqpacket");
    return 1;
}
