/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors where socket(2) takes no flags: a child forked by another thread between the two
 * calls inherits them, which POSIX.1-2017 leaves no way to avoid. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

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

bool descriptor_is_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP) != 0;
}
