/* SPDX-License-Identifier: BSL-1.0 */
/* One transfer of a message, now: the system calls behind <thrum/message.h>. */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <thrum/message.h>

THRUM_BEGIN_DECLS

/* Send without waiting and without SIGPIPE; the descriptors stay the caller's. Errors: EAGAIN,
 * EBADF (one of the descriptors), EINVAL (more than THRUM_MAX_FDS, or more control data than there
 * is room for beside them), and the others of sendmsg(2); nothing has been sent then. */
int message_send(int fd, struct thrum_message *message) THRUM_NOEXCEPT;

/* Receive without waiting. Either all descriptors that were sent have come, or every one that did
 * is closed again and the error says why: EMSGSIZE, there was no room for all of them; EMFILE, the
 * process could have no more. The bytes are lost then, too, and `length` says how many there were.
 * Other errors: EAGAIN and those of recvmsg(2). */
int message_receive(int fd, struct thrum_message *message) THRUM_NOEXCEPT;

/* The same for many datagrams with one system call, where the system has one for that: messages of
 * one piece, without control data. At most MESSAGE_MAX_BATCH of them. Returns 0 and in `*count` how
 * many were moved, at least one; or the error that the first has. */
enum { MESSAGE_MAX_BATCH = 16 };
int message_send_batch(int fd, struct thrum_message *messages, size_t n,
                       size_t *count) THRUM_NOEXCEPT;
int message_receive_batch(int fd, struct thrum_message *messages, size_t n,
                          size_t *count) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
