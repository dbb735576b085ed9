// SPDX-License-Identifier: BSL-1.0
// What only streams do: end, break, connect.
#include "world.hpp"

namespace
{

const pairing streams[] = {pairings[1], pairings[3]};

void reset_connection(thrum_socket *socket)
{
    struct linger at_once = {1, 0};
    REQUIRE(thrum_socket_set_option(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
    REQUIRE(thrum_socket_close(socket) == 0);
}

} // namespace

// Seen: Asio's reactor looks no further once a receive has found the end; a receive that waited
// behind it, or came later, slept for ever.
TEST_CASE("a stream's end wakes every receiver, and later ones get it at once")
{
    auto row = GENERATE(from_range(std::begin(streams), std::end(streams)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter first, second, third;
    for (waiter *each : {&first, &second, &third})
        REQUIRE(each->receive(b) == 0);
    REQUIRE(try_send(a, "bye") == 0);
    REQUIRE(thrum_socket_close(a) == 0);
    w.run();
    CHECK(first.text() == "bye");
    CHECK(second.error == THRUM_EEOF);
    CHECK(third.error == THRUM_EEOF);
    char byte;
    std::size_t size;
    CHECK(first.receive(b) == THRUM_EEOF);
    CHECK(now_receive(b, &byte, 1, 0, &size) == THRUM_EEOF);
}

TEST_CASE("a stream's end that a try found is remembered")
{
    auto row = GENERATE(from_range(std::begin(streams), std::end(streams)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter at_b;
    char byte;
    std::size_t size;
    REQUIRE(thrum_socket_shutdown(a, SHUT_WR) == 0);
    while (now_receive(b, &byte, 1, 0, &size) != THRUM_EEOF) {
    }
    CHECK(now_receive(b, &byte, 1, 0, &size) == THRUM_EEOF);
    CHECK(at_b.receive(b) == THRUM_EEOF);
    CHECK(try_send(b, "the other way is open") == 0);
}

// Likewise: an error stops the reactor from looking at those who wait behind.
TEST_CASE("a reset wakes every receiver")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[1]);
    waiter first, second, third, later;
    for (waiter *each : {&first, &second, &third})
        REQUIRE(each->receive(b) == 0);
    reset_connection(a);
    w.run();
    CHECK(first.error == ECONNRESET);
    CHECK(second.error == THRUM_EEOF);
    CHECK(third.error == THRUM_EEOF);
    CHECK(later.receive(b) == THRUM_EEOF);
}

TEST_CASE("a receive after a reset that one receiver saw does not sleep")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[1]);
    waiter first, later;
    REQUIRE(first.receive(b) == 0);
    reset_connection(a);
    w.run();
    CHECK(first.error == ECONNRESET);
    REQUIRE(later.receive(b) == 0);
    w.run();
    CHECK(later.error == THRUM_EEOF);
}

TEST_CASE("a reset wakes every sender")
{
    auto row = GENERATE(from_range(std::begin(streams), std::end(streams)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    std::string block(65536, 'x');
    std::size_t sent;
    waiter first, second, later;
    while (now_send(pair.b, block.data(), block.size(), 0, &sent) == 0) {
    }
    REQUIRE(start_send(pair.b, first, block.data(), block.size(), 0) == 0);
    REQUIRE(start_send(pair.b, second, block.data(), block.size(), 0) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    thrum_socket_close(pair.a);
    w.run();
    CHECK((first.error == ECONNRESET || first.error == EPIPE));
    CHECK((second.error == ECONNRESET || second.error == EPIPE));
    REQUIRE(later.send(pair.b, "x") == 0);
    w.run();
    CHECK(later.error == EPIPE);
}

TEST_CASE("a large block arrives in order through many partial sends")
{
    auto row = GENERATE(from_range(std::begin(streams), std::end(streams)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    std::string block(1 << 21, 0), heard;
    for (std::size_t i = 0; i < block.size(); ++i)
        block[i] = static_cast<char>(i * 7 >> 3);
    waiter sending, at_b;
    std::size_t n_sent = 0;
    auto send_more = [&] {
        REQUIRE(start_send(pair.a, sending, block.data() + n_sent, block.size() - n_sent, 0) == 0);
    };
    sending.then = [&] {
        n_sent += sending.size;
        if (n_sent < block.size())
            send_more();
    };
    at_b.then = [&] {
        heard += at_b.text();
        if (heard.size() < block.size())
            REQUIRE(at_b.receive(pair.b) == 0);
    };
    send_more();
    REQUIRE(at_b.receive(pair.b) == 0);
    w.run();
    CHECK(heard == block);
}

TEST_CASE("a receive of nothing from a stream completes with nothing")
{
    world w;
    auto pair = connect_pair(w, pairings[3]);
    waiter at_b;
    std::size_t size = 1;
    CHECK(now_receive(pair.b, nullptr, 0, 0, &size) == 0);
    CHECK(size == 0);
    REQUIRE(start_receive(pair.b, at_b, at_b.bytes, 0, 0) == 0);
    w.run();
    CHECK(at_b.error == 0);
    CHECK(at_b.size == 0);
}

// Seen: Asio registers the cancellation of an out-of-band receive with the wrong queue.
TEST_CASE("out-of-band data is waited for, can be cancelled, and arrives")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[1]);
    waiter urgent, normal;
    std::size_t sent;
    char byte;
    CHECK(now_receive(b, &byte, 1, MSG_OOB, &sent) == EAGAIN);
    REQUIRE(urgent.receive(b, MSG_OOB) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    urgent.cancel();
    w.run();
    CHECK(urgent.error == ECANCELED);
    REQUIRE(urgent.receive(b, MSG_OOB) == 0);
    REQUIRE(normal.receive(b) == 0);
    REQUIRE(now_send(a, "!", 1, MSG_OOB, &sent) == 0);
    REQUIRE(try_send(a, "calm") == 0);
    w.run();
    CHECK(urgent.error == 0);
    CHECK(urgent.text() == "!");
    CHECK(normal.text() == "calm");
}

// Seen: Linux has the next connect succeed, to wherever it is, without doing anything.
TEST_CASE("a connected socket does not connect again")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[1]);
    struct thrum_endpoint name = loopback_v4();
    waiter connecting;
    for (int i = 0; i < 2; i++)
        CHECK(thrum_socket_connect(a, &connecting.operation, &name) == EISCONN);
    CHECK(try_send(b, "still there") == 0);
}

TEST_CASE("at_mark tells where the urgent byte was")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[1]);
    waiter urgent, normal;
    std::size_t sent;
    bool is_at_mark = true;
    CHECK(thrum_socket_at_mark(b, &is_at_mark) == 0);
    CHECK_FALSE(is_at_mark);
    REQUIRE(urgent.receive(b, MSG_OOB) == 0);
    REQUIRE(now_send(a, "ab!", 3, MSG_OOB, &sent) == 0);
    w.run();
    CHECK(urgent.text() == "!");
    CHECK(thrum_socket_at_mark(b, &is_at_mark) == 0);
    CHECK_FALSE(is_at_mark);
    REQUIRE(normal.receive(b) == 0);
    w.run();
    CHECK(normal.text() == "ab");
    CHECK(thrum_socket_at_mark(b, &is_at_mark) == 0);
    CHECK(is_at_mark);
    REQUIRE(thrum_socket_close(b) == 0);
    CHECK(thrum_socket_at_mark(b, &is_at_mark) == EBADF);
}

TEST_CASE("a refused connection says so")
{
    world w;
    thrum_socket *a = w.socket(THRUM_STREAM), *taken = w.socket(THRUM_STREAM);
    struct thrum_endpoint name = loopback_v4();
    waiter connecting;
    REQUIRE(thrum_socket_open(taken, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_bind(taken, &name) == 0); // bound, but does not listen
    name = local_of(taken);
    REQUIRE(thrum_socket_connect(a, &connecting.operation, &name) == 0);
    w.run();
    CHECK(connecting.error == ECONNREFUSED);
    CHECK(thrum_socket_is_open(a));
    CHECK(thrum_socket_family(a) == AF_INET);
}

// Seen: pieces without a byte between them were taken for a question for bytes, and their nothing
// for the end.
TEST_CASE("a receive into pieces of nothing is no end of the stream")
{
    world w;
    auto pair = connect_pair(w, pairings[1]);
    struct iovec empty[2] = {};
    struct thrum_message message = {};
    message.pieces = empty;
    message.n_pieces = 2;
    REQUIRE(try_send(pair.a, "there") == 0);
    CHECK(thrum_socket_try_receive(pair.b, &message) == 0);
    CHECK(message.length == 0);
    char bytes[8];
    std::size_t size;
    CHECK(ask_to_receive(pair.b, bytes, sizeof(bytes), &size) == 0);
    CHECK(size == 5);
}
