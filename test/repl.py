#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The interactive session, through a pseudo-terminal.

usage: repl.py THRUM readline|plain

A case is a unittest method whose docstring is a sentence. Exit status: 0 all passed, 1 some failed,
77 there are no pseudo-terminals here.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

DEADLINE = 30  # seconds for one thing to happen; more means that it never will
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x07]")
CTRL_C, CTRL_D, UP, TAB = "\x03", "\x04", "\x1b[A", "\t"

THRUM, EDITOR = sys.argv[1:3] if len(sys.argv) > 2 else ("thrum", "plain")
needs_editor = unittest.skipUnless(EDITOR == "readline", "built without a line editor")


def environment(folder, **more):
    """What the program may see: nothing of the user's."""
    inputrc = os.path.join(folder, "inputrc")
    with open(inputrc, "w", encoding="utf-8") as file:
        file.write("set enable-bracketed-paste off\nset enable-meta-key off\n")
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("LUA", "THRUM", "XDG"))}
    kept.update(TERM="xterm", INPUTRC=inputrc, HOME=folder, LC_ALL="C.UTF-8")
    kept.update(more)
    return kept


class Terminal:
    """The program behind a terminal: what is typed, and what appears."""

    def __init__(self, *arguments, env):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execve(THRUM, [THRUM, *arguments], env)
            finally:
                os._exit(127)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.seen = ""  # what has appeared and has not been expected yet
        self.status = None

    def type(self, text):
        os.write(self.master, text.encode())

    def enter(self, line):
        self.type(line + "\n")

    def read(self, seconds):
        """Wait for more; False at the end."""
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            raise TimeoutError
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the program has gone
            return False
        self.seen += ESCAPES.sub("", data.decode(errors="replace"))
        return bool(data)

    def expect(self, pattern):
        """Wait until it appears, and go on behind it. What begins a line may also stand behind a
        prompt, when the line before was typed, and shown, ahead of that."""
        if pattern.startswith("\n"):
            pattern = "(?:\n|> )" + pattern[1:]
        until = time.monotonic() + DEADLINE
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            try:
                is_there = self.read(until - time.monotonic())
            except TimeoutError:
                is_there = False
            if not is_there and not re.search(pattern, self.seen):
                raise AssertionError(f"{pattern!r} did not appear in {self.seen!r}")

    def expect_nothing_of(self, pattern):
        """It has not appeared in what had not been expected yet."""
        if re.search(pattern, self.seen):
            raise AssertionError(f"{pattern!r} has appeared in {self.seen!r}")

    def finish(self):
        """Wait for the program's end; its exit status."""
        until = time.monotonic() + DEADLINE
        try:
            while self.read(until - time.monotonic()):
                pass
        except TimeoutError:
            self.kill()
            raise AssertionError(f"it goes on; last seen: {self.seen!r}") from None
        self.reap()
        return self.status

    def reap(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def close(self):
        self.kill()
        os.close(self.master)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def open(self, *arguments, **more):
        terminal = Terminal(*arguments, env=environment(self.folder, **more))
        self.addCleanup(terminal.close)
        return terminal

    def session(self, *arguments, **more):
        terminal = self.open(*arguments, **more)
        terminal.expect("> ")
        return terminal

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def pipe(self, text, *arguments):
        """Run with standard input from a pipe."""
        return subprocess.run([THRUM, *arguments], input=text, capture_output=True, text=True,
                              timeout=DEADLINE, check=False, env=environment(self.folder))


class Chunks(Case):
    def test_expressions(self):
        """An expression prints its values, a statement nothing."""
        session = self.session()
        session.enter("20 + 22")
        session.expect("\n42\n> ")
        session.enter("= 'a' .. 'b', nil")
        session.expect("\nab\tnil\n> ")
        session.enter("x = 6 * 7")
        session.enter("x")
        session.expect("\n42\n> ")

    def test_continuation(self):
        """An incomplete chunk goes on in the next line."""
        session = self.session()
        session.enter("for i = 1, 2 do")
        session.expect("\n>> ")
        session.enter("print('i is ' .. i)")
        session.expect("\n>> ")
        session.enter("end")
        session.expect("\ni is 1\ni is 2\n> ")
        session.enter("math.max(3,")
        session.expect("\n>> ")
        session.enter("5 + 5)")
        session.expect("\n10\n> ")

    def test_prompts(self):
        """_PROMPT and _PROMPT2 are the prompts."""
        session = self.session()
        session.enter("_PROMPT, _PROMPT2 = 'ask: ', 'more: '")
        session.expect("\nask: ")
        session.enter("do")
        session.expect("\nmore: ")
        session.enter("end")
        session.expect("\nask: ")

    def test_errors(self):
        """An error is shown with its traceback, and the session goes on."""
        session = self.session()
        session.enter("local function f() error('bo' .. 'om') end f()")
        session.expect("\nstdin:1: boom\nstack traceback:\n.*'error'")
        session.expect("> ")
        session.enter("x y")
        session.expect("stdin:1: syntax error near 'y'\n> ")
        session.enter("error({})")
        session.expect(r"\n\(error object is a table value\)\n")
        session.enter("error(setmetatable({}, {__tostring = function() return 'o' .. 'wn' end}))")
        session.expect("\nown\n")
        session.enter("print('still ' .. 'here')")
        session.expect("\nstill here\n> ")

    def test_print(self):
        """Values are printed by the global print, whose errors are told apart."""
        session = self.session()
        session.enter("plain = print; function print(v) plain('<' .. v .. '>') end")
        session.enter("1 + 1")
        session.expect("\n<2>\n> ")
        session.enter("{}")
        session.expect(r"\nerror calling 'print' \(.*concatenate.*\)\n> ")

    def test_main_fiber(self):
        """Each chunk is a main fiber of its own."""
        session = self.session()
        session.enter("id = this_fiber.id")
        session.enter("this_fiber.is_main, id ~= this_fiber.id")
        session.expect("\ntrue\ttrue\n> ")

    def test_end(self):
        """Ctrl-D ends the session with status 0, whatever goes on behind the prompt."""
        session = self.session()
        session.enter("spawn(function() time.sleep(1000) end):detach()")
        session.expect("> ")
        session.type(CTRL_D)
        self.assertEqual(session.finish(), 0)

    def test_exit(self):
        """os.exit ends the program with its status, from behind the prompt as well."""
        session = self.session()
        session.enter("spawn(function() time.sleep(0.1) os.exit(3) end):detach()")
        session.expect("\n> ")
        session.type("half")
        self.assertEqual(session.finish(), 3)
        flags = termios.tcgetattr(session.master)[3]
        self.assertEqual(flags & termios.ICANON, termios.ICANON)

    def test_cleanup_failure(self):
        """A cleanup handler that raises ends the program with status 1."""
        session = self.session()
        session.enter("scope(function() scope_cleanup_push(function() error('no') end) end)")
        session.expect("cleanup")
        self.assertEqual(session.finish(), 1)


class Fibers(Case):
    def test_behind(self):
        """Fibers go on while nothing is typed."""
        session = self.session()
        session.enter("n = 0; spawn(function() for i = 1, 3 do time.sleep(0.02)"
                      " print('ti' .. 'ck ' .. i) end end):detach()")
        session.expect("tick 1\n")
        session.expect("tick 2\n")
        session.expect("tick 3\n")

    def test_suspending_call(self):
        """A suspending call waits for its result while others run."""
        session = self.session()
        session.enter("ch = channel.new()")
        session.enter("spawn(function() time.sleep(0.02) print('sen' .. 'ding') ch:send(6 * 7) end)"
                      ":detach()")
        session.enter("ch:receive()")
        session.expect("sending\n")
        session.expect("\n?42\n> ")

    def test_deadlock(self):
        """A call that waits for what cannot come is an error, and lets go of what it has."""
        session = self.session()
        session.enter("m = mutex.new()")
        session.enter("scope(function() m:lock() scope_cleanup_push(function() m:unlock() end)"
                      " channel.new():receive() end)")
        session.expect("Every fiber waits")
        session.expect("> ")
        session.enter("time.sleep(0.01)")
        session.enter("'lock', m:try_lock()")
        session.expect("\nlock\ttrue\n")

    def test_uncaught_error(self):
        """The uncaught error of a background fiber appears above the prompt."""
        session = self.session()
        session.enter("spawn(function() time.sleep(0.3) error('bo' .. 'om') end):detach()")
        session.expect("> ")
        session.type("6 * 1")
        session.expect("6 \\* 1")
        session.expect("\n?thrum: uncaught error in fiber [0-9]+: stdin:1: boom\nstack traceback:\n")
        session.expect("> 6 \\* 1" if EDITOR == "readline" else "> ")
        session.enter("1")
        session.expect("\n66\n> ")

    def test_unkept_handle(self):
        """A fiber whose handle nobody has kept is reported although nothing is collected."""
        session = self.session()
        session.enter("collectgarbage('stop')")
        session.enter("spawn(function() time.sleep(0.02) error('bo' .. 'om') end)")
        session.expect("boom")

    @needs_editor
    def test_output(self):
        """What a background fiber prints does not spoil the line being typed."""
        session = self.session()
        session.enter("spawn(function() time.sleep(0.3) print('tic' .. 'ket') end):detach()")
        session.expect("> ")
        session.type("6 * 1")
        session.expect("\n?ticket\n> 6 \\* 1")
        session.enter("1")
        session.expect("\n66\n> ")

    def test_quit(self):
        """SIGQUIT shows the fibers above the prompt, when that was asked for."""
        session = self.session("-i", "--fibers-on-quit")
        session.enter("fib = spawn(fiber.named('sleep' .. 'er', time.sleep), 60)")
        session.expect("> ")
        session.type("1 + ")
        session.expect(r"1 \+ ")
        os.kill(session.pid, signal.SIGQUIT)
        session.expect(r'thrum: 1 fiber\n')
        session.expect(r'fiber \d+ "sleeper": waits in time.sleep, ')
        session.enter("41")
        session.expect("\n42\n")


class Interruption(Case):
    def test_sleep(self):
        """Ctrl-C interrupts the call, and not the session nor the next call."""
        session = self.session()
        session.enter("print('sle' .. 'eping') time.sleep(1000)")
        session.expect("\nsleeping\n")
        session.type(CTRL_C)
        session.expect("Fiber interrupted.*\n")
        session.expect("> ")
        session.enter("time.sleep(0.01) print('aw' .. 'ake')")
        session.expect("\nawake\n> ")

    def test_background(self):
        """Ctrl-C interrupts the call only: fibers behind the prompt go on."""
        session = self.session()
        session.enter("n = 0 spawn(function() while true do time.sleep(0.001) n = n + 1 end end)"
                      ":detach()")
        session.enter("print('sle' .. 'eping') time.sleep(1000)")
        session.expect("\nsleeping\n")
        session.type(CTRL_C)
        session.expect("Fiber interrupted.*\n")
        session.enter("before = n time.sleep(0.1) print('ticks', n > before)")
        session.expect("\nticks\ttrue\n> ")

    def test_loop(self):
        """Ctrl-C stops a chunk that computes for ever, in a coroutine and in a pcall, too."""
        session = self.session()
        for loop in ("while true do end",
                     "coroutine.wrap(function() while true do end end)()",
                     "while true do pcall(function() while true do end end) end"):
            session.enter("print('loo' .. 'ping') " + loop)
            session.expect("\nlooping\n")
            session.type(CTRL_C)
            session.expect("Fiber interrupted.*\n")
        session.enter("print('go' .. 'ing on')")
        session.expect("\ngoing on\n> ")

    def test_hog(self):
        """Ctrl-C twice stops a background fiber that lets nobody run."""
        session = self.session()
        session.enter("spawn(function() print('hog' .. 'ging') while true do end end):detach()")
        session.enter("time.sleep(0.01)")
        session.expect("hogging\n")
        session.type(CTRL_C)
        time.sleep(0.05)  # or the terminal makes one signal of two
        session.type(CTRL_C)
        session.expect("uncaught error in fiber [0-9]+: Fiber interrupted")
        session.enter("print('go' .. 'ing on')")
        session.expect("\ngoing on\n> ")

    def test_blocking_read(self):
        """Ctrl-C ends a blocking io.read of the chunk."""
        session = self.session()
        session.enter("print('rea' .. 'ding') io.read()")
        session.expect("\nreading\n")
        session.type(CTRL_C)
        session.expect("Fiber interrupted.*\n")
        session.enter("print('go' .. 'ing on')")
        session.expect("\ngoing on\n> ")

    def test_blocking_read_behind_the_prompt(self):
        """SIGINT at the prompt does not end a blocking read of a fiber behind it."""
        script = ("n=0; until read -r _ _ state _ < /proc/PID/stat; test $state = S -o $n = 100000;"
                  " do n=$((n + 1)); done; kill -INT PID; echo out")
        session = self.session()
        session.enter(f"script = ('{script}'):gsub('PID', math.tointeger(system.getpid()))")
        session.enter("spawn(function() print('re' .. 'ad', io.popen(script):read()) end):detach()")
        session.expect("read\tout\n")
        session.enter("print('go' .. 'ing on')")
        session.expect("\ngoing on\n> ")

    def test_half_typed(self):
        """Ctrl-C on a half typed line drops it, and a half typed chunk with it."""
        session = self.session()
        session.type("error('ha")
        session.expect("error\\('ha")
        session.type(CTRL_C)
        session.expect("\n> ")
        session.enter("print('al' .. 'ive')")
        session.expect("\nalive\n> ")
        session.enter("do")
        session.expect("\n>> ")
        session.type("error('x')")
        session.expect("error")
        session.type(CTRL_C)
        session.expect("\n> ")
        session.enter("'wh' .. 'ole'")
        session.expect("\nwhole\n> ")

    def test_again_and_again(self):
        """Ctrl-C at an empty prompt does nothing, however often."""
        session = self.session()
        for _ in range(5):
            session.type(CTRL_C)
            session.expect("\n> ")
        session.enter("40 + 2")
        session.expect("\n42\n> ")

    def test_disabled(self):
        """A call that has disabled interruption is interrupted when it restores it."""
        session = self.session()
        session.enter("this_fiber.disable_interruption() print('dea' .. 'f') time.sleep(0.3)"
                      " print('do' .. 'ne') this_fiber.restore_interruption() time.sleep(1000)")
        session.expect("\ndeaf\n")
        session.type(CTRL_C)
        session.expect("done\n")
        session.expect("Fiber interrupted.*\n> ")


class Lines(Case):
    @needs_editor
    def test_history(self):
        """Arrow-up recalls lines, those of an earlier session, too."""
        history = os.path.join(self.folder, "lines")
        session = self.session(THRUM_HISTORY=history)
        session.enter("x = 41")
        session.expect("\n> ")
        session.enter("x = x + 1 print('x is ' .. x)")
        session.expect("\nx is 42\n> ")
        session.type(UP + "\n")
        session.expect("\nx is 43\n> ")
        session.type(CTRL_D)
        self.assertEqual(session.finish(), 0)
        session = self.session(THRUM_HISTORY=history)
        session.type(UP + UP + "\n")
        session.expect("41\n> ")
        session.enter("x")
        session.expect("\n41\n> ")

    @needs_editor
    def test_history_file(self):
        """The history's folders are made for the user alone; without one there is no file."""
        session = self.session(XDG_STATE_HOME=os.path.join(self.folder, "deep", "state"))
        session.enter("x = 1")
        session.expect("\n> ")
        session.type(CTRL_D)
        self.assertEqual(session.finish(), 0)
        folder = os.path.join(self.folder, "deep", "state", "thrum")
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        path = os.path.join(folder, "history")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "x = 1\n")
        for where in ({"THRUM_HISTORY": ""}, {"THRUM_HISTORY": "/nowhere/at/all"}):
            session = self.session(**where)
            session.type(CTRL_D)
            self.assertEqual(session.finish(), 0)

    @needs_editor
    def test_history_bound(self):
        """The history's file keeps a thousand lines."""
        history = self.write("lines", "".join(f"y = {i}\n" for i in range(2000)))
        session = self.session(THRUM_HISTORY=history)
        session.enter("z = 1")
        session.expect("\n> ")
        session.type(CTRL_D)
        self.assertEqual(session.finish(), 0)
        with open(history, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual((len(lines), lines[0], lines[-1]), (1000, "y = 1001", "z = 1"))

    @needs_editor
    def test_completion(self):
        """Tab completes global names, thrum's modules and fields."""
        session = self.session()
        session.type("string.rep" + TAB + "('ab', 2)\n")
        session.expect("\nabab\n> ")
        session.type("this_fi" + TAB + ".is_main\n")
        session.expect("\ntrue\n> ")
        session.type("ip.address.loopback_v4" + TAB + "()\n")
        session.expect("\n127.0.0.1\n> ")
        session.enter("s = 'ab'")
        session.type("s:upp" + TAB + "()\n")
        session.expect("\nAB\n> ")

    @needs_editor
    def test_editing(self):
        """A line can be edited."""
        session = self.session()
        session.type("1 + 1\x01" + "40 + \n")  # Ctrl-A: to the line's beginning
        session.expect("\n42\n> ")

    def test_terminal_mode(self):
        """A chunk finds the terminal as the shell has it: io.read reads a line."""
        session = self.session()
        session.enter("print('re' .. 'ady') line = io.read()")
        session.expect("\nready\n")
        session.enter("some text")
        session.expect("> ")
        session.enter("#line, line")
        session.expect("\n9\tsome text\n> ")

    def test_many_lines_at_once(self):
        """Lines that come together are chunks one after the other."""
        session = self.session()
        session.type("a = 1\nb = 2\nfor i = 1, 2 do\n a = a + i\nend\nprint('sum', a + b)\n")
        session.expect("\nsum\t6\n> ")


class Options(Case):
    def test_after_script(self):
        """-i goes on after a script, whose globals and fibers stay."""
        script = self.write("script.lua", "name = ... spawn(function() time.sleep(0.05)"
                                          " print('from behi' .. 'nd') end):detach()")
        session = self.session("-i", script, "given")
        session.expect("from behind\n")
        session.enter("'name is ' .. name .. ' ' .. #arg")
        session.expect("\nname is given 1\n> ")

    def test_after_chunk(self):
        """-e and -i together: the chunk, then the prompt."""
        session = self.open("-e", "print 'first' x = 42", "-i")
        session.expect("thrum [0-9.]+  Lua 5.3\n")
        session.expect("first\n> ")
        session.enter("'x is ' .. x")
        session.expect("\nx is 42\n> ")

    def test_failing_script(self):
        """-i after a script that fails: no prompt, status 1."""
        session = self.open("-i", self.write("script.lua", "error('bo' .. 'om')"))
        session.expect("boom")
        session.expect_nothing_of("> ")
        self.assertEqual(session.finish(), 1)

    def test_pipe(self):
        """Without -i, a pipe is executed as a file."""
        result = self.pipe("print('a')\nprint(...)\nlocal x = 1\nprint(x)\n")
        self.assertEqual((result.returncode, result.stdout), (0, "a\n\n1\n"))

    def test_interactive_pipe(self):
        """With -i, a pipe's lines are chunks; its end is the session's."""
        result = self.pipe("x = 42\nx\nerror('boom')\n'last'", "-i")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^thrum .*\n> > 42\n> > last\n> \n$")
        self.assertIn("stdin:1: boom\nstack traceback", result.stderr)

    def test_interactive_file(self):
        """With -i, so are a file's, which the loop cannot wait for."""
        script = self.write("lines", "x = 42\ntime.sleep(0.01)\nx\n")
        with open(script, encoding="utf-8") as file:
            result = subprocess.run([THRUM, "-i"], stdin=file, capture_output=True, text=True,
                                    timeout=DEADLINE, check=False, env=environment(self.folder))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^thrum .*\n> > > 42\n> \n$")

    def test_no_input(self):
        """With -i and no input at all, the session ends at once."""
        result = subprocess.run([THRUM, "-i"], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=DEADLINE, check=False,
                                env=environment(self.folder))
        self.assertEqual((result.returncode, result.stderr), (0, ""))


def main():
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError as error:
        print(f"there are no pseudo-terminals: {error}")
        return 77
    result = unittest.TextTestRunner(verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 3 else __doc__)
