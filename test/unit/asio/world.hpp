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
inline bool with_deferred_receives()
{
    return std::getenv("THRUM_DEFERRED_RECEIVES") != nullptr;
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
        if (with_deferred_receives())
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
        if (!with_deferred_receives())
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
    struct thrum_message message = {};
    struct thrum_endpoint peer = {}; // the message's, if it has one
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

    int receive(thrum_socket *socket, int flags = 0);
    int receive_from(thrum_socket *socket, int flags = 0);
    int send(thrum_socket *socket, const char *text);

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
        self->size = operation->value ? operation->value : self->message.length;
        self->sender = self->peer;
        if (self->then)
            self->then();
    }
};

// ---- transfers of one message ----

inline struct thrum_message message_of(const void *data, std::size_t size, int flags)
{
    struct thrum_message message = {};
    message.data = const_cast<void *>(data);
    message.size = size;
    message.flags = flags;
    return message;
}

inline int now_receive_with_fds(thrum_socket *socket, void *data, std::size_t size, int flags,
                                struct thrum_fds *fds, std::size_t *received,
                                struct thrum_endpoint *sender)
{
    struct thrum_message message = message_of(data, size, flags);
    message.fds = fds;
    message.peer = sender;
    int error = thrum_socket_try_receive(socket, &message);
    *received = message.length;
    return error;
}

inline int now_receive(thrum_socket *socket, void *data, std::size_t size, int flags,
                       std::size_t *received)
{
    return now_receive_with_fds(socket, data, size, flags, nullptr, received, nullptr);
}

inline int now_receive_from(thrum_socket *socket, void *data, std::size_t size, int flags,
                            std::size_t *received, struct thrum_endpoint *sender)
{
    return now_receive_with_fds(socket, data, size, flags, nullptr, received, sender);
}

// The same until it has been asked: where nothing was found last, a try may be told so without.
inline int ask_to_receive(thrum_socket *socket, void *data, std::size_t size, std::size_t *received)
{
    int error = now_receive(socket, data, size, 0, received);
    return error == EAGAIN ? now_receive(socket, data, size, 0, received) : error;
}

inline int now_send_with_fds(thrum_socket *socket, const void *data, std::size_t size, int flags,
                             const struct thrum_fds *fds, const struct thrum_endpoint *receiver,
                             std::size_t *sent)
{
    struct thrum_message message = message_of(data, size, flags);
    message.fds = const_cast<struct thrum_fds *>(fds);
    message.peer = const_cast<struct thrum_endpoint *>(receiver);
    int error = thrum_socket_try_send(socket, &message);
    *sent = message.length;
    return error;
}

inline int now_send(thrum_socket *socket, const void *data, std::size_t size, int flags,
                    std::size_t *sent)
{
    return now_send_with_fds(socket, data, size, flags, nullptr, nullptr, sent);
}

inline int now_send_to(thrum_socket *socket, const void *data, std::size_t size, int flags,
                       const struct thrum_endpoint *receiver, std::size_t *sent)
{
    return now_send_with_fds(socket, data, size, flags, nullptr, receiver, sent);
}

// The operation's message must not change while it is pending: a start that is refused with EBUSY
// leaves it alone.
inline int start_receive_with_fds(thrum_socket *socket, waiter &waiter, void *data,
                                  std::size_t size, int flags, struct thrum_fds *fds,
                                  struct thrum_endpoint *sender = nullptr)
{
    struct thrum_message message = message_of(data, size, flags);
    message.fds = fds;
    message.peer = sender;
    if (waiter.is_pending())
        return thrum_socket_receive(socket, &waiter.operation, &message);
    waiter.message = message;
    return thrum_socket_receive(socket, &waiter.operation, &waiter.message);
}

inline int start_receive(thrum_socket *socket, waiter &waiter, void *data, std::size_t size,
                         int flags)
{
    return start_receive_with_fds(socket, waiter, data, size, flags, nullptr);
}

inline int start_receive_from(thrum_socket *socket, waiter &waiter, void *data, std::size_t size,
                              int flags)
{
    return start_receive_with_fds(socket, waiter, data, size, flags, nullptr, &waiter.peer);
}

inline int start_send_with_fds(thrum_socket *socket, waiter &waiter, const void *data,
                               std::size_t size, int flags, const struct thrum_fds *fds,
                               const struct thrum_endpoint *receiver)
{
    struct thrum_message message = message_of(data, size, flags);
    message.fds = const_cast<struct thrum_fds *>(fds);
    if (waiter.is_pending())
        return thrum_socket_send(socket, &waiter.operation, &message);
    waiter.message = message;
    if (receiver) {
        waiter.peer = *receiver;
        waiter.message.peer = &waiter.peer;
    }
    return thrum_socket_send(socket, &waiter.operation, &waiter.message);
}

inline int start_send(thrum_socket *socket, waiter &waiter, const void *data, std::size_t size,
                      int flags)
{
    return start_send_with_fds(socket, waiter, data, size, flags, nullptr, nullptr);
}

inline int start_send_to(thrum_socket *socket, waiter &waiter, const void *data, std::size_t size,
                         int flags, const struct thrum_endpoint *receiver)
{
    return start_send_with_fds(socket, waiter, data, size, flags, nullptr, receiver);
}

inline int waiter::receive(thrum_socket *socket, int flags)
{
    return start_receive(socket, *this, bytes, sizeof(bytes), flags);
}

inline int waiter::receive_from(thrum_socket *socket, int flags)
{
    return start_receive_from(socket, *this, bytes, sizeof(bytes), flags);
}

inline int waiter::send(thrum_socket *socket, const char *text)
{
    return start_send(socket, *this, text, std::strlen(text), 0);
}

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
    int error = now_send(socket, text.data(), text.size(), 0, &sent);
    return error ? error : (sent == text.size() ? 0 : EMSGSIZE);
}

inline int try_send_to(thrum_socket *socket, const std::string &text,
                       const struct thrum_endpoint &receiver)
{
    std::size_t sent = 0;
    return now_send_to(socket, text.data(), text.size(), 0, &receiver, &sent);
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
