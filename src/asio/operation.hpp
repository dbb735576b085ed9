// SPDX-License-Identifier: BSL-1.0
// The private side of an operation, and the handler that Asio gets for it.
#ifndef ASIO_OPERATION_HPP
#define ASIO_OPERATION_HPP

#include <boost/asio/cancellation_type.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include <thrum/operation.h>

#include "base/list.h"

#include "error.hpp"
#include "object.hpp"

struct thrum_endpoint;
struct thrum_message;
struct thrum_socket;

namespace thrum
{

// What an operation does to its object.
enum class operation_type : std::uint8_t { receive, send, accept, connect, other };

// How far an operation of a socket is: see queue.cpp.
enum class step : std::uint8_t {
    queued,     // behind others of its direction; Asio does not know it
    deferred,   // the first of its direction, to be tried together with others' soon
    waiting,    // until Asio says that it is worth an attempt
    ending,     // its wait is being ended: nothing will be received any more
    performing, // it only wants to know when its socket, or whatever it is, is ready
    ended       // its result stands and is on its way
};

struct operation_state {
    // Asio takes one block per operation, about 130 bytes for the largest.
    static constexpr std::size_t storage_size = 128;
    // And a function object for cancelling: four words.
    static constexpr std::size_t canceller_size = 32;

    struct list hook;       // in its object's pending list
    struct list queue_hook; // in its direction's queue
    object *owner;          // NULL when nothing is pending
    void (*cancel)(void *); // calls what stands in `canceller`; NULL when it cannot be cancelled
    alignas(void *) unsigned char canceller[canceller_size];
    union {
        struct thrum_message *message;       // a transfer's
        thrum_socket *target;                // an accept's
        const struct thrum_endpoint *remote; // a connect's
        int wait;                            // enum thrum_wait: what a watcher waits for
    };
    int (*attempt)(thrum_socket *socket, struct thrum_operation *operation);
    unsigned generation; // of the socket's descriptor that it was started with
    operation_type type;
    thrum::step step;
    bool is_cancelled; // by the caller
    bool is_untried;   // it has never been attempted, nor has its caller tried
    bool is_storage_taken;
    std::uint8_t n_in_vain; // waits that ended without anything to take
    alignas(std::max_align_t) unsigned char storage[storage_size];
};

static_assert(sizeof(operation_state) <= THRUM_OPERATION_PRIVATE_SIZE);
static_assert(std::is_trivially_destructible_v<operation_state>);

inline operation_state &state_of(struct thrum_operation *operation) noexcept
{
    return *std::launder(reinterpret_cast<operation_state *>(operation->private_.bytes));
}

inline const operation_state &state_of(const struct thrum_operation *operation) noexcept
{
    return *std::launder(reinterpret_cast<const operation_state *>(operation->private_.bytes));
}

inline struct thrum_operation *operation_at(struct list *hook) noexcept
{
    static_assert(offsetof(operation_state, hook) == 0);
    return reinterpret_cast<struct thrum_operation *>(reinterpret_cast<char *>(hook) -
                                                      offsetof(struct thrum_operation, private_));
}

inline struct thrum_operation *operation_in_queue(struct list *queue_hook) noexcept
{
    return reinterpret_cast<struct thrum_operation *>(reinterpret_cast<char *>(queue_hook) -
                                                      offsetof(operation_state, queue_hook) -
                                                      offsetof(struct thrum_operation, private_));
}

// Pending from here on; the owner has one reference and the context one operation more.
void operation_begin(struct thrum_operation *operation, object *owner,
                     operation_type type) noexcept;
// It did not start after all.
void operation_undo(struct thrum_operation *operation) noexcept;
// It has ended. `done` is called here, and nothing is touched afterwards.
void operation_complete(struct thrum_operation *operation, int error) noexcept;
// Complete from the loop with this error, or 0.
void operation_post(struct thrum_operation *operation, int error);
// Ask Asio to end it.
void operation_emit(struct thrum_operation *operation) noexcept;

// Hands out the operation's own storage, once at a time. Anything else comes from the heap.
template <typename T>
class operation_allocator
{
  public:
    using value_type = T;

    explicit operation_allocator(struct thrum_operation *operation) noexcept : operation_(operation)
    {
    }

    template <typename U>
    operation_allocator(const operation_allocator<U> &other) noexcept
        : operation_(other.operation())
    {
    }

    T *allocate(std::size_t n)
    {
        static_assert(alignof(T) <= alignof(std::max_align_t));
        operation_state &state = state_of(operation_);
        if (state.is_storage_taken || n * sizeof(T) > sizeof(state.storage))
            return static_cast<T *>(::operator new(n * sizeof(T)));
        state.is_storage_taken = true;
        return reinterpret_cast<T *>(state.storage);
    }

    void deallocate(T *block, std::size_t) noexcept
    {
        operation_state &state = state_of(operation_);
        if (reinterpret_cast<unsigned char *>(block) == state.storage)
            state.is_storage_taken = false;
        else
            ::operator delete(block);
    }

    struct thrum_operation *operation() const noexcept
    {
        return operation_;
    }

    template <typename U>
    bool operator==(const operation_allocator<U> &other) const noexcept
    {
        return operation_ == other.operation();
    }

    template <typename U>
    bool operator!=(const operation_allocator<U> &other) const noexcept
    {
        return operation_ != other.operation();
    }

  private:
    struct thrum_operation *operation_;
};

// Asio's CancellationSlot over the operation's own bytes: boost::asio::cancellation_signal would
// take a block from the heap for each operation.
class operation_slot
{
  public:
    explicit operation_slot(struct thrum_operation *operation) noexcept : operation_(operation)
    {
    }

    bool is_connected() const noexcept
    {
        return true;
    }

    template <typename Canceller, typename... Arguments>
    Canceller &emplace(Arguments &&...arguments)
    {
        static_assert(sizeof(Canceller) <= operation_state::canceller_size);
        static_assert(std::is_trivially_destructible_v<Canceller>);
        operation_state &state = state_of(operation_);
        state.cancel = [](void *canceller) {
            (*static_cast<Canceller *>(canceller))(boost::asio::cancellation_type::all);
        };
        return *new (state.canceller) Canceller(std::forward<Arguments>(arguments)...);
    }

    void clear() noexcept
    {
        state_of(operation_).cancel = nullptr;
    }

    bool operator==(const operation_slot &other) const noexcept
    {
        return operation_ == other.operation_;
    }

    bool operator!=(const operation_slot &other) const noexcept
    {
        return operation_ != other.operation_;
    }

  private:
    struct thrum_operation *operation_;
};

// The handler of every operation: a pointer. Asio releases the storage before it calls.
struct completion {
    using allocator_type = operation_allocator<std::byte>;
    using cancellation_slot_type = operation_slot;

    struct thrum_operation *operation;

    allocator_type get_allocator() const noexcept
    {
        return allocator_type(operation);
    }

    cancellation_slot_type get_cancellation_slot() const noexcept
    {
        return operation_slot(operation);
    }

    // Posted: the result stands in the operation already.
    void operator()() const noexcept;
    void operator()(const boost::system::error_code &code, int value = 0) const noexcept;
};

// Start an operation of `owner`: `launch` hands a completion to Asio. Undone if that throws.
template <typename Launch>
int operation_start(struct thrum_operation *operation, object *owner, operation_type type,
                    Launch launch) noexcept
{
    operation_begin(operation, owner, type);
    int error = guarded([&] {
        launch(completion{operation});
        return 0;
    });
    if (error)
        operation_undo(operation);
    return error;
}

} // namespace thrum

#endif
