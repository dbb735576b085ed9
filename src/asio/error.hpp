// SPDX-License-Identifier: BSL-1.0
// Asio's error codes and exceptions as the ints of <thrum/error.h>.
#ifndef ASIO_ERROR_HPP
#define ASIO_ERROR_HPP

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <new>

#include <thrum/error.h>

namespace thrum
{

inline int error_from(const boost::system::error_code &code) noexcept
{
    if (!code)
        return 0;
    if (code.category() == boost::asio::error::get_misc_category())
        return THRUM_ERROR_MISC + code.value();
    return code.value();
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
