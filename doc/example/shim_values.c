/* SPDX-License-Identifier: BSL-1.0 */
/* The C API's small parts: an address, an error, a timer, a descriptor. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <thrum/address.h>
#include <thrum/descriptor.h>
#include <thrum/error.h>
#include <thrum/socket.h>
#include <thrum/timer.h>

/* tag::address[] */
static void print_unmapped(const char *text)
{
    struct thrum_address address;
    char canonical[THRUM_ADDRESS_TEXT_SIZE];
    if (thrum_address_parse(text, strlen(text), &address) == 0 &&
        thrum_address_to_v4(&address, &address) == 0) {
        thrum_address_format(&address, canonical);
        puts(canonical); /* ::ffff:192.0.2.1 gives 192.0.2.1 */
    }
}
/* end::address[] */

/* tag::error[] */
/* Bind, on another port if that one is taken. */
static int bind_somewhere(thrum_socket *socket, struct thrum_endpoint *endpoint)
{
    char text[128];
    int error = thrum_socket_bind(socket, endpoint);
    if (error == EADDRINUSE) {
        endpoint->sa.v4.sin_port = 0;
        error = thrum_socket_bind(socket, endpoint);
    }
    if (error)
        fprintf(stderr, "bind: %s\n", thrum_error_message(error, text, sizeof(text)));
    return error;
}
/* end::error[] */

/* tag::timer[] */
static void over(struct thrum_operation *operation)
{
    puts(operation->error ? "cancelled" : "a hundredth of a second later");
}

static int wait_a_little(thrum_context *context)
{
    struct thrum_operation wait;
    thrum_timer *timer;
    int error = thrum_timer_new(context, &timer);
    if (error)
        return error;
    thrum_operation_init(&wait, over, NULL);
    error = thrum_timer_wait(timer, &wait, thrum_steady_clock_now_ns() + 10000000);
    thrum_context_run(context); /* returns when nothing is pending */
    thrum_operation_deinit(&wait);
    thrum_timer_free(timer);
    return error;
}
/* end::timer[] */

/* tag::descriptor[] */
static void readable(struct thrum_operation *operation)
{
    char byte;
    const int *fd = operation->user;
    if (!operation->error && read(*fd, &byte, 1) == 1)
        printf("%c has come\n", byte);
}

static int wait_for_input(thrum_context *context, int fd)
{
    struct thrum_operation wait;
    thrum_descriptor *descriptor;
    int error = thrum_descriptor_new(context, fd, &descriptor);
    if (error)
        return error;
    thrum_operation_init(&wait, readable, &fd);
    error = thrum_descriptor_wait(descriptor, &wait);
    thrum_context_run(context);
    thrum_operation_deinit(&wait);
    thrum_descriptor_free(descriptor); /* fd stays open */
    return error;
}
/* end::descriptor[] */

static int open_two(thrum_context *context)
{
    struct thrum_address loopback = thrum_address_v4(INADDR_LOOPBACK);
    struct thrum_endpoint endpoint;
    thrum_socket *sockets[2] = {NULL, NULL};
    thrum_endpoint_from_address(&loopback, 0, &endpoint);
    int error = 0;
    for (int i = 0; i < 2 && !error; i++) {
        error = thrum_socket_new(context, THRUM_DATAGRAM, &sockets[i]);
        if (!error)
            error = thrum_socket_open(sockets[i], AF_INET, 0);
        if (!error)
            error = bind_somewhere(sockets[i], &endpoint);
        if (!error)
            error = thrum_socket_local_endpoint(sockets[i], &endpoint); /* taken from here on */
    }
    thrum_socket_free(sockets[0]);
    thrum_socket_free(sockets[1]);
    return error;
}

static int read_from_pipe(thrum_context *context)
{
    int ends[2];
    if (pipe(ends) < 0)
        return errno;
    int error = write(ends[1], "x", 1) == 1 ? wait_for_input(context, ends[0]) : errno;
    close(ends[0]);
    close(ends[1]);
    return error;
}

int main(void)
{
    thrum_context *context;
    if (thrum_context_new(&context))
        return 1;
    print_unmapped("::ffff:192.0.2.1");
    int error = open_two(context);
    if (!error)
        error = wait_a_little(context);
    if (!error)
        error = read_from_pipe(context);
    thrum_context_free(context);
    return error != 0;
}
