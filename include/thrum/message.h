/* SPDX-License-Identifier: BSL-1.0 */
/* A message: what recvmsg(2) and sendmsg(2) move. Bytes, who is at the other end, descriptors and
 * other control data, flags; and how it went. */
#ifndef THRUM_MESSAGE_H
#define THRUM_MESSAGE_H

#include <stddef.h>
#include <sys/uio.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

enum { THRUM_MAX_FDS = 253 }; /* in one message, as Linux has it */

/* Descriptors that travel with a message of a unix socket (SCM_RIGHTS; unix(7)). On a stream they
 * come with the byte that was sent with them, the first of the send, and at least one there must
 * be. A receive without a list drops them.
 *
 * A list for sending says which; it is borrowed until the transfer is over: neither the list nor
 * what is in it may be closed before. A list for receiving says how many there is room for; what is
 * put into it is the caller's from that moment, whatever becomes of the operation, and
 * close-on-exec. */
struct thrum_fds {
    int *fds;
    size_t max; /* receive: so many at most, up to THRUM_MAX_FDS */
    size_t n;   /* how many there are; none before a receive */
};

/* Close what is in the list. */
THRUM_API void thrum_fds_close(struct thrum_fds *fds) THRUM_NOEXCEPT;

/* All of it is the caller's, and stays where it is until the transfer is over. What is zero is not
 * there: a message of bytes alone sets `data` and `size`. */
struct thrum_message {
    /* The bytes: one piece, or, with n_pieces above 0, several, one after the other. */
    void *data;
    size_t size;
    const struct iovec *pieces;
    size_t n_pieces;
    /* Where a send goes (NULL: to the connected peer), or where a receive writes who has sent. */
    struct thrum_endpoint *peer;
    struct thrum_fds *fds;
    /* Control data as cmsg(3) lays it out: what is sent besides the descriptors, or where a
     * receive may write what comes besides them, and then how much that was. */
    void *control;
    size_t control_size;
    int flags; /* MSG_PEEK and the like, for the system */

    /* The outcome, valid once the transfer has succeeded. */
    size_t length;      /* bytes moved; of a datagram received with MSG_TRUNC its whole length */
    int received_flags; /* MSG_TRUNC: the datagram was longer than the room for it (without control
                           data and pieces known only if `flags` had MSG_TRUNC); MSG_CTRUNC: the
                           control data was */
};

THRUM_END_DECLS

#endif
