// SPDX-License-Identifier: BSL-1.0
// Children of a context: waits, their ends, signals, and who reaps them.
#include "world.hpp"

#include <csignal>
#include <fcntl.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <utility>
#include <vector>

#include <thrum/process.h>

#include "forbid.h"

namespace
{

bool has_children()
{
    return waitpid(-1, nullptr, WNOHANG | __WALL) != -1 || errno != ECHILD;
}

// A child may be reaped by a thread, a moment later.
void check_no_children(int pid)
{
    int n_tries = 0;
    while (kill(pid, 0) == 0 && ++n_tries < 20000)
        usleep(1000);
    CHECK(n_tries < 20000);
    CHECK_FALSE(has_children());
}

int spawn(thrum_context *context, std::vector<const char *> words, thrum_process **process,
          int input = THRUM_PROCESS_NULL, thrum_process_failure *failure = nullptr)
{
    words.push_back(nullptr);
    thrum_process_options options = {};
    options.program = words[0];
    options.arguments = const_cast<char **>(words.data());
    options.stdio[0] = input;
    options.stdio[1] = options.stdio[2] = THRUM_PROCESS_NULL;
    return thrum_process_spawn(context, &options, process, failure);
}

struct parent : world {
    thrum_process *process = nullptr;
    waiter one, two;
    int input[2] = {-1, -1};

    ~parent()
    {
        end_input();
        thrum_process_free(process);
        CHECK_FALSE(has_children());
    }

    void run_shell(const char *script)
    {
        REQUIRE(spawn(context, {"sh", "-c", script}, &process) == 0);
    }

    // A child that runs until end_input.
    void run_cat()
    {
        REQUIRE(pipe2(input, O_CLOEXEC) == 0);
        REQUIRE(spawn(context, {"cat"}, &process, input[0]) == 0);
        close(std::exchange(input[0], -1));
    }

    void end_input()
    {
        if (input[1] >= 0)
            close(std::exchange(input[1], -1));
    }

    int wait(waiter &waiter)
    {
        return thrum_process_wait(process, &waiter.operation);
    }

    void finish()
    {
        waiter last;
        end_input();
        REQUIRE(wait(last) == 0);
        run();
        CHECK(last.error == 0);
    }

    void check_status(bool is_exited, int code, int signal)
    {
        thrum_exit_status status = {};
        REQUIRE(thrum_process_status(process, &status) == 0);
        CHECK(status.is_exited == is_exited);
        CHECK(status.code == code);
        CHECK(status.signal == signal);
    }
};

} // namespace

TEST_CASE("a wait completes when the child has ended, from the loop")
{
    parent w;
    thrum_exit_status status;
    w.run_cat();
    CHECK(thrum_process_pid(w.process) > 0);
    REQUIRE(w.wait(w.one) == 0);
    thrum_context_poll(w.context);
    CHECK(w.one.is_pending());
    CHECK(thrum_process_status(w.process, &status) == EAGAIN);
    w.end_input();
    w.run();
    CHECK(w.one.n_done == 1);
    CHECK(w.one.error == 0);
    w.check_status(true, 0, 0);
}

TEST_CASE("a child's status is its code or its signal")
{
    parent w;
    w.run_shell("exit 255");
    REQUIRE(w.wait(w.one) == 0);
    w.run();
    w.check_status(true, 255, 0);
    thrum_process_free(w.process);
    w.run_shell("kill -USR1 $$");
    REQUIRE(w.wait(w.one) == 0);
    w.run();
    w.check_status(false, 0, SIGUSR1);
}

TEST_CASE("any number of operations wait for one child, and after its end as well")
{
    parent w;
    w.run_cat();
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    w.end_input();
    w.run();
    CHECK(w.one.n_done == 1);
    CHECK(w.two.n_done == 1);
    for (int n_done = 1; n_done < 4; ++n_done) {
        REQUIRE(w.wait(w.one) == 0);
        CHECK(w.one.n_done == n_done);
        w.run();
        CHECK(w.one.error == 0);
    }
    CHECK(w.two.n_done == 1);
}

TEST_CASE("a wait can be cancelled, and the others go on")
{
    parent w;
    w.run_cat();
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    CHECK(w.wait(w.one) == EBUSY);
    w.one.cancel();
    w.one.cancel();
    CHECK(w.one.n_done == 0);
    thrum_context_poll(w.context);
    CHECK(w.one.error == ECANCELED);
    CHECK(w.two.is_pending());
    w.end_input();
    w.run();
    CHECK(w.two.error == 0);
    REQUIRE(w.wait(w.one) == 0);
    w.one.cancel(); // it was over when it began
    w.run();
    CHECK(w.one.error == 0);
}

TEST_CASE("a cancel races with the end: one completion, with either result")
{
    parent w;
    for (int round = 0; round < 100; ++round) {
        w.run_cat();
        w.one.n_done = 0;
        REQUIRE(w.wait(w.one) == 0);
        w.end_input();
        if (round % 2)
            thrum_context_poll(w.context);
        w.one.cancel();
        w.run();
        CHECK(w.one.n_done == 1);
        CHECK((w.one.error == 0 || w.one.error == ECANCELED));
        w.finish();
        w.check_status(true, 0, 0);
        thrum_process_free(std::exchange(w.process, nullptr));
    }
}

TEST_CASE("a child that nobody waits for is reaped at a turn of the loop")
{
    parent w;
    thrum_timer *timer = nullptr;
    w.run_shell("exit 3");
    thrum_exit_status status;
    REQUIRE(thrum_timer_new(w.context, &timer) == 0);
    int n_turns = 0;
    while (thrum_process_status(w.process, &status) == EAGAIN && ++n_turns < 20000) {
        REQUIRE(thrum_timer_wait(timer, &w.one.operation, thrum_steady_clock_now_ns() + 1000000) ==
                0);
        w.run();
    }
    CHECK_FALSE(has_children());
    w.check_status(true, 3, 0);
    thrum_timer_free(timer);
}

TEST_CASE("a child does not keep the loop running")
{
    parent w;
    w.run_cat();
    w.run();
    CHECK(thrum_context_n_pending(w.context) == 0);
    CHECK(thrum_context_n_objects(w.context) == 1);
    w.finish();
}

TEST_CASE("a signal reaches a child that runs and nobody after its end")
{
    parent w;
    w.run_cat();
    CHECK(thrum_process_kill(w.process, 0) == 0);
    CHECK(thrum_process_kill(w.process, NSIG) == EINVAL);
    CHECK(thrum_process_kill(w.process, -1) == EINVAL);
    REQUIRE(w.wait(w.one) == 0);
    CHECK(thrum_process_kill(w.process, SIGTERM) == 0);
    w.run();
    w.check_status(false, 0, SIGTERM);
    CHECK(thrum_process_kill(w.process, SIGTERM) == ESRCH);
    CHECK(thrum_process_kill(w.process, 0) == ESRCH);
    CHECK(thrum_process_pid(w.process) > 0);
}

TEST_CASE("a signal finds out that the child has ended before the loop does, and wakes who waits")
{
    parent w;
    w.run_shell("exit 4");
    REQUIRE(w.wait(w.one) == 0);
    int error = 0;
    for (int n_tries = 0; error == 0 && n_tries < 20000; ++n_tries) {
        error = thrum_process_kill(w.process, 0);
        usleep(1000);
    }
    CHECK(error == ESRCH);
    CHECK_FALSE(has_children());
    w.check_status(true, 4, 0);
    CHECK(w.one.n_done == 0);
    w.run();
    CHECK(w.one.n_done == 1);
    CHECK(w.one.error == 0);
}

TEST_CASE("freeing a handle ends its waits; the child runs on and is reaped")
{
    parent w;
    w.run_cat();
    int pid = thrum_process_pid(w.process);
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    w.two.cancel();
    thrum_process_free(std::exchange(w.process, nullptr));
    CHECK(thrum_context_n_objects(w.context) == 0);
    w.run();
    CHECK(w.one.error == ECANCELED);
    CHECK(w.two.error == ECANCELED);
    CHECK(kill(pid, 0) == 0);
    w.end_input();
    for (int n_turns = 0; has_children() && n_turns < 20000; ++n_turns) {
        thrum_context_poll(w.context);
        w.run_shell("true"); // something to wait for
        w.finish();
        thrum_process_free(std::exchange(w.process, nullptr));
    }
    CHECK(kill(pid, 0) == -1);
}

TEST_CASE("a handle may be freed in the completion of its wait")
{
    parent w;
    w.run_cat();
    w.one.then = [&] { thrum_process_free(std::exchange(w.process, nullptr)); };
    REQUIRE(w.wait(w.one) == 0);
    REQUIRE(w.wait(w.two) == 0);
    w.end_input();
    w.run();
    CHECK(w.one.n_done == 1);
    CHECK(w.two.n_done == 1);
}

TEST_CASE("a context that is freed leaves no zombie, whether the child has ended or not")
{
    bool has_ended = GENERATE(false, true);
    bool is_freed_first = GENERATE(false, true);
    thrum_context *context = nullptr;
    thrum_process *process = nullptr;
    thrum_exit_status status;
    waiter one;
    int input[2], before = count_descriptors();
    REQUIRE(pipe2(input, O_CLOEXEC) == 0);
    REQUIRE(thrum_context_new(&context) == 0);
    REQUIRE(spawn(context, {"cat"}, &process, input[0]) == 0);
    int pid = thrum_process_pid(process);
    close(input[0]);
    REQUIRE(thrum_process_wait(process, &one.operation) == 0);
    if (has_ended) {
        siginfo_t info;
        close(input[1]);
        REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
    }
    if (is_freed_first)
        thrum_process_free(process);
    thrum_context_free(context);
    CHECK(one.n_done == 0);
    CHECK_FALSE(one.is_pending());
    if (!is_freed_first) {
        CHECK(thrum_process_wait(process, &one.operation) == EBADF);
        CHECK(thrum_process_kill(process, SIGKILL) == EBADF);
        CHECK(thrum_process_status(process, &status) == EBADF);
        CHECK(thrum_process_pid(process) == pid);
        thrum_process_free(process);
    }
    if (!has_ended) {
        CHECK(kill(pid, 0) == 0);
        close(input[1]);
    }
    check_no_children(pid);
    for (int n_tries = 0; count_descriptors() != before && n_tries < 20000; ++n_tries)
        usleep(1000); // the thread's last act
    CHECK(count_descriptors() == before);
}

TEST_CASE("a status that is known outlives the context")
{
    thrum_context *context = nullptr;
    thrum_process *process = nullptr;
    thrum_exit_status status = {};
    waiter one;
    REQUIRE(thrum_context_new(&context) == 0);
    REQUIRE(spawn(context, {"sh", "-c", "exit 6"}, &process) == 0);
    REQUIRE(thrum_process_wait(process, &one.operation) == 0);
    thrum_context_run(context);
    thrum_context_free(context);
    CHECK(thrum_process_status(process, &status) == 0);
    CHECK(status.code == 6);
    thrum_process_free(process);
}

TEST_CASE("a spawn that fails says what it was about, and makes nothing")
{
    world w;
    thrum_process *process = nullptr;
    thrum_process_failure failure = {};
    CHECK(spawn(w.context, {"no-such-program"}, &process, -1, &failure) == ENOENT);
    CHECK(failure.step == THRUM_PROCESS_PROGRAM);
    CHECK(spawn(w.context, {"no-such-program"}, &process) == ENOENT);
    CHECK(spawn(w.context, {"true"}, &process, 999, &failure) == EBADF);
    CHECK(failure.step == THRUM_PROCESS_DESCRIPTOR);
    CHECK(failure.number == 0);
    thrum_process_options options = {};
    char name[] = "true", *arguments[] = {name, nullptr};
    options.program = name;
    options.arguments = arguments;
    options.working_directory = "/nowhere";
    CHECK(thrum_process_spawn(w.context, &options, &process, &failure) == ENOENT);
    CHECK(failure.step == THRUM_PROCESS_DIRECTORY);
    options.working_directory = nullptr;
    thrum_process_fd extra = {2, 0};
    options.extra_fds = &extra;
    options.n_extra_fds = 1;
    CHECK(thrum_process_spawn(w.context, &options, &process, &failure) == EINVAL);
    CHECK(failure.step == THRUM_PROCESS_DESCRIPTOR);
    CHECK(failure.number == 2);
    CHECK(process == nullptr);
    CHECK(thrum_context_n_objects(w.context) == 0);
    CHECK_FALSE(has_children());
    thrum_process_free(nullptr);
}

TEST_CASE("a spawn at the limit of descriptors is EMFILE, and one more than enough works")
{
    parent w;
    rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    int error = EMFILE, n_failed = 0;
    int number = dup(0), in_use = count_descriptors();
    close(number);
    for (tight.rlim_cur = static_cast<rlim_t>(number); error == EMFILE; ++tight.rlim_cur) {
        setrlimit(RLIMIT_NOFILE, &tight);
        error = spawn(w.context, {"true"}, &w.process);
        setrlimit(RLIMIT_NOFILE, &before);
        n_failed += error == EMFILE;
        if (error)
            CHECK(count_descriptors() == in_use - 1);
    }
    CHECK(error == 0);
    CHECK(n_failed >= 3);
    w.finish();
}

TEST_CASE("children of many at once all end")
{
    world w;
    std::vector<thrum_process *> processes(40);
    std::vector<waiter> waiters(processes.size());
    for (std::size_t i = 0; i < processes.size(); ++i) {
        std::string script = "exit " + std::to_string(i);
        REQUIRE(spawn(w.context, {"sh", "-c", script.c_str()}, &processes[i]) == 0);
        REQUIRE(thrum_process_wait(processes[i], &waiters[i].operation) == 0);
    }
    w.run();
    for (std::size_t i = 0; i < processes.size(); ++i) {
        thrum_exit_status status = {};
        CHECK(thrum_process_status(processes[i], &status) == 0);
        CHECK(status.code == static_cast<int>(i));
        thrum_process_free(processes[i]);
    }
    CHECK_FALSE(has_children());
}

TEST_CASE("a wait for a child that somebody else has reaped ends all the same")
{
    parent w;
    w.run_shell("exit 5");
    REQUIRE(w.wait(w.one) == 0);
    CHECK(waitpid(-1, nullptr, 0) == thrum_process_pid(w.process));
    w.run();
    CHECK((w.one.error == 0 || w.one.error == ECHILD));
    thrum_exit_status status = {};
    CHECK(thrum_process_status(w.process, &status) == w.one.error);
    CHECK((w.one.error || status.code == 5));
    CHECK(thrum_process_kill(w.process, SIGTERM) == ESRCH);
}

#ifdef __linux__
// In a process of its own, which can never go back.
TEST_CASE("where pidfds cannot be waited for, all is as it is with them")
{
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        alarm(60);
        if (!forbid({SYS_waitid}))
            _exit(0);
        int error = 0;
        {
            parent w;
            w.run_cat();
            error |= w.wait(w.one) | w.wait(w.two);
            w.two.cancel();
            w.end_input();
            w.run();
            error |= w.one.error | (w.two.error != ECANCELED);
            thrum_exit_status status = {};
            error |= thrum_process_status(w.process, &status) | !status.is_exited;
            error |= thrum_process_kill(w.process, SIGTERM) != ESRCH;
            thrum_process_free(w.process);
            w.run_cat();
            error |= w.wait(w.one) | thrum_process_kill(w.process, SIGTERM);
            w.run();
            error |= w.one.error | thrum_process_status(w.process, &status);
            error |= status.signal != SIGTERM;
        }
        thrum_context *context = nullptr;
        thrum_process *process = nullptr;
        error |= thrum_context_new(&context) | spawn(context, {"sleep", "0.01"}, &process);
        int child = thrum_process_pid(process);
        thrum_context_free(context); // and threads wait on
        thrum_process_free(process);
        for (int n_tries = 0; kill(child, 0) == 0; ++n_tries, usleep(1000))
            error |= n_tries > 20000;
        _exit(error != 0);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
}
#endif
