# SPDX-License-Identifier: BSL-1.0
"""dgram between hosts: broadcast and multicast over real interfaces.

The hosts are network namespaces, joined by veth pairs and bridges; all of it is made here and gone
with the test. Network A has hosts 1, 2 and 3, network B has hosts 3 and 4:

    host 1 --+-- A --+-- host 3 --+-- B --+-- host 4
    host 2 --+

Where namespaces are refused nothing can run here; test/lua/dgram_*.lua have what loopback can show.
"""

import os
import shutil
import subprocess
import sys
import time
import unittest

import peer

INSIDE = "THRUM_TEST_INSIDE"
PORT = 5007

# Prints what comes until it has been told "end" by `ends` senders.
RECEIVER = """
local dgram = require "dgram"
io.stdout:setvbuf("line")
local ends = {ends}
local socket = dgram.createSocket {{type = "{type}", reuseAddr = true}}
socket:on("message", function(msg, rinfo)
    if msg ~= "end" then
        print(msg .. " from " .. rinfo.address)
        {on_message}
        return
    end
    ends = ends - 1
    if ends == 0 then
        socket:close()
    end
end)
socket:bind({port}, function()
    {setup}
    print("ready")
end)
"""

# Sends, and then "end" to each of the addresses.
SENDER = """
local dgram = require "dgram"
local socket = dgram.createSocket("{type}")
socket:on("error", function(err) print(err.errno) end)
socket:bind(0, function()
    {send}
    for _, address in ipairs {{{ends}}} do
        socket:send("end", {port}, address)
    end
    socket:close()
end)
"""

# A number as a datagram of 1,200 bytes.
LARGE = """
local function large(i)
    return i .. (" "):rep(1200 - #tostring(i))
end
"""


def command(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=peer.DEADLINE)


class Host:
    """A network namespace that lives as long as a process of ours."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + peer.DEADLINE
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == own:
            if time.monotonic() > deadline:
                raise AssertionError("no namespace")
            time.sleep(0.001)
        # An address is not to be tentative for a second.
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad || true")
        self.run("ip", "link", "set", "lo", "up")

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    def words(self, *words):
        return ["nsenter", "-t", str(self.process.pid), "-n", *words]

    def run(self, *words):
        command(*self.words(*words))

    def plug_in(self, interface, bridge, addresses):
        """Connects it to a bridge: one end of a veth pair moves here."""
        outside = f"{bridge}{self.process.pid}"
        command("ip", "link", "add", outside, "type", "veth", "peer", "name", "inside")
        command("ip", "link", "set", outside, "master", bridge, "up")
        command("ip", "link", "set", "inside", "netns", str(self.process.pid))
        self.run("ip", "link", "set", "inside", "name", interface)
        self.run("ip", "link", "set", interface, "up")
        for address in addresses:
            more = ["nodad"] if ":" in address else ["brd", "+"]
            self.run("ip", "addr", "add", address, "dev", interface, *more)

    def send(self, send, ends, type="udp4", port=PORT):
        """Runs a sender to its end; what it printed."""
        chunk = SENDER.format(send=send, type=type, port=port,
                              ends=", ".join(f'"{address}"' for address in ends))
        done = peer.run(*self.words(peer.thrum(), "-e", chunk))
        assert done.returncode == 0 and done.stderr == "", done
        return done.stdout.splitlines()


class Receiver:
    """A program that receives on a host; ready when it has been made."""

    def __init__(self, host, setup="", ends=1, type="udp4", on_message="", port=PORT):
        chunk = RECEIVER.format(setup=setup, ends=ends, type=type, on_message=on_message, port=port)
        self.process = subprocess.Popen(host.words(peer.thrum(), "-e", chunk), text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line == "ready\n", line

    def lines(self):
        """What it heard until the end."""
        output, _ = self.process.communicate(timeout=peer.DEADLINE)
        assert self.process.returncode == 0
        return output.splitlines()


class Between(unittest.TestCase):
    """dgram between hosts:"""

    @classmethod
    def setUpClass(cls):
        command("ip", "link", "set", "lo", "up")
        for bridge in ("neta", "netb"):
            command("ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
            command("ip", "link", "set", bridge, "up")
        cls.hosts = [None] + [cls.new_host() for _ in range(4)]
        places = [(1, "eth0", "neta", "10.77.1.1", "fd77:1::1"),
                  (2, "eth0", "neta", "10.77.1.2", "fd77:1::2"),
                  (3, "eth0", "neta", "10.77.1.3", "fd77:1::3"),
                  (3, "eth1", "netb", "10.77.2.3", "fd77:2::3"),
                  (4, "eth0", "netb", "10.77.2.4", "fd77:2::4")]
        for number, interface, bridge, v4, v6 in places:
            cls.hosts[number].plug_in(interface, bridge, [f"{v4}/24", f"{v6}/64"])
        for host in cls.hosts[1:]:
            host.run("ip", "route", "add", "default", "dev", "eth0")

    @classmethod
    def new_host(cls):
        host = Host()
        cls.addClassCleanup(host.end)
        return host

    def receive(self, number, *setup, **options):
        receiver = Receiver(self.hosts[number], *setup, **options)
        self.addCleanup(receiver.process.stdout.close)
        self.addCleanup(receiver.process.wait)
        self.addCleanup(receiver.process.kill)
        return receiver

    def test_unicast(self):
        """a datagram goes from host to host, and back to where it came from"""
        two = self.receive(2, on_message='socket:send("an answer", rinfo.port, rinfo.address)')
        done = peer.run(*self.hosts[1].words(peer.thrum(), "-e", f'''
            local socket = require("dgram").createSocket("udp4")
            socket:on("message", function(msg, rinfo)
                print(msg .. " from " .. rinfo.address)
                socket:send("end", {PORT}, "10.77.1.2")
                socket:close()
            end)
            socket:send("a question", {PORT}, "10.77.1.2")'''))
        self.assertEqual(done.stdout, "an answer from 10.77.1.2\n")
        self.assertEqual(two.lines(), ["a question from 10.77.1.1"])

    def test_broadcast(self):
        """a broadcast reaches every host of the network once it is allowed, and no other network"""
        two, three, four = self.receive(2), self.receive(3, ends=2), self.receive(4)
        said = self.hosts[1].send(f'''
            socket:send("not allowed", {PORT}, "10.77.1.255", function(err) print(err.errno) end)
            socket:setBroadcast(true)
            socket:send("to the network", {PORT}, "10.77.1.255")
            socket:send("to everybody", {PORT}, "255.255.255.255")
            ''', ["10.77.1.2", "10.77.1.3"])
        self.assertEqual(said, ["EACCES"])
        self.hosts[3].send("", ["10.77.1.3", "10.77.2.4"])
        heard = ["to the network from 10.77.1.1", "to everybody from 10.77.1.1"]
        self.assertEqual(two.lines(), heard)
        self.assertEqual(three.lines(), heard)
        self.assertEqual(four.lines(), [])

    def test_membership(self):
        """a group's datagrams reach its members on other hosts, and nobody else"""
        two = self.receive(2, 'socket:addMembership("239.77.0.1")')
        three = self.receive(3)
        self.hosts[1].send(f'socket:send("to the group", {PORT}, "239.77.0.1")',
                           ["10.77.1.2", "10.77.1.3"])
        self.assertEqual(two.lines(), ["to the group from 10.77.1.1"])
        self.assertEqual(three.lines(), [])

    def test_drop(self):
        """a member that drops its membership, inside a listener, hears no more"""
        two = self.receive(2, 'socket:addMembership("239.77.0.2")',
                           on_message='socket:dropMembership("239.77.0.2")', ends=2)
        send = f'socket:send("{{}}", {PORT}, "239.77.0.2")'
        self.hosts[1].send(send.format("the first"), ["10.77.1.2"])
        self.assertEqual(two.process.stdout.readline(), "the first from 10.77.1.1\n")
        self.hosts[1].send(send.format("the second"), ["10.77.1.2"])
        self.assertEqual(two.lines(), [])

    def test_membership_of_one(self):
        """without an interface a host with two networks joins on one: the system's choice"""
        three = self.receive(3, 'socket:addMembership("239.77.0.3")', ends=2)
        send = f'socket:send("hello", {PORT}, "239.77.0.3")'
        self.hosts[1].send(send, ["10.77.1.3"])
        self.hosts[4].send(send, ["10.77.2.3"])
        self.assertEqual(three.lines(), ["hello from 10.77.1.1"])

    def test_membership_of_all(self):
        """'*' joins every interface that can, so both networks are heard; and leaves them"""
        three = self.receive(3, 'socket:addMembership("239.77.0.4", "*")', ends=4,
                             on_message='if msg == "leave" then '
                                        'socket:dropMembership("239.77.0.4", "*") end')
        send = f'socket:send("{{}}", {PORT}, "239.77.0.4")'
        self.hosts[1].send(send.format("hello"), ["10.77.1.3"])
        self.hosts[4].send(send.format("leave"), ["10.77.2.3"])
        for _ in range(2):
            three.process.stdout.readline()
        self.hosts[1].send(send.format("too late"), ["10.77.1.3"])
        self.hosts[4].send(send.format("too late"), ["10.77.2.3"])
        self.assertEqual(three.lines(), [])

    def test_membership_by_interface(self):
        """an interface given by address, name and index is the one that is joined"""
        for interface in ('"10.77.2.3"', '"eth1"', "index"):
            three = self.receive(3, f'''
                local index = require("ip").address.new("fe80::1%eth1").scope_id
                socket:addMembership("239.77.0.5", {interface})''', ends=2)
            send = f'socket:send("hello", {PORT}, "239.77.0.5")'
            self.hosts[1].send(send, ["10.77.1.3"])
            self.hosts[4].send(send, ["10.77.2.3"])
            self.assertEqual(three.lines(), ["hello from 10.77.2.4"], interface)

    def test_multicast_interface(self):
        """setMulticastInterface says which network a host with two sends to"""
        for interface, heard in (('"10.77.2.3"', 4), ('"eth1"', 4), ('"10.77.1.3"', 1)):
            one = self.receive(1, 'socket:addMembership("239.77.0.6")')
            four = self.receive(4, 'socket:addMembership("239.77.0.6")')
            self.hosts[3].send(f'''
                socket:setMulticastInterface({interface})
                socket:send("hello", {PORT}, "239.77.0.6")''', ["10.77.1.1", "10.77.2.4"])
            lines = {1: one.lines(), 4: four.lines()}
            sender = {1: "hello from 10.77.1.3", 4: "hello from 10.77.2.3"}
            self.assertEqual(lines, {n: [sender[n]] if n == heard else [] for n in lines})

    def test_loopback_and_ttl(self):
        """setMulticastLoopback(false) leaves the own host out, setMulticastTTL(0) all others"""
        one = self.receive(1, 'socket:addMembership("239.77.0.7")')
        two = self.receive(2, 'socket:addMembership("239.77.0.7")')
        self.hosts[1].send(f'''
            socket:setMulticastLoopback(false)
            socket:send("to others", {PORT}, "239.77.0.7")
            socket:setMulticastLoopback(true)
            socket:setMulticastTTL(0)
            socket:send("to itself", {PORT}, "239.77.0.7")
            socket:setMulticastTTL(1)
            socket:send("to all", {PORT}, "239.77.0.7")''', ["10.77.1.1", "10.77.1.2"])
        self.assertEqual(one.lines(), ["to itself from 10.77.1.1", "to all from 10.77.1.1"])
        self.assertEqual(two.lines(), ["to others from 10.77.1.1", "to all from 10.77.1.1"])

    def test_source(self):
        """a member of one source hears that source only, until it drops it"""
        three = self.receive(3, 'socket:addSourceSpecificMembership("10.77.1.1", "232.77.0.1")',
                             ends=3)
        send = f'socket:send("hello", {PORT}, "232.77.0.1")'
        self.hosts[2].send(send, ["10.77.1.3"])
        self.hosts[1].send(send, ["10.77.1.3"])
        self.hosts[2].send(send, ["10.77.1.3"])
        self.assertEqual(three.lines(), ["hello from 10.77.1.1"])
        three = self.receive(3, '''
            socket:addSourceSpecificMembership("10.77.1.1", "232.77.0.2", "10.77.1.3")
            socket:addSourceSpecificMembership("10.77.1.2", "232.77.0.2", "10.77.1.3")
            socket:dropSourceSpecificMembership("10.77.1.1", "232.77.0.2", "10.77.1.3")''', ends=2)
        send = f'socket:send("hello", {PORT}, "232.77.0.2")'
        self.hosts[1].send(send, ["10.77.1.3"])
        self.hosts[2].send(send, ["10.77.1.3"])
        self.assertEqual(three.lines(), ["hello from 10.77.1.2"])

    def slow_down(self, number):
        """From now on that host's link takes 100 datagrams of 1,200 bytes a second or so."""
        host = self.hosts[number]
        tried = subprocess.run(host.words("tc", "qdisc", "add", "dev", "eth0", "root", "tbf",
                                          "rate", "2mbit", "burst", "5kb", "latency", "10s"),
                               capture_output=True, text=True, timeout=peer.DEADLINE)
        if tried.returncode != 0:
            self.skipTest(f"no slow link here: {tried.stderr.strip()}")
        self.addCleanup(host.run, "tc", "qdisc", "del", "dev", "eth0", "root")

    def test_drain(self):
        """on a slow link sends wait in the queue, drain comes, and nothing is dropped or mixed up"""
        self.slow_down(1)
        two = self.receive(2)
        done = peer.run(*self.hosts[1].words(peer.thrum(), "-e", LARGE + f'''
            local dgram = require "dgram"
            local socket = dgram.createSocket {{type = "udp4", sendBufferSize = 5000,
                sendQueueCount = 10}}
            local i, n_drains, n_sent, longest = 0, 0, 0, 0
            socket:on("drain", function() n_drains = n_drains + 1 end)
            local function callback(err, length)
                assert(not err and length == 1200, err)
                n_sent = n_sent + 1
            end
            local function more()
                while i < 100 do
                    i = i + 1
                    local is_free = socket:send(large(i), {PORT}, "10.77.1.2", callback)
                    longest = math.max(longest, socket:getSendQueueCount())
                    assert(socket:getSendQueueCount() <= 10)
                    if not is_free then
                        socket:once("drain", more)
                        return
                    end
                end
                socket:send("end", {PORT}, "10.77.1.2")
                socket:close(function()
                    assert(n_sent == 100 and longest == 10)
                    print(n_drains > 3 and "drained" or n_drains)
                end)
            end
            more()'''))
        self.assertEqual(done.stdout + done.stderr, "drained\n")
        numbers = [line.split(" from ")[0].strip() for line in two.lines()]
        self.assertEqual(numbers, [str(i) for i in range(1, 101)])

    def test_refusal(self):
        """on a slow link a program that does not wait is refused, loudly, and memory is bounded"""
        self.slow_down(1)
        two = self.receive(2)
        done = peer.run(*self.hosts[1].words(peer.thrum(), "-e", LARGE + f'''
            local dgram = require "dgram"
            local socket = dgram.createSocket {{type = "udp4", sendBufferSize = 5000,
                sendQueueCount = 10}}
            local n_refused, n_events = 0, 0
            socket:on("error", function(err)
                assert(err.errno == "ENOBUFS")
                n_events = n_events + 1
            end)
            for i = 1, 100 do
                if not socket:send(large(i), {PORT}, "10.77.1.2") then
                    n_refused = n_refused + 1
                end
            end
            assert(socket:getSendQueueCount() == 10 and socket:getSendQueueSize() == 12000)
            socket:once("drain", function()
                socket:send("end", {PORT}, "10.77.1.2")
                socket:close(function() print(100 - n_events, n_refused - n_events) end)
            end)'''))
        n_sent, n_told = map(int, done.stdout.split())
        self.assertEqual(len(two.lines()), n_sent)
        self.assertEqual(n_told, 1) # the one that filled the queue was taken
        self.assertLess(n_sent, 60)

    def test_answers_on_a_slow_link(self):
        """answers to a flood that the link does not take at once wait, and none is lost"""
        self.slow_down(1)
        one = subprocess.Popen(self.hosts[1].words(peer.thrum(), "-e", LARGE + f'''
            local dgram = require "dgram"
            local socket = dgram.createSocket {{type = "udp4", sendBufferSize = 5000}}
            socket:on("message", function(msg, rinfo)
                if msg == "end" then
                    return socket:close()
                end
                socket:send(large(msg), rinfo.port, rinfo.address)
            end)
            socket:bind({PORT})
            print("ready")
            io.stdout:flush()'''), stdout=subprocess.PIPE, text=True)
        self.addCleanup(one.stdout.close)
        self.addCleanup(one.wait)
        self.addCleanup(one.kill)
        self.assertEqual(one.stdout.readline(), "ready\n")
        done = peer.run(*self.hosts[2].words(peer.thrum(), "-e", f'''
            local socket = require("dgram").createSocket("udp4")
            local count = 0
            socket:on("message", function(msg)
                count = count + 1
                assert(tonumber(msg) == count, msg)
                if count == 60 then
                    socket:send("end", {PORT}, "10.77.1.1")
                    socket:close(function() print(count) end)
                end
            end)
            for i = 1, 60 do
                socket:send(tostring(i), {PORT}, "10.77.1.1")
            end'''))
        self.assertEqual(done.stdout + done.stderr, "60\n")
        self.assertEqual(one.wait(peer.DEADLINE), 0)

    def test_v6(self):
        """the same over IPv6: members, '*', and an interface by its zone"""
        three = self.receive(3, 'socket:addMembership("ff15::77", "*")', ends=2, type="udp6")
        send = f'socket:send("hello", {PORT}, "ff15::77")'
        self.hosts[1].send(f'socket:setMulticastInterface("::%eth0") {send}', ["fd77:1::3"], "udp6")
        self.hosts[4].send(f'socket:setMulticastInterface("eth0") {send}', ["fd77:2::3"], "udp6")
        self.assertEqual(three.lines(), ["hello from fd77:1::1", "hello from fd77:2::4"])
        three = self.receive(3, 'socket:addMembership("ff15::78", "::%eth1")', ends=2, type="udp6")
        send = f'socket:send("hello", {PORT}, "ff15::78")'
        self.hosts[1].send(f'socket:setMulticastInterface("eth0") {send}', ["fd77:1::3"], "udp6")
        self.hosts[4].send(f'socket:setMulticastInterface("eth0") {send}', ["fd77:2::3"], "udp6")
        self.assertEqual(three.lines(), ["hello from fd77:2::4"])

    def test_zone(self):
        """a link-local sender's zone is given, and the answer finds its way back"""
        two = self.receive(2, 'socket:addMembership("ff02::77", "eth0")', type="udp6",
                           on_message='socket:send("an answer", rinfo.port, rinfo.address)')
        done = peer.run(*self.hosts[1].words(peer.thrum(), "-e", f'''
            local socket = require("dgram").createSocket("udp6")
            socket:on("message", function(msg, rinfo)
                print(msg .. " from " .. rinfo.address)
                socket:send("end", {PORT}, rinfo.address)
                socket:close()
            end)
            socket:send("a question", {PORT}, "ff02::77%eth0")'''))
        self.assertRegex(done.stdout, r"^an answer from fe80::[0-9a-f:]+%eth0\n$")
        self.assertRegex(two.lines()[0], r"^a question from fe80::[0-9a-f:]+%eth0$")


def enter():
    """Runs this script again in a namespace of its own, or says why that cannot be."""
    for name in ("unshare", "nsenter", "ip"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    tried = subprocess.run(words + ["sh", "-c", "ip link add neta type bridge && unshare -n true"],
                           capture_output=True, text=True, timeout=peer.DEADLINE)
    if tried.returncode != 0:
        return f"no network namespaces here: {tried.stderr.strip()}"
    os.execvpe(words[0], words + [sys.executable, __file__], {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    if INSIDE not in os.environ:
        print(f"cannot run: {enter()}")
        sys.exit(77)
    peer.main()
