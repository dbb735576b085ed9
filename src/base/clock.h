/* SPDX-License-Identifier: BSL-1.0 */
/* A clock that costs next to nothing, where some milliseconds do not matter. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* The steady clock's time a few milliseconds ago at most. */
static inline int64_t clock_coarse_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
