// SPDX-License-Identifier: BSL-1.0
// Resolvers. In this program getaddrinfo is ours: names that begin with "held" are answered when
// the case says so, so that what happens meanwhile can be tested without any name server.
#include "world.hpp"

#include <condition_variable>
#include <csignal>
#include <deque>
#include <dlfcn.h>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <pthread.h>
#include <set>
#include <thread>
#include <unistd.h>

#include <thrum/resolver.h>

namespace
{

// Never destroyed: a thread may come back when the program has ended.
struct fake {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = false;
    int n_inside = 0;
    std::multiset<std::string> asked; // names that are not numeric
    std::set<std::thread::id> threads;
    bool has_signal_unblocked = false;

    void hold()
    {
        std::unique_lock lock(mutex);
        ++n_inside;
        changed.notify_all();
        changed.wait(lock, [&] { return is_open; });
        --n_inside;
        changed.notify_all();
    }

    void note(const char *host)
    {
        sigset_t blocked;
        std::lock_guard guard(mutex);
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        for (int number : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM})
            has_signal_unblocked |= sigismember(&blocked, number) == 0;
        asked.insert(host);
        threads.insert(std::this_thread::get_id());
        changed.notify_all();
    }
};

fake &the_fake()
{
    static fake *one = new fake;
    return *one;
}

using getaddrinfo_function = int(const char *, const char *, const struct addrinfo *,
                                 struct addrinfo **);

int real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                     struct addrinfo **result)
{
    static auto *real = reinterpret_cast<getaddrinfo_function *>(dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(host, service, hints, result);
}

int fail(int number, int code)
{
    errno = number;
    return code;
}

} // namespace

extern "C" int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **result)
{
    std::string name = host ? host : "";
    if (!hints || (hints->ai_flags & AI_NUMERICHOST) || name.empty())
        return real_getaddrinfo(host, service, hints, result);
    the_fake().note(host);
    if (name == "again")
        return EAI_AGAIN;
    if (name == "memory")
        return EAI_MEMORY;
    if (name == "system")
        return fail(EMFILE, EAI_SYSTEM);
    if (name == "exhausted")
        return fail(EMFILE, EAI_NONAME);
    if (name == "silent")
        return fail(0, EAI_SYSTEM);
    if (name.compare(0, 4, "held") == 0)
        the_fake().hold();
    return real_getaddrinfo("127.0.0.1", service, hints, result);
}

extern "C" int getnameinfo(const struct sockaddr *, socklen_t, char *host, socklen_t host_size,
                           char *service, socklen_t service_size, int flags)
{
    if (flags & NI_NAMEREQD)
        return EAI_NONAME;
    std::snprintf(host, host_size, "the.host");
    std::snprintf(service, service_size, "%s", flags & NI_DGRAM ? "of-udp" : "of-tcp");
    return 0;
}

namespace
{

int resolver_error(int code)
{
    return THRUM_ERROR_RESOLVER - code; // glibc's are negative
}

int count_threads()
{
    int n = 0;
    DIR *directory = opendir("/proc/self/task");
    while (const dirent *entry = readdir(directory))
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

// Names that are held are let go with it, and no thread is left over.
struct gate {
    int n_threads;

    gate()
    {
        warm_up();
        n_threads = count_threads();
        fake &f = the_fake();
        std::lock_guard guard(f.mutex);
        REQUIRE(f.n_inside == 0);
        f.is_open = false;
        f.asked.clear();
        f.threads.clear();
    }

    // The thread sanitizer has a thread of its own as soon as the program has one.
    static void warm_up()
    {
        std::string task = "/proc/self/task/";
        std::thread([&] { task += std::to_string(gettid()); }).join();
        while (access(task.c_str(), F_OK) == 0)
            std::this_thread::yield();
    }

    ~gate()
    {
        open();
        wait_for_threads();
        CHECK_FALSE(the_fake().has_signal_unblocked);
    }

    void open()
    {
        std::lock_guard guard(the_fake().mutex);
        the_fake().is_open = true;
        the_fake().changed.notify_all();
    }

    void wait_inside(int n)
    {
        fake &f = the_fake();
        std::unique_lock lock(f.mutex);
        f.changed.wait(lock, [&] { return f.n_inside == n; });
    }

    // Those that have asked are gone, and with them whatever they had to do.
    void wait_for_threads()
    {
        while (count_threads() > n_threads)
            std::this_thread::yield();
    }

    std::size_t n_asked(const std::string &name)
    {
        std::lock_guard guard(the_fake().mutex);
        return the_fake().asked.count(name);
    }
};

struct addrinfo hints_of(int flags = 0)
{
    struct addrinfo hints = {};
    hints.ai_flags = flags;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_DGRAM;
    return hints;
}

// A resolver and its one lookup.
struct query {
    waiter waiting;
    thrum_resolver *resolver = nullptr;

    explicit query(world &w)
    {
        REQUIRE(thrum_resolver_new(w.context, &resolver) == 0);
    }

    ~query()
    {
        thrum_resolver_free(resolver);
    }

    int start(const std::string &host, const char *service = "80")
    {
        struct addrinfo hints = hints_of();
        return thrum_resolver_look_up(resolver, &waiting.operation, host.c_str(), service, &hints);
    }

    int port() const
    {
        const struct addrinfo *found = thrum_resolver_addresses(resolver);
        if (!found)
            return -1;
        return ntohs(reinterpret_cast<const sockaddr_in *>(found->ai_addr)->sin_port);
    }
};

struct resolving : world {
    struct gate gate;
};

} // namespace

TEST_CASE("a name is looked up in a thread, and completes from the loop")
{
    resolving w;
    query one(w);
    REQUIRE(one.start("held") == 0);
    w.gate.wait_inside(1);
    CHECK(thrum_context_poll(w.context) == 0);
    CHECK(thrum_context_n_pending(w.context) == 1);
    CHECK(one.port() == -1);
    w.gate.open();
    w.run();
    CHECK(one.waiting.n_done == 1);
    CHECK(one.waiting.error == 0);
    CHECK(one.port() == 80);
    CHECK(thrum_resolver_host_name(one.resolver) == nullptr);
    CHECK(the_fake().threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("what is numeric needs no thread")
{
    resolving w;
    query one(w);
    struct addrinfo hints = hints_of();
    CHECK(thrum_resolver_try_look_up(one.resolver, "127.0.0.1", "53", &hints) == 0);
    CHECK(one.port() == 53);
    CHECK(thrum_resolver_try_look_up(one.resolver, "held", "53", &hints) == EAGAIN);
    CHECK(one.port() == -1);
    REQUIRE(one.start("127.0.0.1", "54") == 0);
    CHECK(one.waiting.n_done == 0);
    CHECK(one.start("127.0.0.1") == EBUSY);
    one.waiting.cancel();
    w.run();
    CHECK(one.waiting.error == 0);
    CHECK(one.port() == 54);
    REQUIRE(one.start("::1") == 0);
    w.run();
    CHECK(one.waiting.error == resolver_error(EAI_ADDRFAMILY));
    CHECK(the_fake().threads.empty());
    CHECK(count_threads() == w.gate.n_threads);
}

TEST_CASE("as many lookups as there may be threads run side by side, and the rest follow")
{
    resolving w;
    std::deque<query> all;
    for (int i = 0; i < 3 * THRUM_RESOLVER_MAX_THREADS; ++i) {
        all.emplace_back(w);
        REQUIRE(all.back().start("held" + std::to_string(i)) == 0);
    }
    w.gate.wait_inside(THRUM_RESOLVER_MAX_THREADS);
    // One more looks at those that queue.
    while (count_threads() != w.gate.n_threads + THRUM_RESOLVER_MAX_THREADS)
        std::this_thread::yield();
    CHECK(w.gate.n_asked("held" + std::to_string(THRUM_RESOLVER_MAX_THREADS)) == 0);
    w.gate.open();
    w.run();
    for (const query &one : all) {
        CHECK(one.waiting.n_done == 1);
        CHECK(one.waiting.error == 0);
        CHECK(one.port() == 80);
    }
}

// Names that no server is needed for: those of this host, those of a file, numbers with the name of
// a service.
TEST_CASE("slow lookups do not keep local ones waiting")
{
    resolving w;
    std::deque<query> slow;
    for (int i = 0; i < 2 * THRUM_RESOLVER_MAX_THREADS; ++i) {
        slow.emplace_back(w);
        REQUIRE(slow.back().start("held" + std::to_string(i)) == 0);
    }
    w.gate.wait_inside(THRUM_RESOLVER_MAX_THREADS);
    // Where they are missing the names of this host and of services may be, too.
    bool has_files = access("/etc/hosts", R_OK) == 0 && access("/etc/services", R_OK) == 0;
    std::deque<query> quick;
    struct addrinfo hints = hints_of();
    for (const char *host : {"localhost", "LocalHost.", "a.localhost", "127.0.0.1", "127.1"}) {
        quick.emplace_back(w);
        query &one = quick.back();
        REQUIRE(one.start(host, "domain") == 0);
        while (one.waiting.is_pending())
            thrum_context_run_one(w.context);
        CHECK((one.waiting.error == 0 || !has_files)); // answered, at any rate
    }
    query numeric(w);
    CHECK(thrum_resolver_try_look_up(numeric.resolver, "0x7f.1", "80", &hints) == 0);
    for (const query &one : slow)
        CHECK(one.waiting.is_pending());
    w.gate.open();
    w.run();
    for (const query &one : slow)
        CHECK(one.waiting.error == 0);
}

TEST_CASE("lookups that are looked at are cancelled, go on, or go with their context")
{
    gate gate;
    struct addrinfo hints = hints_of();
    for (int round = 0; round < 50; ++round) {
        thrum_context *context = nullptr;
        constexpr int n = THRUM_RESOLVER_MAX_THREADS + 16;
        thrum_resolver *resolvers[n];
        waiter waiting[n];
        REQUIRE(thrum_context_new(&context) == 0);
        for (int i = 0; i < n; ++i) {
            const char *host = i % 3 ? "quick" : "localhost";
            REQUIRE(thrum_resolver_new(context, &resolvers[i]) == 0);
            REQUIRE(thrum_resolver_look_up(resolvers[i], &waiting[i].operation, host, "80",
                                           &hints) == 0);
        }
        for (int i = n - 1; i > THRUM_RESOLVER_MAX_THREADS; i -= 2)
            waiting[i].cancel();
        if (round % 2 == 0) {
            thrum_context_run(context);
            for (const waiter &one : waiting)
                CHECK((one.error == 0 || one.error == ECANCELED));
        }
        thrum_context_free(context);
        for (thrum_resolver *resolver : resolvers)
            thrum_resolver_free(resolver);
    }
}

TEST_CASE("a cancelled lookup completes at once, and its neighbor goes on")
{
    resolving w;
    query one(w), two(w);
    REQUIRE(one.start("held 1") == 0);
    REQUIRE(two.start("held 2") == 0);
    w.gate.wait_inside(2);
    one.waiting.cancel();
    one.waiting.cancel();
    CHECK(one.waiting.n_done == 0);
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(one.waiting.error == ECANCELED);
    CHECK(one.port() == -1);
    CHECK(two.waiting.is_pending());

    // And asks again, with the first question still under way.
    REQUIRE(one.start("held 3") == 0);
    w.gate.wait_inside(3);
    w.gate.open();
    w.run();
    CHECK(one.waiting.error == 0);
    CHECK(one.waiting.n_done == 2);
    CHECK(two.waiting.error == 0);
    CHECK(two.waiting.n_done == 1);
}

TEST_CASE("a lookup that is cancelled in the queue is never asked")
{
    resolving w;
    std::deque<query> all;
    for (int i = 0; i < THRUM_RESOLVER_MAX_THREADS; ++i) {
        all.emplace_back(w);
        REQUIRE(all.back().start("held") == 0);
    }
    query cancelled(w), kept(w);
    REQUIRE(cancelled.start("cancelled") == 0);
    REQUIRE(kept.start("kept") == 0);
    cancelled.waiting.cancel();
    CHECK(thrum_context_run_one(w.context) == 1);
    CHECK(cancelled.waiting.error == ECANCELED);
    w.gate.open();
    w.run();
    CHECK(kept.waiting.error == 0);
    CHECK(w.gate.n_asked("cancelled") == 0);
    CHECK(w.gate.n_asked("kept") == 1);
}

TEST_CASE("a lookup that has its answer cannot be cancelled any more")
{
    resolving w;
    query one(w);
    REQUIRE(one.start("quick") == 0);
    w.gate.wait_for_threads();
    one.waiting.cancel();
    w.run();
    CHECK(one.waiting.error == 0);
    CHECK(one.port() == 80);
}

TEST_CASE("errors of the resolver are of its category, those of the system are its own")
{
    resolving w;
    query one(w);
    auto error_of = [&](const char *host) {
        REQUIRE(one.start(host) == 0);
        w.run();
        CHECK(thrum_resolver_addresses(one.resolver) == nullptr);
        return one.waiting.error;
    };
    CHECK(error_of("again") == resolver_error(EAI_AGAIN));
    CHECK(error_of("memory") == ENOMEM);
    CHECK(error_of("system") == EMFILE);
    CHECK(error_of("exhausted") == EMFILE); // glibc's first lookup without descriptors
    CHECK(error_of("silent") == resolver_error(EAI_FAIL));
    CHECK(thrum_error_category(error_of("again")) == THRUM_CATEGORY_RESOLVER);
    char text[80];
    CHECK(std::string(thrum_error_message(error_of("again"), text, sizeof(text))) ==
          "Temporary failure in name resolution");
}

TEST_CASE("the names of an endpoint")
{
    resolving w;
    query one(w);
    struct thrum_endpoint endpoint = loopback_v4(80), other = {};
    auto look_up = [&](int flags) {
        REQUIRE(thrum_resolver_look_up_names(one.resolver, &one.waiting.operation, &endpoint,
                                             flags) == 0);
        CHECK(thrum_resolver_host_name(one.resolver) == nullptr);
        w.run();
    };
    look_up(NI_DGRAM);
    CHECK(one.waiting.error == 0);
    CHECK(std::string(thrum_resolver_host_name(one.resolver)) == "the.host");
    CHECK(std::string(thrum_resolver_service_name(one.resolver)) == "of-udp");
    CHECK(thrum_resolver_addresses(one.resolver) == nullptr);
    look_up(NI_NAMEREQD);
    CHECK(one.waiting.error == resolver_error(EAI_NONAME));
    CHECK(thrum_resolver_host_name(one.resolver) == nullptr);
    CHECK(thrum_resolver_service_name(one.resolver) == nullptr);
    other.sa.any.sa_family = AF_UNIX;
    CHECK(thrum_resolver_look_up_names(one.resolver, &one.waiting.operation, &other, 0) ==
          EAFNOSUPPORT);
}

TEST_CASE("a resolver takes one lookup at a time, and an operation one resolver")
{
    resolving w;
    query one(w), two(w);
    struct addrinfo hints = hints_of();
    REQUIRE(one.start("held") == 0);
    CHECK(one.start("held") == EBUSY);
    CHECK(thrum_resolver_try_look_up(one.resolver, "127.0.0.1", "80", &hints) == EBUSY);
    CHECK(thrum_resolver_look_up(two.resolver, &one.waiting.operation, "held", "80", &hints) ==
          EBUSY);
    one.waiting.cancel();
    CHECK(one.start("held") == EBUSY); // until it has completed
    w.run();
    CHECK(one.waiting.error == ECANCELED);
    CHECK(one.start("") == EINVAL);
    CHECK(one.start("127.0.0.1", "70000") == EINVAL);
    CHECK(thrum_context_n_pending(w.context) == 0);
}

TEST_CASE("a resolver may be freed while its lookup is queued, asked or over")
{
    resolving w;
    waiter waiting[3];
    const char *names[] = {"held", "quick", "127.0.0.1"};
    struct addrinfo hints = hints_of();
    for (int i = 0; i < 3; ++i) {
        thrum_resolver *resolver = nullptr;
        REQUIRE(thrum_resolver_new(w.context, &resolver) == 0);
        REQUIRE(thrum_resolver_look_up(resolver, &waiting[i].operation, names[i], "80", &hints) ==
                0);
        if (i == 0)
            w.gate.wait_inside(1);
        thrum_resolver_free(resolver);
    }
    CHECK(thrum_context_n_objects(w.context) == 0);
    w.run();
    CHECK(waiting[0].error == ECANCELED);
    CHECK((waiting[1].error == ECANCELED || waiting[1].error == 0));
    CHECK(waiting[2].error == 0);
}

TEST_CASE("a resolver may be freed in its own completion")
{
    resolving w;
    query one(w);
    one.waiting.then = [&] {
        CHECK(one.port() == 80);
        thrum_resolver_free(one.resolver);
        one.resolver = nullptr;
    };
    REQUIRE(one.start("quick") == 0);
    w.run();
    CHECK(one.waiting.n_done == 1);
}

TEST_CASE("a freed context waits for no lookup, calls nobody, and threads that come back find it")
{
    descriptor_watch watch;
    gate gate;
    waiter waiting[THRUM_RESOLVER_MAX_THREADS + 2];
    std::vector<thrum_resolver *> resolvers;
    thrum_context *context = nullptr;
    struct addrinfo hints = hints_of();
    REQUIRE(thrum_context_new(&context) == 0);
    for (waiter &one : waiting) {
        resolvers.push_back(nullptr);
        REQUIRE(thrum_resolver_new(context, &resolvers.back()) == 0);
        REQUIRE(thrum_resolver_look_up(resolvers.back(), &one.operation, "held", "80", &hints) ==
                0);
    }
    gate.wait_inside(THRUM_RESOLVER_MAX_THREADS);
    waiting[1].cancel();
    thrum_resolver_free(resolvers[2]);
    thrum_context_free(context);
    for (const waiter &one : waiting) {
        CHECK(one.n_done == 0);
        CHECK_FALSE(one.is_pending());
    }
    CHECK(thrum_resolver_look_up(resolvers[0], &waiting[0].operation, "x", "80", &hints) == EBADF);
    CHECK(thrum_resolver_addresses(resolvers[0]) == nullptr);
    resolvers[2] = nullptr;
    for (thrum_resolver *resolver : resolvers)
        thrum_resolver_free(resolver);
    gate.open();
    gate.wait_for_threads();
    CHECK(gate.n_asked("held") == THRUM_RESOLVER_MAX_THREADS);
}

TEST_CASE("a context may be freed at any moment of its lookups")
{
    gate gate;
    for (int round = 0; round < 2000; ++round) {
        thrum_context *context = nullptr;
        thrum_resolver *resolvers[2];
        waiter waiting[2];
        struct addrinfo hints = hints_of();
        REQUIRE(thrum_context_new(&context) == 0);
        for (int i = 0; i < 2; ++i) {
            REQUIRE(thrum_resolver_new(context, &resolvers[i]) == 0);
            REQUIRE(thrum_resolver_look_up(resolvers[i], &waiting[i].operation, "quick", "80",
                                           &hints) == 0);
        }
        for (int i = 0; i < round % 16; ++i)
            thrum_context_poll(context);
        thrum_context_free(context);
        for (thrum_resolver *resolver : resolvers)
            thrum_resolver_free(resolver);
    }
}

TEST_CASE("cancel raced against the answer: one end, with the answer or without")
{
    resolving w;
    query one(w), neighbor(w);
    int n_found = 0, n_cancelled = 0, n_wrong = 0;
    neighbor.waiting.then = [&] {
        n_wrong += neighbor.waiting.error != 0;
        n_wrong += neighbor.start("quick") != 0;
    };
    REQUIRE(neighbor.start("quick") == 0);
    constexpr int n_rounds = 5000;
    for (int round = 0; round < n_rounds; ++round) {
        REQUIRE(one.start("quick") == 0);
        for (int i = 0; i < round % 32 && one.waiting.is_pending(); ++i)
            thrum_context_poll(w.context);
        one.waiting.cancel();
        while (one.waiting.is_pending())
            thrum_context_run_one(w.context);
        n_wrong += one.waiting.n_done != round + 1;
        n_found += one.waiting.error == 0 && one.port() == 80;
        n_cancelled += one.waiting.error == ECANCELED && one.port() == -1;
    }
    neighbor.waiting.then = nullptr;
    w.run();
    CHECK(n_wrong == 0);
    CHECK(n_found + n_cancelled == n_rounds);
    CHECK(n_cancelled > 0);
}

TEST_CASE("contexts in several threads look up side by side")
{
    gate gate;
    auto body = [] {
        for (int round = 0; round < 200; ++round) {
            thrum_context *context = nullptr;
            thrum_resolver *resolver = nullptr;
            waiter waiting;
            struct addrinfo hints = hints_of();
            thrum_context_new(&context);
            thrum_resolver_new(context, &resolver);
            thrum_resolver_look_up(resolver, &waiting.operation, "quick", "80", &hints);
            thrum_context_run(context);
            if (waiting.error != 0 || !thrum_resolver_addresses(resolver))
                std::abort();
            thrum_resolver_free(resolver);
            thrum_context_free(context);
        }
    };
    std::thread a(body), b(body);
    a.join();
    b.join();
}

TEST_CASE("without a thread a lookup cannot start, and the next one can")
{
    resolving w;
    query one(w), two(w), three(w);
    pthread_attr_t before, huge;
    REQUIRE(pthread_getattr_default_np(&before) == 0);
    REQUIRE(pthread_attr_init(&huge) == 0);
    REQUIRE(pthread_attr_setstacksize(&huge, std::size_t(1) << 46) == 0);

    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    int error = one.start("quick");
    pthread_setattr_default_np(&before);
    CHECK(error == EAGAIN);
    CHECK_FALSE(one.waiting.is_pending());
    CHECK(thrum_context_n_pending(w.context) == 0);
    REQUIRE(one.start("held") == 0);

    // One that is there will do.
    w.gate.wait_inside(1);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    error = two.start("quick");
    pthread_setattr_default_np(&before);
    CHECK(error == 0);
    w.gate.open();
    w.run();
    CHECK(one.waiting.error == 0);
    CHECK(two.waiting.error == 0);
    REQUIRE(three.start("quick") == 0);
    w.run();
    CHECK(three.waiting.error == 0);
    pthread_attr_destroy(&huge);
    pthread_attr_destroy(&before);
}
