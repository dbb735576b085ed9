// SPDX-License-Identifier: BSL-1.0
// Asio's errors as ours: the whole table of <boost/asio/error.hpp>.
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <new>

#include "asio/error.hpp"

namespace
{

namespace errors = boost::asio::error;

struct row {
    errors::basic_errors asio;
    int code;
};

const row basic_rows[] = {
    {errors::access_denied, EACCES},
    {errors::address_family_not_supported, EAFNOSUPPORT},
    {errors::address_in_use, EADDRINUSE},
    {errors::already_connected, EISCONN},
    {errors::already_started, EALREADY},
    {errors::broken_pipe, EPIPE},
    {errors::connection_aborted, ECONNABORTED},
    {errors::connection_refused, ECONNREFUSED},
    {errors::connection_reset, ECONNRESET},
    {errors::bad_descriptor, EBADF},
    {errors::fault, EFAULT},
    {errors::host_unreachable, EHOSTUNREACH},
    {errors::in_progress, EINPROGRESS},
    {errors::interrupted, EINTR},
    {errors::invalid_argument, EINVAL},
    {errors::message_size, EMSGSIZE},
    {errors::name_too_long, ENAMETOOLONG},
    {errors::network_down, ENETDOWN},
    {errors::network_reset, ENETRESET},
    {errors::network_unreachable, ENETUNREACH},
    {errors::no_descriptors, EMFILE},
    {errors::no_buffer_space, ENOBUFS},
    {errors::no_memory, ENOMEM},
    {errors::no_permission, EPERM},
    {errors::no_protocol_option, ENOPROTOOPT},
    {errors::no_such_device, ENODEV},
    {errors::not_connected, ENOTCONN},
    {errors::not_socket, ENOTSOCK},
    {errors::operation_aborted, ECANCELED},
    {errors::operation_not_supported, EOPNOTSUPP},
    {errors::shut_down, ESHUTDOWN},
    {errors::timed_out, ETIMEDOUT},
    {errors::try_again, EAGAIN},
    {errors::would_block, EWOULDBLOCK},
};

int resolver_error(int code)
{
    return thrum_error_from(THRUM_CATEGORY_RESOLVER, std::abs(code));
}

} // namespace

TEST_CASE("Asio's errors of the system keep their errno")
{
    for (const row &each : basic_rows)
        CHECK(thrum::error_from(each.asio) == each.code);
    CHECK(thrum::error_from({}) == 0);
    for (int code = 1; code < 134; ++code) {
        CHECK(thrum::error_from({code, boost::system::system_category()}) == code);
        CHECK(thrum::error_from({code, boost::system::generic_category()}) == code);
    }
}

TEST_CASE("Asio's conditions of its own are those of the misc category")
{
    CHECK(thrum::error_from(errors::already_open) == THRUM_EALREADY_OPEN);
    CHECK(thrum::error_from(errors::eof) == THRUM_EEOF);
    CHECK(thrum::error_from(errors::not_found) == THRUM_ENOT_FOUND);
    int other = thrum::error_from(errors::fd_set_failure);
    CHECK(thrum_error_category(other) == THRUM_CATEGORY_MISC);
    CHECK(thrum_error_code(other) == errors::fd_set_failure);
}

TEST_CASE("Asio's errors of lookups are getaddrinfo's and no errno")
{
    CHECK(thrum::error_from(errors::service_not_found) == resolver_error(EAI_SERVICE));
    CHECK(thrum::error_from(errors::socket_type_not_supported) == resolver_error(EAI_SOCKTYPE));
    CHECK(thrum::error_from(errors::host_not_found) == resolver_error(EAI_NONAME));
    CHECK(thrum::error_from(errors::host_not_found_try_again) == resolver_error(EAI_AGAIN));
    CHECK(thrum::error_from(errors::no_data) == resolver_error(EAI_NONAME));
    CHECK(thrum::error_from(errors::no_recovery) == resolver_error(EAI_FAIL));
}

TEST_CASE("an exception becomes the error that it carries")
{
    using boost::system::system_error;
    CHECK(thrum::guarded([]() -> int { throw std::bad_alloc(); }) == ENOMEM);
    CHECK(thrum::guarded([]() -> int { throw 1; }) == ENOTRECOVERABLE);
    CHECK(thrum::guarded([]() -> int { throw system_error(errors::no_descriptors); }) == EMFILE);
    CHECK(thrum::guarded([]() -> int { throw system_error(errors::eof); }) == THRUM_EEOF);
}
