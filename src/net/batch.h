/* SPDX-License-Identifier: BSL-1.0 */
/* Many datagrams with one system call, where the system has one for that. */
#ifndef NET_BATCH_H
#define NET_BATCH_H

#include <stddef.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

enum { MAX_BATCH = 16 };

struct datagram {
    void *data;      /* the caller's */
    size_t capacity; /* for one to be received */
    size_t size;     /* of one received: what did not fit is lost */
    struct thrum_endpoint peer;
};

/* Receive what is there now, at most `length` datagrams and no more than MAX_BATCH. Returns 0 and
 * `*count` of them, at least one; or an error, EAGAIN if there are none. */
int batch_receive(int fd, struct datagram *datagrams, int length, int *count);

/* Send them, no more than MAX_BATCH, without waiting. Returns 0 and how many were sent, at least
 * one; or an error, which the first of them has. */
int batch_send(int fd, const struct datagram *datagrams, int length, int *count);

THRUM_END_DECLS

#endif
