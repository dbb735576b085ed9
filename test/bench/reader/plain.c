/* SPDX-License-Identifier: BSL-1.0 */
/* The two ends of test/bench/stream in C: what is to be come near to, and what sends.
 *
 *     bench_reader PATH MODE SIZE           one client's bytes, in lines, records or as they come
 *     bench_reader PATH pour BYTES LINE     so many bytes, in lines of that length
 *
 * The reader waits with poll, as everybody who serves more than one has to. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536 };

static char buffer[BUFFER_SIZE];

static void die(const char *what)
{
    fprintf(stderr, "bench_reader: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    return address;
}

static void pour(const char *path, long long bytes, size_t line)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        die("connect");
    if (line == 0 || line > BUFFER_SIZE)
        exit(2);
    size_t chunk = BUFFER_SIZE / line * line;
    memset(buffer, 'x', chunk);
    for (size_t i = line - 1; i < chunk; i += line)
        buffer[i] = '\n';
    long long done = 0;
    while (done < bytes) {
        size_t at = (size_t)(done % (long long)chunk);
        size_t size = chunk - at;
        if ((long long)size > bytes - done)
            size = (size_t)(bytes - done);
        ssize_t n = send(fd, buffer + at, size, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        done += n;
    }
    close(fd);
}

/* 0 at the end. */
static size_t read_some(int fd, size_t size)
{
    for (;;) {
        ssize_t n = read(fd, buffer, size);
        if (n >= 0)
            return (size_t)n;
        if (errno != EAGAIN && errno != EINTR)
            die("read");
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        poll(&poller, 1, -1);
    }
}

static long long count_lines(size_t size)
{
    long long count = 0;
    const char *at = buffer, *end = buffer + size;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        count++;
    }
    return count;
}

static int open_listener(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
        die("listen");
    puts("ready");
    fflush(stdout);
    return fd;
}

static void serve(const char *path, const char *mode, size_t size)
{
    int fd = accept4(open_listener(path), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    long long bytes = 0, pieces = 0;
    if (fd < 0)
        die("accept");
    clock_t start = clock();
    size_t step = strcmp(mode, "bulk") == 0 && size < BUFFER_SIZE ? size : BUFFER_SIZE, n;
    while ((n = read_some(fd, step)) > 0) {
        bytes += (long long)n;
        pieces += strcmp(mode, "lines") == 0 ? count_lines(n) : 1;
    }
    if (strcmp(mode, "records") == 0)
        pieces = bytes / (long long)size;
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("bytes=%lld pieces=%lld seconds=%.6f\n", bytes, pieces, seconds);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[2], "pour") == 0)
        pour(argv[1], atoll(argv[3]), (size_t)atoll(argv[4]));
    else if (argc == 4 && atoll(argv[3]) > 0)
        serve(argv[1], argv[2], (size_t)atoll(argv[3]));
    else
        return 2;
    return 0;
}
