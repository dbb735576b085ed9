/* SPDX-License-Identifier: BSL-1.0 */
/* Network interfaces, as if_nametoindex(3) and getifaddrs(3) know them. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "net/interface.h"

int interface_by_name(const char *name, size_t length, unsigned *index)
{
    char copy[IF_NAMESIZE];
    if (length == 0 || length >= sizeof(copy) || memchr(name, '\0', length))
        return ENODEV;
    memcpy(copy, name, length);
    copy[length] = '\0';

    /* errno says little: glibc leaves ENOENT when it cannot open a socket to ask with. */
    unsigned found = if_nametoindex(copy);
    if (found == 0)
        return ENODEV;
    *index = found;
    return 0;
}

static bool has_address(const struct ifaddrs *entry, const struct thrum_address *address)
{
    struct sockaddr_in6 sa;
    struct sockaddr_in v4;
    if (!entry->ifa_addr || entry->ifa_addr->sa_family != (address->is_v6 ? AF_INET6 : AF_INET))
        return false;
    if (!address->is_v6) {
        memcpy(&v4, entry->ifa_addr, sizeof(v4));
        return memcmp(&v4.sin_addr, address->bytes, sizeof(v4.sin_addr)) == 0;
    }
    memcpy(&sa, entry->ifa_addr, sizeof(sa));
    if (memcmp(&sa.sin6_addr, address->bytes, sizeof(address->bytes)) != 0)
        return false;
    return address->scope_id == 0 || address->scope_id == sa.sin6_scope_id;
}

int interface_by_address(const struct thrum_address *address, unsigned *index)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0)
        return errno;
    int error = ENODEV;
    for (const struct ifaddrs *entry = list; entry && error; entry = entry->ifa_next)
        if (has_address(entry, address))
            error = interface_by_name(entry->ifa_name, strlen(entry->ifa_name), index);
    freeifaddrs(list);
    return error;
}

int interface_list(unsigned indexes[MAX_INTERFACES], size_t *count)
{
    struct if_nameindex *list = if_nameindex();
    if (!list)
        return errno;
    size_t n = 0;
    for (; n < MAX_INTERFACES && list[n].if_index != 0; n++)
        indexes[n] = list[n].if_index;
    *count = n;
    if_freenameindex(list);
    return 0;
}
