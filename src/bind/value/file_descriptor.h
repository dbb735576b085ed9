/* SPDX-License-Identifier: BSL-1.0 */
/* file_descriptor objects: owners of a descriptor; and lists of them, on their way through
 * messages. */
#ifndef BIND_VALUE_FILE_DESCRIPTOR_H
#define BIND_VALUE_FILE_DESCRIPTOR_H

#include <lua.h>

#include <thrum/socket.h>

#include "bind/value/class.h"

struct runtime;

enum { DESCRIPTOR_CLOSED = -1, DESCRIPTOR_TAKEN = -2 };

struct file_descriptor {
    struct object object;
    int fd; /* or why there is none */
};

/* Push an owner without a descriptor, to be filled once there is one. */
struct file_descriptor *file_descriptor_push(lua_State *L);

/* The object at `arg`; raises EBADF if it is closed and EBUSY if something has taken its
 * descriptor. */
struct file_descriptor *file_descriptor_check_open(lua_State *L, int arg, const char *name);

/* Read the list of objects at `arg` into `fds`, which has room for THRUM_MAX_FDS: the keys are 1 to
 * n and nothing else. What is read still belongs to the objects: anything that may run Lua may
 * close it. Raises EINVAL, and EBADF or EBUSY for an object without a descriptor; allocates nothing
 * else. */
void file_descriptor_check_list(lua_State *L, int arg, const char *name, struct thrum_fds *fds);

/* An owner of descriptors that have no objects yet. It never leaves C. */
struct descriptor_list {
    struct object object;
    struct thrum_fds fds;
    int room[];
};

/* Push an empty one with room for `max`. */
struct descriptor_list *descriptor_list_push(lua_State *L, size_t max);

/* Copy the descriptors into an empty list that has room for them. On error it is empty again. */
int descriptor_list_copy(struct descriptor_list *list, const struct thrum_fds *fds);

/* Push a table of objects that own what was in the list. If that raises, the rest stays there. */
void descriptor_list_push_objects(lua_State *L, struct descriptor_list *list);

#endif
