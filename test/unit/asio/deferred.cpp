// SPDX-License-Identifier: BSL-1.0
// run_some, and receives that are deferred. All the other cases run a second time with them, too:
// see world.
#include "world.hpp"

namespace
{

constexpr pairing unix_stream = {"unix stream", THRUM_STREAM, AF_UNIX};

// Connected pairs, and a receive at each that nobody has tried so far.
struct crowd {
    static constexpr int n = 150; // more than are put aside
    world w;
    connected pairs[n];
    waiter waiting[n];

    crowd()
    {
        thrum_context_run_some(w.context); // nothing is pending, but from now on it is called
        for (connected &pair : pairs)
            pair = connect_pair(w, unix_stream);
    }

    void receive(int first, int last)
    {
        for (int i = first; i < last; ++i)
            REQUIRE(waiting[i].receive(pairs[i].b) == 0);
    }

    void send(int first, int last)
    {
        for (int i = first; i < last; ++i)
            REQUIRE(try_send(pairs[i].a, std::to_string(i)) == 0);
    }

    void check(int first, int last)
    {
        for (int i = first; i < last; ++i) {
            CHECK(waiting[i].n_done == 1);
            CHECK(waiting[i].error == 0);
            CHECK(waiting[i].text() == std::to_string(i));
        }
    }
};

} // namespace

TEST_CASE("run_some with nothing pending returns at once, and so it does inside a completion")
{
    world w;
    thrum_socket *socket = bound_udp(w);
    waiter one;
    CHECK(thrum_context_run_some(w.context) == 0);
    one.then = [&] { CHECK(thrum_context_run_some(w.context) == 0); };
    REQUIRE(one.receive_from(socket) == 0);
    REQUIRE(try_send_to(socket, "1", local_of(socket)) == 0);
    CHECK(thrum_context_run_some(w.context) == 1);
}

TEST_CASE("receives of streams whose data has come meanwhile complete together")
{
    crowd c;
    c.receive(0, 10);
    c.send(0, 10);
    CHECK(thrum_context_run_some(c.w.context) == 10);
    c.check(0, 10);
    c.receive(10, 20);
    c.send(10, 20);
    CHECK(thrum_context_poll(c.w.context) == 10);
    c.check(10, 20);
}

TEST_CASE("those that find nothing wait, and get what comes later")
{
    crowd c;
    c.receive(0, 20);
    c.send(0, 10);
    CHECK(thrum_context_run_some(c.w.context) == 10);
    c.check(0, 10);
    CHECK(thrum_context_n_pending(c.w.context) == 10);
    CHECK(thrum_context_poll(c.w.context) == 0);
    c.send(10, 20);
    c.w.run();
    c.check(10, 20);
}

TEST_CASE("any number of receives may be under way")
{
    crowd c;
    c.receive(0, c.n);
    c.send(0, c.n);
    std::size_t n = 0;
    while (std::size_t more = thrum_context_run_some(c.w.context))
        n += more;
    CHECK(n == c.n);
    c.check(0, c.n);
}

TEST_CASE("what a completion starts anew is for the next time")
{
    crowd c;
    for (int i = 0; i < 10; ++i) {
        waiter &first = c.waiting[i];
        first.then = [&c, i] { REQUIRE(c.waiting[i + 10].receive(c.pairs[i].b) == 0); };
        REQUIRE(start_receive(c.pairs[i].b, first, first.bytes, 1, 0) == 0);
        REQUIRE(try_send(c.pairs[i].a, "ab") == 0);
    }
    CHECK(thrum_context_run_some(c.w.context) == 10);
    CHECK(thrum_context_n_pending(c.w.context) == 10);
    CHECK(thrum_context_run_some(c.w.context) == 10);
    for (int i = 0; i < 20; ++i)
        CHECK(c.waiting[i].text() == (i < 10 ? "a" : "b"));
}

TEST_CASE("others complete although a crowd of streams always succeeds")
{
    crowd c;
    thrum_socket *other = bound_udp(c.w);
    waiter datagram;
    for (int i = 0; i < 40; ++i)
        c.waiting[i].then = [&c, i] {
            REQUIRE(try_send(c.pairs[i].a, "again") == 0);
            REQUIRE(c.waiting[i].receive(c.pairs[i].b) == 0);
        };
    c.receive(0, 40);
    c.send(0, 40);
    for (int round = 0; round < 10; ++round)
        CHECK(thrum_context_run_some(c.w.context) == 40);
    REQUIRE(datagram.receive_from(other) == 0);
    thrum_context_run_some(c.w.context);
    REQUIRE(try_send_to(other, "datagram", local_of(other)) == 0);
    for (int round = 0; round < 3; ++round)
        thrum_context_run_some(c.w.context);
    CHECK(datagram.text() == "datagram");
    for (int i = 0; i < 40; ++i)
        c.waiting[i].then = nullptr;
}

TEST_CASE("a completion may cancel, close and free what is to be tried after it")
{
    crowd c;
    c.waiting[0].then = [&c] {
        c.waiting[1].cancel(); // has its data, and keeps it
        c.waiting[2].cancel(); // has none
        thrum_socket_close(c.pairs[3].b);
        thrum_socket_free(c.pairs[4].b);
        c.w.forget(c.pairs[4].b);
        thrum_socket_cancel(c.pairs[5].b);
    };
    c.receive(0, 7);
    c.send(0, 2);
    c.send(3, 7);
    while (thrum_context_run_some(c.w.context)) {
    }
    for (int i : {0, 1, 6})
        c.check(i, i + 1);
    for (int i : {2, 3, 4, 5}) {
        CHECK(c.waiting[i].n_done == 1);
        CHECK(c.waiting[i].error == ECANCELED);
    }
}

TEST_CASE("what a deferred receive would have taken stays for a descriptor's next owner")
{
    crowd c;
    c.receive(0, 1);
    c.send(0, 1);
    int fd = -1;
    REQUIRE(thrum_socket_release(c.pairs[0].b, &fd) == 0);
    c.w.run();
    CHECK(c.waiting[0].error == ECANCELED);
    thrum_socket *next = c.w.socket(THRUM_STREAM);
    REQUIRE(thrum_socket_assign(next, AF_UNIX, fd) == 0);
    waiter heir;
    REQUIRE(heir.receive(next) == 0);
    c.w.run();
    CHECK(heir.text() == "0");
}

TEST_CASE("a second receive on a socket comes after the one that was put aside")
{
    crowd c;
    waiter second;
    c.receive(0, 1);
    REQUIRE(second.receive(c.pairs[0].b) == 0);
    c.waiting[0].then = [&c] { CHECK(try_send(c.pairs[0].a, "second") == 0); };
    c.send(0, 1);
    c.w.run();
    c.check(0, 1);
    CHECK(second.text() == "second");
}

TEST_CASE("the end of a stream comes to all who wait")
{
    crowd c;
    waiter second;
    c.receive(0, 1);
    REQUIRE(second.receive(c.pairs[0].b) == 0);
    REQUIRE(thrum_socket_shutdown(c.pairs[0].a, SHUT_WR) == 0);
    while (thrum_context_run_some(c.w.context)) {
    }
    CHECK(c.waiting[0].error == THRUM_EEOF);
    CHECK(second.error == THRUM_EEOF);
}

TEST_CASE("a context is freed with receives that were put aside")
{
    descriptor_watch watch;
    thrum_context *context;
    thrum_socket *a, *b;
    waiter one;
    REQUIRE(thrum_context_new(&context) == 0);
    thrum_context_run_some(context);
    REQUIRE(thrum_socket_new(context, THRUM_STREAM, &a) == 0);
    REQUIRE(thrum_socket_new(context, THRUM_STREAM, &b) == 0);
    REQUIRE(thrum_socket_pair(a, b) == 0);
    REQUIRE(one.receive(b) == 0);
    thrum_context_free(context);
    CHECK(one.n_done == 0);
    thrum_socket_free(a);
    thrum_socket_free(b);
}
