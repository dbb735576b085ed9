// SPDX-License-Identifier: BSL-1.0
// Timers on Asio's steady clock, and the clocks.
#include <thrum/timer.h>

#include <chrono>
#include <optional>

#include "context.hpp"
#include "operation.hpp"

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

using io_timer =
    boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>,
                                      thrum::executor>;

struct thrum_timer final : thrum::object {
    std::optional<thrum::io_timer> io;

    explicit thrum_timer(thrum_context *context) : object(context), io(*context->io)
    {
    }

    void reset() noexcept override
    {
        disarm();
        io.reset();
    }

    int wait(struct thrum_operation *operation, std::int64_t deadline_ns) noexcept
    {
        if (!context)
            return EBADF;
        if (!list_is_empty(&pending) || thrum_operation_is_pending(operation))
            return EBUSY;
        return operation_start(operation, this, thrum::operation_type::other,
                               [&](thrum::completion handler) {
                                   nanoseconds since_epoch(deadline_ns);
                                   io->expires_at(steady_clock::time_point(since_epoch));
                                   io->async_wait(handler);
                               });
    }
};

extern "C" {

int64_t thrum_steady_clock_now_ns(void) noexcept
{
    return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

int64_t thrum_system_clock_now_ns(void) noexcept
{
    return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

int thrum_timer_new(thrum_context *context, thrum_timer **timer) noexcept
{
    return thrum::guarded([&] {
        *timer = new thrum_timer(context);
        return 0;
    });
}

void thrum_timer_free(thrum_timer *timer) noexcept
{
    if (timer)
        timer->free();
}

int thrum_timer_wait(thrum_timer *timer, struct thrum_operation *operation,
                     int64_t deadline_ns) noexcept
{
    return timer->wait(operation, deadline_ns);
}

} // extern "C"
