/* SPDX-License-Identifier: BSL-1.0 */
/* IP addresses and networks as values, and endpoints as the bytes of a sockaddr. */
#ifndef THRUM_ADDRESS_H
#define THRUM_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* ---- address ---- */

/* An IPv4 or IPv6 address. A value: copy it freely, compare it with thrum_address_compare. A v4
 * address keeps its four bytes first and the other twelve zero; its scope_id is 0. */
struct thrum_address {
    uint8_t bytes[16];
    uint32_t scope_id; /* interface index of a v6 address, 0 for none */
    bool is_v6;
};

enum {
    THRUM_ADDRESS_TEXT_SIZE = 64,  /* INET6_ADDRSTRLEN, '%', an interface's name, NUL */
    THRUM_ENDPOINT_TEXT_SIZE = 128 /* with brackets, ':' and a port; a path that fills sun_path */
};

/* Read "192.0.2.1", "2001:db8::1", "fe80::1%eth0" or "fe80::1%2" (RFC 4291, RFC 4007 zones).
 * Returns EINVAL for anything else, an unknown interface's name included, and then leaves
 * `*address` alone. */
THRUM_API int thrum_address_parse(const char *text, size_t length, struct thrum_address *address);

/* Write the canonical text (RFC 5952; the zone as a name when the interface has one, else as a
 * number) with its NUL and return its length. `text` holds THRUM_ADDRESS_TEXT_SIZE bytes. */
THRUM_API size_t thrum_address_format(const struct thrum_address *address, char *text);

THRUM_API struct thrum_address thrum_address_v4(uint32_t host_order);

/* 4 bytes give a v4 address, 16 a v6 address without zone; any other size is EINVAL. */
THRUM_API int thrum_address_from_bytes(const void *bytes, size_t size,
                                       struct thrum_address *address);
THRUM_API size_t thrum_address_size(const struct thrum_address *address); /* 4 or 16 */

/* <0, 0, >0. v4 before v6, then by bytes, then by scope id. */
THRUM_API int thrum_address_compare(const struct thrum_address *a, const struct thrum_address *b);

/* What an address is, by the definitions of boost::asio::ip::address_v4 and address_v6. */
THRUM_API bool thrum_address_is_loopback(const struct thrum_address *address);
THRUM_API bool thrum_address_is_multicast(const struct thrum_address *address);
THRUM_API bool thrum_address_is_unspecified(const struct thrum_address *address);
/* RFC 1918, RFC 6598's shared space excluded; RFC 4193 for v6. As below for mapped addresses. */
THRUM_API bool thrum_address_is_private(const struct thrum_address *address);
/* Globally reachable by the IANA special-purpose registries (RFC 6890 and successors); multicast
 * counts as global when its scope is. A mapped address answers as its v4 address does. */
THRUM_API bool thrum_address_is_global(const struct thrum_address *address);
/* These are false for every v4 address. */
THRUM_API bool thrum_address_is_link_local(const struct thrum_address *address);
THRUM_API bool thrum_address_is_site_local(const struct thrum_address *address);
THRUM_API bool thrum_address_is_v4_mapped(const struct thrum_address *address);
/* The scope nibble of a v6 multicast address: 1 node, 2 link, 5 site, 8 organization, 14 global;
 * -1 for an address that is not v6 multicast. */
THRUM_API int thrum_address_multicast_scope(const struct thrum_address *address);

/* ::ffff:a.b.c.d for a v4 address; a v6 address as it is. */
THRUM_API struct thrum_address thrum_address_to_v6(const struct thrum_address *address);
/* The v4 address inside a mapped one; a v4 address as it is; else EINVAL. */
THRUM_API int thrum_address_to_v4(const struct thrum_address *address, struct thrum_address *v4);

/* ---- network ---- */

struct thrum_network {
    struct thrum_address address; /* as given: host bits are kept */
    uint8_t prefix_length;
};

/* Read "10.0.0.0/8" or "2001:db8::/32". EINVAL without a prefix length, or with one that is too
 * long, signed or not decimal. A zone is refused. */
THRUM_API int thrum_network_parse(const char *text, size_t length, struct thrum_network *network);
/* `text` holds THRUM_ADDRESS_TEXT_SIZE bytes; returns the length. */
THRUM_API size_t thrum_network_format(const struct thrum_network *network, char *text);
/* Families must be the same; a v4 address is never in a v6 network. Zones are not looked at. */
THRUM_API bool thrum_network_contains(const struct thrum_network *network,
                                      const struct thrum_address *address);
THRUM_API struct thrum_address thrum_network_netmask(const struct thrum_network *network);
/* The network's first address (host bits zero) and its last (host bits one). */
THRUM_API struct thrum_address thrum_network_first(const struct thrum_network *network);
THRUM_API struct thrum_address thrum_network_last(const struct thrum_network *network);

/* ---- endpoint ---- */

/* Where a datagram comes from or goes to: the bytes of a sockaddr of any family. */
struct thrum_endpoint {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    } sa;
};

/* An IP endpoint of the address's own family. */
THRUM_API void thrum_endpoint_from_address(const struct thrum_address *address, uint16_t port,
                                           struct thrum_endpoint *endpoint);
/* The address and port of an IP endpoint; EAFNOSUPPORT for any other family. */
THRUM_API int thrum_endpoint_to_address(const struct thrum_endpoint *endpoint,
                                        struct thrum_address *address, uint16_t *port);
/* A unix endpoint: a file's path; or, on Linux, an abstract name, which begins with NUL and may
 * hold any bytes after it; or nothing, which has bind(2) choose an abstract name. EINVAL: a NUL in
 * the path. ENAMETOOLONG: a path does not fit sun_path with its NUL, or an abstract name without.
 */
THRUM_API int thrum_endpoint_from_path(const char *path, size_t length,
                                       struct thrum_endpoint *endpoint);
/* The path or abstract name of a unix endpoint; no bytes for one without a name. `*path` is not
 * ended by NUL and lives as long as the endpoint. EAFNOSUPPORT for any other family. */
THRUM_API int thrum_endpoint_to_path(const struct thrum_endpoint *endpoint, const char **path,
                                     size_t *length);
/* An endpoint of these families for people to read: "192.0.2.1:53", "[2001:db8::1]:53", "/run/x",
 * "@name" for an abstract name, with '@' for each NUL in it; "" for one without a name and for
 * other families. `text` holds THRUM_ENDPOINT_TEXT_SIZE bytes; returns the length. */
THRUM_API size_t thrum_endpoint_format(const struct thrum_endpoint *endpoint, char *text);
/* "192.0.2.1:53" or "[2001:db8::1]:53": `text` holds THRUM_ENDPOINT_TEXT_SIZE bytes. */
THRUM_API size_t thrum_address_format_port(const struct thrum_address *address, uint16_t port,
                                           char *text);
/* The reverse. EINVAL for anything else, a missing or too large port included. */
THRUM_API int thrum_address_parse_port(const char *text, size_t length,
                                       struct thrum_address *address, uint16_t *port);

THRUM_END_DECLS

#endif
