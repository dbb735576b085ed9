/* SPDX-License-Identifier: BSL-1.0 */
/* IP addresses as values: text, order, predicates by their bits. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <thrum/address.h>

#include "net/decimal.h"
#include "net/interface.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- text ---- */

/* A name first: an interface may be called "7", and then its text is "%7". */
static int parse_zone(const char *text, size_t length, uint32_t *scope_id)
{
    unsigned index;
    if (interface_by_name(text, length, &index) != 0)
        return decimal_parse(text, length, UINT32_MAX, scope_id);
    *scope_id = index;
    return 0;
}

/* inet_pton(3) of text that need not end in NUL. */
static bool parse_bytes(int family, const char *text, size_t length, uint8_t *bytes)
{
    char copy[INET6_ADDRSTRLEN];
    if (length >= sizeof(copy) || memchr(text, '\0', length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return inet_pton(family, copy, bytes) == 1;
}

static int parse_v6(const char *text, size_t length, struct thrum_address *address)
{
    const char *percent = memchr(text, '%', length);
    size_t head = percent ? (size_t)(percent - text) : length;
    if (!parse_bytes(AF_INET6, text, head, address->bytes))
        return EINVAL;
    return percent ? parse_zone(percent + 1, length - head - 1, &address->scope_id) : 0;
}

int thrum_address_parse(const char *text, size_t length, struct thrum_address *address)
{
    struct thrum_address parsed = {.is_v6 = length > 0 && memchr(text, ':', length)};
    int error = 0;
    if (length == 0 || length >= THRUM_ADDRESS_TEXT_SIZE)
        error = EINVAL;
    else if (parsed.is_v6)
        error = parse_v6(text, length, &parsed);
    else if (!parse_bytes(AF_INET, text, length, parsed.bytes))
        error = EINVAL;
    if (!error)
        *address = parsed;
    return error;
}

static size_t format_zone(uint32_t scope_id, char *text, size_t size)
{
    char name[IF_NAMESIZE];
    if (if_indextoname(scope_id, name))
        return (size_t)snprintf(text, size, "%%%s", name);
    return (size_t)snprintf(text, size, "%%%" PRIu32, scope_id);
}

size_t thrum_address_format(const struct thrum_address *address, char *text)
{
    inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->bytes, text, THRUM_ADDRESS_TEXT_SIZE);
    size_t length = strlen(text);
    if (address->is_v6 && address->scope_id != 0)
        length += format_zone(address->scope_id, text + length, THRUM_ADDRESS_TEXT_SIZE - length);
    return length;
}

/* ---- values ---- */

struct thrum_address thrum_address_v4(uint32_t host_order)
{
    struct thrum_address address = {.is_v6 = false};
    uint32_t network_order = htonl(host_order);
    memcpy(address.bytes, &network_order, 4);
    return address;
}

int thrum_address_from_bytes(const void *bytes, size_t size, struct thrum_address *address)
{
    if (size != 4 && size != 16)
        return EINVAL;
    struct thrum_address made = {.is_v6 = size == 16};
    memcpy(made.bytes, bytes, size);
    *address = made;
    return 0;
}

size_t thrum_address_size(const struct thrum_address *address)
{
    return address->is_v6 ? 16 : 4;
}

int thrum_address_compare(const struct thrum_address *a, const struct thrum_address *b)
{
    if (a->is_v6 != b->is_v6)
        return a->is_v6 ? 1 : -1;
    int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    if (order != 0)
        return order;
    return (a->scope_id > b->scope_id) - (a->scope_id < b->scope_id);
}

struct thrum_address thrum_address_to_v6(const struct thrum_address *address)
{
    if (address->is_v6)
        return *address;
    struct thrum_address mapped = {.is_v6 = true};
    memcpy(mapped.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(mapped.bytes + sizeof(mapped_prefix), address->bytes, 4);
    return mapped;
}

int thrum_address_to_v4(const struct thrum_address *address, struct thrum_address *v4)
{
    if (!address->is_v6) {
        *v4 = *address;
        return 0;
    }
    if (!thrum_address_is_v4_mapped(address))
        return EINVAL;
    return thrum_address_from_bytes(address->bytes + sizeof(mapped_prefix), 4, v4);
}

/* ---- predicates ---- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
    static const uint8_t zeros[16];
    return memcmp(bytes, zeros, size) == 0;
}

bool thrum_address_is_loopback(const struct thrum_address *address)
{
    if (!address->is_v6)
        return address->bytes[0] == 127;
    return is_zero(address->bytes, 15) && address->bytes[15] == 1;
}

bool thrum_address_is_multicast(const struct thrum_address *address)
{
    if (!address->is_v6)
        return (address->bytes[0] & 0xf0) == 0xe0;
    return address->bytes[0] == 0xff;
}

bool thrum_address_is_unspecified(const struct thrum_address *address)
{
    return is_zero(address->bytes, sizeof(address->bytes));
}

bool thrum_address_is_link_local(const struct thrum_address *address)
{
    return address->is_v6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

bool thrum_address_is_site_local(const struct thrum_address *address)
{
    return address->is_v6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0xc0;
}

bool thrum_address_is_v4_mapped(const struct thrum_address *address)
{
    return address->is_v6 && memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

int thrum_address_multicast_scope(const struct thrum_address *address)
{
    return address->is_v6 && address->bytes[0] == 0xff ? address->bytes[1] & 0x0f : -1;
}
