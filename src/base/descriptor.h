/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors: made, copied and described without a moment in which a child could inherit them. */
#ifndef BASE_DESCRIPTOR_H
#define BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* socket(2), non-blocking and close-on-exec. Returns an error; `*fd` is set on success only. */
int descriptor_socket(int family, int type, int protocol, int *fd) THRUM_NOEXCEPT;

/* socketpair(2), likewise. */
int descriptor_pair(int family, int type, int fds[2]) THRUM_NOEXCEPT;

/* accept(2), likewise. EAGAIN when nobody has connected, also where the listener is blocking:
 * O_NONBLOCK belongs to the open file description, and a process that shares it, such as a child
 * that was given it as standard input, may have cleared it. It is as it was afterwards. */
int descriptor_accept(int listener, int *fd) THRUM_NOEXCEPT;
/* The system's part of that: waits where the listener is blocking. */
int descriptor_accept_one(int listener, int *fd) THRUM_NOEXCEPT;

/* connect(2), which does not wait either. EINPROGRESS: descriptor_connect_result tells how it ends.
 * EAGAIN: the backlog of a unix listener is full. An IP socket that finds no local port gets
 * EADDRNOTAVAIL in place of that. */
int descriptor_connect(int fd, const struct sockaddr *remote, socklen_t size) THRUM_NOEXCEPT;
/* How a connect that was in progress has ended; EAGAIN: it has not. */
int descriptor_connect_result(int fd) THRUM_NOEXCEPT;

/* recvmsg(2); descriptors that come with the message are close-on-exec. */
int descriptor_receive(int fd, struct msghdr *message, int flags, size_t *size) THRUM_NOEXCEPT;
/* pipe(2), close-on-exec; it blocks. */
int descriptor_pipe(int ends[2]) THRUM_NOEXCEPT;

/* Make every open descriptor from `first` on close-on-exec. For a child before its exec: it makes
 * system calls only. */
int descriptor_cloexec_from(int first) THRUM_NOEXCEPT;

/* Whether a descriptor may have been open when this program began. EBADF: it is not open. EBUSY: it
 * is close-on-exec, so it was opened since, or has been taken by descriptor_inherit. */
int descriptor_check_inherited(int fd) THRUM_NOEXCEPT;

/* Take such a descriptor: make it close-on-exec. */
int descriptor_inherit(int fd) THRUM_NOEXCEPT;

/* Make an adopted descriptor non-blocking and close-on-exec. */
int descriptor_prepare(int fd) THRUM_NOEXCEPT;

/* A copy, close-on-exec. */
int descriptor_dup(int fd, int *copy) THRUM_NOEXCEPT;

/* A descriptor that is readable while one of those is ready for its events: so many can be waited
 * for as one. Those that cannot be waited for are left out. ENOSYS: the system has none. */
struct pollfd;
int descriptor_set(const struct pollfd *list, size_t size, int *set) THRUM_NOEXCEPT;

/* close(2); EINTR and EINPROGRESS count as closed, as POSIX.1-2024 has it. */
int descriptor_close(int fd) THRUM_NOEXCEPT;

/* How many bytes can be read at once: FIONREAD. */
int descriptor_bytes_readable(int fd, size_t *size) THRUM_NOEXCEPT;

/* sockatmark(3): whether urgent data is what is read next. */
int descriptor_at_mark(int fd, bool *is_at_mark) THRUM_NOEXCEPT;

/* The interface that a socket is bound to, 0: none, or the system does not tell. A connect to a
 * link-local peer binds it, too. */
int descriptor_bound_interface(int fd, unsigned *index) THRUM_NOEXCEPT;

/* Who connected the other end of a unix socket, or made the pair. ENOTCONN if nobody has, and for
 * datagram sockets that were connected by name, where the system does not note it. */
int descriptor_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid) THRUM_NOEXCEPT;

/* A receive from a connected socket of records has come back with nothing: was that the end, or an
 * empty record? The system does not tell. The end, if the peer will send no more and nothing more
 * is there. So empty records right before the end are taken for it. */
bool descriptor_is_at_end(int fd) THRUM_NOEXCEPT;

/* Whether the peer has closed a connected socket, or shut its sending down. */
bool descriptor_is_hung_up(int fd) THRUM_NOEXCEPT;

/* What a socket is. The type alone does not tell: a datagram socket of IP may be for ICMP. */
struct descriptor_kind {
    int family;   /* AF_... */
    int type;     /* SOCK_... */
    int protocol; /* IPPROTO_..., 0 for other families than IP */
    bool is_listening;
};

/* ENOTSOCK if it is no socket. */
int descriptor_socket_kind(int fd, struct descriptor_kind *kind) THRUM_NOEXCEPT;

/* SO_PROTOCOL, where the system has it; else what a socket of that type usually has. */
int descriptor_protocol(int fd, int type, int *protocol) THRUM_NOEXCEPT;

/* UDP for datagrams over IP, TCP for streams; 0 for others. */
int descriptor_usual_protocol(int family, int type) THRUM_NOEXCEPT;

/* Whether it is what its type usually is: an IP datagram socket is for UDP, a stream for TCP, which
 * a socket of Multipath TCP is as well. */
bool descriptor_is_usual(const struct descriptor_kind *kind) THRUM_NOEXCEPT;

/* The words for such a socket, as descriptor_describe has them. */
void descriptor_format_kind(const struct descriptor_kind *kind, char *text,
                            size_t size) THRUM_NOEXCEPT;

/* What it is, in words: "udp v4", "tcp v6 acceptor", "icmp v4", "unix stream", "file", "directory",
 * "pipe", "character device", "block device", "socket", "other". Writes at most `size` bytes with
 * NUL. */
int descriptor_describe(int fd, char *text, size_t size) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
