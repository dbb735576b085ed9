/* SPDX-License-Identifier: BSL-1.0 */
/* A program that ends while its name server is silent: here getaddrinfo never comes back, and main
 * has to all the same. What hangs is killed by the alarm. */
#include <netdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/resolver.h>

static sem_t asked;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)result;
    sem_post(&asked);
    for (;;)
        pause();
}

static void done(struct thrum_operation *operation)
{
    int *n_done = operation->user;
    ++*n_done;
}

int main(void)
{
    struct thrum_operation operations[2];
    thrum_resolver *resolvers[2];
    thrum_context *context;
    int n_done = 0;
    alarm(30);
    sem_init(&asked, 0, 0);
    if (thrum_context_new(&context))
        return 1;
    for (int i = 0; i < 2; i++) {
        thrum_operation_init(&operations[i], done, &n_done);
        if (thrum_resolver_new(context, &resolvers[i]) ||
            thrum_resolver_look_up(resolvers[i], &operations[i], "silent.test", "80", NULL))
            return 1;
        while (sem_wait(&asked)) {
        }
    }
    thrum_operation_cancel(&operations[0]);
    thrum_context_run_one(context);
    thrum_context_free(context);
    for (int i = 0; i < 2; i++) {
        thrum_resolver_free(resolvers[i]);
        thrum_operation_deinit(&operations[i]);
    }
    puts("over");
    return n_done == 1 ? 0 : 1;
}
