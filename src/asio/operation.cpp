// SPDX-License-Identifier: BSL-1.0
// Operations: pending from a successful start until their one completion.
#include "operation.hpp"

#include <boost/asio/post.hpp>

#include "context.hpp"

namespace thrum
{

void operation_begin(struct thrum_operation *operation, object *owner, purpose does) noexcept
{
    operation_state &state = state_of(operation);
    operation->error = 0;
    operation->size = 0;
    state.owner = owner;
    state.cancel = nullptr;
    state.does = does;
    state.is_found_at_once = false;
    state.is_cancelled = false;
    state.is_retry = false;
    state.is_waiting = false;
    state.is_late = false;
    state.is_eof = false;
    list_append(&owner->pending, &state.hook);
    owner->ref();
    ++owner->context->n_pending;
}

void operation_undo(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    object *owner = state.owner;
    list_remove(&state.hook);
    state.owner = nullptr;
    state.cancel = nullptr;
    --owner->context->n_pending;
    owner->forget(operation);
    owner->unref();
}

void operation_complete(struct thrum_operation *operation, int error, std::size_t size) noexcept
{
    object *owner = state_of(operation).owner;
    operation->error = error;
    operation->size = size;
    if (!owner->settle(operation))
        return;
    ++owner->context->n_completed;
    operation_undo(operation);
    operation->done(operation);
}

void operation_post(struct thrum_operation *operation, int error, std::size_t size)
{
    operation->error = error;
    operation->size = size;
    boost::asio::post(state_of(operation).owner->context->executor(), completion{operation});
}

void operation_emit(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.cancel)
        state.cancel(state.canceller);
}

void operation_unqueue(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    list_remove(&state.hook);
    list_append(&state.owner->pending, &state.hook);
    state.cancel = nullptr;
}

namespace
{

class withdraw
{
  public:
    explicit withdraw(struct thrum_operation *operation) noexcept : operation_(operation)
    {
    }

    void operator()(boost::asio::cancellation_type_t) noexcept
    {
        operation_unqueue(operation_);
        operation_post(operation_, ECANCELED, 0);
    }

  private:
    struct thrum_operation *operation_;
};

} // namespace

void operation_queue::add(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    list_remove(&state.hook);
    list_append(&waiting, &state.hook);
    operation_slot(operation).emplace<withdraw>(operation);
}

struct thrum_operation *operation_queue::take() noexcept
{
    if (list_is_empty(&waiting))
        return nullptr;
    struct thrum_operation *operation = operation_at(waiting.next);
    operation_unqueue(operation);
    return operation;
}

// A result goes into the operation's own storage.
void operation_queue::post_all(int error, std::size_t size) noexcept
{
    while (struct thrum_operation *operation = take())
        operation_post(operation, error, size);
}

void completion::operator()() const noexcept
{
    operation_complete(operation, operation->error, operation->size);
}

void completion::operator()(const boost::system::error_code &code, std::size_t size) const noexcept
{
    operation_complete(operation, error_from(code), size);
}

} // namespace thrum

using thrum::operation_state;
using thrum::state_of;

extern "C" {

void thrum_operation_init(struct thrum_operation *operation, thrum_operation_done *done,
                          void *user) noexcept
{
    operation->done = done;
    operation->user = user;
    operation->error = 0;
    operation->size = 0;
    operation->endpoint.size = 0;
    auto *state = new (operation->private_.bytes) operation_state;
    list_init(&state->hook);
    state->owner = nullptr;
    state->cancel = nullptr;
    state->sender = thrum::any_protocol::endpoint(&operation->endpoint);
    state->is_storage_taken = false;
}

// Its bytes are all it had.
void thrum_operation_deinit(struct thrum_operation *) noexcept
{
}

bool thrum_operation_is_pending(const struct thrum_operation *operation) noexcept
{
    return state_of(operation).owner != nullptr;
}

void thrum_operation_cancel(struct thrum_operation *operation) noexcept
{
    if (!thrum_operation_is_pending(operation))
        return;
    state_of(operation).is_cancelled = true;
    thrum::operation_emit(operation);
}

} // extern "C"
