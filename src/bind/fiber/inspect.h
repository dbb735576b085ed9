/* SPDX-License-Identifier: BSL-1.0 */
/* A look inside: what a fiber waits for, and where it stands. Nothing here runs a script's code. */
#ifndef BIND_FIBER_INSPECT_H
#define BIND_FIBER_INSPECT_H

#include <lua.h>

#include "bind/fiber/fiber.h"

/* Push what the suspended fiber waits for: "ip.udp.socket.receive_from 127.0.0.1:1234". */
void inspect_push_wait(lua_State *L, const struct fiber *fiber);

/* Push the traceback of a fiber in any state, its coroutines included, and where it was spawned. */
void inspect_push_traceback(lua_State *L, const struct fiber *fiber);

/* A message handler for those who catch an error only to raise it again: keeps the traceback with
 * the fiber, in case it ends by that error. Of strings only, which is what mistakes in a script
 * raise: other values are often there to be caught, and a traceback costs more than they do. */
int inspect_keep_traceback(lua_State *L);

/* fiber.list() */
int inspect_list(lua_State *L);

#endif
