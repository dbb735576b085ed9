# SPDX-License-Identifier: BSL-1.0
"""The processes of doc/example that share a port: one is killed, all are told to stop."""

import os
import re
import select
import signal
import time
import unittest

import peer

N_WORKERS = 2
N_CLIENTS = 16  # so many that each worker gets some of them: else in one of 32,768 runs


class Clients:
    """Sockets that ask, and want each answer once."""

    def __init__(self, case, endpoint):
        self.endpoint = endpoint
        self.socks = [peer.udp_socket() for _ in range(N_CLIENTS)]
        for sock in self.socks:
            case.addCleanup(sock.close)

    def send(self, count):
        for i in range(count):
            for sock in self.socks:
                sock.sendto(b"%d" % i, self.endpoint)

    def receive(self, count):
        """What came to each socket, sorted by number, when that many answers have come."""
        return [sorted(int(sock.recv(64)) for _ in range(count)) for sock in self.socks]

    def has_more(self):
        return bool(select.select(self.socks, [], [], 0)[0])


class Workers:
    """What both ways of sharing have in common; `mode` is the way."""

    mode = None

    def start(self, work=0):
        server = peer.Server("workers.lua", self.mode, "127.0.0.1", 0, N_WORKERS, work)
        self.addCleanup(server.process.kill)  # nothing to kill if all went well
        self.pids, self.pidfds = {}, []
        while len(self.pids) < N_WORKERS:
            self.expect_worker(server)
        return server, Clients(self, server.endpoint)

    def expect_worker(self, server):
        number, pid = re.fullmatch(r"worker (\d): process (\d+)", server.line()).groups()
        self.pids[int(number)] = int(pid)
        pidfd = os.pidfd_open(int(pid))
        self.addCleanup(os.close, pidfd)
        self.pidfds.append(pidfd)

    def ask(self, clients, count):
        clients.send(count)
        self.check(clients, count)

    def check(self, clients, count):
        self.assertEqual(clients.receive(count), [list(range(count))] * N_CLIENTS)
        self.assertFalse(clients.has_more(), "answered twice")

    def check_gone(self):
        """All workers that there ever were end, if they have not."""
        for pidfd in self.pidfds:
            self.assertTrue(select.select([pidfd], [], [], peer.DEADLINE)[0], "a worker is left")

    def halt(self, pid):
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + peer.DEADLINE
        while time.monotonic() < end:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "T":
                    return
            time.sleep(0.001)
        self.fail(f"process {pid} does not stop")

    def stop(self, server):
        server.stop(status=0)
        self.assertEqual(server.line(), "stopping: SIGTERM")
        self.assertEqual(server.line(), "stopped")
        self.check_gone()

    def test_serve(self):
        """every datagram is answered, once"""
        server, clients = self.start()
        for _ in range(20):
            self.ask(clients, 5)
        self.stop(server)

    def test_killed(self):
        """a worker that is killed is started again, and nothing that came meanwhile is lost"""
        server, clients = self.start()
        self.ask(clients, 2)
        for number in (1, 2, 1):
            os.kill(self.pids[number], signal.SIGKILL)
            clients.send(5)
            self.assertEqual(server.line(), f"worker {number} died: signal 9")
            self.expect_worker(server)
            self.check(clients, 5)
        self.stop(server)

    def test_graceful(self):
        """told to stop, they answer what has come"""
        server, clients = self.start(work=20000)
        for pid in self.pids.values():
            self.halt(pid)
        clients.send(5)
        server.process.terminate()
        self.assertEqual(server.line(), "stopping: SIGTERM")
        for pid in self.pids.values():
            os.kill(pid, signal.SIGCONT)
        server.end(None, 0)
        self.assertEqual(server.line(), "stopped")
        self.check(clients, 5)
        self.check_gone()

    def test_parent_killed(self):
        """without their parent they end by themselves"""
        server, clients = self.start()
        self.ask(clients, 2)
        server.stop(signal.SIGKILL)
        self.check_gone()


class Shared(Workers, unittest.TestCase):
    """workers.lua with one socket:"""

    mode = "shared"

    def test_halted(self):
        """while one of them does nothing, the other answers everybody"""
        server, clients = self.start()
        for pid in self.pids.values():
            self.halt(pid)
            self.ask(clients, 5)
            os.kill(pid, signal.SIGCONT)
        self.stop(server)


class ReusePort(Workers, unittest.TestCase):
    """workers.lua with a socket for each:"""

    mode = "reuse_port"

    def test_halted(self):
        """while one of them does nothing, its clients wait and the others do not"""
        server, clients = self.start()
        self.halt(self.pids[1])
        clients.send(1)
        ready = select.select(clients.socks, [], [], peer.DEADLINE)[0]
        self.assertTrue(ready, "nobody is answered")
        os.kill(self.pids[1], signal.SIGCONT)
        self.check(clients, 1)
        self.stop(server)


if __name__ == "__main__":
    peer.main()
