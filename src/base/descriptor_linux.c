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

int descriptor_pair(int family, int type, int fds[2])
{
    return socketpair(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ? errno : 0;
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

int descriptor_receive(int fd, struct msghdr *message, int flags, size_t *size)
{
    ssize_t received;
    do
        received = recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno;
    *size = (size_t)received;
    return 0;
}

int descriptor_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return errno;
    if (peer.uid == (uid_t)-1 && peer.gid == (gid_t)-1)
        return ENOTCONN;
    *pid = peer.pid;
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}

bool descriptor_is_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP)) != 0;
}
