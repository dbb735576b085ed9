// SPDX-License-Identifier: BSL-1.0
// Connected pairs of every kind.
#include "world.hpp"

namespace
{

void assign_ends(const pairing &row, const connected &pair, const int ends[2])
{
    REQUIRE(thrum_socket_assign(pair.a, row.family, ends[0]) == 0);
    REQUIRE(thrum_socket_assign(pair.b, row.family, ends[1]) == 0);
}

void connect_udp(const connected &pair)
{
    struct thrum_endpoint any_port = loopback_v4();
    for (thrum_socket *socket : {pair.a, pair.b}) {
        REQUIRE(thrum_socket_open(socket, AF_INET, 0) == 0);
        REQUIRE(thrum_socket_bind(socket, &any_port) == 0);
    }
    struct thrum_endpoint a = local_of(pair.a), b = local_of(pair.b);
    REQUIRE(thrum_socket_try_connect(pair.a, &b) == 0);
    REQUIRE(thrum_socket_try_connect(pair.b, &a) == 0);
}

// With plain system calls, so that cases about transfers do not depend on the acceptor.
void connect_tcp(const pairing &row, const connected &pair)
{
    struct thrum_endpoint name = loopback_v4();
    int ends[2];
    int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ends[0] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(listener, &name.sa.any, name.size) == 0);
    REQUIRE(::getsockname(listener, &name.sa.any, &name.size) == 0);
    REQUIRE(::listen(listener, 1) == 0);
    REQUIRE(::connect(ends[0], &name.sa.any, name.size) == 0);
    ends[1] = ::accept(listener, nullptr, nullptr);
    ::close(listener);
    assign_ends(row, pair, ends);
}

} // namespace

connected connect_pair(world &w, const pairing &row)
{
    connected pair = {w.socket(row.kind), w.socket(row.kind)};
    int ends[2];
    if (row.family == AF_UNIX) {
        REQUIRE(::socketpair(AF_UNIX, row.kind, 0, ends) == 0);
        assign_ends(row, pair, ends);
    } else if (row.kind == THRUM_DATAGRAM) {
        connect_udp(pair);
    } else {
        connect_tcp(row, pair);
    }
    return pair;
}
