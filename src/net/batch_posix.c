/* SPDX-License-Identifier: BSL-1.0 */
/* Batches where there is no system call for them: one datagram after the other. */
#include <errno.h>
#include <sys/socket.h>

#include "net/batch.h"

static int receive_one(int fd, struct datagram *datagram)
{
    datagram->peer.size = sizeof(datagram->peer.sa);
    ssize_t size = recvfrom(fd, datagram->data, datagram->capacity, MSG_DONTWAIT,
                            &datagram->peer.sa.any, &datagram->peer.size);
    if (size < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    datagram->size = (size_t)size;
    return 0;
}

/* An error behind some datagrams comes again with the next call. */
int batch_receive(int fd, struct datagram *datagrams, int length, int *count)
{
    int error = 0, n = 0;
    while (n < length && n < MAX_BATCH && !error) {
        error = receive_one(fd, &datagrams[n]);
        n += error == 0;
    }
    *count = n;
    return n > 0 ? 0 : error;
}

int batch_send(int fd, const struct datagram *datagrams, int length, int *count)
{
    int error = 0, n = 0;
    while (n < length && n < MAX_BATCH && !error) {
        const struct datagram *datagram = &datagrams[n];
        ssize_t sent = sendto(fd, datagram->data, datagram->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                              &datagram->peer.sa.any, datagram->peer.size);
        if (sent < 0)
            error = errno == EWOULDBLOCK ? EAGAIN : errno;
        n += error == 0;
    }
    *count = n;
    return n > 0 ? 0 : error;
}
