// SPDX-License-Identifier: BSL-1.0
// Many datagrams at once.
#include <cerrno>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "base/leak_check.h"
#include "net/message.h"

namespace
{

// A socket bound to a port of loopback, and its endpoint.
struct bound_socket {
    int fd;
    struct thrum_endpoint endpoint;

    bound_socket() : fd(socket(AF_INET, SOCK_DGRAM, 0))
    {
        struct thrum_address loopback = thrum_address_v4(0x7f000001);
        thrum_endpoint_from_address(&loopback, 0, &endpoint);
        REQUIRE(bind(fd, &endpoint.sa.any, endpoint.size) == 0);
        REQUIRE(getsockname(fd, &endpoint.sa.any, &endpoint.size) == 0);
    }
    ~bound_socket()
    {
        close(fd);
    }
    void send(const std::string &text, const bound_socket &to) const
    {
        REQUIRE(sendto(fd, text.data(), text.size(), 0, &to.endpoint.sa.any, to.endpoint.size) ==
                (ssize_t)text.size());
    }
};

struct batch {
    char data[MESSAGE_MAX_BATCH + 1][64];
    struct thrum_endpoint peers[MESSAGE_MAX_BATCH + 1] = {};
    struct thrum_message messages[MESSAGE_MAX_BATCH + 1] = {};
    size_t count = 0;

    batch()
    {
        for (int i = 0; i <= MESSAGE_MAX_BATCH; i++) {
            messages[i].data = data[i];
            messages[i].size = sizeof(data[i]);
            messages[i].peer = &peers[i];
        }
    }
    std::string text(int i) const
    {
        return std::string(data[i], messages[i].length);
    }
};

} // namespace

TEST_CASE_METHOD(leak_check, "a batch has what is there, in order, with the senders")
{
    bound_socket receiver, first, second;
    batch batch;
    first.send("one", receiver);
    second.send("", receiver);
    first.send("three", receiver);
    REQUIRE(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH, &batch.count) ==
            0);
    REQUIRE(batch.count == 3);
    CHECK(batch.text(0) == "one");
    CHECK(batch.text(1) == "");
    CHECK(batch.text(2) == "three");
    const struct bound_socket *senders[] = {&first, &second, &first};
    for (int i = 0; i < 3; i++) {
        REQUIRE(batch.peers[i].size == sizeof(struct sockaddr_in));
        CHECK(batch.peers[i].sa.v4.sin_port == senders[i]->endpoint.sa.v4.sin_port);
    }
}

TEST_CASE_METHOD(leak_check,
                 "a batch is no longer than asked for, and never than MESSAGE_MAX_BATCH")
{
    bound_socket receiver, sender;
    batch batch;
    for (int i = 0; i < MESSAGE_MAX_BATCH + 3; i++)
        sender.send(std::to_string(i), receiver);
    REQUIRE(message_receive_batch(receiver.fd, batch.messages, 2, &batch.count) == 0);
    CHECK(batch.count == 2);
    REQUIRE(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH + 1,
                                  &batch.count) == 0);
    CHECK(batch.count == MESSAGE_MAX_BATCH);
    CHECK(batch.text(0) == "2");
    REQUIRE(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH, &batch.count) ==
            0);
    CHECK(batch.count == 1);
    CHECK(batch.text(0) == std::to_string(MESSAGE_MAX_BATCH + 2));
}

TEST_CASE_METHOD(leak_check, "nothing there is EAGAIN, no socket is an error, neither waits")
{
    bound_socket receiver;
    batch batch;
    CHECK(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH, &batch.count) ==
          EAGAIN);
    CHECK(message_receive_batch(-1, batch.messages, MESSAGE_MAX_BATCH, &batch.count) == EBADF);
}

TEST_CASE_METHOD(leak_check,
                 "an error of a connected socket comes by itself, the datagrams after it")
{
    bound_socket receiver;
    {
        bound_socket gone;
        REQUIRE(connect(receiver.fd, &gone.endpoint.sa.any, gone.endpoint.size) == 0);
    }
    batch batch;
    REQUIRE(send(receiver.fd, "x", 1, 0) == 1);
    CHECK(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH, &batch.count) ==
          ECONNREFUSED);
    CHECK(message_receive_batch(receiver.fd, batch.messages, MESSAGE_MAX_BATCH, &batch.count) ==
          EAGAIN);
}

TEST_CASE_METHOD(leak_check, "a batch is sent in order, each to its own receiver")
{
    bound_socket sender, first, second;
    batch batch;
    const struct bound_socket *receivers[] = {&first, &second, &first};
    const char *texts[] = {"one", "", "three"};
    for (int i = 0; i < 3; i++) {
        strcpy(batch.data[i], texts[i]);
        batch.messages[i].size = strlen(texts[i]);
        batch.peers[i] = receivers[i]->endpoint;
    }
    REQUIRE(message_send_batch(sender.fd, batch.messages, 3, &batch.count) == 0);
    CHECK(batch.count == 3);
    char text[8];
    CHECK(recv(first.fd, text, sizeof(text), MSG_DONTWAIT) == 3);
    CHECK(memcmp(text, "one", 3) == 0);
    CHECK(recv(first.fd, text, sizeof(text), MSG_DONTWAIT) == 5);
    CHECK(recv(second.fd, text, sizeof(text), MSG_DONTWAIT) == 0);
}

TEST_CASE_METHOD(leak_check, "what cannot be sent ends a batch, and is an error as its first")
{
    bound_socket sender, receiver;
    batch batch;
    for (int i = 0; i < 3; i++) {
        batch.messages[i].size = 1;
        batch.peers[i] = receiver.endpoint;
    }
    std::vector<char> large(65508);
    batch.messages[1].data = large.data();
    batch.messages[1].size = large.size();
    REQUIRE(message_send_batch(sender.fd, batch.messages, 3, &batch.count) == 0);
    CHECK(batch.count == 1);
    CHECK(message_send_batch(sender.fd, batch.messages + 1, 2, &batch.count) == EMSGSIZE);
    CHECK(message_send_batch(-1, batch.messages, 1, &batch.count) == EBADF);
}
