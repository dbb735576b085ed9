// SPDX-License-Identifier: BSL-1.0
// Descriptors: flags, kinds, and that none is left behind.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/descriptor.h"
#include "base/leak_check.h"

namespace
{

bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

int open_socket(int family, int type)
{
    int fd = -1;
    REQUIRE(descriptor_socket(family, type, 0, &fd) == 0);
    return fd;
}

// Describes and closes.
std::string kind_of(int fd)
{
    char text[64];
    REQUIRE(fd >= 0);
    REQUIRE(descriptor_describe(fd, text, sizeof(text)) == 0);
    REQUIRE(descriptor_close(fd) == 0);
    return text;
}

// Binding to the family alone gives an autobound name, for unix an abstract one.
int open_listener(int family, int type)
{
    int fd = open_socket(family, type);
    struct sockaddr_storage name = {};
    name.ss_family = (sa_family_t)family;
    socklen_t size = family == AF_UNIX    ? sizeof(sa_family_t)
                     : family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
    if (family == AF_INET)
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6)
        ((struct sockaddr_in6 *)&name)->sin6_addr = in6addr_loopback;
    REQUIRE(bind(fd, (struct sockaddr *)&name, size) == 0);
    REQUIRE(listen(fd, 4) == 0);
    return fd;
}

int connect_to(int listener, int family, int type)
{
    struct sockaddr_storage name = {};
    socklen_t size = sizeof(name);
    REQUIRE(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
    int fd = open_socket(family, type);
    int result = connect(fd, (struct sockaddr *)&name, size);
    REQUIRE((result == 0 || errno == EINPROGRESS));
    return fd;
}

bool has_v6()
{
    int fd;
    if (descriptor_socket(AF_INET6, SOCK_DGRAM, 0, &fd) != 0)
        return false;
    struct sockaddr_in6 name = {};
    name.sin6_family = AF_INET6;
    name.sin6_addr = in6addr_loopback;
    bool bound = bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    descriptor_close(fd);
    return bound;
}

} // namespace

TEST_CASE_METHOD(leak_check, "a new socket is non-blocking and close-on-exec")
{
    int fd = open_socket(AF_UNIX, SOCK_DGRAM);
    CHECK(is_cloexec(fd));
    CHECK(is_nonblocking(fd));
    CHECK(descriptor_close(fd) == 0);
}

TEST_CASE_METHOD(leak_check, "a socket that cannot be made leaves the variable alone")
{
    int fd = -7;
    CHECK(descriptor_socket(AF_UNIX, 99, 0, &fd) != 0);
    CHECK(descriptor_socket(-1, SOCK_DGRAM, 0, &fd) == EAFNOSUPPORT);
    CHECK(fd == -7);
}

TEST_CASE_METHOD(leak_check, "an accepted socket is non-blocking and close-on-exec")
{
    int listener = open_listener(AF_UNIX, SOCK_STREAM);
    int fd = -7;
    CHECK(descriptor_accept(listener, &fd) == EAGAIN);
    CHECK(fd == -7);

    int client = connect_to(listener, AF_UNIX, SOCK_STREAM);
    REQUIRE(descriptor_accept(listener, &fd) == 0);
    CHECK(is_cloexec(fd));
    CHECK(is_nonblocking(fd));
    for (int each : {fd, client, listener})
        CHECK(descriptor_close(each) == 0);
}

TEST_CASE_METHOD(leak_check, "a pair is non-blocking, close-on-exec, and this process is its peer")
{
    int fds[2];
    CHECK(descriptor_pair(AF_INET, SOCK_STREAM, fds) != 0);
    REQUIRE(descriptor_pair(AF_UNIX, SOCK_SEQPACKET, fds) == 0);
    for (int each : fds) {
        pid_t pid = 0;
        uid_t uid = 0;
        gid_t gid = 0;
        CHECK(is_cloexec(each));
        CHECK(is_nonblocking(each));
        CHECK(descriptor_peer(each, &pid, &uid, &gid) == 0);
        CHECK(pid == getpid());
        CHECK(uid == geteuid());
        CHECK(gid == getegid());
    }
    CHECK_FALSE(descriptor_is_hung_up(fds[0]));
    CHECK_FALSE(descriptor_is_at_end(fds[0]));
    REQUIRE(send(fds[1], "last", 4, 0) == 4);
    CHECK(descriptor_close(fds[1]) == 0);
    CHECK(descriptor_is_hung_up(fds[0]));
    CHECK_FALSE(descriptor_is_at_end(fds[0]));
    char bytes[8];
    CHECK(recv(fds[0], bytes, sizeof(bytes), 0) == 4);
    CHECK(descriptor_is_at_end(fds[0]));
    CHECK(descriptor_close(fds[0]) == 0);

    pid_t pid;
    uid_t uid;
    gid_t gid;
    int alone = open_socket(AF_UNIX, SOCK_STREAM);
    CHECK(descriptor_peer(alone, &pid, &uid, &gid) == ENOTCONN);
    CHECK(descriptor_close(alone) == 0);
}

TEST_CASE_METHOD(leak_check, "accept tells why it failed")
{
    int fd = -7;
    int datagram = open_socket(AF_UNIX, SOCK_DGRAM);
    CHECK(descriptor_accept_one(datagram, &fd) == EOPNOTSUPP);
    CHECK(descriptor_close(datagram) == 0);
    CHECK(descriptor_accept(datagram, &fd) == EBADF);
    CHECK(fd == -7);
}

TEST_CASE_METHOD(leak_check, "an adopted descriptor gets both flags and keeps the others")
{
    int pair[2];
    REQUIRE(pipe(pair) == 0);
    CHECK_FALSE(is_cloexec(pair[1]));
    REQUIRE(fcntl(pair[1], F_SETFL, O_APPEND) == 0);
    CHECK(descriptor_prepare(pair[1]) == 0);
    CHECK(is_cloexec(pair[1]));
    CHECK(is_nonblocking(pair[1]));
    CHECK((fcntl(pair[1], F_GETFL) & O_APPEND) != 0);
    for (int each : pair)
        CHECK(descriptor_close(each) == 0);
    CHECK(descriptor_prepare(pair[1]) == EBADF);
}

TEST_CASE_METHOD(leak_check, "a copy is another descriptor and close-on-exec")
{
    int pair[2], copy = -7;
    REQUIRE(pipe(pair) == 0);
    REQUIRE(descriptor_dup(pair[1], &copy) == 0);
    CHECK(copy != pair[1]);
    CHECK(is_cloexec(copy));
    for (int each : {pair[0], pair[1], copy})
        CHECK(descriptor_close(each) == 0);
    copy = -7;
    CHECK(descriptor_dup(pair[1], &copy) == EBADF);
    CHECK(copy == -7);
}

TEST_CASE("closing what is not open is EBADF")
{
    CHECK(descriptor_close(-1) == EBADF);
}

TEST_CASE_METHOD(leak_check, "a socket tells its family, type and whether it listens")
{
    struct descriptor_kind kind = {};
    int fd = open_listener(AF_UNIX, SOCK_SEQPACKET);
    CHECK(descriptor_socket_kind(fd, &kind) == 0);
    CHECK(kind.family == AF_UNIX);
    CHECK(kind.type == SOCK_SEQPACKET);
    CHECK(kind.protocol == 0);
    CHECK(kind.is_listening);
    CHECK(descriptor_is_usual(&kind));
    CHECK(descriptor_close(fd) == 0);

    fd = open_socket(AF_INET, SOCK_DGRAM);
    CHECK(descriptor_socket_kind(fd, &kind) == 0);
    CHECK(kind.family == AF_INET);
    CHECK(kind.type == SOCK_DGRAM);
    CHECK(kind.protocol == IPPROTO_UDP);
    CHECK_FALSE(kind.is_listening);
    CHECK(descriptor_is_usual(&kind));
    CHECK(descriptor_close(fd) == 0);
}

TEST_CASE_METHOD(leak_check, "what is no socket is ENOTSOCK and what is not open EBADF")
{
    struct descriptor_kind kind = {-7, -7, -7, true};
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(descriptor_socket_kind(fd, &kind) == ENOTSOCK);
    CHECK(descriptor_close(fd) == 0);
    CHECK(descriptor_socket_kind(fd, &kind) == EBADF);
    CHECK(kind.family == -7);
    CHECK(kind.type == -7);
    CHECK(kind.protocol == -7);
    CHECK(kind.is_listening);
}

TEST_CASE_METHOD(leak_check, "IP sockets are described by protocol and version")
{
    CHECK(kind_of(open_socket(AF_INET, SOCK_DGRAM)) == "udp v4");
    CHECK(kind_of(open_socket(AF_INET, SOCK_STREAM)) == "tcp v4");
    CHECK(kind_of(open_listener(AF_INET, SOCK_STREAM)) == "tcp v4 acceptor");
    if (!has_v6())
        return;
    CHECK(kind_of(open_socket(AF_INET6, SOCK_DGRAM)) == "udp v6");
    CHECK(kind_of(open_socket(AF_INET6, SOCK_STREAM)) == "tcp v6");
    CHECK(kind_of(open_listener(AF_INET6, SOCK_STREAM)) == "tcp v6 acceptor");
}

TEST_CASE_METHOD(leak_check, "sockets of other protocols are no UDP and no TCP sockets")
{
    const struct {
        int type, protocol;
        bool is_usual;
        const char *name;
    } rows[] = {
        {SOCK_DGRAM, IPPROTO_UDP, true, "udp v4"},
        {SOCK_DGRAM, 136, false, "udplite v4"},
        {SOCK_DGRAM, IPPROTO_ICMP, false, "icmp v4"},
        {SOCK_STREAM, IPPROTO_TCP, true, "tcp v4"},
        {SOCK_STREAM, 262, true, "mptcp v4"},
        {SOCK_STREAM, IPPROTO_SCTP, false, "sctp v4"},
        {SOCK_SEQPACKET, IPPROTO_SCTP, false, "sctp seqpacket v4"},
        {SOCK_DGRAM, 115, false, "socket"},
        {SOCK_RAW, IPPROTO_UDP, false, "socket"},
    };
    for (const auto &row : rows) {
        struct descriptor_kind kind = {AF_INET, row.type, row.protocol, false};
        char text[64];
        descriptor_format_kind(&kind, text, sizeof(text));
        CHECK(std::string(text) == row.name);
        CHECK(descriptor_is_usual(&kind) == row.is_usual);
        int fd = socket(AF_INET, row.type | SOCK_CLOEXEC, row.protocol);
        if (fd < 0) // the system has it not, or not for us
            continue;
        CHECK(descriptor_socket_kind(fd, &kind) == 0);
        CHECK(kind.protocol == row.protocol);
        CHECK(kind_of(fd) == row.name);
    }
}

TEST_CASE_METHOD(leak_check, "unix sockets are described by type")
{
    CHECK(kind_of(open_socket(AF_UNIX, SOCK_DGRAM)) == "unix datagram");
    CHECK(kind_of(open_socket(AF_UNIX, SOCK_STREAM)) == "unix stream");
    CHECK(kind_of(open_socket(AF_UNIX, SOCK_SEQPACKET)) == "unix seqpacket");
    CHECK(kind_of(open_listener(AF_UNIX, SOCK_STREAM)) == "unix stream acceptor");
    CHECK(kind_of(open_listener(AF_UNIX, SOCK_SEQPACKET)) == "unix seqpacket acceptor");
}

TEST_CASE_METHOD(leak_check, "an unnamed end of a socket pair has a kind too")
{
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    CHECK(kind_of(pair[0]) == "unix datagram");
    CHECK(kind_of(pair[1]) == "unix datagram");
}

TEST_CASE_METHOD(leak_check, "what is no socket is described by its file type")
{
    int pair[2];
    REQUIRE(pipe(pair) == 0);
    CHECK(kind_of(pair[0]) == "pipe");
    CHECK(kind_of(pair[1]) == "pipe");
    CHECK(kind_of(open("/", O_RDONLY)) == "directory");
    CHECK(kind_of(open("/dev/null", O_RDONLY)) == "character device");
    char path[] = "/tmp/thrum-unit-XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    CHECK(kind_of(file) == "file");
}

TEST_CASE("describing what is not open is EBADF")
{
    char text[8] = "kept";
    CHECK(descriptor_describe(-1, text, sizeof(text)) == EBADF);
    CHECK(std::string(text) == "kept");
}

TEST_CASE_METHOD(leak_check, "a description never exceeds its buffer")
{
    char text[8] = "xxxxxxx";
    int fd = open_listener(AF_UNIX, SOCK_SEQPACKET);
    CHECK(descriptor_describe(fd, text, 5) == 0);
    CHECK(std::string(text) == "unix");
    CHECK(text[5] == 'x');
    CHECK(descriptor_close(fd) == 0);
}

TEST_CASE_METHOD(leak_check, "a pipe is close-on-exec")
{
    int ends[2];
    REQUIRE(descriptor_pipe(ends) == 0);
    for (int end : ends) {
        CHECK(is_cloexec(end));
        CHECK_FALSE(is_nonblocking(end));
        CHECK(descriptor_close(end) == 0);
    }
}

TEST_CASE_METHOD(leak_check, "what is not close-on-exec can be taken as inherited, once")
{
    int fd = open("/dev/null", O_RDONLY);
    CHECK(descriptor_check_inherited(fd) == 0);
    CHECK_FALSE(is_cloexec(fd));
    CHECK(descriptor_inherit(fd) == 0);
    CHECK(is_cloexec(fd));
    CHECK(descriptor_inherit(fd) == EBUSY);
    CHECK(descriptor_check_inherited(fd) == EBUSY);
    CHECK(descriptor_close(fd) == 0);
    CHECK(descriptor_inherit(fd) == EBADF);
    CHECK(descriptor_inherit(-1) == EBADF);
}
