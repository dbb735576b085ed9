/* SPDX-License-Identifier: BSL-1.0 */
/* The objects of the module socket: LuaSocket's, each over a socket of ours.
 *
 * What such an object is changes in its life: a tcp{master} that connects becomes a tcp{client}.
 * All of a kind have the same methods; the metatable, which the Lua part has made
 * (lua/thrum/socket.lua), shows the state, and each method says in which states it can be called.
 * Their calls return nil and a text where others raise. */
#ifndef BIND_LUASOCKET_LUASOCKET_H
#define BIND_LUASOCKET_LUASOCKET_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include <thrum/error.h>
#include <thrum/timer.h>

#include "base/list.h"
#include "bind/socket/transfer.h"
#include "bind/stream/read_buffer.h"
#include "bind/value/class.h"

/* The states: a stream's, then a datagram socket's. */
enum luasocket_state {
    LUASOCKET_MASTER = 1,
    LUASOCKET_CLIENT = 2,
    LUASOCKET_SERVER = 4,
    LUASOCKET_UNCONNECTED = 8,
    LUASOCKET_CONNECTED = 16,
    LUASOCKET_ANY = 31
};

/* What a call asks of a stream. */
struct luasocket_call {
    int64_t start_ns;
    size_t done;  /* bytes sent, or looked at */
    size_t first; /* of a send: where the string's part begins */
    size_t size;  /* of that part; or how many bytes are to be received */
    enum { PATTERN_LINE, PATTERN_ALL, PATTERN_COUNT } pattern;
};

/* One direction of a stream: a call goes through it at a time, the others queue. While it runs even
 * a finalizer's has to: DIRECTION_RUNNING. */
struct luasocket_direction {
    struct list queue;
    enum { DIRECTION_FREE, DIRECTION_RUNNING, DIRECTION_IN_FIBER, DIRECTION_OUTSIDE } in_use;
    lua_Integer total; /* bytes taken or sent, unless setstats says otherwise */
    struct luasocket_call call;
};

struct luasocket {
    struct object object;
    const struct class *class;
    struct runtime *runtime;
    struct socket *socket; /* it stands in the user value */
    enum luasocket_state state;
    int family;         /* AF_UNSPEC until it is known */
    int wanted_fd;      /* that another object has to let go of first; or -1 */
    bool is_connecting; /* a connect has timed out */
    /* Seconds, negative for no limit: of one wait, and of a call. */
    double block_timeout, total_timeout;
    int64_t born_ns;
    double age; /* that setstats has added */
    struct luasocket_direction receiving, sending;
    struct read_buffer read_buffer; /* of a stream */
    struct thrum_address last_sender;
    bool has_last_sender;
};

/* Places in the table that is the user value. */
enum {
    LUASOCKET_SOCKET = 1,
    LUASOCKET_BLOCK,
    LUASOCKET_SENDER,
    LUASOCKET_N_PLACES = LUASOCKET_SENDER
};

/* The kinds of objects. */
enum { LUASOCKET_N_KINDS = 4 };
struct luasocket_kind {
    const struct class *class;
    const struct class *socket; /* the class of what is behind it */
    const char *name;
};
extern const struct luasocket_kind luasocket_kinds[LUASOCKET_N_KINDS];
int luasocket_kind_of(const struct class *class);
/* Where the metatable of a kind in a state stands in the registry. */
const char *luasocket_metatable_key(int kind, enum luasocket_state state);

/* Self, in one of these states; else an error as LuaSocket raises it. */
struct luasocket *luasocket_self(lua_State *L, unsigned states);

/* Push a new object of that kind: one of the classes. */
struct luasocket *luasocket_push(lua_State *L, struct runtime *runtime, const struct class *class,
                                 enum luasocket_state state, int family);
/* Change the state of the object at `index`. */
void luasocket_set_state(lua_State *L, int index, enum luasocket_state state);

/* Make a descriptor unless there is one. */
int luasocket_open(struct luasocket *luasocket, int family);

/* Take a descriptor over. While it is another object's (EEXIST), nothing can wait for it here: then
 * it is wanted. */
int luasocket_adopt(struct luasocket *luasocket, int fd);

static inline bool luasocket_is_open(const struct luasocket *luasocket)
{
    return luasocket->socket->core && thrum_socket_is_open(luasocket->socket->core);
}

/* ---- results: luasocket_error.c, the one place that knows LuaSocket's texts ---- */

/* Push nil and the text of `error`; returns 2. What is no failure of the call but is about its
 * fiber (an interruption, the end of a time.with_timeout round it) is raised. */
int luasocket_push_failure(lua_State *L, struct fiber *fiber, int error);
/* Push the text alone. */
void luasocket_push_text(lua_State *L, int error);
/* For transfers, where a socket that is closed counts as closed. */
static inline int luasocket_transfer_error(int error)
{
    return error == EBADF || error == ECANCELED ? THRUM_EEOF : error;
}
/* Push 1, or what luasocket_push_failure does. */
int luasocket_push_result(lua_State *L, struct fiber *fiber, int error);

/* ---- waits ---- */

/* As call_begin; and no time.with_timeout round this call has ended a wait of it yet, whatever it
 * was with the fiber's call before. */
static inline struct fiber *luasocket_begin(lua_State *L, struct runtime *runtime)
{
    struct fiber *fiber = call_begin(L, runtime);
    fiber->has_scope_expired = false;
    return fiber;
}
/* When a call begins: 0 if nobody will ask. */
static inline int64_t luasocket_start_ns(const struct luasocket *luasocket)
{
    return luasocket->total_timeout < 0 ? 0 : thrum_steady_clock_now_ns();
}
/* Seconds as LuaSocket takes them: nil and negative numbers are for ever, and so is NaN. */
double luasocket_opt_seconds(lua_State *L, int arg);
/* Whether there is time for a wait, in a call that has begun at `start_ns`; and until when. */
bool luasocket_may_wait(const struct luasocket *luasocket, int64_t start_ns, int64_t *deadline_ns);
/* Whether a call may end without a wait. A try that answers EAGAIN may not have asked the system at
 * all, because starting an operation asks as well: who may not start one has to try again. */
static inline bool luasocket_is_impatient(const struct luasocket *luasocket)
{
    return luasocket->block_timeout == 0 || luasocket->total_timeout >= 0;
}
/* Wait for the fiber's operation. */
int luasocket_suspend(lua_State *L, struct fiber *fiber, int64_t deadline_ns, call_finish *finish);
/* Ask, in a call that has begun at `start_ns`, by the luasocket's own rules: 0, EAGAIN and until
 * when to wait, or an error. */
int luasocket_try(const struct luasocket *luasocket, struct fiber *fiber, enum transfer_type type,
                  int64_t start_ns, int64_t *deadline_ns);
/* Start what has been tried, and wait for it. */
int luasocket_wait(lua_State *L, struct fiber *fiber, enum transfer_type type, int64_t deadline_ns,
                   call_finish *finish);
/* Both. */
int luasocket_run(lua_State *L, const struct luasocket *luasocket, struct fiber *fiber,
                  enum transfer_type type, int64_t start_ns, call_finish *finish);

/* ---- rows ---- */

extern const struct function_row luasocket_stream_methods[];   /* luasocket_stream.c */
extern const struct function_row luasocket_datagram_methods[]; /* luasocket_datagram.c */
extern const struct function_row luasocket_unix_methods[];     /* luasocket_datagram.c */
extern const struct function_row luasocket_server_methods[];   /* luasocket_connect.c */
extern const struct function_row luasocket_connect_internal_functions[];
extern const struct function_row luasocket_wait_internal_functions[]; /* luasocket_wait.c */
/* luasocket_datagram.c: what all its objects share. */
void luasocket_open_buffers(lua_State *L);
/* luasocket_select.c: so many objects at most, as many as Linux lets a process have descriptors. */
enum { LUASOCKET_MAX_SELECTED = 1048576 };
int luasocket_select(lua_State *L);
/* The descriptor is being closed: a select that waits for it among others finds it closed. */
void luasocket_select_closing(lua_State *L, int fd);
/* The same from Lua, for objects of others: internal.select_closing(fd) */
int internal_select_closing(lua_State *L);

#endif
