/* SPDX-License-Identifier: BSL-1.0 */
/* Decimal numbers inside texts: ports, prefix lengths, zones. */
#ifndef NET_DECIMAL_H
#define NET_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* Digits only, no sign, no space, no leading zero. EINVAL for anything else and above `maximum`. */
int decimal_parse(const char *text, size_t length, uint32_t maximum, uint32_t *value);

THRUM_END_DECLS

#endif
