/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room: their identities. */
#include "bind/socket/classes.h"

SOCKET_CLASSES(CLASS_DEFINITION)
