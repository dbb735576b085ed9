/* SPDX-License-Identifier: BSL-1.0 */
/* The bound to come near to: an epoll loop that does nothing but accept, recv and send. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, BACKLOG = 4096 };

static void die(const char *what)
{
    fprintf(stderr, "bench_tcp_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_listener(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t size = sizeof local;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&local, sizeof local) || listen(fd, BACKLOG))
        die("bind");
    if (getsockname(fd, (struct sockaddr *)&local, &size))
        die("getsockname");
    printf("%d\n", ntohs(local.sin_port));
    fflush(stdout);
    return fd;
}

static void add(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

static void accept_who_is_there(int poller, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        add(poller, fd);
    if (errno != EAGAIN)
        die("accept4");
}

static void echo(int fd)
{
    char bytes[512];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0 && !(n < 0 && errno == EAGAIN))
        close(fd);
    else if (n > 0 && send(fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
        close(fd); /* the client never has so much under way */
}

int main(void)
{
    struct epoll_event events[MAX_EVENTS];
    int listener = open_listener();
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    add(poller, listener);
    for (;;) {
        int n = epoll_wait(poller, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_who_is_there(poller, listener);
            else
                echo(events[i].data.fd);
        }
    }
}
