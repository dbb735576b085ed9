/* SPDX-License-Identifier: BSL-1.0 */
/* Batches of messages by recvmmsg(2) and sendmmsg(2). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/message.h"

/* What the system calls want of one message. */
static void describe(const struct thrum_message *message, socklen_t peer_size,
                     struct mmsghdr *header, struct iovec *piece)
{
    *piece = (struct iovec){message->data, message->size};
    header->msg_hdr = (struct msghdr){.msg_iov = piece, .msg_iovlen = 1};
    if (message->peer) {
        header->msg_hdr.msg_name = &message->peer->sa;
        header->msg_hdr.msg_namelen = peer_size;
    }
}

static int error_of_last_call(void)
{
    return errno == EWOULDBLOCK ? EAGAIN : errno;
}

int message_receive_batch(int fd, struct thrum_message *messages, size_t n, size_t *count)
{
    struct mmsghdr headers[MESSAGE_MAX_BATCH];
    struct iovec pieces[MESSAGE_MAX_BATCH];
    if (n > MESSAGE_MAX_BATCH)
        n = MESSAGE_MAX_BATCH;
    for (size_t i = 0; i < n; i++)
        describe(&messages[i], sizeof(messages[i].peer->sa), &headers[i], &pieces[i]);
    int received = recvmmsg(fd, headers, (unsigned)n, MSG_DONTWAIT, NULL);
    if (received < 0)
        return error_of_last_call();
    for (int i = 0; i < received; i++) {
        messages[i].length = headers[i].msg_len;
        messages[i].received_flags = headers[i].msg_hdr.msg_flags & MSG_TRUNC;
        if (messages[i].peer)
            messages[i].peer->size = headers[i].msg_hdr.msg_namelen;
    }
    *count = (size_t)received;
    return 0;
}

int message_send_batch(int fd, struct thrum_message *messages, size_t n, size_t *count)
{
    struct mmsghdr headers[MESSAGE_MAX_BATCH];
    struct iovec pieces[MESSAGE_MAX_BATCH];
    if (n > MESSAGE_MAX_BATCH)
        n = MESSAGE_MAX_BATCH;
    for (size_t i = 0; i < n; i++)
        describe(&messages[i], messages[i].peer ? messages[i].peer->size : 0, &headers[i],
                 &pieces[i]);
    int sent = sendmmsg(fd, headers, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return error_of_last_call();
    for (int i = 0; i < sent; i++)
        messages[i].length = headers[i].msg_len;
    *count = (size_t)sent;
    return 0;
}
