// SPDX-License-Identifier: BSL-1.0
// Waiting until any descriptor is readable, on Asio's stream_descriptor.
#include <thrum/descriptor.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <fcntl.h>
#include <optional>

#include "base/descriptor.h"

#include "context.hpp"
#include "operation.hpp"

namespace
{

using io_descriptor = boost::asio::posix::basic_stream_descriptor<thrum::executor>;

// Asio makes a descriptor non-blocking before its first wait, and with it every copy of it: those
// of a shell that shares the terminal, too. Nobody reads through Asio here, so once Asio holds it
// for non-blocking, put back what was. On error `fd` is still the caller's.
int adopt(io_descriptor &io, int fd)
{
    boost::system::error_code code;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return errno;
    io.assign(fd, code);
    if (code)
        return thrum::error_from(code);
    io.native_non_blocking(true, code);
    if (!code && fcntl(fd, F_SETFL, flags) < 0)
        code.assign(errno, boost::system::system_category());
    if (!code)
        return 0;
    io.release();
    return thrum::error_from(code);
}

} // namespace

struct thrum_descriptor final : thrum::object {
    std::optional<io_descriptor> io; // of a copy, which it closes

    explicit thrum_descriptor(thrum_context *context) : object(context), io(context->executor())
    {
    }

    void reset() noexcept override
    {
        disarm();
        io.reset();
    }

    int open(int fd)
    {
        int copy;
        int error = descriptor_dup(fd, &copy);
        if (error)
            return error;
        error = thrum::guarded([&] { return adopt(*io, copy); });
        if (error)
            descriptor_close(copy);
        return error;
    }

    int wait(struct thrum_operation *operation) noexcept
    {
        if (!context)
            return EBADF;
        if (!list_is_empty(&pending) || thrum_operation_is_pending(operation))
            return EBUSY;
        return operation_start(
            operation, this, thrum::operation_type::other,
            [&](thrum::completion handler) { io->async_wait(io_descriptor::wait_read, handler); });
    }
};

extern "C" {

int thrum_descriptor_new(thrum_context *context, int fd, thrum_descriptor **descriptor) noexcept
{
    return thrum::guarded([&] {
        auto *made = new thrum_descriptor(context);
        int error = thrum::guarded([&] { return made->open(fd); });
        if (error)
            made->free();
        else
            *descriptor = made;
        return error;
    });
}

void thrum_descriptor_free(thrum_descriptor *descriptor) noexcept
{
    if (descriptor)
        descriptor->free();
}

int thrum_descriptor_wait(thrum_descriptor *descriptor, struct thrum_operation *operation) noexcept
{
    return descriptor->wait(operation);
}

} // extern "C"
