/* SPDX-License-Identifier: BSL-1.0 */
/* Points in time: nanoseconds in an int64_t. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* The last point in time: it never comes. */
#define CLOCK_NEVER INT64_MAX

/* `seconds`, which may be negative, after a point in time. Every number of seconds is taken: what
 * is beyond the last point, infinity among it, is CLOCK_NEVER, and what is before the first is
 * INT64_MIN. NaN, which callers refuse, never comes either. */
static inline int64_t clock_after(int64_t from_ns, double seconds)
{
    double distance_ns = seconds * 1e9;
    int64_t sum_ns;
    if (!(distance_ns < 0x1p63))
        return CLOCK_NEVER;
    if (distance_ns < -0x1p63)
        return INT64_MIN;
    if (__builtin_add_overflow(from_ns, (int64_t)distance_ns, &sum_ns))
        return distance_ns < 0 ? INT64_MIN : CLOCK_NEVER;
    return sum_ns;
}

/* A clock that costs next to nothing, for what is only shown to people: the steady clock's
 * time a few milliseconds ago at most. */
static inline int64_t clock_coarse_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
