// SPDX-License-Identifier: BSL-1.0
// Boost.Asio as its tutorial has it: one callback receives, one sends. With the typed UDP socket
// and with the concurrency hint that thrum gives its own io_context.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include <array>
#include <cstddef>
#include <iostream>

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

namespace
{

class server
{
  public:
    explicit server(asio::io_context &context)
        : socket_(context, udp::endpoint(asio::ip::address_v4::loopback(), 0))
    {
    }

    unsigned short port() const
    {
        return socket_.local_endpoint().port();
    }

    void receive()
    {
        socket_.async_receive_from(asio::buffer(bytes_), from_,
                                   [this](error_code ec, std::size_t n) {
                                       if (ec)
                                           return report(ec);
                                       send(n);
                                   });
    }

  private:
    void send(std::size_t n)
    {
        socket_.async_send_to(asio::buffer(bytes_, n), from_, [this](error_code ec, std::size_t) {
            if (ec)
                return report(ec);
            receive();
        });
    }

    static void report(error_code ec)
    {
        std::cerr << "bench_asio: " << ec.message() << '\n';
    }

    udp::socket socket_;
    udp::endpoint from_;
    std::array<char, 2048> bytes_;
};

} // namespace

int main()
{
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
    server echo(context);
    std::cout << echo.port() << std::endl;
    echo.receive();
    context.run();
    return 1;
}
