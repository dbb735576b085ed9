/* SPDX-License-Identifier: BSL-1.0 */
/* What the program says about errors. */
#ifndef THRUM_REPORT_H
#define THRUM_REPORT_H

#include <lua.h>

/* Write a line for the user, and the traceback if there is one. */
void report_print(const char *message, const char *traceback);

/* The error value at `index` as text, whatever it is. Pushes it; may run its __tostring. */
const char *report_push_message(lua_State *L, int index);

#endif
