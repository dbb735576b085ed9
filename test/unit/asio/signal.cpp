// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <climits>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <initializer_list>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>

#include <thrum/signal.h>

namespace
{

using handler = void (*)(int);

handler disposition(int number)
{
    struct sigaction action = {};
    sigaction(number, nullptr, &action);
    return action.sa_handler;
}

bool is_default(int number)
{
    return disposition(number) == SIG_DFL;
}

thrum_signal_set *new_set(thrum_context *context, std::initializer_list<int> numbers)
{
    thrum_signal_set *set = nullptr;
    REQUIRE(thrum_signal_set_new(context, &set) == 0);
    for (int number : numbers)
        REQUIRE(thrum_signal_set_add(set, number) == 0);
    return set;
}

// Descriptors that a child would have.
int count_inherited()
{
    int n = 0;
    for (int fd = 0; fd < 256; ++fd)
        n += fcntl(fd, F_GETFD) == 0;
    return n;
}

// A thread that waits in the kernel.
bool is_asleep(pid_t thread)
{
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    std::size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
}

// Two signals that neither Catch2 nor a sanitizer has a use for.
struct signalled : world {
    thrum_signal_set *set = new_set(context, {SIGUSR1, SIGUSR2});
    waiter one, two;

    ~signalled()
    {
        thrum_signal_set_free(set);
        CHECK(is_default(SIGUSR1));
        CHECK(is_default(SIGUSR2));
    }

    int wait(waiter &waiter)
    {
        return thrum_signal_set_wait(set, &waiter.operation);
    }

    // What the next wait ends with.
    int next()
    {
        waiter third;
        REQUIRE(wait(third) == 0);
        run();
        CHECK(third.error == 0);
        return static_cast<int>(third.size);
    }

    // There is nothing in the queue.
    bool is_quiet()
    {
        waiter third;
        REQUIRE(wait(third) == 0);
        thrum_context_poll(context);
        bool is_pending = third.is_pending();
        third.cancel();
        run();
        return is_pending;
    }
};

} // namespace

TEST_CASE("a signal ends a wait with its number")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    std::raise(SIGUSR2);
    CHECK(w.one.n_done == 0);
    w.run();
    CHECK(w.one.n_done == 1);
    CHECK(w.one.error == 0);
    CHECK(w.one.size == SIGUSR2);
    CHECK(w.is_quiet());
}

TEST_CASE("signals that come while nobody waits are queued, lower numbers first")
{
    signalled w;
    for (int number : {SIGUSR2, SIGUSR1, SIGUSR2, SIGUSR1, SIGUSR1})
        std::raise(number);
    thrum_context_poll(w.context);
    // The pipe is read when somebody waits: the first to be read ends that wait.
    CHECK(w.next() == SIGUSR2);
    for (int number : {SIGUSR1, SIGUSR1, SIGUSR1, SIGUSR2})
        CHECK(w.next() == number);
    CHECK(w.is_quiet());
}

TEST_CASE("a notification ends all waits that are pending")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.one.error == 0);
    CHECK(w.two.error == 0);
    CHECK(w.one.size == SIGUSR1);
    CHECK(w.two.size == SIGUSR1);
    CHECK(w.is_quiet());
}

TEST_CASE("each set that has a signal is notified of it, and no other")
{
    signalled w;
    thrum_signal_set *other = new_set(w.context, {SIGUSR1});
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(thrum_signal_set_wait(other, &w.two.operation) == 0);
    std::raise(SIGUSR2);
    thrum_context_run_one(w.context);
    CHECK(w.one.size == SIGUSR2);
    CHECK(w.two.is_pending());
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.two.size == SIGUSR1);
    CHECK(w.next() == SIGUSR1);
    thrum_signal_set_free(other);
}

TEST_CASE("cancel ends all waits of a signal set and leaves its signals")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    CHECK(thrum_signal_set_cancel(w.set) == 0);
    CHECK(w.one.n_done == 0);
    w.run();
    CHECK(w.one.error == ECANCELED);
    CHECK(w.two.error == ECANCELED);
    CHECK(w.one.size == 0);
    std::raise(SIGUSR1);
    CHECK(w.next() == SIGUSR1);
}

TEST_CASE("cancelling one wait for a signal leaves the others")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    w.one.cancel();
    w.one.cancel();
    thrum_context_run_one(w.context);
    CHECK(w.one.error == ECANCELED);
    CHECK(w.two.is_pending());
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.two.size == SIGUSR1);
}

TEST_CASE("a wait that a signal has ended cannot be cancelled any more")
{
    signalled w;
    w.one.then = [&] {
        w.two.cancel();
        thrum_signal_set_cancel(w.set);
    };
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.two.error == 0);
    CHECK(w.two.size == SIGUSR1);
}

TEST_CASE("a signal after a cancelled wait is kept for the next")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    w.one.cancel();
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.one.error == ECANCELED);
    CHECK(w.next() == SIGUSR1);
}

TEST_CASE("a wait of an empty signal set is ended by what is added later")
{
    signalled w;
    REQUIRE(thrum_signal_set_clear(w.set) == 0);
    REQUIRE(w.wait(w.one) == 0);
    thrum_context_poll(w.context);
    CHECK(w.one.is_pending());
    REQUIRE(thrum_signal_set_add(w.set, SIGUSR2) == 0);
    std::raise(SIGUSR2);
    w.run();
    CHECK(w.one.size == SIGUSR2);
}

TEST_CASE("removing a signal removes what is queued of it")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    for (int number : {SIGUSR2, SIGUSR1, SIGUSR2})
        std::raise(number);
    w.run();
    CHECK(w.one.size == SIGUSR2);
    CHECK(thrum_signal_set_remove(w.set, SIGUSR1) == 0);
    CHECK(w.next() == SIGUSR2);
    CHECK(w.is_quiet());
}

TEST_CASE("adding twice and removing what is not there change nothing")
{
    signalled w;
    CHECK(thrum_signal_set_add(w.set, SIGUSR1) == 0);
    CHECK(thrum_signal_set_remove(w.set, SIGHUP) == 0);
    CHECK(thrum_signal_set_remove(w.set, SIGUSR1) == 0);
    CHECK(is_default(SIGUSR1));
    CHECK(thrum_signal_set_remove(w.set, SIGUSR1) == 0);
    CHECK(thrum_signal_set_clear(w.set) == 0);
    CHECK(thrum_signal_set_clear(w.set) == 0);
}

TEST_CASE("numbers that are no signals to wait for are refused")
{
    auto number = GENERATE(INT_MIN, -1, 0, SIGKILL, SIGSTOP, NSIG, INT_MAX);
    signalled w;
    CHECK(thrum_signal_set_add(w.set, number) == EINVAL);
    REQUIRE(w.wait(w.one) == 0);
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.one.size == SIGUSR1);
}

TEST_CASE("a disposition is the default again when the last set lets go, and no other is touched")
{
    world w;
    std::vector<handler> before;
    for (int number = 1; number < NSIG; ++number)
        before.push_back(disposition(number));
    thrum_signal_set *a = new_set(w.context, {}), *b = new_set(w.context, {});
    CHECK(is_default(SIGUSR1));

    REQUIRE(thrum_signal_set_add(a, SIGUSR1) == 0);
    CHECK_FALSE(is_default(SIGUSR1));
    for (int number = 1; number < NSIG; ++number)
        CHECK((number == SIGUSR1 || disposition(number) == before[number - 1]));
    CHECK(is_default(SIGCHLD));

    REQUIRE(thrum_signal_set_add(b, SIGUSR1) == 0);
    REQUIRE(thrum_signal_set_remove(a, SIGUSR1) == 0);
    CHECK_FALSE(is_default(SIGUSR1));
    REQUIRE(thrum_signal_set_add(a, SIGUSR1) == 0);
    REQUIRE(thrum_signal_set_clear(b) == 0);
    CHECK_FALSE(is_default(SIGUSR1));
    thrum_signal_set_free(a);
    CHECK(is_default(SIGUSR1));
    thrum_signal_set_free(b);
}

TEST_CASE("a signal set may be freed while operations wait")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    thrum_signal_set_free(w.set);
    w.set = nullptr;
    CHECK(is_default(SIGUSR1));
    w.one.cancel();
    w.run();
    CHECK(w.one.error == ECANCELED);
    CHECK(w.two.error == ECANCELED);
}

TEST_CASE("a signal set may be freed in its own completion")
{
    signalled w;
    w.one.then = [&] {
        thrum_signal_set_free(w.set);
        w.set = nullptr;
    };
    REQUIRE(w.wait(w.one) == 0);
    std::raise(SIGUSR1);
    w.run();
    CHECK(w.one.size == SIGUSR1);
}

TEST_CASE("an operation that is pending cannot wait for a signal")
{
    signalled w;
    REQUIRE(w.wait(w.one) == 0);
    CHECK(w.wait(w.one) == EBUSY);
    w.one.cancel();
    CHECK(w.wait(w.one) == EBUSY);
    w.run();
    REQUIRE(w.wait(w.one) == 0);
    w.one.cancel();
    w.run();
}

TEST_CASE("a freed context takes its signals back and calls nobody")
{
    descriptor_watch watch;
    thrum_context *context = nullptr;
    waiter one, two;
    REQUIRE(thrum_context_new(&context) == 0);
    thrum_signal_set *set = new_set(context, {SIGUSR1});
    REQUIRE(thrum_signal_set_wait(set, &one.operation) == 0);
    REQUIRE(thrum_signal_set_wait(set, &two.operation) == 0);
    std::raise(SIGUSR1);
    two.cancel();
    thrum_context_free(context);
    CHECK(is_default(SIGUSR1));
    CHECK(one.n_done == 0);
    CHECK(two.n_done == 0);
    CHECK_FALSE(one.is_pending());
    CHECK(thrum_signal_set_add(set, SIGUSR1) == EBADF);
    CHECK(thrum_signal_set_remove(set, SIGUSR1) == EBADF);
    CHECK(thrum_signal_set_clear(set) == EBADF);
    CHECK(thrum_signal_set_cancel(set) == EBADF);
    CHECK(thrum_signal_set_wait(set, &one.operation) == EBADF);
    thrum_signal_set_free(set);
    CHECK(is_default(SIGUSR1));
}

TEST_CASE("a signal set that gets no descriptors says EMFILE")
{
    world w;
    thrum_signal_set *set = nullptr;
    rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    int error = thrum_signal_set_new(w.context, &set);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(error == EMFILE);
    CHECK(thrum_context_n_objects(w.context) == 0);
    REQUIRE(thrum_signal_set_new(w.context, &set) == 0);
    thrum_signal_set_free(set);
}

TEST_CASE("contexts in several threads are each notified")
{
    descriptor_watch watch;
    thrum_context *contexts[2];
    thrum_signal_set *sets[2];
    waiter waiters[2];
    for (int i = 0; i < 2; ++i) {
        REQUIRE(thrum_context_new(&contexts[i]) == 0);
        sets[i] = new_set(contexts[i], {SIGUSR1});
    }
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 2; ++i)
            REQUIRE(thrum_signal_set_wait(sets[i], &waiters[i].operation) == 0);
        std::thread other(thrum_context_run, contexts[1]);
        std::raise(SIGUSR1);
        thrum_context_run(contexts[0]);
        other.join();
    }
    for (int i = 0; i < 2; ++i) {
        CHECK(waiters[i].n_done == 200);
        CHECK(waiters[i].error == 0);
        CHECK(waiters[i].size == SIGUSR1);
        thrum_signal_set_free(sets[i]);
        thrum_context_free(contexts[i]);
    }
    CHECK(is_default(SIGUSR1));
}

// A handler without SA_RESTART makes the program's blocking calls fail with EINTR: io.popen lost
// its output and print its lines. Asio's signal_set had such a one until 1.82.
TEST_CASE("a signal that a set has does not end a blocking read")
{
    signalled w;
    int ends[2];
    char byte = 0;
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    std::thread other([&, reader = pthread_self(), id = gettid()] {
        for (int i = 0; i < 100; ++i) {
            while (!is_asleep(id))
                std::this_thread::yield();
            pthread_kill(reader, SIGUSR1);
        }
        if (write(ends[1], "x", 1) != 1)
            std::abort();
    });
    ssize_t size = read(ends[0], &byte, 1);
    int error = errno;
    other.join();
    CHECK(size == 1);
    CHECK((size == 1 || error == 0));
    CHECK(byte == 'x');
    CHECK(w.next() == SIGUSR1);
    close(ends[0]);
    close(ends[1]);
}

TEST_CASE("notifications beyond what the pipe holds are not lost")
{
    signalled w;
    constexpr int n = 70000;
    for (int i = 0; i < n; ++i)
        std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    int n_first = 0, n_second = 0;
    for (int i = 0; i <= n; ++i) {
        int number = w.next();
        n_first += number == SIGUSR1;
        n_second += number == SIGUSR2;
    }
    CHECK(n_first == n);
    CHECK(n_second == 1);
    CHECK(w.is_quiet());
}

// The child has the handler and the pipe of its parent's sets.
TEST_CASE("a signal of a child made by fork does what it does by default, and is not its parent's")
{
    signalled w;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        std::raise(SIGUSR1);
        _exit(0);
    }
    REQUIRE(child > 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGUSR1);
    CHECK(w.is_quiet());
    std::raise(SIGUSR1);
    CHECK(w.next() == SIGUSR1);
}

TEST_CASE("the descriptors of signal sets are there as long as there are sets")
{
    world w;
    int before = count_descriptors(), n_inherited = count_inherited();
    thrum_signal_set *a = new_set(w.context, {}), *b = new_set(w.context, {SIGUSR1});
    CHECK(count_descriptors() > before);
    CHECK(count_inherited() == n_inherited);
    thrum_signal_set_free(a);
    CHECK(count_descriptors() > before);
    thrum_signal_set_free(b);
    CHECK(count_descriptors() == before);
    thrum_signal_set *again = new_set(w.context, {SIGUSR1});
    waiter one;
    REQUIRE(thrum_signal_set_wait(again, &one.operation) == 0);
    std::raise(SIGUSR1);
    w.run();
    CHECK(one.size == SIGUSR1);
    thrum_signal_set_free(again);
}

// Each raises only while it has the signal caught itself.
TEST_CASE("sets of several threads come and go while signals arrive")
{
    descriptor_watch watch;
    auto body = [] {
        for (int round = 0; round < 1000; ++round) {
            thrum_context *context = nullptr;
            thrum_signal_set *set = nullptr;
            waiter one, two;
            thrum_context_new(&context);
            thrum_signal_set_new(context, &set);
            thrum_signal_set_add(set, SIGUSR1);
            thrum_signal_set_wait(set, &one.operation);
            pthread_kill(pthread_self(), SIGUSR1);
            thrum_context_run(context);
            if (one.error != 0 || one.size != SIGUSR1)
                std::abort();
            thrum_signal_set_wait(set, &two.operation);
            if (round % 2 == 0)
                two.cancel();
            if (round % 3 == 0)
                thrum_signal_set_free(set);
            thrum_context_free(context);
            if (round % 3 != 0)
                thrum_signal_set_free(set);
        }
    };
    std::thread a(body), b(body), c(body);
    a.join();
    b.join();
    c.join();
    CHECK(is_default(SIGUSR1));
}
