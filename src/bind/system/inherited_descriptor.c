/* SPDX-License-Identifier: BSL-1.0 */
/* Descriptors that this process was started with: system.inherited_fd, system.listen_fds. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/descriptor.h"
#include "bind/fiber/runtime.h"
#include "bind/system/open.h"
#include "bind/value/args.h"
#include "bind/value/error.h"
#include "bind/value/file_descriptor.h"

static const char *explain(int error)
{
    return error == EBUSY ? "is close-on-exec: it has been taken, or was opened by this process"
                          : "is not open";
}

noreturn static void raise_inherit(lua_State *L, int error, int fd)
{
    error_raise_detail(L, error, "descriptor %d %s", fd, explain(error));
}

/* system.inherited_fd(n) */
int inherit_fd_function(lua_State *L)
{
    int fd = (int)args_integer(L, 1, "n", 0, INT_MAX);
    struct file_descriptor *object = file_descriptor_push(L);
    int error = descriptor_inherit(fd);
    if (error)
        raise_inherit(L, error, fd);
    object->fd = fd;
    return 1;
}

/* ---- listen_fds ----
 *
 * What a service manager hands over, by the protocol of sd_listen_fds(3): descriptors from 3 on. */

enum { FIRST_LISTEN_FD = 3, PROBLEM_SIZE = 160 };

struct activation {
    int n_fds;         /* 0: nothing is meant for this process */
    const char *names; /* or NULL */
    int error;
    char problem[PROBLEM_SIZE];
};

/* Decimal digits and nothing else, from 1 to `maximum`; else 0. */
static int read_number(const char *text, int maximum)
{
    long number = 0;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        number = 10 * number + (*digit - '0');
        if (number > maximum)
            return 0;
    }
    return (int)number;
}

static void refuse(struct activation *activation, int error, const char *name, const char *value)
{
    activation->error = error;
    snprintf(activation->problem, PROBLEM_SIZE, "%s=\"%.100s\"", name, value);
}

static int count_names(const char *names)
{
    int count = 1;
    for (; *names; names++)
        count += *names == ':';
    return count;
}

static void read_variables(struct activation *activation)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    *activation = (struct activation){.names = getenv("LISTEN_FDNAMES")};
    if (!pid)
        return;
    int number = read_number(pid, INT_MAX);
    if (number == 0)
        refuse(activation, EINVAL, "LISTEN_PID", pid);
    if (number != getpid() || !fds)
        return;
    activation->n_fds = read_number(fds, INT_MAX - FIRST_LISTEN_FD);
    if (activation->n_fds == 0)
        refuse(activation, EINVAL, "LISTEN_FDS", fds);
    else if (activation->names && count_names(activation->names) != activation->n_fds)
        refuse(activation, EINVAL, "LISTEN_FDNAMES", activation->names);
}

static void check_descriptors(struct activation *activation)
{
    for (int i = 0; i < activation->n_fds && !activation->error; i++) {
        int fd = FIRST_LISTEN_FD + i;
        activation->error = descriptor_check_inherited(fd);
        if (activation->error)
            snprintf(activation->problem, PROBLEM_SIZE, "descriptor %d %s", fd,
                     explain(activation->error));
    }
}

/* Neither children nor a second call shall find them. */
static void clear_variables(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static const char *push_name(lua_State *L, const char *names)
{
    if (!names) {
        lua_pushliteral(L, "unknown");
        return NULL;
    }
    size_t size = strcspn(names, ":");
    lua_pushlstring(L, names, size);
    return names + size + 1;
}

/* A list of entries whose file_descriptors own nothing yet. */
static void push_entries(lua_State *L, const struct activation *activation)
{
    const char *names = activation->names;
    lua_createtable(L, activation->n_fds, 0);
    for (int i = 1; i <= activation->n_fds; i++) {
        lua_createtable(L, 0, 2);
        names = push_name(L, names);
        lua_setfield(L, -2, "name");
        file_descriptor_push(L);
        lua_setfield(L, -2, "fd");
        lua_rawseti(L, -2, i);
    }
}

/* Nothing is allocated here, and they have been looked at: all or nothing. */
static void take_descriptors(lua_State *L, int count)
{
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        lua_getfield(L, -1, "fd");
        struct file_descriptor *object = lua_touserdata(L, -1);
        int fd = FIRST_LISTEN_FD + i - 1;
        int error = descriptor_inherit(fd);
        if (error)
            raise_inherit(L, error, fd);
        object->fd = fd;
        lua_pop(L, 2);
    }
}

/* system.listen_fds() */
int inherit_listen_fds_function(lua_State *L)
{
    struct activation activation;
    read_variables(&activation);
    check_descriptors(&activation);
    if (activation.error) {
        clear_variables();
        error_raise_detail(L, activation.error, "%s", activation.problem);
    }
    push_entries(L, &activation);
    clear_variables();
    take_descriptors(L, activation.n_fds);
    return 1;
}
