/* SPDX-License-Identifier: BSL-1.0 */
/* The C API without Lua: a descriptor passed over a pair of unix sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* tag::send[] */
/* The reading end of a pipe that says hello; it goes over the socket. */
static void give(thrum_socket *socket)
{
    int ends[2];
    check(pipe(ends) ? errno : 0, "pipe");
    check(write(ends[1], "hello", 5) == 5 ? 0 : errno, "write");
    close(ends[1]);

    struct thrum_fds given = {.fds = &ends[0], .n = 1};
    struct thrum_message message = {.data = "a pipe", .size = 6, .fds = &given};
    check(thrum_socket_try_send(socket, &message), "send");
    close(ends[0]); /* the receiver has its own */
}
/* end::send[] */

/* tag::receive[] */
struct receiver {
    struct thrum_operation operation;
    struct thrum_message message;
    struct thrum_fds came;
    int room[4];
    char text[64];
    char from_pipe[8];
};

static void received(struct thrum_operation *operation)
{
    struct receiver *receiver = operation->user;
    check(operation->error, "receive");
    printf("%.*s, and %zu descriptor\n", (int)receiver->message.length, receiver->text,
           receiver->came.n);
    if (receiver->came.n == 1 && read(receiver->room[0], receiver->from_pipe, 5) < 0)
        check(errno, "read");
    thrum_fds_close(&receiver->came); /* whatever has come is ours */
}

static void take(struct receiver *receiver, thrum_socket *socket)
{
    receiver->came = (struct thrum_fds){.fds = receiver->room, .max = 4};
    thrum_operation_init(&receiver->operation, received, receiver);
    receiver->message = (struct thrum_message){
        .data = receiver->text, .size = sizeof(receiver->text), .fds = &receiver->came};
    check(thrum_socket_receive(socket, &receiver->operation, &receiver->message), "receive");
}
/* end::receive[] */

int main(void)
{
    static struct receiver receiver;
    thrum_context *context;
    thrum_socket *a, *b;

    check(thrum_context_new(&context), "context");
    check(thrum_socket_new(context, THRUM_SEQPACKET, &a), "new");
    check(thrum_socket_new(context, THRUM_SEQPACKET, &b), "new");
    check(thrum_socket_pair(a, b), "pair");
    take(&receiver, b);
    give(a);
    thrum_context_run(context);
    printf("%s\n", receiver.from_pipe);

    thrum_operation_deinit(&receiver.operation);
    thrum_socket_free(a);
    thrum_socket_free(b);
    thrum_context_free(context);
    return strcmp(receiver.from_pipe, "hello") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
