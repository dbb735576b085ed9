// SPDX-License-Identifier: BSL-1.0
// Asio's error codes and exceptions as the ints of <thrum/error.h>.
#ifndef ASIO_ERROR_HPP
#define ASIO_ERROR_HPP

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <netdb.h>
#include <new>

#include <thrum/error.h>

namespace thrum
{

// The older lookup functions' numbers, as getaddrinfo(3) would have it.
inline int error_from_netdb(int code) noexcept
{
    switch (code) {
    case TRY_AGAIN:
        return EAI_AGAIN;
    case NO_RECOVERY:
        return EAI_FAIL;
    default: // HOST_NOT_FOUND, NO_DATA
        return EAI_NONAME;
    }
}

// glibc's codes of getaddrinfo are negative.
inline int error_from_resolver(int code) noexcept
{
    return THRUM_ERROR_RESOLVER + (code < 0 ? -code : code);
}

inline int error_from_others(const boost::system::error_code &code) noexcept
{
    const boost::system::error_category &category = code.category();
    if (category == boost::asio::error::get_misc_category())
        return THRUM_ERROR_MISC + code.value();
    if (category == boost::asio::error::get_addrinfo_category())
        return error_from_resolver(code.value());
    if (category == boost::asio::error::get_netdb_category())
        return error_from_resolver(error_from_netdb(code.value()));
    return category == boost::system::generic_category() ? code.value() : ENOTRECOVERABLE;
}

// Every category that Asio has: the numbers of one are not those of another.
inline int error_from(const boost::system::error_code &code) noexcept
{
    if (!code)
        return 0;
    if (code.category() == boost::asio::error::get_system_category())
        return code.value();
    return error_from_others(code);
}

// Call `body` where nothing may be thrown. Asio throws when memory or, while the reactor is made,
// descriptors run out.
template <typename Body>
int guarded(Body body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return ENOMEM;
    } catch (const boost::system::system_error &error) {
        return error_from(error.code());
    } catch (...) {
        return ENOTRECOVERABLE;
    }
}

} // namespace thrum

#endif
