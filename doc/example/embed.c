/* SPDX-License-Identifier: BSL-1.0 */
/* thrum inside a C program: its own state, its own loop. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#include <thrum/lua.h>

static const char script[] = "local name = ...\n"
                             "local thrum = require 'thrum'\n"
                             "for i = 1, 3 do\n"
                             "    thrum.time.sleep(0.01)\n"
                             "    print(name .. ': ' .. i)\n"
                             "end\n";

/* tag::report[] */
static int report(lua_State *L)
{
    fprintf(stderr, "%s\n%s\n", luaL_tolstring(L, 1, NULL), lua_tostring(L, 2));
    return 0;
}
/* end::report[] */

/* tag::open[] */
/* In protected mode: opening and spawning raise Lua errors. */
static int start(lua_State *L)
{
    luaL_openlibs(L);
    luaL_requiref(L, "thrum", luaopen_thrum, 0);
    lua_pushcfunction(L, report);
    thrum_set_reporter(L);

    const char *names[] = {"left", "right"};
    for (int i = 0; i < 2; i++) {
        if (luaL_loadbuffer(L, script, sizeof(script) - 1, "=script"))
            return lua_error(L);
        lua_pushstring(L, names[i]);
        thrum_spawn(L, 1); /* pushes the fiber's handle */
        lua_pop(L, 1);     /* nobody will join it */
    }
    return 0;
}
/* end::open[] */

static int fail(lua_State *L)
{
    fprintf(stderr, "embed: %s\n", luaL_tolstring(L, -1, NULL));
    lua_close(L);
    return EXIT_FAILURE;
}

int main(void)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return EXIT_FAILURE;
    lua_pushcfunction(L, start);
    if (lua_pcall(L, 0, 0, 0))
        return fail(L);

    /* tag::run[] */
    /* One turn without waiting, as a program with a loop of its own would do it ... */
    if (thrum_poll(L))
        return fail(L);
    printf("busy: %d\n", thrum_is_busy(L));

    /* ... and the rest in one go. */
    if (thrum_run(L))
        return fail(L);
    printf("busy: %d\n", thrum_is_busy(L));

    thrum_close(L); /* lua_close would do */
    /* end::run[] */
    lua_close(L);
    return EXIT_SUCCESS;
}
