// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

namespace
{

struct timed : world {
    thrum_timer *timer = nullptr;

    timed()
    {
        REQUIRE(thrum_timer_new(context, &timer) == 0);
    }

    ~timed()
    {
        thrum_timer_free(timer);
    }
};

constexpr std::int64_t millisecond = 1000000;

} // namespace

TEST_CASE("a timer completes at its deadline and not before")
{
    timed w;
    waiter one;
    std::int64_t deadline = thrum_steady_clock_now_ns() + 20 * millisecond;
    REQUIRE(thrum_timer_wait(w.timer, &one.operation, deadline) == 0);
    w.run();
    CHECK(thrum_steady_clock_now_ns() >= deadline);
    CHECK(one.error == 0);
}

TEST_CASE("a deadline in the past completes from the loop")
{
    auto deadline = GENERATE(as<std::int64_t>{}, 0, -1, INT64_MIN, 1);
    timed w;
    waiter one;
    REQUIRE(thrum_timer_wait(w.timer, &one.operation, deadline) == 0);
    CHECK(one.n_done == 0);
    w.run();
    CHECK(one.n_done == 1);
    CHECK(one.error == 0);
}

TEST_CASE("timers complete in the order of their deadlines")
{
    timed w;
    thrum_timer *other = nullptr;
    REQUIRE(thrum_timer_new(w.context, &other) == 0);
    waiter late, early;
    std::string order;
    late.then = [&] { order += "late"; };
    early.then = [&] { order += "early "; };
    std::int64_t now = thrum_steady_clock_now_ns();
    REQUIRE(thrum_timer_wait(w.timer, &late.operation, now + 15 * millisecond) == 0);
    REQUIRE(thrum_timer_wait(other, &early.operation, now + 5 * millisecond) == 0);
    w.run();
    CHECK(order == "early late");
    thrum_timer_free(other);
}

TEST_CASE("a timer takes one wait at a time")
{
    timed w;
    waiter one, two;
    REQUIRE(thrum_timer_wait(w.timer, &one.operation, INT64_MAX) == 0);
    CHECK(thrum_timer_wait(w.timer, &two.operation, 0) == EBUSY);
    CHECK(thrum_timer_wait(w.timer, &one.operation, 0) == EBUSY);
    one.cancel();
    CHECK(thrum_timer_wait(w.timer, &two.operation, 0) == EBUSY); // until it has completed
    w.run();
    CHECK(one.error == ECANCELED);
    REQUIRE(thrum_timer_wait(w.timer, &two.operation, 0) == 0);
    w.run();
    CHECK(two.error == 0);
}

TEST_CASE("freeing a timer ends its wait")
{
    timed w;
    waiter one;
    REQUIRE(thrum_timer_wait(w.timer, &one.operation, INT64_MAX) == 0);
    thrum_timer_free(w.timer);
    w.timer = nullptr;
    one.cancel();
    w.run();
    CHECK(one.error == ECANCELED);
}

TEST_CASE("a timer may be freed in its own completion")
{
    timed w;
    waiter one;
    one.then = [&] {
        thrum_timer_free(w.timer);
        w.timer = nullptr;
    };
    REQUIRE(thrum_timer_wait(w.timer, &one.operation, 0) == 0);
    w.run();
    CHECK(one.error == 0);
}

TEST_CASE("the clocks are the system's")
{
    timespec steady, wall;
    std::int64_t a = thrum_steady_clock_now_ns(), b = thrum_system_clock_now_ns();
    clock_gettime(CLOCK_MONOTONIC, &steady);
    clock_gettime(CLOCK_REALTIME, &wall);
    CHECK(steady.tv_sec - a / 1000000000 <= 5);
    CHECK(wall.tv_sec - b / 1000000000 <= 5);
}
