// SPDX-License-Identifier: BSL-1.0
// Sockets: their life, their state, and the calls that never wait.
#include "socket.hpp"

#include "base/descriptor.h"

#include "context.hpp"
#include "option.hpp"

using boost::system::error_code;
using thrum::error_from;
using thrum::guarded;
using thrum::operation_state;
using thrum::state_of;
using thrum::step;

namespace
{

// Always by assign: Asio then removes the descriptor from the reactor before it closes it, which
// matters when another process has the same socket open, and which the close of a descriptor alone
// does not do. On error the caller still owns it.
int assign_to(thrum::io_socket &io, int family, int type, int number, int fd)
{
    error_code code;
    io.assign(thrum::any_protocol(family, type, number), fd, code);
    if (code)
        return error_from(code);
    io.non_blocking(true, code); // so that Asio's synchronous calls do not wait
    if (!code)
        return 0;
    error_code ignored;
    io.release(ignored);
    return error_from(code);
}

// Is `fd` what it is said to be? Then make it non-blocking and close-on-exec. Any protocol will do,
// as for open.
int check_and_prepare(int fd, int family, int type) noexcept
{
    struct descriptor_kind actual;
    int error = descriptor_socket_kind(fd, &actual);
    if (error)
        return error;
    if (actual.family != family || actual.type != type)
        return EINVAL;
    return descriptor_prepare(fd);
}

bool is_interface_option(int level, int name) noexcept
{
    bool is_it = false;
#ifdef SO_BINDTODEVICE
    is_it = is_it || name == SO_BINDTODEVICE;
#endif
#ifdef SO_BINDTOIFINDEX
    is_it = is_it || name == SO_BINDTOIFINDEX;
#endif
    return is_it && level == SOL_SOCKET;
}

} // namespace

// ---- life ----

thrum_socket::thrum_socket(thrum_context *context, thrum_kind kind)
    : object(context), io(*context->io), kind(kind)
{
    receiving.reset(thrum::direction_closed);
    sending.reset(thrum::direction_closed);
    urgent.reset(thrum::direction_closed);
}

void thrum_socket::reset() noexcept
{
    end_generation();
    pause.reset();
    io.reset();
}

void thrum_socket::opened(int new_family, int fd) noexcept
{
    descriptor = fd;
    family = new_family;
    connected_zone = 0;
    receiving.reset(0);
    sending.reset(0);
    urgent.reset(0);
    ++generation;
}

// What is in a queue ends here if Asio does not know it; what Asio has is ended by closing.
void thrum_socket::drain(struct list *queue) noexcept
{
    while (!list_is_empty(queue)) {
        struct thrum_operation *operation = thrum::operation_in_queue(queue->next);
        leave_queue(operation);
        if (state_of(operation).step < step::waiting)
            cancel_queued(operation);
    }
}

void thrum_socket::end_generation() noexcept
{
    for (thrum::direction *way : {&receiving, &sending, &urgent}) {
        drain(&way->queue);
        drain(&way->watchers);
        way->reset(thrum::direction_closed);
    }
    disarm();
    if (pause)
        pause->cancel();
    descriptor = -1;
    family = AF_UNSPEC;
    ++generation;
}

int thrum_socket::open(int new_family, int number) noexcept
{
    if (!io)
        return EBADF;
    if (is_open())
        return THRUM_EALREADY_OPEN;
    int fd;
    int error = descriptor_socket(new_family, kind, number, &fd);
    if (error)
        return error;
    error = guarded([&] { return assign_to(*io, new_family, kind, number, fd); });
    if (error)
        descriptor_close(fd);
    else
        opened(new_family, fd);
    return error;
}

int thrum_socket::assign(int new_family, int fd) noexcept
{
    if (!io)
        return EBADF;
    if (is_open())
        return THRUM_EALREADY_OPEN;
    int error = check_and_prepare(fd, new_family, kind);
    return error ? error : adopt(new_family, fd);
}

int thrum_socket::adopt(int new_family, int fd) noexcept
{
    int error = guarded([&] { return assign_to(*io, new_family, kind, 0, fd); });
    if (!error)
        opened(new_family, fd);
    return error;
}

// The descriptor is gone whatever close(2) said; only a real failure to write is worth a word.
int thrum_socket::close() noexcept
{
    if (!is_open())
        return 0;
    end_generation();
    error_code code;
    io->close(code);
    int error = error_from(code);
    return error == EINTR || error == EINPROGRESS ? 0 : error;
}

int thrum_socket::release(int *fd) noexcept
{
    if (!is_open())
        return EBADF;
    end_generation();
    error_code code;
    *fd = io->release(code);
    return error_from(code);
}

int thrum_socket::cancel() noexcept
{
    if (!is_open())
        return EBADF;
    each_pending([this](struct thrum_operation *operation, operation_state &state) {
        state.is_cancelled = true;
        if (state.step < step::waiting)
            cancel_queued(operation);
    });
    if (pause)
        pause->cancel();
    error_code code;
    io->cancel(code);
    return error_from(code);
}

// Linux: "not connected" from a datagram socket, and yet the direction is shut.
int thrum_socket::shutdown(int how) noexcept
{
    if (!is_open())
        return EBADF;
    error_code code;
    io->shutdown(static_cast<boost::asio::socket_base::shutdown_type>(how), code);
    int error = error_from(code);
    if (error == ENOTCONN && kind == THRUM_DATAGRAM)
        error = 0;
    if (!error && how != SHUT_WR)
        end_receives();
    return error;
}

extern "C" {

// ---- life ----

int thrum_socket_new(thrum_context *context, enum thrum_kind kind, thrum_socket **socket) noexcept
{
    return guarded([&] {
        *socket = new thrum_socket(context, kind);
        return 0;
    });
}

void thrum_socket_free(thrum_socket *socket) noexcept
{
    if (socket)
        socket->free();
}

int thrum_socket_open(thrum_socket *socket, int family, int protocol) noexcept
{
    return socket->open(family, protocol);
}

int thrum_socket_pair(thrum_socket *a, thrum_socket *b) noexcept
{
    int fds[2];
    if (!a->io || !b->io)
        return EBADF;
    if (a == b || a->kind != b->kind)
        return EINVAL;
    if (a->is_open() || b->is_open())
        return THRUM_EALREADY_OPEN;
    int error = descriptor_pair(AF_UNIX, a->kind, fds);
    if (error)
        return error;
    error = a->adopt(AF_UNIX, fds[0]);
    if (error) {
        descriptor_close(fds[0]);
        descriptor_close(fds[1]);
        return error;
    }
    error = b->adopt(AF_UNIX, fds[1]);
    if (error) {
        descriptor_close(fds[1]);
        a->close();
    }
    return error;
}

int thrum_socket_assign(thrum_socket *socket, int family, int fd) noexcept
{
    return socket->assign(family, fd);
}

int thrum_socket_release(thrum_socket *socket, int *fd) noexcept
{
    return socket->release(fd);
}

int thrum_socket_close(thrum_socket *socket) noexcept
{
    return socket->close();
}

int thrum_socket_cancel(thrum_socket *socket) noexcept
{
    return socket->cancel();
}

// ---- state ----

bool thrum_socket_is_open(const thrum_socket *socket) noexcept
{
    return socket->is_open();
}

int thrum_socket_native_handle(const thrum_socket *socket) noexcept
{
    return socket->descriptor;
}

int thrum_socket_family(const thrum_socket *socket) noexcept
{
    return socket->family;
}

int thrum_socket_local_endpoint(const thrum_socket *socket,
                                struct thrum_endpoint *endpoint) noexcept
{
    return thrum::ask_name(::getsockname, socket->descriptor, endpoint);
}

int thrum_socket_remote_endpoint(const thrum_socket *socket,
                                 struct thrum_endpoint *endpoint) noexcept
{
    return thrum::ask_name(::getpeername, socket->descriptor, endpoint);
}

int thrum_socket_remote_credentials(const thrum_socket *socket,
                                    struct thrum_credentials *credentials) noexcept
{
    if (!socket->is_open())
        return EBADF;
    if (socket->family != AF_UNIX)
        return EOPNOTSUPP;
    return descriptor_peer(socket->descriptor, &credentials->pid, &credentials->uid,
                           &credentials->gid);
}

int thrum_socket_available(const thrum_socket *socket, size_t *size) noexcept
{
    if (!socket->is_open())
        return EBADF;
    return descriptor_bytes_readable(socket->descriptor, size);
}

int thrum_socket_at_mark(const thrum_socket *socket, bool *is_at_mark) noexcept
{
    if (!socket->is_open())
        return EBADF;
    return descriptor_at_mark(socket->descriptor, is_at_mark);
}

// ---- calls that never wait ----

int thrum_socket_bind(thrum_socket *socket, const struct thrum_endpoint *endpoint) noexcept
{
    if (!socket->is_open())
        return EBADF;
    error_code code;
    socket->io->bind(thrum::any_protocol::endpoint(endpoint), code);
    return error_from(code);
}

int thrum_socket_listen(thrum_socket *socket, int backlog) noexcept
{
    if (!socket->is_open())
        return EBADF;
    return ::listen(socket->descriptor, backlog) == 0 ? 0 : errno;
}

int thrum_socket_shutdown(thrum_socket *socket, int how) noexcept
{
    return socket->shutdown(how);
}

int thrum_socket_set_option(thrum_socket *socket, int level, int name, const void *value,
                            size_t size) noexcept
{
    if (!socket->is_open())
        return EBADF;
    int error = thrum::set_option(*socket->io, level, name, value, size);
    if (!error && is_interface_option(level, name))
        socket->connected_zone = 0; // from now on it is the caller's to say
    return error;
}

int thrum_socket_get_option(const thrum_socket *socket, int level, int name, void *value,
                            size_t *size) noexcept
{
    return socket->is_open() ? thrum::get_option(*socket->io, level, name, value, size) : EBADF;
}

} // extern "C"
