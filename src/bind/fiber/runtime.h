/* SPDX-License-Identifier: BSL-1.0 */
/* The runtime: what thrum keeps for one lua_State. */
#ifndef BIND_FIBER_RUNTIME_H
#define BIND_FIBER_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/timer.h>

#include "base/list.h"
#include "bind/fiber/fiber.h"
#include "bind/value/class.h"
#include "bind/value/value_state.h"

struct runtime {
    struct value_state values; /* first: to the room value a runtime is this */
    thrum_context *context;    /* NULL once ended */
    lua_State *main;           /* the state's main thread */

    /* The scheduler. Outside any fiber `current` and `running` are NULL. */
    struct fiber *current;
    lua_State *running;       /* the thread the scheduler, or a resume of ours, set running */
    int n_boundaries;         /* C calls that cannot be yielded across, below `running` */
    bool is_suspending;       /* the yield on its way up is a suspension, not the user's */
    bool is_driving;          /* somebody outside drives the loop */
    struct fiber main_caller; /* stands for the caller outside any fiber */
    struct fiber nested;      /* stands for whom the loop itself calls while somebody outside drives
                                 it: finalizers, the reporter */
    struct fiber *ready;      /* a queue, linked by next_ready */
    struct fiber **ready_end;
    struct list fibers;        /* every fiber that has a record */
    struct list orphans;       /* deadlines that outlive their fibers, for a turn of the loop */
    struct list failed;        /* ended with an error, and can still be joined: oldest first */
    struct list unreported;    /* ended with an error that nobody can join any more */
    thrum_timer *report_timer; /* for the second after which the first of the failed is reported */
    struct thrum_operation report_wait;
    bool returns_errors; /* of fibers, to the C program that drives the loop: no default reporter */
    bool is_unrun;       /* spawned outside any fiber, and nobody has driven the loop since */
    struct list groups_to_interrupt;
    size_t n_pending;  /* waits that something outside Lua will end */
    size_t n_live;     /* fibers that have not ended */
    size_t n_hidden;   /* objects of the program's own, each with an operation that is pending */
    size_t n_handlers; /* cleanup handlers, in all scopes of all threads */
    unsigned long long last_id;
    lua_KContext last_suspension_id; /* of a suspension */

    /* Hooks, set by rooms above. What has been deferred until the running fiber suspends, or NULL;
     * runs no Lua that raises. And how to push what a part of a module, written in Lua, returns. */
    void (*before_suspend)(lua_State *L);
    bool calls_hook_at_exit; /* the code that ends the process calls before_suspend first */
    void (*push_part)(lua_State *L, struct runtime *runtime, const char *name);

    /* Places in the registry. */
    int anchors;  /* table: the fibers' threads by reference */
    int inner;    /* weak table: threads that only the scheduler resumes */
    int locals;   /* weak table: this_fiber.local_ by thread */
    int scopes;   /* weak table: lists of cleanup handlers by thread */
    int groups;   /* weak table: what a group's handle keeps, by the group's record */
    int reporter; /* LUA_NOREF: the default */
    int fatal;    /* the error that ended the run, LUA_NOREF for none */

    /* Functions to be recognized on a stack, or NULL: Lua's own, and those of the modules here. */
    lua_CFunction lua_pcall, lua_xpcall;
    lua_CFunction own_pcall, own_xpcall;
    lua_CFunction resume, wrapped; /* coroutine.resume, and what coroutine.wrap returns */
};

/* Who calls: the running fiber, or who stands for a caller where there is none. */
static inline struct fiber *runtime_caller(struct runtime *runtime)
{
    if (runtime->current)
        return runtime->current;
    return runtime->is_driving ? &runtime->nested : &runtime->main_caller;
}

/* Its address is the runtime's key in every registry. The value there is a userdata: the runtime
 * stands inside it, aligned. */
extern const char runtime_registry_key;
struct runtime *runtime_align(void *memory);

/* The state's runtime, made if need be. Raises when memory or descriptors run out. */
struct runtime *runtime_get(lua_State *L);

/* The same, or NULL when there is none. */
struct runtime *runtime_find(lua_State *L);

/* Call a function without arguments and push its result. The collector rests meanwhile: no
 * finalizer comes in between. */
int runtime_call_quietly(lua_State *L, lua_CFunction function);

/* Abandon what is pending and forget the fibers. Quiet when done twice. */
void runtime_end(struct runtime *runtime, lua_State *L);

/* Before the running fiber suspends, or the process ends. */
static inline void runtime_call_before_suspend(lua_State *L, const struct runtime *runtime)
{
    if (__builtin_expect(runtime->before_suspend != NULL, false))
        runtime->before_suspend(L);
}

#endif
