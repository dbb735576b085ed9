/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room: their identities. */
#include "bind/luasocket/classes.h"

LUASOCKET_CLASSES(CLASS_DEFINITION)
