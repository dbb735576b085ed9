/* SPDX-License-Identifier: BSL-1.0 */
/* Child processes: started with nothing but what they are given, waited for, signalled. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* In place of a descriptor: /dev/null, to read and write. */
enum { PROCESS_NULL = -1 };

/* The child's descriptor `number` is the caller's `fd`, or PROCESS_NULL. One that becomes a
 * standard descriptor is made blocking, and with it every copy. */
struct process_fd {
    int number;
    int fd;
};

struct process_plan {
    const char *program; /* looked up in the caller's PATH unless it has a slash */
    char *const *arguments;
    char *const *environment;      /* NULL: the caller's */
    const char *working_directory; /* NULL: the caller's */
    const struct process_fd *fds;  /* all that it gets; no number twice */
    size_t n_fds;
};

/* What a start was about when it failed. */
enum process_step { PROCESS_START, PROCESS_DESCRIPTOR, PROCESS_DIRECTORY, PROCESS_PROGRAM };

struct process_failure {
    int error;
    enum process_step step;
    int number; /* of the descriptor */
};

/* A child that nobody has reaped. Its number is not given to another process until then, and its
 * pidfd never is. */
struct process_id {
    pid_t pid;
    int pidfd; /* -1: this system has none */
};

struct process_status {
    bool is_exited;
    int code;   /* of exit(3) */
    int signal; /* that ended it, if it has not exited */
};

/* Start a child. Its signals have their default dispositions and none is blocked. Returns an error
 * when it does not run the program; then there is no child any more, and `failure` says what it was
 * about. The calling thread waits for the child's exec. */
int process_start(const struct process_plan *plan, struct process_id *id,
                  struct process_failure *failure) THRUM_NOEXCEPT;

/* Reap the child if it has ended. EAGAIN: it has not. ECHILD: somebody else in this process has
 * reaped it, or SIGCHLD is ignored, and the system does not tell its status. */
int process_reap(const struct process_id *id, struct process_status *status) THRUM_NOEXCEPT;

/* Send a signal to a child that is not reaped. */
int process_signal(const struct process_id *id, int number) THRUM_NOEXCEPT;

/* For a child without a pidfd: make a descriptor that can be read, and is at its end, once the
 * child has ended. A thread waits for that. Errors: EMFILE, ENFILE, EAGAIN, ENOMEM. */
int process_watch(pid_t pid, int *fd) THRUM_NOEXCEPT;

/* Let go of a child that nobody will reap: a thread does, when it ends. Takes the pidfd. */
void process_abandon(struct process_id *id) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
