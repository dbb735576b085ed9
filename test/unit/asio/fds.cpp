// SPDX-License-Identifier: BSL-1.0
// Descriptors that travel with messages.
#include "world.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

namespace
{

const pairing unix_kinds[] = {pairings[2], pairings[3], pairings[4]};

// The read ends of pipes to send, each of which is distinguished from the others by its inode.
class pipes
{
  public:
    explicit pipes(std::size_t n) : ends_(n)
    {
        for (int &end : ends_) {
            int both[2];
            REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
            ::close(both[1]);
            end = both[0];
        }
        list = {ends_.data(), 0, n};
    }

    pipes(const pipes &) = delete;

    ~pipes()
    {
        for (int end : ends_)
            ::close(end);
    }

    ino_t inode(std::size_t i) const
    {
        return inode_of(ends_[i]);
    }

    static ino_t inode_of(int fd)
    {
        struct stat status = {};
        REQUIRE(fstat(fd, &status) == 0);
        return status.st_ino;
    }

    struct thrum_fds list;

  private:
    std::vector<int> ends_;
};

// Room for descriptors that come; what came is closed with it.
struct arrivals {
    int room[THRUM_MAX_FDS];
    struct thrum_fds list;

    explicit arrivals(std::size_t max = THRUM_MAX_FDS) : list{room, max, 0}
    {
    }

    arrivals(const arrivals &) = delete;

    ~arrivals()
    {
        thrum_fds_close(&list);
    }
};

bool are_the_same(const pipes &sent, const arrivals &came)
{
    if (sent.list.n != came.list.n)
        return false;
    for (std::size_t i = 0; i < came.list.n; ++i)
        if (sent.inode(i) != pipes::inode_of(came.room[i]) ||
            (fcntl(came.room[i], F_GETFD) & FD_CLOEXEC) == 0)
            return false;
    return true;
}

int try_send_fds(thrum_socket *socket, const std::string &text, const struct thrum_fds &fds)
{
    std::size_t sent = 0;
    int error = now_send_with_fds(socket, text.data(), text.size(), 0, &fds, nullptr, &sent);
    return error ? error : (sent == text.size() ? 0 : EMSGSIZE);
}

int receive_fds(waiter &one, thrum_socket *socket, arrivals &came, std::size_t size = 64)
{
    return start_receive_with_fds(socket, one, one.bytes, size, 0, &came.list);
}

// Until a try has asked: the first after an empty one does not.
int try_receive_fds(thrum_socket *socket, arrivals &came, std::string *text = nullptr,
                    int flags = 0)
{
    char bytes[64];
    std::size_t size = 0;
    int error = EAGAIN;
    for (int i = 0; i < 2 && error == EAGAIN; ++i)
        error =
            now_receive_with_fds(socket, bytes, sizeof(bytes), flags, &came.list, &size, nullptr);
    if (text)
        text->assign(bytes, error ? 0 : size);
    return error;
}

// Nothing fits any more.
void fill(thrum_socket *socket)
{
    const std::string block(4096, 'x');
    std::size_t sent;
    while (now_send(socket, block.data(), block.size(), 0, &sent) == 0) {
    }
    while (now_send(socket, "x", 1, 0, &sent) == 0) {
    }
}

void drain(thrum_socket *socket)
{
    char bytes[8192];
    std::size_t size;
    for (int n_empty = 0; n_empty < 2;)
        n_empty = now_receive(socket, bytes, sizeof(bytes), 0, &size) == 0 ? 0 : n_empty + 1;
}

} // namespace

TEST_CASE("descriptors come with their message, close-on-exec, none of them or as many as may be")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    auto n = GENERATE(as<std::size_t>{}, 0, 1, 2, 3, 253);
    auto is_started = GENERATE(false, true);
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(n);
    arrivals came(n);
    std::string text;
    if (is_started) {
        waiter at_b;
        REQUIRE(receive_fds(at_b, b, came) == 0);
        CHECK(thrum_context_poll(w.context) == 0);
        REQUIRE(try_send_fds(a, "with", sent.list) == 0);
        w.run();
        CHECK(at_b.error == 0);
        text = at_b.text();
    } else {
        REQUIRE(try_send_fds(a, "with", sent.list) == 0);
        CHECK(try_receive_fds(b, came, &text) == 0);
    }
    CHECK(text == "with");
    CHECK(are_the_same(sent, came));
}

TEST_CASE("a message of nothing but descriptors is a message, except on a stream")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(1);
    arrivals came;
    waiter at_b;
    std::size_t size;
    if (row.kind == THRUM_STREAM) {
        CHECK(try_send_fds(a, "", sent.list) == EINVAL);
        CHECK(receive_fds(at_b, b, came, 0) == EINVAL);
        CHECK(now_receive_with_fds(b, at_b.bytes, 0, 0, &came.list, &size, nullptr) == EINVAL);
        return;
    }
    REQUIRE(receive_fds(at_b, b, came) == 0);
    REQUIRE(try_send_fds(a, "", sent.list) == 0);
    REQUIRE(thrum_socket_close(a) == 0); // for seqpacket nothing looks more like the end
    w.run();
    CHECK(at_b.error == 0);
    CHECK(at_b.size == 0);
    CHECK(are_the_same(sent, came));
    CHECK(try_receive_fds(b, came) == EINVAL); // it still owns what has come
    CHECK(receive_fds(at_b, b, came) == EINVAL);
    arrivals none;
    if (row.kind == THRUM_SEQPACKET)
        CHECK(try_receive_fds(b, none) == THRUM_EEOF);
}

TEST_CASE("more descriptors than there is room for are all closed, and it is an error")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    auto n_sent = GENERATE(as<std::size_t>{}, 1, 2, 3, 16, 40, 253);
    auto room = GENERATE(as<std::size_t>{}, 0, 1, 2, 39);
    if (room >= n_sent)
        return;
    INFO(row.name << ", " << n_sent << " sent, room for " << room);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(n_sent);
    arrivals came(room);
    waiter at_b;
    int before = count_descriptors();
    REQUIRE(try_send_fds(a, "lost", sent.list) == 0);
    CHECK(try_receive_fds(b, came) == EMSGSIZE);
    CHECK(came.list.n == 0);
    CHECK(count_descriptors() == before);

    REQUIRE(receive_fds(at_b, b, came) == 0);
    REQUIRE(try_send_fds(a, "lost", sent.list) == 0);
    REQUIRE(try_send(a, "next") == 0);
    w.run();
    CHECK(at_b.error == EMSGSIZE);
    CHECK(at_b.size == 4);
    CHECK(came.list.n == 0);
    CHECK(count_descriptors() == before);
    std::string text;
    CHECK(try_receive_fds(b, came, &text) == 0);
    CHECK(text == "next");
}

TEST_CASE("the descriptor limit in the middle of a message closes what came, and it goes on")
{
    if (RUNNING_ON_VALGRIND) // has descriptors of its own
        return;
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(8);
    arrivals came;
    waiter at_b;
    REQUIRE(receive_fds(at_b, b, came) == 0);
    REQUIRE(try_send_fds(a, "many", sent.list) == 0);
    int lowest = ::dup(0), before = count_descriptors();
    REQUIRE(lowest >= 0);
    ::close(lowest);
    rlimit usual, few;
    getrlimit(RLIMIT_NOFILE, &usual);
    few = usual;
    few.rlim_cur = static_cast<rlim_t>(lowest) + 3;
    setrlimit(RLIMIT_NOFILE, &few);
    w.run();
    setrlimit(RLIMIT_NOFILE, &usual);
    CHECK(at_b.error == EMFILE);
    CHECK(at_b.size == 4);
    CHECK(came.list.n == 0);
    CHECK(count_descriptors() == before - 1);
    REQUIRE(try_send_fds(a, "many", sent.list) == 0);
    CHECK(try_receive_fds(b, came) == 0);
    CHECK(are_the_same(sent, came));
}

TEST_CASE("a descriptor that is not open is EBADF, and nothing is sent")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(2);
    arrivals came;
    waiter sending;
    int closed[] = {sent.list.fds[0], ::dup(0), sent.list.fds[1]};
    ::close(closed[1]);
    struct thrum_fds list = {closed, 0, 3};
    CHECK(try_send_fds(a, "x", list) == EBADF);
    REQUIRE(start_send_with_fds(a, sending, "x", 1, 0, &list, nullptr) == 0);
    w.run();
    CHECK(sending.error == EBADF);
    CHECK(try_receive_fds(b, came) == EAGAIN);
    CHECK(try_send_fds(a, "fine", sent.list) == 0);
    CHECK(try_receive_fds(b, came) == 0);
}

TEST_CASE("what cannot carry descriptors refuses them")
{
    world w;
    pipes sent(1);
    arrivals came;
    waiter one;
    std::size_t size;
    char byte = 0;
    struct thrum_endpoint name = {};
    thrum_socket *closed = w.socket(THRUM_STREAM);
    CHECK(try_send_fds(closed, "x", sent.list) == EBADF);
    CHECK(try_receive_fds(closed, came) == EBADF);
    CHECK(receive_fds(one, closed, came) == EBADF);
    CHECK(start_send_with_fds(closed, one, "x", 1, 0, &sent.list, nullptr) == EBADF);

    auto [udp, other] = connect_pair(w, pairings[0]);
    CHECK(try_send_fds(udp, "x", sent.list) == EOPNOTSUPP);
    CHECK(try_receive_fds(other, came) == EOPNOTSUPP);
    CHECK(receive_fds(one, other, came) == EOPNOTSUPP);
    CHECK(start_send_with_fds(udp, one, "x", 1, 0, &sent.list, nullptr) == EOPNOTSUPP);

    auto [a, b] = connect_pair(w, pairings[3]);
    struct thrum_fds too_many = {sent.list.fds, 0, THRUM_MAX_FDS + 1};
    struct thrum_fds too_much_room = {came.room, THRUM_MAX_FDS + 1, 0};
    CHECK(try_send_fds(a, "x", too_many) == EINVAL);
    CHECK(now_receive_with_fds(b, &byte, 1, 0, &too_much_room, &size, nullptr) == EINVAL);
    CHECK(now_receive_with_fds(b, &byte, 1, 0, &came.list, &size, &name) == EOPNOTSUPP);
    CHECK(now_send_with_fds(a, "x", 1, 0, &sent.list, &name, &size) == EOPNOTSUPP);
    CHECK(one.n_done == 0);
}

TEST_CASE("on a stream descriptors come with the byte they were sent with")
{
    world w;
    auto [a, b] = connect_pair(w, pairings[3]);
    pipes first(1), second(2);
    arrivals came_first, came_second;
    std::string text;
    REQUIRE(try_send(a, "ab") == 0);
    REQUIRE(try_send_fds(a, "cd", first.list) == 0);
    REQUIRE(try_send_fds(a, "ef", second.list) == 0);
    char bytes[8];
    std::size_t size;
    REQUIRE(now_receive(b, bytes, 1, 0, &size) == 0);
    REQUIRE(try_receive_fds(b, came_first, &text) == 0);
    CHECK(text == "bcd"); // not beyond: the next byte has others
    CHECK(are_the_same(first, came_first));
    REQUIRE(now_receive_with_fds(b, bytes, 1, 0, &came_second.list, &size, nullptr) == 0);
    CHECK(size == 1);
    CHECK(are_the_same(second, came_second));
    arrivals none;
    REQUIRE(try_receive_fds(b, none, &text) == 0);
    CHECK(text == "f");
    CHECK(none.list.n == 0);
}

TEST_CASE("a receive without a list drops what came, and nothing is left open")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(3);
    char bytes[8];
    std::size_t size;
    int before = count_descriptors();
    REQUIRE(try_send_fds(a, "x", sent.list) == 0);
    CHECK(now_receive(b, bytes, sizeof(bytes), 0, &size) == 0);
    CHECK(size == 1);
    CHECK(count_descriptors() == before);
}

TEST_CASE("a datagram with descriptors tells its sender and goes to a named receiver")
{
    world w;
    thrum_socket *named = w.socket(THRUM_DATAGRAM), *a = w.socket(THRUM_DATAGRAM);
    struct thrum_endpoint name = {}, a_name, from = {};
    name.sa.path.sun_family = AF_UNIX;
    name.size = sizeof(sa_family_t); // autobind
    for (thrum_socket *each : {named, a}) {
        REQUIRE(thrum_socket_open(each, AF_UNIX, 0) == 0);
        REQUIRE(thrum_socket_bind(each, &name) == 0);
    }
    name = local_of(named);
    a_name = local_of(a);
    pipes sent(1);
    arrivals came;
    waiter sending, at_named;
    char bytes[8];
    std::size_t size;
    REQUIRE(now_send_with_fds(a, "x", 1, 0, &sent.list, &name, &size) == 0);
    REQUIRE(now_receive_with_fds(named, bytes, 8, 0, &came.list, &size, &from) == 0);
    CHECK(from.size == a_name.size);
    CHECK(std::memcmp(&from.sa, &a_name.sa, from.size) == 0);
    CHECK(are_the_same(sent, came));

    arrivals again;
    REQUIRE(start_receive_with_fds(named, at_named, at_named.bytes, 1, 0, &again.list,
                                   &at_named.peer) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    REQUIRE(start_send_with_fds(a, sending, "y", 1, 0, &sent.list, &name) == 0);
    w.run();
    CHECK(sending.size == 1);
    CHECK(at_named.sender.size == a_name.size);
    CHECK(are_the_same(sent, again));

    // And to one that is full: it pauses.
    while (try_send_to(a, "filler", name) == 0) {
    }
    pipes late(1);
    arrivals came_late;
    REQUIRE(start_send_with_fds(a, sending, "z", 1, 0, &late.list, &name) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    at_named.then = [&] {
        if (at_named.bytes[0] != 'z')
            REQUIRE(receive_fds(at_named, named, came_late) == 0);
    };
    REQUIRE(receive_fds(at_named, named, came_late) == 0);
    w.run();
    CHECK(at_named.text() == "z");
    CHECK(are_the_same(late, came_late));
}

TEST_CASE("receives with and without a list are served in the order they came in")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter waiting[6];
    arrivals came[6];
    const bool has_list[6] = {false, true, false, false, true, true};
    std::string order;
    for (int i = 0; i < 6; ++i) {
        waiting[i].then = [&order, &waiting, i] { order += waiting[i].bytes[0]; };
        if (has_list[i])
            REQUIRE(receive_fds(waiting[i], b, came[i], 1) == 0);
        else
            REQUIRE(start_receive(b, waiting[i], waiting[i].bytes, 1, 0) == 0);
    }
    pipes sent(1);
    for (int i = 0; i < 6; ++i) {
        std::string text(1, static_cast<char>('0' + i));
        REQUIRE((has_list[i] ? try_send_fds(a, text, sent.list) : try_send(a, text)) == 0);
    }
    char byte;
    std::size_t size;
    CHECK(now_receive(b, &byte, 1, 0, &size) == EAGAIN);
    w.run();
    CHECK(order == "012345");
    for (int i = 0; i < 6; ++i)
        CHECK(came[i].list.n == (has_list[i] ? 1 : 0));
}

TEST_CASE("what waits, or queues, can be cancelled by itself, and the others go on")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    auto cancelled = GENERATE(0, 1, 2, 3);
    INFO(row.name << ", " << cancelled);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter waiting[4];
    arrivals came[4];
    pipes sent(1);
    for (int i = 0; i < 4; ++i) {
        if (i != 1)
            REQUIRE(receive_fds(waiting[i], b, came[i], 1) == 0);
        else
            REQUIRE(start_receive(b, waiting[i], waiting[i].bytes, 1, 0) == 0);
    }
    CHECK(thrum_context_poll(w.context) == 0);
    waiting[cancelled].cancel();
    CHECK(waiting[cancelled].n_done == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(waiting[cancelled].error == ECANCELED);
    std::string heard;
    for (int i = 0; i < 4; ++i)
        if (i != cancelled)
            REQUIRE(try_send_fds(a, std::string(1, static_cast<char>('0' + i)), sent.list) == 0);
    w.run();
    for (int i = 0; i < 4; ++i) {
        if (i == cancelled)
            continue;
        CHECK(waiting[i].error == 0);
        CHECK(waiting[i].bytes[0] == '0' + i);
        CHECK(came[i].list.n == (i != 1));
    }
}

TEST_CASE("close, cancel, free and release end what waits and queues, and lose nothing")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    auto how = GENERATE(0, 1, 2, 3);
    INFO(row.name << ", " << how);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter waiting[3];
    arrivals came[3], after;
    pipes sent(2);
    int fd = -1;
    for (int i = 0; i < 2; ++i)
        REQUIRE(receive_fds(waiting[i], b, came[i]) == 0);
    REQUIRE(waiting[2].receive(b) == 0);
    REQUIRE(try_send_fds(a, "kept", sent.list) == 0);
    if (how == 0)
        CHECK(thrum_socket_cancel(b) == 0);
    else if (how == 1)
        CHECK(thrum_socket_release(b, &fd) == 0);
    else if (how == 2)
        CHECK(thrum_socket_close(b) == 0);
    else
        thrum_socket_free(b);
    if (how == 3)
        w.forget(b);
    w.run();
    for (waiter &each : waiting)
        CHECK(each.error == ECANCELED);
    for (arrivals &each : came)
        CHECK(each.list.n == 0);
    if (how == 1)
        REQUIRE(thrum_socket_assign(b, AF_UNIX, fd) == 0);
    if (how <= 1) {
        std::string text;
        CHECK(try_receive_fds(b, after, &text) == 0);
        CHECK(text == "kept");
        CHECK(are_the_same(sent, after));
    }
}

// The same events with the receiver between its wait and its try: both waits end with one event,
// and the completion of the first comes before the second has tried.
TEST_CASE("what ends a receiver between its wait and its try leaves the message where it is")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    auto how = GENERATE(0, 1, 2, 3);
    INFO(row.name << ", " << how);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter other, one;
    arrivals came, after;
    pipes sent(1);
    int fd = -1;
    other.then = [&, b = b] {
        if (how == 0)
            one.cancel();
        else if (how == 1)
            CHECK(thrum_socket_cancel(b) == 0);
        else if (how == 2)
            CHECK(thrum_socket_release(b, &fd) == 0);
        else
            CHECK(thrum_socket_shutdown(b, SHUT_RD) == 0);
    };
    REQUIRE(thrum_socket_wait(b, &other.operation, THRUM_WAIT_READ) == 0);
    REQUIRE(receive_fds(one, b, came) == 0);
    REQUIRE(try_send_fds(a, "kept", sent.list) == 0);
    w.run();
    CHECK(one.error == (how == 3 ? THRUM_EEOF : ECANCELED));
    CHECK(came.list.n == 0);
    if (how == 3)
        return;
    if (how == 2)
        REQUIRE(thrum_socket_assign(b, AF_UNIX, fd) == 0);
    CHECK(try_receive_fds(b, after) == 0);
    CHECK(are_the_same(sent, after));
}

TEST_CASE("the end wakes everybody who waits or queues for descriptors")
{
    auto row = GENERATE(pairings[3], pairings[4]);
    auto how = GENERATE(0, 1, 2);
    INFO(row.name << ", " << how);
    world w;
    auto [a, b] = connect_pair(w, row);
    waiter waiting[4], later;
    arrivals came[4];
    pipes sent(1);
    for (int i = 0; i < 4; ++i) {
        if (i != 2)
            REQUIRE(receive_fds(waiting[i], b, came[i]) == 0);
        else
            REQUIRE(waiting[i].receive(b) == 0);
    }
    if (how < 2)
        REQUIRE(try_send_fds(a, "bye", sent.list) == 0);
    if (how == 0)
        REQUIRE(thrum_socket_close(a) == 0);
    else if (how == 1)
        REQUIRE(thrum_socket_shutdown(a, SHUT_WR) == 0);
    else
        REQUIRE(thrum_socket_shutdown(b, SHUT_RD) == 0);
    w.run();
    if (how < 2) {
        CHECK(waiting[0].error == 0);
        CHECK(are_the_same(sent, came[0]));
    }
    for (int i = how < 2 ? 1 : 0; i < 4; ++i)
        CHECK(waiting[i].error == THRUM_EEOF);
    CHECK(try_receive_fds(b, came[1]) == THRUM_EEOF);
    CHECK(receive_fds(later, b, came[1]) == THRUM_EEOF);
}

TEST_CASE("a send with descriptors waits for room, and who comes later goes behind it")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    fill(pair.a);
    waiter first, second, third;
    pipes one(1), two(2);
    auto start = [&](waiter &sending, const char *text, const pipes &sent) {
        return start_send_with_fds(pair.a, sending, text, 1, 0, &sent.list, nullptr);
    };
    REQUIRE(start(first, "1", one) == 0);
    REQUIRE(second.send(pair.a, "2") == 0);
    REQUIRE(start(third, "3", two) == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    CHECK(try_send(pair.a, "overtaking") == EAGAIN);
    CHECK(try_send_fds(pair.a, "overtaking", one.list) == EAGAIN);
    drain(pair.b);
    w.run();
    for (waiter *each : {&first, &second, &third})
        CHECK(each->error == 0);
    arrivals came_one, none, came_two;
    char byte;
    std::size_t size;
    auto take = [&](arrivals &came) {
        int error = EAGAIN;
        for (int i = 0; i < 2 && error == EAGAIN; ++i)
            error = now_receive_with_fds(pair.b, &byte, 1, 0, &came.list, &size, nullptr);
        return error ? '?' : byte;
    };
    CHECK(take(came_one) == '1');
    CHECK(are_the_same(one, came_one));
    CHECK(take(none) == '2');
    CHECK(none.list.n == 0);
    CHECK(take(came_two) == '3');
    CHECK(are_the_same(two, came_two));
}

TEST_CASE("a send with descriptors behind plain ones keeps its place")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    fill(pair.a);
    waiter first, second, third;
    pipes one(1);
    REQUIRE(first.send(pair.a, "1") == 0);
    REQUIRE(start_send_with_fds(pair.a, second, "2", 1, 0, &one.list, nullptr) == 0);
    REQUIRE(third.send(pair.a, "3") == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    drain(pair.b);
    w.run();
    std::string heard;
    char byte;
    std::size_t size;
    for (int i = 0; i < 6 && heard.size() < 3; ++i)
        if (now_receive(pair.b, &byte, 1, 0, &size) == 0)
            heard += byte;
    CHECK(heard == "123");
}

TEST_CASE("a peer that goes ends sends with descriptors that wait")
{
    auto row = GENERATE(pairings[3], pairings[4]);
    INFO(row.name);
    world w;
    auto pair = connect_pair(w, row);
    fill(pair.a);
    waiter first, second, third;
    pipes one(1);
    for (waiter *each : {&first, &third})
        REQUIRE(start_send_with_fds(pair.a, *each, "1", 1, 0, &one.list, nullptr) == 0);
    REQUIRE(second.send(pair.a, "2") == 0);
    CHECK(thrum_context_poll(w.context) == 0);
    thrum_socket_close(pair.b);
    w.run();
    for (waiter *each : {&first, &second, &third})
        CHECK((each->error == EPIPE || each->error == ECONNRESET));
}

TEST_CASE("a context that goes leaves what has come in the list")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    descriptor_watch watch;
    pipes sent(2);
    world *w = new world;
    auto [a, b] = connect_pair(*w, row);
    waiter first, second, third;
    arrivals came, none[2];
    REQUIRE(try_send_fds(a, "x", sent.list) == 0);
    REQUIRE(receive_fds(first, b, came) == 0); // has come, and its completion is on the way
    REQUIRE(receive_fds(second, b, none[0]) == 0);
    REQUIRE(receive_fds(third, b, none[1]) == 0);
    for (thrum_socket *socket : w->sockets)
        thrum_socket_free(socket);
    w->sockets.clear();
    thrum_context_free(w->context);
    CHECK(first.n_done + second.n_done + third.n_done == 0);
    CHECK(are_the_same(sent, came));
    CHECK(none[0].list.n + none[1].list.n == 0);
    thrum_fds_close(&came.list);
    CHECK(came.list.n == 0);
    REQUIRE(thrum_context_new(&w->context) == 0);
    delete w;
}

TEST_CASE("cancel raced against arrival loses no descriptor and leaks none")
{
    constexpr int n_rounds = 6000;
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    auto [a, b] = connect_pair(w, row);
    pipes sent(1);
    arrivals came;
    waiter one;
    int n_sent = 0, n_received = 0, n_cancelled = 0, n_wrong = 0;
    one.then = [&] {
        if (one.error == ECANCELED && came.list.n == 0)
            ++n_cancelled;
        else if (one.error == 0 && came.list.n == 1)
            ++n_received;
        else
            ++n_wrong;
        thrum_fds_close(&came.list);
    };
    int before = count_descriptors();
    for (int round = 0; round < n_rounds; ++round) {
        unsigned place = static_cast<unsigned>(round) * 2654435761u >> 29;
        auto send = [&, a = a] { n_sent += try_send_fds(a, "x", sent.list) == 0; };
        if (place == 0)
            send();
        REQUIRE(receive_fds(one, b, came, 1) == 0);
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
        n_wrong += one.is_pending();
    }
    while (n_received < n_sent && n_wrong == 0) {
        REQUIRE(receive_fds(one, b, came, 1) == 0);
        w.run();
    }
    CHECK(n_wrong == 0);
    CHECK(n_received == n_sent);
    CHECK(n_cancelled > 0);
    CHECK(count_descriptors() == before);
}

TEST_CASE("a pair is connected, and tells who made it")
{
    auto row = GENERATE(from_range(std::begin(unix_kinds), std::end(unix_kinds)));
    INFO(row.name);
    world w;
    thrum_socket *a = w.socket(row.kind), *b = w.socket(row.kind);
    struct thrum_credentials peer = {};
    CHECK(thrum_socket_remote_credentials(a, &peer) == EBADF);
    REQUIRE(thrum_socket_pair(a, b) == 0);
    for (thrum_socket *each : {a, b}) {
        int fd = thrum_socket_native_handle(each);
        CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        CHECK(thrum_socket_family(each) == AF_UNIX);
        REQUIRE(thrum_socket_remote_credentials(each, &peer) == 0);
        CHECK(peer.pid == getpid());
        CHECK(peer.uid == geteuid());
        CHECK(peer.gid == getegid());
    }
    waiter at_b;
    REQUIRE(at_b.receive(b) == 0);
    REQUIRE(try_send(a, "hello") == 0);
    w.run();
    CHECK(at_b.text() == "hello");

    thrum_socket *fresh = w.socket(row.kind);
    CHECK(thrum_socket_pair(a, fresh) == THRUM_EALREADY_OPEN);
    CHECK(thrum_socket_pair(fresh, a) == THRUM_EALREADY_OPEN);
    CHECK(thrum_socket_pair(fresh, fresh) == EINVAL);
    thrum_socket *other_kind = w.socket(row.kind == THRUM_STREAM ? THRUM_SEQPACKET : THRUM_STREAM);
    CHECK(thrum_socket_pair(fresh, other_kind) == EINVAL);
    CHECK_FALSE(thrum_socket_is_open(fresh));
}

TEST_CASE("nobody's credentials are ENOTCONN, and an IP socket has none")
{
    world w;
    thrum_socket *a = w.socket(THRUM_STREAM), *udp = bound_udp(w);
    struct thrum_credentials peer = {};
    REQUIRE(thrum_socket_open(a, AF_UNIX, 0) == 0);
    CHECK(thrum_socket_remote_credentials(a, &peer) == ENOTCONN);
    CHECK(thrum_socket_remote_credentials(udp, &peer) == EOPNOTSUPP);
}

TEST_CASE("the descriptor limit leaves both sockets of a pair closed")
{
    if (RUNNING_ON_VALGRIND)
        return;
    world w;
    thrum_socket *a = w.socket(THRUM_STREAM), *b = w.socket(THRUM_STREAM);
    int lowest = ::dup(0);
    ::close(lowest);
    rlimit usual, few;
    getrlimit(RLIMIT_NOFILE, &usual);
    few = usual;
    few.rlim_cur = static_cast<rlim_t>(lowest) + 1;
    setrlimit(RLIMIT_NOFILE, &few);
    int error = thrum_socket_pair(a, b);
    setrlimit(RLIMIT_NOFILE, &usual);
    CHECK(error == EMFILE);
    CHECK_FALSE(thrum_socket_is_open(a));
    CHECK_FALSE(thrum_socket_is_open(b));
}
