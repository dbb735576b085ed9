// SPDX-License-Identifier: BSL-1.0
// What only sockets of records do: their end looks like an empty record.
#include "world.hpp"

namespace
{

const pairing &records = pairings[4];

} // namespace

TEST_CASE("the end of records wakes every receiver, and later ones get it at once")
{
    auto is_shutdown = GENERATE(false, true);
    world w;
    auto [a, b] = connect_pair(w, records);
    waiter first, second, third;
    for (waiter *each : {&first, &second, &third})
        REQUIRE(each->receive(b) == 0);
    REQUIRE(try_send(a, "bye") == 0);
    REQUIRE((is_shutdown ? thrum_socket_shutdown(a, SHUT_WR) : thrum_socket_close(a)) == 0);
    w.run();
    CHECK(first.text() == "bye");
    CHECK(second.error == THRUM_EEOF);
    CHECK(third.error == THRUM_EEOF);
    char byte;
    std::size_t size;
    CHECK(first.receive(b) == THRUM_EEOF);
    CHECK(now_receive(b, &byte, 1, 0, &size) == THRUM_EEOF);
    CHECK(try_send(b, "x") == (is_shutdown ? 0 : EPIPE));
}

TEST_CASE("the end of records that a try found is remembered")
{
    world w;
    auto [a, b] = connect_pair(w, records);
    waiter at_b;
    char byte;
    std::size_t size;
    struct thrum_endpoint from;
    REQUIRE(thrum_socket_close(a) == 0);
    CHECK(now_receive_from(b, &byte, 1, 0, &size, &from) == THRUM_EEOF);
    CHECK(now_receive(b, &byte, 1, 0, &size) == THRUM_EEOF);
    CHECK(at_b.receive(b) == THRUM_EEOF);
}

TEST_CASE("an empty record is none while the peer may send, or has sent, more")
{
    world w;
    auto [a, b] = connect_pair(w, records);
    char bytes[8];
    std::size_t size = 9;
    REQUIRE(try_send(a, "") == 0);
    CHECK(now_receive(b, bytes, sizeof(bytes), 0, &size) == 0);
    CHECK(size == 0);
    REQUIRE(try_send(a, "") == 0);
    REQUIRE(try_send(a, "more") == 0);
    REQUIRE(thrum_socket_close(a) == 0);
    CHECK(now_receive(b, bytes, sizeof(bytes), 0, &size) == 0);
    CHECK(size == 0);
    waiter at_b;
    REQUIRE(at_b.receive(b) == 0);
    w.run();
    CHECK(at_b.text() == "more");
    CHECK(ask_to_receive(b, bytes, sizeof(bytes), &size) == THRUM_EEOF);
}

TEST_CASE("an empty buffer is no end unless the length is asked for")
{
    world w;
    auto [a, b] = connect_pair(w, records);
    std::size_t size = 9;
    REQUIRE(try_send(a, "four") == 0);
    REQUIRE(thrum_socket_close(a) == 0);
    CHECK(now_receive(b, nullptr, 0, MSG_PEEK | MSG_TRUNC, &size) == 0);
    CHECK(size == 4);
    CHECK(now_receive(b, nullptr, 0, 0, &size) == 0); // took it
    CHECK(size == 0);
    CHECK(now_receive(b, nullptr, 0, MSG_TRUNC, &size) == THRUM_EEOF);
}

// Seen: its end was any number of empty records, over and over.
TEST_CASE("a batch has what comes before the end, and the next one the end")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[4]);
    char bytes[4][8];
    struct thrum_message messages[4];
    for (int i = 0; i < 4; ++i)
        messages[i] = message_of(bytes[i], sizeof(bytes[i]), 0);
    REQUIRE(try_send(a, "") == 0);
    REQUIRE(try_send(a, "one") == 0);
    REQUIRE(thrum_socket_close(a) == 0);
    std::size_t n = 0;
    REQUIRE(thrum_socket_try_receive_batch(b, messages, 4, &n) == 0);
    CHECK(n == 2);
    CHECK(messages[0].length == 0);
    CHECK(messages[1].length == 3);
    CHECK(thrum_socket_try_receive_batch(b, messages, 4, &n) == THRUM_EEOF);
}
