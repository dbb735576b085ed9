/* SPDX-License-Identifier: BSL-1.0 */
/* From a signal handler into the loop: a pipe that the handler writes to and the loop waits for. */
#ifndef THRUM_SIGNAL_PIPE_H
#define THRUM_SIGNAL_PIPE_H

#include <thrum/context.h>
#include <thrum/descriptor.h>

struct signal_pipe {
    int ends[2];
    thrum_descriptor *reader; /* of the first: to be waited for */
};

/* Returns an error, and nothing is open then. */
int signal_pipe_open(struct signal_pipe *self, thrum_context *context);
void signal_pipe_close(struct signal_pipe *self);

/* For signal handlers: make the reader ready. */
void signal_pipe_write(const struct signal_pipe *self);

/* Take what was written so far. */
void signal_pipe_drain(const struct signal_pipe *self);

#endif
