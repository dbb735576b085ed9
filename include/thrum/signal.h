/* SPDX-License-Identifier: BSL-1.0 */
/* Waiting for signals: sets of signal numbers that queue what has arrived. */
#ifndef THRUM_SIGNAL_H
#define THRUM_SIGNAL_H

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* The sets keep the rules of boost::asio::signal_set.
 *
 * A signal's disposition belongs to the process. It becomes our handler when the first set of any
 * context adds the signal, and SIG_DFL, whatever it was before, when the last one removes it. No
 * other signal is touched. The handler is installed with SA_RESTART: a blocking read or write that
 * it interrupts goes on.
 *
 * Which sets have which signal is a state of the process, guarded by a mutex and shared by the
 * contexts of all threads: each set that has a signal is notified of it, in whatever thread. There
 * is a pipe for it, two descriptors as long as there is a set, and one more in each context that
 * has a set.
 *
 * A child made by fork(2) has no sets, and must not touch those of its parent; a signal that is
 * caught here has its default effect there. */
typedef struct thrum_signal_set thrum_signal_set;

/* A set without signals. Errors: ENOMEM, EMFILE, ENFILE; ENOSPC when
 * fs.epoll.max_user_watches is reached. */
THRUM_API int thrum_signal_set_new(thrum_context *context, thrum_signal_set **set) THRUM_NOEXCEPT;
/* Removes its signals; pending waits end with ECANCELED. NULL is fine. */
THRUM_API void thrum_signal_set_free(thrum_signal_set *set) THRUM_NOEXCEPT;

/* Add a signal; one that is there already stays. Errors: EINVAL for a number that is no signal or
 * cannot be caught (SIGKILL, SIGSTOP), ENOMEM. */
THRUM_API int thrum_signal_set_add(thrum_signal_set *set, int number) THRUM_NOEXCEPT;
/* Remove a signal, and its notifications that are queued; one that is not there is no error. Waits
 * go on. Errors: EINVAL for a number that is no signal. */
THRUM_API int thrum_signal_set_remove(thrum_signal_set *set, int number) THRUM_NOEXCEPT;
/* Remove all signals. */
THRUM_API int thrum_signal_set_clear(thrum_signal_set *set) THRUM_NOEXCEPT;

/* End all pending waits with ECANCELED; signals and what is queued stay. */
THRUM_API int thrum_signal_set_cancel(thrum_signal_set *set) THRUM_NOEXCEPT;

/* Wait for a notification: `done` comes with the signal's number in operation->value. A
 * notification ends all waits of the set that are pending; one that finds none is queued and ends
 * the next wait, lower numbers first. A wait of an empty set goes on until something is added and
 * arrives. Errors: EBUSY if the operation is pending. */
THRUM_API int thrum_signal_set_wait(thrum_signal_set *set,
                                    struct thrum_operation *operation) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
