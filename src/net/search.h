/* SPDX-License-Identifier: BSL-1.0 */
/* Searching a delimiter in bytes that come piece by piece: no byte is looked at twice. */
#ifndef NET_SEARCH_H
#define NET_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* How far a search has come: so many bytes were looked at, and the last `matched` of them are the
 * delimiter's first. All zero at the start. */
struct search {
    size_t looked;
    size_t matched;
};

/* For each start of the delimiter, of `size` bytes and not empty: how many of its last bytes are
 * the delimiter's first again. `table` has room for `size`. */
void search_prepare(const unsigned char *delimiter, size_t size, size_t *table);

/* Go on in `data`, of which what was looked at has not changed. True: the delimiter's last byte is
 * the last looked at. */
bool search_continue(struct search *search, const unsigned char *delimiter, size_t size,
                     const size_t *table, const unsigned char *data, size_t data_size);

THRUM_END_DECLS

#endif
