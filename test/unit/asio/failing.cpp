// SPDX-License-Identifier: BSL-1.0
// Memory and epoll registrations that run out at each step. In this program operator new and
// epoll_ctl are ours: the n-th of this thread fails, for n = 1, 2, 3 and so on until all goes well.
#include "world.hpp"

#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <new>
#include <sys/epoll.h>

#include <thrum/descriptor.h>
#include <thrum/process.h>
#include <thrum/resolver.h>
#include <thrum/signal.h>

namespace
{

// Counts down to the call that fails; 0 when none does.
thread_local int n_to_failing_new = 0;
thread_local int n_to_failing_add = 0;
thread_local int epoll_error = 0;

bool is_turn(int &n)
{
    return n > 0 && --n == 0;
}

void *allocate(std::size_t size) noexcept
{
    return is_turn(n_to_failing_new) ? nullptr : std::malloc(size ? size : 1);
}

} // namespace

[[gnu::noinline]] void *operator new(std::size_t size)
{
    if (void *block = allocate(size))
        return block;
    throw std::bad_alloc();
}

[[gnu::noinline]] void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
    return allocate(size);
}

[[gnu::noinline]] void operator delete(void *block) noexcept
{
    std::free(block);
}

[[gnu::noinline]] void operator delete(void *block, std::size_t) noexcept
{
    std::free(block);
}

// The kernel refuses a new registration for want of memory or of watches, and no other call.
extern "C" int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) noexcept
{
    using function = int(int, int, int, struct epoll_event *);
    static auto *real = reinterpret_cast<function *>(dlsym(RTLD_NEXT, "epoll_ctl"));
    if (operation == EPOLL_CTL_ADD && is_turn(n_to_failing_add)) {
        errno = epoll_error;
        return -1;
    }
    return real(epoll, operation, fd, event);
}

namespace
{

// What is made of a context, each in one step or several, and used once: 0 or the error of the step
// that failed.

int use_timer(thrum_context *context)
{
    waiter one;
    thrum_timer *timer = nullptr;
    int error = thrum_timer_new(context, &timer);
    if (!error)
        error = thrum_timer_wait(timer, &one.operation, thrum_steady_clock_now_ns() + 1000000);
    thrum_context_run(context);
    thrum_timer_free(timer);
    if (!error && one.error != 0)
        std::abort();
    return error;
}

int use_signal_set(thrum_context *context)
{
    waiter one;
    thrum_signal_set *set = nullptr;
    int error = thrum_signal_set_new(context, &set);
    if (!error)
        error = thrum_signal_set_add(set, SIGUSR1);
    if (!error)
        error = thrum_signal_set_wait(set, &one.operation);
    if (!error)
        std::raise(SIGUSR1);
    thrum_context_run(context);
    thrum_signal_set_free(set);
    if (!error && one.size != SIGUSR1)
        std::abort();
    return error;
}

int use_socket(thrum_context *context)
{
    waiter one;
    thrum_socket *socket = nullptr;
    int error = thrum_socket_new(context, THRUM_DATAGRAM, &socket);
    if (!error)
        error = thrum_socket_open(socket, AF_INET, 0);
    if (!error)
        error = one.receive(socket);
    one.cancel();
    thrum_context_run(context);
    thrum_socket_free(socket);
    if (!error && one.error != ECANCELED)
        std::abort();
    return error;
}

int use_resolver(thrum_context *context)
{
    waiter one;
    thrum_resolver *resolver = nullptr;
    int error = thrum_resolver_new(context, &resolver);
    struct thrum_endpoint endpoint = loopback_v4(80);
    if (!error)
        error = thrum_resolver_look_up_names(resolver, &one.operation, &endpoint,
                                             NI_NUMERICHOST | NI_NUMERICSERV);
    thrum_context_run(context);
    thrum_resolver_free(resolver);
    if (!error && one.error != 0)
        std::abort();
    return error;
}

int use_descriptor(thrum_context *context)
{
    waiter one;
    thrum_descriptor *descriptor = nullptr;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || write(ends[1], "x", 1) != 1)
        std::abort();
    int error = thrum_descriptor_new(context, ends[0], &descriptor);
    if (!error)
        error = thrum_descriptor_wait(descriptor, &one.operation);
    thrum_context_run(context);
    thrum_descriptor_free(descriptor);
    close(ends[0]);
    close(ends[1]);
    if (!error && one.error != 0)
        std::abort();
    return error;
}

int use_process(thrum_context *context)
{
    waiter one;
    thrum_process *process = nullptr;
    char name[] = "true";
    char *arguments[] = {name, nullptr};
    struct thrum_process_options options = {};
    options.program = "/bin/true";
    options.arguments = arguments;
    int error = thrum_process_spawn(context, &options, &process, nullptr);
    if (!error)
        error = thrum_process_wait(process, &one.operation);
    thrum_context_run(context);
    thrum_process_free(process);
    if (!error && one.error != 0)
        std::abort();
    return error;
}

struct use {
    const char *name;
    int (*function)(thrum_context *);
};

constexpr use uses[] = {{"timer", use_timer},           {"signal set", use_signal_set},
                        {"socket", use_socket},         {"resolver", use_resolver},
                        {"descriptor", use_descriptor}, {"process", use_process}};

// With a context of its own, in which the n-th call of that kind has failed, everything works.
void fail_each(const use &row, int &n_to_failure, int expected)
{
    int n = 1;
    bool has_failed;
    do {
        thrum_context *context = nullptr;
        INFO(row.name << ", call " << n);
        REQUIRE(n < 100);
        REQUIRE(thrum_context_new(&context) == 0);
        n_to_failure = n;
        int error = row.function(context);
        has_failed = n_to_failure == 0;
        n_to_failure = 0;
        CHECK(thrum_context_n_objects(context) == 0);
        CHECK(thrum_context_n_pending(context) == 0);
        CHECK((error == 0 || (has_failed && error == expected)));
        for (const use &other : uses)
            CHECK(other.function(context) == 0);
        thrum_context_free(context);
        ++n;
    } while (has_failed);
    CHECK(n > 2);
}

void fail_each_of_a_context(int &n_to_failure, int expected, int n_at_least)
{
    int n = 1, error;
    do {
        thrum_context *context = nullptr;
        INFO("call " << n);
        REQUIRE(n < 100);
        n_to_failure = n;
        error = thrum_context_new(&context);
        n_to_failure = 0;
        if (error)
            CHECK(error == expected);
        else
            CHECK(use_timer(context) == 0);
        thrum_context_free(context);
        ++n;
    } while (error != 0);
    CHECK(n - 2 >= n_at_least);
}

} // namespace

TEST_CASE("without memory nothing is left half made, and the context goes on")
{
    descriptor_watch watch;
    auto row = GENERATE(from_range(std::begin(uses), std::end(uses)));
    fail_each(row, n_to_failing_new, ENOMEM);
}

TEST_CASE("without memory there is no context")
{
    descriptor_watch watch;
    fail_each_of_a_context(n_to_failing_new, ENOMEM, 3);
}

// Asio does not look: without these two a context's sleeps would never end, and no other thread
// could wake it.
TEST_CASE("a context whose own descriptors cannot be registered is none")
{
    descriptor_watch watch;
    epoll_error = GENERATE(ENOSPC, ENOMEM);
    fail_each_of_a_context(n_to_failing_add, epoll_error, 2);
}

TEST_CASE("what cannot be registered says so, and the context goes on")
{
    descriptor_watch watch;
    epoll_error = GENERATE(ENOSPC, ENOMEM);
    for (const use &row : uses)
        if (row.function != use_timer && row.function != use_resolver)
            fail_each(row, n_to_failing_add, epoll_error);
}

// A later query does not get what had failed before.
TEST_CASE("a failure of one context is not the next one's")
{
    descriptor_watch watch;
    thrum_context *one = nullptr, *two = nullptr;
    REQUIRE(thrum_context_new(&one) == 0);
    epoll_error = ENOSPC;
    n_to_failing_add = 1;
    CHECK(use_socket(one) == ENOSPC);
    CHECK(n_to_failing_add == 0);
    CHECK(thrum_context_new(&two) == 0);
    thrum_context_free(one);
    thrum_context_free(two);
}
