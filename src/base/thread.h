/* SPDX-License-Identifier: BSL-1.0 */
/* Threads for what blocks and cannot be stopped: nobody joins them. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* Begin a detached thread that calls body(argument). It blocks all signals: they are for the
 * program's own threads. It may outlive the thread that began it. Errors: EAGAIN, ENOMEM. */
int thread_begin(void *(*body)(void *), void *argument);

THRUM_END_DECLS

#endif
