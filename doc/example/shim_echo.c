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
    struct thrum_message message; /* both ways */
    struct thrum_endpoint peer;
    char bytes[2048];
};

static void start_receive(struct server *server)
{
    server->message = (struct thrum_message){.data = server->bytes,
                                             .size = sizeof(server->bytes),
                                             .peer = &server->peer,
                                             .flags = MSG_TRUNC};
    check(thrum_socket_receive(server->socket, &server->receive, &server->message), "receive");
}

static void received(struct thrum_operation *operation)
{
    struct server *server = operation->user;
    if (operation->error == ECANCELED) /* the socket was closed */
        return;
    check(operation->error, "receive");
    if (server->message.length > sizeof(server->bytes)) { /* MSG_TRUNC tells the whole length */
        start_receive(server);
        return;
    }
    server->message.size = server->message.length; /* to the peer it has come from */
    server->message.flags = 0;
    check(thrum_socket_send(server->socket, &server->send, &server->message), "send");
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

static char question[] = "is anybody there?";

/* tag::client[] */
struct client {
    struct server *server;
    struct thrum_message question, answer;
    char bytes[64];
};

static void answered(struct thrum_operation *operation)
{
    struct client *client = operation->user;
    check(operation->error, "receive");
    stop_server(client->server);
}

static void asked(struct thrum_operation *operation)
{
    check(operation->error, "send");
}

/* Ask the kernel now; start an operation only if it would have to wait. */
static void send_question(struct client *client, thrum_socket *socket,
                          struct thrum_operation *operation)
{
    client->question = (struct thrum_message){.data = question, .size = sizeof(question)};
    int error = thrum_socket_try_send(socket, &client->question);
    if (error == EAGAIN)
        error = thrum_socket_send(socket, operation, &client->question);
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
    client.answer = (struct thrum_message){.data = client.bytes, .size = sizeof(client.bytes)};
    check(thrum_socket_receive(socket, &receive, &client.answer), "receive");
    send_question(&client, socket, &send);

    thrum_context_run(context); /* until nothing is pending: the client stops the server */
    printf("%zu bytes came back: %s\n", client.answer.length, client.bytes);

    thrum_operation_deinit(&send);
    thrum_operation_deinit(&receive);
    thrum_socket_free(socket);
    free_server(&server);
    thrum_context_free(context);
    /* end::main[] */
    return strcmp(client.bytes, question) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
