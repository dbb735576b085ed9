/* SPDX-License-Identifier: BSL-1.0 */
/* Ctrl-C in an interactive session: see interrupt.h.
 *
 * A signal finds the program in one of two places. In the loop: the handler writes to a pipe that
 * the loop waits for, and the fiber aimed at is interrupted from there like by anybody else. Or in
 * Lua code that does not give the loop a turn: the handler sets a debug hook, as lua(1) does, which
 * raises the interruption error there. It does so in the fiber aimed at; in another one, which only
 * keeps everybody from running, when the user insists. */
#include "interrupt.h"

#include <errno.h>
#include <signal.h>

#include <lua.h>

#include <thrum/error.h>

#include "bind/fiber/runtime.h"
#include "bind/value/error.h"
#include "signal_pipe.h"

static struct {
    struct runtime *runtime;
    struct fiber *target;
    volatile sig_atomic_t n_unseen; /* signals that nobody has acted upon yet */
    struct signal_pipe pipe;
    struct thrum_operation wait;
    struct sigaction before;
} interrupts;

/* ---- Lua code that goes on and on ---- */

static void stop(lua_State *L, lua_Debug *where)
{
    struct runtime *runtime = interrupts.runtime;
    struct fiber *fiber = runtime->current;
    (void)where;
    lua_sethook(L, NULL, 0, 0);
    if (!fiber || interrupts.n_unseen == 0)
        return;
    if (fiber == interrupts.target)
        fiber_interrupt(fiber);
    else if (interrupts.n_unseen == 1)
        return;
    if (fiber->n_interruption_disabled > 0)
        return;
    interrupts.n_unseen = 0;
    error_push_from(L, THRUM_EINTERRUPTED, "Ctrl-C");
    lua_error(L);
}

/* ---- the signal ---- */

static void catch_signal(int number)
{
    lua_State *running = interrupts.runtime->running;
    (void)number;
    interrupts.n_unseen++;
    if (running)
        lua_sethook(running, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
    signal_pipe_write(&interrupts.pipe);
}

/* A script's own handler stays, and so does ignoring it. System calls of a chunk are not restarted:
 * Ctrl-C ends its blocking io.read as well. Those of the fibers behind a prompt are: it is not
 * aimed at them. */
static void take_signal(struct sigaction *before)
{
    struct sigaction current;
    sigaction(SIGINT, NULL, &current);
    if (before)
        *before = current;
    if (current.sa_handler != SIG_DFL && current.sa_handler != catch_signal)
        return;
    struct sigaction ours = {.sa_handler = catch_signal,
                             .sa_flags = interrupts.target ? 0 : SA_RESTART};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGINT, &ours, NULL);
}

static void give_signal_back(void)
{
    struct sigaction current;
    sigaction(SIGINT, NULL, &current);
    if (current.sa_handler == catch_signal)
        sigaction(SIGINT, &interrupts.before, NULL);
}

/* ---- the loop ---- */

static void forget_signals(void)
{
    signal_pipe_drain(&interrupts.pipe);
    interrupts.n_unseen = 0;
}

static void signalled(struct thrum_operation *wait)
{
    struct runtime *runtime = interrupts.runtime;
    bool is_unseen = interrupts.n_unseen > 0;
    if (wait->error)
        return; /* the session is over */
    forget_signals();
    if (is_unseen && interrupts.target)
        fiber_interrupt(interrupts.target);
    else if (is_unseen)
        fiber_cancel_wait(&runtime->main_caller, EINTR);
    thrum_descriptor_wait(interrupts.pipe.reader, wait);
}

void interrupt_aim(struct fiber *fiber)
{
    interrupts.target = fiber;
    forget_signals();
    take_signal(NULL);
}

int interrupt_begin(struct runtime *runtime)
{
    interrupts.runtime = runtime;
    interrupts.target = NULL;
    interrupts.n_unseen = 0;
    thrum_operation_init(&interrupts.wait, signalled, NULL);
    int error = signal_pipe_open(&interrupts.pipe, runtime->context);
    if (error)
        return error;
    error = thrum_descriptor_wait(interrupts.pipe.reader, &interrupts.wait);
    if (error)
        signal_pipe_close(&interrupts.pipe);
    else
        take_signal(&interrupts.before);
    return error;
}

void interrupt_end(void)
{
    give_signal_back();
    signal_pipe_close(&interrupts.pipe);
}
