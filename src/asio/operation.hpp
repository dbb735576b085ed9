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
#include "protocol.hpp"

struct thrum_socket;
struct thrum_fds;

namespace thrum
{

// What an operation does to its object.
enum class purpose : std::uint8_t { receive, send, accept, connect, other };

// A receive or send as it was asked for.
struct transfer {
    void *data;
    std::size_t size;
    int flags;
};

struct operation_state {
    // Asio takes one block per operation, about 130 bytes for the largest.
    static constexpr std::size_t storage_size = 144;
    // And a function object for cancelling: four words.
    static constexpr std::size_t canceller_size = 32;

    struct list hook;       // in its object's pending list, or in a queue
    object *owner;          // NULL when nothing is pending
    void (*cancel)(void *); // calls what stands in `canceller`; NULL when it cannot be cancelled
    alignas(void *) unsigned char canceller[canceller_size];
    transfer what;
    any_protocol::endpoint sender; // refers to the operation's own endpoint
    union {
        thrum_socket *target;   // an accept's
        struct thrum_fds *list; // a transfer's with descriptors, else NULL
    };
    unsigned life; // which life of the object it was started in
    purpose does;
    bool is_storage_taken;
    bool is_found_at_once; // a receive that had its data before the loop ran
    bool is_cancelled;     // by the caller
    bool is_retry;         // cancelled by us, to be tried again
    bool is_eof;           // cancelled by us, because nothing will be received any more
    bool is_waiting;       // tried again when its wait is over: until then nothing has happened
    bool is_late;          // queued behind nobody, to be launched with others
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

// Pending from here on; the owner has one reference and the context one operation more.
void operation_begin(struct thrum_operation *operation, object *owner, purpose does) noexcept;
// It did not start after all.
void operation_undo(struct thrum_operation *operation) noexcept;
// It has ended. `done` is called here, and nothing is touched afterwards.
void operation_complete(struct thrum_operation *operation, int error, std::size_t size) noexcept;
// Complete from the loop with this result.
void operation_post(struct thrum_operation *operation, int error, std::size_t size);
// Ask Asio to end it.
void operation_emit(struct thrum_operation *operation) noexcept;

// Operations that wait for the same thing. Asio knows the first of them only, and the others queue:
// among many that it knows, it searches for the one to be cancelled.
struct operation_queue {
    struct thrum_operation *launched = nullptr; // or its result is on its way
    struct list waiting;
    // Asio's reactor has seen an error here and waits for an edge that may never come: ask first.
    bool is_stale = false;

    operation_queue() noexcept
    {
        list_init(&waiting);
    }

    operation_queue(const operation_queue &) = delete;
    operation_queue &operator=(const operation_queue &) = delete;

    bool is_busy() const noexcept
    {
        return launched || !list_is_empty(&waiting);
    }

    // Put a pending one at the end: it can be cancelled there.
    void add(struct thrum_operation *operation) noexcept;
    // Take the first off, or NULL.
    struct thrum_operation *take() noexcept;
    // Complete those that wait, with this result.
    void post_all(int error, std::size_t size = 0) noexcept;
};
// Take it off its queue; its cancel finds nothing to do any more.
void operation_unqueue(struct thrum_operation *operation) noexcept;

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
    void operator()(const boost::system::error_code &code, std::size_t size = 0) const noexcept;
};

// Start an operation of `owner`: `launch` hands a completion to Asio. Undone if that throws.
template <typename Launch>
int operation_start(struct thrum_operation *operation, object *owner, purpose does,
                    Launch launch) noexcept
{
    operation_begin(operation, owner, does);
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
