// SPDX-License-Identifier: BSL-1.0
// The threads behind the resolvers.
#include "lookup_pool.hpp"

#include <thrum/resolver.h>

#include "base/thread.h"

#include "operation.hpp"

namespace thrum
{

// If one of the threads that are there will come to the job, a new one that cannot be had is no
// error.
int lookup_pool::start(lookup_job *job)
{
    std::lock_guard guard(mutex_);
    if (n_threads_ < THRUM_RESOLVER_MAX_THREADS) {
        int error = begin_thread();
        if (error && n_threads_ == 0)
            return error;
    }
    job->at = lookup_job::phase::queued;
    list_append(&queue_, &job->hook);
    return 0;
}

lookup_pool::withdrawal lookup_pool::withdraw(lookup_job *job) noexcept
{
    std::lock_guard guard(mutex_);
    switch (job->at) {
    case lookup_job::phase::queued:
        list_remove(&job->hook);
        job->at = lookup_job::phase::idle;
        return withdrawal::returned;
    case lookup_job::phase::asked:
        job->at = lookup_job::phase::withdrawn;
        return withdrawal::left;
    default:
        return withdrawal::too_late;
    }
}

void lookup_pool::leave_loop() noexcept
{
    std::lock_guard guard(mutex_);
}

int lookup_pool::begin_thread()
{
    auto reference = std::make_unique<std::shared_ptr<lookup_pool>>(shared_from_this());
    int error = thread_begin(thread, reference.get());
    if (error)
        return error;
    reference.release();
    ++n_threads_;
    return 0;
}

void *lookup_pool::thread(void *argument) noexcept
{
    std::unique_ptr<std::shared_ptr<lookup_pool>> reference(
        static_cast<std::shared_ptr<lookup_pool> *>(argument));
    (*reference)->work();
    return nullptr;
}

void lookup_pool::work() noexcept
{
    std::unique_lock lock(mutex_);
    while (!list_is_empty(&queue_)) {
        auto *job = LIST_ITEM(queue_.next, lookup_job, hook);
        list_remove(&job->hook);
        job->at = lookup_job::phase::asked;
        lock.unlock();
        int error = lookup_run(&job->lookup);
        lock.lock();
        finish(job, error);
    }
    --n_threads_;
}

// While the mutex is held nobody frees the operation's context. Asio's queue has a lock of its own,
// and the operation the room for what goes into it: nothing is allocated, so nothing is thrown.
void lookup_pool::finish(lookup_job *job, int error) noexcept
{
    if (job->at == lookup_job::phase::withdrawn) {
        delete job;
        return;
    }
    job->at = lookup_job::phase::over;
    operation_post(job->operation, error, 0);
}

} // namespace thrum
