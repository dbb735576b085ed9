// SPDX-License-Identifier: BSL-1.0
// Who waits for a socket, and in which order.
//
// Asio tells when a descriptor is ready; the transfer itself is always our own attempt
// (attempt.cpp). So there is one mechanism for every kind of message, for accepting, and for the
// connecting. Each direction is a queue: first come, first served. Only
// the first in it waits in Asio and is attempted; who is behind it is not known there.
//
//   step        what it means                     next                    by
//   queued      behind others                     waiting, ended          advance, cancel_queued
//   deferred    a stream's receive, the first:    waiting, done, ended    try_deferred,
//               tried with others' (deferred.cpp)                         launch_deferred
//   waiting     Asio will say when to try; or a   waiting, done, ended    retry, cancel_first
//               timer, where nothing else does
//   ending      shut down while it waited:        done                    end_receives
//               Asio is ending the wait
//   performing  Asio tells the first of those     done                    on_complete,
//               who only want to know             (and the others ended)  watch_ended
//   ended       the result stands, its            done                    on_complete
//               completion is posted
//
// "done" is the call of the operation's function, from the loop; after it the operation is no
// longer pending. Asio asks the kernel again with each wait that begins (EPOLL_CTL_MOD reports what
// is ready at that moment), so no edge of its reactor can be missed, and what an error or an end
// has woken needs no other care than that the next in the queue is attempted.
//
// An error queue that nobody reads keeps a socket ready for ever, in both directions. So an
// operation that was called ready too often pauses in between (launch_again).
//
// Linux has no event for two things: a unix datagram socket that sends to a named receiver whose
// queue is full counts as writable, and each attempt that fails even makes a new event of it; and a
// unix connect to a listener whose backlog is full is no connect under way. There a timer says when
// to try again (lacks_readiness_event, launch_pause).
#include "socket.hpp"

#include "base/descriptor.h"

#include "context.hpp"

using boost::system::error_code;
using thrum::completion;
using thrum::guarded;
using thrum::operation_emit;
using thrum::operation_in_queue;
using thrum::operation_post;
using thrum::operation_state;
using thrum::operation_type;
using thrum::state_of;
using thrum::step;

namespace
{

// After so many waits it is asked again whether datagrams come in bursts.
constexpr unsigned n_waits_between_tries = 8;

// Ready and yet nothing to take: an event that was on its way already, or somebody else with the
// same description was faster. After so many it may as well stay so.
constexpr unsigned max_in_vain = 8;

// What a cancelled operation that queues here calls. Asio has one of its own for what it has.
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

template <void (thrum_socket::*cancel)(struct thrum_operation *) noexcept>
void set_cancel(thrum_socket *socket, struct thrum_operation *operation) noexcept
{
    thrum::operation_slot(operation).emplace<canceller<cancel>>(socket, operation);
}

bool is_in_queue(const operation_state &state) noexcept
{
    return !list_is_empty(&state.queue_hook);
}

} // namespace

thrum::direction &thrum_socket::direction_of(const struct thrum_operation *operation) noexcept
{
    if (state_of(operation).type == operation_type::send)
        return sending;
    return is_urgent(operation) ? urgent : receiving;
}

int thrum_socket::attempt(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    state.is_untried = false;
    return state.attempt(this, operation);
}

// Urgent data and the queue of errors come beside the rest: such a receive waits apart from the
// others.
bool thrum_socket::is_urgent(const struct thrum_operation *operation) const noexcept
{
    const operation_state &state = state_of(operation);
    const int flags = is_stream() ? MSG_OOB | MSG_ERRQUEUE : MSG_ERRQUEUE;
    return state.type == operation_type::receive && (state.message->flags & flags) != 0;
}

bool thrum_socket::is_first(struct thrum_operation *operation) noexcept
{
    return direction_of(operation).queue.next == &state_of(operation).queue_hook;
}

void thrum_socket::leave_queue(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    list_remove(&state.queue_hook);
    list_init(&state.queue_hook);
    if (state.type == operation_type::other)
        return;
    thrum::direction &way = direction_of(operation);
    if (list_is_empty(&way.queue))
        way.state &= ~thrum::direction_waiting;
}

// ---- waiting ----

bool thrum_socket::lacks_readiness_event(struct thrum_operation *operation) const noexcept
{
    const operation_state &state = state_of(operation);
    if (family != AF_UNIX)
        return false;
    return state.type == operation_type::connect ||
           (state.type == operation_type::send && state.message->peer && kind == THRUM_DATAGRAM);
}

// All who pause on a socket try again together.
void thrum_socket::launch_pause(struct thrum_operation *operation)
{
    if (!pause)
        pause.emplace(*context->io);
    if (pause->expiry() <= thrum::steady_clock::now())
        pause->expires_after(std::chrono::milliseconds(1)); // who still waits is woken: see retry
    pause->async_wait(completion{operation});
}

// Have it attempted when that may be worth it.
void thrum_socket::launch_wait(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    state.step = step::waiting;
    if (lacks_readiness_event(operation))
        launch_pause(operation);
    else if (is_urgent(operation))
        io->async_wait(io->wait_error, completion{operation});
    else if (state.type == operation_type::send || state.type == operation_type::connect)
        io->async_wait(io->wait_write, completion{operation});
    else
        io->async_wait(io->wait_read, completion{operation});
}

// The wait said ready, and there was nothing.
void thrum_socket::launch_again(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    if (++state.n_in_vain <= max_in_vain)
        return launch_wait(operation);
    state.n_in_vain = max_in_vain - 1; // after the pause it waits once more
    launch_pause(operation);
}

// The first of its direction begins. A try of the caller's may have asked the kernel just now, or
// have got EAGAIN without; an operation that was not tried is attempted. Streams' receives may be
// tried with others'.
void thrum_socket::launch_first(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    thrum::direction &way = direction_of(operation);
    bool is_skipped = way.state & thrum::direction_skipped;
    bool is_due = !is_skipped && !(way.state & thrum::direction_exhausted);
    way.state &= ~thrum::direction_skipped;
    state.is_untried = (is_skipped || is_due) && !is_urgent(operation);
    bool is_plain = state.type == operation_type::receive && is_stream() && !is_urgent(operation) &&
                    !state.message->fds;
    if (is_plain && context->may_defer()) {
        state.step = step::deferred;
        set_cancel<&thrum_socket::cancel_first>(this, operation);
        return context->defer(operation);
    }
    int error = is_due && !is_urgent(operation) ? attempt(operation) : EAGAIN;
    if (error == EAGAIN)
        return launch_wait(operation);
    state.step = step::ended;
    operation_post(operation, error);
}

// Start what stands in the operation, a transfer or an accept.
int thrum_socket::start(struct thrum_operation *operation, operation_type type) noexcept
{
    operation_state &state = state_of(operation);
    state.generation = generation;
    state.type = type;
    thrum::direction &way = direction_of(operation);
    bool is_alone = list_is_empty(&way.queue);
    list_append(&way.queue, &state.queue_hook);
    way.state |= thrum::direction_waiting;
    int error = operation_start(operation, this, type, [&](completion) {
        if (is_alone) {
            launch_first(operation);
        } else {
            state.step = step::queued;
            set_cancel<&thrum_socket::cancel_queued>(this, operation);
        }
    });
    if (error)
        leave_queue(operation);
    return error;
}

// ---- watching ----

void thrum_socket::launch_watch(struct thrum_operation *operation)
{
    operation_state &state = state_of(operation);
    state.step = step::performing;
    io->async_wait(state.wait == THRUM_WAIT_READ ? io->wait_read : io->wait_write,
                   completion{operation});
}

int thrum_socket::wait(struct thrum_operation *operation, thrum_wait what) noexcept
{
    operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (!is_open())
        return EBADF;
    struct list *watchers = &(what == THRUM_WAIT_READ ? receiving : sending).watchers;
    bool is_alone = list_is_empty(watchers);
    state.generation = generation;
    state.wait = what;
    list_append(watchers, &state.queue_hook);
    int error = operation_start(operation, this, operation_type::other, [&](completion) {
        if (is_alone)
            return launch_watch(operation);
        state.step = step::queued;
        set_cancel<&thrum_socket::cancel_queued>(this, operation);
    });
    if (error)
        leave_queue(operation);
    return error;
}

// The first of the watchers has ended: its result is given to all, and after a cancel the
// next one is Asio's.
void thrum_socket::watch_ended(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    struct list *watchers = &(state.wait == THRUM_WAIT_READ ? receiving : sending).watchers;
    leave_queue(operation);
    while (!list_is_empty(watchers)) {
        struct thrum_operation *next = operation_in_queue(watchers->next);
        int error = operation->error;
        state_of(next).cancel = nullptr;
        if (error == ECANCELED)
            error = guarded([&] {
                launch_watch(next);
                return ECANCELED;
            });
        if (error == ECANCELED)
            return;
        leave_queue(next);
        state_of(next).step = step::ended;
        operation_post(next, error);
    }
}

// ---- ending before it has got anything ----

// It queues, or is deferred; who is the first of its direction stays that until it is done.
void thrum_socket::cancel_queued(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.step == step::deferred)
        context->undefer(operation);
    else
        leave_queue(operation);
    state.step = step::ended;
    state.cancel = nullptr;
    operation_post(operation, ECANCELED);
}

// If there is something to take, it has it, as if it had been attempted when it was started.
void thrum_socket::cancel_first(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    context->undefer(operation);
    state.step = step::ended;
    state.cancel = nullptr;
    operation_post(operation, answer_cancelled(operation));
}

// Nothing will be received any more: all waiting receives end.
void thrum_socket::end_receives() noexcept
{
    receiving.state |= thrum::direction_ended;
    each_pending([this](struct thrum_operation *operation, operation_state &state) {
        if (state.type != operation_type::receive)
            return;
        if (state.step < step::waiting)
            cancel_queued(operation);
        else if (state.step == step::waiting && state.cancel) {
            state.step = step::ending;
            operation_emit(operation);
        }
        if (state.step == step::ended && operation->error == ECANCELED)
            operation->error = THRUM_EEOF;
    });
}

// ---- what follows from a completion ----

// Its wait was ended before it was worth an attempt. Who has never been attempted gets what was
// there already.
int thrum_socket::answer_cancelled(struct thrum_operation *operation) noexcept
{
    int error = state_of(operation).is_untried ? attempt(operation) : EAGAIN;
    return error == EAGAIN ? ECANCELED : error;
}

// Somebody else has shut the description down for receiving: such a datagram socket stays readable
// and has nothing.
bool thrum_socket::is_shut_elsewhere(const struct thrum_operation *operation) noexcept
{
    if (kind != THRUM_DATAGRAM || &direction_of(operation) != &receiving ||
        !descriptor_is_hung_up(descriptor))
        return false;
    receiving.state |= thrum::direction_ended;
    return true;
}

// True if it goes on. Asio's ECANCELED alone says that its pause was set anew for another's sake.
bool thrum_socket::retry(struct thrum_operation *operation) noexcept
{
    bool is_ended = state_of(operation).is_cancelled;
    if (operation->error && operation->error != ECANCELED)
        return false;
    operation->error = is_ended ? answer_cancelled(operation) : attempt(operation);
    if (operation->error == EAGAIN && is_shut_elsewhere(operation))
        operation->error = THRUM_EEOF;
    if (operation->error != EAGAIN)
        return false;
    operation->error = guarded([&] {
        launch_again(operation);
        return 0;
    });
    return operation->error == 0;
}

// Is the next receive to be tried at once? A stream tells by filling the buffer.
void thrum_socket::note_received(const struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    thrum::direction &way = receiving;
    bool is_worth_trying = false;
    if (state.type == operation_type::receive && is_stream()) {
        is_worth_trying = state.message->length == state.message->size;
    } else if (way.comes_in_bursts || ++way.n_waits == n_waits_between_tries) {
        way.n_waits = 0;
        way.is_trying_after_wait = true;
        is_worth_trying = true;
    }
    if (is_worth_trying)
        way.state &= ~thrum::direction_exhausted;
    else
        way.state |= thrum::direction_exhausted;
}

// The first of the queue has gone: the next one is attempted.
void thrum_socket::advance(thrum::direction &way) noexcept
{
    if (list_is_empty(&way.queue))
        return;
    struct thrum_operation *operation = operation_in_queue(way.queue.next);
    operation_state &state = state_of(operation);
    if (state.step != step::queued)
        return;
    state.cancel = nullptr;
    int error = is_urgent(operation) ? EAGAIN : attempt(operation);
    if (error == EAGAIN)
        error = guarded([&] {
            launch_wait(operation);
            return EAGAIN;
        });
    if (error == EAGAIN)
        return;
    state.step = step::ended;
    operation_post(operation, error);
}

// The target of an accept was kept alive.
void thrum_socket::forget(struct thrum_operation *operation) noexcept
{
    const operation_state &state = state_of(operation);
    if (state.type == operation_type::accept)
        state.target->unref();
}

bool thrum_socket::on_complete(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.step == step::ending)
        operation->error = THRUM_EEOF;
    if (state.generation != generation) {
        if (state.step == step::waiting && !operation->error) // what it waited for is another's
            operation->error = ECANCELED;
        return true;
    }
    if (state.step == step::waiting && retry(operation))
        return false;
    if (!is_in_queue(state))
        return true;
    if (state.type == operation_type::other) {
        watch_ended(operation);
        return true;
    }
    thrum::direction &way = direction_of(operation);
    bool was_first = is_first(operation);
    leave_queue(operation);
    if (!operation->error && &way == &receiving)
        note_received(operation);
    if (was_first)
        advance(way);
    return true;
}

// ---- receives that were deferred ----

// Tried with the others': true if it has got something, and then it is done.
bool thrum_socket::try_deferred(struct thrum_operation *operation) noexcept
{
    state_of(operation).cancel = nullptr;
    state_of(operation).step = step::performing;
    int error = attempt(operation);
    bool has_got_something = error == 0;
    if (error == EAGAIN)
        error = guarded([&] {
            launch_wait(operation);
            return EAGAIN;
        });
    if (error != EAGAIN)
        thrum::operation_complete(operation, error);
    return has_got_something;
}

// Not to be tried with others' after all.
void thrum_socket::launch_deferred(struct thrum_operation *operation) noexcept
{
    state_of(operation).cancel = nullptr;
    int error = guarded([&] {
        launch_wait(operation);
        return 0;
    });
    if (!error)
        return;
    state_of(operation).step = step::ended;
    operation_post(operation, error);
}
