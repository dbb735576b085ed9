/* SPDX-License-Identifier: BSL-1.0 */
/* Starting a child.
 *
 * Everything that needs memory is done before there is a child, which makes system calls only: it
 * may be in the memory of a program with threads. It says through a pipe what went wrong, and an
 * exec that succeeds closes the pipe.
 *
 * Which descriptors it keeps: all are made close-on-exec, then those that it gets are put under
 * their numbers. A descriptor that stands where another is to be moves out of the way first. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/process_child.h"
#include "base/thread.h"

extern char **environ;

struct child {
    const struct process_plan *plan;
    struct process_fd *fds;  /* by their numbers */
    int null;                /* /dev/null, or -1 */
    int report;              /* where failures go */
    const char *search;      /* PATH */
    char *candidate;         /* room for a path */
    volatile bool is_shared; /* memory is: the child has set it */
};

/* ---- in the child ---- */

/* What a failed child tells. */
PROCESS_CHILD static int fail(const struct child *child, enum process_step step, int number)
{
    struct process_failure failure = {errno, step, number};
    while (write(child->report, &failure, sizeof(failure)) < 0 && errno == EINTR)
        ;
    return 127;
}

/* What is to stand under that number, or NULL. */
PROCESS_CHILD static const struct process_fd *find(const struct child *child, int number)
{
    size_t first = 0, last = child->plan->n_fds;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (child->fds[middle].number == number)
            return &child->fds[middle];
        if (child->fds[middle].number < number)
            first = middle + 1;
        else
            last = middle;
    }
    return NULL;
}

/* A number that nothing is meant for. The copies on the way there are under numbers that get their
 * own descriptor afterwards. */
PROCESS_CHILD static int move(const struct child *child, int fd)
{
    int copy = -1;
    do
        copy = fcntl(fd, F_DUPFD_CLOEXEC, copy + 1);
    while (copy >= 0 && find(child, copy));
    if (copy < 0 && errno == EINVAL) /* the limit itself was asked for */
        errno = EMFILE;
    return copy;
}

/* Whether something else is to stand where `fd` is. */
PROCESS_CHILD static bool is_in_the_way(const struct child *child, int fd)
{
    const struct process_fd *meant = find(child, fd);
    return meant && meant->fd != fd;
}

PROCESS_CHILD static int clear_way(struct child *child)
{
    if (find(child, child->report)) {
        int moved = move(child, child->report);
        if (moved < 0)
            return fail(child, PROCESS_START, 0);
        child->report = moved;
    }
    for (size_t i = 0; i < child->plan->n_fds; i++) {
        struct process_fd *row = &child->fds[i];
        if (row->fd == row->number || !is_in_the_way(child, row->fd))
            continue;
        int moved = move(child, row->fd);
        if (moved < 0)
            return fail(child, PROCESS_DESCRIPTOR, row->number);
        row->fd = moved;
    }
    return 0;
}

PROCESS_CHILD static int place_one(const struct process_fd *row)
{
    if (row->fd == row->number)
        return fcntl(row->fd, F_SETFD, 0);
    if (dup2(row->fd, row->number) < 0)
        return -1;
    int flags = row->number <= STDERR_FILENO ? fcntl(row->number, F_GETFL) : 0;
    if (flags & O_NONBLOCK) /* few programs are prepared for that */
        fcntl(row->number, F_SETFL, flags & ~O_NONBLOCK);
    return 0;
}

PROCESS_CHILD static int place(const struct child *child)
{
    for (size_t i = 0; i < child->plan->n_fds; i++)
        if (place_one(&child->fds[i]) < 0)
            return fail(child, PROCESS_DESCRIPTOR, child->fds[i].number);
    return 0;
}

/* After these the search goes on, as in execvp(3). */
PROCESS_CHILD static bool is_passing(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE ||
           error == ENODEV || error == ETIMEDOUT;
}

PROCESS_CHILD static void join(char *path, const char *directory, size_t size, const char *name)
{
    for (size_t i = 0; i < size; i++)
        *path++ = directory[i];
    if (size > 0)
        *path++ = '/';
    while ((*path++ = *name++) != '\0')
        ;
}

PROCESS_CHILD static void search(const struct child *child, char *const *environment)
{
    const struct process_plan *plan = child->plan;
    bool is_denied = false, is_last = false;
    for (const char *rest = child->search; !is_last; rest++) {
        const char *directory = rest;
        while (*rest != '\0' && *rest != ':')
            rest++;
        is_last = *rest == '\0';
        join(child->candidate, directory, (size_t)(rest - directory), plan->program);
        execve(child->candidate, plan->arguments, environment);
        if (!is_passing(errno))
            return;
        is_denied = is_denied || errno == EACCES;
    }
    errno = is_denied ? EACCES : ENOENT;
}

PROCESS_CHILD static int execute(const struct child *child)
{
    const struct process_plan *plan = child->plan;
    char *const *environment = plan->environment ? plan->environment : environ;
    if (child->search)
        search(child, environment);
    else
        execve(plan->program, plan->arguments, environment);
    return fail(child, PROCESS_PROGRAM, 0);
}

PROCESS_CHILD static int run(void *argument)
{
    struct child *child = argument;
    const char *directory = child->plan->working_directory;
    sigset_t none;
    child->is_shared = true;
    process_reset_signals();
    int error = descriptor_cloexec_from(STDERR_FILENO + 1);
    if (error) {
        errno = error;
        return fail(child, PROCESS_START, 0);
    }
    int status = clear_way(child);
    if (status == 0)
        status = place(child);
    if (status)
        return status;
    if (directory && chdir(directory) < 0)
        return fail(child, PROCESS_DIRECTORY, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return execute(child);
}

/* ---- in the parent ---- */

static void close_any(int fd)
{
    if (fd >= 0)
        descriptor_close(fd);
}

static int compare_numbers(const void *a, const void *b)
{
    int left = ((const struct process_fd *)a)->number,
        right = ((const struct process_fd *)b)->number;
    return (left > right) - (left < right);
}

static int open_null(struct child *child)
{
    if (child->null >= 0)
        return 0;
    child->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return child->null < 0 ? errno : 0;
}

static int check_row(const struct process_fd *row, bool is_first)
{
    if (row->number < 0 || (!is_first && row[-1].number == row->number))
        return EINVAL;
    return row->fd != PROCESS_NULL && fcntl(row->fd, F_GETFD) < 0 ? errno : 0;
}

/* Before anything is opened here, which may get the number of one that is not open. */
static int check_fds(const struct child *child, struct process_failure *failure)
{
    for (size_t i = 0; i < child->plan->n_fds; i++) {
        int error = check_row(&child->fds[i], i == 0);
        if (!error)
            continue;
        *failure = (struct process_failure){0, PROCESS_DESCRIPTOR, child->fds[i].number};
        return error;
    }
    return 0;
}

static int fill_null(struct child *child, struct process_failure *failure)
{
    for (size_t i = 0; i < child->plan->n_fds; i++) {
        struct process_fd *row = &child->fds[i];
        if (row->fd != PROCESS_NULL)
            continue;
        int error = open_null(child);
        if (error) {
            *failure = (struct process_failure){0, PROCESS_DESCRIPTOR, row->number};
            return error;
        }
        row->fd = child->null;
    }
    return 0;
}

/* A copy that the child can move things in. */
static int prepare_fds(struct child *child, struct process_failure *failure)
{
    const struct process_plan *plan = child->plan;
    child->fds = malloc((plan->n_fds + 1) * sizeof(*child->fds));
    if (!child->fds)
        return ENOMEM;
    if (plan->n_fds > 0)
        memcpy(child->fds, plan->fds, plan->n_fds * sizeof(*child->fds));
    qsort(child->fds, plan->n_fds, sizeof(*child->fds), compare_numbers);
    int error = check_fds(child, failure);
    return error ? error : fill_null(child, failure);
}

static int prepare_search(struct child *child)
{
    const char *program = child->plan->program;
    if (program[0] == '\0' || strchr(program, '/'))
        return 0;
    const char *path = getenv("PATH");
    child->search = path ? path : "/bin:/usr/bin"; /* as execvp(3) has it */
    child->candidate = malloc(strlen(child->search) + strlen(program) + 2);
    return child->candidate ? 0 : ENOMEM;
}

static void release(struct child *child)
{
    free(child->candidate);
    free(child->fds);
    close_any(child->null);
}

/* What the child has reported, or 0. One that shares the memory has done so by now; then nothing is
 * waited for: a process that another thread has forked may hold the pipe open. */
static int read_report(const struct child *child, int fd, struct process_failure *failure)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ssize_t size;
    int timeout_ms = child->is_shared ? 0 : -1;
    int n_ready;
    do
        n_ready = poll(&readable, 1, timeout_ms);
    while (n_ready < 0 && errno == EINTR);
    if (n_ready == 0)
        return 0;
    do
        size = read(fd, failure, sizeof(*failure));
    while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof(*failure) ? failure->error : 0;
}

static int start(struct child *child, struct process_id *id, struct process_failure *failure)
{
    int ends[2];
    struct process_status status;
    int error = descriptor_pipe(ends);
    if (error)
        return error;
    child->report = ends[1];
    error = process_clone(run, child, id);
    descriptor_close(ends[1]);
    if (!error) {
        error = read_report(child, ends[0], failure);
        if (error) {
            process_wait(id, WEXITED, &status);
            close_any(id->pidfd);
        }
    }
    descriptor_close(ends[0]);
    return error;
}

int process_start(const struct process_plan *plan, struct process_id *id,
                  struct process_failure *failure)
{
    struct child child = {.plan = plan, .null = -1};
    struct process_failure ignored;
    if (!failure)
        failure = &ignored;
    *failure = (struct process_failure){0, PROCESS_START, 0};
    int error = prepare_fds(&child, failure);
    if (!error)
        error = prepare_search(&child);
    if (!error)
        error = start(&child, id, failure);
    failure->error = error;
    release(&child);
    return error;
}

int process_reap(const struct process_id *id, struct process_status *status)
{
    return process_wait(id, WEXITED | WNOHANG, status);
}

/* ---- threads that wait ---- */

struct waiter {
    struct process_id id;
    int end; /* to be closed once the child has ended */
};

static void *wait_for_end(void *argument)
{
    struct waiter waiter = *(struct waiter *)argument;
    struct process_status status;
    free(argument);
    process_wait(&waiter.id, waiter.end >= 0 ? WEXITED | WNOWAIT : WEXITED, &status);
    close_any(waiter.end);
    close_any(waiter.id.pidfd);
    return NULL;
}

static int start_waiter(const struct process_id *id, int end)
{
    struct waiter *waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return ENOMEM;
    *waiter = (struct waiter){*id, end};
    int error = thread_begin(wait_for_end, waiter);
    if (error)
        free(waiter);
    return error;
}

int process_watch(pid_t pid, int *fd)
{
    int ends[2];
    int error = descriptor_pipe(ends);
    if (error)
        return error;
    error = start_waiter(&(struct process_id){pid, -1}, ends[1]);
    if (error) {
        descriptor_close(ends[0]);
        descriptor_close(ends[1]);
        return error;
    }
    *fd = ends[0];
    return 0;
}

void process_abandon(struct process_id *id)
{
    struct process_status status;
    if (process_reap(id, &status) != EAGAIN || start_waiter(id, -1) != 0)
        close_any(id->pidfd);
    id->pidfd = -1;
}
