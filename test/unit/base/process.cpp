// SPDX-License-Identifier: BSL-1.0
// Children: what they get and what they do not, and how they end.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <functional>
#include <initializer_list>
#include <poll.h>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "base/descriptor.h"
#include "base/leak_check.h"
#include "base/process.h"
#include "forbid.h"

namespace
{

using words = std::vector<std::string>;

std::vector<char *> pointers(const words &list)
{
    std::vector<char *> argv;
    for (const std::string &word : list)
        argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);
    return argv;
}

// What a case starts. Standard input and error are /dev/null unless it says otherwise.
struct request {
    std::string program;
    words arguments;
    std::vector<process_fd> fds = {{0, PROCESS_NULL}, {2, PROCESS_NULL}};
    const words *environment = nullptr;
    const char *directory = nullptr;

    request(const char *program, words rest) : program(program), arguments(std::move(rest))
    {
        arguments.insert(arguments.begin(), program);
    }

    request &with(int number, int fd)
    {
        fds.push_back({number, fd});
        return *this;
    }

    int start(process_id &id, process_failure *failure = nullptr) const
    {
        std::vector<char *> argv = pointers(arguments);
        std::vector<char *> envp = pointers(environment ? *environment : words());
        process_plan plan = {program.c_str(), argv.data(), environment ? envp.data() : nullptr,
                             directory,       fds.data(),  fds.size()};
        return process_start(&plan, &id, failure);
    }
};

request shell(const char *script)
{
    return {"sh", {"-c", script}};
}

// The case has left no child, not even one that wait(2) does not see by itself.
struct no_children {
    leak_check descriptors;

    ~no_children()
    {
        CHECK(waitpid(-1, nullptr, WNOHANG | __WALL) == -1);
        CHECK(errno == ECHILD);
    }
};

void wait_until_ended(const process_id &id)
{
    int fd = id.pidfd;
    if (fd < 0)
        REQUIRE(process_watch(id.pid, &fd) == 0);
    pollfd readable = {fd, POLLIN, 0};
    CHECK(poll(&readable, 1, 20000) == 1);
    if (fd != id.pidfd)
        descriptor_close(fd);
}

process_status finish(process_id &id)
{
    process_status status = {};
    wait_until_ended(id);
    CHECK(process_reap(&id, &status) == 0);
    if (id.pidfd >= 0)
        descriptor_close(id.pidfd);
    return status;
}

std::string read_all(int fd)
{
    std::string text;
    char block[512];
    ssize_t size;
    while ((size = read(fd, block, sizeof(block))) > 0)
        text.append(block, static_cast<std::size_t>(size));
    return text;
}

// What it writes to standard output until it has ended.
std::string output(request what)
{
    int ends[2];
    process_id id;
    process_failure failure;
    REQUIRE(descriptor_pipe(ends) == 0);
    int error = what.with(1, ends[1]).start(id, &failure);
    close(ends[1]);
    std::string text = error ? std::string("error ") + std::strerror(error) : read_all(ends[0]);
    close(ends[0]);
    if (!error)
        finish(id);
    return text;
}

// The error of a start that fails, and what it was about.
int fails(const request &what, process_step step, int number = 0)
{
    process_id id;
    process_failure failure;
    int error = what.start(id, &failure);
    CHECK(failure.error == error);
    CHECK(failure.step == step);
    CHECK(failure.number == number);
    return error;
}

struct temporary_file {
    char path[32] = "/tmp/thrum-unit-XXXXXX";

    temporary_file(const char *content, mode_t mode)
    {
        int fd = mkostemp(path, O_CLOEXEC);
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, content, std::strlen(content)) >= 0);
        REQUIRE(fchmod(fd, mode) == 0);
        close(fd);
    }

    ~temporary_file()
    {
        unlink(path);
    }
};

// A variable of this process, for the time of a case.
struct variable {
    std::string name, before;
    bool was_set;

    variable(const char *name, const char *value) : name(name)
    {
        const char *old = getenv(name);
        was_set = old != nullptr;
        before = old ? old : "";
        value ? setenv(name, value, 1) : unsetenv(name);
    }

    ~variable()
    {
        was_set ? setenv(name.c_str(), before.c_str(), 1) : unsetenv(name.c_str());
    }
};

// Run `body` in a process of its own, which may spoil itself; its result must be 0.
void in_fork(const std::function<int()> &body)
{
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(body());
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
}

// Ends the process that in_fork made, with the line as its status.
#define EXPECT(condition)              \
    do {                               \
        if (!(condition))              \
            _exit(__LINE__ % 255 + 1); \
    } while (0)

} // namespace

TEST_CASE("a child runs a program with its arguments, and its code is its status")
{
    no_children check;
    CHECK(output({"printf", {"%s,%s,%s.", "a b", "", "\xff"}}) == "a b,,\xff.");
    process_id id;
    REQUIRE(shell("exit 7").start(id) == 0);
    process_status status = finish(id);
    CHECK(status.is_exited);
    CHECK(status.code == 7);
    CHECK(status.signal == 0);
}

TEST_CASE("a signal that ends a child is its status")
{
    no_children check;
    process_id id;
    REQUIRE(shell("kill -TERM $$; sleep 20").start(id) == 0);
    process_status status = finish(id);
    CHECK_FALSE(status.is_exited);
    CHECK(status.code == 0);
    CHECK(status.signal == SIGTERM);
}

TEST_CASE("a child that runs cannot be reaped, and takes signals")
{
    no_children check;
    process_id id;
    process_status status;
    REQUIRE(request("sleep", {"20"}).start(id) == 0);
    CHECK(process_reap(&id, &status) == EAGAIN);
    CHECK(process_signal(&id, 0) == 0);
    CHECK(process_signal(&id, NSIG + 1) == EINVAL);
    CHECK(process_signal(&id, SIGKILL) == 0);
    CHECK(finish(id).signal == SIGKILL);
}

TEST_CASE("the first argument is a name and not the program")
{
    no_children check;
    request named("sh", {"-c", "echo $0"});
    named.arguments[0] = "other";
    CHECK(output(named) == "other\n");
}

TEST_CASE("a child gets the environment it is given, or its parent's")
{
    no_children check;
    variable mark("THRUM_UNIT", "inherited");
    words given = {"A=1", "B=x=y", "C="};
    request none("/usr/bin/env", {}), some("/usr/bin/env", {});
    some.environment = &given;
    CHECK(output(some) == "A=1\nB=x=y\nC=\n");
    CHECK(output(none).find("THRUM_UNIT=inherited\n") != std::string::npos);
    words empty;
    some.environment = &empty;
    CHECK(output(some).empty());
}

TEST_CASE("a child begins in its working directory, and its program is found from there")
{
    no_children check;
    request there("pwd", {});
    there.directory = "/usr";
    CHECK(output(there) == "/usr\n");
    there.program = "bin/pwd";
    CHECK(output(there) == "/usr\n");
    there.directory = "/nowhere/at/all";
    CHECK(fails(there, PROCESS_DIRECTORY) == ENOENT);
    there.directory = "/dev/null";
    CHECK(fails(there, PROCESS_DIRECTORY) == ENOTDIR);
}

TEST_CASE("a program that cannot be executed is an error, and there is no child")
{
    no_children check;
    temporary_file denied("#!/bin/sh\n", 0600), nonsense("nonsense\n", 0700);
    temporary_file orphan("#!/nowhere/interpreter\n", 0700);
    CHECK(fails({"no-such-program", {}}, PROCESS_PROGRAM) == ENOENT);
    CHECK(fails({"./no-such-program", {}}, PROCESS_PROGRAM) == ENOENT);
    CHECK(fails({"", {}}, PROCESS_PROGRAM) == ENOENT);
    CHECK(fails({"/", {}}, PROCESS_PROGRAM) == EACCES);
    CHECK(fails({"/dev/null/x", {}}, PROCESS_PROGRAM) == ENOTDIR);
    CHECK(fails({denied.path, {}}, PROCESS_PROGRAM) == EACCES);
    CHECK(fails({nonsense.path, {}}, PROCESS_PROGRAM) == ENOEXEC);
    CHECK(fails({orphan.path, {}}, PROCESS_PROGRAM) == ENOENT);
    CHECK(fails({std::string(300, 'x').c_str(), {}}, PROCESS_PROGRAM) == ENAMETOOLONG);
    words many(2000, std::string(4000, 'x'));
    CHECK(fails({"true", many}, PROCESS_PROGRAM) == E2BIG);
}

TEST_CASE("the program is looked up as execvp does")
{
    no_children check;
    temporary_file found("#!/bin/sh\necho found\n", 0700), denied("#!/bin/sh\n", 0600);
    {
        variable path("PATH", "/nowhere:/dev/null:/bin:/usr/bin");
        CHECK(output({"echo", {"x"}}) == "x\n");
        CHECK(fails({found.path + 5, {}}, PROCESS_PROGRAM) == ENOENT);
    }
    {
        variable path("PATH", "/nowhere:/tmp:/usr/bin");
        CHECK(output({found.path + 5, {}}) == "found\n");
        CHECK(fails({denied.path + 5, {}}, PROCESS_PROGRAM) == EACCES);
    }
    request here(found.path + 5, {});
    here.directory = "/tmp";
    for (const char *empty : {"", ":/bin:/usr/bin", "/nowhere::/bin", "/bin:"}) {
        variable path("PATH", empty);
        CHECK(output(here) == "found\n");
    }
    {
        variable path("PATH", nullptr);
        CHECK(output({"echo", {"x"}}) == "x\n");
    }
}

// ---- descriptors ----

namespace
{

// Lists the child's descriptors: not those of ls.
request list_fds()
{
    return shell("ls /proc/$$/fd; exit");
}

std::vector<int> numbers_in(const std::string &text)
{
    std::vector<int> numbers;
    std::istringstream stream(text);
    for (int number; stream >> number;)
        numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

// Where the child's descriptors from 3 on lead.
request list_targets(const std::vector<int> &numbers)
{
    std::string script;
    for (int number : numbers)
        script += "readlink /proc/$$/fd/" + std::to_string(number) + "; ";
    return shell((script + "exit").c_str());
}

// Open files of this process under chosen numbers, for the time of a case.
struct placed_files {
    std::deque<temporary_file> files;
    std::vector<int> fds;

    explicit placed_files(const std::vector<int> &numbers)
    {
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            files.emplace_back("", 0600);
            int fd = open(files[i].path, O_RDONLY | O_CLOEXEC);
            REQUIRE(fd >= 0);
            REQUIRE(fcntl(numbers[i], F_GETFD) == -1);
            REQUIRE(dup2(fd, numbers[i]) == numbers[i]);
            close(fd);
            fds.push_back(numbers[i]);
        }
    }

    ~placed_files()
    {
        for (int fd : fds)
            close(fd);
    }
};

// For each pair: the child's number, and which of the files it is to be.
void check_places(const std::vector<int> &at, const std::vector<std::pair<int, std::size_t>> &pairs)
{
    placed_files placed(at);
    std::vector<int> numbers, present = {0, 1, 2};
    std::string expected;
    for (auto &[number, which] : pairs)
        numbers.push_back(number);
    request list = list_targets(numbers), all = list_fds();
    for (auto &[number, which] : pairs) {
        list.with(number, placed.fds[which]);
        all.with(number, placed.fds[which]);
        expected += std::string(placed.files[which].path) + "\n";
    }
    CHECK(output(list) == expected);
    present.insert(present.end(), numbers.begin(), numbers.end());
    std::sort(present.begin(), present.end());
    CHECK(numbers_in(output(all)) == present);
}

} // namespace

TEST_CASE("a child has the descriptors it is given and no other")
{
    no_children check;
    int leaky[2];
    REQUIRE(pipe(leaky) == 0); // not close-on-exec
    int high = fcntl(leaky[0], F_DUPFD, 200);
    CHECK(numbers_in(output(list_fds())) == std::vector<int>{0, 1, 2});
    request some = list_fds().with(3, leaky[0]).with(100, leaky[1]);
    CHECK(numbers_in(output(some)) == std::vector<int>{0, 1, 2, 3, 100});
    CHECK((fcntl(leaky[0], F_GETFD) & FD_CLOEXEC) == 0);
    close(leaky[0]);
    close(leaky[1]);
    close(high);
}

TEST_CASE("descriptors come to their places whatever stands there")
{
    no_children check;
    check_places({50, 51, 52}, {{3, 0}, {4, 1}, {5, 2}});
    check_places({50, 51}, {{50, 1}, {51, 0}});                   // each in the other's place
    check_places({50, 51, 52}, {{50, 1}, {51, 2}, {52, 0}});      // in a ring
    check_places({50, 51}, {{50, 0}, {51, 1}, {52, 0}});          // where they are
    check_places({50, 51}, {{51, 0}, {52, 0}, {53, 0}, {50, 0}}); // one in many
    // Every low number, so that the pipe and all copies are in the way of something.
    std::vector<std::pair<int, std::size_t>> many;
    for (int number = 3; number < 40; ++number)
        many.push_back({number, static_cast<std::size_t>(number % 3)});
    check_places({50, 51, 52}, many);
    std::reverse(many.begin(), many.end());
    check_places({50, 51, 52}, many);
}

TEST_CASE("standard descriptors may be swapped, shared and closed")
{
    no_children check;
    int out[2], err[2];
    REQUIRE(descriptor_pipe(out) == 0);
    REQUIRE(descriptor_pipe(err) == 0);
    in_fork([&] {
        // Here 1 and 2 are pipes; the child gets them the other way round, and no input.
        dup2(out[1], 1);
        dup2(err[1], 2);
        close(0);
        process_id id;
        request swapped("sh", {"-c", "echo to out; echo to err >&2; cat"});
        swapped.fds = {{0, PROCESS_NULL}, {1, 2}, {2, 1}};
        EXPECT(swapped.start(id) == 0);
        wait_until_ended(id);
        swapped.fds = {{0, 0}, {1, 1}, {2, 2}};
        process_failure failure;
        EXPECT(swapped.start(id, &failure) == EBADF);
        EXPECT(failure.step == PROCESS_DESCRIPTOR && failure.number == 0);
        EXPECT(fcntl(0, F_GETFD) == -1);
        return 0;
    });
    close(out[1]);
    close(err[1]);
    CHECK(read_all(out[0]) == "to err\n");
    CHECK(read_all(err[0]) == "to out\n");
    close(out[0]);
    close(err[0]);
}

TEST_CASE("a descriptor that cannot be given is an error that names it")
{
    no_children check;
    request what("true", {});
    what.fds = {{0, PROCESS_NULL}, {1, PROCESS_NULL}, {2, PROCESS_NULL}};
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    CHECK(fails(request(what).with(7, 999), PROCESS_DESCRIPTOR, 7) == EBADF);
    CHECK(fails(request(what).with(7, -2), PROCESS_DESCRIPTOR, 7) == EBADF);
    CHECK(fails(request(what).with(-7, 0), PROCESS_DESCRIPTOR, -7) == EINVAL);
    CHECK(fails(request(what).with(7, 0).with(7, 1), PROCESS_DESCRIPTOR, 7) == EINVAL);
    CHECK(fails(request(what).with(0, 0), PROCESS_DESCRIPTOR, 0) == EINVAL);
    int beyond = static_cast<int>(limit.rlim_cur);
    CHECK(fails(request(what).with(beyond, 0), PROCESS_DESCRIPTOR, beyond) == EBADF);
    CHECK(fails(request(what).with(INT_MAX, 0), PROCESS_DESCRIPTOR, INT_MAX) == EBADF);
}

TEST_CASE("a start that runs into a limit says so and leaves nothing behind")
{
    no_children check;
    in_fork([] {
        process_id id;
        request what("true", {});
        what.fds = {{0, 0}, {1, PROCESS_NULL}, {2, 2}};
        rlimit limit = {0, 0};
        getrlimit(RLIMIT_NOFILE, &limit);
        // With one descriptor more each time: for /dev/null, the pipe, the pidfd.
        int n_failed = 0, error;
        rlim_t first_free = static_cast<rlim_t>(fcntl(0, F_DUPFD, 0));
        close(static_cast<int>(first_free));
        for (limit.rlim_cur = first_free;; ++limit.rlim_cur, ++n_failed) {
            setrlimit(RLIMIT_NOFILE, &limit);
            int before = open_descriptors();
            error = what.start(id);
            if (error == 0)
                break;
            EXPECT(error == EMFILE);
            EXPECT(open_descriptors() == before);
            EXPECT(waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD);
        }
        EXPECT(n_failed >= 3);
        wait_until_ended(id);
        return 0;
    });
    in_fork([] {
        process_id id;
        rlimit none = {0, 0};
        if (getuid() == 0 && setuid(65534) != 0)
            return 0;
        setrlimit(RLIMIT_NPROC, &none);
        EXPECT(shell("true").with(1, PROCESS_NULL).start(id) == EAGAIN);
        return 0;
    });
}

// ---- signals ----

namespace
{
std::atomic<int> n_sigchld;

void count_sigchld(int)
{
    ++n_sigchld;
}
} // namespace

TEST_CASE("a child has default dispositions and an empty mask, whatever its parent has")
{
    no_children check;
    struct sigaction ignore = {}, handle = {}, before_pipe, before_usr1;
    sigset_t some, before;
    ignore.sa_handler = SIG_IGN;
    handle.sa_handler = count_sigchld;
    sigaction(SIGPIPE, &ignore, &before_pipe);
    sigaction(SIGUSR1, &handle, &before_usr1);
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &some, &before);
    std::string status = output({"cat", {"/proc/self/status"}});
    for (const char *what : {"SigBlk", "SigIgn", "SigCgt"})
        CHECK(status.find(what + std::string(":\t0000000000000000\n")) != std::string::npos);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    CHECK(sigismember(&now, SIGTERM) == 1);
    CHECK(sigismember(&now, SIGUSR2) == 0);
    struct sigaction after;
    sigaction(SIGUSR1, &before_usr1, &after);
    CHECK(after.sa_handler == count_sigchld);
    sigaction(SIGPIPE, &before_pipe, &after);
    CHECK(after.sa_handler == SIG_IGN);
}

#ifdef __linux__
TEST_CASE("SIGCHLD comes when a program ends, and not when it could not be started")
{
    no_children check;
    struct sigaction count = {}, before;
    count.sa_handler = count_sigchld;
    sigaction(SIGCHLD, &count, &before);
    n_sigchld = 0;
    CHECK(fails({"no-such-program", {}}, PROCESS_PROGRAM) == ENOENT);
    CHECK(n_sigchld == 0);
    process_id id;
    REQUIRE(shell("true").with(1, PROCESS_NULL).start(id) == 0);
    finish(id);
    CHECK(n_sigchld == 1);
    sigaction(SIGCHLD, &before, nullptr);
}

// What of a program that reaps every child it finds, or has the system do so.
TEST_CASE("a child that somebody else has reaped has ended, and signals reach nobody")
{
    no_children check;
    bool is_ignored = GENERATE(false, true);
    struct sigaction action = {}, before;
    action.sa_handler = is_ignored ? SIG_IGN : SIG_DFL;
    sigaction(SIGCHLD, &action, &before);
    process_id id;
    process_status status = {};
    REQUIRE(shell("exit 7").with(1, PROCESS_NULL).start(id) == 0);
    if (!is_ignored)
        CHECK(waitpid(-1, nullptr, 0) == id.pid);
    else if (id.pidfd >= 0)
        wait_until_ended(id);
    int error = process_reap(&id, &status);
    while (error == EAGAIN)
        error = process_reap(&id, &status);
    CHECK((error == ECHILD || (error == 0 && status.is_exited && status.code == 7)));
    CHECK(process_signal(&id, SIGTERM) == ESRCH);
    if (id.pidfd >= 0)
        close(id.pidfd);
    sigaction(SIGCHLD, &before, nullptr);
}
#endif

// ---- threads ----

TEST_CASE("several threads may start children at once")
{
    no_children check;
    std::vector<std::thread> threads;
    std::atomic<int> n_right(0);
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round < 25; ++round) {
                int ends[2];
                process_id id;
                process_status status = {};
                if (descriptor_pipe(ends) != 0)
                    return;
                request list = shell("ls /proc/$$/fd; exit 3").with(1, ends[1]).with(10 + i, 0);
                int error = list.start(id);
                close(ends[1]);
                std::vector<int> expected = {0, 1, 2, 10 + i};
                bool is_right = !error && numbers_in(read_all(ends[0])) == expected;
                close(ends[0]);
                while (!error && process_reap(&id, &status) == EAGAIN)
                    std::this_thread::yield();
                if (!error && id.pidfd >= 0)
                    close(id.pidfd);
                n_right += is_right && status.code == 3;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    CHECK(n_right == 100);
}

TEST_CASE("an abandoned child is reaped when it ends")
{
    bool has_ended = GENERATE(false, true);
    no_children check;
    process_id id;
    int ends[2];
    REQUIRE(descriptor_pipe(ends) == 0);
    request cat("cat", {});
    cat.fds = {{0, ends[0]}, {1, PROCESS_NULL}, {2, PROCESS_NULL}};
    REQUIRE(cat.start(id) == 0);
    close(ends[0]);
    pid_t pid = id.pid;
    if (has_ended) {
        close(ends[1]);
        wait_until_ended(id);
        process_abandon(&id);
    } else {
        process_abandon(&id);
        CHECK(kill(pid, 0) == 0);
        close(ends[1]);
    }
    CHECK(id.pidfd == -1);
    int n_tries = 0;
    while (kill(pid, 0) == 0 && ++n_tries < 20000)
        usleep(1000);
    CHECK(errno == ESRCH);
    while (open_descriptors() != check.descriptors.before && ++n_tries < 20000)
        usleep(1000); // the thread's last act
}

// ---- systems that lack something ----

#ifdef __linux__
TEST_CASE("where close_range is missing, no other descriptor comes through either")
{
    no_children check;
    int leaky[2], out[2];
    REQUIRE(pipe(leaky) == 0);
    REQUIRE(descriptor_pipe(out) == 0);
    in_fork([&] {
        process_id id;
        if (!forbid({436}))
            return 0;
        for (int number = 100; number < 300; ++number)
            dup2(leaky[0], number);
        EXPECT(descriptor_cloexec_from(250) == 0);
        EXPECT(fcntl(249, F_GETFD) == 0 && fcntl(250, F_GETFD) == FD_CLOEXEC);
        EXPECT(list_fds().with(1, out[1]).with(9, leaky[1]).start(id) == 0);
        wait_until_ended(id);
        return 0;
    });
    close(out[1]);
    CHECK(numbers_in(read_all(out[0])) == std::vector<int>{0, 1, 2, 9});
    close(out[0]);
    close(leaky[0]);
    close(leaky[1]);
}

TEST_CASE("where pidfds cannot be waited for, a thread waits")
{
    no_children check;
    in_fork([] {
        process_id id;
        process_status status;
        if (!forbid({SYS_waitid}))
            return 0;
        int before = open_descriptors();
        EXPECT(shell("exit 7").with(1, PROCESS_NULL).start(id) == 0);
        EXPECT(id.pidfd == -1);
        wait_until_ended(id);
        EXPECT(process_reap(&id, &status) == 0 && status.is_exited && status.code == 7);
        EXPECT(process_reap(&id, &status) == ECHILD);
        EXPECT(request("sleep", {"20"}).with(1, PROCESS_NULL).start(id) == 0);
        EXPECT(process_reap(&id, &status) == EAGAIN);
        EXPECT(process_signal(&id, SIGKILL) == 0);
        wait_until_ended(id);
        EXPECT(process_reap(&id, &status) == 0 && status.signal == SIGKILL);
        EXPECT(request("no-such-program", {}).start(id) == ENOENT);
        EXPECT(request("sleep", {"20"}).with(1, PROCESS_NULL).start(id) == 0);
        process_abandon(&id);
        kill(id.pid, SIGKILL);
        for (int n_tries = 0; kill(id.pid, 0) == 0; ++n_tries, usleep(1000))
            EXPECT(n_tries < 20000);
        EXPECT(open_descriptors() == before);
        return 0;
    });
}
#endif
