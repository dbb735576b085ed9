/* SPDX-License-Identifier: BSL-1.0 */
/* The bound to come near to: an epoll loop that does nothing but recvfrom and sendto. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void die(const char *what)
{
    fprintf(stderr, "bench_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_socket(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t size = sizeof local;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&local, sizeof local))
        die("bind");
    if (getsockname(fd, (struct sockaddr *)&local, &size))
        die("getsockname");
    printf("%d\n", ntohs(local.sin_port));
    fflush(stdout);
    return fd;
}

static void echo_what_is_there(int fd)
{
    char bytes[2048];
    struct sockaddr_storage from;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("recvfrom");
        if (sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, size) < 0)
            die("sendto");
    }
}

int main(void)
{
    int fd = open_socket();
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
        die("epoll");
    for (;;) {
        if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR)
            die("epoll_wait");
        echo_what_is_there(fd);
    }
}
