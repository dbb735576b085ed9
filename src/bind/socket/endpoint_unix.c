/* SPDX-License-Identifier: BSL-1.0 */
/* The endpoint codec of the unix family: a path, or an abstract name, which begins with NUL. */
#include <errno.h>

#include "bind/socket/socket.h"
#include "bind/value/args.h"
#include "bind/value/error.h"

/* No name at all: only bind can do something with that. */
static void check_unix(lua_State *L, int arg, int family, bool is_local,
                       struct thrum_endpoint *endpoint)
{
    (void)family;
    struct bytes path = args_string(L, arg, "path");
    if (path.size == 0 && !is_local)
        error_raise_arg(L, EINVAL, arg, "path", "path or abstract name");
    int error = thrum_endpoint_from_path((const char *)path.data, path.size, endpoint);
    if (error == ENAMETOOLONG)
        error_raise_arg_detail(L, error, arg, "path", "at most %zu bytes expected, got %zu",
                               sizeof(endpoint->sa.path.sun_path) - (path.data[0] != 0), path.size);
    if (error)
        error_raise_arg_detail(L, error, arg, "path", "a path without NUL expected");
}

static int push_unix(lua_State *L, const struct thrum_endpoint *endpoint)
{
    const char *path;
    size_t length;
    int error = thrum_endpoint_to_path(endpoint, &path, &length);
    if (error)
        error_raise(L, error);
    lua_pushlstring(L, path, length);
    return 1;
}

static int push_unix_sender(lua_State *L, int index, struct socket *socket,
                            const struct thrum_endpoint *endpoint)
{
    (void)index;
    (void)socket;
    return push_unix(L, endpoint);
}

static int check_unix_family(lua_State *L, int arg)
{
    (void)L;
    (void)arg;
    return AF_UNIX;
}

const struct endpoint_codec codec_unix = {
    1, 0, check_unix, push_unix, push_unix_sender, check_unix_family};
