/* SPDX-License-Identifier: BSL-1.0 */
/* Children where there is nothing but POSIX: fork(2), and no pidfds. A child that fails before its
 * program begins is seen by SIGCHLD and wait(2) like any other. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process_child.h"

int process_clone(int (*run)(void *), void *argument, struct process_id *id)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run(argument));
    int error = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *id = (struct process_id){pid, -1};
    return error;
}

void process_reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
}

int process_wait(const struct process_id *id, int options, struct process_status *status)
{
    siginfo_t info = {0};
    int result;
    do
        result = waitid(P_PID, (id_t)id->pid, &info, options);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return errno;
    if (info.si_pid == 0)
        return EAGAIN;
    bool is_exited = info.si_code == CLD_EXITED;
    *status = (struct process_status){is_exited, is_exited ? info.si_status : 0,
                                      is_exited ? 0 : info.si_status};
    return 0;
}

int process_signal(const struct process_id *id, int number)
{
    return kill(id->pid, number) < 0 ? errno : 0;
}
