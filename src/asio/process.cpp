// SPDX-License-Identifier: BSL-1.0
// Child processes. The loop waits for a descriptor that can be read once the child has ended: the
// pidfd, or a pipe where there are none. That wait goes on from the spawn to the end, whether or
// not somebody else waits for the child; it is no operation, and it holds the object. Operations
// stand in the pending list until then.
#include <thrum/process.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/process.h"

#include "context.hpp"
#include "operation.hpp"

using boost::system::error_code;
using thrum::error_from;
using thrum::guarded;
using thrum::operation_at;
using thrum::operation_state;
using thrum::state_of;

static_assert(static_cast<int>(THRUM_PROCESS_NULL) == PROCESS_NULL);
static_assert(THRUM_PROCESS_START == static_cast<int>(PROCESS_START));
static_assert(THRUM_PROCESS_DESCRIPTOR == static_cast<int>(PROCESS_DESCRIPTOR));
static_assert(THRUM_PROCESS_DIRECTORY == static_cast<int>(PROCESS_DIRECTORY));
static_assert(THRUM_PROCESS_PROGRAM == static_cast<int>(PROCESS_PROGRAM));

namespace
{
using io_descriptor = boost::asio::posix::basic_stream_descriptor<thrum::executor>;
}

struct thrum_process final : thrum::object {
    std::optional<io_descriptor> end; // the pidfd of `id`, or a pipe of its own
    struct process_id id = {-1, -1};
    struct process_status status = {};
    int outcome = 0; // EAGAIN: it runs; ECHILD: nobody knows how it has ended; EBADF: not ours
    bool is_watched = false;

    explicit thrum_process(thrum_context *context) : object(context), end(context->executor())
    {
    }

    void reset() noexcept override;

    int start(const struct thrum_process_options *options, struct process_failure *failure);
    int wait(struct thrum_operation *operation) noexcept;
    int kill(int number) noexcept;
    void ended(const error_code &code) noexcept;

  private:
    int open_end() noexcept;
    void close_end() noexcept;
    int watch() noexcept;
    void look() noexcept;
    void wake(int error) noexcept;
};

namespace
{

// An operation that queues is known to Asio only once it has ended.
void finish(struct thrum_operation *operation, int error) noexcept
{
    operation_state &state = state_of(operation);
    state.step = thrum::step::ended;
    state.cancel = nullptr;
    thrum::operation_post(operation, error); // in the operation's own storage
}

class canceller
{
  public:
    explicit canceller(struct thrum_operation *operation) noexcept : operation_(operation)
    {
    }

    void operator()(boost::asio::cancellation_type_t) noexcept
    {
        finish(operation_, ECANCELED);
    }

  private:
    struct thrum_operation *operation_;
};

// The handler of the loop's own wait.
class at_end
{
  public:
    explicit at_end(thrum_process *process) noexcept : process_(process)
    {
        process->ref();
    }

    at_end(at_end &&other) noexcept : process_(std::exchange(other.process_, nullptr))
    {
    }

    ~at_end()
    {
        if (process_)
            process_->unref();
    }

    void operator()(const error_code &code) noexcept
    {
        process_->ended(code);
    }

  private:
    thrum_process *process_;
};

std::vector<process_fd> descriptors_of(const struct thrum_process_options *options)
{
    std::vector<process_fd> fds;
    fds.reserve(3 + options->n_extra_fds);
    for (int number = 0; number < 3; ++number)
        fds.push_back({number, options->stdio[number]});
    for (std::size_t i = 0; i < options->n_extra_fds; ++i)
        fds.push_back({options->extra_fds[i].number, options->extra_fds[i].fd});
    return fds;
}

} // namespace

// ---- its end ----

int thrum_process::open_end() noexcept
{
    error_code code;
    if (end->is_open())
        return 0;
    int fd = id.pidfd;
    int error = fd >= 0 ? 0 : process_watch(id.pid, &fd);
    if (error)
        return error;
    error = guarded([&] {
        end->assign(fd, code);
        return error_from(code);
    });
    if (error && fd != id.pidfd)
        descriptor_close(fd);
    return error;
}

void thrum_process::close_end() noexcept
{
    if (!end)
        return;
    int fd = end->is_open() ? end->release() : -1;
    end.reset();
    if (fd >= 0 && fd != id.pidfd)
        descriptor_close(fd);
}

int thrum_process::watch() noexcept
{
    if (is_watched || outcome != EAGAIN)
        return 0;
    int error = open_end();
    if (error)
        return error;
    return guarded([&] {
        end->async_wait(io_descriptor::wait_read, at_end(this));
        is_watched = true;
        return 0;
    });
}

// Reap it if it has ended.
void thrum_process::look() noexcept
{
    if (outcome != EAGAIN)
        return;
    outcome = process_reap(&id, &status);
    if (outcome == EAGAIN)
        return;
    close_end();
    if (id.pidfd >= 0)
        descriptor_close(id.pidfd);
    id.pidfd = -1;
    wake(outcome);
}

void thrum_process::wake(int error) noexcept
{
    for (struct list *node = pending.next; node != &pending; node = node->next)
        if (state_of(operation_at(node)).step == thrum::step::queued)
            finish(operation_at(node), error);
}

// A process that is traced by a third one may have ended and not be ours to reap yet.
void thrum_process::ended(const error_code &code) noexcept
{
    is_watched = false;
    if (!code)
        look();
    int error = code ? error_from(code) : watch();
    if (error && outcome == EAGAIN)
        wake(error);
}

// Either the handle is given up, and the loop goes on waiting, or the loop is.
void thrum_process::reset() noexcept
{
    wake(ECANCELED);
    disarm();
    bool is_ending = !context || context->is_ending;
    if (!is_ending && watch() == 0)
        return;
    close_end();
    if (outcome != EAGAIN)
        return;
    process_abandon(&id);
    outcome = EBADF;
}

// ---- what is asked of it ----

// If its end cannot be waited for, that is reported to a wait: the process is there.
int thrum_process::start(const struct thrum_process_options *options,
                         struct process_failure *failure)
{
    std::vector<process_fd> fds = descriptors_of(options);
    struct process_plan plan = {};
    plan.program = options->program;
    plan.arguments = options->arguments;
    plan.environment = options->environment;
    plan.working_directory = options->working_directory;
    plan.fds = fds.data();
    plan.n_fds = fds.size();
    int error = process_start(&plan, &id, failure);
    if (error)
        return error;
    outcome = EAGAIN;
    watch();
    return 0;
}

int thrum_process::wait(struct thrum_operation *operation) noexcept
{
    if (!context)
        return EBADF;
    if (thrum_operation_is_pending(operation))
        return EBUSY;
    int error = watch();
    if (error)
        return error;
    return operation_start(operation, this, thrum::operation_type::other, [&](thrum::completion) {
        state_of(operation).step = thrum::step::queued;
        thrum::operation_slot(operation).emplace<canceller>(operation);
        if (outcome != EAGAIN)
            finish(operation, outcome);
    });
}

// One that has ended takes signals until it is reaped, and says nothing.
int thrum_process::kill(int number) noexcept
{
    if (!context)
        return EBADF;
    look();
    return outcome == EAGAIN ? process_signal(&id, number) : ESRCH;
}

extern "C" {

int thrum_process_spawn(thrum_context *context, const struct thrum_process_options *options,
                        thrum_process **process, struct thrum_process_failure *failure) noexcept
{
    struct process_failure detail = {0, PROCESS_START, 0};
    int error = guarded([&] {
        auto *made = new thrum_process(context);
        int problem = guarded([&] { return made->start(options, &detail); });
        if (problem)
            made->free();
        else
            *process = made;
        return problem;
    });
    if (failure)
        *failure = {static_cast<thrum_process_step>(detail.step), detail.number};
    return error;
}

void thrum_process_free(thrum_process *process) noexcept
{
    if (process)
        process->free();
}

int thrum_process_pid(const thrum_process *process) noexcept
{
    return process->id.pid;
}

int thrum_process_wait(thrum_process *process, struct thrum_operation *operation) noexcept
{
    return process->wait(operation);
}

int thrum_process_status(const thrum_process *process, struct thrum_exit_status *status) noexcept
{
    const struct process_status &known = process->status;
    if (!process->outcome)
        *status = {known.is_exited, known.code, known.signal};
    return process->outcome;
}

int thrum_process_kill(thrum_process *process, int number) noexcept
{
    return process->kill(number);
}

} // extern "C"
