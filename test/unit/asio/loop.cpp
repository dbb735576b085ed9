// SPDX-License-Identifier: BSL-1.0
// The loop itself.
#include "world.hpp"

#include <sys/resource.h>
#include <thread>

TEST_CASE("a loop with nothing pending has nothing to do")
{
    world w;
    thrum_socket *idle = bound_udp(w);
    REQUIRE(try_send_to(idle, "unasked", local_of(idle)) == 0);
    CHECK(thrum_context_run_one(w.context) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    thrum_context_run(w.context);
    CHECK(thrum_context_n_pending(w.context) == 0);
    CHECK(thrum_context_n_objects(w.context) == 1);
}

TEST_CASE("run_one calls one completion, poll all that are there")
{
    world w;
    thrum_socket *socket = bound_udp(w);
    waiter waiting[4];
    for (waiter &each : waiting)
        REQUIRE(each.receive_from(socket) == 0);
    for (int i = 0; i < 3; ++i)
        REQUIRE(try_send_to(socket, "x", local_of(socket)) == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(waiting[0].n_done == 1);
    CHECK(waiting[1].n_done == 0);
    CHECK(thrum_context_poll(w.context) == 2);
    CHECK(thrum_context_n_pending(w.context) == 1);
    CHECK(thrum_context_poll(w.context) == 0);
    waiting[3].cancel();
    CHECK(thrum_context_poll(w.context) == 1);
}

TEST_CASE("poll returns although every completion starts the next")
{
    world w;
    thrum_timer *timer = nullptr;
    waiter one;
    REQUIRE(thrum_timer_new(w.context, &timer) == 0);
    one.then = [&] { REQUIRE(thrum_timer_wait(timer, &one.operation, 0) == 0); };
    REQUIRE(thrum_timer_wait(timer, &one.operation, 0) == 0);
    CHECK(thrum_context_poll(w.context) == 1);
    CHECK(thrum_context_poll(w.context) == 1);
    one.then = nullptr;
    thrum_timer_free(timer);
}

TEST_CASE("running the loop from inside a completion finds nothing to do")
{
    world w;
    thrum_socket *socket = bound_udp(w);
    waiter one, two;
    one.then = [&] {
        CHECK(thrum_context_run_one(w.context) == 0);
        CHECK(thrum_context_poll(w.context) == 0);
        thrum_context_run(w.context);
        CHECK(two.n_done == 0);
    };
    REQUIRE(one.receive_from(socket) == 0);
    REQUIRE(two.receive_from(socket) == 0);
    REQUIRE(try_send_to(socket, "1", local_of(socket)) == 0);
    REQUIRE(try_send_to(socket, "2", local_of(socket)) == 0);
    w.run();
    CHECK(two.text() == "2");
}

// The undefined behavior sanitizer needs descriptors to look at the exception and grumbles here.
TEST_CASE("a context that gets no descriptors says EMFILE")
{
    descriptor_watch watch;
    rlimit before, none;
    thrum_context *context = nullptr;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    int error = thrum_context_new(&context);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(error == EMFILE);
    CHECK(context == nullptr);
}

namespace
{

// No Catch2 here: its assertions are not for several threads.
void echo_alone(int n_rounds, int *n_ok)
{
    thrum_context *context;
    thrum_socket *socket;
    struct thrum_endpoint name = loopback_v4();
    waiter one;
    if (thrum_context_new(&context) || thrum_socket_new(context, THRUM_DATAGRAM, &socket) ||
        thrum_socket_open(socket, AF_INET, 0) || thrum_socket_bind(socket, &name) ||
        thrum_socket_local_endpoint(socket, &name))
        return;
    for (int i = 0; i < n_rounds; ++i) {
        one.receive_from(socket);
        try_send_to(socket, "echo", name);
        thrum_context_run(context);
        *n_ok += one.error == 0 && one.size == 4;
    }
    one.receive_from(socket); // left pending
    thrum_context_free(context);
    thrum_socket_free(socket);
}

} // namespace

TEST_CASE("contexts in several threads do not know of each other")
{
    descriptor_watch watch;
    int n_ok[2] = {};
    std::thread first(echo_alone, 500, &n_ok[0]), second(echo_alone, 500, &n_ok[1]);
    first.join();
    second.join();
    CHECK(n_ok[0] == 500);
    CHECK(n_ok[1] == 500);
}
