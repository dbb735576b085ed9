/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_STREAM_CLASSES_H
#define BIND_STREAM_CLASSES_H

#include "bind/value/class.h"

#define STREAM_CLASSES(ROW)     \
    ROW(stream_class, "stream") \
    ROW(reader_class, "stream.reader")

STREAM_CLASSES(CLASS_DECLARATION)

#endif
