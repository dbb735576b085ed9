/* SPDX-License-Identifier: BSL-1.0 */
/* A state that has loaded the C module closes while a lookup is under way in a thread. Lua closes
 * the module's library then, and the thread has to find its code where it was. getaddrinfo is this
 * program's: it answers after the state is gone. */
#include <dirent.h>
#include <netdb.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static sem_t asked, gone;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    (void)host;
    (void)service;
    (void)hints;
    *result = NULL;
    sem_post(&asked);
    while (sem_wait(&gone)) {
    }
    return EAI_AGAIN;
}

static int count_threads(void)
{
    int n = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

/* Whether the module's file is mapped. */
static bool is_loaded(void)
{
    char line[1024];
    bool is_found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof(line), maps))
        is_found |= strstr(line, "/thrum.so\n") != NULL;
    fclose(maps);
    return is_found;
}

static const char chunk[] = "local thrum = require 'thrum'\n"
                            "thrum.spawn(thrum.ip.udp.get_address_info, 'name.test', 80):detach()\n"
                            "thrum.poll()\n"
                            "return thrum.stats().operations\n";

int main(void)
{
    alarm(30);
    sem_init(&asked, 0, 0);
    sem_init(&gone, 0, 0);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, chunk)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    while (sem_wait(&asked)) {
    }
    int n_operations = (int)lua_tointeger(L, -1);
    int n_threads = count_threads();
    lua_close(L);
    bool is_there = is_loaded();
    sem_post(&gone);
    while (count_threads() >= n_threads)
        sched_yield();
    printf("operations: %d, loaded after the end: %d\n", n_operations, is_there);
    return n_operations == 1 && is_there ? 0 : 1;
}
