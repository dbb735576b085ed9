/* SPDX-License-Identifier: BSL-1.0 */
/* The option rows, and the multicast values setsockopt(2) wants. */
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/interface.h"
#include "net/option.h"

#if defined(__linux__) && !defined(IPV6_MULTICAST_ALL)
#define IPV6_MULTICAST_ALL 29
#endif

#ifndef IPV6_JOIN_GROUP
#define IPV6_JOIN_GROUP IPV6_ADD_MEMBERSHIP
#define IPV6_LEAVE_GROUP IPV6_DROP_MEMBERSHIP
#endif

enum {
    TRAITS_ANY = 0,
    TRAITS_UDP = TRAIT_IP | TRAIT_DATAGRAM,
    TRAITS_TCP = TRAIT_IP | TRAIT_STREAM,
    TRAITS_TCP_SOCKET = TRAITS_TCP | TRAIT_SOCKET,
    TRAITS_TCP_ACCEPTOR = TRAITS_TCP | TRAIT_ACCEPTOR
};

#ifdef IP_MTU_DISCOVER
static const struct option_choice mtu_discover_choices[] = {
    {"want", IP_PMTUDISC_WANT},
    {"do", IP_PMTUDISC_DO},
    {"dont", IP_PMTUDISC_DONT},
    {"probe", IP_PMTUDISC_PROBE},
    {NULL, 0},
};
_Static_assert(IP_PMTUDISC_WANT == IPV6_PMTUDISC_WANT && IP_PMTUDISC_DO == IPV6_PMTUDISC_DO &&
                   IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT &&
                   IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE,
               "one list of choices serves both families");
#endif

/* Level and name for v4, then for v6. */
#define SOCKET(name) SOL_SOCKET, name, SOL_SOCKET, name
#define IP(v4, v6) IPPROTO_IP, v4, IPPROTO_IPV6, v6
#define BOTH(name) IPPROTO_IP, name, IPPROTO_IPV6, name
#define V6(name) -1, 0, IPPROTO_IPV6, name
#define TCP(name) IPPROTO_TCP, name, IPPROTO_TCP, name

static const struct option_row rows[] = {
    /* clang-format off */
    {"debug", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_ANY, SOCKET(SO_DEBUG), 0, 1, NULL},
    {"broadcast", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_UDP, SOCKET(SO_BROADCAST), 0, 1, NULL},
    {"do_not_route", OPTION_BOOLEAN, OPTION_GET_SET, TRAIT_IP, SOCKET(SO_DONTROUTE), 0, 1, NULL},
    {"send_buffer_size", OPTION_INTEGER, OPTION_GET_SET, TRAITS_ANY,
     SOCKET(SO_SNDBUF), 0, INT_MAX, NULL},
    {"receive_buffer_size", OPTION_INTEGER, OPTION_GET_SET, TRAITS_ANY,
     SOCKET(SO_RCVBUF), 0, INT_MAX, NULL},
    {"reuse_address", OPTION_BOOLEAN, OPTION_GET_SET, TRAIT_IP, SOCKET(SO_REUSEADDR), 0, 1, NULL},
    {"tcp_no_delay", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_TCP, TCP(TCP_NODELAY), 0, 1, NULL},
    {"keep_alive", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_TCP, SOCKET(SO_KEEPALIVE), 0, 1, NULL},
    {"linger", OPTION_LINGER, OPTION_GET_SET, TRAITS_TCP, SOCKET(SO_LINGER), 0, INT_MAX, NULL},
    {"out_of_band_inline", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_TCP_SOCKET,
     SOCKET(SO_OOBINLINE), 0, 1, NULL},
    {"send_low_watermark", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP_SOCKET,
     SOCKET(SO_SNDLOWAT), 0, INT_MAX, NULL},
    {"receive_low_watermark", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP_SOCKET,
     SOCKET(SO_RCVLOWAT), 0, INT_MAX, NULL},
    {"multicast_loop", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_UDP,
     IP(IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP), 0, 1, NULL},
    {"multicast_hops", OPTION_INTEGER, OPTION_GET_SET, TRAITS_UDP,
     IP(IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS), 0, 255, NULL},
    /* 0 is for v6; a v4 socket's kernel refuses it with the same EINVAL. */
    {"unicast_hops", OPTION_INTEGER, OPTION_GET_SET, TRAIT_IP,
     IP(IP_TTL, IPV6_UNICAST_HOPS), 0, 255, NULL},
    {"v6_only", OPTION_BOOLEAN, OPTION_GET_SET, TRAIT_IP, V6(IPV6_V6ONLY), 0, 1, NULL},
    {"join_multicast_group", OPTION_GROUP, OPTION_SET, TRAITS_UDP,
     IP(IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP), 0, 0, NULL},
    {"leave_multicast_group", OPTION_GROUP, OPTION_SET, TRAITS_UDP,
     IP(IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP), 0, 0, NULL},
    {"join_source_group", OPTION_SOURCE, OPTION_SET, TRAITS_UDP,
     BOTH(MCAST_JOIN_SOURCE_GROUP), 0, 0, NULL},
    {"leave_source_group", OPTION_SOURCE, OPTION_SET, TRAITS_UDP,
     BOTH(MCAST_LEAVE_SOURCE_GROUP), 0, 0, NULL},
    {"multicast_interface", OPTION_INTERFACE, OPTION_SET, TRAITS_UDP,
     IP(IP_MULTICAST_IF, IPV6_MULTICAST_IF), 0, 0, NULL},
#ifdef SO_REUSEPORT
    {"reuse_port", OPTION_BOOLEAN, OPTION_GET_SET, TRAIT_IP, SOCKET(SO_REUSEPORT), 0, 1, NULL},
#endif
    {"error", OPTION_ERROR, OPTION_GET, TRAITS_ANY, SOCKET(SO_ERROR), 0, 0, NULL},
    {"type_of_service", OPTION_INTEGER, OPTION_GET_SET, TRAIT_IP,
     IP(IP_TOS, IPV6_TCLASS), 0, 255, NULL},
#ifdef SO_BINDTODEVICE
    {"bind_to_device", OPTION_STRING, OPTION_GET_SET, TRAIT_IP,
     SOCKET(SO_BINDTODEVICE), 0, IF_NAMESIZE - 1, NULL},
#endif
#ifdef SO_MARK
    {"mark", OPTION_UNSIGNED, OPTION_GET_SET, TRAIT_IP, SOCKET(SO_MARK), 0, 0, NULL},
#endif
#ifdef IP_MULTICAST_ALL
    {"multicast_all", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_UDP,
     IP(IP_MULTICAST_ALL, IPV6_MULTICAST_ALL), 0, 1, NULL},
#endif
#ifdef IP_MTU_DISCOVER
    {"mtu_discover", OPTION_CHOICE, OPTION_GET_SET, TRAIT_IP,
     IP(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER), 0, 0, mtu_discover_choices},
#endif
#ifdef TCP_KEEPIDLE
    {"tcp_keep_idle", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP, TCP(TCP_KEEPIDLE), 1, 32767, NULL},
#endif
#ifdef TCP_KEEPINTVL
    {"tcp_keep_interval", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP,
     TCP(TCP_KEEPINTVL), 1, 32767, NULL},
#endif
#ifdef TCP_KEEPCNT
    {"tcp_keep_count", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP, TCP(TCP_KEEPCNT), 1, 127, NULL},
#endif
#ifdef TCP_USER_TIMEOUT
    {"tcp_user_timeout", OPTION_SECONDS, OPTION_GET_SET, TRAITS_TCP,
     TCP(TCP_USER_TIMEOUT), 0, INT_MAX, NULL},
#endif
#ifdef TCP_DEFER_ACCEPT
    {"defer_accept", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP_ACCEPTOR,
     TCP(TCP_DEFER_ACCEPT), 0, INT_MAX, NULL},
#endif
#ifdef TCP_FASTOPEN_CONNECT
    {"fast_open", OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_TCP_SOCKET,
     TCP(TCP_FASTOPEN_CONNECT), 0, 1, NULL},
#endif
#ifdef TCP_FASTOPEN
    {"fast_open", OPTION_INTEGER, OPTION_GET_SET, TRAITS_TCP_ACCEPTOR,
     TCP(TCP_FASTOPEN), 0, INT_MAX, NULL},
#endif
    {NULL, OPTION_BOOLEAN, OPTION_GET_SET, TRAITS_ANY, SOCKET(0), 0, 0, NULL},
    /* clang-format on */
};

const struct option_row *option_rows(void)
{
    return rows;
}

static bool is_named(const struct option_row *row, const char *name, size_t length)
{
    return strlen(row->name) == length && memcmp(row->name, name, length) == 0;
}

const struct option_row *option_find(const char *name, size_t length, unsigned traits)
{
    for (const struct option_row *row = rows; row->name; row++)
        if ((row->traits & traits) == row->traits && is_named(row, name, length))
            return row;
    return NULL;
}

int option_interface_by_name(const char *name, size_t length, struct option_interface *interface)
{
    unsigned index;
    int error = interface_by_name(name, length, &index);
    if (!error)
        *interface = (struct option_interface){.by = INTERFACE_BY_INDEX, .index = index};
    return error;
}

/* The kernel takes an interface's index as an int. */
static int check_index(unsigned index)
{
    return index <= INT_MAX ? 0 : ENODEV;
}

static int resolve_v4(const struct option_interface *interface, struct ip_mreqn *request)
{
    switch (interface->by) {
    case INTERFACE_BY_ADDRESS:
        if (interface->address.is_v6)
            return EAFNOSUPPORT;
        memcpy(&request->imr_address, interface->address.bytes, 4);
        return 0;
    case INTERFACE_BY_INDEX:
        request->imr_ifindex = (int)interface->index;
        return check_index(interface->index);
    case INTERFACE_ANY:
        break;
    }
    return 0;
}

/* `index` stays as it is for no particular interface, which :: means as 0.0.0.0 does for v4. */
static int resolve_v6(const struct option_interface *interface, unsigned *index)
{
    switch (interface->by) {
    case INTERFACE_BY_ADDRESS:
        if (!interface->address.is_v6)
            return EAFNOSUPPORT;
        if (thrum_address_is_unspecified(&interface->address))
            return 0;
        return interface_by_address(&interface->address, index);
    case INTERFACE_BY_INDEX:
        *index = interface->index;
        return check_index(*index);
    case INTERFACE_ANY:
        break;
    }
    return 0;
}

static int encode_v4(const struct thrum_address *group, const struct option_interface *interface,
                     void *value, size_t *size)
{
    struct ip_mreqn request;
    memset(&request, 0, sizeof(request));
    if (group)
        memcpy(&request.imr_multiaddr, group->bytes, 4);
    int error = resolve_v4(interface, &request);
    if (error)
        return error;
    memcpy(value, &request, sizeof(request));
    *size = sizeof(request);
    return 0;
}

static int encode_v6_group(const struct thrum_address *group,
                           const struct option_interface *interface, void *value, size_t *size)
{
    unsigned index = group->scope_id;
    int error = resolve_v6(interface, &index);
    if (error)
        return error;
    error = check_index(index);
    if (error)
        return error;
    struct ipv6_mreq request;
    memset(&request, 0, sizeof(request));
    memcpy(&request.ipv6mr_multiaddr, group->bytes, 16);
    request.ipv6mr_interface = index;
    memcpy(value, &request, sizeof(request));
    *size = sizeof(request);
    return 0;
}

static int encode_v6_interface(const struct option_interface *interface, void *value, size_t *size)
{
    unsigned index = 0;
    int error = resolve_v6(interface, &index);
    if (error == ENODEV && interface->by == INTERFACE_BY_ADDRESS)
        return EADDRNOTAVAIL; /* as the kernel says for IPv4 */
    if (error)
        return error;
    memcpy(value, &index, sizeof(index));
    *size = sizeof(index);
    return 0;
}

_Static_assert(sizeof(struct ip_mreqn) <= OPTION_VALUE_SIZE, "an IPv4 request fits");
_Static_assert(sizeof(struct ipv6_mreq) <= OPTION_VALUE_SIZE, "an IPv6 request fits");

int option_encode_group(int family, const struct thrum_address *group,
                        const struct option_interface *interface, void *value, size_t *size)
{
    bool is_v6 = family == AF_INET6;
    if ((!is_v6 && family != AF_INET) || group->is_v6 != is_v6)
        return EAFNOSUPPORT;
    if (!thrum_address_is_multicast(group))
        return EINVAL;
    return is_v6 ? encode_v6_group(group, interface, value, size)
                 : encode_v4(group, interface, value, size);
}

_Static_assert(sizeof(struct group_source_req) <= OPTION_VALUE_SIZE,
               "a request with a source fits");

/* Here an interface is always an index, for both families; 0 leaves the choice to the system. */
static int resolve_index(const struct thrum_address *group,
                         const struct option_interface *interface, unsigned *index)
{
    *index = interface->by == INTERFACE_BY_INDEX ? interface->index : group->scope_id;
    if (interface->by == INTERFACE_BY_ADDRESS) {
        if (interface->address.is_v6 != group->is_v6)
            return EAFNOSUPPORT;
        if (!thrum_address_is_unspecified(&interface->address))
            return interface_by_address(&interface->address, index);
    }
    return check_index(*index);
}

static void copy_address(const struct thrum_address *address, struct sockaddr_storage *to)
{
    struct thrum_endpoint endpoint;
    thrum_endpoint_from_address(address, 0, &endpoint);
    memcpy(to, &endpoint.sa, endpoint.size);
}

int option_encode_source(int family, const struct thrum_address *group,
                         const struct thrum_address *source,
                         const struct option_interface *interface, void *value, size_t *size)
{
    bool is_v6 = family == AF_INET6;
    if ((!is_v6 && family != AF_INET) || group->is_v6 != is_v6 || source->is_v6 != is_v6)
        return EAFNOSUPPORT;
    if (!thrum_address_is_multicast(group))
        return EINVAL;
    unsigned index;
    int error = resolve_index(group, interface, &index);
    if (error)
        return error;
    struct group_source_req request;
    memset(&request, 0, sizeof(request));
    request.gsr_interface = index;
    copy_address(group, &request.gsr_group);
    copy_address(source, &request.gsr_source);
    memcpy(value, &request, sizeof(request));
    *size = sizeof(request);
    return 0;
}

int option_encode_interface(int family, const struct option_interface *interface, void *value,
                            size_t *size)
{
    switch (family) {
    case AF_INET:
        return encode_v4(NULL, interface, value, size);
    case AF_INET6:
        return encode_v6_interface(interface, value, size);
    default:
        return EAFNOSUPPORT;
    }
}
