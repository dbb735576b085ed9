/* SPDX-License-Identifier: BSL-1.0 */
/* The C API without Lua: an echo server and its client in one loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>
#include <thrum/socket.h>

static void check(int error, const char *what)
{
    char text[128];
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, thrum_error_message(error, text, sizeof(text)));
    exit(EXIT_FAILURE);
}

/* tag::server[] */
/* An operation at a time: a datagram in, the same datagram out. */
struct server {
    thrum_socket *socket;
    struct thrum_operation receive, send;
    char bytes[2048];
};

static void start_receive(struct server *server)
{
    check(thrum_socket_receive_from(server->socket, &server->receive, server->bytes,
                                    sizeof(server->bytes), MSG_TRUNC),
          "receive_from");
}

static void received(struct thrum_operation *operation)
{
    struct server *server = operation->user;
    if (operation->error == ECANCELED) /* the socket was closed */
        return;
    check(operation->error, "receive_from");
    if (operation->size > sizeof(server->bytes)) { /* MSG_TRUNC tells the whole length */
        start_receive(server);
        return;
    }
    check(thrum_socket_send_to(server->socket, &server->send, server->bytes, operation->size, 0,
                               &operation->endpoint),
          "send_to");
}

static void sent(struct thrum_operation *operation)
{
    if (operation->error != ECANCELED)
        start_receive(operation->user);
}

static void start_server(struct server *server, thrum_context *context)
{
    struct thrum_address loopback = thrum_address_v4(INADDR_LOOPBACK);
    struct thrum_endpoint local;
    thrum_endpoint_from_address(&loopback, 0, &local);
    check(thrum_socket_new(context, THRUM_DATAGRAM, &server->socket), "new");
    check(thrum_socket_open(server->socket, AF_INET, 0), "open");
    check(thrum_socket_bind(server->socket, &local), "bind");
    thrum_operation_init(&server->receive, received, server);
    thrum_operation_init(&server->send, sent, server);
    start_receive(server);
}

static void stop_server(struct server *server)
{
    thrum_socket_close(server->socket); /* what is pending ends with ECANCELED, from the loop */
}

static void free_server(struct server *server)
{
    thrum_operation_deinit(&server->receive);
    thrum_operation_deinit(&server->send);
    thrum_socket_free(server->socket);
}
/* end::server[] */

static const char question[] = "is anybody there?";

/* tag::client[] */
struct client {
    struct server *server;
    char bytes[64];
    size_t size;
};

static void answered(struct thrum_operation *operation)
{
    struct client *client = operation->user;
    check(operation->error, "receive");
    client->size = operation->size;
    stop_server(client->server);
}

static void asked(struct thrum_operation *operation)
{
    check(operation->error, "send");
}

/* Ask the kernel now; start an operation only if it would have to wait. */
static void send_question(thrum_socket *socket, struct thrum_operation *operation)
{
    size_t size;
    int error = thrum_socket_try_send(socket, question, sizeof(question), 0, &size);
    if (error == EAGAIN)
        error = thrum_socket_send(socket, operation, question, sizeof(question), 0);
    check(error, "send");
}
/* end::client[] */

int main(void)
{
    static struct server server;
    static struct client client = {.server = &server};
    thrum_context *context;
    thrum_socket *socket;
    struct thrum_operation send, receive;
    struct thrum_endpoint remote;

    /* tag::main[] */
    check(thrum_context_new(&context), "context");
    start_server(&server, context);

    check(thrum_socket_local_endpoint(server.socket, &remote), "local_endpoint");
    check(thrum_socket_new(context, THRUM_DATAGRAM, &socket), "new");
    check(thrum_socket_try_connect(socket, &remote), "connect"); /* opens it, too */
    thrum_operation_init(&send, asked, NULL);
    thrum_operation_init(&receive, answered, &client);
    check(thrum_socket_receive(socket, &receive, client.bytes, sizeof(client.bytes), 0), "receive");
    send_question(socket, &send);

    thrum_context_run(context); /* until nothing is pending: the client stops the server */
    printf("%zu bytes came back: %s\n", client.size, client.bytes);

    thrum_operation_deinit(&send);
    thrum_operation_deinit(&receive);
    thrum_socket_free(socket);
    free_server(&server);
    thrum_context_free(context);
    /* end::main[] */
    return strcmp(client.bytes, question) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
