/* SPDX-License-Identifier: BSL-1.0 */
/* Operations: what has been started and has yet to complete. */
#ifndef THRUM_OPERATION_H
#define THRUM_OPERATION_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* The life of an operation.
 *
 * The caller owns the structure: it may stand on the heap, in another structure or in static
 * memory, and holds everything the operation needs, so that starting one allocates nothing.
 * Between thrum_operation_init and thrum_operation_deinit any number of operations may be started
 * with it, one after the other.
 *
 * A function that starts an operation answers at once. 0 means that `done` is called exactly once,
 * later, from thrum_context_run, _run_one, _run_some or _poll, never from inside the start; until
 * then the operation is pending, must not move, and keeps its own reference on the socket. Any
 * other answer is the error: nothing began and `done` is never called.
 *
 * The caller keeps what the operation was given, a message and its bytes or an endpoint, alive and
 * in its place while the operation is pending. thrum_context_free ends pending operations without
 * calling `done`: nothing touches them, or their buffers, after it has returned. */
struct thrum_operation;
typedef void thrum_operation_done(struct thrum_operation *operation);

enum { THRUM_OPERATION_PRIVATE_SIZE = 256 };

struct thrum_operation {
    /* Set by thrum_operation_init; may be changed while nothing is pending. */
    thrum_operation_done *done;
    void *user; /* the caller's, never touched */

    /* The result, valid in `done` and until the next start. That of a transfer stands in its
     * message. */
    int error; /* 0, ECANCELED after a cancel, or what went wrong */
    int value; /* a signal's number; of no meaning to others */

    union {
        max_align_t alignment;
        unsigned char bytes[THRUM_OPERATION_PRIVATE_SIZE];
    } private_;
};

THRUM_API void thrum_operation_init(struct thrum_operation *operation, thrum_operation_done *done,
                                    void *user) THRUM_NOEXCEPT;
/* Must not be pending, unless its context has been freed. */
THRUM_API void thrum_operation_deinit(struct thrum_operation *operation) THRUM_NOEXCEPT;

THRUM_API bool thrum_operation_is_pending(const struct thrum_operation *operation) THRUM_NOEXCEPT;

/* Ask a pending operation to end: `done` comes with ECANCELED, unless the operation had completed
 * already, whose result then stands and nothing is lost. Other operations of the same socket are
 * not disturbed. Does nothing when none is pending. */
THRUM_API void thrum_operation_cancel(struct thrum_operation *operation) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
