/* SPDX-License-Identifier: BSL-1.0 */
/* IP networks: an address and the length of its prefix. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <thrum/address.h>

#include "net/decimal.h"

int thrum_network_parse(const char *text, size_t length, struct thrum_network *network)
{
    struct thrum_network parsed;
    uint32_t prefix_length;
    const char *slash = length > 0 ? memchr(text, '/', length) : NULL;
    if (!slash)
        return EINVAL;
    size_t head = (size_t)(slash - text);
    if (memchr(text, '%', length) || thrum_address_parse(text, head, &parsed.address) != 0)
        return EINVAL;
    uint32_t maximum = parsed.address.is_v6 ? 128 : 32;
    if (decimal_parse(slash + 1, length - head - 1, maximum, &prefix_length) != 0)
        return EINVAL;
    parsed.prefix_length = (uint8_t)prefix_length;
    *network = parsed;
    return 0;
}

size_t thrum_network_format(const struct thrum_network *network, char *text)
{
    size_t length = thrum_address_format(&network->address, text);
    length += (size_t)snprintf(text + length, THRUM_ADDRESS_TEXT_SIZE - length, "/%u",
                               (unsigned)network->prefix_length);
    return length;
}

/* The netmask's byte number `i`. */
static uint8_t mask_byte(unsigned prefix_length, size_t i)
{
    size_t before = 8 * i;
    if (prefix_length >= before + 8)
        return 0xff;
    if (prefix_length <= before)
        return 0;
    return (uint8_t)(0xff << (8 - (prefix_length - before)));
}

bool thrum_network_contains(const struct thrum_network *network,
                            const struct thrum_address *address)
{
    if (network->address.is_v6 != address->is_v6)
        return false;
    for (size_t i = 0; i < thrum_address_size(address); i++) {
        uint8_t difference = network->address.bytes[i] ^ address->bytes[i];
        if (difference & mask_byte(network->prefix_length, i))
            return false;
    }
    return true;
}

struct thrum_address thrum_network_netmask(const struct thrum_network *network)
{
    struct thrum_address mask = {.is_v6 = network->address.is_v6};
    for (size_t i = 0; i < thrum_address_size(&mask); i++)
        mask.bytes[i] = mask_byte(network->prefix_length, i);
    return mask;
}

struct thrum_address thrum_network_first(const struct thrum_network *network)
{
    struct thrum_address first = network->address;
    for (size_t i = 0; i < thrum_address_size(&first); i++)
        first.bytes[i] &= mask_byte(network->prefix_length, i);
    return first;
}

struct thrum_address thrum_network_last(const struct thrum_network *network)
{
    struct thrum_address last = network->address;
    for (size_t i = 0; i < thrum_address_size(&last); i++)
        last.bytes[i] |= (uint8_t)~mask_byte(network->prefix_length, i);
    return last;
}
