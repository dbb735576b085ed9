/* SPDX-License-Identifier: BSL-1.0 */
/* See random.h: getentropy(3), which gives 256 bytes at most. */
#include "base/random.h"

#include <errno.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif
#include <unistd.h>

enum { MAX_ENTROPY = 256 };

int random_fill(void *bytes, size_t size)
{
    char *rest = bytes;
    while (size > 0) {
        size_t count = size < MAX_ENTROPY ? size : MAX_ENTROPY;
        if (getentropy(rest, count))
            return errno;
        rest += count;
        size -= count;
    }
    return 0;
}
