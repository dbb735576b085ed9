/* SPDX-License-Identifier: BSL-1.0 */
/* The C API: a program runs a child and waits for it in its loop. */
#include <stdio.h>
#include <unistd.h>

#include <thrum/context.h>
#include <thrum/process.h>

/* tag::wait[] */
static void has_ended(struct thrum_operation *operation)
{
    struct thrum_exit_status status;
    if (operation->error || thrum_process_status(operation->user, &status))
        printf("nobody knows how it has ended\n");
    else if (status.is_exited)
        printf("it has exited with code %d\n", status.code);
    else
        printf("signal %d has ended it\n", status.signal);
}

static int run_child(thrum_context *context)
{
    char *arguments[] = {"sh", "-c", "echo here is the child; exit 7", NULL};
    struct thrum_process_options options = {
        .program = "sh",
        .arguments = arguments,
        .stdio = {THRUM_PROCESS_NULL, STDOUT_FILENO, STDERR_FILENO},
    };
    struct thrum_process_failure failure;
    struct thrum_operation wait;
    thrum_process *process;
    int error = thrum_process_spawn(context, &options, &process, &failure);
    if (error)
        return error;
    thrum_operation_init(&wait, has_ended, process);
    error = thrum_process_wait(process, &wait);
    if (!error)
        thrum_context_run(context);
    thrum_operation_deinit(&wait);
    thrum_process_free(process);
    return error;
}
/* end::wait[] */

int main(void)
{
    thrum_context *context;
    if (thrum_context_new(&context))
        return 1;
    int error = run_child(context);
    thrum_context_free(context);
    return error != 0;
}
