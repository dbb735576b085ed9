// SPDX-License-Identifier: BSL-1.0
// Sockets opened, adopted, closed and outlived by each other.
#include "world.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

TEST_CASE("open makes a descriptor that is non-blocking and close-on-exec")
{
    world w;
    thrum_socket *a = w.socket(THRUM_DATAGRAM);
    CHECK_FALSE(thrum_socket_is_open(a));
    CHECK(thrum_socket_family(a) == AF_UNSPEC);
    REQUIRE(thrum_socket_open(a, AF_INET, 0) == 0);
    int fd = thrum_socket_native_handle(a);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(thrum_socket_open(a, AF_INET, 0) == THRUM_EALREADY_OPEN);
    CHECK(thrum_socket_family(a) == AF_INET);
}

TEST_CASE("open reports what socket(2) said and leaves the socket closed")
{
    world w;
    thrum_socket *a = w.socket(THRUM_DATAGRAM);
    CHECK(thrum_socket_open(a, 9999, 0) == EAFNOSUPPORT);
    CHECK(thrum_socket_open(a, AF_INET, IPPROTO_TCP) == EPROTONOSUPPORT);
    CHECK_FALSE(thrum_socket_is_open(a));
    CHECK(thrum_socket_open(a, AF_INET, 0) == 0);
}

TEST_CASE("every call on a closed socket answers EBADF")
{
    auto kind = GENERATE(THRUM_DATAGRAM, THRUM_STREAM, THRUM_SEQPACKET);
    world w;
    thrum_socket *a = w.socket(kind);
    struct thrum_endpoint name = loopback_v4(1);
    waiter one;
    std::size_t size = sizeof(int);
    int value = 0, fd;
    char byte = 0;
    CHECK(thrum_socket_close(a) == 0);
    CHECK(thrum_socket_release(a, &fd) == EBADF);
    CHECK(thrum_socket_cancel(a) == EBADF);
    CHECK(thrum_socket_local_endpoint(a, &name) == EBADF);
    CHECK(thrum_socket_remote_endpoint(a, &name) == EBADF);
    CHECK(thrum_socket_available(a, &size) == EBADF);
    CHECK(thrum_socket_bind(a, &name) == EBADF);
    CHECK(thrum_socket_disconnect(a) == EBADF);
    CHECK(thrum_socket_shutdown(a, SHUT_RD) == EBADF);
    CHECK(thrum_socket_set_option(a, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) == EBADF);
    CHECK(thrum_socket_get_option(a, SOL_SOCKET, SO_SNDBUF, &value, &size) == EBADF);
    CHECK(now_receive(a, &byte, 1, 0, &size) == EBADF);
    CHECK(now_receive_from(a, &byte, 1, 0, &size, &name) == EBADF);
    CHECK(now_send(a, &byte, 1, 0, &size) == EBADF);
    CHECK(now_send_to(a, &byte, 1, 0, &name, &size) == EBADF);
    CHECK(one.receive(a) == EBADF);
    CHECK(one.send(a, "x") == EBADF);
    CHECK(thrum_socket_wait(a, &one.operation, THRUM_WAIT_READ) == EBADF);
    CHECK(one.n_done == 0);
    CHECK_FALSE(one.is_pending());
}

TEST_CASE("assign refuses what is not a socket of that family and kind, and leaves it alone")
{
    world w;
    thrum_socket *a = w.socket(THRUM_DATAGRAM);
    int pipes[2], tcp = ::socket(AF_INET, SOCK_STREAM, 0);
    int udp = ::socket(AF_INET, SOCK_DGRAM, 0);
    REQUIRE(::pipe(pipes) == 0);
    CHECK(thrum_socket_assign(a, AF_INET, pipes[0]) == ENOTSOCK);
    CHECK(thrum_socket_assign(a, AF_INET, -1) == EBADF);
    CHECK(thrum_socket_assign(a, AF_INET, tcp) == EINVAL);
    CHECK(thrum_socket_assign(a, AF_INET6, udp) == EINVAL);
    CHECK(fcntl(udp, F_GETFD) == 0);
    CHECK(thrum_socket_assign(a, AF_INET, udp) == 0);
    CHECK(fcntl(udp, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(udp, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(thrum_socket_assign(a, AF_INET, udp) == THRUM_EALREADY_OPEN);
    CHECK(thrum_socket_assign(w.socket(THRUM_DATAGRAM), AF_INET, udp) == EEXIST);

    thrum_socket *stream = w.socket(THRUM_STREAM);
    REQUIRE(::listen(tcp, 1) == 0);
    CHECK(thrum_socket_assign(stream, AF_UNIX, tcp) == EINVAL);
    CHECK(thrum_socket_assign(stream, AF_INET, tcp) == 0);
    for (int fd : {pipes[0], pipes[1]})
        CHECK(::close(fd) == 0);
}

TEST_CASE("a socket is as new after it has been opened again")
{
    world w;
    thrum_socket *a = bound_udp(w), *b = bound_udp(w);
    waiter old, fresh;
    char byte;
    std::size_t size;
    REQUIRE(old.receive_from(b) == 0);
    REQUIRE(thrum_socket_shutdown(b, SHUT_RD) == 0);
    REQUIRE(thrum_socket_close(b) == 0);
    struct thrum_endpoint any_port = loopback_v4();
    REQUIRE(thrum_socket_open(b, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_bind(b, &any_port) == 0);
    REQUIRE(try_send_to(a, "x", local_of(b)) == 0);
    CHECK(now_receive(b, &byte, 1, 0, &size) == 0);
    REQUIRE(fresh.receive_from(b) == 0);
    old.cancel(); // of the earlier life: the new one is not disturbed
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(old.error == THRUM_EEOF);
    CHECK(now_receive(b, &byte, 1, 0, &size) == EAGAIN);
    REQUIRE(try_send_to(a, "fresh", local_of(b)) == 0);
    w.run();
    CHECK(fresh.text() == "fresh");
}

// Seen in libuv: closing leaves the description registered when another process has it open too,
// and its events keep coming.
TEST_CASE("the reactor forgets a descriptor that somebody else has open as well")
{
    auto is_release = GENERATE(false, true);
    world w;
    auto [a, b] = connect_pair(w, pairings[0]);
    int copy = ::dup(thrum_socket_native_handle(b)), fd = -1;
    waiter idle, at_a;
    REQUIRE(idle.receive(b) == 0);
    if (is_release)
        REQUIRE(thrum_socket_release(b, &fd) == 0);
    else
        REQUIRE(thrum_socket_close(b) == 0);
    w.run();
    REQUIRE(try_send(a, "for the copy") == 0);
    REQUIRE(at_a.receive(a) == 0);
    for (int i = 0; i < 10; ++i)
        CHECK(thrum_context_poll(w.context) == 0);
    at_a.cancel();
    w.run();
    char bytes[32];
    CHECK(::recv(copy, bytes, sizeof(bytes), 0) == 12);
    ::close(copy);
    if (is_release)
        ::close(fd);
}

TEST_CASE("connect fails and the socket stays open")
{
    auto kind = GENERATE(THRUM_STREAM, THRUM_SEQPACKET);
    world w;
    thrum_socket *a = w.socket(kind);
    struct thrum_endpoint nobody = {};
    nobody.sa.path.sun_family = AF_UNIX;
    std::strcpy(nobody.sa.path.sun_path + 1, "thrum-test-nobody");
    nobody.size = sizeof(sa_family_t) + 18;
    waiter connecting;
    CHECK(thrum_socket_try_connect(a, &nobody) == EAGAIN);
    REQUIRE(thrum_socket_connect(a, &connecting.operation, &nobody) == 0);
    w.run();
    CHECK(connecting.error == ECONNREFUSED);
    CHECK(thrum_socket_is_open(a));
}

TEST_CASE("objects outlive their context as shells")
{
    descriptor_watch watch;
    thrum_context *context;
    thrum_socket *udp, *stream;
    thrum_socket *listener;
    thrum_timer *timer;
    waiter one;
    REQUIRE(thrum_context_new(&context) == 0);
    REQUIRE(thrum_socket_new(context, THRUM_DATAGRAM, &udp) == 0);
    REQUIRE(thrum_socket_new(context, THRUM_STREAM, &stream) == 0);
    REQUIRE(thrum_socket_new(context, THRUM_STREAM, &listener) == 0);
    REQUIRE(thrum_timer_new(context, &timer) == 0);
    REQUIRE(thrum_socket_open(udp, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_open(listener, AF_INET, 0) == 0);
    CHECK(thrum_context_n_objects(context) == 4);
    thrum_context_free(context);

    struct thrum_endpoint name = loopback_v4(1);
    CHECK(thrum_socket_open(udp, AF_INET, 0) == EBADF);
    CHECK(thrum_socket_assign(udp, AF_INET, 0) == EBADF);
    CHECK(thrum_socket_try_connect(udp, &name) == EBADF);
    CHECK(thrum_socket_connect(stream, &one.operation, &name) == EBADF);
    CHECK(thrum_socket_close(udp) == 0);
    CHECK(one.receive(udp) == EBADF);
    CHECK(thrum_socket_open(listener, AF_INET, 0) == EBADF);
    CHECK(thrum_socket_listen(listener, 1) == EBADF);
    CHECK(thrum_socket_accept(listener, &one.operation, stream) == EBADF);
    CHECK(thrum_socket_close(listener) == 0);
    CHECK(thrum_timer_wait(timer, &one.operation, 0) == EBADF);
    thrum_timer_free(timer);
    thrum_socket_free(stream);
    thrum_socket_free(listener);
    thrum_socket_free(udp);
}

TEST_CASE("a context goes with everything pending, and nothing is called")
{
    auto is_freed_first = GENERATE(false, true);
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    descriptor_watch watch;
    world *w = new world;
    auto [a, b] = connect_pair(*w, row);
    thrum_timer *timer = nullptr;
    thrum_socket *listener = nullptr;
    thrum_socket *accepted = w->socket(THRUM_STREAM);
    struct thrum_endpoint name = loopback_v4();
    waiter waiting[9];
    REQUIRE(thrum_timer_new(w->context, &timer) == 0);
    REQUIRE(thrum_socket_new(w->context, THRUM_STREAM, &listener) == 0);
    REQUIRE(thrum_socket_open(listener, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_bind(listener, &name) == 0);
    REQUIRE(thrum_socket_listen(listener, 1) == 0);
    REQUIRE(try_send(a, "x") == 0);
    REQUIRE(waiting[0].receive(b) == 0); // there at once
    REQUIRE(waiting[1].receive(b) == 0);
    REQUIRE(waiting[2].receive(b) == 0);
    waiting[2].cancel(); // its completion is on its way
    REQUIRE(thrum_socket_wait(b, &waiting[3].operation, THRUM_WAIT_READ) == 0);
    REQUIRE(waiting[4].send(a, "y") == 0);
    REQUIRE(thrum_timer_wait(timer, &waiting[5].operation, INT64_MAX) == 0);
    REQUIRE(thrum_socket_accept(listener, &waiting[6].operation, accepted) == 0);
    REQUIRE(thrum_socket_accept(listener, &waiting[7].operation, accepted) == 0);
    REQUIRE(waiting[8].receive(a) == 0);
    CHECK(thrum_context_n_pending(w->context) == 9);
    auto free_all = [&] {
        for (thrum_socket *socket : w->sockets)
            thrum_socket_free(socket);
        thrum_socket_free(listener);
        thrum_timer_free(timer);
        w->sockets.clear();
    };
    if (is_freed_first)
        free_all();
    thrum_context_free(w->context);
    if (!is_freed_first)
        free_all();
    for (waiter &each : waiting) {
        CHECK(each.n_done == 0);
        CHECK_FALSE(each.is_pending());
    }
    REQUIRE(thrum_context_new(&w->context) == 0);
    delete w;
}

TEST_CASE("free takes NULL")
{
    thrum_socket_free(nullptr);
    thrum_socket_free(nullptr);
    thrum_timer_free(nullptr);
    thrum_context_free(nullptr);
}
