// SPDX-License-Identifier: BSL-1.0
// What the cases of this room stand on: a context, operations that record, connected pairs.
#ifndef TEST_ASIO_WORLD_HPP
#define TEST_ASIO_WORLD_HPP

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <functional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <thrum/context.h>
#include <thrum/error.h>
#include <thrum/operation.h>
#include <thrum/socket.h>
#include <thrum/timer.h>

inline int count_descriptors()
{
    int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        ++n;
    closedir(directory);
    return n;
}

// Declared first, it is the last to go: whatever the case made has been closed by then.
class descriptor_watch
{
  public:
    // Nothing here takes long; what hangs is killed.
    descriptor_watch() : before_(count_descriptors())
    {
        alarm(300);
    }

    ~descriptor_watch()
    {
        alarm(0);
        CHECK(count_descriptors() == before_);
    }

  private:
    int before_;
};

// Whether receives of streams are put aside, as in a loop that is run by thrum_context_run_some.
inline bool with_late_receives()
{
    return std::getenv("THRUM_LATE_RECEIVES") != nullptr;
}

// A context; objects made through it are freed with it unless a case frees them itself.
class world
{
  public:
    descriptor_watch watch;
    thrum_context *context = nullptr;
    std::vector<thrum_socket *> sockets;

    world()
    {
        REQUIRE(thrum_context_new(&context) == 0);
        if (with_late_receives())
            thrum_context_run_some(context);
    }

    ~world()
    {
        for (thrum_socket *socket : sockets)
            thrum_socket_free(socket);
        thrum_context_run(context);
        CHECK(thrum_context_n_pending(context) == 0);
        CHECK(thrum_context_n_objects(context) == 0);
        thrum_context_free(context);
    }

    thrum_socket *socket(thrum_kind kind)
    {
        thrum_socket *made = nullptr;
        REQUIRE(thrum_socket_new(context, kind, &made) == 0);
        sockets.push_back(made);
        return made;
    }

    // The case has freed it.
    void forget(thrum_socket *gone)
    {
        for (thrum_socket *&socket : sockets)
            if (socket == gone)
                socket = nullptr;
    }

    void run()
    {
        if (!with_late_receives())
            return thrum_context_run(context);
        while (thrum_context_run_some(context)) {
        }
    }
};

// An operation that keeps what it ended with.
struct waiter {
    struct thrum_operation operation;
    int n_done = 0;
    int error = -1;
    std::size_t size = 0;
    struct thrum_endpoint sender = {};
    char bytes[2048] = {};
    std::function<void()> then;

    waiter()
    {
        thrum_operation_init(&operation, done, this);
    }

    waiter(const waiter &) = delete;

    ~waiter()
    {
        thrum_operation_deinit(&operation);
    }

    std::string text() const
    {
        return {bytes, size};
    }

    bool is_pending() const
    {
        return thrum_operation_is_pending(&operation);
    }

    int receive(thrum_socket *socket, int flags = 0)
    {
        return thrum_socket_receive(socket, &operation, bytes, sizeof(bytes), flags);
    }

    int receive_from(thrum_socket *socket, int flags = 0)
    {
        return thrum_socket_receive_from(socket, &operation, bytes, sizeof(bytes), flags);
    }

    int send(thrum_socket *socket, const char *text)
    {
        return thrum_socket_send(socket, &operation, text, std::strlen(text), 0);
    }

    void cancel()
    {
        thrum_operation_cancel(&operation);
    }

  private:
    static void done(struct thrum_operation *operation)
    {
        auto *self = static_cast<waiter *>(operation->user);
        ++self->n_done;
        self->error = operation->error;
        self->size = operation->size;
        self->sender = operation->endpoint;
        if (self->then)
            self->then();
    }
};

inline struct thrum_endpoint loopback_v4(std::uint16_t port = 0)
{
    struct thrum_endpoint endpoint = {};
    endpoint.size = sizeof(endpoint.sa.v4);
    endpoint.sa.v4.sin_family = AF_INET;
    endpoint.sa.v4.sin_port = htons(port);
    endpoint.sa.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return endpoint;
}

inline struct thrum_endpoint local_of(const thrum_socket *socket)
{
    struct thrum_endpoint endpoint = {};
    REQUIRE(thrum_socket_local_endpoint(socket, &endpoint) == 0);
    return endpoint;
}

inline thrum_socket *bound_udp(world &w)
{
    thrum_socket *socket = w.socket(THRUM_DATAGRAM);
    struct thrum_endpoint any_port = loopback_v4();
    REQUIRE(thrum_socket_open(socket, AF_INET, 0) == 0);
    REQUIRE(thrum_socket_bind(socket, &any_port) == 0);
    return socket;
}

inline int try_send(thrum_socket *socket, const std::string &text)
{
    std::size_t sent = 0;
    int error = thrum_socket_try_send(socket, text.data(), text.size(), 0, &sent);
    return error ? error : (sent == text.size() ? 0 : EMSGSIZE);
}

inline int try_send_to(thrum_socket *socket, const std::string &text,
                       const struct thrum_endpoint &receiver)
{
    std::size_t sent = 0;
    return thrum_socket_try_send_to(socket, text.data(), text.size(), 0, &receiver, &sent);
}

// The kinds, and a way to a connected pair of each.
struct pairing {
    const char *name;
    thrum_kind kind;
    int family;
};

inline const pairing pairings[] = {
    {"udp", THRUM_DATAGRAM, AF_INET},
    {"tcp", THRUM_STREAM, AF_INET},
    {"unix datagram", THRUM_DATAGRAM, AF_UNIX},
    {"unix stream", THRUM_STREAM, AF_UNIX},
    {"unix seqpacket", THRUM_SEQPACKET, AF_UNIX},
};

struct connected {
    thrum_socket *a;
    thrum_socket *b;
};

connected connect_pair(world &w, const pairing &row);

#endif
