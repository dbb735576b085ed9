/* SPDX-License-Identifier: BSL-1.0 */
/* Flows: calls that read from or write to a stream in as many steps as it takes.
 *
 * The stream is a socket of ours, whose core is asked directly, or any object that has read_some or
 * write_some, which is called and may suspend. What has been done so far stands in the flow, a
 * userdata at index 1 of the caller's stack: nothing is lost when a step fails. */
#ifndef BIND_STREAM_MULTI_STEP_H
#define BIND_STREAM_MULTI_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "bind/fiber/fiber.h"
#include "bind/value/class.h"

struct flow;
struct runtime;
struct socket;

/* An error value stands on the top of the stack. */
enum { FLOW_RAISED = -1 };

struct flow_kind {
    const char *method; /* of the stream, for a step */
    bool is_write;
    /* What next? 0: the call is done; EAGAIN: a step with `data` and `size`, which are set then and
     * not empty; else the error to end with, or FLOW_RAISED. */
    int (*next)(lua_State *L, struct flow *flow);
    /* A step has ended, with so many bytes or an error: 0 to go on, or the error to end with. Asks
     * for no memory. */
    int (*moved)(struct flow *flow, int error, size_t size);
    /* Push the results, or raise what flow_push_error has pushed. */
    int (*finish)(lua_State *L, struct flow *flow, int error);
};

/* Who is inside, so that nobody else comes in. */
enum flow_state { FLOW_FREE, FLOW_IN_FIBER, FLOW_OUTSIDE, FLOW_CALLING };

struct flow {
    struct object object;
    const struct flow_kind *kind;
    struct runtime *runtime;
    struct socket *socket; /* NULL: another object */
    unsigned char *data;   /* of the step under way */
    size_t size;
    enum flow_state state;
};

/* Places in the table that is the flow's user value. Transfers of sockets have none. */
enum { FLOW_STREAM = 1, FLOW_SPAN, FLOW_N_PLACES = 3 }; /* the stream; the span of `data` */

/* Check that the value at `arg` is a stream with that method: returns the socket, or NULL for
 * another object. */
struct socket *flow_check_stream(lua_State *L, int arg, const char *method);

/* Whether a call of another fiber is under way in it. */
bool flow_is_busy(const struct flow *flow);

/* The call: begin, and take steps until it is done. */
int flow_run(lua_State *L, struct flow *flow);

/* Push the error to raise; an error object gets a `length` unless it has one. */
void flow_push_error(lua_State *L, int error, size_t length);

#endif
