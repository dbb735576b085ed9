// SPDX-License-Identifier: BSL-1.0
// What a context is made of.
#ifndef ASIO_CONTEXT_HPP
#define ASIO_CONTEXT_HPP

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include <thrum/context.h>
#include <thrum/operation.h>

#include "base/list.h"

#include "protocol.hpp"

namespace thrum
{
using steady_clock = std::chrono::steady_clock;
using io_timer =
    boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>,
                                      executor>;
class lookup_pool;
class signal_reader;

// Receives that were started and are still to be tried: see deferred.cpp.
struct deferred_receives {
    static constexpr unsigned size = 128;
    std::array<struct thrum_operation *, size> operations; // NULL: gone again
    unsigned n = 0;
    unsigned n_rounds = 0;       // since they were tried last
    unsigned n_not_to_defer = 0; // so many more wait as they come
    bool is_possible = false;    // the function that runs the loop looks after them
};

} // namespace thrum

struct thrum_context {
    // The guard keeps Asio from stopping when nothing is pending: we count for ourselves.
    std::optional<boost::asio::io_context> io;
    std::optional<boost::asio::executor_work_guard<thrum::executor>> work;
    struct list objects;
    std::size_t n_objects = 0;   // handles that have not been freed
    std::size_t n_pending = 0;   // operations
    std::size_t n_completed = 0; // operations, ever
    bool is_running = false;
    bool is_ending = false;
    thrum::deferred_receives deferred;
    std::shared_ptr<thrum::lookup_pool> lookups;   // NULL before the first lookup that needs it
    std::shared_ptr<thrum::signal_reader> signals; // NULL while there is no signal set

    thrum_context();
    thrum_context(const thrum_context &) = delete;
    thrum_context &operator=(const thrum_context &) = delete;
    ~thrum_context();

    bool may_defer() noexcept; // a receive that starts now
    void defer(struct thrum_operation *operation) noexcept;
    void undefer(struct thrum_operation *operation) noexcept;
    void launch_deferred() noexcept;
    void try_deferred() noexcept;
    void run_some();

    thrum::executor executor() noexcept
    {
        return io->get_executor();
    }
};

#endif
