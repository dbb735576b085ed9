// SPDX-License-Identifier: BSL-1.0
// Lookups: which need no resolver, what getaddrinfo would get wrong, and what errors become.
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <netdb.h>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <thrum/error.h>

#include "net/lookup.h"

namespace
{

constexpr int numeric_flags = AI_NUMERICHOST | AI_NUMERICSERV;

int resolver_error(int code)
{
    return THRUM_ERROR_RESOLVER - code; // glibc's are negative
}

struct asked {
    struct lookup lookup;
    int error;

    asked(const char *host, const char *service, int flags = 0, int family = AF_UNSPEC)
    {
        struct addrinfo hints = {};
        hints.ai_flags = flags;
        hints.ai_family = family;
        hints.ai_socktype = SOCK_DGRAM;
        error = lookup_init_forward(&lookup, host, service, &hints);
    }

    asked(const asked &) = delete;

    ~asked()
    {
        lookup_deinit(&lookup);
    }

    asked &try_it()
    {
        REQUIRE(error == 0);
        error = lookup_try(&lookup);
        return *this;
    }

    // "127.0.0.1:80 ...", the error's name, or its number.
    std::string text() const
    {
        if (error) {
            const char *name = thrum_error_name(error);
            return name ? name : std::to_string(error);
        }
        std::string all;
        for (const struct addrinfo *entry = lookup.addresses; entry; entry = entry->ai_next) {
            struct thrum_endpoint endpoint = {};
            struct thrum_address address;
            std::uint16_t port;
            char one[THRUM_ENDPOINT_TEXT_SIZE];
            endpoint.size = entry->ai_addrlen;
            std::memcpy(&endpoint.sa, entry->ai_addr, entry->ai_addrlen);
            REQUIRE(thrum_endpoint_to_address(&endpoint, &address, &port) == 0);
            thrum_address_format_port(&address, port, one);
            all += all.empty() ? one : std::string(" ") + one;
        }
        return all;
    }
};

std::string try_text(const char *host, const char *service, int flags = 0, int family = AF_UNSPEC)
{
    return asked(host, service, flags, family).try_it().text();
}

} // namespace

TEST_CASE("numbers are answered without the resolver")
{
    CHECK(try_text("127.0.0.1", "80") == "127.0.0.1:80");
    CHECK(try_text("255.255.255.255", "65535") == "255.255.255.255:65535");
    CHECK(try_text("::1", "0") == "[::1]:0");
    CHECK(try_text("2001:db8::1", "080") == "[2001:db8::1]:80");
    CHECK(try_text("127.0.0.1", "00") == "127.0.0.1:0");
    CHECK(try_text("127.0.0.1", nullptr) == "127.0.0.1:0");
    CHECK(try_text("127.0.0.1", "80", AI_V4MAPPED, AF_INET6) == "[::ffff:127.0.0.1]:80");
    CHECK(try_text("127.0.0.1", "80", 0, AF_INET6) == "EAI_ADDRFAMILY");
    CHECK(try_text("::1", "80", 0, AF_INET) == "EAI_ADDRFAMILY");
}

TEST_CASE("no host is loopback, or with passive the unspecified address")
{
    CHECK(try_text(nullptr, "80", 0, AF_INET) == "127.0.0.1:80");
    CHECK(try_text(nullptr, "80", AI_PASSIVE, AF_INET) == "0.0.0.0:80");
    CHECK(try_text(nullptr, "80", AI_PASSIVE, AF_INET6) == "[::]:80");
    CHECK(try_text(nullptr, nullptr) == "EAI_NONAME");
}

TEST_CASE("names need the resolver")
{
    CHECK(try_text("localhost", "80") == "EAGAIN");
    CHECK(try_text("127.0.0.1", "domain") == "EAGAIN");
    CHECK(try_text("1and1.example", "80") == "EAGAIN");
    CHECK(try_text("300.1.1.1", "80") == "EAGAIN");
    CHECK(try_text(nullptr, "domain") == "EAGAIN");
}

TEST_CASE("what may be a number only, and is none, is not known")
{
    CHECK(try_text("localhost", "80", AI_NUMERICHOST) == "EAI_NONAME");
    CHECK(try_text("localhost", "domain", numeric_flags) == "EAI_NONAME");
    CHECK(try_text("::1", "domain", AI_NUMERICSERV) == "EAI_NONAME");
    CHECK(try_text("::zz", "80") == "EAI_NONAME");
    CHECK(try_text("fe80::1%", "80") == "EAI_NONAME");
    CHECK(try_text("fe80::1%no such interface", "80") == "EAI_NONAME");
}

TEST_CASE("a v6 address with a colon never reaches the name servers, whatever the service")
{
    asked lookup("::zz", "domain");
    CHECK(lookup.try_it().text() == "EAGAIN");
    CHECK((lookup.lookup.hints.ai_flags & AI_NUMERICHOST) != 0);
    bool is_known = getservbyname("domain", nullptr); // not without /etc/services
    CHECK(lookup_run(&lookup.lookup) == resolver_error(is_known ? EAI_NONAME : EAI_SERVICE));
}

TEST_CASE("zones are kept, as numbers and as names, of any address")
{
    char name[IF_NAMESIZE];
    REQUIRE(if_indextoname(1, name));
    for (std::string address : {"fe80::1", "2001:db8::1", "ff02::1"}) {
        std::string expected = "[" + address + "%" + name + "]:80";
        CHECK(try_text((address + "%1").c_str(), "80") == expected);
        CHECK(try_text((address + "%" + name).c_str(), "80") == expected);
    }
}

TEST_CASE("a canonical name is given when it is asked for")
{
    asked plain("127.0.0.1", "80"), named("127.0.0.1", "80", AI_CANONNAME);
    REQUIRE(plain.try_it().error == 0);
    REQUIRE(named.try_it().error == 0);
    CHECK(plain.lookup.addresses->ai_canonname == nullptr);
    CHECK(std::string(named.lookup.addresses->ai_canonname) == "127.0.0.1");
}

TEST_CASE("a service that is a number and no port is refused")
{
    for (const char *service :
         {"65536", "70000", "99999999999999999999", "-1", "+80", " 80", "\t80", "-0", "0065536"})
        CHECK(asked("127.0.0.1", service).error == EINVAL);
    for (const char *service : {"domain", "3com", "x-1", "-", "+", " ", "80 ", "0x50"})
        CHECK(asked("127.0.0.1", service).error == 0);
}

TEST_CASE("empty and too long texts are refused")
{
    std::string host(NI_MAXHOST - 1, 'h'), service(NI_MAXSERV - 1, 's');
    CHECK(asked("", "80").error == EINVAL);
    CHECK(asked("127.0.0.1", "").error == EINVAL);
    CHECK(asked(host.c_str(), service.c_str()).error == 0);
    CHECK(asked((host + "h").c_str(), "80").error == EINVAL);
    CHECK(asked("127.0.0.1", (service + "s").c_str()).error == EINVAL);
}

TEST_CASE("hints are not needed, and what is no hint in them does not matter")
{
    struct lookup lookup;
    REQUIRE(lookup_init_forward(&lookup, "127.0.0.1", "80", nullptr) == 0);
    CHECK(lookup_try(&lookup) == 0);
    CHECK(lookup.addresses != nullptr);
    lookup_deinit(&lookup);

    struct addrinfo hints;
    std::memset(&hints, 0xa5, sizeof(hints));
    hints.ai_flags = 0;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    REQUIRE(lookup_init_forward(&lookup, "127.0.0.1", "80", &hints) == 0);
    CHECK(lookup_try(&lookup) == 0);
    CHECK(lookup.addresses->ai_socktype == SOCK_STREAM);
    CHECK(lookup.addresses->ai_next == nullptr);
    lookup_deinit(&lookup);
}

TEST_CASE("bad hints are the resolver's errors")
{
    CHECK(asked("127.0.0.1", "80", 0, 12345).try_it().error == resolver_error(EAI_FAMILY));
    CHECK(asked("127.0.0.1", "80", 1 << 30).try_it().error == resolver_error(EAI_BADFLAGS));
}

TEST_CASE("names of an endpoint are texts, and only IP endpoints have them")
{
    struct thrum_endpoint endpoint = {};
    struct thrum_address address = thrum_address_v4(INADDR_LOOPBACK);
    struct lookup lookup;
    thrum_endpoint_from_address(&address, 54321, &endpoint);
    REQUIRE(lookup_init_reverse(&lookup, &endpoint, NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    CHECK(lookup_try(&lookup) == EAGAIN);
    CHECK_FALSE(lookup.has_host);
    REQUIRE(lookup_run(&lookup) == 0);
    CHECK(lookup.has_host);
    CHECK(std::string(lookup.host) == "127.0.0.1");
    CHECK(std::string(lookup.service) == "54321");
    lookup_deinit(&lookup);

    endpoint.sa.any.sa_family = AF_UNIX;
    CHECK(lookup_init_reverse(&lookup, &endpoint, 0) == EAFNOSUPPORT);
}
