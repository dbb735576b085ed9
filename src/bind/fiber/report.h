/* SPDX-License-Identifier: BSL-1.0 */
/* Reports: what a fiber died of, for those who cannot join it, and for those who do not. */
#ifndef BIND_FIBER_REPORT_H
#define BIND_FIBER_REPORT_H

#include <stdbool.h>

#include <lua.h>

#include "bind/fiber/fiber.h"

struct runtime;

/* ---- what is known of a dead fiber ---- */

/* Keep its name and, after an error, its traceback, while its stack still stands, for its handle
 * and for the report. The fiber that joins it is woken whether or not there is memory for that. */
void report_keep_end(lua_State *L, struct fiber *fiber);

/* Push a table for them, with the name. */
void report_push_end(lua_State *L, const char *name);
/* Have that table, on the top and popped, take what is kept of the end of a fiber that runs on.
 * Runs no finalizer. */
void report_share_end(lua_State *L, struct fiber *fiber);

/* Push the name, or the traceback, or nil. `end`: the index of that table, or of another value. */
void report_push_end_name(lua_State *L, int end);
void report_push_end_traceback(lua_State *L, int end);

/* The error on the top of L comes out of a join of `dead`: should the running fiber die of it, the
 * report of that shows both tracebacks. */
void report_note_origin(lua_State *L, struct fiber *dead);

/* ---- reporting ---- */

/* It has died of an error and can still be joined: if nobody does within a second, it is reported.
 */
void report_expect(struct fiber *fiber);

/* Report who can be joined by nobody any more, and who has waited for a second. */
void report_due(lua_State *L, struct runtime *runtime);
/* Report also those who could still be joined. `is_over`: nobody is going to. */
void report_all(lua_State *L, struct runtime *runtime, bool is_over);
/* The state is being closed: the same, and whether anybody has waited in vain for a first run. */
void report_close(lua_State *L, struct runtime *runtime);

/* Give the reporter the error value on the top, which stays there: it is raised to nobody. */
void report_error(lua_State *L, struct runtime *runtime);

/* Without a reporter: push the oldest error that is due; false if there is none. */
bool report_take(lua_State *L, struct runtime *runtime);

/* For runtime_new and runtime_end. */
void report_init(struct runtime *runtime);
void report_deinit(struct runtime *runtime);

/* ---- the reporter ---- */

/* Set it to the value on the top, popped: a function, false for silence, nil for the default. */
void report_set_reporter(lua_State *L, struct runtime *runtime);
/* Push it, a function; false and nothing where the errors are for the C program that drives. */
bool report_push_reporter(lua_State *L, const struct runtime *runtime);

/* Push the error value at `index` as text, whatever it is. May run its __tostring. */
const char *report_push_message(lua_State *L, int index);

#endif
