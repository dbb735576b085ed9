// SPDX-License-Identifier: BSL-1.0
// What a context is made of.
#ifndef ASIO_CONTEXT_HPP
#define ASIO_CONTEXT_HPP

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include <thrum/context.h>

#include "base/list.h"

#include "protocol.hpp"

namespace thrum
{
using steady_clock = std::chrono::steady_clock;
using io_timer =
    boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>,
                                      executor>;
class lookup_pool;
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
    std::shared_ptr<thrum::lookup_pool> lookups; // NULL before the first lookup that needs it

    thrum_context();
    thrum_context(const thrum_context &) = delete;
    thrum_context &operator=(const thrum_context &) = delete;
    ~thrum_context();

    thrum::executor executor() noexcept
    {
        return io->get_executor();
    }
};

#endif
