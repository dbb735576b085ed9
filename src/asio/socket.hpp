// SPDX-License-Identifier: BSL-1.0
// The core of a socket: every family, every kind.
#ifndef ASIO_SOCKET_HPP
#define ASIO_SOCKET_HPP

#include <cerrno>
#include <optional>

#include <thrum/socket.h>

#include "net/message.h"

#include "context.hpp"
#include "direction.hpp"
#include "object.hpp"
#include "operation.hpp"
#include "protocol.hpp"

struct thrum_socket final : thrum::object {
    std::optional<thrum::io_socket> io;
    const thrum_kind kind;
    int descriptor = -1;
    int family = AF_UNSPEC;
    thrum::direction receiving;
    thrum::direction sending;
    thrum::direction urgent;              // receives of out-of-band data and of the error queue
    std::optional<thrum::io_timer> pause; // where the kernel does not tell when to try again
    unsigned connected_zone = 0;          // the interface that a link-local connect has bound
    unsigned generation = 0; // counts descriptors; an operation of an earlier one changes nothing

    thrum_socket(thrum_context *context, thrum_kind kind);

    bool is_open() const noexcept
    {
        return descriptor >= 0;
    }

    bool is_stream() const noexcept
    {
        return kind == THRUM_STREAM;
    }

    void reset() noexcept override;
    bool on_complete(struct thrum_operation *operation) noexcept override;
    void forget(struct thrum_operation *operation) noexcept override;

    // socket.cpp: its life
    int open(int family, int number) noexcept;
    int assign(int family, int fd) noexcept;
    int adopt(int family, int fd) noexcept; // non-blocking and close-on-exec already
    int close() noexcept;
    int release(int *fd) noexcept;
    int cancel() noexcept;
    int shutdown(int how) noexcept;

    // attempt.cpp: the system calls, now
    int receive_now(struct thrum_message *message) noexcept;
    int send_now(struct thrum_message *message) noexcept;
    int receive_answer(struct thrum_message *message, int error) noexcept;
    void note_exhausted() noexcept;

    // queue.cpp: who waits, in which order
    int start(struct thrum_operation *operation, thrum::operation_type type) noexcept;
    int wait(struct thrum_operation *operation, thrum_wait what) noexcept;
    void launch_wait(struct thrum_operation *operation);
    void cancel_first(struct thrum_operation *operation) noexcept;
    void cancel_queued(struct thrum_operation *operation) noexcept;
    void end_receives() noexcept;
    void launch_deferred(struct thrum_operation *operation) noexcept;
    bool try_deferred(struct thrum_operation *operation) noexcept;

  private:
    void opened(int family, int fd) noexcept;
    void end_generation() noexcept;
    int attempt(struct thrum_operation *operation) noexcept;
    thrum::direction &direction_of(const struct thrum_operation *operation) noexcept;
    bool has_no_port() const noexcept;
    bool is_at_end(const struct thrum_message *message) const noexcept;
    bool lacks_readiness_event(struct thrum_operation *operation) const noexcept;
    bool is_first(struct thrum_operation *operation) noexcept;
    void launch_pause(struct thrum_operation *operation);
    void launch_first(struct thrum_operation *operation);
    void advance(thrum::direction &way) noexcept;
    void leave_queue(struct thrum_operation *operation) noexcept;
    void launch_watch(struct thrum_operation *operation);
    void watch_ended(struct thrum_operation *operation) noexcept;
    void drain(struct list *queue) noexcept;
    bool is_urgent(const struct thrum_operation *operation) const noexcept;
    bool is_shut_elsewhere(const struct thrum_operation *operation) noexcept;
    void launch_again(struct thrum_operation *operation);
    int answer_cancelled(struct thrum_operation *operation) noexcept;
    bool retry(struct thrum_operation *operation) noexcept;
    void note_received(const struct thrum_operation *operation) noexcept;
    template <typename Visit>
    void each_pending(Visit visit) noexcept;
};

inline int thrum_socket::receive_now(struct thrum_message *message) noexcept
{
    int error = message_receive(descriptor, message);
    if (__builtin_expect(error != 0 || message->length == 0, false))
        return receive_answer(message, error);
    receiving.is_trying_after_wait = false;
    return 0;
}

inline int thrum_socket::send_now(struct thrum_message *message) noexcept
{
    int error = message_send(descriptor, message);
    bool is_unsent = error == EAGAIN && message->peer;
    return __builtin_expect(is_unsent, false) && has_no_port() ? EADDRNOTAVAIL : error;
}

// The operations on this descriptor, in the order they were started. `visit` may end one, not
// complete it.
template <typename Visit>
void thrum_socket::each_pending(Visit visit) noexcept
{
    for (struct list *node = pending.next; node != &pending; node = node->next) {
        struct thrum_operation *operation = thrum::operation_at(node);
        thrum::operation_state &state = thrum::state_of(operation);
        if (state.generation == generation)
            visit(operation, state);
    }
}

namespace thrum
{

// getsockname(2) or getpeername(2): Asio's own would return the endpoint by value, and ours has no
// bytes of its own.
inline int ask_name(decltype(::getsockname) *ask, int fd, struct thrum_endpoint *endpoint) noexcept
{
    socklen_t size = sizeof(endpoint->sa);
    if (fd < 0)
        return EBADF;
    if (ask(fd, &endpoint->sa.any, &size) != 0)
        return errno;
    any_protocol::endpoint(endpoint).resize(size);
    return 0;
}

} // namespace thrum

#endif
