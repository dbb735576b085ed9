/* SPDX-License-Identifier: BSL-1.0 */
/* The interactive session. */
#ifndef THRUM_REPL_H
#define THRUM_REPL_H

#include <lua.h>

struct runtime;

/* Read chunks from standard input and run each in a main fiber, the others going on meanwhile,
 * until the input ends. Call it outside any fiber. Raises when the run is over for all: a cleanup
 * handler has raised, or memory has run out. */
void repl_run(lua_State *L, struct runtime *runtime);

/* above(f) -> a function that does what f does, above the prompt if there is one. */
int repl_above(lua_State *L);

#endif
