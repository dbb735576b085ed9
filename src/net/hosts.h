/* SPDX-License-Identifier: BSL-1.0 */
/* What /etc/hosts knows: only whether it does, the answers are the system's. */
#ifndef NET_HOSTS_H
#define NET_HOSTS_H

#include <stdbool.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* Whether a file such as hosts(5) has the name with an address of that family, or of any for
 * AF_UNSPEC. A file that cannot be read has none. */
bool hosts_have_name(const char *path, const char *name, int family);
/* Whether it has the address. */
bool hosts_have_address(const char *path, const struct thrum_address *address);

/* "localhost" and the names below it, which are the host itself (RFC 6761). */
bool hosts_is_localhost(const char *name);

THRUM_END_DECLS

#endif
