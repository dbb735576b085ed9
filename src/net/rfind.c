/* SPDX-License-Identifier: BSL-1.0 */
/* The last place of some bytes in others: Crochemore and Perrin's two-way search, from the back.
 *
 * Linear whatever the bytes are, and without memory. The needle is cut where the search to the left
 * of the cut has to go on only if the right part was found; read from the back, "left" is behind.
 * "Two-way string-matching", Journal of the ACM 38 (1991). */
#include <stdint.h>

#include "net/bytes.h"

/* Where the needle is cut, and how far it can be moved when the part behind the cut was found. */
struct factors {
    size_t cut;
    size_t period;
};

static unsigned char from_back(struct bytes bytes, size_t i)
{
    return bytes.data[bytes.size - 1 - i];
}

/* Where the largest suffix begins, by the order of the bytes or by its opposite; and its period. */
static struct factors largest_suffix(struct bytes needle, bool is_opposite)
{
    size_t start = SIZE_MAX, candidate = 0, matched = 1, period = 1; /* SIZE_MAX: one before 0 */
    while (candidate + matched < needle.size) {
        unsigned char a = from_back(needle, candidate + matched);
        unsigned char b = from_back(needle, start + matched);
        if (a == b && matched != period) {
            matched++;
        } else if (a == b) {
            candidate += period;
            matched = 1;
        } else if ((a < b) != is_opposite) {
            candidate += matched;
            matched = 1;
            period = candidate - start;
        } else {
            start = candidate++;
            matched = period = 1;
        }
    }
    return (struct factors){start + 1, period};
}

static struct factors factorize(struct bytes needle)
{
    struct factors one = largest_suffix(needle, false), other = largest_suffix(needle, true);
    return one.cut > other.cut ? one : other;
}

/* Whether the part before the cut is repeated after a period: the period is the whole needle's. */
static bool is_periodic(struct bytes needle, const struct factors *factors)
{
    for (size_t i = 0; i < factors->cut; i++)
        if (from_back(needle, i) != from_back(needle, i + factors->period))
            return false;
    return true;
}

/* Neither is empty. */
static size_t search(struct bytes haystack, struct bytes needle)
{
    struct factors factors = factorize(needle);
    bool has_period = is_periodic(needle, &factors);
    size_t cut = factors.cut, rest = needle.size - cut, known = 0; /* the first that match anyhow */
    size_t shift = has_period ? factors.period : (cut > rest ? cut : rest) + 1;
    for (size_t at = 0; at <= haystack.size - needle.size;) {
        size_t i = cut > known ? cut : known;
        while (i < needle.size && from_back(needle, i) == from_back(haystack, at + i))
            i++;
        if (i < needle.size) {
            at += i - cut + 1;
            known = 0;
            continue;
        }
        i = cut;
        while (i > known && from_back(needle, i - 1) == from_back(haystack, at + i - 1))
            i--;
        if (i <= known)
            return haystack.size - needle.size - at;
        at += shift;
        known = has_period ? needle.size - shift : 0;
    }
    return BYTES_NONE;
}

size_t bytes_rfind(struct bytes bytes, struct bytes needle, size_t from)
{
    if (needle.size > bytes.size)
        return BYTES_NONE;
    size_t last = bytes.size - needle.size;
    if (from < last)
        bytes.size = from + needle.size;
    return needle.size == 0 ? bytes.size : search(bytes, needle);
}
