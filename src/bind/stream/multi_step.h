/* SPDX-License-Identifier: BSL-1.0 */
/* Transfers of many steps: calls that read from or write to a stream in as many steps as it takes.
 *
 * The stream is a socket of ours, whose core is asked directly, or any object that has read_some or
 * write_some, which is called and may suspend. What has been done so far stands in the steps, a
 * userdata at index 1 of the caller's stack: nothing is lost when a step fails. */
#ifndef BIND_STREAM_MULTI_STEP_H
#define BIND_STREAM_MULTI_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "bind/fiber/fiber.h"
#include "bind/value/class.h"

struct multi_step;
struct runtime;
struct socket;

/* An error value stands on the top of the stack. */
enum { MULTI_STEP_RAISED = -1 };

struct multi_step_ops {
    const char *method; /* of the stream, for a step */
    bool is_write;
    /* What next? 0: the call is done; EAGAIN: a step with `data` and `size`, which are set then and
     * not empty; else the error to end with, or MULTI_STEP_RAISED. */
    int (*next)(lua_State *L, struct multi_step *steps);
    /* A step has ended, with so many bytes or an error: 0 to go on, or the error to end with. Asks
     * for no memory. */
    int (*moved)(struct multi_step *steps, int error, size_t size);
    /* Push the results, or raise what multi_step_push_error has pushed. */
    int (*finish)(lua_State *L, struct multi_step *steps, int error);
};

/* Who is inside, so that nobody else comes in. */
enum multi_step_state {
    MULTI_STEP_FREE,
    MULTI_STEP_IN_FIBER,
    MULTI_STEP_OUTSIDE,
    MULTI_STEP_CALLING
};

struct multi_step {
    struct object object;
    const struct multi_step_ops *ops;
    struct runtime *runtime;
    struct socket *socket; /* NULL: another object */
    unsigned char *data;   /* of the step under way */
    size_t size;
    enum multi_step_state state;
};

/* Places in the table that is the steps's user value. Transfers of sockets have none. */
enum {
    MULTI_STEP_STREAM = 1,
    MULTI_STEP_SPAN,
    MULTI_STEP_N_PLACES = 3
}; /* the stream; the span of `data` */

/* Check that the value at `arg` is a stream with that method: returns the socket, or NULL for
 * another object. */
struct socket *multi_step_check_stream(lua_State *L, int arg, const char *method);

/* Whether a call of another fiber is under way in it. */
bool multi_step_is_busy(const struct multi_step *steps);

/* The call: begin, and take steps until it is done. */
int multi_step_run(lua_State *L, struct multi_step *steps);

/* Push the error to raise; an error object gets a `length` unless it has one. */
void multi_step_push_error(lua_State *L, int error, size_t length);

#endif
