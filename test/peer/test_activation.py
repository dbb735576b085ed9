# SPDX-License-Identifier: BSL-1.0
"""The echo service of doc/example that a service manager starts, under systemd-socket-activate."""

import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import peer

ACTIVATE = "systemd-socket-activate"


def free_port(family):
    with peer.udp_socket(family) as sock:
        return sock.getsockname()[1]


class Activation:
    """The service behind its manager, which listens on `endpoints` until a datagram comes."""

    def __init__(self, endpoints, *options):
        command = [ACTIVATE, "--datagram", *options]
        for host, port in endpoints:
            text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            command.append("--listen=" + text)
        # The manager passes nothing on that it is not told to.
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
            command.append("--setenv=" + name)
        self.output = None  # what it has printed, once it is stopped
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*command, peer.thrum(), peer.example("activated_echo.lua")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={"ASAN_OPTIONS": "", "TSAN_OPTIONS": "", **os.environ},
        )
        self.killer = threading.Timer(peer.LIFETIME, self.process.kill)
        self.killer.daemon = True
        self.killer.start()

    def errors(self):
        return peer.content(self.log)

    def is_listening(self, count):
        """Waits until the manager has its sockets; false if it could not get one."""
        deadline = time.monotonic() + peer.DEADLINE
        while time.monotonic() < deadline:
            if self.errors().count("Listening on ") == count:
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        raise AssertionError(f"the manager does not listen: {self.errors()!r}")

    def stop(self):
        if self.output is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(peer.DEADLINE)
        finally:
            self.process.kill()
            self.killer.cancel()
        with self.process.stdout as stdout:
            self.output = stdout.read().decode(errors="replace")
        self.log.close()


class Activated(unittest.TestCase):
    """activated_echo.lua:"""

    def setUp(self):
        peer.need_program(ACTIVATE)

    def activate(self, *families, options=()):
        # A port that was free may be taken by now.
        for _ in range(20):
            endpoints = [(peer.LOOPBACK[family], free_port(family)) for family in families]
            service = Activation(endpoints, *options)
            if service.is_listening(len(endpoints)):
                self.addCleanup(service.stop)
                return service, endpoints
            service.stop()
        self.fail("no port could be listened on")

    def ask(self, family, endpoint, payload):
        with peer.udp_socket(family) as sock:
            sock.sendto(payload, endpoint)
            answer, sender = sock.recvfrom(65536)
        self.assertEqual((answer, sender[:2]), (payload, endpoint))

    def test_first_datagram(self):
        """the datagram that starts it is answered, and those that follow"""
        service, (endpoint,) = self.activate(socket.AF_INET, options=["--fdname=echo"])
        self.assertNotIn("Execing", service.errors())
        for i in range(10):
            self.ask(socket.AF_INET, endpoint, b"datagram %d" % i)
        self.assertEqual(service.errors().count("Execing"), 1)
        service.stop()
        self.assertEqual(service.output, "listening on %s port %d\n" % endpoint)

    def test_queued(self):
        """datagrams that come while it starts are all answered, once each"""
        service, (endpoint,) = self.activate(socket.AF_INET)
        with peer.udp_socket() as sock:
            payloads = [b"%d" % i for i in range(100)]
            for payload in payloads:
                sock.sendto(payload, endpoint)
            answers = [sock.recv(100) for _ in payloads]
            self.assertEqual(sorted(answers), sorted(payloads))
            sock.setblocking(False)
            self.assertRaises(BlockingIOError, sock.recv, 100)

    def test_two(self):
        """sockets of both families are served, whichever is asked first"""
        peer.need_family(socket.AF_INET6)
        families = (socket.AF_INET, socket.AF_INET6)
        service, endpoints = self.activate(*families, options=["--fdname=four:six"])
        for family, endpoint in reversed(list(zip(families, endpoints))):
            self.ask(family, endpoint, b"question")
        for family, endpoint in zip(families, endpoints):
            self.ask(family, endpoint, b"another")


class Alone(peer.Case):
    """activated_echo.lua without a manager:"""

    script = "activated_echo.lua"

    def test_echo(self):
        """it binds a socket itself"""
        with peer.udp_socket() as sock:
            sock.sendto(b"hello", self.server.endpoint)
            self.assertEqual(sock.recv(100), b"hello")


if __name__ == "__main__":
    peer.main()
