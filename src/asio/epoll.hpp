// SPDX-License-Identifier: BSL-1.0
// What Asio's reactor does not tell: it ignores that epoll_ctl(2) has failed for its own eventfd
// and timerfd, as it does when fs.epoll.max_user_watches is reached; sleeps then never end, and
// nobody wakes the loop from another thread.
#ifndef ASIO_EPOLL_HPP
#define ASIO_EPOLL_HPP

namespace thrum
{

// The first error of an epoll_ctl(2) that this thread has made through Asio since it was asked
// last; 0 if there was none, or no epoll.
int epoll_take_error() noexcept;

} // namespace thrum

#endif
