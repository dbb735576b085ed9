/* SPDX-License-Identifier: BSL-1.0 */
/* Batches by recvmmsg(2) and sendmmsg(2). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/batch.h"

/* What the system calls want of one datagram. */
static void describe(const struct datagram *datagram, size_t size, socklen_t peer_size,
                     struct mmsghdr *message, struct iovec *piece)
{
    *piece = (struct iovec){datagram->data, size};
    message->msg_hdr = (struct msghdr){.msg_name = (void *)&datagram->peer.sa,
                                       .msg_namelen = peer_size,
                                       .msg_iov = piece,
                                       .msg_iovlen = 1};
}

int batch_receive(int fd, struct datagram *datagrams, int length, int *count)
{
    struct mmsghdr messages[MAX_BATCH];
    struct iovec pieces[MAX_BATCH];
    if (length > MAX_BATCH)
        length = MAX_BATCH;
    for (int i = 0; i < length; i++)
        describe(&datagrams[i], datagrams[i].capacity, sizeof(datagrams[i].peer.sa), &messages[i],
                 &pieces[i]);
    int received = recvmmsg(fd, messages, (unsigned)length, MSG_DONTWAIT, NULL);
    if (received < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    for (int i = 0; i < received; i++) {
        datagrams[i].size = messages[i].msg_len;
        datagrams[i].peer.size = messages[i].msg_hdr.msg_namelen;
    }
    *count = received;
    return 0;
}

int batch_send(int fd, const struct datagram *datagrams, int length, int *count)
{
    struct mmsghdr messages[MAX_BATCH];
    struct iovec pieces[MAX_BATCH];
    if (length > MAX_BATCH)
        length = MAX_BATCH;
    for (int i = 0; i < length; i++)
        describe(&datagrams[i], datagrams[i].size, datagrams[i].peer.size, &messages[i],
                 &pieces[i]);
    int sent = sendmmsg(fd, messages, (unsigned)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    *count = sent;
    return 0;
}
