/* SPDX-License-Identifier: BSL-1.0 */
/* See signal_pipe.h. */
#include "signal_pipe.h"

#include <errno.h>
#include <unistd.h>

#include "base/descriptor.h"

static int prepare(struct signal_pipe *self, thrum_context *context)
{
    int error = descriptor_prepare(self->ends[0]);
    if (!error)
        error = descriptor_prepare(self->ends[1]);
    return error ? error : thrum_descriptor_new(context, self->ends[0], &self->reader);
}

int signal_pipe_open(struct signal_pipe *self, thrum_context *context)
{
    *self = (struct signal_pipe){.ends = {-1, -1}};
    int error = descriptor_pipe(self->ends);
    if (error)
        return error;
    error = prepare(self, context);
    if (error)
        signal_pipe_close(self);
    return error;
}

void signal_pipe_close(struct signal_pipe *self)
{
    thrum_descriptor_free(self->reader);
    self->reader = NULL;
    descriptor_close(self->ends[0]);
    descriptor_close(self->ends[1]);
    self->ends[0] = self->ends[1] = -1;
}

void signal_pipe_write(const struct signal_pipe *self)
{
    int saved = errno;
    if (write(self->ends[1], "", 1) < 0) {
        /* It is full: it will be read. */
    }
    errno = saved;
}

void signal_pipe_drain(const struct signal_pipe *self)
{
    char bytes[64];
    while (read(self->ends[0], bytes, sizeof(bytes)) > 0) {
    }
}
