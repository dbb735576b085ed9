# SPDX-License-Identifier: BSL-1.0
"""What the peer tests share: running an example program under thrum, and reporting.

Meson sets THRUM (the program) and THRUM_EXAMPLES (the directory of the example programs).
A case is a unittest method whose docstring is a sentence. Exit status: 0 all passed, 1 some
failed, 77 none failed but some could not run here.
"""

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

DEADLINE = 20  # seconds for one thing to happen; more means that it never will
LIFETIME = 110  # seconds after which a program is killed, whatever it does
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def thrum():
    return os.environ["THRUM"]


def example(name):
    return os.path.join(os.environ["THRUM_EXAMPLES"], name)


def need_program(name):
    if shutil.which(name) is None:
        raise unittest.SkipTest(f"{name} is not installed")


def need_family(family):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK[family], 0))
    except OSError as error:
        raise unittest.SkipTest(f"no loopback address {LOOPBACK[family]}: {error}") from error


def udp_socket(family=socket.AF_INET, timeout=DEADLINE):
    """A socket bound to a free port of the loopback address."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK[family], 0))
    sock.settimeout(timeout)
    return sock


def run(*command, text=True, timeout=DEADLINE):
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=timeout
    )


def content(file):
    """What a program has written to a file that it has open: reading moves no place of writing."""
    return os.pread(file.fileno(), 1 << 24, 0).decode(errors="replace")


class Server:
    """An example program that prints "listening on ADDRESS port N" and serves until stopped."""

    def __init__(self, script, *arguments):
        # Freed memory that an address sanitizer holds back must not look like a leak.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [thrum(), example(script), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, "ASAN_OPTIONS": sanitizer.lstrip(":")},
        )
        self.killer = threading.Timer(LIFETIME, self.process.kill)
        self.killer.daemon = True
        self.killer.start()
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            words = self.line().split()
            assert words[:2] == ["listening", "on"] and words[3] == "port", words
            self.endpoint = (words[2].strip("[]"), int(words[4]))
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.killer.cancel()
            self.reader.join()
            raise
        self.host, self.port = self.endpoint

    def _read(self):
        with self.process.stdout as stdout:
            for line in stdout:
                self.lines.put(line.decode(errors="replace").rstrip("\n"))
        self.lines.put(None)

    def _errors(self):
        return content(self.stderr)

    def line(self):
        """The next line that the program prints."""
        try:
            line = self.lines.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError("the program printed nothing") from None
        if line is None:
            raise AssertionError(f"the program ended; its stderr: {self._errors()!r}")
        return line

    def line_with(self, text):
        """The next line that the program prints and that contains `text`."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            line = self.line()
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r}")

    def descriptors(self):
        """How many descriptors the program has open; None where the system does not tell."""
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        except OSError:
            return None

    def resident_kib(self):
        """Its resident memory in KiB; None where the system does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
                return next(int(l.split()[1]) for l in status if l.startswith("VmRSS:"))
        except (OSError, StopIteration):
            return None

    def stop(self, number=signal.SIGTERM, status=None):
        """Ends the program by a signal: by dying of it, or with `status`.

        It must have run until now, and have complained about nothing.
        """
        early = self.process.poll()
        self.process.send_signal(number)
        self.end(early, -number if status is None else status)

    def end(self, early, status):
        """Waits for the end of the program, which has been told."""
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.killer.cancel()
        self.reader.join()
        errors = self._errors()
        self.stderr.close()
        assert early is None, f"the program ended by itself with status {early}: {errors}"
        assert self.process.returncode == status, self.process.returncode
        assert errors == "", f"the program wrote to stderr: {errors}"


class Case(unittest.TestCase):
    """A group of cases that share one server: `script` with `arguments()`."""

    script = None
    family = socket.AF_INET

    @classmethod
    def arguments(cls):
        return (LOOPBACK[cls.family], 0)

    @classmethod
    def setUpClass(cls):
        need_family(cls.family)
        cls.server = Server(cls.script, *cls.arguments())
        cls.addClassCleanup(cls.server.stop)


class Report(unittest.TestResult):
    """One line for each case: its sentence and how it went."""

    def __init__(self):
        super().__init__()
        self.n_passed = 0

    @staticmethod
    def _sentence(test):
        if not isinstance(test, unittest.TestCase):
            return str(test)  # the set-up of a group
        return f"{type(test).__doc__} {test.shortDescription()}"

    def _say(self, word, test, detail=""):
        print(f"{word:7}{self._sentence(test)}{detail}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.n_passed += 1
        self._say("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._say("FAILED", test, "\n" + self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._say("FAILED", test, "\n" + self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test, f": {reason}")


def main():
    for variable in ("THRUM", "THRUM_EXAMPLES"):
        if variable not in os.environ:
            print(f"cannot run: {variable} is not set; run this by meson test --suite peer")
            sys.exit(77)
    cases = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    report = Report()
    cases.run(report)
    n_failed = len(report.failures) + len(report.errors)
    summary = f"{report.n_passed} passed, {n_failed} failed"
    if report.skipped:
        summary += f", {len(report.skipped)} skipped"
    print(summary, flush=True)
    sys.exit(1 if n_failed else 77 if report.skipped else 0)
