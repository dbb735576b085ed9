// SPDX-License-Identifier: BSL-1.0
// The event loop: Asio's, driven one completion at a time.
#include "context.hpp"

#include "epoll.hpp"
#include "error.hpp"
#include "lookup_pool.hpp"
#include "object.hpp"

thrum_context::thrum_context()
{
    list_init(&objects);
    io.emplace(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
    work.emplace(io->get_executor());
    // Asio makes its reactor with the first object: have it fail here rather than there, and fail
    // when it cannot register its own descriptors.
    thrum::epoll_take_error();
    thrum::io_timer first(*io);
    if (int error = thrum::epoll_take_error())
        throw boost::system::system_error(error, boost::system::system_category());
}

// First the objects close, while the reactor is there to forget their descriptors. Then Asio
// destroys the handlers, which give their storage back to operations that still count as pending.
// Only then are the operations let go, and with them the objects that waited for nothing else.
thrum_context::~thrum_context()
{
    is_ending = true;
    for (struct list *node = objects.next; node != &objects; node = node->next)
        LIST_ITEM(node, thrum::object_hook, node)->owner->reset();
    if (lookups)
        lookups->leave_loop();
    work.reset();
    io.reset();
    while (!list_is_empty(&objects))
        LIST_ITEM(objects.next, thrum::object_hook, node)->owner->abandon();
}

namespace
{

// While a completion runs, running the same loop again finds nothing to do.
class running
{
  public:
    explicit running(thrum_context *context) noexcept : context_(context)
    {
        context_->is_running = true;
    }

    running(const running &) = delete;
    running &operator=(const running &) = delete;

    ~running()
    {
        context_->is_running = false;
    }

  private:
    thrum_context *context_;
};

} // namespace

extern "C" {

int thrum_context_new(thrum_context **context) noexcept
{
    return thrum::guarded([&] {
        *context = new thrum_context;
        return 0;
    });
}

void thrum_context_free(thrum_context *context) noexcept
{
    delete context;
}

// A handler may be one of ours that completes nothing, so count completions, not handlers.
size_t thrum_context_run_one(thrum_context *context) noexcept
{
    if (context->is_running)
        return 0;
    running guard(context);
    std::size_t before = context->n_completed;
    context->launch_deferred();
    while (context->n_completed == before && context->n_pending != 0)
        context->io->run_one();
    return context->n_completed - before;
}

size_t thrum_context_run_some(thrum_context *context) noexcept
{
    if (context->is_running)
        return 0;
    running guard(context);
    std::size_t before = context->n_completed;
    context->deferred.is_possible = true;
    while (context->n_completed == before && context->n_pending != 0) {
        if (context->deferred.n > 0)
            context->run_some();
        else
            context->io->run_one();
    }
    return context->n_completed - before;
}

void thrum_context_run(thrum_context *context) noexcept
{
    while (thrum_context_run_one(context) != 0) {
    }
}

// What is started meanwhile may complete at once, for ever: call no more than were pending. Events
// that complete nothing are no reason to stay either: one for each object may be such.
size_t thrum_context_poll(thrum_context *context) noexcept
{
    if (context->is_running)
        return 0;
    running guard(context);
    std::size_t before = context->n_completed;
    std::size_t limit = context->n_pending;
    context->try_deferred();
    std::size_t n_handlers = limit + context->n_objects;
    while (context->n_completed - before < limit && n_handlers-- != 0)
        if (context->io->poll_one() == 0)
            break;
    return context->n_completed - before;
}

size_t thrum_context_n_pending(const thrum_context *context) noexcept
{
    return context->n_pending;
}

size_t thrum_context_n_objects(const thrum_context *context) noexcept
{
    return context->n_objects;
}

} // extern "C"
