# SPDX-License-Identifier: BSL-1.0
"""What the proofs share: libraries written for LuaSocket, unmodified, against servers made here.

A server holds back what it has to say until as many clients are there as were announced: so
a program that waits for one client before it begins the next gets no answer. Meson sets THRUM, and
THRUM_STOCK where there is a stock interpreter to run the same scripts in, with the prelude.
"""

import os
import pathlib
import socket
import subprocess
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peer"))
import peer  # noqa: E402

DEADLINE = peer.DEADLINE


class Gate:
    """Closed until `n` have come to it."""

    def __init__(self, n):
        self.barrier = threading.Barrier(n)

    def wait(self):
        """True when all the others have come, too."""
        try:
            self.barrier.wait(DEADLINE)
            return True
        except threading.BrokenBarrierError:
            return False


class Service:
    """Accepts on a port of loopback and calls `serve(connection)` in a thread for each."""

    def __init__(self, serve):
        self.serve = serve
        self.errors = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            try:
                self.serve(connection)
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(repr(error))

    def close(self):
        """All connections have to have ended, and none with an error."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(DEADLINE)
        for thread in self.threads:
            thread.join(DEADLINE)
        assert not self.errors, self.errors


class Lines:
    """A connection whose words are lines."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb")

    def read(self):
        """The next line without its end; None at the end of the connection."""
        line = self.file.readline()
        return line.rstrip(b"\r\n").decode("latin-1") if line else None

    def say(self, *lines):
        self.connection.sendall("".join(line + "\r\n" for line in lines).encode("latin-1"))


def has_lua(module):
    """Whether the program finds that module of the system's."""
    chunk = f"local ok = pcall(require, '{module}') os.exit(ok and 0 or 1)"
    return peer.run(peer.thrum(), "-e", chunk).returncode == 0


def need_lua(*modules):
    for module in modules:
        if not has_lua(module):
            raise unittest.SkipTest(f"the Lua module {module} is not installed")


class Proof(unittest.TestCase):
    """Runs scripts of client/ in the program; what a test file derives from InStock as well runs
    them in a stock interpreter."""

    modules = ()

    def setUp(self):
        need_lua(*self.modules)

    def interpreter(self):
        return peer.thrum()

    def run_client(self, script, *arguments, expected):
        command = [self.interpreter(), HERE / "client" / script, *arguments]
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=4 * DEADLINE, check=False)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.splitlines(), expected)
        self.assertEqual(done.returncode, 0)

    def service(self, serve):
        service = Service(serve)
        self.addCleanup(service.close)
        return service


class InStock:
    """The same in a stock interpreter, after the prelude."""

    def interpreter(self):
        return os.environ["THRUM_STOCK"]


def main():
    module = sys.modules["__main__"]
    if "THRUM_STOCK" not in os.environ:
        print("no stock interpreter to run anything in")
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and issubclass(value, InStock):
                delattr(module, name)
    peer.main()
