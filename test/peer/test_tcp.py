# SPDX-License-Identifier: BSL-1.0
"""Socat, netcat and Python's socket module talk to the TCP echo service of doc/example."""

import select
import socket
import struct
import subprocess
import time
import unittest

import peer


class Example(unittest.TestCase):
    """tcp_echo.lua:"""

    def test_ends(self):
        """without arguments the client gets its echo and the script ends by itself"""
        done = peer.run(peer.thrum(), peer.example("tcp_echo.lua"))
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.splitlines()[-1], "hello, stream")


class EchoV4(peer.Case):
    """TCP echo over IPv4:"""

    script = "tcp_echo.lua"
    socat_address = "TCP4:127.0.0.1"
    netcat_options = ("-4",)

    def connect(self):
        sock = socket.create_connection(self.server.endpoint, timeout=peer.DEADLINE)
        self.addCleanup(sock.close)
        return sock

    def receive_all(self, sock):
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def client(self, *command, payload):
        """A program that sends its input, ends its direction, and prints what comes."""
        peer.need_program(command[0])
        return subprocess.run(
            command, input=payload, capture_output=True, timeout=peer.DEADLINE, check=False
        )

    def check_alive(self):
        sock = self.connect()
        sock.sendall(b"alive")
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive_all(sock), b"alive")

    def test_half_close(self):
        """the end of what is sent comes back as an end, after everything else"""
        sock = self.connect()
        sock.sendall(b"first ")
        self.assertEqual(sock.recv(6, socket.MSG_WAITALL), b"first ")
        sock.sendall(b"second")
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive_all(sock), b"second")

    def test_nothing(self):
        """a client that only ends its direction gets an end"""
        sock = self.connect()
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive_all(sock), b"")

    def test_megabytes(self):
        """four megabytes come back in order while they are still being sent"""
        payload = b"".join(struct.pack(">I", i) for i in range(1 << 20))
        sock = self.connect()
        sock.setblocking(False)
        sent, pieces, deadline = 0, [], time.monotonic() + peer.DEADLINE
        while time.monotonic() < deadline:
            writers = [sock] if sent < len(payload) else []
            readable, writable, _ = select.select([sock], writers, [], 1)
            if writable:
                sent += sock.send(payload[sent : sent + 100000])
                if sent == len(payload):
                    sock.shutdown(socket.SHUT_WR)
            if readable:
                piece = sock.recv(65536)
                if not piece:
                    break
                pieces.append(piece)
        self.assertEqual(b"".join(pieces), payload)

    def test_many_clients(self):
        """50 connections at a time, each with its own answers"""
        socks = [self.connect() for _ in range(50)]
        for round_number in range(3):
            for i, sock in enumerate(socks):
                sock.sendall(b"%03d %03d" % (round_number, i))
            for i, sock in enumerate(socks):
                answer = sock.recv(7, socket.MSG_WAITALL)
                self.assertEqual(answer, b"%03d %03d" % (round_number, i))

    def test_dropped(self):
        """clients that drop their connections, early or late, disturb nobody"""
        for size in (0, 10, 100000):
            for _ in range(10):
                sock = self.connect()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(bytes(size))
                sock.close()
        self.check_alive()

    def test_descriptors(self):
        """connections that have ended leave no descriptors"""
        self.check_alive()
        before = self.server.descriptors()
        if before is None:
            self.skipTest("the system does not tell")
        for _ in range(20):
            self.check_alive()
        deadline = time.monotonic() + peer.DEADLINE
        while self.server.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertLessEqual(self.server.descriptors(), before)

    def test_socat(self):
        """socat: half-close"""
        payload = b"line\n" * 20000
        address = f"{self.socat_address}:{self.server.port}"
        done = self.client("socat", "-t", "10", "-", address, payload=payload)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout, payload)

    def test_netcat(self):
        """netcat: half-close"""
        payload = b"line\n" * 20000
        host, port = self.server.endpoint
        done = self.client("nc", *self.netcat_options, "-N", host, str(port), payload=payload)
        if b"-N" in done.stderr or b"invalid option" in done.stderr:
            self.skipTest("this netcat cannot end its direction")
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout, payload)

    def test_address_in_use(self):
        """a second server on the same port is an error on stderr and status 1"""
        done = peer.run(
            peer.thrum(), peer.example(self.script), self.server.host, str(self.server.port)
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("Address already in use", done.stderr)

    def test_starts_again(self):
        """a server starts again at once on the port of one whose connections linger"""
        first = peer.Server(self.script, peer.LOOPBACK[self.family], 0)
        with socket.create_connection(first.endpoint, timeout=peer.DEADLINE) as sock:
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
            first.stop()  # its end of the connection is the one that waits
        second = peer.Server(self.script, peer.LOOPBACK[self.family], first.port)
        self.assertEqual(second.port, first.port)
        second.stop()


class EchoV6(EchoV4):
    """TCP echo over IPv6:"""

    family = socket.AF_INET6
    socat_address = "TCP6:[::1]"
    netcat_options = ("-6",)


if __name__ == "__main__":
    peer.main()
