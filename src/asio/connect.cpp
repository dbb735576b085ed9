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
using thrum::operation_type;
using thrum::state_of;
using thrum::step;

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

// ---- zones ----

unsigned bound_interface(const thrum_socket *socket) noexcept
{
    unsigned index = 0;
    return descriptor_bound_interface(socket->descriptor, &index) == 0 ? index : 0;
}

// A connect to a link-local peer has bound the socket to its zone's interface, and as long as it is
// nobody in another zone can be reached. Only disconnecting takes that back without a privilege;
// the port that the system has chosen goes with it, and is bound again.
int leave_zone(thrum_socket *socket) noexcept
{
    struct thrum_endpoint before, after;
    bool is_as_connected = bound_interface(socket) == socket->connected_zone;
    socket->connected_zone = 0;
    if (!is_as_connected) // the program has bound it to another one since
        return 0;
    int error = thrum::ask_name(::getsockname, socket->descriptor, &before);
    if (!error)
        error = disconnect_descriptor(socket->descriptor);
    if (!error)
        error = thrum::ask_name(::getsockname, socket->descriptor, &after);
    if (error || port_of(&after) == port_of(&before))
        return error;
    port_of(&after) = port_of(&before);
    return ::bind(socket->descriptor, &after.sa.any, after.size) == 0 ? 0 : errno;
}

int connect_datagram(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    unsigned zone = zone_of(remote), connected = socket->connected_zone;
    int error = connected != 0 && connected != zone ? leave_zone(socket) : 0;
    if (error)
        return error;
    bool may_bind = zone != 0 && socket->connected_zone == 0 && bound_interface(socket) == 0;
    error = connect_descriptor(socket->descriptor, remote);
    if (may_bind) // also if it has failed
        socket->connected_zone = bound_interface(socket);
    return error;
}

// ---- connecting ----

// EINPROGRESS, or from a unix socket EAGAIN: it has to wait.
int connect_now(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    return socket->kind == THRUM_DATAGRAM ? connect_datagram(socket, remote)
                                          : connect_descriptor(socket->descriptor, remote);
}

// Linux: the first connect after one that did not complete at once "succeeds", wherever it was to
// go.
bool is_connected(const thrum_socket *socket) noexcept
{
    struct thrum_endpoint peer;
    return thrum::ask_name(::getpeername, socket->descriptor, &peer) == 0;
}

// A unix listener whose backlog is full is asked again, anybody else has been asked. The error
// stands in the socket once, and another call may have taken it: a receive, or who asks for
// SO_ERROR.
int attempt(thrum_socket *socket, struct thrum_operation *operation) noexcept
{
    if (socket->family == AF_UNIX)
        return connect_now(socket, state_of(operation).remote);
    int error = descriptor_connect_result(socket->descriptor);
    return error == 0 && !is_connected(socket) ? ENOTCONN : error;
}

int open_for(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    return socket->is_open() ? 0 : socket->open(remote->sa.any.sa_family, 0);
}

} // namespace

extern "C" {

int thrum_socket_try_connect(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    if (socket->kind != THRUM_DATAGRAM)
        return EAGAIN;
    int error = open_for(socket, remote);
    return error ? error : connect_now(socket, remote);
}

int thrum_socket_connect(thrum_socket *socket, struct thrum_operation *operation,
                         const struct thrum_endpoint *remote) noexcept
{
    thrum::operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (socket->kind != THRUM_DATAGRAM && is_connected(socket))
        return EISCONN;
    int error = open_for(socket, remote);
    if (error)
        return error;
    state.generation = socket->generation;
    state.attempt = attempt;
    state.remote = remote;
    return operation_start(operation, socket, operation_type::connect, [&](completion) {
        int result = connect_now(socket, remote);
        if (result == EAGAIN || result == EINPROGRESS)
            return socket->launch_wait(operation);
        state.step = step::ended;
        operation_post(operation, result);
    });
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
