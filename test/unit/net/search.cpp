// SPDX-License-Identifier: BSL-1.0
// Delimiters in bytes that come piece by piece, compared with std::string::find in the whole.
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "net/search.h"

namespace
{

const unsigned char *bytes_of(const std::string &text)
{
    return reinterpret_cast<const unsigned char *>(text.data());
}

// Where the delimiter begins, when the text is shown in prefixes of these sizes; or npos.
size_t find_in_steps(const std::string &text, const std::string &delimiter,
                     const std::vector<size_t> &sizes)
{
    std::vector<size_t> table(delimiter.size());
    search_prepare(bytes_of(delimiter), delimiter.size(), table.data());
    struct search search = {};
    for (size_t size : sizes) {
        if (search_continue(&search, bytes_of(delimiter), delimiter.size(), table.data(),
                            bytes_of(text), size))
            return search.looked - delimiter.size();
        REQUIRE(search.looked == size);
        REQUIRE(search.matched < delimiter.size());
        REQUIRE(text.compare(size - search.matched, search.matched, delimiter, 0, search.matched) ==
                0);
    }
    return std::string::npos;
}

std::string random_text(std::mt19937 &random, size_t size)
{
    std::string text(size, 'a');
    for (char &c : text)
        c = random() % 2 ? 'a' : '\0';
    return text;
}

} // namespace

TEST_CASE("a delimiter is found wherever the pieces end")
{
    std::mt19937 random(1);
    for (int round = 0; round < 20000; round++) {
        std::string text = random_text(random, random() % 40);
        std::string delimiter = random_text(random, 1 + random() % 6);
        std::vector<size_t> sizes;
        for (size_t size = random() % 4; size < text.size(); size += random() % 5)
            sizes.push_back(size);
        sizes.push_back(text.size());
        CAPTURE(text, delimiter);
        REQUIRE(find_in_steps(text, delimiter, sizes) == text.find(delimiter));
    }
}

TEST_CASE("what has matched says where the delimiter may begin at the earliest")
{
    std::string delimiter = "aab", text = "xaaa";
    std::vector<size_t> table(delimiter.size());
    search_prepare(bytes_of(delimiter), delimiter.size(), table.data());
    struct search search = {};
    REQUIRE_FALSE(search_continue(&search, bytes_of(delimiter), delimiter.size(), table.data(),
                                  bytes_of(text), text.size()));
    REQUIRE(search.looked - search.matched == 2);
}
