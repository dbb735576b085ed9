// SPDX-License-Identifier: BSL-1.0
// Threads that ask the system's resolver, which blocks and cannot be stopped.
#ifndef ASIO_LOOKUP_POOL_HPP
#define ASIO_LOOKUP_POOL_HPP

#include <memory>
#include <mutex>

#include <thrum/operation.h>

#include "base/list.h"
#include "net/lookup.h"

namespace thrum
{

// A lookup that waits for its thread, is asked about, or has its answer. Its holder frees it:
// a thread what was withdrawn while it asked, the resolver the rest.
struct lookup_job {
    enum class phase { idle, queued, asked, withdrawn, over };

    struct list hook;
    struct lookup lookup;
    struct thrum_operation *operation = nullptr;
    phase at = phase::idle; // the pool's mutex guards it from `queued` to `over`

    lookup_job() noexcept
    {
        list_init(&hook);
        lookup = {};
    }

    lookup_job(const lookup_job &) = delete;
    lookup_job &operator=(const lookup_job &) = delete;

    ~lookup_job()
    {
        lookup_deinit(&lookup);
    }
};

// A thread lives as long as it finds something in a queue: none is idle, none is waited for. Each
// holds a reference on the pool, which so may outlive its context; what is left for them to do by
// then is to end.
//
// When all threads wait for slow name servers, what comes next is looked at by one thread more: it
// answers what is local itself, and queues the rest.
class lookup_pool : public std::enable_shared_from_this<lookup_pool>
{
  public:
    lookup_pool() noexcept
    {
        list_init(&queue_);
        list_init(&arrivals_);
    }

    lookup_pool(const lookup_pool &) = delete;
    lookup_pool &operator=(const lookup_pool &) = delete;

    // The job's operation, which is pending, completes from its loop once there is an answer.
    // EAGAIN: there is no thread to be had. Then the job is idle as before.
    int start(lookup_job *job);

    // Nobody waits for the answer any more. `returned`: the job is the caller's again; `left`: a
    // thread frees it; and its operation will not be touched. `too_late`: it completes anyway.
    enum class withdrawal { returned, left, too_late };
    withdrawal withdraw(lookup_job *job) noexcept;

    // All jobs of a context are withdrawn or over: from here on no thread is in its loop's queue.
    void leave_loop() noexcept;

  private:
    std::mutex mutex_;
    struct list queue_;       // for the threads
    struct list arrivals_;    // not looked at yet; after the queue
    unsigned n_threads_ = 0;  // without the one for arrivals
    bool has_sorter_ = false; // that one

    using lock = std::unique_lock<std::mutex>;

    int begin(void *(*body)(void *)) noexcept;
    int begin_worker() noexcept;
    void begin_sorter() noexcept;
    bool has_worker() noexcept;
    lookup_job *take() noexcept;
    void work() noexcept;
    void sort() noexcept;
    void ask(lock &lock, lookup_job *job) noexcept;
    void put_back(lookup_job *job) noexcept;
    void finish(lookup_job *job, int error) noexcept;

    template <void (lookup_pool::*body)() noexcept>
    static void *thread(void *argument) noexcept;
};

} // namespace thrum

#endif
