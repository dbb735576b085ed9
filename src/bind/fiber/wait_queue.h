/* SPDX-License-Identifier: BSL-1.0 */
/* Queues of fibers that wait for one another: first come, first served. */
#ifndef BIND_FIBER_WAIT_QUEUE_H
#define BIND_FIBER_WAIT_QUEUE_H

#include <lua.h>

#include "base/list.h"
#include "bind/fiber/call.h"
#include "bind/fiber/fiber.h"

/* Suspend the fiber at the back of the queue until it is woken. `wait` cancels by
 * wait_queue_cancel, or by something of its own. */
static inline int wait_queue_suspend(lua_State *L, struct list *queue, struct fiber *fiber,
                                     const struct wait_ops *wait, call_finish *finish)
{
    list_append(queue, &fiber->waiter.link);
    return call_suspend(L, fiber, wait, NO_DEADLINE, finish);
}

static inline struct waiter *wait_queue_first(struct list *queue)
{
    return LIST_ITEM(queue->next, struct waiter, link);
}

/* Take the first off the queue, or NULL. */
static inline struct waiter *wait_queue_take(struct list *queue)
{
    if (list_is_empty(queue))
        return NULL;
    struct waiter *waiter = wait_queue_first(queue);
    list_remove(&waiter->link);
    return waiter;
}

/* wait_ops' cancel: leave the queue and be woken with ECANCELED. */
void wait_queue_cancel(struct fiber *fiber);

/* Wake all with that outcome. */
void wait_queue_wake_all(struct list *queue, int outcome);

#endif
