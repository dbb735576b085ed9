// SPDX-License-Identifier: BSL-1.0
// What every kind of socket does alike: each case runs over each kind.
#include "world.hpp"

TEST_CASE("a pair sends and receives both ways")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter at_a, at_b, sending;

    REQUIRE(at_b.receive(b) == 0);
    REQUIRE(sending.send(a, "there") == 0);
    CHECK(at_b.n_done + sending.n_done == 0);
    w.run();
    CHECK(sending.error == 0);
    CHECK(sending.size == 5);
    CHECK(at_b.error == 0);
    CHECK(at_b.text() == "there");

    REQUIRE(at_a.receive(a) == 0);
    REQUIRE(try_send(b, "and back") == 0);
    w.run();
    CHECK(at_a.error == 0);
    CHECK(at_a.text() == "and back");
}

TEST_CASE("what is there already completes from the loop, not from inside the start")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter at_b;
    REQUIRE(try_send(a, "early") == 0);
    REQUIRE(at_b.receive(b) == 0);
    CHECK(at_b.is_pending());
    CHECK(at_b.n_done == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(at_b.text() == "early");
}

TEST_CASE("receivers are served first come, first served, and nobody overtakes them")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter waiting[3];
    std::string order;
    for (int i = 0; i < 3; ++i) {
        waiting[i].then = [&order, &waiting, i] { order += waiting[i].bytes[0]; };
        REQUIRE(start_receive(b, waiting[i], waiting[i].bytes, 1, 0) == 0);
    }
    for (const char *text : {"1", "2", "3", "4"})
        REQUIRE(try_send(a, text) == 0);

    char byte;
    std::size_t size;
    CHECK(now_receive(b, &byte, 1, 0, &size) == EAGAIN);
    w.run();
    CHECK(order == "123");
    waiter last;
    REQUIRE(last.receive(b) == 0);
    w.run();
    CHECK(last.text() == "4");
}

TEST_CASE("cancelling one operation leaves its neighbors alone")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second, third;
    for (waiter *each : {&first, &second, &third})
        REQUIRE(start_receive(b, *each, each->bytes, 1, 0) == 0);
    second.cancel();
    CHECK(second.n_done == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(second.error == ECANCELED);
    REQUIRE(try_send(a, "1") == 0);
    REQUIRE(try_send(a, "3") == 0);
    w.run();
    CHECK(first.text() == "1");
    CHECK(third.text() == "3");
    second.cancel(); // nothing pending
    CHECK(second.n_done == 1);
}

TEST_CASE("a result that is there already wins over a cancel")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter at_b;
    REQUIRE(try_send(a, "kept") == 0);
    REQUIRE(at_b.receive(b) == 0);
    at_b.cancel();
    w.run();
    CHECK(at_b.error == 0);
    CHECK(at_b.text() == "kept");
}

TEST_CASE("cancel ends everything that is pending, and the socket stays usable")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second, readable;
    REQUIRE(first.receive(b) == 0);
    REQUIRE(second.receive(b) == 0);
    REQUIRE(thrum_socket_wait(b, &readable.operation, THRUM_WAIT_READ) == 0);
    CHECK(thrum_context_n_pending(w.context) == 3);
    REQUIRE(thrum_socket_cancel(b) == 0);
    w.run();
    CHECK(first.error == ECANCELED);
    CHECK(second.error == ECANCELED);
    CHECK(readable.error == ECANCELED);
    REQUIRE(first.receive(b) == 0);
    REQUIRE(try_send(a, "again") == 0);
    w.run();
    CHECK(first.text() == "again");
}

TEST_CASE("close wakes all waiting operations with ECANCELED")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second, readable;
    REQUIRE(first.receive(b) == 0);
    REQUIRE(second.receive(b) == 0);
    REQUIRE(thrum_socket_wait(b, &readable.operation, THRUM_WAIT_READ) == 0);
    REQUIRE(thrum_socket_close(b) == 0);
    CHECK_FALSE(thrum_socket_is_open(b));
    CHECK(thrum_socket_native_handle(b) == -1);
    first.cancel(); // too late, and harmless
    w.run();
    CHECK(first.error == ECANCELED);
    CHECK(second.error == ECANCELED);
    CHECK(readable.error == ECANCELED);
    CHECK(thrum_socket_close(b) == 0);
    CHECK(first.receive(b) == EBADF);
    CHECK(try_send(b, "x") == EBADF);
    CHECK(thrum_socket_is_open(a));
}

TEST_CASE("a socket may be closed inside a completion, and freed inside the next")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    waiter first, second;
    first.then = [&] { CHECK(thrum_socket_close(pair.b) == 0); };
    second.then = [&] {
        thrum_socket_free(pair.b);
        w.forget(pair.b);
    };
    REQUIRE(first.receive(pair.b) == 0);
    REQUIRE(second.receive(pair.b) == 0);
    REQUIRE(try_send(pair.a, "x") == 0);
    w.run();
    CHECK(first.text() == "x");
    CHECK(second.error == ECANCELED);
}

TEST_CASE("a completion may start the same operation again")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    waiter at_b;
    std::string heard;
    at_b.then = [&] {
        heard += at_b.bytes[0];
        if (heard.size() < 5)
            REQUIRE(start_receive(pair.b, at_b, at_b.bytes, 1, 0) == 0);
    };
    REQUIRE(start_receive(pair.b, at_b, at_b.bytes, 1, 0) == 0);
    CHECK(at_b.receive(pair.b) == EBUSY);
    for (char c = 'a'; c < 'f'; ++c)
        REQUIRE(try_send(pair.a, std::string(1, c)) == 0);
    w.run();
    CHECK(heard == "abcde");
}

TEST_CASE("freeing a socket ends its operations, which keep it until then")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second;
    REQUIRE(first.receive(b) == 0);
    REQUIRE(second.receive(b) == 0);
    thrum_socket_free(b);
    w.forget(b);
    CHECK(thrum_context_n_objects(w.context) == 1);
    CHECK(thrum_context_n_pending(w.context) == 2);
    first.cancel();
    w.run();
    CHECK(first.error == ECANCELED);
    CHECK(second.error == ECANCELED);
}

TEST_CASE("release ends what waits and gives the descriptor away with what it has queued")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter readable, at_b;
    int fd = -1;
    REQUIRE(at_b.receive(b) == 0);
    REQUIRE(thrum_socket_wait(b, &readable.operation, THRUM_WAIT_READ) == 0);
    REQUIRE(try_send(a, "queued") == 0);
    REQUIRE(thrum_socket_release(b, &fd) == 0);
    CHECK_FALSE(thrum_socket_is_open(b));
    CHECK(thrum_socket_release(b, &fd) == EBADF);
    w.run();
    CHECK(at_b.error == ECANCELED);
    CHECK(readable.error == ECANCELED);
    char bytes[16];
    CHECK(::recv(fd, bytes, sizeof(bytes), 0) == 6);
    CHECK(::recv(fd, bytes, sizeof(bytes), 0) == -1); // still non-blocking
    CHECK(errno == EAGAIN);

    REQUIRE(thrum_socket_assign(b, row.family, fd) == 0);
    REQUIRE(at_b.receive(b) == 0);
    REQUIRE(try_send(a, "after") == 0);
    w.run();
    CHECK(at_b.text() == "after");
}

TEST_CASE("a wait for reading and one for writing complete without a transfer")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter readable, writable;
    REQUIRE(thrum_socket_wait(b, &readable.operation, THRUM_WAIT_READ) == 0);
    REQUIRE(thrum_socket_wait(b, &writable.operation, THRUM_WAIT_WRITE) == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(writable.error == 0);
    REQUIRE(try_send(a, "x") == 0);
    w.run();
    CHECK(readable.error == 0);
    std::size_t size = 0;
    CHECK(thrum_socket_available(b, &size) == 0);
    CHECK(size == 1);
    REQUIRE(thrum_socket_wait(b, &readable.operation, THRUM_WAIT_READ) == 0); // still there
    w.run();
    CHECK(readable.n_done == 2);
}

TEST_CASE("after shutdown of receiving, waiting and later receives get eof")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    auto how = GENERATE(as<int>{}, SHUT_RD, SHUT_RDWR);
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second;
    char byte;
    std::size_t size;
    REQUIRE(first.receive(b) == 0);
    REQUIRE(second.receive(b) == 0);
    REQUIRE(thrum_socket_shutdown(b, how) == 0);
    CHECK(now_receive(b, &byte, 1, 0, &size) == THRUM_EEOF);
    CHECK(first.n_done == 0);
    w.run();
    CHECK(first.error == THRUM_EEOF);
    CHECK(second.error == THRUM_EEOF);
    CHECK(first.receive(b) == THRUM_EEOF);
    CHECK(thrum_context_n_pending(w.context) == 0);
    CHECK(thrum_socket_is_open(a));
}

TEST_CASE("an option is set and read back through Asio")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    thrum_socket *a = connect_pair(w, row).a;
    int wanted = 65536, got = 0;
    std::size_t size = sizeof(got);
    REQUIRE(thrum_socket_set_option(a, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)) == 0);
    REQUIRE(thrum_socket_get_option(a, SOL_SOCKET, SO_SNDBUF, &got, &size) == 0);
    CHECK(size == sizeof(got));
    CHECK(got == wanted); // the kernel says the double
    CHECK(thrum_socket_set_option(a, SOL_SOCKET, 9999, &wanted, sizeof(wanted)) == ENOPROTOOPT);
}

TEST_CASE("an operation fits every kind of start in turn")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    thrum_timer *timer = nullptr;
    waiter one;
    REQUIRE(thrum_timer_new(w.context, &timer) == 0);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(one.send(a, "turn") == 0);
        w.run();
        REQUIRE(thrum_timer_wait(timer, &one.operation, 0) == 0);
        w.run();
        REQUIRE(thrum_socket_wait(b, &one.operation, THRUM_WAIT_READ) == 0);
        w.run();
        REQUIRE(one.receive(b) == 0);
        w.run();
        CHECK(one.text() == "turn");
        REQUIRE(one.receive(b) == 0);
        one.cancel();
        w.run();
        CHECK(one.error == ECANCELED);
    }
    thrum_timer_free(timer);
}
