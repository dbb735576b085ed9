/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors on Linux: born non-blocking and close-on-exec. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/descriptor.h"

int descriptor_socket(int family, int type, int protocol, int *fd)
{
    int made = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (made < 0)
        return errno;
    *fd = made;
    return 0;
}

int descriptor_accept(int listener, int *fd)
{
    int made;
    do
        made = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (made < 0 && errno == EINTR);
    if (made < 0)
        return errno;
    *fd = made;
    return 0;
}

bool descriptor_is_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP)) != 0;
}
