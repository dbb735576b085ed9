#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""README.md keeps its word: its examples run as they stand, what it names is there.

    readme.py [Readme|Stock]...     unittest; meson test sets THRUM and Lua's paths
    readme.py --print LANGUAGE      the first example in that language
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
DEADLINE = 20  # seconds; more means never


def examples(language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no example in {language}"
    return found


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start(test, *command):
    """A program that is gone when the test ends, whatever happens."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def end():
        process.kill()
        process.communicate()

    test.addCleanup(end)
    return process


def script(test, text):
    file = tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8")
    test.addCleanup(file.close)
    file.write(text)
    file.flush()
    return file.name


def converse(message, port, is_over):
    """Send until an answer comes: the service may not listen yet."""
    deadline = time.monotonic() + DEADLINE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.1)
        while time.monotonic() < deadline and not is_over():
            try:
                sock.send(message)
                return sock.recv(65535)
            except ConnectionRefusedError:
                time.sleep(0.02)
            except socket.timeout:
                pass
    return None


class Readme(unittest.TestCase):
    def test_first_example(self):
        """The first example sends a datagram back and ends."""
        text, port = examples("lua")[0], free_port()
        self.assertEqual(text.count("1234"), 1)
        program = start(self, os.environ["THRUM"], script(self, text.replace("1234", str(port))))
        answer = converse(b"to be sent back", port, lambda: program.poll() is not None)
        output = program.communicate(timeout=DEADLINE)[0] if answer else "no answer"
        self.assertEqual((answer, program.poll(), output), (b"to be sent back", 0, ""))

    def test_fibers(self):
        """The second example's fibers take turns."""
        program = start(self, os.environ["THRUM"], script(self, examples("lua")[1]))
        lines = program.communicate(timeout=DEADLINE)[0].split("\n")
        self.assertEqual(program.returncode, 0, lines)
        expected = ["fast is done", "fast\t1", "fast\t2", "fast\t3", ""]
        expected += ["slow is done", "slow\t1", "slow\t2", "slow\t3"]
        self.assertEqual(sorted(lines), sorted(expected))
        self.assertEqual(lines[-2], "slow is done")

    def test_commands(self):
        """Each develop command it names is one."""
        develop = TOP / "develop"
        told = subprocess.run([develop], capture_output=True, text=True, timeout=DEADLINE)
        known = set(re.findall(r"^  ([a-z]+) ", told.stdout, re.MULTILINE))
        named = set(re.findall(r"\./develop ([a-z]+)", README))
        self.assertLessEqual({"run", "test"}, named)
        self.assertLessEqual(named, known)

    def test_files(self):
        """Each file that it links to or runs is there."""
        text = re.sub(r"<!--.*?-->", "", README, flags=re.DOTALL)
        paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
        paths += re.findall(r"\./develop run (doc/\S+)", text)
        self.assertGreater(len(paths), 1)
        self.assertEqual([path for path in paths if not (TOP / path).exists()], [])


    def test_other_libraries(self):
        """The examples with other libraries' names print what their comments say."""
        for name in ("socket", "dgram"):
            with self.subTest(name):
                text = next(text for text in examples("lua") if f'"{name}"' in text)
                program = start(self, os.environ["THRUM"], script(self, text))
                output = program.communicate(timeout=DEADLINE)[0]
                expected = re.findall(r"--> (.*)", text)
                self.assertEqual((program.returncode, output.splitlines()), (0, expected))


class Stock(unittest.TestCase):
    def test_stock(self):
        """The stock interpreter's example prints what its comments say."""
        lua = os.environ.get("LUA") or shutil.which("lua5.3")
        if not lua:
            print("cannot run: lua5.3 is not installed")
            sys.exit(77)
        text = next(text for text in examples("lua") if 'require "thrum"' in text)
        program = start(self, lua, script(self, text))
        output = program.communicate(timeout=DEADLINE)[0]
        expected = re.findall(r"--> (.*)", text)
        self.assertEqual((program.returncode, output.splitlines()), (0, expected))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--print"]:
        sys.stdout.write(examples(sys.argv[2])[0])
    else:
        unittest.main(verbosity=2)
