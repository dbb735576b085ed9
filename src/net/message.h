/* SPDX-License-Identifier: BSL-1.0 */
/* Messages of unix sockets that carry descriptors: sendmsg(2) and recvmsg(2) with SCM_RIGHTS. */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <stddef.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

enum { MESSAGE_MAX_FDS = 253 }; /* Linux's SCM_MAX_FD */

struct message {
    void *data;
    size_t size;
    int flags;
    struct thrum_endpoint *peer; /* the receiver, the sender; may be NULL */
    int *fds;
    size_t n_fds; /* how many are sent, at most MESSAGE_MAX_FDS; how many there is room for, and
                     then how many came */
};

/* Send, with MSG_NOSIGNAL; the descriptors stay the caller's. Errors: EAGAIN, EBADF (one of the
 * descriptors), and the others of sendmsg(2); nothing has been sent then. */
int message_send(int fd, const struct message *message, size_t *sent) THRUM_NOEXCEPT;

/* Receive. What has come in `fds` is the caller's, and close-on-exec. Either all descriptors that
 * were sent have come, or every one that did is closed again and the error says why: EMSGSIZE,
 * there was no room for all of them; EMFILE, the process could have no more. The bytes are lost
 * then, too. Other errors: EAGAIN and those of recvmsg(2). */
int message_receive(int fd, struct message *message, size_t *received) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
