// SPDX-License-Identifier: BSL-1.0
// What sockets, timers, signal sets and processes have in common: a context, pending operations,
// references.
#ifndef ASIO_OBJECT_HPP
#define ASIO_OBJECT_HPP

#include <thrum/context.h>
#include <thrum/operation.h>

#include "base/list.h"

namespace thrum
{

class object;

// A class with virtual functions has no offsets to rely on: the node knows whose it is.
struct object_hook {
    struct list node;
    object *owner;
};

// An object lives until its handle has been freed and its last operation has ended. When its
// context goes first it becomes a shell: `context` is NULL and nothing of Asio is left in it.
class object
{
  public:
    struct object_hook hook; // in its context's objects
    struct list pending;     // operations, in the order they were started
    thrum_context *context;

    explicit object(thrum_context *context) noexcept;
    object(const object &) = delete;
    object &operator=(const object &) = delete;

    void ref() noexcept
    {
        ++references_;
    }

    void unref() noexcept
    {
        if (--references_ == 0)
            delete this;
    }

    bool is_freed() const noexcept
    {
        return is_freed_;
    }

    // The handle is given up: close, and go when the last operation does.
    void free() noexcept;

    // The context is going, its Asio part has gone: end what is pending, without completing it.
    void abandon() noexcept;

    // The handle is given up, or the context is: take the Asio part away, closing it; what is
    // pending is posted with operation_aborted.
    virtual void reset() noexcept = 0;

    // An operation's result stands in it: correct it, and remember what follows for the object.
    // False if the operation goes on instead of completing.
    virtual bool on_complete(struct thrum_operation *operation) noexcept;

    // The operation ends now, one way or the other.
    virtual void forget(struct thrum_operation *operation) noexcept;

  protected:
    virtual ~object();

    // From now on a cancel finds nothing to do: Asio's part is about to be closed.
    void disarm() noexcept;

  private:
    unsigned references_ = 1;
    bool is_freed_ = false;
};

} // namespace thrum

#endif
