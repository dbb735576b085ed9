/* SPDX-License-Identifier: BSL-1.0 */
/* A TCP echo client: a number of connections, on each of which one request of 64 bytes is under way
 * at a time. It ends after so many echoes or seconds, and prints `echoes=N seconds=S`.
 *
 * With 0 echoes it makes the connections, has one echo on each, prints `ready` and keeps them until
 * its standard input ends: for those who look at the server's memory. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "bench_tcp_client"
#include "program.h"

enum { REQUEST_SIZE = 64, MAX_CONNECTIONS = 100000, MAX_EVENTS = 256, PATIENCE_MS = 10000 };

static unsigned char request[REQUEST_SIZE];

struct connection {
    int fd;
    unsigned received; /* of the echo under way */
};

static void send_request(struct connection *c)
{
    c->received = 0;
    if (send(c->fd, request, REQUEST_SIZE, MSG_NOSIGNAL) != REQUEST_SIZE)
        die("send");
}

static void connect_to(struct connection *c, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
        die("connect");
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        die("TCP_NODELAY");
}

/* Is the echo complete? */
static int take_echo(struct connection *c)
{
    unsigned char bytes[REQUEST_SIZE + 1];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        die(n ? "recv" : "the server has closed a connection");
    if (c->received + (size_t)n > REQUEST_SIZE ||
        memcmp(bytes, request + c->received, (size_t)n) != 0) {
        fprintf(stderr, "bench_tcp_client: what came back is not what was sent\n");
        exit(1);
    }
    c->received += (unsigned)n;
    return c->received == REQUEST_SIZE;
}

/* Until `target` echoes have come; those under way stay so. Returns how many have come. */
static uint64_t run(int poller, uint64_t target, double end, int is_repeated)
{
    struct epoll_event events[MAX_EVENTS];
    uint64_t n_echoed = 0;
    while (n_echoed < target && now() < end) {
        int n = epoll_wait(poller, events, MAX_EVENTS, PATIENCE_MS);
        if (n <= 0)
            die(n ? "epoll_wait" : "nothing comes back");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!take_echo(c))
                continue;
            n_echoed++;
            if (is_repeated)
                send_request(c);
        }
    }
    return n_echoed;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bench_tcp_client port connections echoes seconds\n");
        return 2;
    }
    uint16_t port = (uint16_t)number_argument(argv[1], 1, 65535);
    size_t count = (size_t)number_argument(argv[2], 1, MAX_CONNECTIONS);
    uint64_t target = number_argument(argv[3], 0, 1000000000);
    double seconds = (double)number_argument(argv[4], 1, 3600);
    struct connection *connections = calloc(count, sizeof *connections);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || poller < 0)
        die("start");
    memset(request, 'x', sizeof request);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connect_to(&connections[i], port);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].fd, &event))
            die("epoll_ctl");
        send_request(&connections[i]);
    }
    if (run(poller, count, now() + seconds, 0) < count)
        die("not every connection has its echo");
    if (target == 0) {
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        send_request(&connections[i]);
    double start = now();
    uint64_t n_echoed = run(poller, target, start + seconds, 1);
    printf("echoes=%llu seconds=%.6f\n", (unsigned long long)n_echoed, now() - start);
    return 0;
}
