// SPDX-License-Identifier: BSL-1.0
// Points in time.
#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include "base/clock.h"

TEST_CASE("a point in time after another, for every number of seconds")
{
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(clock_after(5, 0) == 5);
    CHECK(clock_after(5, 1.5) == 1500000005);
    CHECK(clock_after(5, -1.5) == -1499999995);
    CHECK(clock_after(0, 9e9) == INT64_C(9000000000000000000));
    for (double seconds : {9.3e9, 1e18, 1e300, infinity}) {
        CHECK(clock_after(0, seconds) == CLOCK_NEVER);
        CHECK(clock_after(INT64_MIN, 4 * seconds) == CLOCK_NEVER);
        CHECK(clock_after(0, -seconds) == INT64_MIN);
    }
    CHECK(clock_after(INT64_C(1000000000000000000), 9e9) == CLOCK_NEVER);
    CHECK(clock_after(INT64_C(-1000000000000000000), -9e9) == INT64_MIN);
    CHECK(clock_after(INT64_MAX, -0.0) == INT64_MAX);
    CHECK(clock_after(7, std::nan("")) == CLOCK_NEVER);
}
