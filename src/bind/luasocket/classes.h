/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_LUASOCKET_CLASSES_H
#define BIND_LUASOCKET_CLASSES_H

#include "bind/value/class.h"

#define LUASOCKET_CLASSES(ROW)                                  \
    ROW(luasocket_class, "socket") /* of LuaSocket's objects */ \
    ROW(luasocket_tcp_class, "socket.tcp")                      \
    ROW(luasocket_udp_class, "socket.udp")                      \
    ROW(luasocket_unix_stream_class, "socket.unix.stream")      \
    ROW(luasocket_unix_datagram_class, "socket.unix.dgram")     \
    ROW(luasocket_watch_class, "socket.select") /* never shown */

LUASOCKET_CLASSES(CLASS_DECLARATION)

#endif
