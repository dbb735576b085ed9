/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors: what every system does alike. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"

int descriptor_prepare(int fd)
{
    int fd_flags = fcntl(fd, F_GETFD);
    if (fd_flags < 0 || fcntl(fd, F_SETFD, fd_flags | FD_CLOEXEC) < 0)
        return errno;
    int status_flags = fcntl(fd, F_GETFL);
    if (status_flags < 0 || fcntl(fd, F_SETFL, status_flags | O_NONBLOCK) < 0)
        return errno;
    return 0;
}

int descriptor_check_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return errno;
    return flags & FD_CLOEXEC ? EBUSY : 0;
}

int descriptor_inherit(int fd)
{
    int error = descriptor_check_inherited(fd);
    if (!error && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        error = errno;
    return error;
}

int descriptor_dup(int fd, int *copy)
{
    int made = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (made < 0)
        return errno;
    *copy = made;
    return 0;
}

int descriptor_close(int fd)
{
    if (close(fd) == 0 || errno == EINTR || errno == EINPROGRESS)
        return 0;
    return errno;
}

/* ---- calls that must not wait, whatever O_NONBLOCK says ---- */

/* False: a call would have to wait. What is wrong with the descriptor, the call itself says. */
static bool is_ready(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    return poll(&poll_fd, 1, 0) != 0;
}

enum { NOTHING_TO_RESTORE = -1 };

/* For one call: `*flags` are to be put back after it. */
static int make_nonblocking(int fd, int *flags)
{
    int before = fcntl(fd, F_GETFL);
    *flags = NOTHING_TO_RESTORE;
    if (before < 0)
        return errno;
    if (before & O_NONBLOCK)
        return 0;
    if (fcntl(fd, F_SETFL, before | O_NONBLOCK) < 0)
        return errno;
    *flags = before;
    return 0;
}

static void restore(int fd, int flags)
{
    if (flags != NOTHING_TO_RESTORE)
        fcntl(fd, F_SETFL, flags);
}

/* Asked first: as a rule one that finds nothing is this one call, and no flag is touched. */
int descriptor_accept(int listener, int *fd)
{
    int flags;
    if (!is_ready(listener, POLLIN))
        return EAGAIN;
    int error = make_nonblocking(listener, &flags);
    if (error)
        return error;
    error = descriptor_accept_one(listener, fd);
    restore(listener, flags);
    return error;
}

static bool is_ip_family(int family)
{
    return family == AF_INET || family == AF_INET6;
}

int descriptor_connect(int fd, const struct sockaddr *remote, socklen_t size)
{
    int flags;
    int error = make_nonblocking(fd, &flags);
    if (error)
        return error;
    do
        error = connect(fd, remote, size) == 0 ? 0 : errno;
    while (error == EINTR);
    restore(fd, flags);
    return error == EAGAIN && is_ip_family(remote->sa_family) ? EADDRNOTAVAIL : error;
}

int descriptor_bytes_readable(int fd, size_t *size)
{
    int n_bytes = 0;
    if (ioctl(fd, FIONREAD, &n_bytes) < 0)
        return errno;
    *size = (size_t)n_bytes;
    return 0;
}

int descriptor_at_mark(int fd, bool *is_at_mark)
{
    int answer = 0; /* sockatmark(3) leaves it uninitialized, and valgrind says so */
    if (ioctl(fd, SIOCATMARK, &answer) < 0)
        return errno;
    *is_at_mark = answer > 0;
    return 0;
}

bool descriptor_is_at_end(int fd)
{
    char byte;
    int n_bytes = 0; /* in the queue; more than none: what is next is an empty record */
    return descriptor_is_hung_up(fd) && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 &&
           (ioctl(fd, FIONREAD, &n_bytes) < 0 || n_bytes == 0);
}

static int get_int(int fd, int name, int *value)
{
    socklen_t size = sizeof(*value);
    return getsockopt(fd, SOL_SOCKET, name, value, &size) < 0 ? errno : 0;
}

int descriptor_connect_result(int fd)
{
    int result = 0;
    if (!is_ready(fd, POLLOUT))
        return EAGAIN;
    int error = get_int(fd, SO_ERROR, &result);
    return error ? error : result;
}

/* By getsockname(2), because SO_DOMAIN is not everywhere. */
static int get_family(int fd, int *family)
{
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &size) < 0)
        return errno;
    *family = name.ss_family;
    return 0;
}

int descriptor_usual_protocol(int family, int type)
{
    if (!is_ip_family(family))
        return 0;
    return type == SOCK_DGRAM ? IPPROTO_UDP : type == SOCK_STREAM ? IPPROTO_TCP : 0;
}

int descriptor_socket_kind(int fd, struct descriptor_kind *kind)
{
    struct descriptor_kind found = {0};
    int listening = 0;
    int error = get_family(fd, &found.family);
    if (!error)
        error = get_int(fd, SO_TYPE, &found.type);
    if (!error && is_ip_family(found.family))
        error = descriptor_protocol(fd, found.type, &found.protocol);
    if (!error)
        error = get_int(fd, SO_ACCEPTCONN, &listening);
    found.is_listening = listening != 0;
    if (!error)
        *kind = found;
    return error;
}

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

bool descriptor_is_usual(const struct descriptor_kind *kind)
{
    int usual = descriptor_usual_protocol(kind->family, kind->type);
    return kind->protocol == usual || (usual == IPPROTO_TCP && kind->protocol == IPPROTO_MPTCP);
}

/* What has no name here is a "socket". */
static const struct {
    int type, protocol;
    const char *v4, *v6;
} ip_names[] = {
    {SOCK_DGRAM, IPPROTO_UDP, "udp v4", "udp v6"},
    {SOCK_DGRAM, IPPROTO_UDPLITE, "udplite v4", "udplite v6"},
    {SOCK_DGRAM, IPPROTO_ICMP, "icmp v4", NULL},
    {SOCK_DGRAM, IPPROTO_ICMPV6, NULL, "icmp v6"},
    {SOCK_STREAM, IPPROTO_TCP, "tcp v4", "tcp v6"},
    {SOCK_STREAM, IPPROTO_MPTCP, "mptcp v4", "mptcp v6"},
    {SOCK_STREAM, IPPROTO_SCTP, "sctp v4", "sctp v6"},
    {SOCK_SEQPACKET, IPPROTO_SCTP, "sctp seqpacket v4", "sctp seqpacket v6"},
};

static const char *ip_name(const struct descriptor_kind *kind)
{
    for (size_t i = 0; i < sizeof(ip_names) / sizeof(ip_names[0]); i++)
        if (ip_names[i].type == kind->type && ip_names[i].protocol == kind->protocol)
            return kind->family == AF_INET6 ? ip_names[i].v6 : ip_names[i].v4;
    return NULL;
}

static const char *unix_name(int type)
{
    switch (type) {
    case SOCK_DGRAM:
        return "unix datagram";
    case SOCK_STREAM:
        return "unix stream";
    case SOCK_SEQPACKET:
        return "unix seqpacket";
    default:
        return NULL;
    }
}

void descriptor_format_kind(const struct descriptor_kind *kind, char *text, size_t size)
{
    const char *name = NULL;
    if (is_ip_family(kind->family))
        name = ip_name(kind);
    else if (kind->family == AF_UNIX)
        name = unix_name(kind->type);
    if (name)
        snprintf(text, size, "%s%s", name, kind->is_listening ? " acceptor" : "");
    else
        snprintf(text, size, "socket");
}

static void describe_socket(int fd, char *text, size_t size)
{
    struct descriptor_kind kind = {.family = AF_UNSPEC};
    (void)descriptor_socket_kind(fd, &kind);
    descriptor_format_kind(&kind, text, size);
}

static const char *file_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFIFO:
        return "pipe";
    case S_IFCHR:
        return "character device";
    case S_IFBLK:
        return "block device";
    default:
        return "other";
    }
}

int descriptor_describe(int fd, char *text, size_t size)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return errno;
    if (S_ISSOCK(status.st_mode))
        describe_socket(fd, text, size);
    else
        snprintf(text, size, "%s", file_name(status.st_mode));
    return 0;
}
