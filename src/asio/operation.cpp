// SPDX-License-Identifier: BSL-1.0
// Operations: pending from a successful start until their one completion.
#include "operation.hpp"

#include <boost/asio/post.hpp>

#include "context.hpp"

namespace thrum
{

void operation_begin(struct thrum_operation *operation, object *owner, operation_type type) noexcept
{
    operation_state &state = state_of(operation);
    operation->error = 0;
    operation->value = 0;
    state.owner = owner;
    state.cancel = nullptr;
    state.type = type;
    state.step = step::performing;
    state.is_cancelled = false;
    state.is_untried = false;
    state.n_in_vain = 0;
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

void operation_complete(struct thrum_operation *operation, int error) noexcept
{
    object *owner = state_of(operation).owner;
    operation->error = error;
    if (!owner->on_complete(operation))
        return;
    ++owner->context->n_completed;
    operation_undo(operation);
    operation->done(operation);
}

void operation_post(struct thrum_operation *operation, int error)
{
    operation->error = error;
    boost::asio::post(state_of(operation).owner->context->executor(), completion{operation});
}

void operation_emit(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (state.cancel)
        state.cancel(state.canceller);
}

void completion::operator()() const noexcept
{
    operation_complete(operation, operation->error);
}

void completion::operator()(const boost::system::error_code &code, int value) const noexcept
{
    operation->value = value;
    operation_complete(operation, error_from(code));
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
    operation->value = 0;
    auto *state = new (operation->private_.bytes) operation_state;
    list_init(&state->hook);
    list_init(&state->queue_hook);
    state->owner = nullptr;
    state->cancel = nullptr;
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
