/* SPDX-License-Identifier: BSL-1.0 */
/* Network interfaces: an index from a name or from an address. */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <stddef.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* ENODEV for a name no interface has. */
int interface_by_name(const char *name, size_t length, unsigned *index);

/* The interface that has this v6 address, in its zone if it names one. ENODEV if none has. */
int interface_by_address(const struct thrum_address *address, unsigned *index);

THRUM_END_DECLS

#endif
