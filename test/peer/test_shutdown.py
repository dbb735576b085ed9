# SPDX-License-Identifier: BSL-1.0
"""The service of doc/example that stops gracefully is told to, in the middle of its work."""

import os
import signal
import unittest

import peer


class Shutdown(unittest.TestCase):
    """graceful_shutdown.lua:"""

    def start(self, seconds):
        server = peer.Server("graceful_shutdown.lua", "127.0.0.1", 0, seconds)
        self.addCleanup(server.process.kill)  # nothing to kill if all went well
        self.sock = peer.udp_socket()
        self.addCleanup(self.sock.close)
        return server

    def ask(self, server, count):
        for i in range(count):
            self.sock.sendto(b"request %d" % i, server.endpoint)

    def answers(self, count):
        return sorted(self.sock.recv(65536) for _ in range(count))

    def expected(self, count):
        return sorted(b"REQUEST %d" % i for i in range(count))

    def check_end(self, server, name, count):
        self.assertEqual(server.line(), f"stopping: {name}")
        self.assertEqual(server.line(), f"stopped: {count} answered")

    def test_idle(self):
        """with nothing to do it ends at once, with status 0, by either signal"""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start(0)
            server.stop(number, status=0)
            self.check_end(server, number.name, 0)

    def test_answered_before(self):
        """what was answered before counts"""
        server = self.start(0)
        self.ask(server, 5)
        self.assertEqual(self.answers(5), self.expected(5))
        server.stop(status=0)
        self.check_end(server, "SIGTERM", 5)

    def test_at_work(self):
        """requests that it works on are answered, and those that have only arrived"""
        server = self.start(0.2)
        self.ask(server, 20)
        server.stop(status=0)
        self.assertEqual(self.answers(20), self.expected(20))
        self.check_end(server, "SIGTERM", 20)

    def test_queued(self):
        """requests still in the socket when the signal is seen are answered"""
        server = self.start(0.01)
        server.process.send_signal(signal.SIGSTOP)
        os.waitpid(server.process.pid, os.WUNTRACED)
        self.ask(server, 20)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        server.end(None, 0)
        self.assertEqual(self.answers(20), self.expected(20))
        self.check_end(server, "SIGTERM", 20)

    def test_twice(self):
        """a second signal does not wait for the work"""
        server = self.start(3600)
        self.ask(server, 1)
        server.process.terminate()
        self.assertEqual(server.line(), "stopping: SIGTERM")
        server.stop()


if __name__ == "__main__":
    peer.main()
