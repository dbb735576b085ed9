/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors. */
#ifndef THRUM_PRINT_ERROR_H
#define THRUM_PRINT_ERROR_H

/* Write a line for the user, and the traceback if there is one. */
void print_error(const char *message, const char *traceback);

#endif
