/* SPDX-License-Identifier: BSL-1.0 */
/* Messages.
 *
 * Three things to know of Linux. The room for control data admits as many descriptors as fit into
 * it, whatever was meant by it: CMSG_SPACE's padding one more. What finds no room, or no free
 * number in this process, is dropped, and MSG_CTRUNC is all there is to tell. And a socket that
 * came from elsewhere may have options set that add other items, one of them a descriptor
 * (SO_PASSPIDFD). */
#include "net/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"

#if defined(__linux__) && !defined(SCM_PIDFD)
#define SCM_PIDFD 4
#endif

enum {
    MAX_ITEMS = 512,   /* room for control data besides descriptors */
    FOREIGN_ITEMS = 64 /* where nobody has asked for any: credentials and the like */
};

/* Where descriptors and other control data stand together. */
union control {
    struct cmsghdr first;
    char bytes[CMSG_SPACE(THRUM_MAX_FDS * sizeof(int)) + MAX_ITEMS];
};

void thrum_fds_close(struct thrum_fds *fds)
{
    while (fds->n > 0)
        descriptor_close(fds->fds[--fds->n]);
}

static inline bool has_control(const struct thrum_message *message)
{
    return message->fds || message->control_size > 0;
}

/* recvfrom(2) and sendto(2) do for it what recvmsg(2) and sendmsg(2) do, for less. */
static inline bool is_simple(const struct thrum_message *message)
{
    return message->n_pieces == 0 && !has_control(message);
}

static int error_of_last_call(void)
{
    return errno == EWOULDBLOCK ? EAGAIN : errno;
}

/* The bytes of a message, as the system wants them; `single` is for those of one piece. */
static struct msghdr header_of(const struct thrum_message *message, struct iovec *single)
{
    struct msghdr header = {.msg_iov = single, .msg_iovlen = 1};
    *single = (struct iovec){message->data, message->size};
    if (message->n_pieces > 0) {
        header.msg_iov = (struct iovec *)message->pieces;
        header.msg_iovlen = message->n_pieces;
    }
    return header;
}

/* ---- send ---- */

static inline int send_simple(int fd, struct thrum_message *message)
{
    const struct sockaddr *peer = message->peer ? &message->peer->sa.any : NULL;
    socklen_t peer_size = message->peer ? message->peer->size : 0;
    ssize_t sent;
    do
        sent = sendto(fd, message->data, message->size,
                      message->flags | MSG_NOSIGNAL | MSG_DONTWAIT, peer, peer_size);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return error_of_last_call();
    message->length = (size_t)sent;
    return 0;
}

/* Lay the descriptors and the other items out one behind the other; how many bytes that is. */
static size_t write_control(union control *control, const struct thrum_message *message)
{
    size_t size = 0;
    if (message->fds && message->fds->n > 0) {
        size_t fds_size = message->fds->n * sizeof(int);
        size = CMSG_SPACE(fds_size);
        memset(control, 0, size);
        control->first.cmsg_level = SOL_SOCKET;
        control->first.cmsg_type = SCM_RIGHTS;
        control->first.cmsg_len = CMSG_LEN(fds_size);
        memcpy(CMSG_DATA(&control->first), message->fds->fds, fds_size);
    }
    if (message->control_size > 0)
        memcpy(control->bytes + size, message->control, message->control_size);
    return size + message->control_size;
}

/* Apart, so that the usual case needs no room for it. */
static __attribute__((noinline)) int send_whole(int fd, struct thrum_message *message)
{
    struct iovec single;
    struct msghdr header = header_of(message, &single);
    union control control;
    if ((message->fds && message->fds->n > THRUM_MAX_FDS) || message->control_size > MAX_ITEMS)
        return EINVAL;
    if (message->peer) {
        header.msg_name = &message->peer->sa;
        header.msg_namelen = message->peer->size;
    }
    header.msg_controllen = write_control(&control, message);
    header.msg_control = header.msg_controllen > 0 ? &control : NULL;
    ssize_t sent;
    do
        sent = sendmsg(fd, &header, message->flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return error_of_last_call();
    message->length = (size_t)sent;
    return 0;
}

int message_send(int fd, struct thrum_message *message)
{
    return is_simple(message) ? send_simple(fd, message) : send_whole(fd, message);
}

/* ---- receive ---- */

/* A unix path that fills sun_path is reported one byte longer than sockaddr_un: unix(7), BUGS. */
static void set_peer_size(struct thrum_endpoint *peer, socklen_t size)
{
    peer->size = size < sizeof(peer->sa) ? size : sizeof(peer->sa);
}

static inline int receive_simple(int fd, struct thrum_message *message)
{
    socklen_t peer_size = sizeof(message->peer->sa);
    ssize_t received;
    do
        received = recvfrom(fd, message->data, message->size, message->flags | MSG_DONTWAIT,
                            message->peer ? &message->peer->sa.any : NULL,
                            message->peer ? &peer_size : NULL);
    while (__builtin_expect(received < 0, 0) && errno == EINTR);
    if (received < 0)
        return error_of_last_call();
    if (message->peer)
        set_peer_size(message->peer, peer_size);
    message->length = (size_t)received;
    message->received_flags = message->length > message->size ? MSG_TRUNC : 0;
    return 0;
}

/* What has come so far. */
struct arrival {
    struct thrum_fds *fds; /* or NULL */
    bool is_too_much;
};

static void take(struct arrival *arrival, int fd)
{
    struct thrum_fds *fds = arrival->fds;
    if (fds && fds->n < fds->max) {
        fds->fds[fds->n++] = fd;
    } else {
        descriptor_close(fd);
        arrival->is_too_much = true;
    }
}

static bool is_item(const struct cmsghdr *item, int type)
{
    return item->cmsg_level == SOL_SOCKET && item->cmsg_type == type;
}

static bool is_pidfd(const struct cmsghdr *item)
{
#ifdef SCM_PIDFD
    return is_item(item, SCM_PIDFD);
#else
    (void)item;
    return false;
#endif
}

static void take_descriptors(struct arrival *arrival, const struct cmsghdr *item)
{
    bool is_rights = is_item(item, SCM_RIGHTS);
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= item->cmsg_len; at += sizeof(int)) {
        int fd;
        memcpy(&fd, (const char *)item + at, sizeof(fd));
        if (is_rights)
            take(arrival, fd);
        else if (fd >= 0)
            descriptor_close(fd);
    }
}

/* What the caller has asked for, copied; MSG_CTRUNC says that something found no room there. */
static void copy_item(struct thrum_message *message, size_t room, const struct cmsghdr *item)
{
    size_t size = CMSG_ALIGN(item->cmsg_len);
    if (size > room - message->control_size) {
        message->received_flags |= MSG_CTRUNC;
        return;
    }
    memcpy((char *)message->control + message->control_size, item, item->cmsg_len);
    message->control_size += size;
}

static void take_items(struct thrum_message *message, struct msghdr *header,
                       struct arrival *arrival)
{
    size_t room = message->control_size;
    message->control_size = 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
        if (is_item(item, SCM_RIGHTS) || is_pidfd(item))
            take_descriptors(arrival, item);
        else if (room > 0)
            copy_item(message, room, item);
    }
}

static size_t room_for_control(const struct thrum_message *message)
{
    size_t n_fds = message->fds ? message->fds->max : 0;
    size_t others = message->control_size < MAX_ITEMS ? message->control_size : MAX_ITEMS;
    if (others < FOREIGN_ITEMS)
        others = FOREIGN_ITEMS;
    return others + CMSG_LEN((n_fds < THRUM_MAX_FDS ? n_fds : THRUM_MAX_FDS) * sizeof(int));
}

static __attribute__((noinline)) int receive_whole(int fd, struct thrum_message *message)
{
    struct iovec single;
    struct msghdr header = header_of(message, &single);
    union control control;
    struct arrival arrival = {.fds = message->fds};
    if (message->peer) {
        header.msg_name = &message->peer->sa;
        header.msg_namelen = sizeof(message->peer->sa);
    }
    if (has_control(message)) {
        header.msg_control = &control;
        header.msg_controllen = room_for_control(message);
    }
    int error = descriptor_receive(fd, &header, message->flags | MSG_DONTWAIT, &message->length);
    if (error)
        return error;
    message->received_flags = header.msg_flags & MSG_TRUNC;
    take_items(message, &header, &arrival);
    bool is_cut = header.msg_flags & MSG_CTRUNC;
    if (message->fds && (is_cut || arrival.is_too_much)) {
        error = message->fds->n == message->fds->max ? EMSGSIZE : EMFILE;
        thrum_fds_close(message->fds);
        return error;
    }
    if (is_cut)
        message->received_flags |= MSG_CTRUNC;
    if (message->peer)
        set_peer_size(message->peer, header.msg_namelen);
    return 0;
}

int message_receive(int fd, struct thrum_message *message)
{
    return is_simple(message) ? receive_simple(fd, message) : receive_whole(fd, message);
}
