/* SPDX-License-Identifier: BSL-1.0 */
/* Algorithms on runs of bytes. An empty run's data may be NULL. */
#include <string.h>

#include "net/bytes.h"

/* A set of byte values, for one pass over the bytes whatever the set's size. */
struct byte_set {
    bool has[256];
};

static void byte_set_init(struct byte_set *set, struct bytes members)
{
    memset(set, 0, sizeof(*set));
    for (size_t i = 0; i < members.size; i++)
        set->has[members.data[i]] = true;
}

static bool is_at(struct bytes bytes, size_t position, struct bytes needle)
{
    return needle.size == 0 || memcmp(bytes.data + position, needle.data, needle.size) == 0;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && is_at(a, 0, b);
}

bool bytes_start_with(struct bytes bytes, struct bytes prefix)
{
    return prefix.size <= bytes.size && is_at(bytes, 0, prefix);
}

bool bytes_end_with(struct bytes bytes, struct bytes suffix)
{
    return suffix.size <= bytes.size && is_at(bytes, bytes.size - suffix.size, suffix);
}

size_t bytes_find(struct bytes bytes, struct bytes needle, size_t from)
{
    if (from > bytes.size || needle.size > bytes.size - from)
        return BYTES_NONE;
    if (needle.size == 0)
        return from;
    const unsigned char *found =
        memmem(bytes.data + from, bytes.size - from, needle.data, needle.size);
    return found ? (size_t)(found - bytes.data) : BYTES_NONE;
}

size_t bytes_find_first_of(struct bytes bytes, struct bytes set, size_t from, bool is_member)
{
    struct byte_set members;
    byte_set_init(&members, set);
    for (size_t i = from; i < bytes.size; i++)
        if (members.has[bytes.data[i]] == is_member)
            return i;
    return BYTES_NONE;
}

size_t bytes_find_last_of(struct bytes bytes, struct bytes set, size_t from, bool is_member)
{
    struct byte_set members;
    byte_set_init(&members, set);
    for (size_t i = from < bytes.size ? from + 1 : bytes.size; i > 0; i--)
        if (members.has[bytes.data[i - 1]] == is_member)
            return i - 1;
    return BYTES_NONE;
}

uint64_t bytes_get_uint(const unsigned char *data, size_t width, bool big_endian)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | data[big_endian ? i : width - 1 - i];
    return value;
}

void bytes_set_uint(unsigned char *data, size_t width, bool big_endian, uint64_t value)
{
    for (size_t i = 0; i < width; i++) {
        data[big_endian ? width - 1 - i : i] = (unsigned char)value;
        value >>= 8;
    }
}

void bytes_hex(struct bytes bytes, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[bytes.data[i] >> 4];
        text[2 * i + 1] = digits[bytes.data[i] & 0x0f];
    }
}
