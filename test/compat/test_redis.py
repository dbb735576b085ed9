# SPDX-License-Identifier: BSL-1.0
"""redis-lua, Debian's, with a Redis server that is started for it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import proof

N = 20


def server_program():
    """The package redis-tools has the server's file under another name."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


class RedisServer:
    """On a port of loopback and a unix socket, with nothing kept on disk."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "socket")
        for _ in range(5):
            self.port = self.free_port()
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                 "--unixsocket", self.path, "--save", "", "--appendonly", "no",
                 "--dir", self.directory.name, "--daemonize", "no"],
                executable=server_program(), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.is_up():
                return
            self.end()
        raise AssertionError("redis-server does not start")

    @staticmethod
    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as sock:
            return sock.getsockname()[1]

    def is_up(self):
        """Until it answers; False when it has ended, such as for a port that is taken."""
        deadline = time.monotonic() + proof.DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    sock.sendall(b"PING\r\n")
                    if sock.recv(100).startswith(b"+PONG"):
                        return True
            except OSError:
                time.sleep(0.01)
        return False

    def end(self):
        self.process.terminate()
        self.process.wait(proof.DEADLINE)

    def close(self):
        self.end()
        self.directory.cleanup()


class Redis(proof.Proof):
    """redis-lua:"""

    modules = ("redis", "socket")

    @classmethod
    def setUpClass(cls):
        if not server_program():
            raise unittest.SkipTest("redis-server is not installed")
        cls.server = RedisServer()
        cls.addClassCleanup(cls.server.close)

    def test_together(self):
        """20 fibers, each with a connection, set, get, and have transactions"""
        self.run_client("redis.lua", "together", self.server.port, N, expected=["20 of 20"])

    def test_blocked(self):
        """one fiber waits in BLPOP for what another pushes later"""
        self.run_client("redis.lua", "blocked", self.server.port, N, expected=["20 popped"])

    def test_subscribed(self):
        """one fiber is subscribed to what another publishes"""
        self.run_client("redis.lua", "subscribed", self.server.port, N, expected=["20 heard"])

    def test_unix(self):
        """a connection over a unix socket"""
        self.run_client("redis.lua", "unix", self.server.path, N, expected=["PONG"])


class RedisInStock(proof.InStock, Redis):
    """redis-lua in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
