/* SPDX-License-Identifier: BSL-1.0 */
/* Where the lines typed at the prompt are kept from one session to the next. */
#ifndef THRUM_HISTORY_H
#define THRUM_HISTORY_H

/* The file's name, malloc'd: what THRUM_HISTORY says, else thrum/history below $XDG_STATE_HOME or
 * ~/.local/state. The folders on the way to the latter are made if they are missing. NULL: there is
 * no such file and there will be none. */
char *history_file(void);

#endif
