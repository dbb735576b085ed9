/* SPDX-License-Identifier: BSL-1.0 */
/* SIGINT outside a session: see sigint.h.
 *
 * The program dies by the signal, whatever it is doing. In the loop the handler's pipe is seen at
 * once, in Lua code a debug hook; system calls are not restarted, so a blocking io.read comes back
 * to Lua code, too. The hook is set anew for a while, since a fiber that the loop was about to
 * resume may keep it from its pipe. C code that goes on and on sees neither: the last alarm, or a
 * second signal, ends that without a report.
 *
 * The report asks no memory of Lua: it is written under a hook, or under the loop's C++. */
#include "sigint.h"

#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include <thrum/operation.h>

#include "at_close.h"
#include "bind/fiber/runtime.h"
#include "bind/value/class.h"
#include "signal_pipe.h"

enum { MAX_SHOWN = 20, N_ALARMS = 10, MICROSECONDS_OF_ALARM = 100000, STATUS_OF_SIGNAL = 128 };

static struct {
    struct runtime *runtime; /* NULL: not begun, or over */
    struct signal_pipe pipe;
    struct thrum_operation wait;
    volatile sig_atomic_t is_asked;
    volatile sig_atomic_t n_alarms; /* since then */
} sigint;

/* ---- the report ---- */

static bool find_script_frame(lua_State *thread, lua_Debug *frame)
{
    for (int level = 0; lua_getstack(thread, level, frame); level++) {
        lua_getinfo(thread, "Sl", frame);
        if (frame->currentline > 0 && !class_is_own_lua(frame))
            return true;
    }
    return false;
}

/* The thread that the fiber stands in: a coroutine's, maybe. */
static lua_State *innermost_thread(const struct fiber *fiber)
{
    const struct runtime *runtime = fiber->runtime;
    if (runtime->current == fiber)
        return runtime->running;
    return fiber->site.thread && !fiber->is_body_over ? fiber->site.thread : fiber->thread;
}

static void print_place(const struct fiber *fiber)
{
    lua_Debug frame;
    if (fiber->state != FIBER_NEW && (find_script_frame(innermost_thread(fiber), &frame) ||
                                      find_script_frame(fiber->thread, &frame)))
        fprintf(stderr, " at %s:%d\n", frame.short_src, frame.currentline);
    else if (fiber->place)
        fprintf(stderr, ", spawned at %s\n", fiber->place);
    else
        fprintf(stderr, "\n");
}

static void print_fiber(const struct fiber *fiber)
{
    const struct wait_site *site = &fiber->site;
    fprintf(stderr, "fiber %llu", fiber->id);
    if (fiber->name)
        fprintf(stderr, " \"%s\"", fiber->name);
    if (fiber->is_main)
        fprintf(stderr, " (main)");
    if (fiber->state == FIBER_NEW)
        fprintf(stderr, ": new");
    else if (fiber->runtime->current == fiber)
        fprintf(stderr, ": running");
    else if (fiber->wait)
        fprintf(stderr, ": waits in %s.%s", site->state->class->name, site->row->name);
    else
        fprintf(stderr, ": ready");
    print_place(fiber);
}

/* The program's own fibers, such as the one of --fibers-on-quit, were spawned by no script. */
static bool is_shown(const struct fiber *fiber)
{
    return fiber->state < FIBER_ENDING && (fiber->is_main || fiber->place);
}

static void print_report(const struct runtime *runtime)
{
    size_t n_fibers = 0;
    fprintf(stderr, "thrum: interrupted\n");
    for (const struct list *link = runtime->fibers.next; link != &runtime->fibers;
         link = link->next) {
        const struct fiber *fiber = LIST_ITEM(link, struct fiber, link);
        if (is_shown(fiber) && ++n_fibers <= MAX_SHOWN)
            print_fiber(fiber);
    }
    if (n_fibers > MAX_SHOWN)
        fprintf(stderr, "and %zu more fibers\n", n_fibers - MAX_SHOWN);
}

/* ---- the end ---- */

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void die(void)
{
    sigset_t set;
    set_handler(SIGINT, SIG_DFL, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGINT);
    _exit(STATUS_OF_SIGNAL + SIGINT); /* the first process of a container is spared by the signal */
}

static void report_and_die(void)
{
    print_report(sigint.runtime);
    die();
}

/* ---- the signal ---- */

static void stop(lua_State *L, lua_Debug *where)
{
    (void)L;
    (void)where;
    report_and_die();
}

static void stop_running(void)
{
    const struct runtime *runtime = sigint.runtime;
    lua_sethook(runtime->running ? runtime->running : runtime->main, stop,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void catch_alarm(int number)
{
    (void)number;
    if (++sigint.n_alarms >= N_ALARMS || !sigint.runtime)
        die();
    stop_running();
}

static void catch_signal(int number)
{
    const struct timeval period = {.tv_usec = MICROSECONDS_OF_ALARM};
    const struct itimerval alarms = {.it_interval = period, .it_value = period};
    (void)number;
    if (sigint.is_asked)
        die();
    sigint.is_asked = 1;
    set_handler(SIGALRM, catch_alarm, SA_RESTART);
    setitimer(ITIMER_REAL, &alarms, NULL);
    stop_running();
    signal_pipe_write(&sigint.pipe);
}

static void signalled(struct thrum_operation *wait)
{
    if (!wait->error && sigint.is_asked)
        report_and_die();
}

static int end_at_close(lua_State *L)
{
    (void)L;
    sigint_end();
    return 0;
}

static bool has_default(void)
{
    struct sigaction current;
    return sigaction(SIGINT, NULL, &current) == 0 && current.sa_handler == SIG_DFL;
}

void sigint_begin(lua_State *L, struct runtime *runtime)
{
    static const char guard_key;
    if (!has_default() || signal_pipe_open(&sigint.pipe, runtime->context))
        return;
    thrum_operation_init(&sigint.wait, signalled, NULL);
    if (thrum_descriptor_wait(sigint.pipe.reader, &sigint.wait)) {
        signal_pipe_close(&sigint.pipe);
        return;
    }
    sigint.runtime = runtime;
    runtime->n_hidden++;
    at_close(L, &guard_key, end_at_close);
    set_handler(SIGINT, catch_signal, 0);
}

void sigint_end(void)
{
    struct sigaction current;
    if (!sigint.runtime)
        return;
    sigaction(SIGINT, NULL, &current);
    if (current.sa_handler == catch_signal)
        set_handler(SIGINT, SIG_DFL, 0);
    signal_pipe_close(&sigint.pipe);
    sigint.runtime->n_hidden--;
    sigint.runtime = NULL;
}
