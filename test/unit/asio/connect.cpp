// SPDX-License-Identifier: BSL-1.0
// Connecting and accepting where somebody else decides whether the description blocks.
#include "world.hpp"

#include <fcntl.h>
#include <poll.h>

namespace
{

const pairing connecting_kinds[] = {pairings[1], pairings[3], pairings[4]};

// As a process that shares the open file description may do at any time.
void make_blocking(const thrum_socket *socket)
{
    int fd = thrum_socket_native_handle(socket);
    REQUIRE(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
}

bool is_blocking(const thrum_socket *socket)
{
    return (fcntl(thrum_socket_native_handle(socket), F_GETFL) & O_NONBLOCK) == 0;
}

struct listening : world {
    thrum_socket *listener;
    pairing row;
    struct thrum_endpoint name = {};

    explicit listening(const pairing &row, int backlog = 16) : row(row)
    {
        listener = socket(row.kind);
        name = loopback_v4();
        if (row.family == AF_UNIX) {
            name = {};
            name.sa.path.sun_family = AF_UNIX;
            name.size = sizeof(sa_family_t); // autobind
        }
        REQUIRE(thrum_socket_open(listener, row.family, 0) == 0);
        REQUIRE(thrum_socket_bind(listener, &name) == 0);
        REQUIRE(thrum_socket_listen(listener, backlog) == 0);
        REQUIRE(thrum_socket_local_endpoint(listener, &name) == 0);
    }

    // Open and blocking.
    thrum_socket *client()
    {
        thrum_socket *made = socket(row.kind);
        REQUIRE(thrum_socket_open(made, row.family, 0) == 0);
        make_blocking(made);
        return made;
    }
};

// Something else goes on while others wait: it ends them.
struct timer_that_cancels {
    thrum_timer *timer = nullptr;
    waiter ticking;

    timer_that_cancels(world &w, waiter &other)
    {
        REQUIRE(thrum_timer_new(w.context, &timer) == 0);
        ticking.then = [&other] { other.cancel(); };
        REQUIRE(thrum_timer_wait(timer, &ticking.operation,
                                 thrum_steady_clock_now_ns() + 1000000) == 0);
    }

    ~timer_that_cancels()
    {
        thrum_timer_free(timer);
    }
};

} // namespace

TEST_CASE("an accept waits in the loop also where the listener has been made blocking")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row);
    make_blocking(w.listener);
    CHECK(thrum_socket_try_accept(w.listener, w.socket(row.kind)) == EAGAIN);
    waiter accepting, connecting;
    thrum_socket *server = w.socket(row.kind);
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, server) == 0);
    {
        timer_that_cancels timer(w, accepting);
        w.run();
        CHECK(timer.ticking.error == 0);
        CHECK(accepting.error == ECANCELED);
    }
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, server) == 0);
    REQUIRE(thrum_socket_connect(w.socket(row.kind), &connecting.operation, &w.name) == 0);
    w.run();
    CHECK(accepting.error == 0);
    CHECK(thrum_socket_is_open(server));
    CHECK_FALSE(is_blocking(server));
    CHECK(is_blocking(w.listener)); // as it was before
}

TEST_CASE("a connection that somebody else has taken does not keep an accept")
{
    listening w(pairings[1]);
    waiter accepting, connecting;
    make_blocking(w.listener);
    REQUIRE(thrum_socket_accept(w.listener, &accepting.operation, w.socket(THRUM_STREAM)) == 0);
    REQUIRE(thrum_socket_connect(w.socket(THRUM_STREAM), &connecting.operation, &w.name) == 0);
    int taken = accept4(thrum_socket_native_handle(w.listener), nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(taken >= 0);
    timer_that_cancels timer(w, accepting);
    w.run();
    CHECK(accepting.error == ECANCELED);
    ::close(taken);
}

TEST_CASE("a connect goes on in the loop also where the socket has been made blocking")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row);
    waiter connecting;
    thrum_socket *client = w.client();
    REQUIRE(thrum_socket_connect(client, &connecting.operation, &w.name) == 0);
    w.run();
    CHECK(connecting.error == 0);
    CHECK(is_blocking(client));
    struct thrum_endpoint peer;
    CHECK(thrum_socket_remote_endpoint(client, &peer) == 0);
}

TEST_CASE("a connect that finds a full backlog waits in the loop, blocking or not")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row, 0);
    waiter first[4], last;
    for (waiter &each : first) { // the backlog of 0 has room for one, Linux drops the SYN of others
        thrum_socket *client = w.client();
        REQUIRE(thrum_socket_connect(client, &each.operation, &w.name) == 0);
        timer_that_cancels timer(w, each);
        w.run();
    }
    CHECK(first[0].error == 0);
    CHECK(first[3].error == ECANCELED);
    thrum_socket *client = w.client();
    REQUIRE(thrum_socket_connect(client, &last.operation, &w.name) == 0);
    timer_that_cancels timer(w, last);
    w.run();
    CHECK(timer.ticking.error == 0);
    CHECK(last.error == ECANCELED);
    CHECK(is_blocking(client));
}

// Seen: the second set the pause anew, and the first took that for a cancel.
TEST_CASE("two connects of one socket pause without ending each other")
{
    listening w(pairings[3], 0);
    waiter filling, first, second;
    REQUIRE(thrum_socket_connect(w.client(), &filling.operation, &w.name) == 0);
    w.run();
    REQUIRE(filling.error == 0);
    thrum_socket *client = w.client();
    REQUIRE(thrum_socket_connect(client, &first.operation, &w.name) == 0);
    std::int64_t begin_ns = thrum_steady_clock_now_ns();
    while (thrum_steady_clock_now_ns() - begin_ns < 2000000) { // the pause is over by then
    }
    REQUIRE(thrum_socket_connect(client, &second.operation, &w.name) == 0);
    timer_that_cancels timer(w, second);
    while (second.is_pending())
        REQUIRE(thrum_context_run_one(w.context) == 1);
    CHECK(second.error == ECANCELED);
    CHECK(first.is_pending());
    first.cancel();
    w.run();
    CHECK(first.error == ECANCELED);
}

TEST_CASE("a connect that is refused says so, blocking or not")
{
    auto row = GENERATE(from_range(std::begin(connecting_kinds), std::end(connecting_kinds)));
    INFO(row.name);
    listening w(row);
    waiter connecting;
    REQUIRE(thrum_socket_close(w.listener) == 0);
    REQUIRE(thrum_socket_connect(w.client(), &connecting.operation, &w.name) == 0);
    w.run();
    CHECK(connecting.error == ECONNREFUSED);
}

// Seen: the error was gone, and the connect took that for success.
TEST_CASE("a connect whose error another call has taken does not succeed")
{
    listening w(pairings[1], 0);
    waiter first[4];
    thrum_socket *client = nullptr;
    int n = 0;
    do { // the backlog of 0 has room for one, Linux drops the SYN of others
        REQUIRE(n < 4);
        client = w.client();
        REQUIRE(thrum_socket_connect(client, &first[n].operation, &w.name) == 0);
        for (int i = 0; i < 20; ++i)
            thrum_context_poll(w.context);
    } while (!first[n++].is_pending());
    REQUIRE(thrum_socket_close(w.listener) == 0);
    struct pollfd refused = {thrum_socket_native_handle(client), POLLIN, 0};
    REQUIRE(poll(&refused, 1, 10000) == 1); // the SYN is sent again after a second
    char byte;
    std::size_t size;
    CHECK(now_receive(client, &byte, 1, 0, &size) == ECONNREFUSED);
    w.run();
    CHECK(first[n - 1].error == ENOTCONN);
}

TEST_CASE("transfers wait in the loop also where the socket has been made blocking")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    make_blocking(a);
    waiter receiving;
    std::size_t size;
    char byte;
    CHECK(now_receive(a, &byte, 1, 0, &size) == EAGAIN);
    REQUIRE(receiving.receive(a) == 0);
    timer_that_cancels timer(w, receiving);
    w.run();
    CHECK(receiving.error == ECANCELED);
    if (row.kind != THRUM_STREAM)
        return;
    std::string much(1 << 16, 'x');
    int error = 0;
    for (int i = 0; i < 1000 && error != EAGAIN; ++i)
        error = try_send(a, much);
    CHECK(error == EAGAIN);
}
