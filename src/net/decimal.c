/* SPDX-License-Identifier: BSL-1.0 */
/* Decimal numbers inside texts. */
#include <errno.h>

#include "net/decimal.h"

int decimal_parse(const char *text, size_t length, uint32_t maximum, uint32_t *value)
{
    uint64_t sum = 0;
    if (length == 0 || (length > 1 && text[0] == '0'))
        return EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return EINVAL;
        sum = sum * 10 + (uint64_t)(text[i] - '0');
        if (sum > maximum)
            return EINVAL;
    }
    *value = (uint32_t)sum;
    return 0;
}
