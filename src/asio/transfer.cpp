// SPDX-License-Identifier: BSL-1.0
// Receiving and sending, as C calls it: try now, or start an operation.
#include "socket.hpp"

#include "net/message.h"

#include "direction.hpp"

using thrum::answer_without_asking;
using thrum::operation_type;
using thrum::state_of;

namespace
{

// What a message says that such a socket cannot do. Bytes to or from a peer, the usual case, pass
// by one comparison.
int check_unusual(const thrum_socket *socket, const struct thrum_message *message,
                  operation_type type) noexcept
{
    const struct thrum_fds *fds = message->fds;
    bool is_receive = type == operation_type::receive;
    if (socket->is_stream() && message->peer)
        return EOPNOTSUPP;
    if (!fds)
        return 0;
    if (socket->family != AF_UNIX)
        return EOPNOTSUPP;
    bool is_empty = message->size == 0 && message->n_pieces == 0;
    if ((is_receive ? fds->max : fds->n) > THRUM_MAX_FDS || (is_receive && fds->n > 0) ||
        (socket->is_stream() && is_empty))
        return EINVAL;
    return 0;
}

inline int check(const thrum_socket *socket, const struct thrum_message *message,
                 operation_type type) noexcept
{
    bool is_usual = !message->fds && !(socket->is_stream() && message->peer);
    return __builtin_expect(is_usual, true) ? 0 : check_unusual(socket, message, type);
}

int attempt_receive(thrum_socket *socket, struct thrum_operation *operation) noexcept
{
    return socket->receive_now(state_of(operation).message);
}

int attempt_send(thrum_socket *socket, struct thrum_operation *operation) noexcept
{
    return socket->send_now(state_of(operation).message);
}

int start(thrum_socket *socket, struct thrum_operation *operation, struct thrum_message *message,
          operation_type type) noexcept
{
    const thrum::direction &way =
        type == operation_type::send ? socket->sending : socket->receiving;
    if (state_of(operation).owner)
        return EBUSY;
    if (way.state & thrum::direction_closed)
        return EBADF;
    int error = check(socket, message, type);
    if (error)
        return error;
    if (way.state & thrum::direction_ended)
        return THRUM_EEOF;
    state_of(operation).attempt = type == operation_type::send ? attempt_send : attempt_receive;
    state_of(operation).message = message;
    return socket->start(operation, type);
}

// Datagrams of one piece each: what a batch moves.
int check_batch(const thrum_socket *socket, const struct thrum_message *messages,
                std::size_t n) noexcept
{
    if (socket->is_stream())
        return EOPNOTSUPP;
    for (std::size_t i = 0; i < n; i++)
        if (messages[i].fds || messages[i].control_size > 0 || messages[i].n_pieces > 0)
            return EINVAL;
    return n > 0 ? 0 : EINVAL;
}

} // namespace

extern "C" {

int thrum_socket_try_receive(thrum_socket *socket, struct thrum_message *message) noexcept
{
    int error = answer_without_asking(socket->receiving, message->flags);
    if (!error)
        error = check(socket, message, operation_type::receive);
    if (error)
        return error;
    if (message->flags & MSG_OOB && socket->is_stream())
        return EAGAIN; // recv(2) answers EINVAL until it is there
    return socket->receive_now(message);
}

int thrum_socket_try_send(thrum_socket *socket, struct thrum_message *message) noexcept
{
    int error = answer_without_asking(socket->sending, 0);
    if (!error)
        error = check(socket, message, operation_type::send);
    return error ? error : socket->send_now(message);
}

int thrum_socket_try_receive_batch(thrum_socket *socket, struct thrum_message *messages, size_t n,
                                   size_t *count) noexcept
{
    int error = answer_without_asking(socket->receiving, 0);
    if (!error)
        error = check_batch(socket, messages, n);
    if (error)
        return error;
    error = message_receive_batch(socket->descriptor, messages, n, count);
    if (error)
        return socket->receive_answer(messages, error);
    socket->receiving.is_trying_after_wait = false;
    while (*count > 0 && messages[*count - 1].length == 0 &&
           socket->receive_answer(&messages[*count - 1], 0) != 0)
        --*count;
    return *count > 0 ? 0 : THRUM_EEOF;
}

int thrum_socket_try_send_batch(thrum_socket *socket, struct thrum_message *messages, size_t n,
                                size_t *count) noexcept
{
    int error = answer_without_asking(socket->sending, 0);
    if (!error)
        error = check_batch(socket, messages, n);
    return error ? error : message_send_batch(socket->descriptor, messages, n, count);
}

int thrum_socket_receive(thrum_socket *socket, struct thrum_operation *operation,
                         struct thrum_message *message) noexcept
{
    return start(socket, operation, message, operation_type::receive);
}

int thrum_socket_send(thrum_socket *socket, struct thrum_operation *operation,
                      struct thrum_message *message) noexcept
{
    return start(socket, operation, message, operation_type::send);
}

int thrum_socket_wait(thrum_socket *socket, struct thrum_operation *operation,
                      enum thrum_wait what) noexcept
{
    return socket->wait(operation, what);
}

} // extern "C"
