/* SPDX-License-Identifier: BSL-1.0 */
/* The event loop: one boost::asio::io_context, run by one thread. */
#ifndef THRUM_CONTEXT_H
#define THRUM_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

typedef struct thrum_context thrum_context;

/* A context of the caller's own thread. Contexts share nothing: a program may have one per thread.
 * Everything made with a context is used from the thread that runs it.
 * Errors: ENOMEM, EMFILE, ENFILE. */
THRUM_API int thrum_context_new(thrum_context **context) THRUM_NOEXCEPT;

/* Close every socket, timer and signal set of the context, forget its descriptors,
 * children and lookups, abandon what is pending (no `done` is called), and free it. Objects made
 * with it may be freed afterwards, in any order; until then each of their functions answers EBADF.
 * NULL is fine. Not from inside a `done`. */
THRUM_API void thrum_context_free(thrum_context *context) THRUM_NOEXCEPT;

/* The four that follow do nothing when they are called from inside a `done`.
 *
 * Run until nothing is pending. */
THRUM_API void thrum_context_run(thrum_context *context) THRUM_NOEXCEPT;

/* Wait for one completion, call its `done` and return 1; return 0 at once if nothing is pending. */
THRUM_API size_t thrum_context_run_one(thrum_context *context) THRUM_NOEXCEPT;

/* Wait until something has completed, call the `done` of what there is then, maybe more than one,
 * and return how many; 0 at once if nothing is pending. For loops that serve many connections:
 * receives of streams that such a loop starts are tried together, which saves system calls. */
THRUM_API size_t thrum_context_run_some(thrum_context *context) THRUM_NOEXCEPT;

/* Call the `done` of everything that has completed, without waiting; return how many: at most as
 * many as were pending at the call, whatever they start anew. */
THRUM_API size_t thrum_context_poll(thrum_context *context) THRUM_NOEXCEPT;

/* How many operations are pending. */
THRUM_API size_t thrum_context_n_pending(const thrum_context *context) THRUM_NOEXCEPT;

/* How many sockets, timers, signal sets, descriptors, processes and resolvers have been
 * made and not freed. */
THRUM_API size_t thrum_context_n_objects(const thrum_context *context) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
