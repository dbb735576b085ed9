/* SPDX-License-Identifier: BSL-1.0 */
/* Batches where there is no system call for them: one message after the other. */
#include "net/message.h"

typedef int transfer_one(int fd, struct thrum_message *message);

/* An error behind some messages comes again with the next call. */
static int move_each(int fd, struct thrum_message *messages, size_t n, size_t *count,
                     transfer_one *move)
{
    int error = 0;
    size_t n_moved = 0;
    while (n_moved < n && n_moved < MESSAGE_MAX_BATCH && !error) {
        error = move(fd, &messages[n_moved]);
        n_moved += error == 0;
    }
    *count = n_moved;
    return n_moved > 0 ? 0 : error;
}

int message_receive_batch(int fd, struct thrum_message *messages, size_t n, size_t *count)
{
    return move_each(fd, messages, n, count, message_receive);
}

int message_send_batch(int fd, struct thrum_message *messages, size_t n, size_t *count)
{
    return move_each(fd, messages, n, count, message_send);
}
