/* SPDX-License-Identifier: BSL-1.0 */
/* Queues of fibers that wait for one another: see wait_queue.h. */
#include "bind/fiber/wait_queue.h"

#include <errno.h>

void wait_queue_cancel(struct fiber *fiber)
{
    list_remove(&fiber->waiter.link);
    fiber_wake(fiber, ECANCELED);
}

void wait_queue_wake_all(struct list *queue, int outcome)
{
    struct waiter *waiter;
    while ((waiter = wait_queue_take(queue)))
        fiber_wake(waiter->fiber, outcome);
}
