# SPDX-License-Identifier: BSL-1.0
"""Socat and Python's socket module talk to the echo services of doc/example."""

import select
import socket
import subprocess
import time
import unittest

import peer


class Example(unittest.TestCase):
    """udp_echo.lua:"""

    def check(self, *arguments):
        done = peer.run(peer.thrum(), peer.example("udp_echo.lua"), *arguments)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^server: listening on ")
        for size in (13, 0, 30000):
            self.assertIn(f"client: {size} bytes came back, as they were sent", lines)
        self.assertEqual(lines[-1], "server: stopped")

    def test_ends(self):
        """the client gets its echoes and the script ends by itself"""
        self.check()

    def test_ends_v6(self):
        """the same over IPv6"""
        peer.need_family(socket.AF_INET6)
        self.check("::1")

    def test_bad_address(self):
        """an address that is none is an error on stderr and status 1"""
        done = peer.run(peer.thrum(), peer.example("udp_echo.lua"), "no address")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Invalid argument", done.stderr)


class EchoV4(peer.Case):
    """echo over IPv4:"""

    script = "echo_server.lua"
    socat_address = "UDP4:127.0.0.1"

    def setUp(self):
        self.sock = peer.udp_socket(self.family)
        self.addCleanup(self.sock.close)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def check(self, payload):
        self.sock.sendto(payload, self.server.endpoint)
        echo, sender = self.sock.recvfrom(65536)
        self.assertEqual(echo, payload)
        self.assertEqual(sender[:2], self.server.endpoint)

    def test_endpoint(self):
        """the program prints the endpoint that it listens on"""
        self.assertEqual(self.server.host, peer.LOOPBACK[self.family])
        self.assertNotEqual(self.server.port, 0)

    def test_text(self):
        """a datagram comes back as it was sent"""
        self.check(b"hello, fibers")

    def test_every_byte(self):
        """every byte value comes back"""
        self.check(bytes(range(256)))

    def test_empty(self):
        """an empty datagram comes back as an empty datagram"""
        for _ in range(3):
            self.check(b"")

    def test_largest(self):
        """the largest datagram of IPv4, 65507 bytes, comes back"""
        self.check(bytes(i * 7 & 255 for i in range(65507)))

    def test_order(self):
        """1000 datagrams, 32 under way at a time, come back complete and in order"""
        numbers = [str(i).encode() for i in range(1000)]
        echoes = []
        for i, number in enumerate(numbers):
            self.sock.sendto(number, self.server.endpoint)
            if i >= 31:
                echoes.append(self.sock.recv(65536))
        while len(echoes) < len(numbers):
            echoes.append(self.sock.recv(65536))
        self.assertEqual(echoes, numbers)

    def test_many_clients(self):
        """20 clients at once, 50 datagrams each: every client gets its own and no other's"""
        clients = {peer.udp_socket(self.family): [] for _ in range(20)}
        for sock in clients:
            self.addCleanup(sock.close)

        def send(sock):
            sock.sendto(b"%d of %d" % (len(clients[sock]), sock.fileno()), self.server.endpoint)

        for sock in clients:
            send(sock)
        busy = set(clients)
        deadline = time.monotonic() + peer.DEADLINE
        while busy and time.monotonic() < deadline:
            for sock in select.select(busy, [], [], 1)[0]:
                clients[sock].append(sock.recv(65536))
                if len(clients[sock]) < 50:
                    send(sock)
                else:
                    busy.remove(sock)
        for sock, echoes in clients.items():
            self.assertEqual(echoes, [b"%d of %d" % (i, sock.fileno()) for i in range(50)])

    def test_vanished_client(self):
        """a client that closes before its echo arrives disturbs nobody"""
        for _ in range(100):
            with peer.udp_socket(self.family) as gone:
                gone.sendto(b"too late", self.server.endpoint)
        self.check(b"still there")

    def test_socat(self):
        """socat gets each line back"""
        peer.need_program("socat")
        socat = subprocess.Popen(
            ["socat", "-", f"{self.socat_address}:{self.server.port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        try:
            for line in (b"hello\n", b"from\n", b"socat\n"):
                socat.stdin.write(line)
                ready, _, _ = select.select([socat.stdout], [], [], peer.DEADLINE)
                self.assertTrue(ready, "socat got no echo")
                self.assertEqual(socat.stdout.read(65536), line)
        finally:
            socat.kill()
            socat.communicate()

    def test_address_in_use(self):
        """a second server on the same port is an error on stderr and status 1"""
        done = peer.run(
            peer.thrum(),
            peer.example("echo_server.lua"),
            peer.LOOPBACK[self.family],
            str(self.server.port),
        )
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertIn("Address already in use", done.stderr)


class EchoV6(EchoV4):
    """echo over IPv6:"""

    family = socket.AF_INET6
    socat_address = "UDP6:[::1]"

    def test_largest(self):
        """the largest datagram of IPv6, 65527 bytes, comes back"""
        self.check(bytes(i * 7 & 255 for i in range(65527)))


if __name__ == "__main__":
    peer.main()
