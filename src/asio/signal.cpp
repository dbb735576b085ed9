// SPDX-License-Identifier: BSL-1.0
// Signal sets: Asio's. Its state of the process may be reached from other threads at any time, but
// a completion always comes from its own context's loop.
#include <thrum/signal.h>

#include <boost/asio/basic_signal_set.hpp>
#include <optional>

#include "context.hpp"
#include "operation.hpp"

using boost::system::error_code;

struct thrum_signal_set final : thrum::object {
    std::optional<boost::asio::basic_signal_set<thrum::executor>> io;
    thrum::operation_queue waits;

    explicit thrum_signal_set(thrum_context *context) : object(context), io(*context->io)
    {
    }

    void reset() noexcept override
    {
        waits.post_all(ECANCELED);
        disarm();
        io.reset();
    }

    // Call `body(io, code)`: a change that says what went wrong.
    template <typename Body>
    int change(Body body) noexcept
    {
        if (!io)
            return EBADF;
        return thrum::guarded([&] {
            error_code code;
            body(*io, code);
            return thrum::error_from(code);
        });
    }

    int wait(struct thrum_operation *operation) noexcept
    {
        if (!io)
            return EBADF;
        if (thrum_operation_is_pending(operation))
            return EBUSY;
        int error = operation_start(operation, this, thrum::purpose::other, [&](thrum::completion) {
            if (waits.is_busy())
                waits.add(operation);
            else
                launch(operation);
        });
        if (error && waits.launched == operation)
            waits.launched = nullptr;
        return error;
    }

    int cancel() noexcept
    {
        waits.post_all(ECANCELED);
        return change([](auto &set, error_code &code) { set.cancel(code); });
    }

    // A notification ends every wait; and after one that was cancelled the next is Asio's.
    bool settle(struct thrum_operation *operation) noexcept override
    {
        if (waits.launched != operation)
            return true;
        waits.launched = nullptr;
        if (operation->error != ECANCELED)
            waits.post_all(operation->error, operation->size);
        else
            launch_next();
        return true;
    }

  private:
    void launch(struct thrum_operation *operation)
    {
        waits.launched = operation;
        io->async_wait(thrum::completion{operation});
    }

    void launch_next() noexcept
    {
        struct thrum_operation *next = waits.take();
        if (!next)
            return;
        int error = thrum::guarded([&] {
            launch(next);
            return 0;
        });
        if (error)
            thrum::operation_post(next, error, 0);
    }
};

extern "C" {

int thrum_signal_set_new(thrum_context *context, thrum_signal_set **set) noexcept
{
    return thrum::guarded([&] {
        *set = new thrum_signal_set(context);
        return 0;
    });
}

void thrum_signal_set_free(thrum_signal_set *set) noexcept
{
    if (set)
        set->free();
}

int thrum_signal_set_add(thrum_signal_set *set, int number) noexcept
{
    return set->change([=](auto &io, error_code &code) { io.add(number, code); });
}

int thrum_signal_set_remove(thrum_signal_set *set, int number) noexcept
{
    return set->change([=](auto &io, error_code &code) { io.remove(number, code); });
}

int thrum_signal_set_clear(thrum_signal_set *set) noexcept
{
    return set->change([](auto &io, error_code &code) { io.clear(code); });
}

int thrum_signal_set_cancel(thrum_signal_set *set) noexcept
{
    return set->cancel();
}

int thrum_signal_set_wait(thrum_signal_set *set, struct thrum_operation *operation) noexcept
{
    return set->wait(operation);
}

} // extern "C"
