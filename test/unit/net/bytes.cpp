// SPDX-License-Identifier: BSL-1.0
// Runs of bytes, held against std::string_view.
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "net/bytes.h"

namespace
{

struct bytes bytes_of(std::string_view text)
{
    return {reinterpret_cast<const unsigned char *>(text.data()), text.size()};
}

std::string random_text(std::mt19937 &random, size_t longest)
{
    std::string text(random() % (longest + 1), '?');
    for (char &each : text)
        each = "a\0\xff"[random() % 3];
    return text;
}

size_t random_position(std::mt19937 &random)
{
    return random() % 8 == 0 ? BYTES_NONE - random() % 2 : random() % 14;
}

// The names of the functions that disagree with std::string_view.
std::string disagreements(std::string_view text, std::string_view other, size_t from)
{
    struct bytes t = bytes_of(text), o = bytes_of(other);
    std::string wrong;
    auto check = [&](const char *name, bool holds) {
        if (!holds)
            wrong += std::string(" ") + name;
    };
    check("find", bytes_find(t, o, from) == text.find(other, from));
    check("rfind", bytes_rfind(t, o, from) == text.rfind(other, from));
    check("first of", bytes_find_first_of(t, o, from, true) == text.find_first_of(other, from));
    check("first not of",
          bytes_find_first_of(t, o, from, false) == text.find_first_not_of(other, from));
    check("last of", bytes_find_last_of(t, o, from, true) == text.find_last_of(other, from));
    check("last not of",
          bytes_find_last_of(t, o, from, false) == text.find_last_not_of(other, from));
    check("equal", bytes_equal(t, o) == (text == other));
    check("start", bytes_start_with(t, o) == (text.substr(0, other.size()) == other));
    check("end", bytes_end_with(t, o) == (text.size() >= other.size() &&
                                          text.substr(text.size() - other.size()) == other));
    return wrong;
}

} // namespace

TEST_CASE("searches agree with std::string_view on random bytes")
{
    std::mt19937 random(8);
    for (int i = 0; i < 200000; i++) {
        std::string text = random_text(random, 10);
        std::string other = random_text(random, 3);
        size_t from = random_position(random);
        std::string wrong = disagreements(text, other, from);
        if (!wrong.empty())
            FAIL("from " << from << ":" << wrong);
    }
}

// What repeats itself is what a search from the back can get wrong: every text of two letters.
TEST_CASE("rfind agrees with std::string_view on all short texts of two letters")
{
    auto letters = [](unsigned bits, size_t size) {
        std::string text;
        for (size_t i = 0; i < size; i++)
            text += (bits >> i) & 1 ? 'b' : 'a';
        return text;
    };
    for (size_t size = 1; size <= 7; size++)
        for (unsigned bits = 0; bits < 1u << size; bits++) {
            std::string needle = letters(bits, size);
            for (unsigned text_bits = 0; text_bits < 1u << 13; text_bits++) {
                std::string text = letters(text_bits, 13);
                if (bytes_rfind(bytes_of(text), bytes_of(needle), BYTES_NONE) != text.rfind(needle))
                    FAIL(needle << " in " << text);
            }
        }
}

TEST_CASE("rfind agrees with std::string_view on long needles that nearly repeat themselves")
{
    std::mt19937 random(10);
    for (int i = 0; i < 20000; i++) {
        std::string period = random_text(random, 6) + 'x', needle, text;
        while (needle.size() < 60)
            needle += random() % 20 == 0 ? "y" : period;
        needle.resize(1 + random() % 60);
        while (text.size() < 300)
            text += random() % 4 == 0 ? needle : period;
        size_t from = random() % 2 ? BYTES_NONE : random() % 320;
        if (bytes_rfind(bytes_of(text), bytes_of(needle), from) != text.rfind(needle, from))
            FAIL(needle << " in " << text << " from " << from);
    }
}

TEST_CASE("empty runs, whose data may be NULL, are found as std::string_view finds them")
{
    for (std::string_view text : {std::string_view(), std::string_view("ab")})
        for (std::string_view other : {std::string_view(), std::string_view("ab")})
            for (size_t from : {size_t(0), size_t(1), size_t(2), size_t(3), BYTES_NONE})
                CHECK(disagreements(text, other, from) == "");
}

TEST_CASE("searches say where, or that it is not there")
{
    struct bytes text = bytes_of("hello, hello");
    CHECK(bytes_find(text, bytes_of("hello"), 1) == 7);
    CHECK(bytes_find(text, bytes_of("hello"), 8) == BYTES_NONE);
    CHECK(bytes_rfind(text, bytes_of("hello"), BYTES_NONE) == 7);
    CHECK(bytes_rfind(text, bytes_of("hello"), 6) == 0);
    CHECK(bytes_find_first_of(text, bytes_of(" ,"), 0, true) == 5);
    CHECK(bytes_find_last_of(text, bytes_of("lo"), BYTES_NONE, false) == 8);
}

TEST_CASE("integers of every width are read in both orders")
{
    const unsigned char data[] = {0x81, 2, 3, 4, 5, 6, 7, 0x88};
    CHECK(bytes_get_uint(data, 1, true) == 0x81);
    CHECK(bytes_get_uint(data, 2, true) == 0x8102);
    CHECK(bytes_get_uint(data, 2, false) == 0x0281);
    CHECK(bytes_get_uint(data, 3, true) == 0x810203);
    CHECK(bytes_get_uint(data, 4, false) == 0x04030281);
    CHECK(bytes_get_uint(data, 8, true) == 0x8102030405060788);
    CHECK(bytes_get_uint(data, 8, false) == 0x8807060504030281);
}

TEST_CASE("integers are written within their width and read back")
{
    std::mt19937_64 random(9);
    for (int i = 0; i < 2000; i++) {
        unsigned char data[10];
        memset(data, 0x5a, sizeof(data));
        size_t width = 1 + i % 8;
        bool big_endian = random() % 2;
        uint64_t value = random(), low = width == 8 ? value : value & ((1ull << 8 * width) - 1);
        bytes_set_uint(data + 1, width, big_endian, value);
        bool holds = bytes_get_uint(data + 1, width, big_endian) == low && data[0] == 0x5a &&
                     data[1 + width] == 0x5a;
        if (!holds)
            FAIL("width " << width << ", value " << value);
    }
}

TEST_CASE("hexadecimal has two lower-case digits a byte and no NUL")
{
    char text[7] = "xxxxxx";
    bytes_hex(bytes_of(std::string_view("\x00\xfa", 2)), text);
    CHECK(std::string(text) == "00faxx");
    bytes_hex(bytes_of(""), text);
    CHECK(std::string(text) == "00faxx");
}
