/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_DGRAM_CLASSES_H
#define BIND_DGRAM_CLASSES_H

#include "bind/value/class.h"

#define DGRAM_CLASSES(ROW) ROW(dgram_socket_class, "dgram.Socket") /* written in Lua */

DGRAM_CLASSES(CLASS_DECLARATION)

#endif
