/* SPDX-License-Identifier: BSL-1.0 */
/* A program that loads the module into a state of its own, starts a child from it, closes the state
 * and lives on: the child is reaped when it ends, by code that must still be there. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

static const char chunk[] = "local system = require 'thrum'.system "
                            "local fd = system.inherited_fd(...) "
                            "child = system.spawn{program = 'cat', stdin = fd} "
                            "fd:close() return child.pid";

/* Start a child that ends when the pipe's other end is closed; its number. */
static pid_t start_child(int read_end)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_loadstring(L, chunk))
        exit(2);
    lua_pushinteger(L, read_end);
    if (lua_pcall(L, 1, 1, 0)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(2);
    }
    pid_t pid = (pid_t)lua_tointeger(L, -1);
    lua_close(L); /* the module goes with it, were it not for the thread */
    return pid;
}

int main(void)
{
    int ends[2];
    alarm(60);
    for (int round = 0; round < 20; round++) {
        if (pipe(ends) < 0)
            return 2;
        /* The child must not hold the end that it waits for; no thread forks meanwhile. */
        pid_t pid = start_child(ends[0]);
        if (kill(pid, 0) != 0)
            return 3;
        close(ends[1]);
        int n_tries = 0;
        while (kill(pid, 0) == 0 && ++n_tries < 20000)
            usleep(1000);
        if (n_tries == 20000 || waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD)
            return 4;
    }
    return 0;
}
