/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room: their identities. */
#include "bind/dgram/classes.h"

DGRAM_CLASSES(CLASS_DEFINITION)
