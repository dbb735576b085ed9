/* SPDX-License-Identifier: BSL-1.0 */
/* Argument checks: each raises EINVAL with `arg` set, saying what was expected and what came. */
#ifndef BIND_VALUE_ARGS_H
#define BIND_VALUE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "net/bytes.h"

/* An integer (or a float that is one) from `minimum` to `maximum`. */
lua_Integer args_integer(lua_State *L, int arg, const char *name, lua_Integer minimum,
                         lua_Integer maximum);
/* The same for a value whose type the caller has just asked for. */
lua_Integer args_integer_typed(lua_State *L, int arg, int type, const char *name,
                               lua_Integer minimum, lua_Integer maximum);
/* `fallback` for nil or nothing. */
lua_Integer args_integer_or(lua_State *L, int arg, const char *name, lua_Integer minimum,
                            lua_Integer maximum, lua_Integer fallback);
uint16_t args_port(lua_State *L, int arg);
bool args_boolean(lua_State *L, int arg, const char *name);
/* A string, not a number. */
struct bytes args_string(lua_State *L, int arg, const char *name);
/* A number of seconds, for how long: not negative, not NaN; infinity and all that no clock reaches
 * (clock_after) are for ever. */
double args_seconds(lua_State *L, int arg);
/* The same rule for a value that is no argument: whether it is one, as ARGS_SECONDS says. */
bool args_is_seconds(lua_State *L, int index, double *seconds);
#define ARGS_SECONDS "number of seconds, 0 or more"
/* A clock's time, when: any number but NaN. */
double args_time(lua_State *L, int arg);
/* One of the names; returns its index. The list ends with NULL. */
int args_choice(lua_State *L, int arg, const char *name, const char *const *choices);

#endif
