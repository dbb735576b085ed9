/* SPDX-License-Identifier: BSL-1.0 */
/* The shim from plain C, without Lua: one socket echoes, another asks, a timer gives up. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <thrum/context.h>
#include <thrum/socket.h>
#include <thrum/timer.h>

enum { N_ROUNDS = 1000 };

struct echo {
    thrum_context *context;
    thrum_socket *server, *client;
    thrum_timer *timer;
    struct thrum_operation serving, asking, waiting;
    char block[64], request[64], reply[64];
    struct thrum_message served, answer;
    struct thrum_endpoint server_name, client_name;
    int n_rounds;
    bool is_timed_out;
};

static void ask(struct echo *echo)
{
    struct thrum_message question = {.data = echo->request, .peer = &echo->server_name};
    snprintf(echo->request, sizeof(echo->request), "question %d", echo->n_rounds);
    question.size = strlen(echo->request);
    thrum_socket_try_send(echo->client, &question);
    echo->answer = (struct thrum_message){.data = echo->reply, .size = sizeof(echo->reply)};
    thrum_socket_receive(echo->client, &echo->asking, &echo->answer);
}

static void listen_on(struct echo *echo)
{
    echo->served = (struct thrum_message){
        .data = echo->block, .size = sizeof(echo->block), .peer = &echo->client_name};
    thrum_socket_receive(echo->server, &echo->serving, &echo->served);
}

static void serve(struct thrum_operation *operation)
{
    struct echo *echo = operation->user;
    if (operation->error)
        return;
    echo->served.size = echo->served.length;
    thrum_socket_try_send(echo->server, &echo->served);
    listen_on(echo);
}

static void answered(struct thrum_operation *operation)
{
    struct echo *echo = operation->user;
    bool is_echo = operation->error == 0 && echo->answer.length == strlen(echo->request) &&
                   memcmp(echo->request, echo->reply, echo->answer.length) == 0;
    if (is_echo && ++echo->n_rounds < N_ROUNDS) {
        ask(echo);
        return;
    }
    thrum_socket_close(echo->server);
    thrum_operation_cancel(&echo->waiting);
}

static void timed_out(struct thrum_operation *operation)
{
    struct echo *echo = operation->user;
    if (operation->error)
        return;
    echo->is_timed_out = true;
    thrum_socket_close(echo->server);
    thrum_socket_close(echo->client);
}

static int open_bound(thrum_context *context, thrum_socket **socket)
{
    struct thrum_endpoint name = {.size = sizeof(name.sa.v4)};
    name.sa.v4.sin_family = AF_INET;
    name.sa.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int error = thrum_socket_new(context, THRUM_DATAGRAM, socket);
    if (!error)
        error = thrum_socket_open(*socket, AF_INET, 0);
    return error ? error : thrum_socket_bind(*socket, &name);
}

static int set_up(struct echo *echo)
{
    int error = thrum_context_new(&echo->context);
    if (!error)
        error = open_bound(echo->context, &echo->server);
    if (!error)
        error = open_bound(echo->context, &echo->client);
    if (!error)
        error = thrum_timer_new(echo->context, &echo->timer);
    if (!error)
        error = thrum_socket_local_endpoint(echo->server, &echo->server_name);
    thrum_operation_init(&echo->serving, serve, echo);
    thrum_operation_init(&echo->asking, answered, echo);
    thrum_operation_init(&echo->waiting, timed_out, echo);
    return error;
}

static void tear_down(struct echo *echo)
{
    thrum_operation_deinit(&echo->serving);
    thrum_operation_deinit(&echo->asking);
    thrum_operation_deinit(&echo->waiting);
    thrum_timer_free(echo->timer);
    thrum_socket_free(echo->client);
    thrum_socket_free(echo->server);
    thrum_context_free(echo->context);
}

int main(void)
{
    static struct echo echo;
    int error = set_up(&echo);
    if (error) {
        fprintf(stderr, "set up: %s\n", strerror(error));
        return 1;
    }
    listen_on(&echo);
    thrum_timer_wait(echo.timer, &echo.waiting, thrum_steady_clock_now_ns() + 60000000000);
    ask(&echo);
    thrum_context_run(echo.context);
    tear_down(&echo);
    return echo.n_rounds == N_ROUNDS && !echo.is_timed_out ? 0 : 1;
}
