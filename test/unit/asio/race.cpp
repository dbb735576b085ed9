// SPDX-License-Identifier: BSL-1.0
// Cancel against arrival: an operation ends with a datagram or with ECANCELED, and the datagrams
// come out as they went in.
#include "world.hpp"

#include <fcntl.h>
#include <thread>

TEST_CASE("cancel raced against arrival loses and doubles nothing")
{
    constexpr std::uint32_t n_rounds = 20000;
    world w;
    thrum_socket *b = bound_udp(w);
    struct thrum_endpoint to = local_of(b);
    int sender = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    std::uint32_t n_sent = 0, n_received = 0, n_cancelled = 0, n_wrong = 0;
    waiter one;
    auto take = [&] {
        std::uint32_t number;
        std::memcpy(&number, one.bytes, sizeof(number));
        n_wrong += one.size != sizeof(number) || number != n_received;
        ++n_received;
    };
    one.then = [&] {
        if (one.error == ECANCELED)
            ++n_cancelled;
        else if (one.error == 0)
            take();
        else
            ++n_wrong;
    };
    for (std::uint32_t round = 0; round < n_rounds; ++round) {
        // Each round puts the arrival at another place between start, loop and cancel.
        unsigned place = round * 2654435761u >> 29;
        auto send = [&] {
            ::sendto(sender, &n_sent, sizeof(n_sent), 0, &to.sa.any, to.size);
            ++n_sent;
        };
        if (place == 0)
            send();
        REQUIRE(one.receive_from(b) == 0);
        if (place == 1)
            send();
        if (place & 4)
            thrum_context_poll(w.context);
        if (place == 2)
            send();
        one.cancel();
        if (place == 3)
            send();
        w.run();
        if (one.is_pending())
            ++n_wrong;
    }
    while (n_received < n_sent) {
        REQUIRE(one.receive_from(b) == 0);
        w.run();
    }
    ::close(sender);
    CHECK(n_wrong == 0);
    CHECK(n_received == n_sent);
    CHECK(n_cancelled > 0);
    CHECK(one.n_done == static_cast<int>(n_received + n_cancelled));
}

TEST_CASE("cancel raced against a sender in another thread loses and doubles nothing")
{
    constexpr std::uint32_t n_datagrams = 20000;
    world w;
    connected pair = connect_pair(w, pairings[2]);
    int fd = -1;
    REQUIRE(thrum_socket_release(pair.a, &fd) == 0);
    std::thread sender([fd] {
        fcntl(fd, F_SETFL, 0); // it waits when the queue is full
        for (std::uint32_t number = 0; number < n_datagrams; ++number)
            (void)!::send(fd, &number, sizeof(number), 0);
    });
    waiter one;
    std::uint32_t n_received = 0, n_wrong = 0;
    while (n_received < n_datagrams && n_wrong == 0) {
        if (one.receive(pair.b) != 0)
            break;
        thrum_context_poll(w.context);
        one.cancel();
        w.run();
        if (one.error == ECANCELED)
            continue;
        std::uint32_t number;
        std::memcpy(&number, one.bytes, sizeof(number));
        n_wrong += one.error != 0 || number != n_received;
        ++n_received;
    }
    sender.join();
    ::close(fd);
    CHECK(n_wrong == 0);
    CHECK(n_received == n_datagrams);
}
