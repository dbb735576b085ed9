/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors: see report.h. */
#include "report.h"

#include <stdio.h>

void report_print(const char *message, const char *traceback)
{
    fprintf(stderr, "thrum: %s\n", message);
    if (traceback)
        fprintf(stderr, "%s\n", traceback);
}
