// SPDX-License-Identifier: BSL-1.0
// Sockets: what is tried, what is started, and what follows from its completion.
//
// Asio knows one operation of each direction at a time, and the others queue (must_queue, advance):
// first come, first served, and one of many ends at the cost of one. Asio performs what it has
// words for. The rest is awaited: Asio tells when the descriptor is ready, and then we try
// (launch_awaited, retry). Those who wait until the socket is ready are told together (leave).
//
// Two things have to be done for Asio's reactor, which is edge-triggered. When a stream's end or
// an error is seen, it looks no further: receives that start later would never be woken. So the end
// is remembered and given to everybody (end_receives), and after an error whoever is next asks
// first (is_stale).
//
// And one thing for Linux, which does not always tell when to try again: a unix datagram socket
// that sends to a named receiver whose queue is full counts as writable, each attempt that fails
// even makes a new event of it, and the reactor would spin (is_untold); and a unix connect to a
// listener whose backlog is full is no connect under way. There a timer says when (launch_pause).
#include "socket.hpp"

#include <boost/asio/buffer.hpp>

#include "base/descriptor.h"
#include "net/message.h"

#include "context.hpp"

using boost::asio::buffer;
using boost::system::error_code;
using thrum::completion;
using thrum::error_from;
using thrum::guarded;
using thrum::operation_emit;
using thrum::operation_post;
using thrum::operation_state;
using thrum::operation_unqueue;
using thrum::purpose;
using thrum::state_of;
using thrum::transfer;

namespace
{

// In the size of an operation's endpoint: the receive has not found anything yet.
constexpr socklen_t nothing_yet = ~socklen_t{0};

// A gate is shut: why. 0 if the transfer may be tried all the same.
// Whoever shares the open file description, a child given it as standard input, may have made it
// blocking; the loop must not be.
constexpr int at_once(int flags) noexcept
{
    return flags | MSG_DONTWAIT;
}

int gate_answer(thrum::direction &way, int flags) noexcept
{
    if (way.gate & thrum::gate_closed)
        return EBADF;
    if (flags & MSG_ERRQUEUE) // another queue
        return 0;
    if (way.gate & thrum::gate_eof)
        return THRUM_EEOF;
    if (!(way.gate & thrum::gate_waiting))
        way.gate &= ~thrum::gate_skip;
    return EAGAIN;
}

inline bool is_shut(const thrum::direction &way) noexcept
{
    return __builtin_expect(way.gate != 0, false);
}

// The peer has gone again, or something interrupted: there may be another connection.
bool is_passing(int error) noexcept
{
    return error == ECONNABORTED || error == EPROTO || error == EINTR;
}

bool is_urgent(const operation_state &state) noexcept
{
    return state.does == purpose::receive && state.what.flags & MSG_OOB;
}

// One that others of its direction have to mind.
bool is_transfer(const operation_state &state) noexcept
{
    return state.does != purpose::connect && state.does != purpose::other && !is_urgent(state);
}

// Where Asio cannot cancel: it looks for an out-of-band receive in the wrong queue, and does not
// know what is late.
template <void (thrum_socket::*cancel)(struct thrum_operation *) noexcept>
class canceller
{
  public:
    canceller(thrum_socket *socket, struct thrum_operation *operation) noexcept
        : socket_(socket), operation_(operation)
    {
    }

    void operator()(boost::asio::cancellation_type_t) noexcept
    {
        (socket_->*cancel)(operation_);
    }

  private:
    thrum_socket *socket_;
    struct thrum_operation *operation_;
};

} // namespace

// ---- asking now ----

thrum::direction &thrum_socket::direction_of(purpose does) noexcept
{
    return does == purpose::send ? sending : receiving;
}

thrum::operation_queue &thrum_socket::queue_of(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    switch (state.does) {
    case purpose::connect:
        return connects;
    case purpose::other:
        return state.what.flags == THRUM_WAIT_READ ? read_waits : write_waits;
    default:
        return is_urgent(state) ? urgent : direction_of(state.does);
    }
}

[[gnu::always_inline]] inline int thrum_socket::send_to_now(const transfer &what,
                                                            const struct thrum_endpoint *receiver,
                                                            std::size_t *size) noexcept
{
    error_code code;
    *size = io->send_to(buffer(static_cast<const void *>(what.data), what.size),
                        thrum::any_protocol::endpoint(receiver), at_once(what.flags), code);
    if (!code.failed())
        return 0;
    int error = error_from(code);
    return error == EAGAIN && is_unbound() ? EADDRNOTAVAIL : error;
}

// A datagram that finds no local port to go out from is told EAGAIN, too, and nothing will wake it:
// sendto(2).
bool thrum_socket::is_unbound() const noexcept
{
    struct thrum_endpoint local;
    if (kind != THRUM_DATAGRAM || (family != AF_INET && family != AF_INET6))
        return false;
    return thrum::ask_name(::getsockname, descriptor, &local) == 0 && local.sa.v4.sin_port == 0;
}

// Asio tells the end of a stream. That of records looks like an empty one.
bool thrum_socket::is_at_end(const transfer &what, std::size_t size) const noexcept
{
    bool is_empty = size == 0 && (what.size > 0 || what.flags & MSG_TRUNC);
    return is_empty && kind == THRUM_SEQPACKET && descriptor_is_at_end(descriptor);
}

// What a receive that was tried now has come to, if that is not simply bytes.
int thrum_socket::receive_answer(int error, const transfer &what, std::size_t size) noexcept
{
    if (what.flags & MSG_ERRQUEUE)
        return error;
    if (!error && is_at_end(what, size))
        error = THRUM_EEOF;
    if (error == EAGAIN)
        receiving.gate |= thrum::gate_skip;
    else if (error == THRUM_EEOF)
        receiving.gate |= thrum::gate_eof;
    return error;
}

int thrum_socket::receive_now(const transfer &what, std::size_t *size) noexcept
{
    error_code code;
    *size = io->receive(buffer(what.data, what.size), at_once(what.flags), code);
    return *size != 0 ? 0 : receive_answer(error_from(code), what, *size);
}

// What Asio has no words for.
int thrum_socket::receive_fds_now(const transfer &what, struct thrum_fds *list,
                                  struct thrum_endpoint *sender, std::size_t *size) noexcept
{
    struct message message = {what.data, what.size, what.flags, sender, list->fds, list->max};
    int error = message_receive(descriptor, &message, size);
    list->n = error ? 0 : message.n_fds;
    if (!error && is_stream() && *size == 0)
        error = THRUM_EEOF;
    return !error && list->n > 0 ? 0 : receive_answer(error, what, *size);
}

int thrum_socket::send_fds_now(const transfer &what, const struct thrum_fds *list,
                               const struct thrum_endpoint *receiver, std::size_t *size) noexcept
{
    struct message message = {what.data,  what.size,
                              what.flags, const_cast<struct thrum_endpoint *>(receiver),
                              list->fds,  list->n};
    return message_send(descriptor, &message, size);
}

int thrum_socket::check_fds(purpose does, const transfer &what, const struct thrum_fds *list,
                            bool has_peer) const noexcept
{
    bool is_receive = does == purpose::receive;
    if (!is_open())
        return EBADF;
    if (family != AF_UNIX || (has_peer && is_stream()))
        return EOPNOTSUPP;
    if ((is_receive ? list->max : list->n) > THRUM_MAX_FDS || (is_receive && list->n > 0) ||
        (is_stream() && what.size == 0))
        return EINVAL;
    return 0;
}

int thrum_socket::send_now(const transfer &what, std::size_t *size) noexcept
{
    error_code code;
    *size = io->send(buffer(static_cast<const void *>(what.data), what.size), at_once(what.flags),
                     code);
    return code.failed() ? error_from(code) : 0;
}

// A unix connect is done at once, or refused, or EAGAIN: the listener's backlog is full. Asio would
// take that for "in progress", find the socket writable and report a connection that is not there.
int thrum_socket::connect_now(const struct thrum_endpoint *remote) noexcept
{
    int error;
    do
        error = ::connect(descriptor, &remote->sa.any, remote->size) == 0 ? 0 : errno;
    while (error == EINTR);
    return error;
}

int thrum_socket::check_target(const thrum_socket *target) const noexcept
{
    if (target->kind != kind || target->context != context)
        return EINVAL;
    return target->is_open() ? THRUM_EALREADY_OPEN : 0;
}

// Asio's own accept cannot make descriptors close-on-exec.
int thrum_socket::accept_now(thrum_socket *target) noexcept
{
    int fd, error;
    if (target->is_freed())
        return ECANCELED;
    if (target->is_open()) // since the start
        return THRUM_EALREADY_OPEN;
    do
        error = descriptor_accept(descriptor, &fd);
    while (is_passing(error));
    if (error)
        return error;
    error = target->adopt(family, fd);
    if (error)
        descriptor_close(fd);
    return error;
}

bool thrum_socket::is_awaited(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    if (state.does == purpose::accept)
        return true;
    bool may_have_list = state.does == purpose::receive || state.does == purpose::send;
    return may_have_list && state.list && !is_untold(operation);
}

bool thrum_socket::is_untold(struct thrum_operation *operation) noexcept
{
    return state_of(operation).does == purpose::send && operation->endpoint.size != 0 &&
           ((family == AF_UNIX && kind == THRUM_DATAGRAM) || is_unbound());
}

int thrum_socket::attempt(struct thrum_operation *operation, std::size_t *size) noexcept
{
    const operation_state &state = state_of(operation);
    if (state.does == purpose::accept)
        return accept_now(state.target);
    if (state.does == purpose::connect)
        return connect_now(&operation->endpoint);
    const struct thrum_endpoint *receiver =
        operation->endpoint.size ? &operation->endpoint : nullptr;
    if (state.list && state.does == purpose::receive)
        return receive_fds_now(state.what, state.list, &operation->endpoint, size);
    if (state.list)
        return send_fds_now(state.what, state.list, receiver, size);
    if (state.does == purpose::receive)
        return receive_now(state.what, size);
    if (receiver)
        return send_to_now(state.what, &operation->endpoint, size);
    return send_now(state.what, size);
}

// ---- starting ----

void thrum_socket::launch(struct thrum_operation *operation)
{
    if (is_awaited(operation))
        return launch_awaited(operation);
    switch (state_of(operation).does) {
    case purpose::receive:
        return launch_receive(operation);
    case purpose::send:
        return launch_send(operation);
    case purpose::connect:
        return launch_connect(operation);
    default:
        return launch_wait(operation);
    }
}

void thrum_socket::launch_receive(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    auto bytes = buffer(state.what.data, state.what.size);
    completion handler{operation};
    if (!is_stream()) {
        operation->endpoint.size = nothing_yet;
        // To a datagram MSG_OOB means nothing, but Asio would wait for urgent data.
        io->async_receive_from(bytes, state.sender, at_once(state.what.flags & ~MSG_OOB), handler);
        state.is_found_at_once = operation->endpoint.size != nothing_yet;
    } else {
        io->async_receive(bytes, at_once(state.what.flags), handler);
        if (state.what.flags & MSG_OOB)
            thrum::operation_slot(operation).emplace<canceller<&thrum_socket::cancel_urgent>>(
                this, operation);
    }
}

void thrum_socket::launch_send(struct thrum_operation *operation)
{
    const transfer &what = state_of(operation).what;
    auto bytes = buffer(static_cast<const void *>(what.data), what.size);
    completion handler{operation};
    if (is_untold(operation))
        launch_pause(operation);
    else if (operation->endpoint.size != 0)
        io->async_send_to(bytes, thrum::any_protocol::endpoint(&operation->endpoint),
                          at_once(what.flags), handler);
    else
        io->async_send(bytes, at_once(what.flags), handler);
}

void thrum_socket::launch_connect(struct thrum_operation *operation)
{
    if (family == AF_UNIX)
        launch_pause(operation);
    else
        io->async_connect(thrum::any_protocol::endpoint(&operation->endpoint),
                          completion{operation});
}

void thrum_socket::launch_pause(struct thrum_operation *operation)
{
    if (!pause)
        pause.emplace(*context->io);
    if (pause->expiry() <= thrum::steady_clock::now())
        pause->expires_after(std::chrono::milliseconds(1)); // who still waits is woken
    pause->async_wait(completion{operation});
    state_of(operation).is_waiting = true;
}

void thrum_socket::launch_awaited(struct thrum_operation *operation)
{
    bool is_send = state_of(operation).does == purpose::send;
    io->async_wait(is_send ? io->wait_write : io->wait_read, completion{operation});
    state_of(operation).is_waiting = true;
}

void thrum_socket::launch_wait(struct thrum_operation *operation)
{
    bool is_read = state_of(operation).what.flags == THRUM_WAIT_READ;
    io->async_wait(is_read ? io->wait_read : io->wait_write, completion{operation});
}

// Linux answers the second connect itself: EALREADY.
bool thrum_socket::must_queue(struct thrum_operation *operation) noexcept
{
    bool is_answered = state_of(operation).does == purpose::connect && family != AF_UNIX;
    return !is_answered && queue_of(operation).is_busy();
}

// It will be launched with others: see late.cpp.
bool thrum_socket::may_be_late(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    return state.does == purpose::receive && is_stream() && !state.list && context->takes_late();
}

void thrum_socket::launch_late() noexcept
{
    advance(receiving);
}

// True if it has got something.
bool thrum_socket::try_late(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    std::size_t size = 0;
    state.is_late = false;
    operation_unqueue(operation);
    receiving.launched = operation;
    int result = attempt(operation, &size);
    state.is_found_at_once = result == 0;
    if (result != EAGAIN) {
        thrum::operation_complete(operation, result, size);
        return result == 0;
    }
    receiving.is_stale = false;
    int error = guarded([&] {
        launch(operation);
        return 0;
    });
    if (error)
        thrum::operation_complete(operation, error, 0);
    return false;
}

// If there is something to take, it has it, as if it had been launched at once.
void thrum_socket::cancel_late(struct thrum_operation *operation) noexcept
{
    launch_late();
    operation_emit(operation);
}

// Where launching would not ask, or not in time.
bool thrum_socket::asks_first(struct thrum_operation *operation) noexcept
{
    if (state_of(operation).does == purpose::connect)
        return family == AF_UNIX;
    return queue_of(operation).is_stale || is_awaited(operation) || is_untold(operation);
}

// It is first: launch it.
void thrum_socket::enter(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    thrum::operation_queue &queue = queue_of(operation);
    std::size_t size = 0;
    if (!queue.launched)
        queue.launched = operation;
    int result = asks_first(operation) ? attempt(operation, &size) : EAGAIN;
    queue.is_stale = queue.is_stale && result != EAGAIN;
    state.is_found_at_once = result == 0;
    if (result == EAGAIN)
        launch(operation);
    else
        operation_post(operation, result, size);
}

// Start what stands in the operation.
int thrum_socket::begin(struct thrum_operation *operation, purpose does) noexcept
{
    operation_state &state = state_of(operation);
    state.life = life;
    state.does = does;
    thrum::operation_queue &queue = queue_of(operation);
    int error = operation_start(operation, this, does, [&](completion) {
        if (must_queue(operation)) {
            queue.add(operation);
        } else if (may_be_late(operation)) {
            queue.add(operation);
            thrum::operation_slot(operation).emplace<canceller<&thrum_socket::cancel_late>>(
                this, operation);
            context->add_late(operation);
        } else {
            enter(operation);
        }
    });
    if (error && queue.launched == operation)
        queue.launched = nullptr;
    if (error || !is_transfer(state))
        return error;
    ++direction_of(does).n_waiting;
    direction_of(does).gate |= thrum::gate_waiting;
    return 0;
}

int thrum_socket::start(struct thrum_operation *operation, purpose does, const transfer &what,
                        const struct thrum_endpoint *receiver, struct thrum_fds *list) noexcept
{
    const thrum::direction &way = direction_of(does);
    operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (way.gate & (thrum::gate_closed | thrum::gate_eof))
        return way.gate & thrum::gate_closed ? EBADF : THRUM_EEOF;
    state.what = what;
    state.list = list;
    if (receiver)
        operation->endpoint = *receiver;
    else
        operation->endpoint.size = 0;
    return begin(operation, does);
}

int thrum_socket::accept(struct thrum_operation *operation, thrum_socket *target) noexcept
{
    operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (!is_open())
        return EBADF;
    int error = check_target(target);
    if (error)
        return error;
    state.what = {nullptr, 0, 0};
    state.target = target;
    operation->endpoint.size = 0;
    target->ref();
    return begin(operation, purpose::accept);
}

void thrum_socket::forget(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.does == purpose::accept)
        state.target->unref();
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
    operation->endpoint = *remote;
    return begin(operation, purpose::connect);
}

int thrum_socket::wait(struct thrum_operation *operation, thrum_wait what) noexcept
{
    if (state_of(operation).owner)
        return EBUSY;
    if (!is_open())
        return EBADF;
    state_of(operation).what = {nullptr, 0, what};
    return begin(operation, purpose::other);
}

// ---- what follows from a completion ----

bool thrum_socket::settle(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    bool is_untried = operation->error == ECANCELED || (state.is_waiting && !operation->error);
    if (state.is_eof && is_untried)
        operation->error = THRUM_EEOF;
    if (operation->endpoint.size == nothing_yet)
        operation->endpoint.size = 0;
    if (state.life != life) {
        if (state.is_waiting && !operation->error) // what it waited for is another's
            operation->error = ECANCELED;
        return true;
    }
    if ((state.is_retry || state.is_waiting) && retry(operation))
        return false;
    if (is_transfer(state))
        settle_transfer(operation);
    leave(operation);
    return true;
}

void thrum_socket::settle_transfer(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    thrum::direction &way = direction_of(state.does);
    if (--way.n_waiting == 0)
        way.gate &= ~thrum::gate_waiting;
    if (state.does != purpose::accept && is_stream() && operation->error &&
        operation->error != ECANCELED)
        way.is_stale = true;
    if (state.does != purpose::send)
        settle_receive(operation);
}

// Somebody else is first. What those who wait for the socket were waiting for has happened to all.
void thrum_socket::leave(struct thrum_operation *operation) noexcept
{
    thrum::operation_queue &queue = queue_of(operation);
    if (queue.launched != operation)
        return;
    queue.launched = nullptr;
    if (state_of(operation).does == purpose::other && operation->error != ECANCELED)
        queue.post_all(operation->error);
    else
        advance(queue);
}

void thrum_socket::advance(thrum::operation_queue &queue) noexcept
{
    struct thrum_operation *operation = queue.take();
    if (!operation)
        return;
    if (state_of(operation).is_late)
        context->remove_late(operation);
    int error = guarded([&] {
        enter(operation);
        return 0;
    });
    if (error)
        operation_post(operation, error, 0);
}

// To ask itself, or rather to be launched again. True if it goes on.
bool thrum_socket::retry(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    bool is_due = operation->error == ECANCELED || (state.is_waiting && !operation->error);
    state.is_waiting = false;
    state.is_retry = false;
    if (!is_due)
        return false;
    operation->error = ECANCELED; // also if its wait was over before it was cancelled
    if (state.is_cancelled)
        return false;
    if (state.does != purpose::other && !is_urgent(state)) {
        operation->error = attempt(operation, &operation->size);
        if (operation->error != EAGAIN)
            return false;
    }
    operation->error = guarded([&] {
        launch(operation);
        return 0;
    });
    return operation->error == 0;
}

// Where the data was there at once, trying first is worth it the next time. A stream tells by
// filling the buffer.
void thrum_socket::settle_receive(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    bool is_plain_receive = state.does == purpose::receive && !state.list;
    if (is_plain_receive && !operation->error && is_at_end(state.what, operation->size))
        operation->error = THRUM_EEOF;
    bool is_filled = is_stream() && operation->size == state.what.size;
    bool is_more_likely =
        is_stream() && state.does == purpose::receive ? is_filled : state.is_found_at_once;
    if (operation->error == THRUM_EEOF)
        end_receives();
    else if (is_more_likely && !operation->error)
        receiving.gate &= ~thrum::gate_skip;
    else
        receiving.gate |= thrum::gate_skip;
}

// Nothing will be received any more.
void thrum_socket::end_receives() noexcept
{
    if (receiving.gate & thrum::gate_eof)
        return;
    receiving.gate |= thrum::gate_eof;
    end_receives_of(receiving);
    end_receives_of(urgent);
}

// Those who accept are told by the system.
void thrum_socket::end_receives_of(thrum::operation_queue &queue) noexcept
{
    if (queue.launched && state_of(queue.launched).does == purpose::accept)
        return;
    for (struct list *node = queue.waiting.next; node != &queue.waiting; node = node->next)
        state_of(thrum::operation_at(node)).is_eof = true;
    end_queue(queue);
    if (!queue.launched)
        return;
    state_of(queue.launched).is_eof = true;
    operation_emit(queue.launched);
}

// Withdraw those who wait.
void thrum_socket::end_queue(thrum::operation_queue &queue) noexcept
{
    while (struct thrum_operation *operation = queue.take()) {
        if (state_of(operation).is_late)
            context->remove_late(operation);
        operation_post(operation, ECANCELED, 0);
    }
}

// Cancel all, and have the others try again.
void thrum_socket::cancel_urgent(struct thrum_operation *urgent) noexcept
{
    each_queue([urgent](thrum::operation_queue &queue) {
        if (queue.launched && queue.launched != urgent && !state_of(queue.launched).is_eof)
            state_of(queue.launched).is_retry = true;
    });
    error_code code;
    io->cancel(code);
}

extern "C" {

int thrum_socket_try_receive(thrum_socket *socket, void *data, size_t size, int flags,
                             size_t *received) noexcept
{
    if (is_shut(socket->receiving)) {
        int answer = gate_answer(socket->receiving, flags);
        if (answer)
            return answer;
    }
    if (flags & MSG_OOB && socket->is_stream())
        return EAGAIN; // recv(2) answers EINVAL until it is there
    return socket->receive_now({data, size, flags}, received);
}

int thrum_socket_try_receive_from(thrum_socket *socket, void *data, size_t size, int flags,
                                  size_t *received, struct thrum_endpoint *sender) noexcept
{
    if (is_shut(socket->receiving)) {
        int answer = gate_answer(socket->receiving, flags);
        if (answer)
            return answer;
    }
    if (socket->is_stream())
        return EOPNOTSUPP;
    error_code code;
    thrum::any_protocol::endpoint from(sender);
    *received = socket->io->receive_from(buffer(data, size), from, at_once(flags), code);
    return *received != 0
               ? 0
               : socket->receive_answer(error_from(code), {data, size, flags}, *received);
}

int thrum_socket_try_send(thrum_socket *socket, const void *data, size_t size, int flags,
                          size_t *sent) noexcept
{
    if (is_shut(socket->sending))
        return gate_answer(socket->sending, 0);
    return socket->send_now({const_cast<void *>(data), size, flags}, sent);
}

int thrum_socket_try_send_to(thrum_socket *socket, const void *data, size_t size, int flags,
                             const struct thrum_endpoint *receiver, size_t *sent) noexcept
{
    if (is_shut(socket->sending))
        return gate_answer(socket->sending, 0);
    return socket->send_to_now({const_cast<void *>(data), size, flags}, receiver, sent);
}

int thrum_socket_receive(thrum_socket *socket, struct thrum_operation *operation, void *data,
                         size_t size, int flags) noexcept
{
    return socket->start(operation, purpose::receive, {data, size, flags}, nullptr);
}

int thrum_socket_receive_from(thrum_socket *socket, struct thrum_operation *operation, void *data,
                              size_t size, int flags) noexcept
{
    if (socket->is_stream())
        return EOPNOTSUPP;
    return socket->start(operation, purpose::receive, {data, size, flags}, nullptr);
}

int thrum_socket_send(thrum_socket *socket, struct thrum_operation *operation, const void *data,
                      size_t size, int flags) noexcept
{
    return socket->start(operation, purpose::send, {const_cast<void *>(data), size, flags},
                         nullptr);
}

int thrum_socket_send_to(thrum_socket *socket, struct thrum_operation *operation, const void *data,
                         size_t size, int flags, const struct thrum_endpoint *receiver) noexcept
{
    return socket->start(operation, purpose::send, {const_cast<void *>(data), size, flags},
                         receiver);
}

// ---- with descriptors ----

void thrum_fds_close(struct thrum_fds *fds) noexcept
{
    while (fds->n > 0)
        descriptor_close(fds->fds[--fds->n]);
}

int thrum_socket_try_receive_with_fds(thrum_socket *socket, void *data, size_t size, int flags,
                                      struct thrum_fds *fds, size_t *received,
                                      struct thrum_endpoint *sender) noexcept
{
    const transfer what = {data, size, flags & ~MSG_OOB};
    int error = socket->check_fds(purpose::receive, what, fds, sender != nullptr);
    if (!error && is_shut(socket->receiving))
        error = gate_answer(socket->receiving, flags);
    return error ? error : socket->receive_fds_now(what, fds, sender, received);
}

int thrum_socket_try_send_with_fds(thrum_socket *socket, const void *data, size_t size, int flags,
                                   const struct thrum_fds *fds,
                                   const struct thrum_endpoint *receiver, size_t *sent) noexcept
{
    const transfer what = {const_cast<void *>(data), size, flags};
    int error = socket->check_fds(purpose::send, what, fds, receiver != nullptr);
    if (!error && is_shut(socket->sending))
        error = gate_answer(socket->sending, 0);
    return error ? error : socket->send_fds_now(what, fds, receiver, sent);
}

int thrum_socket_receive_with_fds(thrum_socket *socket, struct thrum_operation *operation,
                                  void *data, size_t size, int flags,
                                  struct thrum_fds *fds) noexcept
{
    const transfer what = {data, size, flags & ~MSG_OOB};
    int error = socket->check_fds(purpose::receive, what, fds, false);
    return error ? error : socket->start(operation, purpose::receive, what, nullptr, fds);
}

int thrum_socket_send_with_fds(thrum_socket *socket, struct thrum_operation *operation,
                               const void *data, size_t size, int flags,
                               const struct thrum_fds *fds,
                               const struct thrum_endpoint *receiver) noexcept
{
    const transfer what = {const_cast<void *>(data), size, flags};
    int error = socket->check_fds(purpose::send, what, fds, receiver != nullptr);
    return error ? error
                 : socket->start(operation, purpose::send, what, receiver,
                                 const_cast<struct thrum_fds *>(fds));
}

// ---- connecting and accepting ----

int thrum_socket_try_connect(thrum_socket *socket, const struct thrum_endpoint *remote) noexcept
{
    if (socket->kind != THRUM_DATAGRAM)
        return EAGAIN;
    int error = socket->is_open() ? 0 : socket->open(remote->sa.any.sa_family, 0);
    if (error)
        return error;
    error_code code;
    socket->io->connect(thrum::any_protocol::endpoint(remote), code);
    return error_from(code);
}

int thrum_socket_connect(thrum_socket *socket, struct thrum_operation *operation,
                         const struct thrum_endpoint *remote) noexcept
{
    return socket->connect(operation, remote);
}

int thrum_socket_try_accept(thrum_socket *listener, thrum_socket *socket) noexcept
{
    if (is_shut(listener->receiving)) {
        int answer = gate_answer(listener->receiving, 0);
        if (answer)
            return answer;
    }
    int error = listener->check_target(socket);
    if (!error)
        error = listener->accept_now(socket);
    if (error == EAGAIN)
        listener->receiving.gate |= thrum::gate_skip;
    return error;
}

int thrum_socket_accept(thrum_socket *listener, struct thrum_operation *operation,
                        thrum_socket *socket) noexcept
{
    return listener->accept(operation, socket);
}

int thrum_socket_wait(thrum_socket *socket, struct thrum_operation *operation,
                      enum thrum_wait what) noexcept
{
    return socket->wait(operation, what);
}

} // extern "C"
