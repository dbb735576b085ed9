/* SPDX-License-Identifier: BSL-1.0 */
/* Memory from the state's allocator: not collected, counted by nobody. */
#ifndef BIND_VALUE_MEMORY_H
#define BIND_VALUE_MEMORY_H

#include <stddef.h>

#include <lua.h>

void *memory_alloc(lua_State *L, size_t size); /* or NULL */
void memory_free(lua_State *L, void *memory, size_t size);

/* Push a new table with that __mode. */
void memory_push_weak_table(lua_State *L, const char *mode);

#endif
