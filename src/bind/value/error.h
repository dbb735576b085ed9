/* SPDX-License-Identifier: BSL-1.0 */
/* Error objects: what native functions raise. */
#ifndef BIND_VALUE_ERROR_H
#define BIND_VALUE_ERROR_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include <lua.h>

#include <thrum/address.h>
#include <thrum/error.h>

struct class_state;
struct runtime;

void error_open(lua_State *L, struct runtime *runtime);

/* Push an error object for `error`; `op` is the running function's name. */
void error_push(lua_State *L, int error);
/* The same where no function of ours is running; `op` may be NULL. */
void error_push_from(lua_State *L, int error, const char *op);
/* Set `where` of the error object on the top: which line of a script has called. */
void error_set_where(lua_State *L);
/* Set a field of the error object on the top; for an endpoint address and port, or path. */
void error_set_detail(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_set_endpoint(lua_State *L, const struct thrum_endpoint *endpoint);

/* Raise `error`, plain. */
noreturn void error_raise(lua_State *L, int error);
/* Raise `error` with a detail: printf's formats. */
noreturn void error_raise_detail(lua_State *L, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Raise `error` about argument `arg`: "argument 3 (port): ... expected, got ...". */
noreturn void error_raise_arg(lua_State *L, int error, int arg, const char *name,
                              const char *expected);
/* The same in other words: "argument 3 (fds): ...". */
noreturn void error_raise_arg_detail(lua_State *L, int error, int arg, const char *name,
                                     const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Raise EINVAL about a part of argument `arg`, the value at `index`: "argument 1 (extra_fds[3]):
 * ... expected, got ...". */
noreturn void error_raise_part(lua_State *L, int arg, int index, const char *part,
                               const char *expected);
/* Raise EINVAL about argument `arg` of `op`, a function written in Lua; what came stands at
 * `index`.
 */
noreturn void error_raise_arg_of(lua_State *L, const char *op, int index, int arg, const char *name,
                                 const char *expected);
/* Raise `error` about an endpoint. */
noreturn void error_raise_endpoint(lua_State *L, int error, const struct thrum_endpoint *endpoint);

/* The name of the code of the error object at `index`; NULL: it has none, or is no error. */
const char *error_name(lua_State *L, int index);
/* The error of that name: a POSIX one, or one of our own conditions. 0: there is none. */
int error_by_name(const char *name);

/* Whether the value at `index` is an error object; the one for `error`; the interruption. */
bool error_test(lua_State *L, int index);
bool error_is(lua_State *L, int index, int error);
int error_is_interruption(lua_State *L, int index);

/* Add the string methods to the table on the top, and __len to the metatable there. */
void error_string_add_methods(lua_State *L, struct class_state *state);
void error_string_add_length(lua_State *L, struct class_state *state);

#endif
