/* SPDX-License-Identifier: BSL-1.0 */
/* Bytes that nobody can guess. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fill `bytes` from the system's generator. Waits, early in the system's start, until that has been
 * seeded. Returns 0 or an error of the system. */
int random_fill(void *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
