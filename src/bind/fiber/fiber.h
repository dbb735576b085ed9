/* SPDX-License-Identifier: BSL-1.0 */
/* Fibers: a coroutine, its one wait, and who joins it. */
#ifndef BIND_FIBER_FIBER_H
#define BIND_FIBER_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include <thrum/operation.h>
#include <thrum/timer.h>

#include "base/clock.h"
#include "base/list.h"
#include "bind/value/class.h"

struct runtime;
struct fiber;
struct timeout_scope;
struct group_head;

#define NO_DEADLINE CLOCK_NEVER

/* A place in a queue of those who wait for one another. */
struct waiter {
    struct list link;
    struct fiber *fiber;
};

enum wait_traits {
    WAIT_EXTERNAL = 1,   /* ends by something outside Lua */
    WAIT_UNSTOPPABLE = 2 /* no timeout scope ends it */
};

/* What a suspended fiber waits for. */
struct wait_ops {
    unsigned traits; /* enum wait_traits, combined */
    /* Make the wait end: by fiber_wake, now or later. */
    void (*cancel)(struct fiber *fiber);
    /* Push a text that tells it from others of its kind; NULL: there is nothing to tell. */
    void (*describe)(lua_State *L, const struct fiber *fiber);
    /* The wait ends, or its fiber goes: leave the other queues it stands in. NULL: there are none.
     */
    void (*leave)(struct fiber *fiber);
};

/* What a group does with its children, for who knows no groups: group.h has the contracts. Every
 * struct group begins with them. */
struct group_rules {
    void (*child_ended)(lua_State *L, struct fiber *child);
    bool (*keep_thread)(lua_State *L, const struct fiber *child);
    bool (*is_awaited)(const struct fiber *child);
    void (*lose_child)(lua_State *L, struct fiber *child);
};
struct group_head {
    const struct group_rules *rules;
};

/* Where a fiber was suspended last: for those who look. */
struct wait_site {
    lua_State *thread;               /* its own, or a coroutine's */
    const struct class_state *state; /* with the row: the function that suspended it */
    const struct function_row *row;
    int64_t since_ns; /* of the steady clock, coarsely */
};

/* Push the results of a suspended call, or raise, given how the wait ended: 0 or an error.
 * Runs on the caller's thread with the call's arguments still on its stack. */
typedef int call_finish(lua_State *L, struct fiber *fiber, int error);

enum fiber_state {
    FIBER_NEW,
    FIBER_ALIVE,
    FIBER_ENDING, /* its function has ended: nobody else may free it while its error is looked at */
    FIBER_ENDED
};
enum interruption {
    INTERRUPTED = 1,       /* itself, from now on */
    INTERRUPTED_INSIDE = 2 /* one of its timeout scopes was cancelled */
};
enum fiber_ending { ENDED_WELL, ENDED_WITH_ERROR, ENDED_INTERRUPTED };

enum { FIBER_CALL_SIZE = 256 };

struct fiber {
    struct waiter waiter; /* in the queue of what it waits for */
    struct runtime *runtime;
    lua_State *thread; /* the one to resume; NULL for the caller outside any fiber */
    int anchor;        /* of the thread that runs the fiber's function */
    lua_State *body;   /* that thread, while another runs the root scope's cleanup handlers */
    int body_status;
    bool is_body_over; /* that has ended, and there was no memory yet to run the handlers */
    int cleanup_anchor;
    int at_end; /* anchor: of a function to be called before it is over, outside any fiber; if that
                   raises, the caller that runs the loop gets the error, and a later run calls it
                   again */
    struct list link; /* in the runtime's list of fibers, or of those that have failed or are
                         unreported */
    struct fiber *next_ready;
    struct fiber_handle *handle; /* the user's, NULL once collected */
    struct group_head *group;    /* that it is a child of; once ended, that keeps its error */
    struct list group_link;      /* among the group's children */
    unsigned long long id;
    int n_args;        /* of its function */
    const char *name;  /* or NULL; the strings stand on the thread's stack */
    const char *place; /* where it was spawned: "script.lua:12", or NULL */

    /* Flags and counts. */
    uint8_t state;        /* enum fiber_state */
    uint8_t ending;       /* enum fiber_ending */
    uint8_t interruption; /* enum interruption, combined */
    bool is_main : 1;
    bool is_ready : 1;
    bool is_detached : 1;
    bool is_error_delivered : 1; /* somebody has got its error */
    bool has_scope_expired : 1;  /* a time.with_timeout has ended a wait since this was last cleared
                                  */
    bool waits_in_place : 1;     /* in a call that cannot be suspended: nobody resumes it */
    void (*when_ended)(lua_State *L,
                       const struct fiber *fiber); /* what require has to undo, or NULL */
    unsigned n_immediate_completions;              /* completions in a row that did not suspend */
    unsigned n_interruption_disabled;
    unsigned n_suspend_forbidden;
    unsigned n_cleanups; /* cleanup handlers running, one inside another */
    lua_State *cleaner;  /* the thread that runs the innermost, or NULL */

    /* The wait under way. */
    const struct wait_ops *wait; /* NULL while running or ready */
    struct wait_site site;
    call_finish *finish;
    lua_KContext suspension_id; /* of the suspension under way */
    int outcome;                /* how the wait ended */
    int cancel_cause;    /* what an ECANCELED of the wait means: 0, ETIMEDOUT or interrupted */
    int64_t deadline_ns; /* INT64_MAX: none */
    struct deadline *deadline;           /* made on first use */
    struct list timeout_scopes;          /* of time.with_timeout */
    struct timeout_scope *timeout_scope; /* the one whose deadline this wait has, or NULL */
    thrum_timer *timer;                  /* for sleeping; made on first use */
    union {
        max_align_t alignment;
        unsigned char bytes[FIBER_CALL_SIZE];
    } call; /* what the call under way keeps from its start to its end, as its room lays it out */
    void *wait_object;    /* for its wait_ops: the mutex, the group, the selection, the process, the
                             lookup */
    int wait_outcome;     /* decided before the wait ends */
    struct fiber *joiner; /* waits for this one's end */
    struct list watchers; /* so do these, but leave it to be joined */
    struct fiber *joined; /* whom this one waits for */
    int traceback;        /* anchor: of an ended fiber the traceback of its uncaught error, before
                             what inspect_keep_traceback has kept */
    int end;              /* anchor: what its handle keeps of it, see report.c */
    int origin;           /* anchor: whence the last error came that it has got by a join */
    int64_t report_ns;    /* it has failed, and is reported if nobody joins it until then */

    struct thrum_operation operation;
};

/* What Lua holds. A fiber does not need it: without one it is detached. */
struct fiber_handle {
    struct object object;
    struct fiber *fiber; /* NULL once joined, detached, or the runtime has ended */
    bool is_joined;
    bool interruption_caught;
};

/* ---- life ---- */

/* Make a fiber of what is on the top of L: where it is spawned and its name, strings or nil, the
 * function and `nargs` arguments. Pops them. */
struct fiber *fiber_new(lua_State *L, struct runtime *runtime, int nargs);
/* The same of a function, or what fiber.named made, and `nargs` arguments on the top; leaves its
 * handle there. Raises ECANCELED in a closed state. */
struct fiber *fiber_spawn(lua_State *L, struct runtime *runtime, int nargs);
/* Whether the value can be spawned: a function, or one with a name. */
bool fiber_is_function(lua_State *L, int index);
/* Push the name of what can be spawned, at `index`, and put the function itself there; or nil. */
void fiber_push_name(lua_State *L, int index);
/* One has left the runtime's list of those that have failed and can be joined. */
void fiber_left_failed(struct runtime *runtime);
/* What an ended fiber's thread has to give: results, or 1 for the error value. */
int fiber_count_results(const struct fiber *fiber);
/* It has ended, and only who has its handle can ask for what its thread holds: from here on the
 * thread lives as long as the handle, which may be what it holds. Allocates nothing. */
void fiber_leave_to_handle(lua_State *L, const struct fiber *fiber);
/* The reverse, for one that has an error and no handle any more. Allocates nothing. */
void fiber_take_back(lua_State *L, const struct fiber *fiber);
/* Let go of an ended fiber's record and thread. Runs no Lua and allocates nothing. */
void fiber_free(lua_State *L, struct fiber *fiber);
/* Nobody can join it any more: an ended fiber is freed, or reported first if it has an error that
 * nobody has got. One whose error a group keeps waits for the group. */
void fiber_forget(lua_State *L, struct fiber *fiber);
/* Those that stand for callers where no fiber runs. */
void fiber_init_callers(struct runtime *runtime);

/* Push `3` or `3 "rx"`. */
void fiber_push_title(lua_State *L, const struct fiber *fiber);

/* The thread on the top of L is a fiber's: nobody but the scheduler resumes it. */
void fiber_reserve_thread(lua_State *L, const struct runtime *runtime);

/* Keep the value on the top of L alive for a fiber; pops it. LUA_NOREF can be released, too. */
int fiber_anchor_value(lua_State *L, struct runtime *runtime);
void fiber_push_anchored(lua_State *L, const struct runtime *runtime, int anchor); /* or nil */
void fiber_release_anchor(lua_State *L, struct runtime *runtime, int anchor);

void fiber_interrupt(struct fiber *fiber);
/* Whether an interruption is delivered now: it is not disabled, and no cleanup handler runs. */
bool fiber_is_interruptible(const struct fiber *fiber);

/* ---- waits ---- */

/* The wait of `fiber` has ended: it becomes ready, and its call finishes with `outcome`. */
void fiber_wake(struct fiber *fiber, int outcome);

/* It can run: at the end of the ready queue, unless somebody waits for it in place. */
void fiber_make_ready(struct fiber *fiber);

/* End the wait with `cause` in place of ECANCELED, unless it ends by itself first. */
void fiber_cancel_wait(struct fiber *fiber, int cause);

/* How the wait will end is decided, but not yet when: from here on it has no deadline. */
void fiber_drop_deadline(struct fiber *fiber);

/* Start fiber->operation as a wait for that time; the fiber gets its timer with the first. Errors:
 * ENOMEM. */
int fiber_start_timer(struct fiber *fiber, int64_t deadline_ns);

/* The kind for fiber->operation, and its cancel for others. */
void fiber_cancel_operation(struct fiber *fiber);
extern const struct wait_ops wait_operation;

/* ---- deadlines ---- */

/* Make the fiber's deadline timer if it has none. Errors: ENOMEM. */
int deadline_prepare(struct fiber *fiber);
/* End the wait that is about to begin with ETIMEDOUT at that time, if it has not ended before. */
void deadline_set(struct fiber *fiber, int64_t deadline_ns);
void deadline_free(struct fiber *fiber);
/* The context is gone: free what its loop would have freed. */
void deadline_free_orphans(struct runtime *runtime);

#endif
