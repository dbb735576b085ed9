// SPDX-License-Identifier: BSL-1.0
// See epoll.hpp. Asio is compiled as part of this library, and with the name of this function in
// place of epoll_ctl's (meson.build).
#include "epoll.hpp"

#undef epoll_ctl
#include <cerrno>
#include <sys/epoll.h>

namespace
{
thread_local int first_error = 0;
}

extern "C" int thrum_asio_epoll_ctl(int epoll, int operation, int fd,
                                    struct epoll_event *event) noexcept
{
    int result = epoll_ctl(epoll, operation, fd, event);
    if (result < 0 && first_error == 0)
        first_error = errno;
    return result;
}

int thrum::epoll_take_error() noexcept
{
    int error = first_error;
    first_error = 0;
    return error;
}
