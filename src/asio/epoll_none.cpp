// SPDX-License-Identifier: BSL-1.0
// See epoll.hpp: where Asio's reactor is another one, it tells.
#include "epoll.hpp"

int thrum::epoll_take_error() noexcept
{
    return 0;
}
