# SPDX-License-Identifier: BSL-1.0
"""LuaSocket's socket.serial, Debian's, on pseudo-terminals whose other ends are here."""

import os
import select
import threading
import tty

import proof

N = 5
BIG = 200000  # as in client/serial.lua


class Terminal:
    """A pseudo-terminal, raw, and what `serve(self)` does at its other end in a thread."""

    def __init__(self, serve):
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        self.path = os.ttyname(self.theirs)
        self.error = None
        self.serve = serve
        self.buffer = b""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.serve(self)
        except Exception as error:  # pylint: disable=broad-except
            self.error = repr(error)

    def wait(self):
        """Until there is something to read."""
        assert select.select([self.ours], [], [], proof.DEADLINE)[0], "nothing comes"

    def line(self):
        while b"\n" not in self.buffer:
            self.wait()
            self.buffer += os.read(self.ours, 65536)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def say(self, text):
        os.write(self.ours, text)

    def close(self):
        self.thread.join(proof.DEADLINE)
        os.close(self.theirs)
        os.close(self.ours)
        assert not self.error and not self.thread.is_alive(), self.error


class Serial(proof.Proof):
    """socket.serial:"""

    modules = ("socket.serial",)

    def terminals(self, n, serve):
        """The paths of so many."""
        paths = []
        for _ in range(n):
            terminal = Terminal(serve)
            self.addCleanup(terminal.close)
            paths.append(terminal.path)
        return paths

    def test_together(self):
        """5 fibers ask 5 devices, and no device answers before all have been asked"""
        gate, pieces = proof.Gate(N), (b"ans", b"wer %d\n01234", b"56789", b"a prefix\n")

        def serve(terminal):
            number = int(terminal.line().split()[1])
            assert gate.wait(), "asked one after the other"
            for piece in pieces:
                terminal.say(piece.replace(b"%d", b"%d" % number))

        self.run_client("serial.lua", "together", *self.terminals(N, serve),
                        expected=[f"{N} answers"])

    def test_big(self):
        """5 fibers send more than a device keeps, and nothing is read before all have begun"""
        gate = proof.Gate(N)

        def serve(terminal):
            terminal.wait()
            assert gate.wait(), "sent one after the other"
            assert len(terminal.line()) == BIG - 1
            terminal.say(b"whole\n")

        self.run_client("serial.lua", "big", *self.terminals(N, serve),
                        expected=[f"{N} of {BIG}"])

    def test_waits(self):
        """waits end by time-outs, interruption and close, and lose nothing"""

        def serve(terminal):
            terminal.say(terminal.line() + b"\n")

        self.run_client("serial.lua", "waits", *self.terminals(1, serve),
                        expected=["time-outs", "interrupted", "closed", "errors"])


class SerialInStock(proof.InStock, Serial):
    """socket.serial in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
