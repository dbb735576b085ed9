/* SPDX-License-Identifier: BSL-1.0 */
/* Searching a delimiter: Knuth, Morris and Pratt's way, and memchr where nothing is matched yet. */
#include "net/search.h"

#include <string.h>

void search_prepare(const unsigned char *delimiter, size_t size, size_t *table)
{
    size_t matched = 0;
    table[0] = 0;
    for (size_t i = 1; i < size; i++) {
        while (matched > 0 && delimiter[i] != delimiter[matched])
            matched = table[matched - 1];
        if (delimiter[i] == delimiter[matched])
            matched++;
        table[i] = matched;
    }
}

bool search_continue(struct search *search, const unsigned char *delimiter, size_t size,
                     const size_t *table, const unsigned char *data, size_t data_size)
{
    size_t at = search->looked, matched = search->matched;
    while (at < data_size && matched < size) {
        if (matched == 0) {
            const unsigned char *first = memchr(data + at, delimiter[0], data_size - at);
            at = first ? (size_t)(first - data) + 1 : data_size;
            matched = first ? 1 : 0;
        } else if (data[at] == delimiter[matched]) {
            at++;
            matched++;
        } else {
            matched = table[matched - 1];
        }
    }
    search->looked = at;
    search->matched = matched;
    return matched == size;
}
