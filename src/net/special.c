/* SPDX-License-Identifier: BSL-1.0 */
/* Addresses with a special purpose, by IANA's registries: which are private, which are global.
 * The test `special addresses` holds the table against Python's. */
#include <thrum/address.h>

/* A v4 block stands as its mapped v6 block, so one table and one look-up serve both families. */
struct block {
    uint64_t high, low;
    unsigned length;
    bool is_global;
};

#define V4(a, b, c, d, length, is_global)                                                    \
    {                                                                                        \
        0, 0xffff00000000 | (uint64_t)(a) << 24 | (b) << 16 | (c) << 8 | (d), 96 + (length), \
            is_global                                                                        \
    }
#define V6(a, b, c, d, low, length, is_global)                                              \
    {                                                                                       \
        (uint64_t)(a) << 48 | (uint64_t)(b) << 32 | (uint64_t)(c) << 16 | (d), low, length, \
            is_global                                                                       \
    }

/* The first block that holds an address answers, so exceptions stand before their block. What the
 * registries call neither true nor false (6to4, Teredo) is not global. */
static const struct block blocks[] = {
    V4(0, 0, 0, 0, 8, false),              /* RFC 791, this network */
    V4(10, 0, 0, 0, 8, false),             /* RFC 1918 */
    V4(100, 64, 0, 0, 10, false),          /* RFC 6598, shared */
    V4(127, 0, 0, 0, 8, false),            /* RFC 1122, loopback */
    V4(169, 254, 0, 0, 16, false),         /* RFC 3927, link-local */
    V4(172, 16, 0, 0, 12, false),          /* RFC 1918 */
    V4(192, 0, 0, 9, 32, true),            /* RFC 7723, PCP anycast */
    V4(192, 0, 0, 10, 32, true),           /* RFC 8155, TURN anycast */
    V4(192, 0, 0, 0, 24, false),           /* RFC 6890, protocol assignments */
    V4(192, 0, 2, 0, 24, false),           /* RFC 5737, documentation */
    V4(192, 88, 99, 0, 24, false),         /* RFC 7526, 6to4 relays, deprecated */
    V4(192, 168, 0, 0, 16, false),         /* RFC 1918 */
    V4(198, 18, 0, 0, 15, false),          /* RFC 2544, benchmarking */
    V4(198, 51, 100, 0, 24, false),        /* RFC 5737 */
    V4(203, 0, 113, 0, 24, false),         /* RFC 5737 */
    V4(224, 0, 0, 0, 24, false),           /* RFC 5771, multicast of one link */
    V4(233, 252, 0, 0, 24, false),         /* RFC 6676, documentation */
    V4(239, 0, 0, 0, 8, false),            /* RFC 2365, administratively scoped */
    V4(240, 0, 0, 0, 4, false),            /* RFC 1112, reserved; and the limited broadcast */
    V6(0, 0, 0, 0, 0, 127, false),         /* RFC 4291, :: and ::1 */
    V6(0x64, 0xff9b, 1, 0, 0, 48, false),  /* RFC 8215, local translation */
    V6(0x100, 0, 0, 0, 0, 64, false),      /* RFC 6666, discard only */
    V6(0x100, 0, 0, 1, 0, 64, false),      /* RFC 9780, dummy */
    V6(0x2001, 1, 0, 0, 1, 128, true),     /* RFC 7723, PCP anycast */
    V6(0x2001, 1, 0, 0, 2, 128, true),     /* RFC 8155, TURN anycast */
    V6(0x2001, 1, 0, 0, 3, 128, true),     /* RFC 9665, DNS-SD anycast */
    V6(0x2001, 3, 0, 0, 0, 32, true),      /* RFC 7450, AMT */
    V6(0x2001, 4, 0x112, 0, 0, 48, true),  /* RFC 7535, AS112 */
    V6(0x2001, 0x20, 0, 0, 0, 28, true),   /* RFC 7343, ORCHIDv2 */
    V6(0x2001, 0x30, 0, 0, 0, 28, true),   /* RFC 9374, drones */
    V6(0x2001, 0, 0, 0, 0, 23, false),     /* RFC 2928, protocol assignments */
    V6(0x2001, 0xdb8, 0, 0, 0, 32, false), /* RFC 3849, documentation */
    V6(0x2002, 0, 0, 0, 0, 16, false),     /* RFC 3056, 6to4 */
    V6(0x3fff, 0, 0, 0, 0, 20, false),     /* RFC 9637, documentation */
    V6(0x5f00, 0, 0, 0, 0, 16, false),     /* RFC 9602, segment routing */
    V6(0xfc00, 0, 0, 0, 0, 7, false),      /* RFC 4193, unique local */
    V6(0xfe80, 0, 0, 0, 0, 10, false),     /* RFC 4291, link-local */
    V6(0xfec0, 0, 0, 0, 0, 10, false),     /* RFC 3879, site-local, deprecated */
};

static uint64_t read_half(const uint8_t *bytes)
{
    uint64_t half = 0;
    for (int i = 0; i < 8; i++)
        half = half << 8 | bytes[i];
    return half;
}

/* `bits` is 0 to 64. */
static bool agree(uint64_t a, uint64_t b, unsigned bits)
{
    return bits == 0 || (a ^ b) >> (64 - bits) == 0;
}

static bool holds(const struct block *block, uint64_t high, uint64_t low)
{
    if (block->length <= 64)
        return agree(block->high, high, block->length);
    return block->high == high && agree(block->low, low, block->length - 64);
}

bool thrum_address_is_global(const struct thrum_address *address)
{
    enum { SCOPE_GLOBAL = 14 };
    int scope = thrum_address_multicast_scope(address);
    if (scope >= 0)
        return scope == SCOPE_GLOBAL;

    struct thrum_address v6 = thrum_address_to_v6(address);
    uint64_t high = read_half(v6.bytes), low = read_half(v6.bytes + 8);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
        if (holds(&blocks[i], high, low))
            return blocks[i].is_global;
    return true;
}

bool thrum_address_is_private(const struct thrum_address *address)
{
    struct thrum_address v4;
    if (thrum_address_to_v4(address, &v4) != 0)
        return (address->bytes[0] & 0xfe) == 0xfc;
    const uint8_t *b = v4.bytes;
    return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
}
