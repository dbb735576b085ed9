/* SPDX-License-Identifier: BSL-1.0 */
/* What the systems do in their own ways to start a child; for process.c. */
#ifndef BASE_PROCESS_CHILD_H
#define BASE_PROCESS_CHILD_H

#include "base/process.h"

/* Run `run(argument)` in a child, with all signals blocked; what it returns is the child's exit
 * status. The child may share the caller's memory, which then does not go on before the child has
 * called exec or ended. Errors: EAGAIN, ENOMEM. */
int process_clone(int (*run)(void *), void *argument, struct process_id *id);

/* waitid(2) for exactly that child. */
int process_wait(const struct process_id *id, int options, struct process_status *status);

/* In the child: every signal gets its default disposition. */
void process_reset_signals(void);

/* The sanitizers know nothing of a child on a stack of its own in its parent's memory. */
#define PROCESS_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

#endif
