/* SPDX-License-Identifier: BSL-1.0 */
/* Calls of code that is not ours and may raise SIGPIPE: for the length of the call this thread
 * blocks it, and takes what has come of it. The disposition, which is the whole process's, is not
 * touched. */
#include "bind/luasocket/open.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdbool.h>

static bool is_pending(int number)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
}

int call_without_sigpipe(lua_State *L)
{
    luaL_checkany(L, 1);
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (!sigismember(&before, SIGPIPE)) {
        int number;
        if (is_pending(SIGPIPE))
            sigwait(&pipe, &number);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}
