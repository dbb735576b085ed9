/* SPDX-License-Identifier: BSL-1.0 */
/* Endpoints: addresses and ports, and paths, as sockaddr bytes and as text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <thrum/address.h>

#include "net/decimal.h"

enum { PATH_OFFSET = offsetof(struct sockaddr_un, sun_path) };

void thrum_endpoint_from_address(const struct thrum_address *address, uint16_t port,
                                 struct thrum_endpoint *endpoint)
{
    if (address->is_v6) {
        struct sockaddr_in6 *v6 = &endpoint->sa.v6;
        memset(v6, 0, sizeof(*v6));
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        v6->sin6_scope_id = address->scope_id;
        memcpy(&v6->sin6_addr, address->bytes, 16);
        endpoint->size = sizeof(*v6);
    } else {
        struct sockaddr_in *v4 = &endpoint->sa.v4;
        memset(v4, 0, sizeof(*v4));
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address->bytes, 4);
        endpoint->size = sizeof(*v4);
    }
}

/* An unnamed endpoint may be too short for a family. */
static int family_of(const struct thrum_endpoint *endpoint)
{
    size_t least = offsetof(struct sockaddr, sa_family) + sizeof(endpoint->sa.any.sa_family);
    return endpoint->size >= least ? endpoint->sa.any.sa_family : AF_UNSPEC;
}

int thrum_endpoint_to_address(const struct thrum_endpoint *endpoint, struct thrum_address *address,
                              uint16_t *port)
{
    int family = family_of(endpoint);
    if (family == AF_INET && endpoint->size >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *v4 = &endpoint->sa.v4;
        *address = thrum_address_v4(ntohl(v4->sin_addr.s_addr));
        *port = ntohs(v4->sin_port);
        return 0;
    }
    if (family == AF_INET6 && endpoint->size >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *v6 = &endpoint->sa.v6;
        thrum_address_from_bytes(&v6->sin6_addr, 16, address);
        address->scope_id = v6->sin6_scope_id;
        *port = ntohs(v6->sin6_port);
        return 0;
    }
    return EAFNOSUPPORT;
}

int thrum_endpoint_from_path(const char *path, size_t length, struct thrum_endpoint *endpoint)
{
    struct sockaddr_un *un = &endpoint->sa.path;
    bool is_file = length > 0 && path[0] != '\0';
    if (is_file && memchr(path, '\0', length))
        return EINVAL;
    size_t size = is_file ? length + 1 : length;
    if (size > sizeof(un->sun_path))
        return ENAMETOOLONG;
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    if (length > 0)
        memcpy(un->sun_path, path, length);
    endpoint->size = (socklen_t)(PATH_OFFSET + size);
    return 0;
}

/* The sender of a datagram that has no name is reported without even a family. */
int thrum_endpoint_to_path(const struct thrum_endpoint *endpoint, const char **path, size_t *length)
{
    const struct sockaddr_un *un = &endpoint->sa.path;
    if (endpoint->size != 0 && family_of(endpoint) != AF_UNIX)
        return EAFNOSUPPORT;
    size_t size = endpoint->size > PATH_OFFSET ? endpoint->size - PATH_OFFSET : 0;
    if (size > sizeof(un->sun_path))
        size = sizeof(un->sun_path);
    bool is_file = size > 0 && un->sun_path[0] != '\0';
    *path = un->sun_path;
    *length = is_file ? strnlen(un->sun_path, size) : size;
    return 0;
}

static size_t format_path(const struct thrum_endpoint *endpoint, char *text)
{
    const char *path;
    size_t length;
    if (thrum_endpoint_to_path(endpoint, &path, &length))
        length = 0;
    for (size_t i = 0; i < length; i++)
        text[i] = path[i] ? path[i] : '@';
    text[length] = '\0';
    return length;
}

size_t thrum_endpoint_format(const struct thrum_endpoint *endpoint, char *text)
{
    struct thrum_address address;
    uint16_t port;
    if (thrum_endpoint_to_address(endpoint, &address, &port) == 0)
        return thrum_address_format_port(&address, port, text);
    return format_path(endpoint, text);
}

size_t thrum_address_format_port(const struct thrum_address *address, uint16_t port, char *text)
{
    char host[THRUM_ADDRESS_TEXT_SIZE];
    thrum_address_format(address, host);
    const char *format = address->is_v6 ? "[%s]:%u" : "%s:%u";
    return (size_t)snprintf(text, THRUM_ENDPOINT_TEXT_SIZE, format, host, (unsigned)port);
}

/* Brackets say v6, and only v6 has them. */
static int parse_host(const char *text, size_t length, struct thrum_address *address)
{
    bool is_v6 = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    struct thrum_address parsed;
    int error = is_v6 ? thrum_address_parse(text + 1, length - 2, &parsed)
                      : thrum_address_parse(text, length, &parsed);
    if (error)
        return error;
    if (parsed.is_v6 != is_v6)
        return EINVAL;
    *address = parsed;
    return 0;
}

int thrum_address_parse_port(const char *text, size_t length, struct thrum_address *address,
                             uint16_t *port)
{
    uint32_t number;
    size_t digits = 0;
    while (digits < length && text[length - digits - 1] != ':')
        digits++;
    if (digits == length || decimal_parse(text + length - digits, digits, UINT16_MAX, &number) != 0)
        return EINVAL;
    int error = parse_host(text, length - digits - 1, address);
    if (!error)
        *port = (uint16_t)number;
    return error;
}
