/* SPDX-License-Identifier: BSL-1.0 */
/* Timers on the steady clock, and the clocks themselves. */
#ifndef THRUM_TIMER_H
#define THRUM_TIMER_H

#include <stdint.h>

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

typedef struct thrum_timer thrum_timer;

/* Nanoseconds of std::chrono::steady_clock (CLOCK_MONOTONIC) and of system_clock (since 1970). */
THRUM_API int64_t thrum_steady_clock_now_ns(void) THRUM_NOEXCEPT;
THRUM_API int64_t thrum_system_clock_now_ns(void) THRUM_NOEXCEPT;

/* Errors: ENOMEM. */
THRUM_API int thrum_timer_new(thrum_context *context, thrum_timer **timer) THRUM_NOEXCEPT;
/* Ends a pending wait with ECANCELED. NULL is fine. */
THRUM_API void thrum_timer_free(thrum_timer *timer) THRUM_NOEXCEPT;

/* Complete `operation` once the steady clock reaches `deadline_ns`; a time in the past completes
 * from the loop at once. One wait at a time: EBUSY while another is pending. */
THRUM_API int thrum_timer_wait(thrum_timer *timer, struct thrum_operation *operation,
                               int64_t deadline_ns) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
