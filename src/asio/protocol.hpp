// SPDX-License-Identifier: BSL-1.0
// The protocol and the endpoint that Asio's templates are instantiated with.
#ifndef ASIO_PROTOCOL_HPP
#define ASIO_PROTOCOL_HPP

#include <algorithm>
#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/io_context.hpp>

#include <thrum/address.h>

namespace thrum
{

// Like Asio's generic protocols, with two differences. The kind is a value, not a type, so that
// one instantiation carries datagram, stream and seqpacket: Asio's socket service asks for the
// kind at run time anyway. And the endpoint does not hold the bytes of an address, it refers to
// those of a struct thrum_endpoint: the kernel writes a sender where the caller wants to have it,
// and an operation under way keeps a pointer instead of a 144 byte copy.
class any_protocol
{
  public:
    class endpoint;
    using socket = boost::asio::basic_datagram_socket<any_protocol>;

    any_protocol(int family, int type, int number) noexcept
        : family_(family), type_(type), number_(number)
    {
    }

    int family() const noexcept
    {
        return family_;
    }

    int type() const noexcept
    {
        return type_;
    }

    int protocol() const noexcept
    {
        return number_;
    }

  private:
    int family_;
    int type_;
    int number_;
};

class any_protocol::endpoint
{
  public:
    using protocol_type = any_protocol;
    using data_type = sockaddr;

    endpoint() noexcept = default;

    explicit endpoint(struct thrum_endpoint *target) noexcept : target_(target)
    {
    }

    // Asio only reads the endpoints that it takes by const reference.
    explicit endpoint(const struct thrum_endpoint *target) noexcept
        : target_(const_cast<struct thrum_endpoint *>(target))
    {
    }

    protocol_type protocol() const noexcept
    {
        return {target_ ? target_->sa.any.sa_family : AF_UNSPEC, 0, 0};
    }

    data_type *data() noexcept
    {
        return &target_->sa.any;
    }

    const data_type *data() const noexcept
    {
        return &target_->sa.any;
    }

    std::size_t size() const noexcept
    {
        return target_->size;
    }

    std::size_t capacity() const noexcept
    {
        return sizeof(target_->sa);
    }

    // A unix path that fills sun_path is reported one byte longer than sockaddr_un: unix(7), BUGS.
    void resize(std::size_t size) noexcept
    {
        target_->size = static_cast<socklen_t>(std::min(size, capacity()));
    }

  private:
    struct thrum_endpoint *target_ = nullptr;
};

using executor = boost::asio::io_context::executor_type;
using io_socket = boost::asio::basic_datagram_socket<any_protocol, executor>;

} // namespace thrum

#endif
