/* SPDX-License-Identifier: BSL-1.0 */
/* Argument checks: see args.h. */
#include "bind/value/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/value/error.h"

noreturn static void raise_range(lua_State *L, int arg, const char *name, lua_Integer minimum,
                                 lua_Integer maximum)
{
    char expected[96];
    if (minimum == LUA_MININTEGER && maximum == LUA_MAXINTEGER)
        snprintf(expected, sizeof(expected), "integer");
    else
        snprintf(expected, sizeof(expected), "integer from %lld to %lld", (long long)minimum,
                 (long long)maximum);
    error_raise_arg(L, EINVAL, arg, name, expected);
}

lua_Integer args_integer(lua_State *L, int arg, const char *name, lua_Integer minimum,
                         lua_Integer maximum)
{
    return args_integer_typed(L, arg, lua_type(L, arg), name, minimum, maximum);
}

lua_Integer args_integer_typed(lua_State *L, int arg, int type, const char *name,
                               lua_Integer minimum, lua_Integer maximum)
{
    int is_integer = 0;
    lua_Integer value = type == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : 0;
    if (!is_integer || value < minimum || value > maximum)
        raise_range(L, arg, name, minimum, maximum);
    return value;
}

lua_Integer args_integer_or(lua_State *L, int arg, const char *name, lua_Integer minimum,
                            lua_Integer maximum, lua_Integer fallback)
{
    int type = lua_type(L, arg);
    if (type <= LUA_TNIL)
        return fallback;
    return args_integer_typed(L, arg, type, name, minimum, maximum);
}

uint16_t args_port(lua_State *L, int arg)
{
    return (uint16_t)args_integer(L, arg, "port", 0, UINT16_MAX);
}

bool args_boolean(lua_State *L, int arg, const char *name)
{
    if (!lua_isboolean(L, arg))
        error_raise_arg(L, EINVAL, arg, name, "boolean");
    return lua_toboolean(L, arg);
}

struct bytes args_string(lua_State *L, int arg, const char *name)
{
    if (lua_type(L, arg) != LUA_TSTRING)
        error_raise_arg(L, EINVAL, arg, name, "string");
    struct bytes bytes;
    bytes.data = (const unsigned char *)lua_tolstring(L, arg, &bytes.size);
    return bytes;
}

bool args_is_seconds(lua_State *L, int index, double *seconds)
{
    *seconds = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
    return *seconds >= 0;
}

double args_seconds(lua_State *L, int arg)
{
    double seconds;
    if (!args_is_seconds(L, arg, &seconds))
        error_raise_arg(L, EINVAL, arg, "seconds", ARGS_SECONDS);
    return seconds;
}

double args_time(lua_State *L, int arg)
{
    double time = lua_type(L, arg) == LUA_TNUMBER ? lua_tonumber(L, arg) : (double)NAN;
    if (isnan(time))
        error_raise_arg(L, EINVAL, arg, "t", "number of seconds");
    return time;
}

int args_choice(lua_State *L, int arg, const char *name, const char *const *choices)
{
    char expected[160] = "";
    const char *came = lua_type(L, arg) == LUA_TSTRING ? lua_tostring(L, arg) : NULL;
    size_t length = 0;
    for (int i = 0; choices[i]; i++) {
        if (came && strcmp(came, choices[i]) == 0 && lua_rawlen(L, arg) == strlen(came))
            return i;
        length += (size_t)snprintf(expected + length, sizeof(expected) - length, "%s\"%s\"",
                                   i ? (choices[i + 1] ? ", " : " or ") : "", choices[i]);
    }
    error_raise_arg(L, EINVAL, arg, name, expected);
}
