// SPDX-License-Identifier: BSL-1.0
// Endpoints: sockaddr bytes and texts with ports.
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>
#include <string>

#include <catch2/catch.hpp>
#include <thrum/address.h>

#include "net/text.h"

namespace
{

struct thrum_endpoint endpoint_of(const std::string &text, uint16_t port)
{
    struct thrum_address address = address_of(text);
    struct thrum_endpoint endpoint;
    memset(&endpoint, 0x5a, sizeof(endpoint));
    thrum_endpoint_from_address(&address, port, &endpoint);
    return endpoint;
}

std::string text_of(const struct thrum_address &address, uint16_t port)
{
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    size_t length = thrum_address_format_port(&address, port, text);
    return std::string(text, length);
}

// Through an endpoint and back.
std::string round_trip(const std::string &text, uint16_t port)
{
    struct thrum_endpoint endpoint = endpoint_of(text, port);
    struct thrum_address address = {};
    uint16_t found_port = 0;
    REQUIRE(thrum_endpoint_to_address(&endpoint, &address, &found_port) == 0);
    return text_of(address, found_port);
}

int from_path(const std::string &path, struct thrum_endpoint *endpoint)
{
    memset(endpoint, 0x5a, sizeof(*endpoint));
    return thrum_endpoint_from_path(path.data(), path.size(), endpoint);
}

std::string path_of(const struct thrum_endpoint &endpoint)
{
    const char *path = nullptr;
    size_t length = 0;
    REQUIRE(thrum_endpoint_to_path(&endpoint, &path, &length) == 0);
    return std::string(path, length);
}

std::string format(const struct thrum_endpoint &endpoint)
{
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    size_t length = thrum_endpoint_format(&endpoint, text);
    CHECK(strlen(text) == length);
    return std::string(text, length);
}

} // namespace

TEST_CASE("an endpoint has its family, size and network byte order")
{
    struct thrum_endpoint v4 = endpoint_of("1.2.3.4", 0x1234);
    CHECK(v4.size == sizeof(struct sockaddr_in));
    CHECK(v4.sa.any.sa_family == AF_INET);
    CHECK(v4.sa.v4.sin_port == htons(0x1234));
    CHECK(v4.sa.v4.sin_addr.s_addr == htonl(0x01020304));

    struct thrum_endpoint v6 = endpoint_of("fe80::1%77777", 0x1234);
    CHECK(v6.size == sizeof(struct sockaddr_in6));
    CHECK(v6.sa.any.sa_family == AF_INET6);
    CHECK(v6.sa.v6.sin6_port == htons(0x1234));
    CHECK(v6.sa.v6.sin6_scope_id == 77777);
    CHECK(v6.sa.v6.sin6_flowinfo == 0);
}

TEST_CASE("the same address and port give the same bytes, padding included")
{
    for (const char *text : {"1.2.3.4", "fe80::1%77777"}) {
        struct thrum_address address = address_of(text);
        struct thrum_endpoint a, b;
        memset(&a, 0x00, sizeof(a));
        memset(&b, 0xff, sizeof(b));
        thrum_endpoint_from_address(&address, 53, &a);
        thrum_endpoint_from_address(&address, 53, &b);
        REQUIRE(a.size == b.size);
        CHECK(memcmp(&a.sa, &b.sa, a.size) == 0);
    }
}

TEST_CASE("address, zone and port come back from an endpoint")
{
    CHECK(round_trip("1.2.3.4", 53) == "1.2.3.4:53");
    CHECK(round_trip("2001:db8::1", 65535) == "[2001:db8::1]:65535");
    CHECK(round_trip("fe80::1%77777", 0) == "[fe80::1%77777]:0");
    CHECK(round_trip("::ffff:1.2.3.4", 1) == "[::ffff:1.2.3.4]:1");
}

TEST_CASE("a v4 address taken from an endpoint has clean remaining bytes")
{
    struct thrum_endpoint endpoint = endpoint_of("1.2.3.4", 53);
    struct thrum_address address, expected = address_of("1.2.3.4");
    uint16_t port;
    memset(&address, 0xff, sizeof(address));
    REQUIRE(thrum_endpoint_to_address(&endpoint, &address, &port) == 0);
    CHECK(thrum_address_compare(&address, &expected) == 0);
}

TEST_CASE("endpoints of other families, or cut short, are EAFNOSUPPORT")
{
    struct thrum_address address = {};
    uint16_t port = 7;
    struct thrum_endpoint path = {};
    path.sa.path.sun_family = AF_UNIX;
    path.size = sizeof(path.sa.path);
    CHECK(thrum_endpoint_to_address(&path, &address, &port) == EAFNOSUPPORT);

    for (const char *text : {"1.2.3.4", "::1"}) {
        struct thrum_endpoint endpoint = endpoint_of(text, 53);
        for (socklen_t size = 0; size < endpoint.size; size++) {
            struct thrum_endpoint cut = endpoint;
            cut.size = size;
            CHECK(thrum_endpoint_to_address(&cut, &address, &port) == EAFNOSUPPORT);
        }
    }
    CHECK(port == 7);
}

TEST_CASE("texts with ports are read")
{
    struct {
        const char *text, *address;
        uint16_t port;
    } rows[] = {
        {"1.2.3.4:53", "1.2.3.4", 53},
        {"0.0.0.0:0", "0.0.0.0", 0},
        {"255.255.255.255:65535", "255.255.255.255", 65535},
        {"[::]:0", "::", 0},
        {"[2001:db8::1]:53", "2001:db8::1", 53},
        {"[fe80::1%77777]:5353", "fe80::1%77777", 5353},
        {"[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", 80},
    };
    for (const auto &row : rows) {
        struct thrum_address address = {};
        uint16_t port = 7;
        INFO(row.text);
        REQUIRE(thrum_address_parse_port(row.text, strlen(row.text), &address, &port) == 0);
        CHECK(::text_of(address) == row.address);
        CHECK(port == row.port);
    }
}

TEST_CASE("texts that are no endpoint are EINVAL and write nothing")
{
    for (const std::string &text :
         words("|:|1.2.3.4|1.2.3.4:|:53|1.2.3.4:65536|1.2.3.4:70000|1.2.3.4:-1|1.2.3.4:+1|"
               "1.2.3.4: 1|1.2.3.4:1 |1.2.3.4:053|1.2.3.4:0x35|1.2.3.4:http|"
               "1.2.3.4:4294967349|1.2.3:53|[1.2.3.4]:53|::1|::1:53|2001:db8::1:53|[::1]|"
               "[::1]:|[::1]53|[::1:53|::1]:53|[]:53|[:53|]:53|[[::1]]:53|[::1] :53|"
               " [::1]:53|[::1]:53 |[fe80::1%nosuchif]:53|[::1]%1:53|localhost:53",
               '|')) {
        struct thrum_address address = address_of("9.9.9.9");
        uint16_t port = 7;
        INFO("text: '" << text << "'");
        CHECK(thrum_address_parse_port(text.data(), text.size(), &address, &port) == EINVAL);
        CHECK(::text_of(address) == "9.9.9.9");
        CHECK(port == 7);
    }
    struct thrum_address address;
    uint16_t port;
    CHECK(thrum_address_parse_port("1.2.3.4:53\0", 11, &address, &port) == EINVAL);
    CHECK(thrum_address_parse_port(nullptr, 0, &address, &port) == EINVAL);
}

TEST_CASE("the longest endpoint fits its buffer")
{
    struct thrum_address address = address_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    address.scope_id = 4294967295u;
    CHECK(text_of(address, 65535) == "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

TEST_CASE("random endpoints survive bytes and text")
{
    std::mt19937 random(7);
    for (int i = 0; i < 10000; i++) {
        struct thrum_address address = random_address(random), found = {};
        uint16_t port = (uint16_t)random(), found_port = 0;
        std::string text = text_of(address, port);
        int error = thrum_address_parse_port(text.data(), text.size(), &found, &found_port);
        if (error || thrum_address_compare(&address, &found) != 0 || port != found_port)
            FAIL(text);
        if (round_trip(::text_of(address), port) != text)
            FAIL(text << " as bytes");
    }
}

TEST_CASE("paths and abstract names survive a unix endpoint")
{
    const size_t room = sizeof(sockaddr_un::sun_path);
    for (const std::string &path :
         {std::string("/run/x.sock"), std::string("relative"), std::string(room - 1, 'x'),
          std::string("\0name", 5), std::string("\0", 1), std::string("\0a\0b\0", 5),
          '\0' + std::string(room - 1, 'x'), std::string()}) {
        struct thrum_endpoint endpoint;
        INFO(path);
        REQUIRE(from_path(path, &endpoint) == 0);
        CHECK(endpoint.sa.any.sa_family == AF_UNIX);
        bool is_file = !path.empty() && path[0] != 0;
        CHECK(endpoint.size == offsetof(sockaddr_un, sun_path) + path.size() + is_file);
        CHECK(path_of(endpoint) == path);
        if (is_file)
            CHECK(std::string(endpoint.sa.path.sun_path) == path);
    }
}

TEST_CASE("a path that does not fit or hides a NUL is refused, never cut")
{
    const size_t room = sizeof(sockaddr_un::sun_path);
    struct thrum_endpoint endpoint;
    CHECK(from_path(std::string(room, 'x'), &endpoint) == ENAMETOOLONG);
    CHECK(from_path('\0' + std::string(room, 'x'), &endpoint) == ENAMETOOLONG);
    CHECK(from_path(std::string(1 << 20, 'x'), &endpoint) == ENAMETOOLONG);
    CHECK(from_path(std::string("a\0b", 3), &endpoint) == EINVAL);
    CHECK(from_path(std::string("a\0", 2), &endpoint) == EINVAL);
    CHECK(endpoint.sa.any.sa_family == 0x5a5a);
}

TEST_CASE("unix endpoints as the system reports them")
{
    struct thrum_endpoint endpoint;
    memset(&endpoint, 0x5a, sizeof(endpoint));
    endpoint.size = 0; // the sender of a datagram without a name
    CHECK(path_of(endpoint).empty());
    endpoint.sa.path.sun_family = AF_UNIX;
    endpoint.size = sizeof(sa_family_t);
    CHECK(path_of(endpoint).empty());
    memset(endpoint.sa.path.sun_path, 'x', sizeof(endpoint.sa.path.sun_path)); // without its NUL
    endpoint.size = sizeof(endpoint.sa.path);
    CHECK(path_of(endpoint) == std::string(sizeof(endpoint.sa.path.sun_path), 'x'));
    endpoint.sa.path.sun_path[3] = 0;
    CHECK(path_of(endpoint) == "xxx");

    const char *path;
    size_t length;
    struct thrum_endpoint v4 = endpoint_of("1.2.3.4", 53);
    CHECK(thrum_endpoint_to_path(&v4, &path, &length) == EAFNOSUPPORT);
}

TEST_CASE("every endpoint has a text")
{
    struct thrum_endpoint endpoint;
    CHECK(format(endpoint_of("1.2.3.4", 53)) == "1.2.3.4:53");
    CHECK(format(endpoint_of("::1", 53)) == "[::1]:53");
    REQUIRE(from_path("/run/x.sock", &endpoint) == 0);
    CHECK(format(endpoint) == "/run/x.sock");
    REQUIRE(from_path(std::string("\0a\0b", 4), &endpoint) == 0);
    CHECK(format(endpoint) == "@a@b");
    REQUIRE(from_path("", &endpoint) == 0);
    CHECK(format(endpoint).empty());
    REQUIRE(from_path('\0' + std::string(sizeof(sockaddr_un::sun_path) - 1, 'x'), &endpoint) == 0);
    CHECK(format(endpoint).size() == sizeof(sockaddr_un::sun_path));
    endpoint.sa.any.sa_family = AF_UNSPEC;
    CHECK(format(endpoint).empty());
}
