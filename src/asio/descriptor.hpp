// SPDX-License-Identifier: BSL-1.0
// What sockets and acceptors do alike with their Asio part and its descriptor.
#ifndef ASIO_DESCRIPTOR_HPP
#define ASIO_DESCRIPTOR_HPP

#include <thrum/address.h>
#include <thrum/error.h>

#include "base/descriptor.h"

#include "error.hpp"
#include "protocol.hpp"

namespace thrum
{

// Give `io` a descriptor that is non-blocking and close-on-exec already. Always by assign: Asio
// then removes it from the reactor before it closes it, which matters when another process has the
// same socket open, and which the close of a descriptor alone does not do. On error the caller
// still owns it.
template <typename Io>
int adopt(Io &io, int family, int type, int number, int fd)
{
    boost::system::error_code code;
    io.assign(any_protocol(family, type, number), fd, code);
    if (code)
        return error_from(code);
    io.non_blocking(true, code); // so that Asio's synchronous calls do not wait
    if (!code)
        return 0;
    boost::system::error_code ignored;
    io.release(ignored);
    return error_from(code);
}

// Is `fd` what it is said to be? Then make it non-blocking and close-on-exec.
inline int check_and_prepare(int fd, int family, int type, bool is_acceptor) noexcept
{
    int actual_family, actual_type;
    bool is_listening;
    int error = descriptor_socket_kind(fd, &actual_family, &actual_type, &is_listening);
    if (error)
        return error;
    if (actual_family != family || actual_type != type || (is_listening && !is_acceptor))
        return EINVAL;
    return descriptor_prepare(fd);
}

template <typename Io>
int open(Io &io, int family, int type, int number, int *descriptor)
{
    int fd;
    int error = descriptor_socket(family, type, number, &fd);
    if (error)
        return error;
    error = adopt(io, family, type, number, fd);
    if (error)
        descriptor_close(fd);
    else
        *descriptor = fd;
    return error;
}

// The descriptor is gone whatever close(2) said; only a real failure to write is worth a word.
template <typename Io>
int close(Io &io)
{
    boost::system::error_code code;
    io.close(code);
    int error = error_from(code);
    return error == EINTR || error == EINPROGRESS ? 0 : error;
}

template <typename Io>
int bind(Io &io, const struct thrum_endpoint *local)
{
    boost::system::error_code code;
    io.bind(any_protocol::endpoint(local), code);
    return error_from(code);
}

// Asio's own would return the endpoint by value, and ours has no bytes of its own.
inline int ask_name(decltype(::getsockname) *ask, int fd, struct thrum_endpoint *endpoint) noexcept
{
    socklen_t size = sizeof(endpoint->sa);
    if (fd < 0)
        return EBADF;
    if (ask(fd, &endpoint->sa.any, &size) != 0)
        return errno;
    any_protocol::endpoint(endpoint).resize(size);
    return 0;
}

} // namespace thrum

#endif
