// SPDX-License-Identifier: BSL-1.0
// Resolvers: lookups as operations, asked about by the context's threads.
#include <thrum/resolver.h>

#include <memory>

#include "context.hpp"
#include "lookup_pool.hpp"
#include "operation.hpp"

using thrum::lookup_job;
using thrum::lookup_pool;

struct thrum_resolver final : thrum::object {
    std::shared_ptr<lookup_pool> pool; // NULL before the first lookup that needs it
    std::unique_ptr<lookup_job> job;   // the last lookup; NULL when it was withdrawn

    explicit thrum_resolver(thrum_context *context) : object(context)
    {
    }

    void reset() noexcept override
    {
        withdraw();
        disarm();
    }

    // A lookup that is under way ends now.
    void withdraw() noexcept
    {
        if (!job || !pool)
            return;
        struct thrum_operation *operation = job->operation;
        lookup_pool::withdrawal how = pool->withdraw(job.get());
        if (how == lookup_pool::withdrawal::too_late)
            return;
        if (how == lookup_pool::withdrawal::left)
            (void)job.release();
        job.reset();
        thrum::operation_post(operation, ECANCELED);
    }

    // A new job: `ask` fills in its question.
    template <typename Ask>
    int prepare(Ask ask) noexcept
    {
        if (!context)
            return EBADF;
        if (!list_is_empty(&pending))
            return EBUSY;
        return thrum::guarded([&] {
            job = std::make_unique<lookup_job>();
            int error = ask(&job->lookup);
            if (error)
                job.reset();
            return error;
        });
    }

    // What is numeric needs no thread, only its turn in the loop.
    int start(struct thrum_operation *operation) noexcept
    {
        if (thrum_operation_is_pending(operation))
            return EBUSY;
        int answer = lookup_try(&job->lookup);
        return operation_start(operation, this, thrum::operation_type::other,
                               [&](thrum::completion) {
                                   if (answer == EAGAIN)
                                       hand_over(operation);
                                   else
                                       thrum::operation_post(operation, answer);
                               });
    }

    const struct lookup *answer() const noexcept
    {
        return job && list_is_empty(&pending) ? &job->lookup : nullptr;
    }

  private:
    struct canceller {
        thrum_resolver *resolver;

        void operator()(boost::asio::cancellation_type) const noexcept
        {
            resolver->withdraw();
        }
    };

    // From the pool's start on a thread may post the operation.
    void hand_over(struct thrum_operation *operation)
    {
        if (!context->lookups)
            context->lookups = std::make_shared<lookup_pool>();
        pool = context->lookups;
        job->operation = operation;
        thrum::operation_slot(operation).emplace<canceller>(canceller{this});
        int error = pool->start(job.get());
        if (error)
            throw boost::system::system_error(error, boost::system::system_category());
    }
};

extern "C" {

int thrum_resolver_new(thrum_context *context, thrum_resolver **resolver) noexcept
{
    return thrum::guarded([&] {
        *resolver = new thrum_resolver(context);
        return 0;
    });
}

void thrum_resolver_free(thrum_resolver *resolver) noexcept
{
    if (resolver)
        resolver->free();
}

int thrum_resolver_look_up(thrum_resolver *resolver, struct thrum_operation *operation,
                           const char *host, const char *service,
                           const struct addrinfo *hints) noexcept
{
    int error = resolver->prepare(
        [&](struct lookup *lookup) { return lookup_init_forward(lookup, host, service, hints); });
    return error ? error : resolver->start(operation);
}

int thrum_resolver_try_look_up(thrum_resolver *resolver, const char *host, const char *service,
                               const struct addrinfo *hints) noexcept
{
    int error = resolver->prepare(
        [&](struct lookup *lookup) { return lookup_init_forward(lookup, host, service, hints); });
    return error ? error : lookup_try(&resolver->job->lookup);
}

int thrum_resolver_look_up_names(thrum_resolver *resolver, struct thrum_operation *operation,
                                 const struct thrum_endpoint *endpoint, int flags) noexcept
{
    int error = resolver->prepare(
        [&](struct lookup *lookup) { return lookup_init_reverse(lookup, endpoint, flags); });
    return error ? error : resolver->start(operation);
}

const struct addrinfo *thrum_resolver_addresses(const thrum_resolver *resolver) noexcept
{
    const struct lookup *answer = resolver->answer();
    return answer ? answer->addresses : nullptr;
}

const char *thrum_resolver_host_name(const thrum_resolver *resolver) noexcept
{
    const struct lookup *answer = resolver->answer();
    return answer && answer->is_reverse && answer->has_host ? answer->host : nullptr;
}

const char *thrum_resolver_service_name(const thrum_resolver *resolver) noexcept
{
    const struct lookup *answer = resolver->answer();
    return answer && answer->is_reverse && answer->has_service ? answer->service : nullptr;
}

} // extern "C"
