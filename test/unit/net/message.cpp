// SPDX-License-Identifier: BSL-1.0
// Messages with descriptors, where a socket's options add items of their own.
#include <cerrno>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "base/descriptor.h"
#include "base/leak_check.h"
#include "net/message.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

namespace
{

struct pair : leak_check {
    int ends[2];

    pair()
    {
        REQUIRE(descriptor_pair(AF_UNIX, SOCK_SEQPACKET, ends) == 0);
    }

    ~pair()
    {
        for (int end : ends)
            descriptor_close(end);
    }

    int send(std::vector<int> fds)
    {
        char text[] = "x";
        struct thrum_fds list = {fds.data(), 0, fds.size()};
        struct thrum_message message = {};
        message.data = text;
        message.size = 1;
        message.fds = &list;
        int error = message_send(ends[0], &message);
        return error ? error : (message.length == 1 ? 0 : EMSGSIZE);
    }

    // How many came; they are closed.
    int receive(size_t room, size_t *n)
    {
        int fds[THRUM_MAX_FDS];
        char text[8];
        struct thrum_fds list = {fds, room, 0};
        struct thrum_message message = {};
        message.data = text;
        message.size = sizeof(text);
        message.fds = &list;
        int error = message_receive(ends[1], &message);
        *n = list.n;
        for (size_t i = 0; i < list.n; i++)
            REQUIRE(descriptor_close(fds[i]) == 0);
        return error ? error : (message.length == 1 ? 0 : EMSGSIZE);
    }
};

} // namespace

TEST_CASE_METHOD(pair, "exactly as many descriptors come as there is room for")
{
    size_t n;
    for (size_t room = 0; room <= 20; room++)
        for (size_t sent = 0; sent <= 20; sent++) {
            INFO(sent << " sent, room for " << room);
            REQUIRE(send(std::vector<int>(sent, ends[0])) == 0);
            CHECK(receive(room, &n) == (sent > room ? EMSGSIZE : 0));
            CHECK(n == (sent > room ? 0 : sent));
        }
    CHECK(receive(4, &n) == EAGAIN);
    CHECK(n == 0);
}

TEST_CASE_METHOD(pair, "options that add items take no room from descriptors, and leak none")
{
    int on = 1;
    size_t n;
    if (setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) < 0)
        WARN("no SO_PASSPIDFD here");
#ifdef SO_PASSCRED
    REQUIRE(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
#endif
    for (size_t sent : {0, 1, 3, 8, 253}) {
        INFO(sent << " sent");
        std::vector<int> fds(sent, ends[0]);
        REQUIRE(send(fds) == 0);
        CHECK(receive(sent, &n) == 0);
        CHECK(n == sent);
        if (sent > 0) {
            REQUIRE(send(fds) == 0);
            CHECK(receive(sent - 1, &n) == EMSGSIZE);
            CHECK(n == 0);
        }
    }
}

TEST_CASE_METHOD(pair, "sending raises no signal and says what is wrong")
{
    CHECK(send({ends[0], -1}) == EBADF);
    CHECK(shutdown(ends[0], SHUT_WR) == 0);
    CHECK(send({ends[0]}) == EPIPE);
}
