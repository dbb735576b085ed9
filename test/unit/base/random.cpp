// SPDX-License-Identifier: BSL-1.0
// Random bytes: all that were asked for and no more, whatever signals come meanwhile.
#include <algorithm>
#include <csignal>
#include <sys/time.h>
#include <vector>

#include <catch2/catch.hpp>

#include "base/random.h"

namespace
{

void ignore_alarm(int)
{
}

// A timer whose signal interrupts system calls every 50 microseconds.
class Interruptions
{
  public:
    Interruptions()
    {
        struct sigaction action = {};
        action.sa_handler = ignore_alarm;
        sigaction(SIGALRM, &action, &before);
        set(50);
    }
    ~Interruptions()
    {
        set(0);
        sigaction(SIGALRM, &before, nullptr);
    }
    Interruptions(const Interruptions &) = delete;
    Interruptions &operator=(const Interruptions &) = delete;

  private:
    static void set(long microseconds)
    {
        struct itimerval timer = {{0, microseconds}, {0, microseconds}};
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
    struct sigaction before;
};

bool all_zero(const std::vector<unsigned char> &bytes, size_t from, size_t to)
{
    return std::all_of(bytes.begin() + static_cast<long>(from),
                       bytes.begin() + static_cast<long>(to), [](int byte) { return byte == 0; });
}

} // namespace

TEST_CASE("random_fill fills what it is given, and nothing behind")
{
    for (size_t size : {0, 1, 255, 256, 257, 1000}) {
        std::vector<unsigned char> bytes(size + 64, 0);
        REQUIRE(random_fill(bytes.data(), size) == 0);
        CHECK(all_zero(bytes, size, bytes.size()));
        if (size > 64)
            CHECK_FALSE(all_zero(bytes, size - 32, size));
    }
}

TEST_CASE("random_fill gives other bytes each time")
{
    std::vector<unsigned char> one(32), other(32);
    REQUIRE(random_fill(one.data(), one.size()) == 0);
    REQUIRE(random_fill(other.data(), other.size()) == 0);
    CHECK(one != other);
}

TEST_CASE("random_fill gives all bytes although signals cut its system calls short")
{
    Interruptions interruptions;
    for (int round = 0; round < 8; round++) {
        std::vector<unsigned char> bytes(1 << 20, 0);
        REQUIRE(random_fill(bytes.data(), bytes.size()) == 0);
        for (size_t at = 0; at < bytes.size(); at += 4096)
            REQUIRE_FALSE(all_zero(bytes, at + 4064, at + 4096));
    }
}
