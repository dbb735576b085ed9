# SPDX-License-Identifier: BSL-1.0
"""How many system calls a call makes that may not wait: counted by strace.

The script of a case makes its calls between two marks, renames of files that are not there, which
strace shows. What the allocator asks for is left out."""

import os
import re
import tempfile
import unittest

import peer

N_CALLS = 20
# What memory takes, and what a sanitizer does when an error is thrown.
IGNORED = {"brk", "mmap", "munmap", "madvise", "mremap", "futex", "sigaltstack"}

PRELUDE = """
local ETIMEDOUT, buf = generic_error.ETIMEDOUT, byte_span.new(100)
local loopback = ip.address.loopback_v4()
local function times_out(f, ...)
    local ok, err = pcall(f, ...)
    assert(not ok and err == ETIMEDOUT, err)
end
-- A fiber of its own, which has not used up what it may do in a row.
local function count(call)
    local fiber = spawn(function()
        call()
        os.rename("/mark begin", "/mark")
        for _ = 1, N_CALLS do
            call()
        end
        os.rename("/mark end", "/mark")
    end)
    fiber:join()
end
local function udp()
    local sock = ip.udp.socket.new()
    sock:open "v4"
    sock:bind(loopback, 0)
    sock.timeout = 0
    return sock
end
local function listening()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open "v4"
    acceptor:bind(loopback, 0)
    acceptor:listen()
    acceptor.timeout = 0
    return acceptor
end
local function pair(kind)
    local a, b = unix[kind].socket.pair()
    a.timeout = 0
    return a, b
end
-- One that takes no more.
local function full(kind)
    local a, b = pair(kind)
    while pcall(a.send, a, ("x"):rep(10000)) do
    end
    return a, b
end
"""

# Sentence: how many system calls each call makes, and the script.
CASES = {
    "a receive of datagrams": (1, """
        local s = udp()
        count(function() times_out(s.receive, s, buf) end)"""),
    "a receive_from": (1, """
        local s = udp()
        count(function() times_out(s.receive_from, s, buf) end)"""),
    "a receive that follows one that waited": (1, """
        local s = udp()
        s.timeout = 0.001
        times_out(s.receive, s, buf)
        s.timeout = 0
        count(function() times_out(s.receive, s, buf) end)"""),
    "a receive beside one that waits": (0, """
        local s = udp()
        s.timeout = 10
        local waiting = spawn(function() s:receive(buf) end)
        this_fiber.yield()
        s.timeout = 0
        count(function() times_out(s.receive, s, buf) end)
        waiting:interrupt()"""),
    "a read_some": (1, """
        local a, b = pair 'stream'
        count(function() times_out(a.read_some, a, buf) end)"""),
    "a receive of records": (1, """
        local a, b = pair "seqpacket"
        count(function() times_out(a.receive, a, buf) end)"""),
    "a send that finds no room": (1, """
        local a, b = full 'stream'
        count(function() times_out(a.send, a, 'x') end)"""),
    "a send_to that finds no room": (1, """
        local a, b = unix.datagram.socket.new(), unix.datagram.socket.new()
        a:open()
        b:open()
        b:bind ""
        a.timeout = 0
        while pcall(a.send_to, a, "x", b.local_path) do
        end
        local path = b.local_path
        count(function() times_out(a.send_to, a, "x", path) end)"""),
    "a receive with descriptors": (1, """
        local a, b = pair "stream"
        count(function() times_out(a.receive_with_fds, a, buf, 1) end)"""),
    "a send with descriptors that finds no room": (1, """
        local a, b = full "stream"
        local fd = udp():release()
        count(function() times_out(a.send_with_fds, a, "x", {fd}) end)"""),
    "an accept": (1, """
        local a = listening()
        count(function() times_out(a.accept, a) end)"""),
    "a line of a reader": (1, """
        local a, b = pair "stream"
        local reader = stream.reader(a)
        count(function() times_out(reader.line, reader) end)"""),
    "stream.read_all": (1, """
        local a, b = pair "stream"
        count(function() times_out(stream.read_all, a, buf) end)"""),
    "stream.write_all": (1, """
        local a, b = full "stream"
        count(function() times_out(stream.write_all, a, "x") end)"""),
    "socket's receive from TCP": (1, """
        local server = assert(socket.bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        local client = assert(socket.connect("127.0.0.1", port))
        client:settimeout(0)
        count(function() assert(select(2, client:receive()) == "timeout") end)"""),
    "socket's receivefrom": (1, """
        local s = socket.udp4()
        s:setsockname("127.0.0.1", 0)
        s:settimeout(0)
        count(function() assert(select(2, s:receivefrom()) == "timeout") end)"""),
    "socket's select": (1, """
        local s = socket.udp4()
        s:setsockname("127.0.0.1", 0)
        count(function() assert(select(3, socket.select({s}, nil, 0)) == "timeout") end)"""),
    "a sleep of 0": (0, "count(function() time.sleep(0) end)"),
    "a sleep of 0 beside something that waits": (1, """
        local other = spawn(time.sleep, 100)
        count(function() time.sleep(0) end)
        other:interrupt()"""),
    "socket.sleep(0)": (0, "count(function() socket.sleep(0) end)"),
    "a wait for a timer that has expired": (0, """
        local timer = time.steady_timer.new()
        count(function() timer:wait() end)"""),
    "a select of channels, semaphores and timers": (0, """
        local timer = time.steady_timer.new()
        timer:expires_after(100)
        local ch, sem = channel.new(), semaphore.new(0)
        local function ask()
            assert(fiber.select {ch, {ch, 1}, sem, timer, timeout = 0} == nil)
        end
        count(ask)"""),
    "a call whose time is over already": (0, """
        local ch, m, sem = channel.new(), mutex.new(), semaphore.new(0)
        local other = spawn(function() m:lock() ch:receive() end)
        this_fiber.yield()
        count(function()
            times_out(time.with_timeout, 0, ch.receive, ch)
            times_out(time.with_timeout, 0, m.lock, m)
            times_out(time.with_timeout, 0, sem.acquire, sem)
            times_out(time.with_timeout, 0, other.join, other)
            times_out(time.with_timeout, 0, time.sleep, 1)
        end)
        ch:send(1)"""),
}


def system_calls(script):
    """The names of the system calls between the marks."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as trace:
        done = peer.run("strace", "-qq", "-o", trace.name, peer.thrum(), "-e",
                        PRELUDE.replace("N_CALLS", str(N_CALLS)) + script)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        text = trace.read()
    between = re.search(r'"/mark begin".*?\n(.*?)[^\n]*"/mark end"', text, re.DOTALL).group(1)
    names = [line.split("(")[0] for line in between.splitlines()]
    return [name for name in names if name not in IGNORED]


class SystemCalls(unittest.TestCase):
    """system calls:"""

    @classmethod
    def setUpClass(cls):
        peer.need_program("strace")
        # What looks for leaks wants to be the one that traces.
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        done = peer.run("strace", "-qq", "-o", os.devnull, "true")
        if done.returncode:
            raise unittest.SkipTest(f"nothing can be traced here: {done.stderr.strip()}")


def add_case(number, sentence, n_expected, script):
    def test(self):
        names = system_calls(script)
        self.assertEqual(len(names), n_expected * N_CALLS, " ".join(names))

    test.__doc__ = f"{sentence}, without a wait: {n_expected}"
    setattr(SystemCalls, f"test_{number:02}", test)


for n, (title, (n_calls, text)) in enumerate(CASES.items()):
    add_case(n, title, n_calls, text)


if __name__ == "__main__":
    peer.main()
