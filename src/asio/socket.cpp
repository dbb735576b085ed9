// SPDX-License-Identifier: BSL-1.0
// Sockets: their life, their state, and the calls that never wait.
#include "socket.hpp"

#include "context.hpp"
#include "descriptor.hpp"
#include "option.hpp"

using boost::system::error_code;
using thrum::error_from;
using thrum::guarded;
using thrum::state_of;

// ---- life ----

thrum_socket::thrum_socket(thrum_context *context, thrum_kind kind)
    : object(context), io(*context->io), kind(kind)
{
}

void thrum_socket::reset() noexcept
{
    end_life();
    pause.reset();
    io.reset();
}

void thrum_socket::opened(int new_family, int fd) noexcept
{
    descriptor = fd;
    family = new_family;
    receiving = thrum::direction();
    sending = thrum::direction();
    receiving.gate = 0;
    sending.gate = 0;
    ++life;
}

void thrum_socket::end_life() noexcept
{
    disarm();
    if (pause)
        pause->cancel();
    descriptor = -1;
    family = AF_UNSPEC;
    receiving = thrum::direction();
    sending = thrum::direction();
    ++life;
}

int thrum_socket::open(int new_family, int number) noexcept
{
    if (!io)
        return EBADF;
    if (is_open())
        return THRUM_EALREADY_OPEN;
    int fd = -1;
    int error = guarded([&] { return thrum::open(*io, new_family, kind, number, &fd); });
    if (!error)
        opened(new_family, fd);
    return error;
}

int thrum_socket::adopt(int new_family, int fd) noexcept
{
    int error = guarded([&] { return thrum::adopt(*io, new_family, kind, 0, fd); });
    if (!error)
        opened(new_family, fd);
    return error;
}

int thrum_socket::close() noexcept
{
    if (!is_open())
        return 0;
    end_life();
    return thrum::close(*io);
}

int thrum_socket::release(int *fd) noexcept
{
    if (!is_open())
        return EBADF;
    end_life();
    error_code code;
    *fd = io->release(code);
    return error_from(code);
}

int thrum_socket::cancel() noexcept
{
    if (!is_open())
        return EBADF;
    for (struct list *node = pending.next; node != &pending; node = node->next)
        state_of(thrum::operation_at(node)).is_cancelled = true;
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

int thrum_socket_assign(thrum_socket *socket, int family, int fd) noexcept
{
    if (!socket->io)
        return EBADF;
    if (socket->is_open())
        return THRUM_EALREADY_OPEN;
    int error = thrum::check_and_prepare(fd, family, socket->kind, false);
    return error ? error : socket->adopt(family, fd);
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

int thrum_socket_available(const thrum_socket *socket, size_t *size) noexcept
{
    if (!socket->is_open())
        return EBADF;
    error_code code;
    *size = socket->io->available(code);
    return error_from(code);
}

// ---- calls that never wait ----

int thrum_socket_bind(thrum_socket *socket, const struct thrum_endpoint *endpoint) noexcept
{
    return socket->is_open() ? thrum::bind(*socket->io, endpoint) : EBADF;
}

int thrum_socket_disconnect(thrum_socket *socket) noexcept
{
    struct thrum_endpoint nowhere = {};
    nowhere.sa.any.sa_family = AF_UNSPEC;
    nowhere.size = sizeof(nowhere.sa.any);
    if (!socket->is_open())
        return EBADF;
    if (socket->kind != THRUM_DATAGRAM)
        return EOPNOTSUPP;
    error_code code;
    socket->io->connect(thrum::any_protocol::endpoint(&nowhere), code);
    return error_from(code);
}

int thrum_socket_shutdown(thrum_socket *socket, int how) noexcept
{
    return socket->shutdown(how);
}

int thrum_socket_set_option(thrum_socket *socket, int level, int name, const void *value,
                            size_t size) noexcept
{
    return socket->is_open() ? thrum::set_option(*socket->io, level, name, value, size) : EBADF;
}

int thrum_socket_get_option(const thrum_socket *socket, int level, int name, void *value,
                            size_t *size) noexcept
{
    return socket->is_open() ? thrum::get_option(*socket->io, level, name, value, size) : EBADF;
}

} // extern "C"
