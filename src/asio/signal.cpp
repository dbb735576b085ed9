// SPDX-License-Identifier: BSL-1.0
// Signal sets, with the rules of boost::asio::signal_set. Of Asio's own, as of 1.81, only the loop
// is used: it installs its handler without SA_RESTART, which breaks the program's blocking stdio,
// ignores that its pipe could not be registered, and publishes a service whose construction has
// failed.
//
// What belongs to the process (which signals are caught, the pipe that the handler writes to, the
// list of all sets) is guarded by one mutex, and so are the sets' queues and waits. Every context
// that has a set waits until the pipe can be read. The first to read it notifies all sets, those of
// other threads, too: it posts to their loops while it holds the mutex. A set leaves the list,
// under the mutex, before its context goes.
#include <thrum/signal.h>

#include <array>
#include <atomic>
#include <bitset>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <csignal>
#include <mutex>
#include <optional>
#include <sched.h>
#include <unistd.h>

#include "base/descriptor.h"

#include "context.hpp"
#include "operation.hpp"

namespace
{

using io_descriptor = boost::asio::posix::basic_stream_descriptor<thrum::executor>;
using boost::system::error_code;

constexpr int n_signals = NSIG;

bool is_number(int number) noexcept
{
    return number >= 0 && number < n_signals;
}

// ---- the handler ----

// What it touches, and nobody else while it runs.
struct {
    std::atomic<int> pipe{-1};     // the end to write to; it never blocks
    std::atomic<pid_t> process{0}; // whose pipe it is
    std::atomic<int> n_running{0}; // handlers, in all threads
    std::array<std::atomic<unsigned>, n_signals> n_without_room{};
} handler;

static_assert(std::atomic<unsigned>::is_always_lock_free);
static_assert(std::atomic<pid_t>::is_always_lock_free);

// A child made by fork has the handler and the pipe, but no set: the signal is not for its parent.
void do_default(int number) noexcept
{
    std::signal(number, SIG_DFL);
    std::raise(number); // arrives when the handler returns
}

void notify_loops(int number) noexcept
{
    auto byte = static_cast<unsigned char>(number);
    ++handler.n_running;
    int pipe = handler.pipe;
    if (pipe >= 0 && write(pipe, &byte, 1) < 0)
        ++handler.n_without_room[static_cast<std::size_t>(number)];
    --handler.n_running;
}

extern "C" void catch_signal(int number)
{
    int saved = errno;
    if (getpid() == handler.process)
        notify_loops(number);
    else
        do_default(number);
    errno = saved;
}

// ---- dispositions ----

int set_disposition(int number, void (*function)(int)) noexcept
{
    struct sigaction action = {};
    action.sa_handler = function;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    return sigaction(number, &action, nullptr) < 0 ? errno : 0;
}

// ---- what belongs to the process ----

struct set_hook {
    struct list node; // in the process's sets
    thrum_signal_set *set;
};

struct process_signals {
    std::mutex mutex;
    struct list sets;
    std::array<std::size_t, n_signals> n_sets{}; // that have the signal
    std::size_t n_readers = 0;                   // contexts that wait for the pipe
    int pipe[2] = {-1, -1};

    process_signals() noexcept
    {
        list_init(&sets);
    }

    int add_reader() noexcept;
    void remove_reader() noexcept;
    int hold(int number) noexcept;
    void let_go(int number) noexcept;
    void read() noexcept;

  private:
    int open_pipe() noexcept;
    void close_pipe() noexcept;
    void notify(int number) noexcept;
};

// Never destroyed: a context may be freed by another static object's destructor.
process_signals &process() noexcept
{
    static process_signals *one = new process_signals;
    return *one;
}

// Close-on-exec from the first moment.
int process_signals::open_pipe() noexcept
{
    int error = descriptor_pipe(pipe);
    if (error)
        return error;
    error = descriptor_prepare(pipe[0]);
    if (!error)
        error = descriptor_prepare(pipe[1]);
    for (auto &n : handler.n_without_room)
        n = 0;
    handler.process = getpid();
    handler.pipe = pipe[1];
    if (error)
        close_pipe();
    return error;
}

// No signal is caught any more, but a handler may still be running in another thread, and must not
// write into a descriptor that is somebody else's by then.
void process_signals::close_pipe() noexcept
{
    handler.pipe = -1;
    while (handler.n_running != 0 && handler.process == getpid())
        sched_yield();
    descriptor_close(pipe[0]);
    descriptor_close(pipe[1]);
}

int process_signals::add_reader() noexcept
{
    int error = n_readers == 0 ? open_pipe() : 0;
    if (!error)
        ++n_readers;
    return error;
}

void process_signals::remove_reader() noexcept
{
    if (--n_readers == 0)
        close_pipe();
}

int process_signals::hold(int number) noexcept
{
    std::size_t &n = n_sets[static_cast<std::size_t>(number)];
    int error = n == 0 ? set_disposition(number, catch_signal) : 0;
    if (!error)
        ++n;
    return error;
}

void process_signals::let_go(int number) noexcept
{
    if (--n_sets[static_cast<std::size_t>(number)] == 0)
        set_disposition(number, SIG_DFL);
}

} // namespace

// ---- a set ----

struct thrum_signal_set final : thrum::object {
    struct set_hook sets_hook; // all that follows is guarded by the process's mutex
    struct list waiting;       // `waiter`s
    std::bitset<n_signals> numbers;
    std::array<std::size_t, n_signals> n_queued{};

    explicit thrum_signal_set(thrum_context *context) noexcept : object(context)
    {
        list_init(&sets_hook.node);
        sets_hook.set = this;
        list_init(&waiting);
    }

    int open();
    void reset() noexcept override;
    int wait(struct thrum_operation *operation) noexcept;
    int cancel() noexcept;
    int add(int number) noexcept;
    int remove(int number) noexcept;
    int clear() noexcept;

    void notify(int number) noexcept;

  private:
    struct waiter;

    std::shared_ptr<thrum::signal_reader> reader_;

    void remove_held(std::size_t number) noexcept;
    void clear_held() noexcept;
    void end_waits(int error, int value) noexcept;
    int take_queued() noexcept;
};

// An operation that waits; it stands where the operation keeps its canceller.
struct thrum_signal_set::waiter {
    struct list hook; // by itself once the operation has its result
    struct thrum_operation *operation;

    void operator()(boost::asio::cancellation_type_t) noexcept
    {
        std::lock_guard guard(process().mutex);
        if (!list_is_empty(&hook))
            end(ECANCELED, 0);
    }

    void end(int error, int value) noexcept
    {
        list_remove(&hook);
        operation->value = value;
        thrum::operation_post(operation, error); // in the operation's own storage
    }
};

// ---- a context's part ----

namespace thrum
{

// Waits for the process's pipe as long as the context has sets. The wait is no operation and keeps
// no loop from ending.
class signal_reader : public std::enable_shared_from_this<signal_reader>
{
  public:
    std::size_t n_sets = 0;

    signal_reader() noexcept
    {
        thrum_operation_init(&storage_, nullptr, nullptr);
    }

    signal_reader(const signal_reader &) = delete;
    signal_reader &operator=(const signal_reader &) = delete;
    ~signal_reader() = default;

    int open(thrum_context *context)
    {
        std::lock_guard guard(process().mutex);
        int error = process().add_reader();
        if (error)
            return error;
        error = guarded([&] { return begin(context); });
        if (error) {
            io_.reset();
            process().remove_reader();
        }
        return error;
    }

    // From here on its handler, wherever it is, does nothing.
    void close() noexcept
    {
        std::lock_guard guard(process().mutex);
        io_.reset();
        process().remove_reader();
    }

  private:
    struct at_signal;

    std::optional<io_descriptor> io_; // a copy, which it closes
    struct thrum_operation storage_;  // never started: only the room in it is used

    int begin(thrum_context *context)
    {
        int copy;
        io_.emplace(context->executor());
        int error = descriptor_dup(process().pipe[0], &copy);
        if (error)
            return error;
        error = guarded([&] {
            error_code code;
            io_->assign(copy, code);
            return error_from(code);
        });
        if (error) {
            descriptor_close(copy);
            return error;
        }
        wait();
        return 0;
    }

    void wait();
    void ready();
};

// It holds the reader, and so the room that it stands in.
struct signal_reader::at_signal {
    using allocator_type = operation_allocator<std::byte>;

    std::shared_ptr<signal_reader> reader;

    allocator_type get_allocator() const noexcept
    {
        return allocator_type(&reader->storage_);
    }

    void operator()(const error_code &) const
    {
        reader->ready();
    }
};

void signal_reader::wait()
{
    io_->async_wait(io_descriptor::wait_read, at_signal{shared_from_this()});
}

void signal_reader::ready()
{
    if (!io_)
        return;
    {
        std::lock_guard guard(process().mutex);
        process().read();
    }
    wait();
}

} // namespace thrum

// ---- notifications ----

void process_signals::notify(int number) noexcept
{
    for (struct list *node = sets.next; node != &sets; node = node->next)
        LIST_ITEM(node, set_hook, node)->set->notify(number);
}

// In the order of their arrival, and then those for which the pipe had no room.
void process_signals::read() noexcept
{
    std::array<unsigned char, 256> bytes;
    ssize_t size;
    while ((size = ::read(pipe[0], bytes.data(), bytes.size())) > 0)
        for (ssize_t i = 0; i < size; ++i)
            notify(bytes[static_cast<std::size_t>(i)]);
    for (int number = 0; number < n_signals; ++number)
        for (auto n = handler.n_without_room[static_cast<std::size_t>(number)].exchange(0); n > 0;
             --n)
            notify(number);
}

void thrum_signal_set::notify(int number) noexcept
{
    auto index = static_cast<std::size_t>(number);
    if (!numbers[index])
        return;
    if (list_is_empty(&waiting))
        ++n_queued[index];
    else
        end_waits(0, number);
}

// ---- the set's own calls ----

int thrum_signal_set::open()
{
    if (!context->signals) {
        auto reader = std::make_shared<thrum::signal_reader>();
        int error = reader->open(context);
        if (error)
            return error;
        context->signals = std::move(reader);
    }
    reader_ = context->signals;
    ++reader_->n_sets;
    std::lock_guard guard(process().mutex);
    list_append(&process().sets, &sets_hook.node);
    return 0;
}

void thrum_signal_set::reset() noexcept
{
    if (!reader_)
        return;
    {
        std::lock_guard guard(process().mutex);
        clear_held();
        end_waits(ECANCELED, 0);
        list_remove(&sets_hook.node);
    }
    disarm();
    if (--reader_->n_sets == 0) {
        reader_->close();
        context->signals.reset();
    }
    reader_.reset();
}

void thrum_signal_set::end_waits(int error, int value) noexcept
{
    while (!list_is_empty(&waiting))
        LIST_ITEM(waiting.next, waiter, hook)->end(error, value);
}

// The lowest number that is queued, once; 0 if nothing is.
int thrum_signal_set::take_queued() noexcept
{
    for (std::size_t number = 0; number < n_signals; ++number) {
        if (n_queued[number] == 0)
            continue;
        --n_queued[number];
        return static_cast<int>(number);
    }
    return 0;
}

int thrum_signal_set::wait(struct thrum_operation *operation) noexcept
{
    if (!context)
        return EBADF;
    if (thrum_operation_is_pending(operation))
        return EBUSY;
    return operation_start(operation, this, thrum::operation_type::other, [&](thrum::completion) {
        std::lock_guard guard(process().mutex);
        auto &self = thrum::operation_slot(operation).emplace<waiter>();
        self.operation = operation;
        list_init(&self.hook);
        list_append(&waiting, &self.hook);
        if (int number = take_queued())
            self.end(0, number);
    });
}

int thrum_signal_set::cancel() noexcept
{
    if (!context)
        return EBADF;
    std::lock_guard guard(process().mutex);
    end_waits(ECANCELED, 0);
    return 0;
}

int thrum_signal_set::add(int number) noexcept
{
    if (!context)
        return EBADF;
    if (!is_number(number))
        return EINVAL;
    std::lock_guard guard(process().mutex);
    auto index = static_cast<std::size_t>(number);
    if (numbers[index])
        return 0;
    int error = process().hold(number);
    if (!error)
        numbers.set(index);
    return error;
}

void thrum_signal_set::remove_held(std::size_t number) noexcept
{
    if (!numbers[number])
        return;
    numbers.reset(number);
    n_queued[number] = 0;
    process().let_go(static_cast<int>(number));
}

void thrum_signal_set::clear_held() noexcept
{
    for (std::size_t number = 0; number < n_signals; ++number)
        remove_held(number);
}

int thrum_signal_set::remove(int number) noexcept
{
    if (!context)
        return EBADF;
    if (!is_number(number))
        return EINVAL;
    std::lock_guard guard(process().mutex);
    remove_held(static_cast<std::size_t>(number));
    return 0;
}

int thrum_signal_set::clear() noexcept
{
    if (!context)
        return EBADF;
    std::lock_guard guard(process().mutex);
    clear_held();
    return 0;
}

extern "C" {

int thrum_signal_set_new(thrum_context *context, thrum_signal_set **set) noexcept
{
    return thrum::guarded([&] {
        auto *made = new thrum_signal_set(context);
        int error = thrum::guarded([&] { return made->open(); });
        if (error)
            made->free();
        else
            *set = made;
        return error;
    });
}

void thrum_signal_set_free(thrum_signal_set *set) noexcept
{
    if (set)
        set->free();
}

int thrum_signal_set_add(thrum_signal_set *set, int number) noexcept
{
    return set->add(number);
}

int thrum_signal_set_remove(thrum_signal_set *set, int number) noexcept
{
    return set->remove(number);
}

int thrum_signal_set_clear(thrum_signal_set *set) noexcept
{
    return set->clear();
}

int thrum_signal_set_cancel(thrum_signal_set *set) noexcept
{
    return set->cancel();
}

int thrum_signal_set_wait(thrum_signal_set *set, struct thrum_operation *operation) noexcept
{
    return set->wait(operation);
}

} // extern "C"
