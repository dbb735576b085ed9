// SPDX-License-Identifier: BSL-1.0
// The life of what belongs to a context.
#include "object.hpp"

#include "context.hpp"
#include "operation.hpp"

namespace thrum
{

object::object(thrum_context *context) noexcept : context(context)
{
    list_init(&pending);
    hook.owner = this;
    list_append(&context->objects, &hook.node);
    ++context->n_objects;
}

object::~object()
{
    list_remove(&hook.node);
    if (context && !is_freed_)
        --context->n_objects;
}

void object::free() noexcept
{
    reset();
    is_freed_ = true;
    if (context)
        --context->n_objects;
    unref();
}

void object::abandon() noexcept
{
    list_remove(&hook.node);
    context = nullptr;
    ref();
    while (!list_is_empty(&pending)) {
        struct thrum_operation *operation = operation_at(pending.next);
        operation_state &state = state_of(operation);
        list_remove(&state.hook);
        state.owner = nullptr;
        state.cancel = nullptr;
        forget(operation);
        unref();
    }
    unref();
}

bool object::on_complete(struct thrum_operation *) noexcept
{
    return true;
}

void object::forget(struct thrum_operation *) noexcept
{
}

void object::disarm() noexcept
{
    for (struct list *node = pending.next; node != &pending; node = node->next)
        state_of(operation_at(node)).cancel = nullptr;
}

} // namespace thrum
