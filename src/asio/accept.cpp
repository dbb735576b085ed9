// SPDX-License-Identifier: BSL-1.0
// Accepting. Asio's own accept cannot make descriptors close-on-exec from the start.
#include "socket.hpp"

#include "base/descriptor.h"

#include "context.hpp"
#include "direction.hpp"

using thrum::operation_state;
using thrum::operation_type;
using thrum::state_of;

namespace
{

// The peer has gone again: there may be another connection.
bool is_passing(int error) noexcept
{
    return error == ECONNABORTED || error == EPROTO || error == EINTR;
}

int check_target(const thrum_socket *listener, const thrum_socket *target) noexcept
{
    if (target->kind != listener->kind || target->context != listener->context)
        return EINVAL;
    if (listener->kind == THRUM_DATAGRAM) // nothing would ever come
        return EOPNOTSUPP;
    return target->is_open() ? THRUM_EALREADY_OPEN : 0;
}

int accept_now(thrum_socket *listener, thrum_socket *target) noexcept
{
    int fd, error;
    if (target->is_freed())
        return ECANCELED;
    if (target->is_open()) // since the start
        return THRUM_EALREADY_OPEN;
    do
        error = descriptor_accept(listener->descriptor, &fd);
    while (is_passing(error));
    thrum::direction &way = listener->receiving;
    way.is_trying_after_wait = way.is_trying_after_wait && error;
    if (error == EAGAIN)
        listener->note_exhausted();
    if (error)
        return error;
    error = target->adopt(listener->family, fd);
    if (error)
        descriptor_close(fd);
    return error;
}

int attempt(thrum_socket *listener, struct thrum_operation *operation) noexcept
{
    return accept_now(listener, state_of(operation).target);
}

} // namespace

extern "C" {

int thrum_socket_try_accept(thrum_socket *listener, thrum_socket *socket) noexcept
{
    int error = thrum::answer_without_asking(listener->receiving, 0);
    if (!error)
        error = check_target(listener, socket);
    return error ? error : accept_now(listener, socket);
}

int thrum_socket_accept(thrum_socket *listener, struct thrum_operation *operation,
                        thrum_socket *socket) noexcept
{
    operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (!listener->is_open())
        return EBADF;
    int error = check_target(listener, socket);
    if (error)
        return error;
    state.attempt = attempt;
    state.target = socket;
    socket->ref();
    return listener->start(operation, operation_type::accept);
}

} // extern "C"
