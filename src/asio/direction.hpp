// SPDX-License-Identifier: BSL-1.0
// One direction of a socket: who waits, and whether a transfer may be tried.
#ifndef ASIO_DIRECTION_HPP
#define ASIO_DIRECTION_HPP

#include <cerrno>
#include <sys/socket.h>

#include <thrum/error.h>

#include "base/list.h"

namespace thrum
{

// Why a transfer of a direction is not simply tried. The hot path looks at all of them in one
// comparison.
enum direction_state : unsigned {
    direction_closed = 1,    // no descriptor
    direction_ended = 2,     // nothing will be received any more
    direction_waiting = 4,   // an operation waits: who comes now comes after it
    direction_exhausted = 8, // the last attempt found nothing: rather wait for readiness
    direction_skipped = 16   // so a try got EAGAIN without asking, and a start is to be next
};

struct direction {
    struct list queue;    // operations, by their queue_hook; only the first is attempted
    struct list watchers; // those that only want to know when it is ready; only the first is Asio's
    unsigned state;
    // Does it pay to try again at once after a wait has brought a datagram? Where datagrams come
    // one by one it never does. The last answer counts, and it is asked for anew every few waits.
    bool comes_in_bursts;
    bool is_trying_after_wait;
    unsigned char n_waits;

    void reset(unsigned new_state) noexcept
    {
        list_init(&queue);
        list_init(&watchers);
        state = new_state;
        comes_in_bursts = false;
        is_trying_after_wait = false;
        n_waits = 0;
    }
};

int answer_of_unusual(direction &way, int flags) noexcept;

// 0: the kernel may be asked. Else the answer without it.
inline int answer_without_asking(direction &way, int flags) noexcept
{
    return __builtin_expect(way.state == 0, true) ? 0 : answer_of_unusual(way, flags);
}

} // namespace thrum

#endif
