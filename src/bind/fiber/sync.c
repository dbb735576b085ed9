/* SPDX-License-Identifier: BSL-1.0 */
/* mutex, condition_variable, semaphore: for fibers of one state, so nothing here is atomic. */
#include <errno.h>
#include <limits.h>

#include <lauxlib.h>

#include "bind/fiber/classes.h"
#include "bind/fiber/open.h"
#include "bind/fiber/runtime.h"
#include "bind/fiber/select.h"
#include "bind/fiber/wait_queue.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

/* ---- mutex ---- */

struct mutex {
    struct object object;
    bool is_locked;
    unsigned long long owner; /* the fiber's id: it may be gone, and hold it for ever */
    struct list waiters;
};

static void describe_mutex(lua_State *L, const struct fiber *fiber)
{
    const struct mutex *mutex = fiber->wait_object;
    lua_pushfstring(L, "(held by fiber %I)", (LUAI_UACINT)mutex->owner);
}

static const struct wait_ops wait_mutex = {0, wait_queue_cancel, describe_mutex, NULL};

static void never_cancelled(struct fiber *fiber)
{
    (void)fiber;
}

/* The second half of condition_variable.wait: its outcome is decided, only the mutex is missing. */
static const struct wait_ops wait_mutex_again = {0, never_cancelled, describe_mutex, NULL};

static struct fiber *current_fiber(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    return runtime_caller(runtime);
}

static int mutex_new(lua_State *L)
{
    struct mutex *mutex = class_new_object(L, &mutex_class, sizeof(*mutex));
    list_init(&mutex->waiters);
    return 1;
}

static struct mutex *self_mutex(lua_State *L)
{
    return class_check_self(L, &mutex_class);
}

static bool is_owner(const struct mutex *mutex, const struct fiber *fiber)
{
    return mutex->is_locked && mutex->owner == fiber->id;
}

static void take(struct mutex *mutex, const struct fiber *fiber)
{
    mutex->is_locked = true;
    mutex->owner = fiber->id;
}

/* The next in the queue owns it from now on, whenever it may run. */
static void hand_over(struct mutex *mutex)
{
    struct waiter *waiter = wait_queue_take(&mutex->waiters);
    mutex->is_locked = false;
    if (!waiter)
        return;
    take(mutex, waiter->fiber);
    fiber_wake(waiter->fiber, waiter->fiber->wait_outcome);
}

static int finish_deadlock(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    error_raise_detail(L, error, "this fiber holds it already");
}

static int mutex_lock(lua_State *L)
{
    struct mutex *mutex = self_mutex(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (is_owner(mutex, fiber))
        return call_refuse_as(L, fiber, EDEADLK, finish_deadlock);
    if (mutex->is_locked) {
        fiber->wait_outcome = 0;
        fiber->wait_object = mutex;
        return wait_queue_suspend(L, &mutex->waiters, fiber, &wait_mutex, call_finish_plain);
    }
    take(mutex, fiber);
    return call_done(L, fiber, 0, call_finish_plain);
}

static int mutex_try_lock(lua_State *L)
{
    struct mutex *mutex = self_mutex(L);
    bool is_free = !mutex->is_locked;
    if (is_free)
        take(mutex, current_fiber(L));
    lua_pushboolean(L, is_free);
    return 1;
}

static int mutex_unlock(lua_State *L)
{
    struct mutex *mutex = self_mutex(L);
    if (!is_owner(mutex, current_fiber(L)))
        error_raise_detail(L, EPERM, "this fiber does not hold it");
    hand_over(mutex);
    return 0;
}

static int mutex_tostring(lua_State *L)
{
    const struct mutex *mutex = self_mutex(L);
    if (mutex->is_locked)
        lua_pushfstring(L, "mutex (held by fiber %I)", (LUAI_UACINT)mutex->owner);
    else
        lua_pushliteral(L, "mutex (free)");
    return 1;
}

/* ---- condition_variable ---- */

struct condition_variable {
    struct object object;
    struct list waiters;
};

static struct condition_variable *self_condition(lua_State *L)
{
    return class_check_self(L, &condition_variable_class);
}

/* The wait is over with this outcome; the fiber goes on once it holds the mutex again. */
static void reacquire(struct fiber *fiber, int outcome)
{
    struct mutex *mutex = fiber->wait_object;
    list_remove(&fiber->waiter.link);
    if (!mutex->is_locked) {
        take(mutex, fiber);
        fiber_wake(fiber, outcome);
        return;
    }
    fiber->wait_outcome = outcome;
    fiber->wait = &wait_mutex_again;
    fiber_drop_deadline(fiber); /* it has come, or comes too late to matter */
    list_append(&mutex->waiters, &fiber->waiter.link);
}

static void cancel_condition(struct fiber *fiber)
{
    reacquire(fiber, ECANCELED);
}

static const struct wait_ops wait_condition = {0, cancel_condition, NULL, NULL};

static int condition_new(lua_State *L)
{
    struct condition_variable *condition =
        class_new_object(L, &condition_variable_class, sizeof(*condition));
    list_init(&condition->waiters);
    return 1;
}

static int condition_wait(lua_State *L)
{
    struct condition_variable *condition = self_condition(L);
    struct mutex *mutex = class_check(L, 2, &mutex_class, "mutex");
    if (!is_owner(mutex, current_fiber(L)))
        error_raise_detail(L, EPERM, "this fiber does not hold the mutex");
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (!call_can_wait(L, fiber))
        return call_refuse(L, fiber, call_finish_plain);
    hand_over(mutex);
    fiber->wait_object = mutex;
    return wait_queue_suspend(L, &condition->waiters, fiber, &wait_condition, call_finish_plain);
}

static bool notify(struct condition_variable *condition)
{
    if (list_is_empty(&condition->waiters))
        return false;
    reacquire(wait_queue_first(&condition->waiters)->fiber, 0);
    return true;
}

static int condition_notify_one(lua_State *L)
{
    notify(self_condition(L));
    return 0;
}

static int condition_notify_all(lua_State *L)
{
    struct condition_variable *condition = self_condition(L);
    while (notify(condition))
        ;
    return 0;
}

/* ---- semaphore ---- */

struct semaphore {
    struct object object;
    lua_Integer count;
    struct list waiters;
};

static const struct wait_ops wait_semaphore = {0, wait_queue_cancel, NULL, NULL};

static struct semaphore *self_semaphore(lua_State *L)
{
    return class_check_self(L, &semaphore_class);
}

static int semaphore_new(lua_State *L)
{
    lua_Integer count = args_integer(L, 1, "count", 0, INT_MAX);
    struct semaphore *semaphore = class_new_object(L, &semaphore_class, sizeof(*semaphore));
    semaphore->count = count;
    list_init(&semaphore->waiters);
    return 1;
}

static int semaphore_acquire(lua_State *L)
{
    struct semaphore *semaphore = self_semaphore(L);
    struct fiber *fiber = call_begin(L, class_runtime(L));
    if (semaphore->count == 0)
        return wait_queue_suspend(L, &semaphore->waiters, fiber, &wait_semaphore,
                                  call_finish_plain);
    semaphore->count--;
    return call_done(L, fiber, 0, call_finish_plain);
}

static bool attempt_acquire(lua_State *L, struct choice *choice, int *outcome)
{
    struct semaphore *semaphore = choice->object;
    bool has_one = semaphore->count > 0;
    (void)L;
    (void)outcome;
    semaphore->count -= has_one;
    return has_one;
}

static struct list *acquire_queue(const struct choice *choice)
{
    return &((struct semaphore *)choice->object)->waiters;
}

const struct choice_ops choice_semaphore = {
    .name = "semaphore.acquire", .attempt = attempt_acquire, .queue = acquire_queue};

static int semaphore_try_acquire(lua_State *L)
{
    struct semaphore *semaphore = self_semaphore(L);
    bool has_one = semaphore->count > 0;
    semaphore->count -= has_one;
    lua_pushboolean(L, has_one);
    return 1;
}

static int semaphore_release(lua_State *L)
{
    struct semaphore *semaphore = self_semaphore(L);
    lua_Integer more = args_integer_or(L, 2, "n", 1, INT_MAX, 1);
    if (semaphore->count > INT_MAX - more)
        error_raise_detail(L, EOVERFLOW, "the count would pass %d", INT_MAX);
    semaphore->count += more;
    while (semaphore->count > 0 && !list_is_empty(&semaphore->waiters)) {
        semaphore->count--;
        fiber_wake(wait_queue_take(&semaphore->waiters)->fiber, 0);
    }
    return 0;
}

static int get_count(lua_State *L)
{
    lua_pushinteger(L, self_semaphore(L)->count);
    return 1;
}

/* ---- opening ---- */

static const struct function_row mutex_methods[] = {
    {"lock", mutex_lock}, {"try_lock", mutex_try_lock}, {"unlock", mutex_unlock}, {0}};
static const struct function_row mutex_metamethods[] = {{"__tostring", mutex_tostring}, {0}};
static const struct function_row mutex_functions[] = {{"new", mutex_new}, {0}};

static const struct function_row condition_methods[] = {{"wait", condition_wait},
                                                        {"notify_one", condition_notify_one},
                                                        {"notify_all", condition_notify_all},
                                                        {0}};
static const struct function_row condition_functions[] = {{"new", condition_new}, {0}};

static const struct function_row semaphore_methods[] = {{"acquire", semaphore_acquire},
                                                        {"try_acquire", semaphore_try_acquire},
                                                        {"release", semaphore_release},
                                                        {0}};
static const struct property_row semaphore_properties[] = {{"count", get_count, NULL}, {0}};
static const struct function_row semaphore_functions[] = {{"new", semaphore_new}, {0}};

static int open_class(lua_State *L, struct runtime *runtime, const struct class *id,
                      const struct class_rows *rows, const struct function_row *functions)
{
    class_open(L, class_get(L, runtime, id), rows);
    lua_newtable(L);
    class_set_functions(L, class_get(L, runtime, id), functions);
    return 1;
}

int mutex_open(lua_State *L, struct runtime *runtime)
{
    const struct class_rows rows = {.methods = mutex_methods, .metamethods = mutex_metamethods};
    return open_class(L, runtime, &mutex_class, &rows, mutex_functions);
}

int condition_variable_open(lua_State *L, struct runtime *runtime)
{
    const struct class_rows rows = {.methods = condition_methods};
    return open_class(L, runtime, &condition_variable_class, &rows, condition_functions);
}

int semaphore_open(lua_State *L, struct runtime *runtime)
{
    const struct class_rows rows = {.methods = semaphore_methods,
                                    .properties = semaphore_properties};
    return open_class(L, runtime, &semaphore_class, &rows, semaphore_functions);
}
