// SPDX-License-Identifier: BSL-1.0
// Receives of streams that are deferred.
//
// A server that has read a request and answered it reads again at once, and the next request is
// still on its way. To wait for it through Asio costs a system call that arms the wait, an event,
// and a third of what we ourselves spend on a request. So while many connections are busy, a
// receive is put aside until what is at hand has been dealt with, and is tried then: as a rule its
// data has come meanwhile. One that finds nothing waits like any other.
//
// That pays only for many at once and only if most succeed, which each round tells for the next.
// Until it does again, receives wait as they come, but for one now and then.
#include <algorithm>

#include "context.hpp"
#include "operation.hpp"
#include "socket.hpp"

using thrum::state_of;

namespace
{

constexpr unsigned n_worth_it = 4;
constexpr unsigned n_until_next_try = 64;
constexpr unsigned max_rounds = 4;

thrum_socket *socket_of(const struct thrum_operation *operation) noexcept
{
    return static_cast<thrum_socket *>(state_of(operation).owner);
}

} // namespace

bool thrum_context::may_defer() noexcept
{
    if (!deferred.is_possible)
        return false;
    if (deferred.n_not_to_defer > 0) {
        --deferred.n_not_to_defer;
        return false;
    }
    return deferred.n < deferred.size;
}

void thrum_context::defer(struct thrum_operation *operation) noexcept
{
    deferred.operations[deferred.n++] = operation;
}

void thrum_context::undefer(struct thrum_operation *operation) noexcept
{
    std::replace(deferred.operations.begin(), deferred.operations.begin() + deferred.n, operation,
                 static_cast<struct thrum_operation *>(nullptr));
}

void thrum_context::launch_deferred() noexcept
{
    for (unsigned i = 0; i < deferred.n; i++)
        if (deferred.operations[i])
            socket_of(deferred.operations[i])->launch_deferred(deferred.operations[i]);
    deferred.n = 0;
}

// What is completed here may start and cancel others: those that come are for the next round.
void thrum_context::try_deferred() noexcept
{
    unsigned n = deferred.n, n_succeeded = 0;
    for (unsigned i = 0; i < n; i++) {
        struct thrum_operation *operation = deferred.operations[i];
        deferred.operations[i] = nullptr;
        if (operation && socket_of(operation)->try_deferred(operation))
            ++n_succeeded;
    }
    std::move(deferred.operations.begin() + n, deferred.operations.begin() + deferred.n,
              deferred.operations.begin());
    deferred.n -= n;
    deferred.n_rounds = 0;
    if (n_succeeded < n_worth_it || n_succeeded < n / 2)
        deferred.n_not_to_defer = n_until_next_try;
}

// As long as other things complete, the deferred ones may wait, but not for ever.
void thrum_context::run_some()
{
    std::size_t before = n_completed;
    for (unsigned i = 0; i < deferred.size && io->poll_one() != 0; i++) {
    }
    if (n_completed == before || ++deferred.n_rounds == max_rounds)
        try_deferred();
}
