/* SPDX-License-Identifier: BSL-1.0 */
/* Child processes: a program started with nothing but what it is given, and its end. */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* A child of this process. Its context waits for its end and reaps it, whether or not anybody asks
 * for that: at the next turn of the loop, and without keeping thrum_context_run from returning.
 *
 * SIGCHLD is neither needed nor touched. A child that ends raises it as any other does, and a
 * wait(2) for any child finds this one, too; code that reaps it so takes its status away
 * (thrum_process_status says ECHILD, unless the system, Linux 6.15, keeps a copy). */
typedef struct thrum_process thrum_process;

/* In place of a descriptor: /dev/null. */
enum { THRUM_PROCESS_NULL = -1 };

/* The child's descriptor `number` is the caller's `fd`. */
struct thrum_process_fd {
    int number; /* 3 or more */
    int fd;
};

/* All of it stays the caller's. */
struct thrum_process_options {
    const char *program;           /* looked up in the caller's PATH unless it has a slash */
    char *const *arguments;        /* the whole argv, ended by NULL */
    char *const *environment;      /* "name=value", ended by NULL; NULL: the caller's */
    const char *working_directory; /* NULL: the caller's */
    /* For 0, 1 and 2: THRUM_PROCESS_NULL, the same number, or another descriptor; that one is made
     * blocking, as programs expect it, and with it every copy of it. */
    int stdio[3];
    const struct thrum_process_fd *extra_fds; /* no number twice */
    size_t n_extra_fds;
};

/* What a spawn was about when it failed. */
enum thrum_process_step {
    THRUM_PROCESS_START,      /* the child itself: the limits of the system */
    THRUM_PROCESS_DESCRIPTOR, /* its descriptor `number` */
    THRUM_PROCESS_DIRECTORY,  /* its working directory */
    THRUM_PROCESS_PROGRAM     /* finding or executing the program */
};

struct thrum_process_failure {
    enum thrum_process_step step;
    int number;
};

struct thrum_exit_status {
    bool is_exited; /* by itself, with a code; else a signal ended it */
    int code;
    int signal;
};

/* Start a child. It has the descriptors that the options name and no other; every signal has its
 * default disposition there, and none is blocked. Blocks until the program begins.
 * On error there is no child, and `failure` (may be NULL) says what it was about: ENOENT, EACCES,
 * ENOEXEC, E2BIG and others of execve(2); of chdir(2); EBADF for a descriptor that is not open, or
 * a number beyond the limit; EINVAL for a number that is given twice; EAGAIN, ENOMEM, EMFILE,
 * ENFILE. */
THRUM_API int thrum_process_spawn(thrum_context *context,
                                  const struct thrum_process_options *options,
                                  thrum_process **process,
                                  struct thrum_process_failure *failure) THRUM_NOEXCEPT;

/* Let go of the handle. The child runs on and is reaped when it ends; pending waits end with
 * ECANCELED. NULL is fine. A context that is freed leaves its children to threads that wait for
 * them, one for each that still runs. */
THRUM_API void thrum_process_free(thrum_process *process) THRUM_NOEXCEPT;

/* Its number, also after its end. */
THRUM_API int thrum_process_pid(const thrum_process *process) THRUM_NOEXCEPT;

/* Complete `operation` when the child has ended. Any number of operations may wait, and one that
 * is started after the end completes as well. In `done`: 0, or ECHILD as above.
 * Errors: EBADF, EBUSY if the operation is pending, ENOMEM and others when the end cannot be
 * waited for. */
THRUM_API int thrum_process_wait(thrum_process *process,
                                 struct thrum_operation *operation) THRUM_NOEXCEPT;

/* How it ended. EAGAIN: it has not, as far as the loop knows. ECHILD: somebody else has reaped
 * it. */
THRUM_API int thrum_process_status(const thrum_process *process,
                                   struct thrum_exit_status *status) THRUM_NOEXCEPT;

/* Send it a signal; 0 sends nothing. Never reaches another process: ESRCH once it has ended.
 * Errors: EINVAL for a number that is no signal, EPERM, EBADF. */
THRUM_API int thrum_process_kill(thrum_process *process, int number) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
