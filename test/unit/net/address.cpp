// SPDX-License-Identifier: BSL-1.0
// IP addresses: text, order, predicates.
#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <thrum/address.h>

#include "base/leak_check.h"
#include "net/text.h"

namespace
{

bool is_valid(const std::string &text)
{
    struct thrum_address untouched, address;
    memset(&untouched, 0x5a, sizeof(untouched));
    memset(&address, 0x5a, sizeof(address));
    int error = thrum_address_parse(text.data(), text.size(), &address);
    if (!error)
        return true;
    CHECK(error == EINVAL);
    CHECK(memcmp(&address, &untouched, sizeof(address)) == 0);
    return false;
}

bool test(bool (*predicate)(const struct thrum_address *), const std::string &text)
{
    struct thrum_address address = address_of(text);
    return predicate(&address);
}

int compare(const struct thrum_address &a, const struct thrum_address &b)
{
    int order = thrum_address_compare(&a, &b);
    return (order > 0) - (order < 0);
}

int scope_of(const std::string &text)
{
    struct thrum_address address = address_of(text);
    return thrum_address_multicast_scope(&address);
}

// The loopback interface's name and index, which is there on every system we know.
struct loopback {
    std::string name;
    unsigned index;

    loopback()
    {
        for (const char *candidate : {"lo", "lo0"}) {
            name = candidate;
            index = if_nametoindex(candidate);
            if (index != 0)
                return;
        }
        FAIL("no loopback interface");
    }
};

} // namespace

TEST_CASE("canonical texts survive parse and format")
{
    for (const std::string &text :
         words("0.0.0.0 1.2.3.4 255.255.255.255 127.0.0.1 :: ::1 2001:db8::1 1:: fe80::1 "
               "2001:db8:0:1:1:1:1:1 2001:0:0:1::1 ::ffff:1.2.3.4 64:ff9b::102:304 "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
        CHECK(text_of(address_of(text)) == text);
}

TEST_CASE("other spellings become canonical")
{
    CHECK(text_of(address_of("2001:DB8:0:0:0:0:0:1")) == "2001:db8::1");
    CHECK(text_of(address_of("0:0:0:0:0:0:0:0")) == "::");
    CHECK(text_of(address_of("::FFFF:0102:0304")) == "::ffff:1.2.3.4");
    CHECK(text_of(address_of("64:ff9b::1.2.3.4")) == "64:ff9b::102:304");
}

TEST_CASE("texts that are no address are EINVAL and write nothing")
{
    for (const std::string &text :
         words("| |.|:|:::|1|1.2.3|1.2.3.|1.2.3.4.|1.2.3.4.5|.1.2.3.4|1..2.3|256.1.1.1|"
               "1.2.3.256|01.2.3.4|1.2.3.00|0x1.2.3.4|1.2.3.4 | 1.2.3.4|1.2.3.4\n|"
               "+1.2.3.4|1.2.3.-4|1,2,3,4|16909060|localhost|1.2.3.4%1|1.2.3.4%lo|"
               "1.2.3.4/8|1.2.3.4:80|1:2|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1::2::3|:1::2|"
               "1::2:|12345::|g::|::1 | ::1|[::1]|::1/64|::1.2.3|::1.2.3.256|1.2.3.4::|"
               "::ffff:01.2.3.4",
               '|')) {
        INFO("text: '" << text << "'");
        CHECK_FALSE(is_valid(text));
    }
}

TEST_CASE("embedded NULs and endless texts are refused")
{
    CHECK_FALSE(is_valid(std::string("1.2.3.4\0", 8)));
    CHECK_FALSE(is_valid(std::string("1.2.3.4\0junk", 12)));
    CHECK_FALSE(is_valid(std::string("::1\0", 4)));
    CHECK_FALSE(is_valid(std::string("fe80::1%1\0", 10)));
    CHECK_FALSE(is_valid(std::string("\0", 1)));
    CHECK_FALSE(is_valid(std::string(THRUM_ADDRESS_TEXT_SIZE, ':')));
    CHECK_FALSE(is_valid(std::string(100000, '1')));
    CHECK_FALSE(is_valid("fe80::1%" + std::string(100000, '1')));
    struct thrum_address address;
    CHECK(thrum_address_parse(nullptr, 0, &address) == EINVAL);
}

TEST_CASE("only the given length is read")
{
    struct thrum_address address;
    REQUIRE(thrum_address_parse("1.2.3.45", 7, &address) == 0);
    CHECK(text_of(address) == "1.2.3.4");
    REQUIRE(thrum_address_parse("::1%1", 3, &address) == 0);
    CHECK(text_of(address) == "::1");
}

TEST_CASE_METHOD(leak_check, "a zone may be an interface's name or its number")
{
    loopback lo;
    CHECK(address_of("fe80::1%" + lo.name).scope_id == lo.index);
    CHECK(address_of("fe80::1%" + std::to_string(lo.index)).scope_id == lo.index);
    CHECK(text_of(address_of("fe80::1%" + std::to_string(lo.index))) == "fe80::1%" + lo.name);
    CHECK(text_of(address_of("::1%" + lo.name)) == "::1%" + lo.name);
}

TEST_CASE_METHOD(leak_check, "a number no interface has stays a number")
{
    CHECK(address_of("fe80::1%4294967295").scope_id == 4294967295u);
    CHECK(text_of(address_of("fe80::1%4294967295")) == "fe80::1%4294967295");
    CHECK(text_of(address_of("ff02::1%999999999")) == "ff02::1%999999999");
    CHECK(text_of(address_of("fe80::1%0")) == "fe80::1");
}

TEST_CASE_METHOD(leak_check, "zones that name nothing are EINVAL")
{
    for (const char *text :
         {"::1%", "fe80::1%nosuchif", "fe80::1%-1", "fe80::1%+1", "fe80::1% 1", "fe80::1%1 ",
          "fe80::1%01", "fe80::1%4294967296", "fe80::1%0x1", "fe80::1%99999999999999999999",
          "fe80::1%1%1", "fe80::1%%1", "%1", "fe80::1%nameoverfifteenbytes", "fe80%lo::1"}) {
        INFO("text: '" << text << "'");
        CHECK_FALSE(is_valid(text));
    }
}

TEST_CASE("the longest text fits its buffer")
{
    struct thrum_address address = address_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    address.scope_id = 4294967295u;
    CHECK(text_of(address) == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295");
}

TEST_CASE("random addresses format as inet_ntop does and parse back")
{
    std::mt19937 random(1);
    for (int i = 0; i < 20000; i++) {
        struct thrum_address address = random_address(random);
        char expected[INET6_ADDRSTRLEN];
        inet_ntop(address.is_v6 ? AF_INET6 : AF_INET, address.bytes, expected, sizeof(expected));
        if (text_of(address) != expected || compare(address_of(expected), address) != 0)
            FAIL(expected << " became " << text_of(address));
    }
}

TEST_CASE("random texts are accepted exactly when inet_pton accepts them")
{
    std::mt19937 random(2);
    static const char alphabet[] = "0123::::....25fF";
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        std::string text(random() % 12, '?');
        for (char &each : text)
            each = alphabet[random() % (sizeof(alphabet) - 1)];
        uint8_t bytes[16];
        bool expected = inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
                        inet_pton(AF_INET6, text.c_str(), bytes) == 1;
        struct thrum_address address;
        bool found = thrum_address_parse(text.data(), text.size(), &address) == 0;
        if (found != expected)
            FAIL("'" << text << "' is " << (expected ? "" : "not ") << "an address");
        if (found && memcmp(address.bytes, bytes, thrum_address_size(&address)) != 0)
            FAIL("'" << text << "' was read as " << text_of(address));
        accepted += found;
    }
    CHECK(accepted > 500);
}

TEST_CASE("4 bytes make v4, 16 make v6, other sizes nothing")
{
    uint8_t bytes[17] = {1, 2, 3, 4};
    struct thrum_address address = {};
    REQUIRE(thrum_address_from_bytes(bytes, 4, &address) == 0);
    CHECK(text_of(address) == "1.2.3.4");
    CHECK(thrum_address_size(&address) == 4);
    REQUIRE(thrum_address_from_bytes(bytes, 16, &address) == 0);
    CHECK(text_of(address) == "102:304::");
    CHECK(thrum_address_size(&address) == 16);
    for (size_t size : {0, 1, 3, 5, 15, 17})
        CHECK(thrum_address_from_bytes(bytes, size, &address) == EINVAL);
    CHECK(text_of(thrum_address_v4(0x7f000001)) == "127.0.0.1");
}

TEST_CASE("v4 comes before v6, then bytes decide, then zones")
{
    std::vector<struct thrum_address> sorted;
    for (const std::string &text :
         words("0.0.0.0 1.2.3.4 1.2.4.0 127.0.0.1 255.255.255.255 :: ::1 ::1%5 ::1%6 "
               "::1%3000000000 ::ffff:1.2.3.4 fe80::"))
        sorted.push_back(address_of(text));
    for (size_t i = 0; i < sorted.size(); i++)
        for (size_t j = 0; j < sorted.size(); j++)
            CHECK(compare(sorted[i], sorted[j]) == (i > j) - (i < j));
}

TEST_CASE("random addresses have one order")
{
    std::mt19937 random(3);
    std::vector<struct thrum_address> all;
    for (int i = 0; i < 300; i++) {
        all.push_back(random_address(random));
        all.back().scope_id = all.back().is_v6 ? random() % 2 : 0;
    }
    auto less = [](const auto &a, const auto &b) { return compare(a, b) < 0; };
    std::sort(all.begin(), all.end(), less);
    bool is_consistent = true;
    for (size_t i = 0; i < all.size(); i++)
        for (size_t j = 0; j < all.size(); j++) {
            int order = compare(all[i], all[j]);
            is_consistent &= order == -compare(all[j], all[i]);
            is_consistent &= i <= j ? order <= 0 : order >= 0;
            is_consistent &= (order == 0) == (text_of(all[i]) == text_of(all[j]));
        }
    CHECK(is_consistent);
}

TEST_CASE("loopback, unspecified and multicast are as Asio defines them")
{
    CHECK(test(thrum_address_is_loopback, "127.0.0.1"));
    CHECK(test(thrum_address_is_loopback, "127.255.0.9"));
    CHECK(test(thrum_address_is_loopback, "::1"));
    CHECK_FALSE(test(thrum_address_is_loopback, "128.0.0.1"));
    CHECK_FALSE(test(thrum_address_is_loopback, "::ffff:127.0.0.1"));
    CHECK_FALSE(test(thrum_address_is_loopback, "::"));

    CHECK(test(thrum_address_is_unspecified, "0.0.0.0"));
    CHECK(test(thrum_address_is_unspecified, "::"));
    CHECK_FALSE(test(thrum_address_is_unspecified, "0.0.0.1"));
    CHECK_FALSE(test(thrum_address_is_unspecified, "::ffff:0.0.0.0"));

    CHECK(test(thrum_address_is_multicast, "224.0.0.0"));
    CHECK(test(thrum_address_is_multicast, "239.255.255.255"));
    CHECK(test(thrum_address_is_multicast, "ff02::1"));
    CHECK_FALSE(test(thrum_address_is_multicast, "223.255.255.255"));
    CHECK_FALSE(test(thrum_address_is_multicast, "240.0.0.0"));
    CHECK_FALSE(test(thrum_address_is_multicast, "fe02::1"));
    CHECK_FALSE(test(thrum_address_is_multicast, "::ffff:224.0.0.1"));
}

TEST_CASE("link-local, site-local and mapped are for v6 only")
{
    CHECK(test(thrum_address_is_link_local, "fe80::1"));
    CHECK(test(thrum_address_is_link_local, "febf::"));
    CHECK_FALSE(test(thrum_address_is_link_local, "fec0::"));
    CHECK_FALSE(test(thrum_address_is_link_local, "169.254.0.1"));
    CHECK_FALSE(test(thrum_address_is_link_local, "254.128.0.1"));

    CHECK(test(thrum_address_is_site_local, "fec0::1"));
    CHECK(test(thrum_address_is_site_local, "feff::"));
    CHECK_FALSE(test(thrum_address_is_site_local, "fe80::"));
    CHECK_FALSE(test(thrum_address_is_site_local, "254.192.0.1"));

    CHECK(test(thrum_address_is_v4_mapped, "::ffff:0.0.0.0"));
    CHECK_FALSE(test(thrum_address_is_v4_mapped, "::fffe:1.2.3.4"));
    CHECK_FALSE(test(thrum_address_is_v4_mapped, "1::ffff:1.2.3.4"));
    CHECK_FALSE(test(thrum_address_is_v4_mapped, "1.2.3.4"));
}

TEST_CASE("the multicast scope is the nibble, and -1 elsewhere")
{
    CHECK(scope_of("ff01::1") == 1);
    CHECK(scope_of("ff02::1") == 2);
    CHECK(scope_of("ff15::1") == 5);
    CHECK(scope_of("ff08::1") == 8);
    CHECK(scope_of("ff3e::1") == 14);
    CHECK(scope_of("fe02::1") == -1);
    CHECK(scope_of("255.2.0.0") == -1);
    CHECK(scope_of("224.0.0.1") == -1);
}

TEST_CASE("private blocks are private from their first to their last address")
{
    for (const std::string &text :
         words("10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 "
               "fc00:: fdff:ffff::1 ::ffff:10.1.2.3 ::ffff:192.168.1.1")) {
        INFO(text);
        CHECK(test(thrum_address_is_private, text));
    }
    for (const std::string &text :
         words("9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 "
               "100.64.0.1 127.0.0.1 169.254.0.1 fbff:: fe00:: ::ffff:11.0.0.0 ::10.0.0.1")) {
        INFO(text);
        CHECK_FALSE(test(thrum_address_is_private, text));
    }
}

TEST_CASE("what the registries exclude is not global, from the first to the last address")
{
    for (const std::string &text :
         words("0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 "
               "127.0.0.0 127.255.255.255 169.254.0.0 169.254.255.255 172.16.0.0 "
               "172.31.255.255 192.0.0.0 192.0.0.8 192.0.0.11 192.0.0.255 192.0.2.0 "
               "192.0.2.255 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 "
               "198.51.100.0 203.0.113.255 240.0.0.0 255.255.255.255 :: ::1 64:ff9b:1:: "
               "64:ff9b:1:ffff:: 100:: 100::ffff 100::1:0:0:0:1 2001:: 2001:1:: 2001:1::4 "
               "2001:2:: 2001:10:: 2001:1ff:ffff:: 2001:db8:: 2001:db8:ffff:: 2002::1 3fff:: "
               "3fff:fff:: 5f00::1 fc00:: fdff:: fe80::1 febf:: fec0::1")) {
        INFO(text);
        CHECK_FALSE(test(thrum_address_is_global, text));
    }
}

TEST_CASE("neighbors of excluded blocks, and exceptions inside them, are global")
{
    for (const std::string &text :
         words("1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 "
               "128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.0.9 "
               "192.0.0.10 192.0.1.0 192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 "
               "192.88.100.0 192.167.255.255 192.169.0.0 192.175.48.1 198.17.255.255 "
               "198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 "
               "223.255.255.255 64:ff9b::1 64:ff9b:2:: 100:0:0:2:: 2001:1::1 2001:1::2 "
               "2001:1::3 2001:3::1 2001:4:112::1 2001:20::1 2001:3f:ffff:: 2001:200:: "
               "2001:db7:ffff:: 2001:db9:: 2003::1 2620:4f:8000::1 2a00::1 3ffe::1 "
               "3fff:1000::")) {
        INFO(text);
        CHECK(test(thrum_address_is_global, text));
    }
}

TEST_CASE("multicast is global when its scope is")
{
    for (const char *text : {"224.0.1.1", "232.1.2.3", "238.255.255.255", "ff0e::1", "ff3e::1"}) {
        INFO(text);
        CHECK(test(thrum_address_is_global, text));
    }
    for (const std::string &text :
         words("224.0.0.1 224.0.0.251 233.252.0.1 239.0.0.1 239.255.1.1 ff01::1 ff02::fb "
               "ff05::2 ff08::1 ff0f::1 ff00::1")) {
        INFO(text);
        CHECK_FALSE(test(thrum_address_is_global, text));
    }
}

TEST_CASE("a mapped address is global when its v4 address is")
{
    std::mt19937 random(4);
    for (int i = 0; i < 20000; i++) {
        struct thrum_address v4 = thrum_address_v4((uint32_t)random());
        struct thrum_address mapped = thrum_address_to_v6(&v4);
        if (thrum_address_is_global(&v4) != thrum_address_is_global(&mapped) ||
            thrum_address_is_private(&v4) != thrum_address_is_private(&mapped))
            FAIL(text_of(v4));
    }
}

TEST_CASE("v4 and mapped v6 turn into each other, other v6 does not")
{
    struct thrum_address v4 = address_of("1.2.3.4");
    struct thrum_address mapped = thrum_address_to_v6(&v4);
    CHECK(text_of(mapped) == "::ffff:1.2.3.4");

    struct thrum_address back = {};
    REQUIRE(thrum_address_to_v4(&mapped, &back) == 0);
    CHECK(compare(back, v4) == 0);
    REQUIRE(thrum_address_to_v4(&mapped, &mapped) == 0);
    CHECK(compare(mapped, v4) == 0);
    REQUIRE(thrum_address_to_v4(&v4, &back) == 0);
    CHECK(compare(back, v4) == 0);

    struct thrum_address v6 = address_of("fe80::1%77777");
    CHECK(compare(thrum_address_to_v6(&v6), v6) == 0);
    CHECK(thrum_address_to_v4(&v6, &back) == EINVAL);
}
