// SPDX-License-Identifier: BSL-1.0
// The threads behind the resolvers.
#include "lookup_pool.hpp"

#include <thrum/resolver.h>

#include "base/thread.h"

#include "error.hpp"
#include "operation.hpp"

namespace thrum
{

// If one of the threads that are there will come to the job, a new one that cannot be had is no
// error.
int lookup_pool::start(lookup_job *job)
{
    lock guard(mutex_);
    bool is_busy = n_threads_ == THRUM_RESOLVER_MAX_THREADS;
    int error = is_busy ? 0 : begin_worker();
    if (error && n_threads_ == 0)
        return error;
    if (is_busy)
        begin_sorter();
    job->at = lookup_job::phase::queued;
    list_append(is_busy ? &arrivals_ : &queue_, &job->hook);
    return 0;
}

lookup_pool::withdrawal lookup_pool::withdraw(lookup_job *job) noexcept
{
    lock guard(mutex_);
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
    lock guard(mutex_);
}

// ---- threads ----

template <void (lookup_pool::*body)() noexcept>
void *lookup_pool::thread(void *argument) noexcept
{
    std::unique_ptr<std::shared_ptr<lookup_pool>> reference(
        static_cast<std::shared_ptr<lookup_pool> *>(argument));
    ((*reference).get()->*body)();
    return nullptr;
}

int lookup_pool::begin(void *(*body)(void *)) noexcept
{
    return guarded([&] {
        auto reference = std::make_unique<std::shared_ptr<lookup_pool>>(shared_from_this());
        int error = thread_begin(body, reference.get());
        if (!error)
            (void)reference.release();
        return error;
    });
}

int lookup_pool::begin_worker() noexcept
{
    int error = begin(thread<&lookup_pool::work>);
    if (!error)
        ++n_threads_;
    return error;
}

// Without it the arrivals wait for the other threads.
void lookup_pool::begin_sorter() noexcept
{
    if (!has_sorter_)
        has_sorter_ = begin(thread<&lookup_pool::sort>) == 0;
}

// The next job, NULL if there is none.
lookup_job *lookup_pool::take() noexcept
{
    struct list &from = list_is_empty(&queue_) ? arrivals_ : queue_;
    if (list_is_empty(&from))
        return nullptr;
    auto *job = LIST_ITEM(from.next, lookup_job, hook);
    list_remove(&job->hook);
    job->at = lookup_job::phase::asked;
    return job;
}

void lookup_pool::work() noexcept
{
    lock guard(mutex_);
    while (lookup_job *job = take())
        ask(guard, job);
    --n_threads_;
}

void lookup_pool::ask(lock &lock, lookup_job *job) noexcept
{
    lock.unlock();
    int error = lookup_run(&job->lookup);
    lock.lock();
    finish(job, error);
}

void lookup_pool::sort() noexcept
{
    lock guard(mutex_);
    while (!list_is_empty(&arrivals_)) {
        auto *job = LIST_ITEM(arrivals_.next, lookup_job, hook);
        list_remove(&job->hook);
        job->at = lookup_job::phase::asked;
        guard.unlock();
        bool is_local = lookup_is_local(&job->lookup);
        guard.lock();
        if (job->at == lookup_job::phase::withdrawn)
            delete job;
        else if (is_local || !has_worker())
            ask(guard, job);
        else
            put_back(job);
    }
    has_sorter_ = false;
}

// Meanwhile some or all of them may have ended.
bool lookup_pool::has_worker() noexcept
{
    return (n_threads_ < THRUM_RESOLVER_MAX_THREADS && begin_worker() == 0) || n_threads_ > 0;
}

void lookup_pool::put_back(lookup_job *job) noexcept
{
    job->at = lookup_job::phase::queued;
    list_append(&queue_, &job->hook);
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
    operation_post(job->operation, error);
}

} // namespace thrum
