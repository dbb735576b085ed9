// SPDX-License-Identifier: BSL-1.0
// Any socket option, for Asio's set_option and get_option.
#ifndef ASIO_OPTION_HPP
#define ASIO_OPTION_HPP

#include <cstddef>

#include "error.hpp"

namespace thrum
{

// `Bytes` is void or const void.
template <typename Bytes>
class raw_option
{
  public:
    raw_option(int level, int name, Bytes *bytes, std::size_t size) noexcept
        : level_(level), name_(name), bytes_(bytes), size_(size)
    {
    }

    std::size_t size() const noexcept
    {
        return size_;
    }

    template <typename Protocol>
    int level(const Protocol &) const noexcept
    {
        return level_;
    }

    template <typename Protocol>
    int name(const Protocol &) const noexcept
    {
        return name_;
    }

    template <typename Protocol>
    Bytes *data(const Protocol &) const noexcept
    {
        return bytes_;
    }

    template <typename Protocol>
    std::size_t size(const Protocol &) const noexcept
    {
        return size_;
    }

    template <typename Protocol>
    void resize(const Protocol &, std::size_t size) noexcept
    {
        size_ = size;
    }

  private:
    int level_;
    int name_;
    Bytes *bytes_;
    std::size_t size_;
};

template <typename Io>
int set_option(Io &io, int level, int name, const void *value, std::size_t size)
{
    boost::system::error_code code;
    io.set_option(raw_option<const void>(level, name, value, size), code);
    return error_from(code);
}

template <typename Io>
int get_option(const Io &io, int level, int name, void *value, std::size_t *size)
{
    boost::system::error_code code;
    raw_option<void> option(level, name, value, *size);
    io.get_option(option, code);
    *size = option.size();
    return error_from(code);
}

} // namespace thrum

#endif
