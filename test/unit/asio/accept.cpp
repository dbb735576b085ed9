// SPDX-License-Identifier: BSL-1.0
// Sockets that listen, and what they accept.
#include "world.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

namespace
{

struct listening : world {
    thrum_socket *listener = nullptr;
    pairing row;
    struct thrum_endpoint name = {};

    explicit listening(const pairing &row, int backlog = 16) : row(row)
    {
        name = loopback_v4();
        if (row.family == AF_UNIX) {
            name = {};
            name.sa.path.sun_family = AF_UNIX;
            name.size = sizeof(sa_family_t); // autobind
        }
        REQUIRE(thrum_socket_new(context, row.kind, &listener) == 0);
        REQUIRE(thrum_socket_open(listener, row.family, 0) == 0);
        REQUIRE(thrum_socket_bind(listener, &name) == 0);
        REQUIRE(thrum_socket_listen(listener, backlog) == 0);
        REQUIRE(thrum_socket_local_endpoint(listener, &name) == 0);
    }

    ~listening()
    {
        thrum_socket_free(listener);
    }

    // A client that has connected, or is about to.
    thrum_socket *client(waiter &connecting)
    {
        thrum_socket *made = socket(row.kind);
        REQUIRE(thrum_socket_connect(made, &connecting.operation, &name) == 0);
        return made;
    }
};

const pairing connecting_kinds[] = {pairings[1], pairings[3], pairings[4]};

} // namespace

TEST_CASE("an accepted socket is connected, non-blocking and close-on-exec")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    auto is_early = GENERATE(false, true);
    INFO(row.name);
    listening w(row);
    waiter connecting, accepting, at_server;
    thrum_socket *server = w.socket(row.kind), *client = nullptr;
    if (is_early)
        client = w.client(connecting);
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, server) == 0);
    CHECK(accepting.n_done == 0);
    if (!is_early)
        client = w.client(connecting);
    w.run();
    CHECK(connecting.error == 0);
    CHECK(accepting.error == 0);
    REQUIRE(thrum_socket_is_open(server));
    CHECK(thrum_socket_family(server) == row.family);
    int fd = thrum_socket_native_handle(server);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    REQUIRE(at_server.receive(server) == 0);
    REQUIRE(try_send(client, "hello") == 0);
    w.run();
    CHECK(at_server.text() == "hello");
}

TEST_CASE("accepts are served first come, first served")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row);
    waiter accepting[4], connecting[3];
    thrum_socket *server[4];
    std::string order;
    for (int i = 0; i < 4; ++i) {
        server[i] = w.socket(row.kind);
        accepting[i].then = [&order, i] { order += static_cast<char>('0' + i); };
        REQUIRE(thrum_socket_accept(w.listener, &accepting[i].operation, server[i]) == 0);
    }
    accepting[0].cancel();
    accepting[2].cancel();
    CHECK(thrum_context_poll(w.context) == 2);
    CHECK(accepting[0].error == ECANCELED);
    CHECK(accepting[2].error == ECANCELED);
    order.clear();
    REQUIRE(thrum_socket_accept(w.listener, &accepting[0].operation, server[0]) == 0);
    for (waiter &each : connecting)
        w.client(each);
    w.run();
    CHECK(order == "130");
    CHECK_FALSE(thrum_socket_is_open(server[2]));
}

TEST_CASE("close, cancel and free of a listener wake all waiting operations")
{
    auto how = GENERATE(0, 1, 2, 3);
    listening w(pairings[1]);
    waiter first, second;
    thrum_socket *a = w.socket(THRUM_STREAM), *b = w.socket(THRUM_STREAM);
    int fd = -1;
    REQUIRE(thrum_socket_accept(w.listener, &first.operation, a) == 0);
    REQUIRE(thrum_socket_accept(w.listener, &second.operation, b) == 0);
    CHECK(thrum_socket_accept(w.listener, &second.operation, b) == EBUSY);
    if (how == 0)
        CHECK(thrum_socket_close(w.listener) == 0);
    else if (how == 1)
        CHECK(thrum_socket_cancel(w.listener) == 0);
    else if (how == 2)
        CHECK(thrum_socket_release(w.listener, &fd) == 0);
    else
        thrum_socket_free(w.listener);
    w.run();
    CHECK(first.error == ECANCELED);
    CHECK(second.error == ECANCELED);
    if (how == 3)
        w.listener = nullptr;
    if (how == 1) {
        waiter connecting;
        w.client(connecting);
        REQUIRE(thrum_socket_accept(w.listener, &first.operation, a) == 0);
        w.run();
        CHECK(first.error == 0);
    }
    if (how == 2) { // what is assigned may be listening
        REQUIRE(thrum_socket_assign(w.listener, AF_INET, fd) == 0);
        CHECK(thrum_socket_native_handle(w.listener) == fd);
    }
}

TEST_CASE("accept refuses a socket that is open or of another kind")
{
    listening w(pairings[1]);
    waiter accepting;
    auto accept = [&](thrum_socket *socket) {
        return thrum_socket_accept(w.listener, &accepting.operation, socket);
    };
    CHECK(accept(w.socket(THRUM_SEQPACKET)) == EINVAL);
    thrum_socket *open = w.socket(THRUM_STREAM);
    REQUIRE(thrum_socket_open(open, AF_INET, 0) == 0);
    CHECK(accept(open) == THRUM_EALREADY_OPEN);
    CHECK(thrum_socket_try_accept(w.listener, w.socket(THRUM_SEQPACKET)) == EINVAL);
    CHECK(thrum_socket_try_accept(w.listener, open) == THRUM_EALREADY_OPEN);
    CHECK(accepting.n_done == 0);
}

TEST_CASE("accept and listen refuse what cannot listen or does not")
{
    world w;
    thrum_socket *udp = w.socket(THRUM_DATAGRAM), *stream = w.socket(THRUM_STREAM);
    thrum_socket *target = w.socket(THRUM_STREAM);
    waiter accepting;
    CHECK(thrum_socket_listen(stream, 1) == EBADF);
    CHECK(thrum_socket_try_accept(stream, target) == EBADF);
    CHECK(thrum_socket_accept(stream, &accepting.operation, target) == EBADF);
    REQUIRE(thrum_socket_open(udp, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_open(stream, AF_INET, 0) == 0);
    CHECK(thrum_socket_listen(udp, 1) == EOPNOTSUPP);
    CHECK(thrum_socket_try_accept(udp, w.socket(THRUM_DATAGRAM)) == EOPNOTSUPP);
    CHECK(thrum_socket_accept(udp, &accepting.operation, w.socket(THRUM_DATAGRAM)) == EOPNOTSUPP);
    CHECK(thrum_socket_try_accept(stream, target) == EINVAL);
    REQUIRE(thrum_socket_accept(stream, &accepting.operation, target) == 0);
    w.run();
    CHECK(accepting.error == EINVAL);
}

TEST_CASE("a try finds a connection that is there, and overtakes nobody")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row);
    waiter connecting[2], accepting;
    thrum_socket *server[3] = {w.socket(row.kind), w.socket(row.kind), w.socket(row.kind)};
    CHECK(thrum_socket_try_accept(w.listener, server[0]) == EAGAIN);
    w.client(connecting[0]);
    w.run();
    CHECK(thrum_socket_try_accept(w.listener, server[0]) == EAGAIN); // not asked: start
    CHECK(thrum_socket_try_accept(w.listener, server[0]) == 0);
    CHECK(thrum_socket_is_open(server[0]));
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, server[1]) == 0);
    w.client(connecting[1]);
    CHECK(thrum_socket_try_accept(w.listener, server[2]) == EAGAIN);
    w.run();
    CHECK(accepting.error == 0);
    CHECK(thrum_socket_is_open(server[1]));
}

TEST_CASE("the socket of an accept may be freed, opened or claimed twice meanwhile")
{
    listening w(pairings[1]);
    waiter freed, opened, connecting[2];
    thrum_socket *a = w.socket(THRUM_STREAM), *b = w.socket(THRUM_STREAM);
    REQUIRE(thrum_socket_accept(w.listener, &freed.operation, a) == 0);
    REQUIRE(thrum_socket_accept(w.listener, &opened.operation, b) == 0);
    thrum_socket_free(a);
    w.forget(a);
    REQUIRE(thrum_socket_open(b, AF_INET, 0) == 0);
    w.client(connecting[0]);
    w.run();
    CHECK(freed.error == ECANCELED);
    CHECK(opened.error == THRUM_EALREADY_OPEN);
    REQUIRE(thrum_socket_close(b) == 0);
    REQUIRE(thrum_socket_accept(w.listener, &opened.operation, b) == 0); // nobody was lost
    w.run();
    CHECK(opened.error == 0);
}

TEST_CASE("the descriptor limit is reported once per accept, and then it goes on")
{
    if (RUNNING_ON_VALGRIND) // plays the limit by accepting and closing: the connection is lost
        return;
    listening w(pairings[1]);
    waiter accepting[2], connecting;
    thrum_socket *server[2] = {w.socket(THRUM_STREAM), w.socket(THRUM_STREAM)};
    for (int i = 0; i < 2; ++i)
        REQUIRE(thrum_socket_accept(w.listener, &accepting[i].operation, server[i]) == 0);
    w.client(connecting);
    rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    w.run();
    int error = EAGAIN;
    for (int i = 0; i < 2 && error == EAGAIN; i++) // the first may not have been asked
        error = thrum_socket_try_accept(w.listener, server[0]);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(accepting[0].error == EMFILE);
    CHECK(accepting[1].error == EMFILE);
    CHECK(error == EMFILE);
    REQUIRE(thrum_socket_accept(w.listener, &accepting[0].operation, server[0]) == 0);
    w.run();
    CHECK(accepting[0].error == 0);
}

TEST_CASE("a connection that another took makes the accept wait again")
{
    listening w(pairings[1]);
    waiter accepting, connecting[2];
    thrum_socket *server = w.socket(THRUM_STREAM);
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, server) == 0);
    w.client(connecting[0]);
    int fd = ::accept(thrum_socket_native_handle(w.listener), nullptr, nullptr);
    REQUIRE(fd >= 0);
    CHECK(thrum_context_poll(w.context) >= 1); // the connect
    CHECK(accepting.n_done == 0);
    ::close(fd);
    w.client(connecting[1]);
    w.run();
    CHECK(accepting.error == 0);
}

// Seen: a unix listener with a full backlog answers EAGAIN, and Asio then reports success.
TEST_CASE("a connect to a unix listener whose backlog is full waits for room")
{
    auto row = GENERATE(pairings[3], pairings[4]);
    INFO(row.name);
    listening w(row, 0);
    waiter connecting[4], accepting[4];
    thrum_socket *client[4];
    for (int i = 0; i < 4; ++i)
        client[i] = w.client(connecting[i]);
    for (int i = 0; i < 3; ++i)
        thrum_context_poll(w.context);
    CHECK(connecting[0].error == 0);
    CHECK(connecting[3].n_done == 0);
    CHECK(thrum_context_n_pending(w.context) > 0);
    connecting[3].cancel();
    for (int i = 0; i < 3; ++i)
        REQUIRE(thrum_socket_accept(w.listener, &accepting[i].operation, w.socket(row.kind)) == 0);
    w.run();
    CHECK(connecting[1].error == 0);
    CHECK(connecting[2].error == 0);
    CHECK(connecting[3].error == ECANCELED);
    for (int i = 0; i < 3; ++i)
        CHECK(accepting[i].error == 0);
    struct thrum_endpoint peer;
    CHECK(thrum_socket_remote_endpoint(client[2], &peer) == 0);
    CHECK(thrum_socket_remote_endpoint(client[3], &peer) == ENOTCONN);
    REQUIRE(thrum_socket_accept(w.listener, &accepting[3].operation, w.socket(row.kind)) == 0);
    REQUIRE(thrum_socket_connect(client[3], &connecting[3].operation, &w.name) == 0);
    w.run();
    CHECK(connecting[3].error == 0);
}

TEST_CASE("a connect that waits for room ends when the listener does, or its socket")
{
    auto is_listener = GENERATE(false, true);
    listening w(pairings[3], 0);
    waiter connecting[4];
    thrum_socket *last = nullptr;
    for (waiter &each : connecting)
        last = w.client(each);
    for (int i = 0; i < 3; ++i)
        thrum_context_poll(w.context);
    CHECK(connecting[3].n_done == 0);
    CHECK(thrum_socket_close(is_listener ? w.listener : last) == 0);
    if (!is_listener)
        for (waiter &each : connecting)
            each.cancel();
    w.run();
    CHECK(connecting[3].error == (is_listener ? ECONNREFUSED : ECANCELED));
}

TEST_CASE("a listener takes options")
{
    world w;
    thrum_socket *listener = nullptr;
    int on = 1, got = 0;
    std::size_t size = sizeof(got);
    REQUIRE(thrum_socket_new(w.context, THRUM_STREAM, &listener) == 0);
    CHECK(thrum_socket_set_option(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == EBADF);
    REQUIRE(thrum_socket_open(listener, AF_INET, 0) == 0);
    CHECK(thrum_socket_family(listener) == AF_INET);
    REQUIRE(thrum_socket_set_option(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    REQUIRE(thrum_socket_get_option(listener, SOL_SOCKET, SO_REUSEADDR, &got, &size) == 0);
    CHECK(got != 0);
    thrum_socket_free(listener);
}
