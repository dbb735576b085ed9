# SPDX-License-Identifier: BSL-1.0
"""The service of doc/example that hands its socket over to its successor, again and again, while
it is asked without a pause."""

import ctypes
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import peer

N_HANDOVERS = 20
WINDOW = 64  # datagrams under way: few enough for any receive buffer
LIFETIME = peer.LIFETIME
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Makes this process the parent of the services whose own parent has ended."""
    try:
        done = ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except AttributeError:
        done = -1
    if done != 0 or not os.path.isdir("/proc/self"):
        raise unittest.SkipTest("this system lets no process adopt others")


class Service:
    """A service and its successors: one of them at a time serves, its number is `pid`."""

    def __init__(self, script, *arguments):
        self.stderr = tempfile.TemporaryFile()
        reader, writer = os.pipe()
        self.output = os.fdopen(reader, "rb", buffering=0)
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"
        self.process = subprocess.Popen(
            [peer.thrum(), script, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=self.stderr,
            env={**os.environ, "ASAN_OPTIONS": sanitizer.lstrip(":")},
        )
        os.close(writer)
        self.pids = []  # all that have said that they serve; each is reaped once
        self.deadline = time.monotonic() + LIFETIME
        try:
            self.where = self.next()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def errors(self):
        return peer.content(self.stderr)

    def line(self):
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.output], [], [], peer.DEADLINE)
            byte = self.output.read(1) if ready else b""
            if not byte:
                raise AssertionError(f"no whole line, but {line!r}; stderr: {self.errors()!r}")
            line += byte
        return line.decode()

    def next(self):
        """Waits until the next one serves, and returns what it serves."""
        pid, where = re.fullmatch(r"process (\d+) serves (.+)\n", self.line()).groups()
        self.pid = int(pid)
        self.pids.append(self.pid)
        return where

    def reap(self, pid):
        """How one of them has ended."""
        end = time.monotonic() + peer.DEADLINE
        while time.monotonic() < end:
            if pid == self.process.pid:
                status = self.process.poll()
            else:
                try:
                    done, status = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:  # still its parent's
                    done = 0
                status = os.waitstatus_to_exitcode(status) if done else None
            if status is not None:
                self.pids.remove(pid)
                return status
            time.sleep(0.002)
        raise AssertionError(f"process {pid} has not ended")

    def hand_over(self):
        before = self.pid
        os.kill(before, signal.SIGHUP)
        self.next()
        assert self.pid != before
        return before

    def stop(self, errors=""):
        """Ends the one that serves; none of them may be left."""
        os.kill(self.pid, signal.SIGTERM)
        for pid in list(self.pids):
            status = self.reap(pid)
            assert status == 0, f"process {pid} ended with status {status}: {self.errors()}"
        ready, _, _ = select.select([self.output], [], [], peer.DEADLINE)
        assert ready and self.output.read(1) == b"", "somebody still has the standard output"
        assert re.fullmatch(errors, self.errors()), self.errors()

    def clean_up(self):
        """Whatever has gone wrong, nobody is left. Their numbers are theirs until they are reaped,
        and only this process does that."""
        for pid in list(self.pids):
            try:
                os.kill(pid, signal.SIGKILL)
                self.reap(pid)
            except (AssertionError, ProcessLookupError):
                pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.stderr.close()


class Flood(threading.Thread):
    """Asks with numbered datagrams, WINDOW of them under way, until it is told to stop; then all
    that was asked is awaited. `answers` counts how often each number came back."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.sock = peer.udp_socket()
        self.endpoint = endpoint
        self.answers = []
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            self.ask()
        except OSError as error:
            self.error = error

    def ask(self):
        under_way = 0
        end = time.monotonic() + LIFETIME
        while (under_way or not self.stopping.is_set()) and time.monotonic() < end:
            while under_way < WINDOW and not self.stopping.is_set():
                self.sock.sendto(b"%d" % len(self.answers), self.endpoint)
                self.answers.append(0)
                under_way += 1
            self.answers[int(self.sock.recv(64))] += 1
            under_way -= 1
        # What would come twice would come soon, and is in order: it is there before this answer.
        self.sock.sendto(b"%d" % len(self.answers), self.endpoint)
        self.answers.append(0)
        while not self.answers[-1]:
            self.answers[int(self.sock.recv(64))] += 1

    def stop(self):
        self.stopping.set()
        self.join(LIFETIME)
        self.sock.close()
        return self.answers


class Clients(threading.Thread):
    """Connects, asks once, awaits the answer and the end; over and over until told to stop."""

    def __init__(self, path, name):
        super().__init__(daemon=True)
        self.path = path
        self.name = name
        self.n_answered = 0
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.ask(b"%s %d" % (self.name.encode(), self.n_answered))
                self.n_answered += 1
        except (OSError, AssertionError) as error:
            self.error = error

    def ask(self, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(peer.DEADLINE)
            sock.connect(self.path)
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := sock.recv(4096):
                answer += chunk
        assert answer == text, (answer, text)


class Handover(unittest.TestCase):
    """handover.lua:"""

    @classmethod
    def setUpClass(cls):
        adopt_orphans()

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *arguments, script=None):
        service = Service(script or peer.example("handover.lua"), *arguments)
        self.addCleanup(service.clean_up)
        return service

    def start_udp(self, script=None):
        service = self.start("udp", "127.0.0.1", 0, script=script)
        host, _, port = service.where.split()
        return service, (host, int(port))

    def flood(self, endpoint):
        flood = Flood(endpoint)
        flood.start()
        self.addCleanup(flood.stop)
        return flood

    def check(self, flood):
        answers = flood.stop()
        self.assertIsNone(flood.error, f"{answers.count(0)} not answered")
        self.assertGreater(len(answers), WINDOW)
        self.assertEqual(answers.count(0), 0, "lost")
        self.assertEqual(answers.count(1), len(answers), "answered twice")

    def test_datagrams(self):
        """20 hand-overs in a row in a flood lose no datagram and answer none twice"""
        service, endpoint = self.start_udp()
        flood = self.flood(endpoint)
        for _ in range(N_HANDOVERS):
            asked = len(flood.answers)
            before = service.hand_over()
            self.assertEqual(service.reap(before), 0, service.errors())
            end = time.monotonic() + peer.DEADLINE
            while len(flood.answers) < asked + 2 * WINDOW and time.monotonic() < end:
                time.sleep(0.001)  # the flood has to reach each of them
        self.check(flood)
        service.stop()

    def test_connections(self):
        """20 hand-overs in a row refuse no connection and drop none"""
        path = os.path.join(self.folder, "service")
        service = self.start("unix", path)
        clients = [Clients(path, f"client {i}") for i in range(4)]
        for client in clients:
            client.start()
        for _ in range(N_HANDOVERS):
            answered = [client.n_answered for client in clients]
            before = service.hand_over()
            self.assertEqual(service.reap(before), 0, service.errors())
            end = time.monotonic() + peer.DEADLINE
            while time.monotonic() < end and any(
                client.n_answered < n + 2 and client.is_alive()
                for client, n in zip(clients, answered)
            ):
                time.sleep(0.001)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(LIFETIME)
            self.assertIsNone(client.error)
            self.assertGreater(client.n_answered, N_HANDOVERS)
        service.stop()
        self.assertFalse(os.path.exists(path))

    def test_open_connection(self):
        """a connection that is open stays with who has accepted it, who ends after it"""
        path = os.path.join(self.folder, "service")
        service = self.start("unix", path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(peer.DEADLINE)
            sock.connect(path)
            sock.sendall(b"before")
            self.assertEqual(sock.recv(100), b"before")
            before = service.hand_over()
            Clients(path, "another").ask(b"for the successor")
            sock.sendall(b"after")
            self.assertEqual(sock.recv(100), b"after")
            self.assertTrue(os.path.isdir(f"/proc/{before}/fd"), "it has ended")
        self.assertEqual(service.reap(before), 0)
        service.stop()

    def test_bad_successor(self):
        """a successor that fails, early or late, leaves who serves in its place"""
        script = os.path.join(self.folder, "service.lua")
        shutil.copy(peer.example("handover.lua"), script)
        service, endpoint = self.start_udp(script)
        with open(script, encoding="utf-8") as file:
            good = file.read()
        flood = self.flood(endpoint)
        for version in (
            "this is no Lua",
            good.replace('link:send("ready")', "os.exit(1)"),
            good.replace('link:send("taken")', "os.exit(1)"),
            good.replace("kind.adopt(fds[1])", 'error("not this one", 0)', 1),
        ):
            self.assertNotEqual(version, good)
            with open(script, "w", encoding="utf-8") as file:
                file.write(version)
            count = service.errors().count("still here: ")
            os.kill(service.pid, signal.SIGHUP)
            end = time.monotonic() + peer.DEADLINE
            while service.errors().count("still here: ") == count and time.monotonic() < end:
                time.sleep(0.002)
            self.assertEqual(service.errors().count("still here: "), count + 1)
        with open(script, "w", encoding="utf-8") as file:
            file.write(good)
        before = service.hand_over()
        self.assertEqual(service.reap(before), 0)
        self.check(flood)
        service.stop(errors=r"(?s).*still here: End of file.*")


if __name__ == "__main__":
    peer.main()
