/* SPDX-License-Identifier: BSL-1.0 */
/* Ctrl-C in an interactive session: SIGINT ends what the user waits for, not the program. */
#ifndef THRUM_INTERRUPT_H
#define THRUM_INTERRUPT_H

struct runtime;
struct fiber;

/* From here to interrupt_end SIGINT is ours, unless it was ignored. Returns an error. */
int interrupt_begin(struct runtime *runtime);
void interrupt_end(void);

/* SIGINT interrupts `fiber`, or, for NULL, ends the wait of the caller outside with EINTR. What
 * came before this call is forgotten. */
void interrupt_aim(struct fiber *fiber);

#endif
