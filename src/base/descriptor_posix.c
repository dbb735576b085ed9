/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors where socket(2) takes no flags: a child forked by another thread between the two
 * calls inherits them, which POSIX.1-2017 leaves no way to avoid. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
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

int descriptor_pair(int family, int type, int fds[2])
{
    if (socketpair(family, type, 0, fds) < 0)
        return errno;
    int error = descriptor_prepare(fds[0]);
    if (!error)
        error = descriptor_prepare(fds[1]);
    if (error) {
        descriptor_close(fds[0]);
        descriptor_close(fds[1]);
    }
    return error;
}

int descriptor_accept_one(int listener, int *fd)
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

static void set_close_on_exec(struct msghdr *message)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= item->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)item + at, sizeof(fd));
            fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
}

int descriptor_receive(int fd, struct msghdr *message, int flags, size_t *size)
{
    ssize_t received;
    do
        received = recvmsg(fd, message, flags);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno;
    set_close_on_exec(message);
    *size = (size_t)received;
    return 0;
}

/* The process is not known. */
int descriptor_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
    if (getpeereid(fd, uid, gid) < 0)
        return errno;
    *pid = 0;
    return 0;
}

int descriptor_protocol(int fd, int type, int *protocol)
{
    (void)fd;
    *protocol = descriptor_usual_protocol(AF_INET, type);
    return 0;
}

int descriptor_bound_interface(int fd, unsigned *index)
{
    (void)fd;
    *index = 0;
    return 0;
}

bool descriptor_is_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP) != 0;
}

int descriptor_set(const struct pollfd *list, size_t size, int *set)
{
    (void)list;
    (void)size;
    (void)set;
    return ENOSYS;
}
