/* SPDX-License-Identifier: BSL-1.0 */
/* Tracebacks for people: as luaL_traceback writes them, without what is thrum's own. */
#ifndef BIND_VALUE_TRACEBACK_H
#define BIND_VALUE_TRACEBACK_H

#include <lua.h>

/* Append the frames of `thread` from `level` on to the text on the top of L, a line for each, with
 * its newline before it. Lua code of thrum's own is one line that names what the script has called,
 * "[thrum]: in method 'emit'"; C functions without a name are left out. */
void traceback_append(lua_State *L, lua_State *thread, int level);

#endif
