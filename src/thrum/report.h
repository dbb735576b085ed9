/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors. */
#ifndef THRUM_REPORT_H
#define THRUM_REPORT_H

/* Write a line for the user, and the traceback if there is one. */
void report_print(const char *message, const char *traceback);

#endif
