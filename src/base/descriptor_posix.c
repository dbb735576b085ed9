/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors where socket(2) takes no flags: a child forked by another thread between the two
 * calls inherits them, which POSIX.1-2017 leaves no way to avoid. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"

/* Takes `made`, the result of a system call: closed if it cannot be prepared. */
static int adopt(int made, int *fd)
{
    if (made < 0)
        return errno;
    int error = descriptor_prepare(made);
    if (error) {
        descriptor_close(made);
        return error;
    }
    *fd = made;
    return 0;
}

int descriptor_socket(int family, int type, int protocol, int *fd)
{
    return adopt(socket(family, type, protocol), fd);
}

int descriptor_accept(int listener, int *fd)
{
    int made;
    do
        made = accept(listener, NULL, NULL);
    while (made < 0 && errno == EINTR);
    return adopt(made, fd);
}

static int make_cloexec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
}

int descriptor_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return errno;
    int error = make_cloexec(ends[0]);
    if (!error)
        error = make_cloexec(ends[1]);
    if (error) {
        descriptor_close(ends[0]);
        descriptor_close(ends[1]);
    }
    return error;
}

int descriptor_cloexec_from(int first)
{
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < limit; fd++)
        make_cloexec(fd);
    return 0;
}
