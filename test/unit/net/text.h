/* SPDX-License-Identifier: BSL-1.0 */
/* Addresses and networks from and to std::string, for the cases of this room. */
#ifndef UNIT_NET_TEXT_H
#define UNIT_NET_TEXT_H

#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <thrum/address.h>

/* The texts between the separators. */
inline std::vector<std::string> words(const std::string &text, char separator = ' ')
{
    std::istringstream stream(text);
    std::vector<std::string> result;
    for (std::string word; std::getline(stream, word, separator);)
        result.push_back(word);
    return result;
}

inline struct thrum_address address_of(const std::string &text)
{
    struct thrum_address address = {};
    INFO(text);
    REQUIRE(thrum_address_parse(text.data(), text.size(), &address) == 0);
    return address;
}

inline std::string text_of(const struct thrum_address &address)
{
    char text[THRUM_ADDRESS_TEXT_SIZE];
    size_t length = thrum_address_format(&address, text);
    return std::string(text, length);
}

inline struct thrum_network network_of(const std::string &text)
{
    struct thrum_network network = {};
    INFO(text);
    REQUIRE(thrum_network_parse(text.data(), text.size(), &network) == 0);
    return network;
}

inline std::string text_of(const struct thrum_network &network)
{
    char text[THRUM_ADDRESS_TEXT_SIZE];
    size_t length = thrum_network_format(&network, text);
    return std::string(text, length);
}

/* Of either family, with runs of zeros and ones more often than chance has them. */
inline struct thrum_address random_address(std::mt19937 &random)
{
    uint8_t bytes[16];
    struct thrum_address address = {};
    unsigned style = random() % 4;
    for (uint8_t &byte : bytes)
        byte = (uint8_t)(style == 0 || random() % 4 == 0 ? random() : random() % 2 ? 0 : style - 2);
    REQUIRE(thrum_address_from_bytes(bytes, random() % 2 ? 4 : 16, &address) == 0);
    return address;
}

#endif
