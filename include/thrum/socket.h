/* SPDX-License-Identifier: BSL-1.0 */
/* Sockets of every family and kind, those that listen included: one core over Asio's generic
 * protocols. */
#ifndef THRUM_SOCKET_H
#define THRUM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <thrum/address.h>
#include <thrum/context.h>
#include <thrum/message.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

typedef struct thrum_socket thrum_socket;

enum thrum_kind {
    THRUM_DATAGRAM = SOCK_DGRAM,
    THRUM_STREAM = SOCK_STREAM,
    THRUM_SEQPACKET = SOCK_SEQPACKET
};

/* ---- life ---- */

/* A socket without a descriptor. Errors: ENOMEM. */
THRUM_API int thrum_socket_new(thrum_context *context, enum thrum_kind kind,
                               thrum_socket **socket) THRUM_NOEXCEPT;
/* Close it and let go of it. Pending operations end with ECANCELED. NULL is fine. */
THRUM_API void thrum_socket_free(thrum_socket *socket) THRUM_NOEXCEPT;

/* Make a descriptor: non-blocking, close-on-exec. Errors: THRUM_EALREADY_OPEN, EAFNOSUPPORT,
 * EMFILE and the others of socket(2). */
THRUM_API int thrum_socket_open(thrum_socket *socket, int family, int protocol) THRUM_NOEXCEPT;

/* Open both, connected with each other and without names: socketpair(2), unix family. Errors:
 * THRUM_EALREADY_OPEN, EINVAL (one socket twice, or two kinds), EBADF, EMFILE. */
THRUM_API int thrum_socket_pair(thrum_socket *a, thrum_socket *b) THRUM_NOEXCEPT;

/* Take over a descriptor whose SO_DOMAIN and SO_TYPE are this family and kind, and make it
 * non-blocking and close-on-exec; it may be listening. On error the caller still owns `fd`. Errors:
 * THRUM_EALREADY_OPEN, EBADF, ENOTSOCK, EINVAL (another family or kind). */
THRUM_API int thrum_socket_assign(thrum_socket *socket, int family, int fd) THRUM_NOEXCEPT;

/* Give the descriptor away, open and still non-blocking: the reactor forgets it first, pending
 * operations end with ECANCELED. Errors: EBADF. */
THRUM_API int thrum_socket_release(thrum_socket *socket, int *fd) THRUM_NOEXCEPT;

/* Close. Pending operations end with ECANCELED. Closing a closed socket is fine. May be opened
 * again. */
THRUM_API int thrum_socket_close(thrum_socket *socket) THRUM_NOEXCEPT;

/* End every pending operation of this socket with ECANCELED. Errors: EBADF. */
THRUM_API int thrum_socket_cancel(thrum_socket *socket) THRUM_NOEXCEPT;

/* ---- state ---- */

THRUM_API bool thrum_socket_is_open(const thrum_socket *socket) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_native_handle(const thrum_socket *socket) THRUM_NOEXCEPT; /* or -1 */
THRUM_API int thrum_socket_family(const thrum_socket *socket) THRUM_NOEXCEPT; /* or AF_UNSPEC */
/* Errors: EBADF; ENOTCONN for the remote one. */
THRUM_API int thrum_socket_local_endpoint(const thrum_socket *socket,
                                          struct thrum_endpoint *endpoint) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_remote_endpoint(const thrum_socket *socket,
                                           struct thrum_endpoint *endpoint) THRUM_NOEXCEPT;
/* Who is at the other end of a unix socket: the process that connected, listened or made the pair,
 * as it was then. `pid` is 0 where the system does not tell it, as from outside this process's
 * namespace. Errors: EBADF, EOPNOTSUPP (no unix socket), ENOTCONN (also for datagram sockets that
 * were connected by name: the system does not note it). */
struct thrum_credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
THRUM_API int thrum_socket_remote_credentials(const thrum_socket *socket,
                                              struct thrum_credentials *credentials) THRUM_NOEXCEPT;
/* Bytes that can be read without blocking (FIONREAD): for a datagram socket the size of the next
 * datagram. Errors: EBADF. */
THRUM_API int thrum_socket_available(const thrum_socket *socket, size_t *size) THRUM_NOEXCEPT;
/* Whether the next byte to be received stands where the sender put its urgent data: sockatmark(3).
 * Errors: EBADF, EINVAL or ENOTTY (no TCP socket). */
THRUM_API int thrum_socket_at_mark(const thrum_socket *socket, bool *is_at_mark) THRUM_NOEXCEPT;

/* ---- calls that never wait ---- */

THRUM_API int thrum_socket_bind(thrum_socket *socket,
                                const struct thrum_endpoint *endpoint) THRUM_NOEXCEPT;
/* Disconnect a datagram socket: connect(2) with AF_UNSPEC. */
THRUM_API int thrum_socket_disconnect(thrum_socket *socket) THRUM_NOEXCEPT;
/* `how` is SHUT_RD, SHUT_WR or SHUT_RDWR. After SHUT_RD every receive, waiting ones included, ends
 * with THRUM_EEOF. Linux answers ENOTCONN for an unconnected datagram socket although the call
 * takes effect; that answer counts as success here. */
THRUM_API int thrum_socket_shutdown(thrum_socket *socket, int how) THRUM_NOEXCEPT;

/* setsockopt(2) and getsockopt(2) by way of Asio, which halves the kernel's doubled SO_SNDBUF and
 * SO_RCVBUF. `size` is in and out. */
THRUM_API int thrum_socket_set_option(thrum_socket *socket, int level, int name, const void *value,
                                      size_t size) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_get_option(const thrum_socket *socket, int level, int name, void *value,
                                      size_t *size) THRUM_NOEXCEPT;

/* ---- transfers ----
 *
 * The try functions ask the kernel now and answer at once; EAGAIN means: start the operation.
 * They answer EAGAIN too, without asking, where asking first would be unfair (another operation of
 * that direction waits already) or a waste (the last attempt found nothing, and a wait for
 * readiness tells as soon): the caller need not keep a rule of its own.
 *
 * MSG_NOSIGNAL and MSG_DONTWAIT are always added to a message's flags. A datagram longer than the
 * buffer is reported by its whole length if they have MSG_TRUNC. A receive after shutdown is
 * THRUM_EEOF, a stream's end as well. An empty datagram has length 0 and no error. The end of a
 * seqpacket socket is THRUM_EEOF, too; the system tells it from an empty record only by what
 * follows, so empty records right before the end are part of it.
 *
 * A stream has no use for a peer: EOPNOTSUPP. Descriptors: EOPNOTSUPP unless it is a unix socket;
 * EINVAL for more than THRUM_MAX_FDS, without a byte to carry them on a stream, or for a receive
 * into a list that is not empty. A send says EBADF for a descriptor that is not open; nothing has
 * been sent then. A receive says EMSGSIZE if more came than there is room for, and EMFILE if the
 * process could not have them all: then all of them have been closed, and the message's length says
 * how many bytes there were. */

THRUM_API int thrum_socket_try_receive(thrum_socket *socket,
                                       struct thrum_message *message) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_try_send(thrum_socket *socket,
                                    struct thrum_message *message) THRUM_NOEXCEPT;

/* The same for several datagrams at once, each of one piece and without control data or flags of
 * its own; records have no end here, only THRUM_EEOF at the next single receive. `*count` is
 * how many were moved, at least one without an error. Fewer than `n` does not mean that there were
 * no more. */
THRUM_API int thrum_socket_try_receive_batch(thrum_socket *socket, struct thrum_message *messages,
                                             size_t n, size_t *count) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_try_send_batch(thrum_socket *socket, struct thrum_message *messages,
                                          size_t n, size_t *count) THRUM_NOEXCEPT;

/* Each starts `operation`; see operation.h. Operations of one direction complete first come, first
 * served. Errors at the start: EBADF, EBUSY (the operation is pending already), THRUM_EEOF, ENOMEM,
 * and those above that are about the message as it was given. */
THRUM_API int thrum_socket_receive(thrum_socket *socket, struct thrum_operation *operation,
                                   struct thrum_message *message) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_send(thrum_socket *socket, struct thrum_operation *operation,
                                struct thrum_message *message) THRUM_NOEXCEPT;

/* ---- connecting ---- */

/* Connect; a closed socket is opened first, in the endpoint's family. `remote` has to stay where it
 * is until the operation completes. A datagram socket's connect
 * never waits: try_connect does it. For the other kinds try_connect answers EAGAIN. A connect to a
 * unix listener whose backlog is full waits until there is room. EISCONN: it is connected already.
 */
THRUM_API int thrum_socket_try_connect(thrum_socket *socket,
                                       const struct thrum_endpoint *remote) THRUM_NOEXCEPT;
THRUM_API int thrum_socket_connect(thrum_socket *socket, struct thrum_operation *operation,
                                   const struct thrum_endpoint *remote) THRUM_NOEXCEPT;

/* Wait until the socket is readable or writable, for system calls that Asio has no words for. */
enum thrum_wait { THRUM_WAIT_READ, THRUM_WAIT_WRITE };
THRUM_API int thrum_socket_wait(thrum_socket *socket, struct thrum_operation *operation,
                                enum thrum_wait what) THRUM_NOEXCEPT;

/* ---- accepting ---- */

/* Begin to take connections: listen(2). Errors: EBADF, EOPNOTSUPP (a datagram socket). */
THRUM_API int thrum_socket_listen(thrum_socket *socket, int backlog) THRUM_NOEXCEPT;

/* Accept one connection into `socket`, which is closed and of the listener's kind and context; its
 * descriptor is non-blocking and close-on-exec. To be tried first, like a transfer: EAGAIN means
 * start the operation. Errors: EBADF, EOPNOTSUPP (a datagram socket), EINVAL (another kind, another
 * context, or not listening), THRUM_EALREADY_OPEN, EMFILE and the others of accept(2). */
THRUM_API int thrum_socket_try_accept(thrum_socket *listener, thrum_socket *socket) THRUM_NOEXCEPT;
/* The same as an operation: `socket` stays alive until it completes. Accepts complete first come,
 * first served. Errors at the start: EBADF, EBUSY, EINVAL (another kind or context),
 * THRUM_EALREADY_OPEN, ENOMEM. */
THRUM_API int thrum_socket_accept(thrum_socket *listener, struct thrum_operation *operation,
                                  thrum_socket *socket) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
