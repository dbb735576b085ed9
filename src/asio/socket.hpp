// SPDX-License-Identifier: BSL-1.0
// The core of a socket: every family, every kind.
#ifndef ASIO_SOCKET_HPP
#define ASIO_SOCKET_HPP

#include <cerrno>
#include <optional>

#include <thrum/socket.h>

#include "context.hpp"
#include "object.hpp"
#include "operation.hpp"
#include "protocol.hpp"

namespace thrum
{

// Why a transfer is not simply tried. The hot path looks at all of them in one comparison.
enum gate : unsigned {
    gate_closed = 1,  // no descriptor
    gate_eof = 2,     // nothing will be received any more
    gate_waiting = 4, // an operation waits: who comes now comes after it
    gate_skip = 8     // the last attempt found nothing: start, which asks as well
};

// One direction of a socket.
struct direction : operation_queue {
    unsigned gate = gate_closed;
    unsigned n_waiting = 0; // operations that have not completed
};

} // namespace thrum

struct thrum_socket final : thrum::object {
    std::optional<thrum::io_socket> io;
    const thrum_kind kind;
    int descriptor = -1;
    int family = AF_UNSPEC;
    thrum::direction receiving;
    thrum::direction sending;
    thrum::operation_queue urgent;   // receives out of band
    thrum::operation_queue connects; // to unix listeners whose backlog is full
    thrum::operation_queue read_waits;
    thrum::operation_queue write_waits;
    std::optional<thrum::io_timer> pause; // where the kernel does not tell when to send again
    unsigned life = 0; // counts openings; an operation of an earlier one changes nothing here

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
    bool settle(struct thrum_operation *operation) noexcept override;
    void forget(struct thrum_operation *operation) noexcept override;

    int open(int family, int number) noexcept;
    int assign(int family, int fd) noexcept;
    int adopt(int family, int fd) noexcept; // non-blocking and close-on-exec already
    int close() noexcept;
    int release(int *fd) noexcept;
    int cancel() noexcept;
    int shutdown(int how) noexcept;

    int receive_answer(int error, const thrum::transfer &what, std::size_t size) noexcept;
    int receive_now(const thrum::transfer &what, std::size_t *size) noexcept;
    int send_now(const thrum::transfer &what, std::size_t *size) noexcept;
    int send_to_now(const thrum::transfer &what, const struct thrum_endpoint *receiver,
                    std::size_t *size) noexcept;
    int accept_now(thrum_socket *target) noexcept;
    int connect_now(const struct thrum_endpoint *remote) noexcept;
    int check_target(const thrum_socket *target) const noexcept;
    int receive_fds_now(const thrum::transfer &what, struct thrum_fds *list,
                        struct thrum_endpoint *sender, std::size_t *size) noexcept;
    int send_fds_now(const thrum::transfer &what, const struct thrum_fds *list,
                     const struct thrum_endpoint *receiver, std::size_t *size) noexcept;
    int check_fds(thrum::purpose does, const thrum::transfer &what, const struct thrum_fds *list,
                  bool has_peer) const noexcept;
    // A receive or send; `receiver` and `list` may be NULL.
    int start(struct thrum_operation *operation, thrum::purpose does, const thrum::transfer &what,
              const struct thrum_endpoint *receiver, struct thrum_fds *list = nullptr) noexcept;
    int accept(struct thrum_operation *operation, thrum_socket *target) noexcept;
    int connect(struct thrum_operation *operation, const struct thrum_endpoint *remote) noexcept;
    int wait(struct thrum_operation *operation, thrum_wait what) noexcept;
    void cancel_urgent(struct thrum_operation *operation) noexcept;
    void cancel_late(struct thrum_operation *operation) noexcept;
    void launch_late() noexcept;
    bool try_late(struct thrum_operation *operation) noexcept;

  private:
    void opened(int family, int fd) noexcept;
    void end_life() noexcept;
    void reset_queues() noexcept;
    thrum::direction &direction_of(thrum::purpose does) noexcept;
    thrum::operation_queue &queue_of(struct thrum_operation *operation) noexcept;
    bool is_unbound() const noexcept;
    bool is_connected() const noexcept;
    bool is_at_end(const thrum::transfer &what, std::size_t size) const noexcept;
    bool is_untold(struct thrum_operation *operation) noexcept;
    bool is_awaited(struct thrum_operation *operation) noexcept;
    bool asks_first(struct thrum_operation *operation) noexcept;
    bool must_queue(struct thrum_operation *operation) noexcept;
    int attempt(struct thrum_operation *operation, std::size_t *size) noexcept;
    int begin(struct thrum_operation *operation, thrum::purpose does) noexcept;
    bool may_be_late(struct thrum_operation *operation) noexcept;
    void enter(struct thrum_operation *operation);
    void launch(struct thrum_operation *operation);
    void launch_receive(struct thrum_operation *operation);
    void launch_send(struct thrum_operation *operation);
    void launch_connect(struct thrum_operation *operation);
    void launch_pause(struct thrum_operation *operation);
    void launch_awaited(struct thrum_operation *operation);
    void launch_wait(struct thrum_operation *operation);
    void advance(thrum::operation_queue &queue) noexcept;
    void leave(struct thrum_operation *operation) noexcept;
    bool retry(struct thrum_operation *operation) noexcept;
    void settle_transfer(struct thrum_operation *operation) noexcept;
    void settle_receive(struct thrum_operation *operation) noexcept;
    void end_receives() noexcept;
    void end_receives_of(thrum::operation_queue &queue) noexcept;
    void end_queue(thrum::operation_queue &queue) noexcept;
    template <typename Visit>
    void each_queue(Visit visit) noexcept;
};

template <typename Visit>
void thrum_socket::each_queue(Visit visit) noexcept
{
    thrum::operation_queue *queues[] = {&receiving, &sending,    &urgent,
                                        &connects,  &read_waits, &write_waits};
    for (thrum::operation_queue *queue : queues)
        visit(*queue);
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
