// SPDX-License-Identifier: BSL-1.0
// Receives of streams that come late.
//
// Whoever has read a request and answered it reads again at once, and the next request is still on
// its way. To wait for it through Asio costs a question to the kernel that finds nothing, an event,
// and a third of what we ourselves spend on a request. So while many connections are busy, a
// receive is put aside until what is at hand has been dealt with, and is tried then: as a rule its
// data has come meanwhile. One that finds nothing is launched like any other.
//
// That pays only for many at once and only if most are lucky, which each round tells for the next.
// Until it does again, receives are launched as they come, but for one now and then.
#include <algorithm>

#include "context.hpp"
#include "operation.hpp"
#include "socket.hpp"

using thrum::state_of;

namespace
{

constexpr unsigned n_worth_it = 4;
constexpr unsigned n_until_next_try = 64;
constexpr unsigned max_turns = 4;

thrum_socket *socket_of(const struct thrum_operation *operation) noexcept
{
    return static_cast<thrum_socket *>(state_of(operation).owner);
}

} // namespace

bool thrum_context::takes_late() noexcept
{
    if (!late.is_possible)
        return false;
    if (late.n_at_once > 0) {
        --late.n_at_once;
        return false;
    }
    return late.n < late.size;
}

void thrum_context::add_late(struct thrum_operation *operation) noexcept
{
    state_of(operation).is_late = true;
    late.operations[late.n++] = operation;
}

void thrum_context::remove_late(struct thrum_operation *operation) noexcept
{
    state_of(operation).is_late = false;
    std::replace(late.operations.begin(), late.operations.begin() + late.n, operation,
                 static_cast<struct thrum_operation *>(nullptr));
}

void thrum_context::launch_late() noexcept
{
    for (unsigned i = 0; i < late.n; i++)
        if (late.operations[i])
            socket_of(late.operations[i])->launch_late();
    late.n = 0;
}

// What is completed here may start and cancel others: those that come are for the next round.
void thrum_context::try_late() noexcept
{
    unsigned n = late.n, n_lucky = 0;
    for (unsigned i = 0; i < n; i++) {
        struct thrum_operation *operation = late.operations[i];
        late.operations[i] = nullptr;
        if (operation && socket_of(operation)->try_late(operation))
            ++n_lucky;
    }
    std::move(late.operations.begin() + n, late.operations.begin() + late.n,
              late.operations.begin());
    late.n -= n;
    late.n_turns = 0;
    if (n_lucky < n_worth_it || n_lucky < n / 2)
        late.n_at_once = n_until_next_try;
}

// As long as other things complete, the late ones may wait, but not for ever.
void thrum_context::run_some()
{
    std::size_t before = n_completed;
    for (unsigned i = 0; i < late.size && io->poll_one() != 0; i++) {
    }
    if (n_completed == before || ++late.n_turns == max_turns)
        try_late();
}
