/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_SOCKET_CLASSES_H
#define BIND_SOCKET_CLASSES_H

#include "bind/value/class.h"

#define SOCKET_CLASSES(ROW)                                           \
    ROW(ip_class, "ip")                                               \
    ROW(message_flag_class, "ip.message_flag")                        \
    ROW(address_info_flag_class, "ip.address_info_flag")              \
    ROW(lookup_class, "lookup")                                       \
    ROW(udp_class, "ip.udp")                                          \
    ROW(tcp_class, "ip.tcp")                                          \
    ROW(socket_class, "socket") /* of every socket class's objects */ \
    ROW(udp_socket_class, "ip.udp.socket")                            \
    ROW(tcp_socket_class, "ip.tcp.socket")                            \
    ROW(tcp_acceptor_class, "ip.tcp.acceptor")                        \
    ROW(unix_datagram_socket_class, "unix.datagram.socket")           \
    ROW(unix_stream_socket_class, "unix.stream.socket")               \
    ROW(unix_stream_acceptor_class, "unix.stream.acceptor")           \
    ROW(unix_seqpacket_socket_class, "unix.seqpacket.socket")         \
    ROW(unix_seqpacket_acceptor_class, "unix.seqpacket.acceptor")

SOCKET_CLASSES(CLASS_DECLARATION)

#endif
