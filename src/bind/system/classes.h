/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_SYSTEM_CLASSES_H
#define BIND_SYSTEM_CLASSES_H

#include "bind/value/class.h"

#define SYSTEM_CLASSES(ROW)                      \
    ROW(system_class, "system")                  \
    ROW(environment_class, "system.environment") \
    ROW(process_class, "system.process")         \
    ROW(signal_class, "system.signal")           \
    ROW(signal_set_class, "system.signal.set")

SYSTEM_CLASSES(CLASS_DECLARATION)

#endif
