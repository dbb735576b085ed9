/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors: see report.h. */
#include "print_error.h"

#include <stdio.h>

void print_error(const char *message, const char *traceback)
{
    fprintf(stderr, "thrum: %s\n", message);
    if (traceback)
        fprintf(stderr, "%s\n", traceback);
}
