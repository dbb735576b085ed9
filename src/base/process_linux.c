/* SPDX-License-Identifier: BSL-1.0 */
/* Children on Linux: clone(2) in the manner of vfork(2), and pidfds. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/process_child.h"

/* What older headers lack. */
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
enum { ID_TYPE_PIDFD = 3 }; /* P_PIDFD */

enum { STACK_SIZE = 64 * 1024 };

/* A kernel before 5.4 gives none, or one that cannot be waited for. */
static bool is_usable(int pidfd)
{
    siginfo_t info;
    int options = WEXITED | WNOHANG | WNOWAIT | __WALL;
    return waitid((idtype_t)ID_TYPE_PIDFD, (id_t)pidfd, &info, options) == 0 || errno == ECHILD;
}

/* No signal is named that would tell of its end: exec makes it SIGCHLD. So a child that never gets
 * to its program is nobody's business but ours: no SIGCHLD comes, and wait(2) does not see it. */
int process_clone(int (*run)(void *), void *argument, struct process_id *id)
{
    sigset_t all, before;
    int pidfd = -1, error = 0;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid =
        clone(run, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, argument, &pidfd);
    if (pid < 0)
        error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, STACK_SIZE);
    if (error)
        return error;
    if (pidfd >= 0 && !is_usable(pidfd)) {
        descriptor_close(pidfd);
        pidfd = -1;
    }
    *id = (struct process_id){pid, pidfd};
    return 0;
}

/* By the bare call: a child in its parent's memory must not change what a library notes there. All
 * bytes zero are the default disposition, wherever its fields stand. */
PROCESS_CHILD void process_reset_signals(void)
{
    const long zero[16] = {0};
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, zero, NULL, (size_t)NSIG / 8);
}

static struct process_status status_from(const siginfo_t *info)
{
    bool is_exited = info->si_code == CLD_EXITED;
    return (struct process_status){is_exited, is_exited ? info->si_status : 0,
                                   is_exited ? 0 : info->si_status};
}

/* What Linux 6.15 keeps for the holders of a pidfd when somebody else has reaped the child; so far
 * it is in no header that could be relied on. */
static int ask_status(int pidfd, struct process_status *status)
{
    struct {
        uint64_t mask;
        uint64_t cgroup;
        uint32_t ids[11];
        int32_t exit_code; /* as of wait(2) */
    } info = {.mask = 1 << 3};
    if (pidfd < 0 ||
        ioctl(pidfd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, sizeof(info)), &info) < 0 ||
        !(info.mask & 1 << 3))
        return ECHILD;
    *status = (struct process_status){WIFEXITED(info.exit_code), WEXITSTATUS(info.exit_code),
                                      WTERMSIG(info.exit_code)};
    return 0;
}

int process_wait(const struct process_id *id, int options, struct process_status *status)
{
    siginfo_t info = {0};
    bool has_pidfd = id->pidfd >= 0;
    idtype_t type = has_pidfd ? (idtype_t)ID_TYPE_PIDFD : P_PID;
    int result;
    if (has_pidfd && !(options & WNOHANG))
        fcntl(id->pidfd, F_SETFL, 0); /* or waitid(2) would not block */
    do
        result = waitid(type, (id_t)(has_pidfd ? id->pidfd : id->pid), &info, options | __WALL);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return errno == ECHILD ? ask_status(id->pidfd, status) : errno;
    if (info.si_pid == 0)
        return EAGAIN;
    *status = status_from(&info);
    return 0;
}

int process_signal(const struct process_id *id, int number)
{
    if (id->pidfd >= 0 && syscall(SYS_pidfd_send_signal, id->pidfd, number, NULL, 0) == 0)
        return 0;
    if (id->pidfd >= 0 && errno != ENOSYS) /* valgrind has none */
        return errno;
    return kill(id->pid, number) < 0 ? errno : 0;
}
