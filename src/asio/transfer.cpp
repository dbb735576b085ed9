// SPDX-License-Identifier: BSL-1.0
// Sockets: what is tried, what is started, and what follows from its completion.
//
// Asio performs what it has words for. The rest is awaited: Asio tells when the descriptor is
// ready, and then we try (launch_awaited, retry). Between that and the try somebody else could take
// what is there, so while one operation of a direction is awaited, those that come later queue, and
// one that is to be awaited queues behind those that Asio has (must_queue, advance). First come,
// first served.
//
// Two things have to be done for Asio's reactor, which is edge-triggered. When a stream's end or
// an error is seen, it looks no further: receives that wait behind the first one, or that start
// later, would never be woken. So the end is remembered and given to everybody (end_receives), and
// after an error whoever waits tries again (kick), and whoever comes next asks first (is_stale).
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

// Where Asio cannot cancel: it looks for an out-of-band receive in the wrong queue, and does not
// know what queues.
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

int thrum_socket::check_target(const thrum_socket *target) const noexcept
{
    if (target->kind != kind || target->context != context)
        return EINVAL;
    if (kind == THRUM_DATAGRAM) // nothing would ever come
        return EOPNOTSUPP;
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
    bool is_transfer = state.does == purpose::receive || state.does == purpose::send;
    return is_transfer && state.list && !is_untold(operation);
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
        return attempt_connect(&operation->endpoint);
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

// All who pause try again together, in their order.
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
    direction_of(state_of(operation).does).awaited = operation;
}

void thrum_socket::launch_wait(struct thrum_operation *operation)
{
    bool is_read = state_of(operation).what.flags == THRUM_WAIT_READ;
    io->async_wait(is_read ? io->wait_read : io->wait_write, completion{operation});
}

bool thrum_socket::must_queue(struct thrum_operation *operation) noexcept
{
    const thrum::direction &way = direction_of(state_of(operation).does);
    bool is_alone = way.n_waiting - way.n_queued == 1;
    return way.awaited || (!is_alone && is_awaited(operation));
}

void thrum_socket::queue(struct thrum_operation *operation) noexcept
{
    state_of(operation).is_queued = true;
    ++direction_of(state_of(operation).does).n_queued;
    thrum::operation_slot(operation).emplace<canceller<&thrum_socket::cancel_queued>>(this,
                                                                                      operation);
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
    int result = EAGAIN;
    state.is_late = false;
    state.is_queued = false;
    state.cancel = nullptr;
    --receiving.n_queued;
    if (receiving.n_waiting - receiving.n_queued == 1)
        result = attempt(operation, &size);
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

void thrum_socket::cancel_queued(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.is_late)
        context->remove_late(operation);
    state.is_queued = false;
    state.cancel = nullptr;
    --direction_of(state.does).n_queued;
    operation_post(operation, ECANCELED, 0);
}

// Its turn has come: launch it, or ask first where launching would not ask.
void thrum_socket::enter(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    thrum::direction &way = direction_of(state.does);
    std::size_t size = 0;
    int result = EAGAIN;
    if (way.n_waiting - way.n_queued == 1 &&
        (way.is_stale || is_awaited(operation) || is_untold(operation)))
        result = attempt(operation, &size);
    way.is_stale = way.is_stale && result != EAGAIN;
    state.is_found_at_once = result == 0;
    if (result == EAGAIN)
        launch(operation);
    else
        operation_post(operation, result, size);
}

// Start what stands in the operation.
int thrum_socket::begin(struct thrum_operation *operation, purpose does) noexcept
{
    thrum::direction &way = direction_of(does);
    operation_state &state = state_of(operation);
    state.life = life;
    state.does = does;
    if (is_urgent(state)) // apart from the others
        return operation_start(operation, this, does, [&](completion) { launch(operation); });
    ++way.n_waiting;
    int error = operation_start(operation, this, does, [&](completion) {
        if (way.n_queued > 0 || must_queue(operation)) {
            queue(operation);
        } else if (may_be_late(operation)) {
            queue(operation);
            thrum::operation_slot(operation).emplace<canceller<&thrum_socket::cancel_late>>(
                this, operation);
            context->add_late(operation);
        } else {
            enter(operation);
        }
    });
    if (error)
        --way.n_waiting;
    if (way.n_waiting > 0)
        way.gate |= thrum::gate_waiting;
    return error;
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

int thrum_socket::wait(struct thrum_operation *operation, thrum_wait what) noexcept
{
    if (state_of(operation).owner)
        return EBUSY;
    if (!is_open())
        return EBADF;
    state_of(operation).life = life;
    state_of(operation).what = {nullptr, 0, what};
    return operation_start(operation, this, purpose::other,
                           [&](completion) { launch_wait(operation); });
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
    if (state.does != purpose::connect && state.does != purpose::other)
        settle_transfer(operation);
    return true;
}

void thrum_socket::settle_transfer(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    thrum::direction &way = direction_of(state.does);
    if (is_urgent(state))
        return;
    if (--way.n_waiting == 0)
        way.gate &= ~thrum::gate_waiting;
    if (way.awaited == operation)
        way.awaited = nullptr;
    if (state.does != purpose::accept && is_stream() && operation->error &&
        operation->error != ECANCELED) {
        way.is_stale = true;
        kick(state.does);
    }
    if (state.does != purpose::send)
        settle_receive(operation);
    if (way.n_queued > 0)
        advance(way);
}

// Those who queue go on, as far as they may.
void thrum_socket::advance(thrum::direction &way) noexcept
{
    bool may_go_on = true;
    each_pending([&](struct thrum_operation *operation, operation_state &state) {
        if (!may_go_on || !state.is_queued || &direction_of(state.does) != &way)
            return;
        --way.n_queued;
        may_go_on = !must_queue(operation);
        if (!may_go_on) {
            ++way.n_queued;
            return;
        }
        if (state.is_late)
            context->remove_late(operation);
        state.is_queued = false;
        state.cancel = nullptr;
        int error = guarded([&] {
            enter(operation);
            return 0;
        });
        if (error)
            operation_post(operation, error, 0);
    });
}

// Is it to ask itself, or rather to be launched again? Those who pause ask in their order.
bool thrum_socket::has_turn(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    if (!is_untold(operation))
        return state.does != purpose::other && !is_urgent(state);
    struct thrum_operation *first = nullptr;
    each_pending([&first](struct thrum_operation *other, operation_state &its) {
        if (!first && its.does == purpose::send)
            first = other;
    });
    return first == operation;
}

// True if it goes on.
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
    if (has_turn(operation)) {
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
    each_pending([this](struct thrum_operation *operation, operation_state &state) {
        if (state.does != purpose::receive)
            return;
        state.is_eof = true;
        if (state.is_queued)
            cancel_queued(operation);
        else
            operation_emit(operation);
    });
}

void thrum_socket::kick(purpose does) noexcept
{
    each_pending([does](struct thrum_operation *operation, operation_state &state) {
        if (state.does != does || is_urgent(state) || state.is_queued)
            return;
        state.is_retry = true;
        operation_emit(operation);
    });
}

// Cancel all, and have the others try again.
void thrum_socket::cancel_urgent(struct thrum_operation *urgent) noexcept
{
    each_pending([urgent](struct thrum_operation *operation, operation_state &state) {
        if (operation != urgent && !state.is_eof && !state.is_queued)
            state.is_retry = true;
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

// ---- accepting ----

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
