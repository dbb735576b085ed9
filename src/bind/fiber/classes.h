/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_FIBER_CLASSES_H
#define BIND_FIBER_CLASSES_H

#include "bind/value/class.h"

#define FIBER_CLASSES(ROW)                                               \
    ROW(fiber_class, "fiber")                                            \
    ROW(named_function_class, "fiber.named")                             \
    ROW(group_class, "fiber.group")                                      \
    ROW(this_fiber_class, "this_fiber")                                  \
    ROW(coroutine_class, "coroutine")                                    \
    ROW(mutex_class, "mutex")                                            \
    ROW(condition_variable_class, "condition_variable")                  \
    ROW(semaphore_class, "semaphore")                                    \
    ROW(channel_class, "channel")                                        \
    ROW(time_class, "time")                                              \
    ROW(steady_clock_class, "time.steady_clock")                         \
    ROW(system_clock_class, "time.system_clock")                         \
    ROW(steady_timer_class, "time.steady_timer")                         \
    ROW(system_timer_class, "time.system_timer")                         \
    ROW(timer_class, "timer") /* of the objects of both timer classes */ \
    ROW(timeout_scope_class, "time.with_timeout")

FIBER_CLASSES(CLASS_DECLARATION)

#endif
