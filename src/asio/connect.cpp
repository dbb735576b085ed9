// SPDX-License-Identifier: BSL-1.0
// Sockets: connecting and disconnecting.
//
// We make the call and read its result, and Asio only waits: its own connect relies on O_NONBLOCK,
// which somebody else may have cleared, and turns Linux's EAGAIN into other errors.
#include "socket.hpp"

#include "base/descriptor.h"

#include "context.hpp"

using thrum::completion;
using thrum::operation_post;
using thrum::purpose;
using thrum::state_of;

namespace
{

unsigned zone_of(const struct thrum_endpoint *endpoint) noexcept
{
    return endpoint->sa.any.sa_family == AF_INET6 ? endpoint->sa.v6.sin6_scope_id : 0;
}

// At the same place in both families.
in_port_t &port_of(struct thrum_endpoint *endpoint) noexcept
{
    return endpoint->sa.v4.sin_port;
}

int connect_descriptor(int fd, const struct thrum_endpoint *remote) noexcept
{
    return descriptor_connect(fd, &remote->sa.any, remote->size);
}

int disconnect_descriptor(int fd) noexcept
{
    struct thrum_endpoint nowhere = {};
    nowhere.sa.any.sa_family = AF_UNSPEC;
    nowhere.size = sizeof(nowhere.sa.any);
    return connect_descriptor(fd, &nowhere);
}

} // namespace

// ---- zones ----

unsigned thrum_socket::bound_interface() const noexcept
{
    unsigned index = 0;
    return descriptor_bound_interface(descriptor, &index) == 0 ? index : 0;
}

// A connect to a link-local peer has bound the socket to its zone's interface, and as long as it is
// nobody in another zone can be reached. Only disconnecting takes that back without a privilege;
// the port that the system has chosen goes with it, and is bound again.
int thrum_socket::leave_zone() noexcept
{
    struct thrum_endpoint before, after;
    bool is_as_connected = bound_interface() == connected_zone;
    connected_zone = 0;
    if (!is_as_connected) // the program has bound it to another one since
        return 0;
    int error = thrum::ask_name(::getsockname, descriptor, &before);
    if (!error)
        error = disconnect_descriptor(descriptor);
    if (!error)
        error = thrum::ask_name(::getsockname, descriptor, &after);
    if (error || port_of(&after) == port_of(&before))
        return error;
    port_of(&after) = port_of(&before);
    return ::bind(descriptor, &after.sa.any, after.size) == 0 ? 0 : errno;
}

int thrum_socket::connect_datagram(const struct thrum_endpoint *remote) noexcept
{
    unsigned zone = zone_of(remote);
    int error = connected_zone != 0 && connected_zone != zone ? leave_zone() : 0;
    if (error)
        return error;
    bool may_bind = zone != 0 && connected_zone == 0 && bound_interface() == 0;
    error = connect_descriptor(descriptor, remote);
    if (may_bind) // also if it has failed
        connected_zone = bound_interface();
    return error;
}

// ---- connecting ----

// EINPROGRESS, or from a unix socket EAGAIN: it has to wait.
int thrum_socket::connect_now(const struct thrum_endpoint *remote) noexcept
{
    return kind == THRUM_DATAGRAM ? connect_datagram(remote)
                                  : connect_descriptor(descriptor, remote);
}

// A unix listener whose backlog is full is asked again, anybody else has been asked.
int thrum_socket::attempt_connect(const struct thrum_endpoint *remote) noexcept
{
    return family == AF_UNIX ? connect_now(remote) : descriptor_connect_result(descriptor);
}

// Linux: the first connect after one that did not complete at once "succeeds", wherever it was to
// go.
bool thrum_socket::is_connected() const noexcept
{
    struct thrum_endpoint peer;
    return thrum::ask_name(::getpeername, descriptor, &peer) == 0;
}

int thrum_socket::connect(struct thrum_operation *operation,
                          const struct thrum_endpoint *remote) noexcept
{
    if (state_of(operation).owner)
        return EBUSY;
    if (kind != THRUM_DATAGRAM && is_connected())
        return EISCONN;
    int error = is_open() ? 0 : open(remote->sa.any.sa_family, 0);
    if (error)
        return error;
    state_of(operation).life = life;
    operation->endpoint = *remote;
    return operation_start(operation, this, purpose::connect, [&](completion) {
        int result = connect_now(&operation->endpoint);
        if (result == EAGAIN || result == EINPROGRESS)
            launch_connect(operation);
        else
            operation_post(operation, result, 0);
    });
}

void thrum_socket::launch_connect(struct thrum_operation *operation)
{
    if (family == AF_UNIX)
        return launch_pause(operation);
    io->async_wait(io->wait_write, completion{operation});
    state_of(operation).is_waiting = true;
}

extern "C" {

int thrum_socket_try_connect(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    if (socket->kind != THRUM_DATAGRAM)
        return EAGAIN;
    int error = socket->is_open() ? 0 : socket->open(remote->sa.any.sa_family, 0);
    return error ? error : socket->connect_now(remote);
}

int thrum_socket_connect(thrum_socket *socket, struct thrum_operation *operation,
                         const struct thrum_endpoint *remote) noexcept
{
    return socket->connect(operation, remote);
}

int thrum_socket_disconnect(thrum_socket *socket) noexcept
{
    if (!socket->is_open())
        return EBADF;
    if (socket->kind != THRUM_DATAGRAM)
        return EOPNOTSUPP;
    socket->connected_zone = 0; // the system lets go of the interface, too
    return disconnect_descriptor(socket->descriptor);
}

} // extern "C"
