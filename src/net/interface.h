/* SPDX-License-Identifier: BSL-1.0 */
/* Network interfaces: an index from a name or from an address, and all there are. */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <stddef.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* ENODEV for a name no interface has. */
int interface_by_name(const char *name, size_t length, unsigned *index);

/* The interface that has this address, a v6 one in its zone if it names one. ENODEV if none has. */
int interface_by_address(const struct thrum_address *address, unsigned *index);

/* The indexes of the interfaces, the first MAX_INTERFACES at most. Errors: ENOBUFS, ENOMEM. */
enum { MAX_INTERFACES = 256 };
int interface_list(unsigned indexes[MAX_INTERFACES], size_t *count);

THRUM_END_DECLS

#endif
