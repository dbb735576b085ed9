// SPDX-License-Identifier: BSL-1.0
// Acceptors. Asio's own accept cannot make descriptors close-on-exec, so it only waits here, and
// accept4(2) does the rest. One accept waits through Asio, the first; the others stand behind it
// in the pending list, so that a connection goes to whoever came first.
#include <optional>

#include "context.hpp"
#include "descriptor.hpp"
#include "operation.hpp"
#include "option.hpp"
#include "socket.hpp"

using boost::system::error_code;
using thrum::error_from;
using thrum::guarded;
using thrum::operation_emit;
using thrum::operation_post;
using thrum::operation_state;
using thrum::purpose;
using thrum::state_of;

struct thrum_acceptor final : thrum::object {
    std::optional<thrum::io_acceptor> io;
    const thrum_kind kind;
    int descriptor = -1;
    int family = AF_UNSPEC;
    unsigned life = 0;

    thrum_acceptor(thrum_context *context, thrum_kind kind)
        : object(context), io(*context->io), kind(kind)
    {
    }

    bool is_open() const noexcept
    {
        return descriptor >= 0;
    }

    void reset() noexcept override;
    bool settle(struct thrum_operation *operation) noexcept override;
    void forget(struct thrum_operation *operation) noexcept override;

    int open(int family, int number) noexcept;
    int assign(int family, int fd) noexcept;
    int close() noexcept;
    int release(int *fd) noexcept;
    int cancel() noexcept;
    int accept(struct thrum_operation *operation, thrum_socket *socket) noexcept;

  private:
    void opened(int family, int fd) noexcept;
    void end_life() noexcept;
    struct thrum_operation *first_waiting() noexcept;
    int accept_now(thrum_socket *target) noexcept;
    void wait(struct thrum_operation *operation);
    void queue(struct thrum_operation *operation) noexcept;
    bool go_on(struct thrum_operation *operation) noexcept;
};

namespace
{

// Ends an accept that stands in the queue, where Asio does not know it.
class dequeue
{
  public:
    explicit dequeue(struct thrum_operation *operation) noexcept : operation_(operation)
    {
    }

    void operator()(boost::asio::cancellation_type_t) noexcept
    {
        struct thrum_operation *operation = operation_;
        operation_state &state = state_of(operation);
        state.is_waiting = false;
        state.cancel = nullptr;
        operation_post(operation, ECANCELED, 0);
    }

  private:
    struct thrum_operation *operation_;
};

// The peer has gone again, or something interrupted: there may be another connection.
bool is_passing(int error) noexcept
{
    return error == ECONNABORTED || error == EPROTO || error == EINTR;
}

} // namespace

// ---- life ----

void thrum_acceptor::opened(int new_family, int fd) noexcept
{
    descriptor = fd;
    family = new_family;
    ++life;
}

void thrum_acceptor::end_life() noexcept
{
    for (struct list *node = pending.next; node != &pending; node = node->next)
        operation_emit(thrum::operation_at(node));
    disarm();
    descriptor = -1;
    family = AF_UNSPEC;
    ++life;
}

void thrum_acceptor::reset() noexcept
{
    end_life();
    io.reset();
}

int thrum_acceptor::open(int new_family, int number) noexcept
{
    if (!io)
        return EBADF;
    if (is_open())
        return THRUM_EALREADY_OPEN;
    int fd = -1;
    int error = guarded([&] { return thrum::open(*io, new_family, kind, number, &fd); });
    if (!error)
        opened(new_family, fd);
    return error;
}

int thrum_acceptor::assign(int new_family, int fd) noexcept
{
    if (!io)
        return EBADF;
    if (is_open())
        return THRUM_EALREADY_OPEN;
    int error = thrum::check_and_prepare(fd, new_family, kind, true);
    if (!error)
        error = guarded([&] { return thrum::adopt(*io, new_family, kind, 0, fd); });
    if (!error)
        opened(new_family, fd);
    return error;
}

int thrum_acceptor::close() noexcept
{
    if (!is_open())
        return 0;
    end_life();
    return thrum::close(*io);
}

int thrum_acceptor::release(int *fd) noexcept
{
    if (!is_open())
        return EBADF;
    end_life();
    error_code code;
    *fd = io->release(code);
    return error_from(code);
}

int thrum_acceptor::cancel() noexcept
{
    if (!is_open())
        return EBADF;
    for (struct list *node = pending.next; node != &pending; node = node->next)
        thrum_operation_cancel(thrum::operation_at(node));
    return 0;
}

// ---- accepting ----

int thrum_acceptor::accept_now(thrum_socket *target) noexcept
{
    int fd, error;
    if (target->is_freed())
        return ECANCELED;
    if (target->is_open())
        return THRUM_EALREADY_OPEN;
    do
        error = descriptor_accept(descriptor, &fd);
    while (is_passing(error));
    if (error)
        return error;
    error = target->adopt(family, fd);
    if (error)
        descriptor_close(fd);
    return error;
}

struct thrum_operation *thrum_acceptor::first_waiting() noexcept
{
    for (struct list *node = pending.next; node != &pending; node = node->next)
        if (state_of(thrum::operation_at(node)).is_waiting)
            return thrum::operation_at(node);
    return nullptr;
}

void thrum_acceptor::wait(struct thrum_operation *operation)
{
    state_of(operation).is_waiting = true;
    io->async_wait(io->wait_read, thrum::completion{operation});
}

void thrum_acceptor::queue(struct thrum_operation *operation) noexcept
{
    state_of(operation).is_waiting = true;
    thrum::operation_slot(operation).emplace<dequeue>(operation);
}

int thrum_acceptor::accept(struct thrum_operation *operation, thrum_socket *target) noexcept
{
    operation_state &state = state_of(operation);
    if (state.owner)
        return EBUSY;
    if (!is_open())
        return EBADF;
    if (target->kind != kind || target->context != context)
        return EINVAL;
    struct thrum_operation *first = first_waiting();
    int result = first ? EAGAIN : accept_now(target);
    if (result && result != EAGAIN)
        return result;
    state.life = life;
    state.target = target;
    state.is_waiting = false;
    target->ref();
    return operation_start(operation, this, purpose::other, [&](thrum::completion) {
        if (first)
            queue(operation);
        else if (result == EAGAIN)
            wait(operation);
        else
            operation_post(operation, 0, 0);
    });
}

void thrum_acceptor::forget(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    state.target->unref();
    state.target = nullptr;
}

// Here either the result was posted, or the first waiter's wait is over.
bool thrum_acceptor::settle(struct thrum_operation *operation) noexcept
{
    operation_state &state = state_of(operation);
    if (!state.is_waiting)
        return true;
    if (state.life != life || state.is_cancelled)
        operation->error = ECANCELED;
    if (!operation->error && go_on(operation))
        return false;
    state.is_waiting = false;
    if (state.life != life)
        return true;
    if (struct thrum_operation *next = first_waiting())
        guarded([&] {
            wait(next);
            return 0;
        });
    return true;
}

// Readiness may be spurious, or another process may have been faster: then wait again.
bool thrum_acceptor::go_on(struct thrum_operation *operation) noexcept
{
    operation->error = accept_now(state_of(operation).target);
    if (operation->error != EAGAIN)
        return false;
    operation->error = guarded([&] {
        wait(operation);
        return 0;
    });
    return operation->error == 0;
}

extern "C" {

int thrum_acceptor_new(thrum_context *context, enum thrum_kind kind,
                       thrum_acceptor **acceptor) noexcept
{
    if (kind == THRUM_DATAGRAM)
        return EINVAL;
    return guarded([&] {
        *acceptor = new thrum_acceptor(context, kind);
        return 0;
    });
}

void thrum_acceptor_free(thrum_acceptor *acceptor) noexcept
{
    if (acceptor)
        acceptor->free();
}

int thrum_acceptor_open(thrum_acceptor *acceptor, int family, int protocol) noexcept
{
    return acceptor->open(family, protocol);
}

int thrum_acceptor_assign(thrum_acceptor *acceptor, int family, int fd) noexcept
{
    return acceptor->assign(family, fd);
}

int thrum_acceptor_release(thrum_acceptor *acceptor, int *fd) noexcept
{
    return acceptor->release(fd);
}

int thrum_acceptor_bind(thrum_acceptor *acceptor, const struct thrum_endpoint *endpoint) noexcept
{
    return acceptor->is_open() ? thrum::bind(*acceptor->io, endpoint) : EBADF;
}

int thrum_acceptor_listen(thrum_acceptor *acceptor, int backlog) noexcept
{
    if (!acceptor->is_open())
        return EBADF;
    error_code code;
    acceptor->io->listen(backlog, code);
    return error_from(code);
}

int thrum_acceptor_close(thrum_acceptor *acceptor) noexcept
{
    return acceptor->close();
}

int thrum_acceptor_cancel(thrum_acceptor *acceptor) noexcept
{
    return acceptor->cancel();
}

bool thrum_acceptor_is_open(const thrum_acceptor *acceptor) noexcept
{
    return acceptor->is_open();
}

int thrum_acceptor_native_handle(const thrum_acceptor *acceptor) noexcept
{
    return acceptor->descriptor;
}

int thrum_acceptor_family(const thrum_acceptor *acceptor) noexcept
{
    return acceptor->family;
}

int thrum_acceptor_local_endpoint(const thrum_acceptor *acceptor,
                                  struct thrum_endpoint *endpoint) noexcept
{
    return thrum::ask_name(::getsockname, acceptor->descriptor, endpoint);
}

int thrum_acceptor_set_option(thrum_acceptor *acceptor, int level, int name, const void *value,
                              size_t size) noexcept
{
    return acceptor->is_open() ? thrum::set_option(*acceptor->io, level, name, value, size) : EBADF;
}

int thrum_acceptor_get_option(const thrum_acceptor *acceptor, int level, int name, void *value,
                              size_t *size) noexcept
{
    return acceptor->is_open() ? thrum::get_option(*acceptor->io, level, name, value, size) : EBADF;
}

int thrum_acceptor_accept(thrum_acceptor *acceptor, struct thrum_operation *operation,
                          thrum_socket *socket) noexcept
{
    return acceptor->accept(operation, socket);
}

} // extern "C"
