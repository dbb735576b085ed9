/* SPDX-License-Identifier: BSL-1.0 */
/* Algorithms on runs of bytes: positions are 0-based here, BYTES_NONE is "not there". */
#ifndef NET_BYTES_H
#define NET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

#define BYTES_NONE ((size_t)-1)

struct bytes {
    const unsigned char *data;
    size_t size;
};

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_start_with(struct bytes bytes, struct bytes prefix);
bool bytes_end_with(struct bytes bytes, struct bytes suffix);

/* The first position at or after `from` where `needle` begins; an empty needle is at `from` itself
 * when from <= size. The last one at or before `from` for bytes_rfind (BYTES_NONE: from the end);
 * as std::string_view::find and rfind. */
size_t bytes_find(struct bytes bytes, struct bytes needle, size_t from);
size_t bytes_rfind(struct bytes bytes, struct bytes needle, size_t from);

/* The first (last) position at or after (before) `from` whose byte is, or is not, in `set`; as
 * std::string_view::find_first_of and its three companions. */
size_t bytes_find_first_of(struct bytes bytes, struct bytes set, size_t from, bool is_member);
size_t bytes_find_last_of(struct bytes bytes, struct bytes set, size_t from, bool is_member);

/* Unsigned integers of 1 to 8 bytes. */
uint64_t bytes_get_uint(const unsigned char *data, size_t width, bool big_endian);
void bytes_set_uint(unsigned char *data, size_t width, bool big_endian, uint64_t value);

/* Two lower-case hexadecimal digits a byte; `text` holds 2 * size bytes, no NUL is written. */
void bytes_hex(struct bytes bytes, char *text);

THRUM_END_DECLS

#endif
