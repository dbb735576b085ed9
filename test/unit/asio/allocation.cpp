// SPDX-License-Identifier: BSL-1.0
// The hot path allocates nothing: operator new counts here.
#include "world.hpp"

#include <csignal>
#include <cstdlib>
#include <new>

#include <thrum/signal.h>

namespace
{
thread_local long n_allocations = 0;
}

[[gnu::noinline]] void *operator new(std::size_t size)
{
    ++n_allocations;
    if (void *block = std::malloc(size ? size : 1))
        return block;
    throw std::bad_alloc();
}

[[gnu::noinline]] void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
    ++n_allocations;
    return std::malloc(size ? size : 1);
}

[[gnu::noinline]] void operator delete(void *block) noexcept
{
    std::free(block);
}

[[gnu::noinline]] void operator delete(void *block, std::size_t) noexcept
{
    std::free(block);
}

namespace
{

// How often memory was asked for in rounds after the first, which may fill caches.
template <typename Round>
long count(Round round)
{
    round();
    long before = n_allocations;
    for (int i = 0; i < 100; ++i)
        round();
    return n_allocations - before;
}

} // namespace

TEST_CASE("no kind of operation allocates in its steady state")
{
    auto row = GENERATE(from_range(std::begin(pairings), std::end(pairings)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    thrum_timer *timer = nullptr;
    waiter one, two;
    char byte;
    std::size_t size;
    REQUIRE(thrum_timer_new(w.context, &timer) == 0);
    CHECK(count([&] {
              one.receive(pair.b);
              now_send(pair.a, "x", 1, 0, &size);
              w.run();
          }) == 0);
    CHECK(count([&] {
              now_send(pair.a, "x", 1, 0, &size);
              while (now_receive(pair.b, &byte, 1, 0, &size) != 0) {
              }
          }) == 0);
    CHECK(count([&] {
              start_send(pair.a, two, "x", 1, 0);
              one.receive(pair.b);
              w.run();
          }) == 0);
    CHECK(count([&] {
              one.receive(pair.b);
              one.cancel();
              w.run();
          }) == 0);
    CHECK(count([&] {
              thrum_socket_wait(pair.a, &one.operation, THRUM_WAIT_WRITE);
              w.run();
          }) == 0);
    CHECK(count([&] {
              thrum_timer_wait(timer, &one.operation, 0);
              w.run();
          }) == 0);
    thrum_timer_free(timer);
}

TEST_CASE("receive_from, send_to and connect do not allocate in their steady state")
{
    world w;
    thrum_socket *a = bound_udp(w), *b = bound_udp(w);
    struct thrum_endpoint to = local_of(b);
    waiter one, two;
    CHECK(count([&] {
              one.receive_from(b);
              start_send_to(a, two, "x", 1, 0, &to);
              w.run();
          }) == 0);
    CHECK(count([&] {
              thrum_socket_connect(a, &one.operation, &to);
              w.run();
          }) == 0);
}

TEST_CASE("a transfer with descriptors does not allocate in its steady state")
{
    auto row = GENERATE(pairings[2], pairings[3], pairings[4]);
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    waiter one, two, three;
    int room[2][4], sent = thrum_socket_native_handle(pair.a);
    struct thrum_fds came[2] = {{room[0], 4, 0}, {room[1], 4, 0}}, given = {&sent, 0, 1};
    CHECK(count([&] {
              start_receive_with_fds(pair.b, one, one.bytes, 1, 0, &came[0]);
              start_receive_with_fds(pair.b, two, two.bytes, 1, 0, &came[1]);
              two.cancel();
              start_send_with_fds(pair.a, three, "x", 1, 0, &given, nullptr);
              w.run();
              thrum_fds_close(&came[0]);
          }) == 0);
    CHECK(one.error == 0);
    CHECK(two.error == ECANCELED);
}

TEST_CASE("accept does not allocate in its steady state")
{
    world w;
    thrum_socket *listener = nullptr;
    thrum_socket *server = w.socket(THRUM_STREAM), *client = w.socket(THRUM_STREAM);
    struct thrum_endpoint name = loopback_v4();
    waiter accepting, second, connecting;
    REQUIRE(thrum_socket_new(w.context, THRUM_STREAM, &listener) == 0);
    REQUIRE(thrum_socket_open(listener, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_bind(listener, &name) == 0);
    REQUIRE(thrum_socket_listen(listener, 16) == 0);
    REQUIRE(thrum_socket_local_endpoint(listener, &name) == 0);
    CHECK(count([&] {
              thrum_socket_accept(listener, &accepting.operation, server);
              thrum_socket_accept(listener, &second.operation, server);
              thrum_operation_cancel(&second.operation);
              thrum_socket_connect(client, &connecting.operation, &name);
              w.run();
              thrum_socket_close(client);
              thrum_socket_close(server);
          }) == 0);
    CHECK(accepting.error == 0);
    thrum_socket_free(listener);
}

TEST_CASE("waiting for a signal does not allocate in its steady state")
{
    world w;
    thrum_signal_set *set = nullptr;
    waiter one, two;
    REQUIRE(thrum_signal_set_new(w.context, &set) == 0);
    REQUIRE(thrum_signal_set_add(set, SIGUSR1) == 0);
    CHECK(count([&] {
              thrum_signal_set_wait(set, &one.operation);
              thrum_signal_set_wait(set, &two.operation);
              two.cancel();
              std::raise(SIGUSR1);
              w.run();
          }) == 0);
    CHECK(one.error == 0);
    CHECK(two.error == ECANCELED);
    thrum_signal_set_free(set);
}
