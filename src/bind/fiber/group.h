/* SPDX-License-Identifier: BSL-1.0 */
/* Groups: fibers that are waited for, and fail, together. */
#ifndef BIND_FIBER_GROUP_H
#define BIND_FIBER_GROUP_H

#include <lua.h>

#include "bind/fiber/fiber.h"

struct group;

/* fiber.group([f, ...]) */
int group_function(lua_State *L);
void group_open(lua_State *L, struct runtime *runtime);

/* The rules of fiber.h:
 *
 * child_ended: a child has ended, and no joiner has been woken yet. If it is the first to fail, its
 * group keeps it, and fiber->group stays. Runs no Lua and asks for no memory.
 *
 * keep_thread: it has failed, its group keeps it, and it has no handle: its thread lives as long as
 * the group's handle from here on, which it may know. False if that is gone as well. Allocates
 * nothing.
 *
 * is_awaited: whether the group is going to give the child's error to a joiner.
 *
 * lose_child: the group loses the child, or the ended one that it keeps: nobody will get the error
 * there. */

#endif
