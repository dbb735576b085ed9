/* SPDX-License-Identifier: BSL-1.0 */
/* The C API: a program that ends when it is told to, by a signal. */
#include <signal.h>
#include <stdio.h>

#include <thrum/context.h>
#include <thrum/signal.h>

/* tag::wait[] */
static void signal_came(struct thrum_operation *operation)
{
    if (operation->error == 0)
        printf("ending by signal %d\n", operation->value);
}

static int wait_for_the_end(thrum_context *context)
{
    struct thrum_operation wait;
    thrum_signal_set *set;
    int error = thrum_signal_set_new(context, &set);
    if (error)
        return error;
    thrum_operation_init(&wait, signal_came, NULL);
    error = thrum_signal_set_add(set, SIGINT);
    if (!error)
        error = thrum_signal_set_add(set, SIGTERM);
    if (!error)
        error = thrum_signal_set_wait(set, &wait);
    if (!error)
        raise(SIGTERM); /* instead of somebody with kill(1) */
    thrum_context_run(context);
    thrum_operation_deinit(&wait);
    thrum_signal_set_free(set); /* both signals kill again */
    return error;
}
/* end::wait[] */

int main(void)
{
    thrum_context *context;
    if (thrum_context_new(&context))
        return 1;
    int error = wait_for_the_end(context);
    thrum_context_free(context);
    return error != 0;
}
