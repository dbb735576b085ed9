/* SPDX-License-Identifier: BSL-1.0 */
/* Waiting until any descriptor is readable: a terminal, a pipe, an eventfd. */
#ifndef THRUM_DESCRIPTOR_H
#define THRUM_DESCRIPTOR_H

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

typedef struct thrum_descriptor thrum_descriptor;

/* Wait for `fd` from here on. The caller goes on owning it, reads it, and may close it at any time:
 * what is kept is a copy of it (dup(2), close-on-exec). Whether reads of it block stays as it is.
 * Errors: EBADF, EMFILE, ENOMEM. */
THRUM_API int thrum_descriptor_new(thrum_context *context, int fd,
                                   thrum_descriptor **descriptor) THRUM_NOEXCEPT;
/* Forget it: `fd` stays open, a pending wait ends with ECANCELED. NULL is fine. */
THRUM_API void thrum_descriptor_free(thrum_descriptor *descriptor) THRUM_NOEXCEPT;

/* Complete `operation` once a read would not block: there is data, the end, or an error. What is
 * readable already completes from the loop at once; nothing is read. EOPNOTSUPP in `done`: the
 * system cannot wait for it and no read of it blocks (a regular file). One wait at a time: EBUSY
 * while another is pending. */
THRUM_API int thrum_descriptor_wait(thrum_descriptor *descriptor,
                                    struct thrum_operation *operation) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
