// SPDX-License-Identifier: BSL-1.0
// One attempt: the system call, now, and what its answer means.
//
// Nothing here waits, even if another process has made the open file description blocking:
// src/net/message.c adds MSG_DONTWAIT to every transfer.
#include "socket.hpp"

#include "base/descriptor.h"

namespace thrum
{

int answer_of_unusual(direction &way, int flags) noexcept
{
    if (way.state & direction_closed)
        return EBADF;
    if (flags & MSG_ERRQUEUE) // another queue
        return 0;
    if (way.state & direction_ended)
        return THRUM_EEOF;
    if (way.state & direction_waiting)
        return EAGAIN;
    bool is_exhausted = way.state & direction_exhausted; // only this once is it not asked
    way.state = is_exhausted ? unsigned{direction_skipped} : 0;
    return is_exhausted ? EAGAIN : 0;
}

} // namespace thrum

namespace
{

bool asks_for_bytes(const struct thrum_message *message) noexcept
{
    bool asks = message->n_pieces == 0 && message->size > 0;
    for (std::size_t i = 0; i < message->n_pieces; i++)
        asks = asks || message->pieces[i].iov_len > 0;
    return asks;
}

} // namespace

// The end of records looks like an empty one, that of a stream is nothing where something was asked
// for.
bool thrum_socket::is_at_end(const struct thrum_message *message) const noexcept
{
    if (kind == THRUM_DATAGRAM || message->length > 0 || (message->fds && message->fds->n > 0))
        return false;
    if (is_stream())
        return asks_for_bytes(message);
    return (asks_for_bytes(message) || message->flags & MSG_TRUNC) &&
           descriptor_is_at_end(descriptor);
}

// What a receive has come to, if that is not simply bytes.
int thrum_socket::receive_answer(struct thrum_message *message, int error) noexcept
{
    if (message->flags & MSG_ERRQUEUE) // another queue
        return error;
    if (error == EAGAIN && is_stream() && !asks_for_bytes(message)) {
        message->length = 0;
        return 0;
    }
    if (!error && is_at_end(message))
        error = THRUM_EEOF;
    if (error == EAGAIN)
        note_exhausted();
    else if (error == THRUM_EEOF)
        receiving.state |= thrum::direction_ended;
    return error;
}

// There is nothing more to take. If that is so right after a wait, things come one by one.
void thrum_socket::note_exhausted() noexcept
{
    receiving.state |= thrum::direction_exhausted;
    receiving.comes_in_bursts = !receiving.is_trying_after_wait;
    receiving.is_trying_after_wait = false;
}

// A datagram that finds no local port to go out from gets EAGAIN, and nothing will wake it:
// sendto(2).
bool thrum_socket::has_no_port() const noexcept
{
    struct thrum_endpoint local;
    if (kind != THRUM_DATAGRAM || (family != AF_INET && family != AF_INET6))
        return false;
    return thrum::ask_name(::getsockname, descriptor, &local) == 0 && local.sa.v4.sin_port == 0;
}
