// SPDX-License-Identifier: BSL-1.0
// IP networks: text, membership, ends.
#include <cerrno>
#include <random>
#include <string>

#include <catch2/catch.hpp>
#include <thrum/address.h>

#include "net/text.h"

namespace
{

bool contains(const std::string &network, const std::string &address)
{
    struct thrum_network n = network_of(network);
    struct thrum_address a = address_of(address);
    return thrum_network_contains(&n, &a);
}

int bit(const struct thrum_address &address, size_t i)
{
    return address.bytes[i / 8] >> (7 - i % 8) & 1;
}

struct thrum_network random_network(std::mt19937 &random)
{
    struct thrum_network network = {};
    network.address = random_address(random);
    network.prefix_length = (uint8_t)(random() % (8 * thrum_address_size(&network.address) + 1));
    return network;
}

// The same first bits as the network, a few of the others changed; sometimes one of the first.
struct thrum_address neighbor(const struct thrum_network &network, std::mt19937 &random)
{
    struct thrum_address address = network.address;
    size_t bits = 8 * thrum_address_size(&address);
    for (size_t i = network.prefix_length; i < bits; i++)
        address.bytes[i / 8] ^= (uint8_t)((random() & 1) << (7 - i % 8));
    if (network.prefix_length > 0 && random() % 2) {
        size_t i = random() % network.prefix_length;
        address.bytes[i / 8] ^= (uint8_t)(1 << (7 - i % 8));
    }
    return address;
}

// Bit by bit, as one would explain it.
bool model_contains(const struct thrum_network &network, const struct thrum_address &address)
{
    if (network.address.is_v6 != address.is_v6)
        return false;
    for (size_t i = 0; i < network.prefix_length; i++)
        if (bit(network.address, i) != bit(address, i))
            return false;
    return true;
}

} // namespace

TEST_CASE("networks survive parse and format, host bits included")
{
    for (const char *text : {"10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "1.2.3.4/32", "::/0",
                             "2001:db8::/32", "2001:db8::1/128", "::ffff:1.2.3.4/97"})
        CHECK(text_of(network_of(text)) == text);
}

TEST_CASE("texts that are no network are EINVAL and write nothing")
{
    for (const std::string &text :
         words("|/|/8|10.0.0.0|10.0.0.0/|10.0.0.0/33|10.0.0.0/256|10.0.0.0/+8|10.0.0.0/-8|"
               "10.0.0.0/ 8|10.0.0.0 /8|10.0.0.0/8 |10.0.0.0/08|10.0.0.0/00|10.0.0.0/0x8|"
               "10.0.0.0/8/8|10.0.0.0/255.0.0.0|10.0.0.0/4294967304|10.0.0/8|10/8|::/129|"
               "::|2001:db8::/|fe80::1%0/64|fe80::1%1/64|fe80::1/64%1|[::]/0|nowhere/8",
               '|')) {
        struct thrum_network network = network_of("1.2.3.4/5");
        INFO("text: '" << text << "'");
        CHECK(thrum_network_parse(text.data(), text.size(), &network) == EINVAL);
        CHECK(text_of(network) == "1.2.3.4/5");
    }
    struct thrum_network network;
    CHECK(thrum_network_parse("10.0.0.0/8\0", 11, &network) == EINVAL);
    CHECK(thrum_network_parse(nullptr, 0, &network) == EINVAL);
}

TEST_CASE("a network contains what shares its prefix")
{
    CHECK(contains("10.0.0.0/8", "10.255.255.255"));
    CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
    CHECK(contains("10.9.9.9/8", "10.0.0.1"));
    CHECK(contains("0.0.0.0/0", "255.1.2.3"));
    CHECK(contains("1.2.3.4/32", "1.2.3.4"));
    CHECK_FALSE(contains("1.2.3.4/32", "1.2.3.5"));
    CHECK(contains("10.0.0.0/9", "10.127.0.1"));
    CHECK_FALSE(contains("10.0.0.0/9", "10.128.0.1"));
    CHECK(contains("2001:db8::/33", "2001:db8:7fff::"));
    CHECK_FALSE(contains("2001:db8::/33", "2001:db8:8000::"));
}

TEST_CASE("families do not mix and zones are not looked at")
{
    CHECK_FALSE(contains("::/0", "1.2.3.4"));
    CHECK_FALSE(contains("0.0.0.0/0", "::"));
    CHECK_FALSE(contains("0.0.0.0/0", "::ffff:1.2.3.4"));
    CHECK(contains("fe80::/10", "fe80::1%77777"));
}

TEST_CASE("netmask, first and last address")
{
    struct thrum_network network = network_of("192.168.77.9/20");
    CHECK(text_of(thrum_network_netmask(&network)) == "255.255.240.0");
    CHECK(text_of(thrum_network_first(&network)) == "192.168.64.0");
    CHECK(text_of(thrum_network_last(&network)) == "192.168.79.255");
    network = network_of("1.2.3.4/0");
    CHECK(text_of(thrum_network_netmask(&network)) == "0.0.0.0");
    CHECK(text_of(thrum_network_last(&network)) == "255.255.255.255");
    network = network_of("1.2.3.4/32");
    CHECK(text_of(thrum_network_netmask(&network)) == "255.255.255.255");
    CHECK(text_of(thrum_network_first(&network)) == "1.2.3.4");
    network = network_of("2001:db8::1/47");
    CHECK(text_of(thrum_network_netmask(&network)) == "ffff:ffff:fffe::");
    CHECK(text_of(thrum_network_first(&network)) == "2001:db8::");
    CHECK(text_of(thrum_network_last(&network)) == "2001:db8:1:ffff:ffff:ffff:ffff:ffff");
}

TEST_CASE("random networks agree with a model that looks at single bits")
{
    std::mt19937 random(5);
    int inside = 0;
    for (int i = 0; i < 20000; i++) {
        struct thrum_network network = random_network(random);
        struct thrum_address address =
            random() % 8 ? neighbor(network, random) : random_address(random);
        bool expected = model_contains(network, address);
        if (thrum_network_contains(&network, &address) != expected)
            FAIL(text_of(network) << " and " << text_of(address));
        inside += expected;
    }
    CHECK(inside > 5000);
    CHECK(inside < 15000);
}

TEST_CASE("the ends of random networks are inside, and are the lowest and the highest")
{
    std::mt19937 random(6);
    for (int i = 0; i < 5000; i++) {
        struct thrum_network network = random_network(random);
        struct thrum_address first = thrum_network_first(&network);
        struct thrum_address last = thrum_network_last(&network);
        struct thrum_address mask = thrum_network_netmask(&network);
        bool holds = model_contains(network, first) && model_contains(network, last) &&
                     thrum_address_compare(&first, &network.address) <= 0 &&
                     thrum_address_compare(&network.address, &last) <= 0;
        for (size_t at = 0; at < 8 * thrum_address_size(&mask); at++) {
            bool in_prefix = at < network.prefix_length;
            holds &= bit(mask, at) == in_prefix;
            holds &= in_prefix || (bit(first, at) == 0 && bit(last, at) == 1);
        }
        if (!holds)
            FAIL(text_of(network));
    }
}
