/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors on Linux: born non-blocking and close-on-exec. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int descriptor_accept_one(int listener, int *fd)
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

int descriptor_protocol(int fd, int type, int *protocol)
{
    socklen_t size = sizeof(*protocol);
    (void)type;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, protocol, &size) < 0 ? errno : 0;
}

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* Linux before 5.0 does not tell. */
int descriptor_bound_interface(int fd, unsigned *index)
{
    int bound = 0;
    socklen_t size = sizeof(bound);
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &bound, &size) < 0 && errno != ENOPROTOOPT)
        return errno;
    *index = (unsigned)bound;
    return 0;
}

bool descriptor_is_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP)) != 0;
}

int descriptor_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
}

/* ---- all of them ---- */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
enum { RANGE_CLOEXEC = 1 << 2 }; /* CLOSE_RANGE_CLOEXEC */

/* An entry of getdents64(2). */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* -1 for "." and "..". */
static int number_of(const char *name)
{
    int number = 0;
    if (*name == '.')
        return -1;
    while (*name)
        number = 10 * number + (*name++ - '0');
    return number;
}

static void mark_entries(const char *block, long size, int first)
{
    for (long offset = 0; offset < size;) {
        const struct entry *entry = (const void *)(block + offset);
        int fd = number_of(entry->name);
        if (fd >= first)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
        offset += entry->size;
    }
}

/* Linux before 5.11: the open ones stand in /proc. opendir(3) would want memory. */
static int cloexec_listed(int first)
{
    alignas(struct entry) char block[1024];
    long size;
    int list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list < 0)
        return errno;
    while ((size = syscall(SYS_getdents64, list, block, sizeof(block))) > 0)
        mark_entries(block, size, first);
    int error = size < 0 ? errno : 0;
    close(list);
    return error;
}

int descriptor_cloexec_from(int first)
{
    if (syscall(SYS_close_range, first, UINT_MAX, RANGE_CLOEXEC) == 0)
        return 0;
    return cloexec_listed(first);
}

/* What is asked of the descriptor of list[i] by all that come up to it. */
static uint32_t events_of(const struct pollfd *list, size_t i)
{
    uint32_t events = 0;
    for (size_t j = 0; j <= i; j++)
        if (list[j].fd == list[i].fd)
            events |= (uint32_t)list[j].events;
    return events;
}

static int add_to_set(int set, const struct pollfd *list, size_t i)
{
    struct epoll_event event = {.events = (uint32_t)list[i].events, .data.fd = list[i].fd};
    if (epoll_ctl(set, EPOLL_CTL_ADD, list[i].fd, &event) == 0)
        return 0;
    if (errno == EEXIST) {
        event.events = events_of(list, i);
        return epoll_ctl(set, EPOLL_CTL_MOD, list[i].fd, &event) == 0 ? 0 : errno;
    }
    return errno == EBADF || errno == EPERM ? 0 : errno;
}

int descriptor_set(const struct pollfd *list, size_t size, int *set)
{
    int made = epoll_create1(EPOLL_CLOEXEC), error = 0;
    if (made < 0)
        return errno;
    for (size_t i = 0; i < size && !error; i++)
        error = add_to_set(made, list, i);
    if (error)
        descriptor_close(made);
    else
        *set = made;
    return error;
}
