/* SPDX-License-Identifier: BSL-1.0 */
/* Signals by name and number: see signal_name.h. */
#include "bind/system/signal_name.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bind/value/error.h"

/* Those of POSIX, by the alphabet; what a system may lack is asked for. */
static const struct {
    const char *name;
    int number;
} rows[] = {
    {"SIGABRT", SIGABRT},     {"SIGALRM", SIGALRM}, {"SIGBUS", SIGBUS},   {"SIGCHLD", SIGCHLD},
    {"SIGCONT", SIGCONT},     {"SIGFPE", SIGFPE},   {"SIGHUP", SIGHUP},   {"SIGILL", SIGILL},
    {"SIGINT", SIGINT},       {"SIGKILL", SIGKILL}, {"SIGPIPE", SIGPIPE},
#ifdef SIGPOLL
    {"SIGPOLL", SIGPOLL},
#endif
#ifdef SIGPROF
    {"SIGPROF", SIGPROF},
#endif
    {"SIGQUIT", SIGQUIT},     {"SIGSEGV", SIGSEGV}, {"SIGSTOP", SIGSTOP},
#ifdef SIGSYS
    {"SIGSYS", SIGSYS},
#endif
    {"SIGTERM", SIGTERM},
#ifdef SIGTRAP
    {"SIGTRAP", SIGTRAP},
#endif
    {"SIGTSTP", SIGTSTP},     {"SIGTTIN", SIGTTIN}, {"SIGTTOU", SIGTTOU}, {"SIGURG", SIGURG},
    {"SIGUSR1", SIGUSR1},     {"SIGUSR2", SIGUSR2},
#ifdef SIGVTALRM
    {"SIGVTALRM", SIGVTALRM},
#endif
#ifdef SIGWINCH
    {"SIGWINCH", SIGWINCH},
#endif
#ifdef SIGXCPU
    {"SIGXCPU", SIGXCPU},
#endif
#ifdef SIGXFSZ
    {"SIGXFSZ", SIGXFSZ},
#endif
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static const char first_name[] = "SIGRTMIN";
static const char last_name[] = "SIGRTMAX";

/* The range of realtime signals is known only when the program runs; some systems have none. */
#ifdef SIGRTMIN
static int realtime_first(void)
{
    return SIGRTMIN;
}

static int realtime_last(void)
{
    return SIGRTMAX;
}
#else
static int realtime_first(void)
{
    return 0;
}

static int realtime_last(void)
{
    return -1;
}
#endif

const char *signal_name(int number, char text[SIGNAL_NAME_SIZE])
{
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].number == number)
            return rows[i].name;
    if (number < realtime_first() || number > realtime_last())
        snprintf(text, SIGNAL_NAME_SIZE, "%d", number);
    else if (number == realtime_first())
        return first_name;
    else if (number == realtime_last())
        return last_name;
    else
        snprintf(text, SIGNAL_NAME_SIZE, "%s+%d", first_name, number - realtime_first());
    return text;
}

static int is_named(const char *signal, const char *name, size_t size)
{
    return strlen(signal) == size && memcmp(signal, name, size) == 0;
}

/* 0 for what is no name. */
static int number_of(const char *name, size_t size)
{
    char text[SIGNAL_NAME_SIZE];
    for (int i = 0; i < N_ROWS; i++)
        if (is_named(rows[i].name, name, size))
            return rows[i].number;
    for (int number = realtime_first(); number <= realtime_last(); number++)
        if (is_named(signal_name(number, text), name, size))
            return number;
    return 0;
}

int signal_check(lua_State *L, int arg, int minimum)
{
    int type = lua_type(L, arg), is_signal = 0;
    lua_Integer number = 0;
    if (type == LUA_TNUMBER) {
        number = lua_tointegerx(L, arg, &is_signal);
    } else if (type == LUA_TSTRING) {
        size_t size;
        const char *name = lua_tolstring(L, arg, &size);
        number = number_of(name, size);
        is_signal = number != 0;
    }
    if (!is_signal || number < minimum || number >= NSIG)
        error_raise_arg(L, EINVAL, arg, "signal", "number or name of a signal");
    return (int)number;
}

static void set_constant(lua_State *L, const char *name, int number)
{
    lua_pushinteger(L, number);
    lua_setfield(L, -2, name);
}

void signal_set_constants(lua_State *L)
{
    for (int i = 0; i < N_ROWS; i++)
        set_constant(L, rows[i].name, rows[i].number);
    if (realtime_first() == 0)
        return;
    set_constant(L, first_name, realtime_first());
    set_constant(L, last_name, realtime_last());
}
