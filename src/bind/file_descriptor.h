/* SPDX-License-Identifier: BSL-1.0 */
/* file_descriptor objects: owners of a descriptor. */
#ifndef BIND_FILE_DESCRIPTOR_H
#define BIND_FILE_DESCRIPTOR_H

#include <lua.h>

#include "bind/noun.h"

struct runtime;

enum { DESCRIPTOR_CLOSED = -1, DESCRIPTOR_TAKEN = -2 };

struct file_descriptor {
    struct object object;
    int fd; /* or why there is none */
};

/* Push an owner without a descriptor, to be filled once there is one. */
struct file_descriptor *file_descriptor_push(lua_State *L, struct runtime *runtime);

/* The object at `arg`; raises EBADF if it is closed and EBUSY if something has taken its
 * descriptor. */
struct file_descriptor *file_descriptor_check_open(lua_State *L, int arg, const char *name);

#endif
