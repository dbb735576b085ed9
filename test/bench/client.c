/* SPDX-License-Identifier: BSL-1.0 */
/* A UDP echo client that keeps `window` datagrams under way, in batches of what came back.
 *
 * It never hangs: an echo that does not come within `timeout_ms` counts as lost, and so does all
 * that was under way with it; a new window then starts under a new epoch, so that a late echo of an
 * old one is told apart. It ends after `echoes` of them or after `seconds`, whichever is first, and
 * prints one line of `name=value` words. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "bench_client"
#include "program.h"

enum { MAX_WINDOW = 1024, DATAGRAM_SIZE = 64, FILLER = 0x5a };

struct datagram {
    uint32_t epoch;
    uint32_t number;
    unsigned char filler[DATAGRAM_SIZE - 8];
};

struct client {
    int fd;
    unsigned window;
    unsigned under_way;
    uint32_t epoch;
    uint64_t target;
    uint64_t n_sent;
    uint64_t n_echoed;
    uint64_t n_lost;
    uint64_t n_late;
    uint64_t n_receives;
    struct datagram out[MAX_WINDOW];
    /* One byte more than was sent, so that an echo that grew does not look right. */
    unsigned char in[MAX_WINDOW][DATAGRAM_SIZE + 1];
    struct iovec out_iov[MAX_WINDOW];
    struct iovec in_iov[MAX_WINDOW];
    struct mmsghdr out_msg[MAX_WINDOW];
    struct mmsghdr in_msg[MAX_WINDOW];
};

static struct client client;

static void connect_to(struct client *c, uint16_t port, unsigned timeout_ms)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    if (setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
        die("SO_RCVTIMEO");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
        die("connect");
}

static void prepare_messages(struct client *c)
{
    for (unsigned i = 0; i < c->window; i++) {
        memset(c->out[i].filler, FILLER, sizeof c->out[i].filler);
        c->out_iov[i] = (struct iovec){&c->out[i], sizeof c->out[i]};
        c->out_msg[i].msg_hdr = (struct msghdr){.msg_iov = &c->out_iov[i], .msg_iovlen = 1};
        c->in_iov[i] = (struct iovec){c->in[i], sizeof c->in[i]};
        c->in_msg[i].msg_hdr = (struct msghdr){.msg_iov = &c->in_iov[i], .msg_iovlen = 1};
    }
}

static void fill_window(struct client *c)
{
    uint64_t wanted = c->target - c->n_echoed - c->under_way;
    unsigned n = c->window - c->under_way;
    if (wanted < n)
        n = (unsigned)wanted;
    for (unsigned i = 0; i < n; i++) {
        c->out[i].epoch = c->epoch;
        c->out[i].number = (uint32_t)(c->n_sent + i);
    }
    for (unsigned sent = 0; sent < n;) {
        int r = sendmmsg(c->fd, c->out_msg + sent, n - sent, 0);
        if (r < 0)
            die("sendmmsg");
        sent += (unsigned)r;
    }
    c->n_sent += n;
    c->under_way += n;
}

static void take_echo(struct client *c, const unsigned char *bytes, unsigned size)
{
    struct datagram d;
    memcpy(&d, bytes, sizeof d);
    if (size != sizeof d || memcmp(d.filler, c->out[0].filler, sizeof d.filler)) {
        fprintf(stderr, "bench_client: what came back is not what was sent (%u bytes)\n", size);
        exit(1);
    }
    if (d.epoch != c->epoch) {
        c->n_late++;
        return;
    }
    if (c->under_way == 0) {
        fprintf(stderr, "bench_client: more came back than was sent\n");
        exit(1);
    }
    c->n_echoed++;
    c->under_way--;
}

/* Takes what is there. With `spin` it asks without blocking until something is or the time is over,
 * so that the server never pays for waking this process. */
static int receive_some(struct client *c, bool spin, double patience)
{
    double give_up = 0;
    for (;;) {
        int flags = spin ? MSG_DONTWAIT : MSG_WAITFORONE;
        int n = recvmmsg(c->fd, c->in_msg, c->window, flags, NULL);
        c->n_receives++;
        if (n >= 0 || !(errno == EAGAIN || errno == EINTR))
            return n;
        if (!spin && errno == EAGAIN)
            return 0;
        if (give_up == 0)
            give_up = now() + patience;
        else if (now() > give_up)
            return 0;
    }
}

static void give_window_up(struct client *c)
{
    c->n_lost += c->under_way;
    c->under_way = 0;
    c->epoch++;
}

static double run(struct client *c, double seconds, bool spin, unsigned timeout_ms)
{
    double start = now();
    double end = start;
    while (c->n_echoed < c->target && end - start < seconds) {
        fill_window(c);
        int n = receive_some(c, spin, timeout_ms * 1e-3);
        if (n < 0)
            die("recvmmsg");
        for (int i = 0; i < n; i++)
            take_echo(c, c->in[i], c->in_msg[i].msg_len);
        if (n == 0)
            give_window_up(c);
        end = now();
    }
    return end - start;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bench_client port window echoes seconds [timeout_ms [spin]]\n");
        return 2;
    }
    uint16_t port = (uint16_t)number_argument(argv[1], 1, 65535);
    client.window = (unsigned)number_argument(argv[2], 1, MAX_WINDOW);
    client.target = number_argument(argv[3], 1, 1000000000);
    double seconds = (double)number_argument(argv[4], 1, 3600);
    unsigned timeout_ms = argc > 5 ? (unsigned)number_argument(argv[5], 1, 60000) : 500;
    bool spin = argc > 6 && strcmp(argv[6], "spin") == 0;

    prepare_messages(&client);
    connect_to(&client, port, timeout_ms);
    double elapsed = run(&client, seconds, spin, timeout_ms);
    printf("echoes=%llu lost=%llu late=%llu receives=%llu seconds=%.6f\n",
           (unsigned long long)client.n_echoed, (unsigned long long)client.n_lost,
           (unsigned long long)client.n_late, (unsigned long long)client.n_receives, elapsed);
    return 0;
}
