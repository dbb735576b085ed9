/* SPDX-License-Identifier: BSL-1.0 */
/* Messages with descriptors.
 *
 * Three things to know of Linux. The room for control data admits as many descriptors as fit into
 * it, whatever was meant by it: CMSG_SPACE's padding one more. What finds no room, or no free
 * number in this process, is dropped, and MSG_CTRUNC is all there is to tell. And a socket that
 * came from elsewhere may have options set that add other items, one of them a descriptor
 * (SO_PASSPIDFD). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"
#include "net/message.h"

#if defined(__linux__) && !defined(SCM_PIDFD)
#define SCM_PIDFD 4
#endif

enum { OTHER_ITEMS = 64 }; /* room for credentials and the like */

union control {
    struct cmsghdr first;
    char bytes[CMSG_SPACE(MESSAGE_MAX_FDS * sizeof(int)) + OTHER_ITEMS];
};

int message_send(int fd, const struct message *message, size_t *sent)
{
    struct iovec bytes = {message->data, message->size};
    struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
    union control control;
    if (message->peer) {
        header.msg_name = &message->peer->sa;
        header.msg_namelen = message->peer->size;
    }
    if (message->n_fds > 0) {
        size_t size = message->n_fds * sizeof(int);
        memset(&control, 0, CMSG_SPACE(size));
        control.first.cmsg_level = SOL_SOCKET;
        control.first.cmsg_type = SCM_RIGHTS;
        control.first.cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(&control.first), message->fds, size);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(size);
    }
    ssize_t result;
    do
        result = sendmsg(fd, &header, message->flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return errno;
    *sent = (size_t)result;
    return 0;
}

/* What has come so far. */
struct arrival {
    int *fds;
    size_t room;
    size_t n;
    bool is_too_much;
};

static void take(struct arrival *arrival, int fd)
{
    if (arrival->n < arrival->room) {
        arrival->fds[arrival->n++] = fd;
    } else {
        descriptor_close(fd);
        arrival->is_too_much = true;
    }
}

static void take_item(struct arrival *arrival, const struct cmsghdr *item)
{
    bool is_rights = item->cmsg_type == SCM_RIGHTS;
#ifdef SCM_PIDFD
    bool is_pidfd = item->cmsg_type == SCM_PIDFD;
#else
    bool is_pidfd = false;
#endif
    if (item->cmsg_level != SOL_SOCKET || (!is_rights && !is_pidfd))
        return;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= item->cmsg_len; at += sizeof(int)) {
        int fd;
        memcpy(&fd, (const char *)item + at, sizeof(fd));
        if (is_rights)
            take(arrival, fd);
        else if (fd >= 0)
            descriptor_close(fd);
    }
}

static void close_all(struct arrival *arrival)
{
    while (arrival->n > 0)
        descriptor_close(arrival->fds[--arrival->n]);
}

int message_receive(int fd, struct message *message, size_t *received)
{
    struct iovec bytes = {message->data, message->size};
    struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
    union control control;
    struct arrival arrival = {.fds = message->fds, .room = message->n_fds};
    if (message->peer) {
        header.msg_name = &message->peer->sa;
        header.msg_namelen = sizeof(message->peer->sa);
    }
    header.msg_control = &control;
    header.msg_controllen = OTHER_ITEMS + CMSG_LEN(arrival.room * sizeof(int));
    message->n_fds = 0;
    int error = descriptor_receive(fd, &header, message->flags | MSG_DONTWAIT, received);
    if (error)
        return error;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item))
        take_item(&arrival, item);
    if (header.msg_flags & MSG_CTRUNC || arrival.is_too_much) {
        error = arrival.n == arrival.room ? EMSGSIZE : EMFILE;
        close_all(&arrival);
        return error;
    }
    if (message->peer) {
        socklen_t size = header.msg_namelen;
        message->peer->size = size < sizeof(message->peer->sa) ? size : sizeof(message->peer->sa);
    }
    message->n_fds = arrival.n;
    return 0;
}
