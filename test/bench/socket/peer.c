/* SPDX-License-Identifier: BSL-1.0 */
/* The other end of test/bench/luasocket: so many connections at once, each with its share.
 *
 *     bench_socket_peer PORT CONNECTIONS pour SHARE SIZE   bytes, in lines of that size
 *     bench_socket_peer PORT CONNECTIONS ask SHARE SIZE    lines, the next when one is answered
 *     bench_socket_peer PORT CONNECTIONS take SHARE SIZE   asks for blocks, and takes them
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1000, BUFFER_SIZE = 65536 };

struct connection {
    long long left; /* of its share: bytes, or lines */
    size_t at;      /* within the buffer, or within the answer */
};

static struct connection connections[MAX_CONNECTIONS];
static struct pollfd polled[MAX_CONNECTIONS];
static char buffer[BUFFER_SIZE], taken[BUFFER_SIZE];
static size_t chunk, line;

static void die(const char *what)
{
    fprintf(stderr, "bench_socket_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void fill_buffer(size_t size)
{
    if (size < 1 || size > BUFFER_SIZE)
        exit(2);
    line = size;
    chunk = BUFFER_SIZE / size * size;
    memset(buffer, 'x', chunk);
    for (size_t i = size - 1; i < chunk; i += size)
        buffer[i] = '\n';
}

static ssize_t checked(ssize_t n, const char *what)
{
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die(what);
    return n;
}

/* Each step returns false when the connection's share is done. */

static int pour(struct connection *conn, int fd)
{
    size_t size = chunk - conn->at;
    if ((long long)size > conn->left)
        size = (size_t)conn->left;
    ssize_t n = checked(send(fd, buffer + conn->at, size, MSG_NOSIGNAL | MSG_DONTWAIT), "send");
    if (n > 0) {
        conn->left -= n;
        conn->at = (conn->at + (size_t)n) % chunk;
    }
    return conn->left > 0;
}

static void send_line(int fd)
{
    if (send(fd, buffer, line, MSG_NOSIGNAL) != (ssize_t)line)
        die("send");
}

static int ask(struct connection *conn, int fd)
{
    ssize_t n = checked(recv(fd, taken, line - conn->at, MSG_DONTWAIT), "recv");
    if (n == 0)
        die("the connection has ended");
    if (n > 0)
        conn->at += (size_t)n;
    if (conn->at < line)
        return 1;
    conn->at = 0;
    if (--conn->left > 0)
        send_line(fd);
    return conn->left > 0;
}

static int take(struct connection *conn, int fd)
{
    (void)conn;
    return checked(recv(fd, taken, BUFFER_SIZE, MSG_DONTWAIT), "recv") != 0;
}

static void run(int n, short events, int (*step)(struct connection *, int))
{
    int n_left = n;
    while (n_left > 0) {
        if (poll(polled, (nfds_t)n, -1) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < n; i++) {
            if (!(polled[i].revents & (events | POLLERR | POLLHUP)))
                continue;
            if (!step(&connections[i], polled[i].fd)) {
                close(polled[i].fd);
                polled[i].fd = -1;
                n_left--;
            }
        }
    }
}

int main(int argc, char **argv)
{
    int n = argc == 6 ? atoi(argv[2]) : 0;
    if (n < 1 || n > MAX_CONNECTIONS)
        return 2;
    const char *mode = argv[3];
    int is_pouring = strcmp(mode, "pour") == 0, is_asking = strcmp(mode, "ask") == 0;
    short events = is_pouring ? POLLOUT : POLLIN;
    fill_buffer((size_t)atoll(argv[5]));
    for (int i = 0; i < n; i++) {
        polled[i] = (struct pollfd){.fd = connect_to(atoi(argv[1])), .events = events};
        connections[i].left = atoll(argv[4]);
    }
    for (int i = 0; i < n && !is_pouring; i++) {
        char wish[32];
        int length = snprintf(wish, sizeof(wish), "%s\n", argv[4]);
        if (is_asking)
            send_line(polled[i].fd);
        else if (send(polled[i].fd, wish, (size_t)length, MSG_NOSIGNAL) != length)
            die("send");
    }
    run(n, events, is_pouring ? pour : is_asking ? ask : take);
    return 0;
}
