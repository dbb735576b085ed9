/* SPDX-License-Identifier: BSL-1.0 */
/* See random.h: getrandom(2), which a signal may cut short when it is asked for more than 256. */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

int random_fill(void *bytes, size_t size)
{
    char *rest = bytes;
    while (size > 0) {
        ssize_t count = getrandom(rest, size, 0);
        if (count < 0 && errno != EINTR)
            return errno;
        if (count > 0) {
            rest += count;
            size -= (size_t)count;
        }
    }
    return 0;
}
