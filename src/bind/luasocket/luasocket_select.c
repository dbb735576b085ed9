/* SPDX-License-Identifier: BSL-1.0 */
/* socket.select: any number of sockets and of other objects that have a descriptor.
 *
 * The system is asked at once, with poll(2). Only if nothing is ready a set of the descriptors is
 * made that can itself be waited for, by the loop, and the system is asked again when it is
 * readable. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#include <thrum/descriptor.h>
#include <thrum/error.h>

#include "base/descriptor.h"
#include "bind/fiber/call.h"
#include "bind/fiber/runtime.h"
#include "bind/luasocket/classes.h"
#include "bind/luasocket/luasocket.h"
#include "bind/luasocket/open.h"
#include "bind/value/error.h"

enum { ARG_RECEIVERS = 1, ARG_SENDERS, ARG_TIMEOUT, PLACE_WATCH, PLACE_ITEMS, PLACE_POLLED };

/* What is waited for; its owner, should the state close meanwhile. */
struct watch {
    struct object object;
    struct runtime *runtime;
    struct list link;    /* in the runtime's list, while it waits */
    struct fiber *fiber; /* that waits */
    struct pollfd *polled;
    thrum_descriptor *descriptor; /* of the set; NULL: none yet */
    size_t n_receivers;           /* of those that are polled: they come first */
    size_t n;
    int64_t deadline_ns;
};

/* Without events an item is ready, whatever the system says. */
static const struct pollfd ready_item = {-1, 0, 0};

/* ---- what is asked for ---- */

static void free_descriptor(struct watch *watch)
{
    thrum_descriptor *descriptor = watch->descriptor;
    watch->descriptor = NULL;
    thrum_descriptor_free(descriptor);
}

static void stop_waiting(struct watch *watch)
{
    if (!watch->fiber)
        return;
    watch->fiber = NULL;
    list_remove(&watch->link);
}

static int watch_gc(lua_State *L)
{
    struct watch *watch = class_test(L, 1, &luasocket_watch_class);
    if (!watch)
        return 0;
    stop_waiting(watch);
    free_descriptor(watch);
    return 0;
}

/* Those with that descriptor are ready from now on, and it may become somebody else's. */
static bool forget_descriptor(struct watch *watch, int fd)
{
    bool has_it = false;
    for (size_t i = 0; i < watch->n; i++) {
        if (watch->polled[i].fd != fd)
            continue;
        watch->polled[i] = ready_item;
        has_it = true;
    }
    return has_it;
}

/* Where the list of what selects wait for, in all fibers, stands in the registry. */
static const char watches_key;

static struct list *watches_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &watches_key);
    struct list *watches = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return watches;
}

void luasocket_select_closing(lua_State *L, int fd)
{
    const struct list *watches = watches_of(L);
    for (struct list *node = watches->next; node != watches; node = node->next) {
        struct watch *watch = LIST_ITEM(node, struct watch, link);
        if (forget_descriptor(watch, fd))
            thrum_operation_cancel(&watch->fiber->operation);
    }
}

int internal_select_closing(lua_State *L)
{
    lua_Number fd = luaL_checknumber(L, 1);
    if (fd >= 0 && fd <= INT_MAX)
        luasocket_select_closing(L, (int)fd);
    return 0;
}

void luasocket_select_open(lua_State *L, struct runtime *runtime)
{
    list_init(lua_newuserdata(L, sizeof(struct list)));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &watches_key);
    static const struct function_row metamethods[] = {{"__gc", watch_gc}, {0}};
    class_open(L, class_get(L, runtime, &luasocket_watch_class),
               &(struct class_rows){.metamethods = metamethods});
}

/* Push the answer of the object on the top to a method without arguments, or nil if it has none. */
static void ask(lua_State *L, const char *method)
{
    if (lua_getfield(L, -1, method) == LUA_TNIL)
        return;
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
}

/* The descriptor of the object on the top; -1: it has none, or is closed. */
static int descriptor_of(lua_State *L)
{
    const struct luasocket *luasocket = class_test(L, -1, &luasocket_class);
    if (luasocket)
        return luasocket_is_open(luasocket) ? thrum_socket_native_handle(luasocket->socket->core)
                                            : -1;
    int type = lua_type(L, -1);
    if (type != LUA_TTABLE && type != LUA_TUSERDATA)
        return -1;
    ask(L, "getfd");
    double fd = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

/* Whether it has received already what nobody has taken. */
static bool is_dirty(lua_State *L)
{
    const struct luasocket *luasocket = class_test(L, -1, &luasocket_class);
    if (luasocket)
        return read_buffer_count(&luasocket->read_buffer) > 0;
    ask(L, "dirty");
    bool is_it = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_it;
}

static struct pollfd *polled(lua_State *L)
{
    return lua_touserdata(L, PLACE_POLLED);
}

/* Room for one more. */
static struct pollfd *grow(lua_State *L, const struct watch *watch)
{
    size_t size = lua_rawlen(L, PLACE_POLLED), needed = (watch->n + 1) * sizeof(struct pollfd);
    if (needed > size) {
        void *more = lua_newuserdata(L, 2 * needed);
        if (watch->n > 0)
            memcpy(more, polled(L), watch->n * sizeof(struct pollfd));
        lua_replace(L, PLACE_POLLED);
    }
    return polled(L);
}

/* Note the object on the top, and pop it. */
static void add(lua_State *L, struct watch *watch, short events)
{
    int fd = descriptor_of(L);
    if (fd < 0) {
        lua_pop(L, 1);
        return;
    }
    if (watch->n == LUASOCKET_MAX_SELECTED)
        luaL_error(L, "descriptor too large for set size");
    bool has_data = events == POLLIN && is_dirty(L);
    struct pollfd *list = grow(L, watch);
    lua_rawseti(L, PLACE_ITEMS, (lua_Integer)++watch->n);
    list[watch->n - 1] = (struct pollfd){fd, has_data ? 0 : events, 0};
}

static void add_all(lua_State *L, struct watch *watch, int arg, short events)
{
    if (lua_isnoneornil(L, arg))
        return;
    for (lua_Integer i = 1; lua_geti(L, arg, i) != LUA_TNIL; i++)
        add(L, watch, events);
    lua_pop(L, 1);
}

/* ---- asking ---- */

/* How many are ready. */
static int ask_system(lua_State *L, const struct watch *watch)
{
    int count;
    do
        count = poll(polled(L), (nfds_t)watch->n, 0);
    while (count < 0 && errno == EINTR);
    return count;
}

static bool is_ready(const struct pollfd *item)
{
    if (item->events == 0)
        return true;
    if (item->revents & POLLNVAL) /* closed meanwhile, or never open */
        return false;
    /* A set tells of hang-ups whether or not it is asked: what they do not count for would wake its
     * waiter again and again. */
    return (item->revents & (item->events | POLLHUP | POLLERR)) != 0;
}

static size_t count_ready(lua_State *L, const struct watch *watch)
{
    const struct pollfd *list = polled(L);
    size_t count = 0;
    for (size_t i = 0; i < watch->n; i++)
        count += is_ready(&list[i]);
    return count;
}

/* Whether the object on the top has a number in the list below it. */
static bool is_listed(lua_State *L)
{
    lua_pushvalue(L, -1);
    bool is_it = lua_rawget(L, -3) != LUA_TNIL;
    lua_pop(L, 1);
    return is_it;
}

/* Push the list of those that are ready, from `first` to before `end`: by number, and each object
 * with its number. What is given twice comes once, but those with data in their buffer come as
 * often as they are given: LuaSocket finds these by object, the others by descriptor. */
static void push_ready(lua_State *L, size_t first, size_t end)
{
    const struct pollfd *list = polled(L);
    lua_Integer count = 0;
    lua_newtable(L);
    for (int pass = 0; pass < 2; pass++) /* dirty ones come first */
        for (size_t i = first; i < end; i++) {
            if (!is_ready(&list[i]) || (list[i].events == 0) != (pass == 0))
                continue;
            lua_rawgeti(L, PLACE_ITEMS, (lua_Integer)i + 1);
            if (pass == 1 && is_listed(L)) {
                lua_pop(L, 1);
                continue;
            }
            lua_pushvalue(L, -1);
            lua_rawseti(L, -3, ++count);
            lua_pushinteger(L, count);
            lua_rawset(L, -3);
        }
}

static int answer(lua_State *L, const struct watch *watch)
{
    push_ready(L, 0, watch->n_receivers);
    push_ready(L, watch->n_receivers, watch->n);
    if (count_ready(L, watch) > 0)
        return 2;
    luasocket_push_text(L, ETIMEDOUT);
    return 3;
}

/* ---- waiting ---- */

/* A set of them is readable when one of them is ready. */
static int make_set(lua_State *L, struct watch *watch)
{
    int fd;
    int error = descriptor_set(polled(L), watch->n, &fd);
    if (error)
        return error;
    error = thrum_descriptor_new(watch->runtime->context, fd, &watch->descriptor);
    descriptor_close(fd);
    return error;
}

static const struct wait_ops wait_select = {WAIT_EXTERNAL, fiber_cancel_operation, NULL, NULL};

/* The item as an object of ours, or NULL. */
static struct luasocket *luasocket_of(lua_State *L, size_t i)
{
    lua_rawgeti(L, PLACE_ITEMS, (lua_Integer)i + 1);
    struct luasocket *luasocket = class_test(L, -1, &luasocket_class);
    lua_pop(L, 1);
    return luasocket;
}

static int start_waiting(lua_State *L, struct watch *watch, struct fiber *fiber)
{
    const struct pollfd *list = polled(L);
    struct luasocket *only = watch->n == 1 ? luasocket_of(L, 0) : NULL;
    int error = watch->deadline_ns == NO_DEADLINE ? 0 : deadline_prepare(fiber);
    if (!error && only)
        return thrum_socket_wait(only->socket->core, &fiber->operation,
                                 list->events == POLLIN ? THRUM_WAIT_READ : THRUM_WAIT_WRITE);
    if (!error && !watch->descriptor)
        error = make_set(L, watch);
    return error ? error : thrum_descriptor_wait(watch->descriptor, &fiber->operation);
}

static void start_or_raise(lua_State *L, struct watch *watch, struct fiber *fiber)
{
    int error = start_waiting(L, watch, fiber);
    if (error) {
        free_descriptor(watch);
        error_raise(L, error);
    }
    watch->polled = polled(L);
    watch->fiber = fiber;
    list_append(watches_of(L), &watch->link);
    fiber->has_scope_expired = false;
}

/* What others have closed meanwhile counts as ready: to use it does not wait. */
static void notice_closed(lua_State *L, const struct watch *watch)
{
    struct pollfd *list = polled(L);
    for (size_t i = 0; i < watch->n; i++) {
        const struct luasocket *luasocket = luasocket_of(L, i);
        if (luasocket && !luasocket_is_open(luasocket))
            list[i] = ready_item;
    }
}

/* Whether a wait that has ended with `*error` was for nothing: somebody else was faster. Then the
 * fiber may have been interrupted since it was woken, and that is the error. */
static bool is_in_vain(lua_State *L, struct watch *watch, struct fiber *fiber, int *error)
{
    stop_waiting(watch);
    notice_closed(L, watch);
    ask_system(L, watch);
    size_t count = count_ready(L, watch);
    if (*error == ECANCELED && count > 0)
        *error = 0;
    if (*error || count > 0)
        return false;
    *error = call_take_error(L, fiber);
    fiber->has_scope_expired = *error == ETIMEDOUT;
    return *error == 0;
}

static int end_select(lua_State *L, struct watch *watch, const struct fiber *fiber, int error)
{
    free_descriptor(watch);
    if (error && (error != ETIMEDOUT || fiber->has_scope_expired))
        error_raise(L, error);
    return answer(L, watch);
}

static int finish_select(lua_State *L, struct fiber *fiber, int error)
{
    struct watch *watch = lua_touserdata(L, PLACE_WATCH);
    if (!is_in_vain(L, watch, fiber, &error))
        return end_select(L, watch, fiber, error);
    start_or_raise(L, watch, fiber);
    return call_suspend(L, fiber, &wait_select, watch->deadline_ns, finish_select);
}

/* Outside any fiber one wait after the other returns: were each inside the one before, a busy
 * neighbor could have the C stack overflow. */
static int wait_for_some(lua_State *L, struct watch *watch, struct fiber *fiber)
{
    int error;
    if (!call_returns(L, fiber)) {
        start_or_raise(L, watch, fiber);
        return call_suspend(L, fiber, &wait_select, watch->deadline_ns, finish_select);
    }
    do {
        start_or_raise(L, watch, fiber);
        error = call_suspend(L, fiber, &wait_select, watch->deadline_ns, call_note);
    } while (is_in_vain(L, watch, fiber, &error));
    return end_select(L, watch, fiber, error);
}

/* Without anything to wait for. */
static int finish_sleep(lua_State *L, struct fiber *fiber, int error)
{
    (void)fiber;
    if (error)
        error_raise(L, error);
    return answer(L, lua_touserdata(L, PLACE_WATCH));
}

static int sleep_until(lua_State *L, struct fiber *fiber, int64_t deadline_ns)
{
    int error = fiber_start_timer(fiber, deadline_ns);
    if (error)
        error_raise(L, error);
    return call_suspend(L, fiber, &wait_operation, NO_DEADLINE, finish_sleep);
}

static void check_list(lua_State *L, int arg)
{
    if (!lua_isnoneornil(L, arg))
        luaL_checktype(L, arg, LUA_TTABLE);
}

static struct watch *push_watch(lua_State *L)
{
    struct runtime *runtime = class_runtime(L);
    struct watch *watch = class_new_object(L, &luasocket_watch_class, sizeof(*watch));
    watch->runtime = runtime;
    lua_newtable(L);
    lua_newuserdata(L, 4 * sizeof(struct pollfd));
    return watch;
}

static int ask_first(lua_State *L, struct watch *watch, struct fiber *fiber)
{
    ask_system(L, watch);
    if (luasocket_opt_seconds(L, ARG_TIMEOUT) == 0 || count_ready(L, watch) > 0)
        return answer(L, watch);
    if (watch->n > 0)
        return wait_for_some(L, watch, fiber);
    return sleep_until(L, fiber, watch->deadline_ns);
}

static int ask_after_others(lua_State *L, struct fiber *fiber, int error)
{
    struct watch *watch = lua_touserdata(L, PLACE_WATCH);
    error = call_take_error(L, fiber);
    if (error)
        error_raise(L, error);
    notice_closed(L, watch);
    return ask_first(L, watch, fiber);
}

/* internal.select(receivers, senders, timeout) */
int luasocket_select(lua_State *L)
{
    lua_settop(L, ARG_TIMEOUT);
    check_list(L, ARG_RECEIVERS);
    check_list(L, ARG_SENDERS);
    double seconds = luasocket_opt_seconds(L, ARG_TIMEOUT);
    struct watch *watch = push_watch(L);
    watch->deadline_ns = seconds < 0 ? NO_DEADLINE : call_deadline_after(seconds);
    add_all(L, watch, ARG_RECEIVERS, POLLIN);
    watch->n_receivers = watch->n;
    add_all(L, watch, ARG_SENDERS, POLLOUT);
    struct fiber *fiber = luasocket_begin(L, watch->runtime);
    if (call_is_due(fiber)) /* who asks again and again, without a wait, must not starve others */
        return call_yield(L, fiber, 0, ask_after_others);
    return ask_first(L, watch, fiber);
}
