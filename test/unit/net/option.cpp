// SPDX-License-Identifier: BSL-1.0
// Option rows, each really set and read back on a socket of both families; multicast on loopback.
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "base/leak_check.h"
#include "net/interface.h"
#include "net/option.h"
#include "net/text.h"

namespace
{

enum : unsigned {
    UDP = TRAIT_DATAGRAM | TRAIT_SOCKET | TRAIT_IP,
    TCP = TRAIT_STREAM | TRAIT_SOCKET | TRAIT_IP,
    TCP_ACCEPTOR = TRAIT_STREAM | TRAIT_ACCEPTOR | TRAIT_IP,
    UNIX_DATAGRAM = TRAIT_DATAGRAM | TRAIT_SOCKET | TRAIT_UNIX
};

struct socket_guard {
    int family;
    int fd;

    explicit socket_guard(int f, int type = SOCK_DGRAM)
        : family(f), fd(socket(f, type | SOCK_CLOEXEC, 0))
    {
        REQUIRE((fd >= 0 || f == AF_INET6));
    }

    ~socket_guard()
    {
        close(fd);
    }

    socket_guard(const socket_guard &) = delete;
    socket_guard &operator=(const socket_guard &) = delete;

    int level(const struct option_row &row) const
    {
        return family == AF_INET6 ? row.level_v6 : row.level_v4;
    }

    int name(const struct option_row &row) const
    {
        return family == AF_INET6 ? row.name_v6 : row.name_v4;
    }

    int set(const struct option_row &row, const void *value, size_t size) const
    {
        return setsockopt(fd, level(row), name(row), value, (socklen_t)size) < 0 ? errno : 0;
    }

    int get(const struct option_row &row, int &value) const
    {
        socklen_t size = sizeof(value);
        return getsockopt(fd, level(row), name(row), &value, &size) < 0 ? errno : 0;
    }
};

const struct option_row &row_of(const std::string &name, unsigned traits = UDP)
{
    const struct option_row *row = option_find(name.data(), name.size(), traits);
    INFO(name);
    REQUIRE(row != nullptr);
    return *row;
}

bool has_row(const std::string &name, unsigned traits)
{
    return option_find(name.data(), name.size(), traits) != nullptr;
}

// What TCP's rows want beside that; some the kernel rounds, and has a case of their own.
int tcp_sample(const struct option_row &row)
{
    std::string name = row.name;
    return name == "tcp_keep_count" ? 5 : name == "receive_low_watermark" ? 7 : 1000;
}

bool is_rounded(const struct option_row &row)
{
    std::string name = row.name;
    return name == "defer_accept" || name == "send_low_watermark";
}

// Values a socket should take and give back as they are.
std::vector<int> samples(const struct option_row &row, int family)
{
    std::vector<int> values;
    if (row.shape == OPTION_BOOLEAN)
        values = {1, 0, 1};
    else if (row.shape == OPTION_CHOICE)
        for (const struct option_choice *choice = row.choices; choice->name; choice++)
            values.push_back(choice->value);
    else if (row.shape == OPTION_INTEGER && row.maximum == 255)
        values = {row.maximum, 17 * 4, row.name_v4 == IP_TTL && family == AF_INET ? 1 : 0};
    else if (row.traits & TRAIT_STREAM &&
             (row.shape == OPTION_INTEGER || row.shape == OPTION_SECONDS))
        values = {tcp_sample(row)};
    else if (row.shape == OPTION_INTEGER)
        values = {20000};
    else if (row.shape == OPTION_UNSIGNED)
        values = {20000, static_cast<int>(0x80000000U), static_cast<int>(0xffffffffU)};
    return values;
}

// Linux answers with twice the buffer size that was asked for, and TCP keeps its two ECN bits.
bool is_same(const struct option_row &row, int asked, int got)
{
    std::string name = row.name;
    if (name == "type_of_service")
        return got >> 2 == asked >> 2;
    return got == asked || (name.find("buffer_size") != std::string::npos && got == 2 * asked);
}

void set_and_get(const struct option_row &row, const socket_guard &socket)
{
    for (int asked : samples(row, socket.family)) {
        INFO(row.name << " = " << asked << " for family " << socket.family);
        int got = -1, error = socket.set(row, &asked, sizeof(asked));
        if (error == EPERM || error == EACCES)
            return; // debug and mark are for privileged users
        REQUIRE(error == 0);
        REQUIRE(socket.get(row, got) == 0);
        CHECK(is_same(row, asked, got));
    }
}

struct option_interface any_interface()
{
    struct option_interface interface = {};
    interface.by = INTERFACE_ANY;
    return interface;
}

struct option_interface by_index(unsigned index)
{
    struct option_interface interface = {};
    interface.by = INTERFACE_BY_INDEX;
    interface.index = index;
    return interface;
}

struct option_interface by_address(const std::string &text)
{
    struct option_interface interface = {};
    interface.by = INTERFACE_BY_ADDRESS;
    interface.address = address_of(text);
    return interface;
}

std::string loopback_name()
{
    return if_nametoindex("lo") ? "lo" : "lo0";
}

unsigned loopback_index()
{
    return if_nametoindex(loopback_name().c_str());
}

bool has_v6_loopback()
{
    struct thrum_address address = address_of("::1");
    unsigned index;
    return interface_by_address(&address, &index) == 0;
}

// Encodes the value and really sets it.
int set_group(const socket_guard &socket, const char *option, const std::string &group,
              const struct option_interface &interface)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size = 0;
    struct thrum_address address = address_of(group);
    int error = option_encode_group(socket.family, &address, &interface, value, &size);
    return error ? error : socket.set(row_of(option), value, size);
}

int encode_source(int family, const std::string &group, const std::string &source,
                  const struct option_interface &interface,
                  unsigned char (&value)[OPTION_VALUE_SIZE], size_t *size)
{
    struct thrum_address to = address_of(group), from = address_of(source);
    return option_encode_source(family, &to, &from, &interface, value, size);
}

int set_source(const socket_guard &socket, const char *option, const std::string &group,
               const std::string &source, const struct option_interface &interface)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size = 0;
    int error = encode_source(socket.family, group, source, interface, value, &size);
    return error ? error : socket.set(row_of(option), value, size);
}

int set_interface(const socket_guard &socket, const struct option_interface &interface)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size = 0;
    int error = option_encode_interface(socket.family, &interface, value, &size);
    return error ? error : socket.set(row_of("multicast_interface"), value, size);
}

int encode_group(int family, const std::string &group, const struct option_interface &interface)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size = 0;
    struct thrum_address address = address_of(group);
    return option_encode_group(family, &address, &interface, value, &size);
}

int encode_interface(int family, const struct option_interface &interface)
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size = 0;
    return option_encode_interface(family, &interface, value, &size);
}

// Joining twice and leaving twice shows that leave names the very membership join made.
void join_and_leave(int family, const std::string &group, const struct option_interface &interface)
{
    socket_guard socket(family);
    INFO(group);
    CHECK(set_group(socket, "leave_multicast_group", group, interface) == EADDRNOTAVAIL);
    CHECK(set_group(socket, "join_multicast_group", group, interface) == 0);
    CHECK(set_group(socket, "join_multicast_group", group, interface) == EADDRINUSE);
    CHECK(set_group(socket, "leave_multicast_group", group, interface) == 0);
    CHECK(set_group(socket, "leave_multicast_group", group, interface) == EADDRNOTAVAIL);
}

bool serves(const struct option_row &row, unsigned traits)
{
    return (row.traits & traits) == row.traits;
}

void walk_rows(int family)
{
    for (const struct option_row *row = option_rows(); row->name; row++) {
        socket_guard socket(family, row->traits & TRAIT_STREAM ? SOCK_STREAM : SOCK_DGRAM);
        if (socket.level(*row) != -1 && !is_rounded(*row))
            set_and_get(*row, socket);
    }
}

} // namespace

TEST_CASE("rows are named once, or once for each class, and no two set the same thing")
{
    std::set<std::string> names;
    std::set<std::pair<int, int>> v4, v6;
    for (const struct option_row *row = option_rows(); row->name; row++) {
        INFO(row->name);
        CHECK((names.insert(row->name).second || row->name == std::string("fast_open")));
        CHECK((serves(*row, UDP) || serves(*row, TCP) || serves(*row, TCP_ACCEPTOR)));
        for (unsigned traits : {UDP, TCP, TCP_ACCEPTOR, UNIX_DATAGRAM})
            CHECK((!serves(*row, traits) || &row_of(row->name, traits) == row));
        CHECK((row->level_v4 == -1 || v4.insert({row->level_v4, row->name_v4}).second));
        CHECK((row->level_v6 == -1 || v6.insert({row->level_v6, row->name_v6}).second));
        CHECK(row->minimum <= row->maximum);
        CHECK((row->shape == OPTION_CHOICE) == (row->choices != nullptr));
        CHECK((row->level_v4 == SOL_SOCKET) == (row->level_v6 == SOL_SOCKET));
    }
    CHECK(names.size() >= 15);
}

TEST_CASE_METHOD(leak_check, "every row takes its values and gives them back, for v4")
{
    walk_rows(AF_INET);
}

TEST_CASE_METHOD(leak_check, "every row takes its values and gives them back, for v6")
{
    if (has_v6_loopback())
        walk_rows(AF_INET6);
}

TEST_CASE_METHOD(leak_check, "rows that are for TCP too work there")
{
    for (const struct option_row *row = option_rows(); row->name; row++)
        if (serves(*row, TCP) && row->level_v4 != -1 && !is_rounded(*row))
            set_and_get(*row, socket_guard(AF_INET, SOCK_STREAM));
}

// LuaSocket's ipv6-multicast-hops sets the unicast hops.
TEST_CASE_METHOD(leak_check, "multicast hops and unicast hops are two things")
{
    for (int family : {AF_INET, AF_INET6}) {
        if (family == AF_INET6 && !has_v6_loopback())
            continue;
        socket_guard socket(family);
        int three = 3, nine = 9, got = 0;
        CHECK(socket.set(row_of("multicast_hops"), &three, sizeof(three)) == 0);
        CHECK(socket.set(row_of("unicast_hops"), &nine, sizeof(nine)) == 0);
        CHECK(socket.get(row_of("multicast_hops"), got) == 0);
        CHECK(got == 3);
        CHECK(socket.get(row_of("unicast_hops"), got) == 0);
        CHECK(got == 9);
    }
}

TEST_CASE_METHOD(leak_check, "the error of a fresh socket is nothing")
{
    socket_guard socket(AF_INET);
    int error = -1;
    CHECK(socket.get(row_of("error"), error) == 0);
    CHECK(error == 0);
    CHECK(row_of("error").access == OPTION_GET);
}

TEST_CASE("an option serves the classes that have all its traits")
{
    for (unsigned traits : {UDP, TCP, TCP_ACCEPTOR, UNIX_DATAGRAM})
        for (const char *name : {"debug", "send_buffer_size", "receive_buffer_size", "error"})
            CHECK(has_row(name, traits));
    for (const char *name : {"broadcast", "multicast_hops", "join_multicast_group"}) {
        CHECK(has_row(name, UDP));
        CHECK_FALSE(has_row(name, TCP));
        CHECK_FALSE(has_row(name, UNIX_DATAGRAM));
    }
    for (const char *name : {"tcp_no_delay", "keep_alive", "linger"}) {
        CHECK_FALSE(has_row(name, UDP));
        CHECK(has_row(name, TCP));
        CHECK(has_row(name, TCP_ACCEPTOR));
        CHECK_FALSE(has_row(name, UNIX_DATAGRAM));
    }
    CHECK_FALSE(has_row("out_of_band_inline", TCP_ACCEPTOR));
    for (const char *name : {"reuse_address", "unicast_hops", "v6_only", "do_not_route"}) {
        CHECK(has_row(name, UDP));
        CHECK(has_row(name, TCP));
        CHECK(has_row(name, TCP_ACCEPTOR));
        CHECK_FALSE(has_row(name, UNIX_DATAGRAM));
    }
}

TEST_CASE("names are compared whole")
{
    for (const std::string &name : {std::string(), std::string("debu"), std::string("debugs"),
                                    std::string("Debug"), std::string("debug\0", 6)})
        CHECK_FALSE(has_row(name, UDP));
    CHECK(option_find("debugger", 5, UDP) == option_rows());
}

TEST_CASE_METHOD(leak_check, "linger takes a switch and seconds")
{
    socket_guard socket(AF_INET, SOCK_STREAM);
    const struct option_row &row = row_of("linger", TCP);
    struct linger asked = {1, row.maximum}, got = {};
    socklen_t size = sizeof(got);
    REQUIRE(socket.set(row, &asked, sizeof(asked)) == 0);
    REQUIRE(getsockopt(socket.fd, row.level_v4, row.name_v4, &got, &size) == 0);
    CHECK(got.l_onoff != 0);
    CHECK(got.l_linger == asked.l_linger);
}

#ifdef TCP_DEFER_ACCEPT
TEST_CASE_METHOD(leak_check, "defer_accept is rounded up")
{
    socket_guard socket(AF_INET, SOCK_STREAM);
    const struct option_row &row = row_of("defer_accept", TCP_ACCEPTOR);
    int asked = 5, got = 0;
    REQUIRE(socket.set(row, &asked, sizeof(asked)) == 0);
    REQUIRE(socket.get(row, got) == 0);
    CHECK(got >= asked);
}
#endif

TEST_CASE("v6_only is for v6 alone")
{
    CHECK(row_of("v6_only").level_v4 == -1);
    CHECK(row_of("v6_only").level_v6 == IPPROTO_IPV6);
}

#ifdef SO_BINDTODEVICE
TEST_CASE_METHOD(leak_check, "bind_to_device takes the longest name an interface may have")
{
    const struct option_row &row = row_of("bind_to_device");
    CHECK(row.maximum == IF_NAMESIZE - 1);
    socket_guard socket(AF_INET);
    std::string name = loopback_name();
    int error = socket.set(row, name.data(), name.size());
    if (error == EPERM)
        return;
    CHECK(error == 0);
    char got[IF_NAMESIZE] = "";
    socklen_t size = sizeof(got);
    CHECK(getsockopt(socket.fd, row.level_v4, row.name_v4, got, &size) == 0);
    CHECK(std::string(got) == name);
}
#endif

TEST_CASE_METHOD(leak_check, "an interface is found by its name")
{
    struct option_interface interface = {};
    std::string name = loopback_name();
    REQUIRE(option_interface_by_name(name.data(), name.size(), &interface) == 0);
    CHECK(interface.by == INTERFACE_BY_INDEX);
    CHECK(interface.index == loopback_index());
    interface.index = 12345;
    for (const std::string &bad :
         {std::string(), std::string("nosuchif"), name + '\0', std::string(100, 'x')})
        CHECK(option_interface_by_name(bad.data(), bad.size(), &interface) == ENODEV);
    CHECK(interface.index == 12345);
}

TEST_CASE_METHOD(leak_check, "a v4 group is joined and left on an interface by index or address")
{
    join_and_leave(AF_INET, "239.255.77.1", by_index(loopback_index()));
    join_and_leave(AF_INET, "239.255.77.2", by_address("127.0.0.1"));
}

TEST_CASE_METHOD(leak_check, "a v6 group is joined and left by index, address or its own zone")
{
    if (!has_v6_loopback())
        return;
    join_and_leave(AF_INET6, "ff01::7701", by_index(loopback_index()));
    join_and_leave(AF_INET6, "ff01::7702", by_address("::1"));
    join_and_leave(AF_INET6, "ff01::7703%" + loopback_name(), any_interface());
    join_and_leave(AF_INET6, "ff01::7704%" + loopback_name(), by_address("::"));
    join_and_leave(AF_INET6, "ff01::7705%77777", by_index(loopback_index()));
}

TEST_CASE_METHOD(leak_check, "the interface for v4 multicast is set and reset")
{
    socket_guard socket(AF_INET);
    struct in_addr got = {};
    socklen_t size = sizeof(got);
    CHECK(set_interface(socket, by_address("127.0.0.1")) == 0);
    CHECK(getsockopt(socket.fd, IPPROTO_IP, IP_MULTICAST_IF, &got, &size) == 0);
    CHECK(got.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(set_interface(socket, any_interface()) == 0);
    CHECK(getsockopt(socket.fd, IPPROTO_IP, IP_MULTICAST_IF, &got, &size) == 0);
    CHECK(got.s_addr == htonl(INADDR_ANY));
    CHECK(set_interface(socket, by_index(loopback_index())) == 0);
    CHECK(set_interface(socket, by_address("0.0.0.0")) == 0);
    CHECK(set_interface(socket, by_address("192.0.2.77")) == EADDRNOTAVAIL);
}

TEST_CASE_METHOD(leak_check, "the interface for v6 multicast is set and reset")
{
    if (!has_v6_loopback())
        return;
    socket_guard socket(AF_INET6);
    const struct option_row &row = row_of("multicast_interface");
    int got = -1;
    for (const auto &interface : {by_index(loopback_index()), by_address("::1")}) {
        CHECK(set_interface(socket, interface) == 0);
        CHECK(socket.get(row, got) == 0);
        CHECK((unsigned)got == loopback_index());
        CHECK(set_interface(socket, any_interface()) == 0);
        CHECK(socket.get(row, got) == 0);
        CHECK(got == 0);
    }
    CHECK(set_interface(socket, by_address("2001:db8::77")) == EADDRNOTAVAIL);
}

TEST_CASE_METHOD(leak_check, "a datagram sent to a group through loopback arrives")
{
    socket_guard receiver(AF_INET), sender(AF_INET);
    struct thrum_address group = address_of("239.255.77.3"), any = {};
    struct thrum_endpoint endpoint;
    uint16_t port = 0;
    thrum_endpoint_from_address(&any, 0, &endpoint);
    REQUIRE(bind(receiver.fd, &endpoint.sa.any, endpoint.size) == 0);
    REQUIRE(getsockname(receiver.fd, &endpoint.sa.any, &endpoint.size) == 0);
    REQUIRE(thrum_endpoint_to_address(&endpoint, &any, &port) == 0);
    REQUIRE(set_group(receiver, "join_multicast_group", "239.255.77.3",
                      by_index(loopback_index())) == 0);
    REQUIRE(set_interface(sender, by_index(loopback_index())) == 0);

    thrum_endpoint_from_address(&group, port, &endpoint);
    REQUIRE(sendto(sender.fd, "hi", 2, 0, &endpoint.sa.any, endpoint.size) == 2);
    struct pollfd wait = {receiver.fd, POLLIN, 0};
    REQUIRE(poll(&wait, 1, 5000) == 1);
    char text[8];
    CHECK(recv(receiver.fd, text, sizeof(text), 0) == 2);
}

// A source that has been joined cannot be joined again, and one that has not been cannot be left.
TEST_CASE_METHOD(leak_check, "a group's source is joined and left by every way to an interface")
{
    struct option_interface ways[] = {by_index(loopback_index()), by_address("127.0.0.1")};
    for (const struct option_interface &way : ways) {
        socket_guard socket(AF_INET);
        CHECK(set_source(socket, "join_source_group", "232.1.1.1", "192.0.2.1", way) == 0);
        CHECK(set_source(socket, "join_source_group", "232.1.1.1", "192.0.2.1", way) ==
              EADDRNOTAVAIL);
        CHECK(set_source(socket, "join_source_group", "232.1.1.1", "192.0.2.2", way) == 0);
        CHECK(set_source(socket, "leave_source_group", "232.1.1.1", "192.0.2.1", way) == 0);
        CHECK(set_source(socket, "leave_source_group", "232.1.1.1", "192.0.2.1", way) ==
              EADDRNOTAVAIL);
    }
    if (!has_v6_loopback())
        return;
    socket_guard socket(AF_INET6);
    struct option_interface way = by_index(loopback_index());
    CHECK(set_source(socket, "join_source_group", "ff3e::1", "2001:db8::1", way) == 0);
    CHECK(set_source(socket, "leave_source_group", "ff3e::1", "2001:db8::1", way) == 0);
    /* With the last source the group is gone, too. */
    CHECK(set_source(socket, "leave_source_group", "ff3e::1", "2001:db8::1", way) == EINVAL);
}

TEST_CASE("a group's source is refused like a group: another family, no group, no interface")
{
    unsigned char value[OPTION_VALUE_SIZE];
    size_t size;
    const struct option_interface any = any_interface();
    CHECK(encode_source(AF_INET, "1.2.3.4", "192.0.2.1", any, value, &size) == EINVAL);
    CHECK(encode_source(AF_INET, "232.1.1.1", "::1", any, value, &size) == EAFNOSUPPORT);
    CHECK(encode_source(AF_INET6, "232.1.1.1", "192.0.2.1", any, value, &size) == EAFNOSUPPORT);
    CHECK(encode_source(AF_UNIX, "232.1.1.1", "192.0.2.1", any, value, &size) == EAFNOSUPPORT);
    CHECK(encode_source(AF_INET, "232.1.1.1", "192.0.2.1", by_address("::1"), value, &size) ==
          EAFNOSUPPORT);
    CHECK(encode_source(AF_INET, "232.1.1.1", "192.0.2.1", by_address("192.0.2.77"), value,
                        &size) == ENODEV);
    CHECK(encode_source(AF_INET, "232.1.1.1", "192.0.2.1", by_index((unsigned)INT_MAX + 1), value,
                        &size) == ENODEV);
    CHECK(encode_source(AF_INET, "232.1.1.1", "192.0.2.1", by_address("0.0.0.0"), value, &size) ==
          0);
}

TEST_CASE_METHOD(leak_check, "all interfaces are listed, loopback among them")
{
    unsigned indexes[MAX_INTERFACES];
    size_t count = 0;
    REQUIRE(interface_list(indexes, &count) == 0);
    CHECK(std::count(indexes, indexes + count, loopback_index()) == 1);
}

TEST_CASE("what is no multicast group is EINVAL")
{
    for (const char *text : {"1.2.3.4", "223.255.255.255", "240.0.0.1"})
        CHECK(encode_group(AF_INET, text, any_interface()) == EINVAL);
    for (const char *text : {"::1", "fe80::1", "::ffff:224.0.0.1"})
        CHECK(encode_group(AF_INET6, text, any_interface()) == EINVAL);
}

TEST_CASE("a group or an interface of another family is EAFNOSUPPORT")
{
    CHECK(encode_group(AF_INET6, "224.0.0.1", any_interface()) == EAFNOSUPPORT);
    CHECK(encode_group(AF_INET, "ff02::1", any_interface()) == EAFNOSUPPORT);
    CHECK(encode_group(AF_UNIX, "224.0.0.1", any_interface()) == EAFNOSUPPORT);
    CHECK(encode_group(AF_INET, "224.0.0.1", by_address("::1")) == EAFNOSUPPORT);
    CHECK(encode_group(AF_INET6, "ff02::1", by_address("127.0.0.1")) == EAFNOSUPPORT);
    CHECK(encode_interface(AF_INET, by_address("::1")) == EAFNOSUPPORT);
    CHECK(encode_interface(AF_INET6, by_address("127.0.0.1")) == EAFNOSUPPORT);
    CHECK(encode_interface(AF_UNIX, any_interface()) == EAFNOSUPPORT);
}

TEST_CASE_METHOD(leak_check, "an interface nobody has is ENODEV")
{
    unsigned too_large = (unsigned)INT_MAX + 1;
    CHECK(encode_interface(AF_INET, by_index(too_large)) == ENODEV);
    CHECK(encode_interface(AF_INET6, by_index(too_large)) == ENODEV);
    CHECK(encode_group(AF_INET, "224.0.0.1", by_index(too_large)) == ENODEV);
    CHECK(encode_group(AF_INET6, "ff02::1", by_index(too_large)) == ENODEV);
    CHECK(encode_group(AF_INET6, "ff02::1%3000000000", any_interface()) == ENODEV);
    CHECK(encode_group(AF_INET6, "ff02::1", by_address("2001:db8::77")) == ENODEV);
    CHECK(encode_group(AF_INET6, "ff02::1", by_address("::1%77777")) == ENODEV);
}
