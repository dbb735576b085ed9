# SPDX-License-Identifier: BSL-1.0
"""Lookups against name servers of this test's own, in a mount and network namespace that it makes.

In there loopback is all there is, and resolv.conf, nsswitch.conf, hosts and services below /etc are
this test's. Where namespaces are refused it cannot run: what /etc/hosts is enough for is tested by
test/lua/ip_resolver.lua.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

import peer

A, CNAME, PTR, AAAA = 1, 5, 12, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
EXAMPLE_SERVER, OWN_SERVER = "127.0.0.1", "127.0.0.2"
INSIDE = "THRUM_TEST_IN_NAMESPACE"

# ---- the namespace ----


def refuse(why):
    print(f"cannot run here: {why}")
    sys.exit(77)


def enter_namespace():
    """Run this test again inside: does not return."""
    kinds = "-mn" if os.geteuid() == 0 else "-rmn"
    probe = shutil.which("unshare") and subprocess.run(
        ["unshare", kinds, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20
    )
    if not probe or probe.returncode:
        refuse("no namespaces of its own (unshare)")
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", kinds, sys.executable, *sys.argv])


class Namespace:
    """What a lookup depends on: loopback, and the files below /etc."""

    files = {
        "resolv.conf": "",
        "nsswitch.conf": "hosts: files dns\nservices: files\n",
        "hosts": "127.0.0.1 localhost\n192.0.2.99 in-hosts.test nickname\n",
        "services": "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\n",
    }

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        try:
            self.loopback_up()
            self.take_over_etc()
            if os.path.isdir("/run/nscd"):  # a cache would answer in place of our servers
                self.mount("-t", "tmpfs", "none", "/run/nscd")
        except (OSError, subprocess.SubprocessError) as error:
            refuse(error)

    def take_over_etc(self):
        """A copy, but for our own: not every machine has these files."""
        os.mkdir(self.path(""))
        subprocess.run(["cp", "-a", "/etc/.", self.path("")], capture_output=True, timeout=60,
                       check=False)  # all that we may read
        for name, text in self.files.items():
            if os.path.lexists(self.path(name)):
                os.unlink(self.path(name))
            self.write(name, text)
        self.mount("--bind", self.path(""), "/etc")

    def path(self, name):
        return os.path.join(self.directory.name, "etc", name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    @staticmethod
    def mount(*words):
        subprocess.run(["mount", *words], check=True, timeout=20)

    @staticmethod
    def loopback_up():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16sH14s", b"lo", 0x41, b"")  # IFF_UP, IFF_RUNNING
            fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS

    def ask_server(self, address):
        """From now on; the server's silence is waited for longer than any case may last."""
        options = "search test\noptions timeout:30 attempts:2\n"
        self.write("resolv.conf", f"nameserver {address}\n{options}")


# ---- a name server ----


def read_question(data):
    """The name and the type."""
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return ".".join(labels), struct.unpack_from(">H", data, at + 1)[0], data[12 : at + 5]


def wire_name(text):
    return b"".join(bytes([len(l)]) + l.encode() for l in text.split(".") if l) + b"\0"


def record(rtype, value):
    data = wire_name(value) if rtype in (CNAME, PTR) else socket.inet_pton(
        socket.AF_INET if rtype == A else socket.AF_INET6, value
    )
    return b"\xc0\x0c" + struct.pack(">HHIH", rtype, 1, 60, len(data)) + data


def reply(data, question, rcode, records):
    header = struct.pack(">HHHHHH", struct.unpack(">H", data[:2])[0], 0x8580 | rcode, 1,
                         len(records), 0, 0)
    return header + question + b"".join(records)


class NameServer:
    """Answers `names`; holds what begins with "held" until told; is silent about "silent".

    "asked-silent" is answered once "silent" has been asked for, so a client can wait for that.
    """

    names = {
        "quick.test": {A: ["192.0.2.1"], AAAA: ["2001:db8::1"]},
        "four.test": {A: ["192.0.2.4"]},
        "six.test": {AAAA: ["2001:db8::6"]},
        "local.test": {AAAA: ["fe80::1"]},
        "alias.test": {CNAME: ["quick.test"]},
        "1.2.0.192.in-addr.arpa": {PTR: ["quick.test"]},
        "asked-silent.test": {A: ["192.0.2.2"]},
    }

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((OWN_SERVER, 53))
        self.lock = threading.Lock()
        self.asked = []  # (name, type)
        self.waiting = []  # (data, sender) to be looked at again
        self.n_to_hold = 0  # names that begin with "held"
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self, n_to_hold=0):
        with self.lock:
            self.asked, self.waiting, self.n_to_hold = [], [], n_to_hold

    def questions(self):
        with self.lock:
            return list(self.asked)

    def n_held_names(self):
        return len({name for name, _ in self.asked if name.startswith("held")})

    def _serve(self):
        while True:
            data, sender = self.sock.recvfrom(4096)
            with self.lock:
                self.asked.append(read_question(data)[:2])
                again, self.waiting = [*self.waiting, (data, sender)], []
                for item in again:
                    self._answer(*item)

    def _answer(self, data, sender):
        name, rtype, question = read_question(data)
        is_asked = any(asked == "silent.test" for asked, _ in self.asked)
        is_held = name.startswith("held") and self.n_held_names() < self.n_to_hold
        if name == "silent.test" or is_held or (name == "asked-silent.test" and not is_asked):
            self.waiting.append((data, sender))
        else:
            self.sock.sendto(self._reply(data, name, rtype, question), sender)

    def _reply(self, data, name, rtype, question):
        if name == "broken.test":
            return reply(data, question, SERVFAIL, [])
        if name.startswith("held"):
            entry = {A: ["192.0.2.7"]}
        elif name in self.names:
            entry = self.names[name]
        else:
            return reply(data, question, NXDOMAIN, [])
        target = entry.get(CNAME)
        records = [record(CNAME, target[0])] if target else []
        found = self.names[target[0]] if target else entry
        values = [record(rtype, value) for value in found.get(rtype, [])]
        if target:  # they belong to another name than the question's
            values = [wire_name(target[0]) + value[2:] for value in values]
        return reply(data, question, NOERROR, records + values)


# ---- what runs under thrum ----

PRELUDE = """
local ip, time, fiber = require "ip", require "time", require "fiber"
local thrum = require "thrum"
local udp, tcp, flag = ip.udp, ip.tcp, ip.address_info_flag
local function show(results)
    local list = {}
    for i, entry in ipairs(results) do
        local name = entry.canonical_name and " " .. entry.canonical_name or ""
        list[i] = ip.tostring(entry.address, entry.port) .. name
    end
    table.sort(list) -- the order depends on routes, and there are none here
    print(table.concat(list, ", "))
end
"""


class Lookups(unittest.TestCase):
    """lookups:"""

    @classmethod
    def setUpClass(cls):
        namespace.ask_server(OWN_SERVER)

    def setUp(self):
        server.reset()

    def lua(self, chunk, program=None, status=0):
        """Run a chunk, which ends with that status; its output as lines."""
        command = program or [peer.thrum(), "-e"]
        done = peer.run(*command, PRELUDE + chunk)
        self.assertEqual((done.returncode, done.stderr if status == 0 else ""), (status, ""),
                         done.stderr)
        return done.stdout.splitlines()

    def test_found(self):
        """names have the addresses that the name server tells, of the families asked for"""
        lines = self.lua("""
            show(udp.get_address_info("quick.test", 53))
            show(udp.get_address_info("quick.test.", "53"))
            show(tcp.get_address_info("quick", 53))
            show(tcp.get_address_v4_info("quick.test", 53))
            show(udp.get_address_v6_info("quick.test", 53))
            show(udp.get_address_v6_info("four.test", 53, flag.v4_mapped))
            show(udp.get_address_info("six.test", "domain"))
            show(udp.get_address_info("local.test", 1))
            show(udp.get_address_v4_info("in-hosts.test", 1, flag.canonical_name))
            show(udp.get_address_v4_info("nickname", 1))
        """)
        both = "192.0.2.1:53, [2001:db8::1]:53"
        self.assertEqual(lines, [
            both, both, both, "192.0.2.1:53", "[2001:db8::1]:53", "[::ffff:192.0.2.4]:53",
            "[2001:db8::6]:53", "[fe80::1]:1", "192.0.2.99:1 in-hosts.test", "192.0.2.99:1",
        ])

    def test_families(self):
        """a lookup of one family asks for no other"""
        self.lua("""udp.get_address_v4_info("quick.test", 1)""")
        self.assertEqual(server.questions(), [("quick.test", A)])
        server.reset()
        self.lua("""udp.get_address_v6_info("quick.test", 1)""")
        self.assertEqual(server.questions(), [("quick.test", AAAA)])

    def test_canonical(self):
        """an alias leads to its canonical name, which is given when it is asked for"""
        lines = self.lua("""
            show(udp.get_address_info("alias.test", 1, flag.canonical_name))
            show(udp.get_address_v4_info("alias.test", 1))
        """)
        self.assertEqual(lines, [
            "192.0.2.1:1 quick.test, [2001:db8::1]:1 quick.test", "192.0.2.1:1",
        ])

    def test_names(self):
        """addresses have the names that the name server tells, or else their numbers"""
        lines = self.lua("""
            for _, text in ipairs {"192.0.2.1", "192.0.2.2", "192.0.2.99", "2001:db8::1"} do
                local names = tcp.get_name_info(ip.address.new(text), 54321)
                print(#names, names[1].host_name, names[1].service_name)
            end
        """)
        self.assertEqual(lines, [
            "1\tquick.test\t54321", "1\t192.0.2.2\t54321", "1\tin-hosts.test\t54321",
            "1\t2001:db8::1\t54321",
        ])

    def test_errors(self):
        """what the name server does not know is the resolver's error with its text"""
        lines = self.lua("""
            for _, name in ipairs {"nobody.test", "broken.test", "four.test"} do
                local ok, err = pcall(udp.get_address_v6_info, name, 53)
                print(ok, tostring(err.category), err.op, err.detail)
                print(err)
            end
        """)
        texts = [
            "Name or service not known", "Temporary failure in name resolution",
            "No address associated with hostname",
        ]
        for i, name in enumerate(["nobody.test", "broken.test", "four.test"]):
            self.assertEqual(lines[2 * i],
                             f"false\tresolver\tip.udp.get_address_v6_info\t{name}:53")
            self.assertTrue(lines[2 * i + 1].startswith(
                f"{texts[i]}: ip.udp.get_address_v6_info: {name}:53"), lines[2 * i + 1])

    def test_numbers(self):
        """the name server never hears of numbers, or of what could be no name"""
        self.lua("""
            for _, host in ipairs {
                "127.0.0.1", "::1", "127.1", "fe80::1%lo", "2001:db8::1%lo", "2001:db8::1%1",
                ip.address.new("192.0.2.77"), ip.address.loopback_v6(),
            } do
                udp.get_address_info(host, 53)
                tcp.get_address_info(host, "http")
                tcp.get_address_info(host, "80")
            end
            for _, host in ipairs {"::zz", "fe80::1%nosuch", "1:2", "[::1]", "a:b"} do
                assert(not pcall(udp.get_address_info, host, 53))
                assert(not pcall(udp.get_address_info, host, "domain"))
            end
            assert(not pcall(udp.get_address_info, "quick.test", 53, flag.numeric_host))
            assert(not pcall(udp.get_address_info, "quick.test", 70000))
            assert(not pcall(udp.get_address_info, "", 80))
            udp.get_address_info(nil, 53)
        """)
        self.assertEqual(server.questions(), [])

    def held(self, n):
        """As many fibers ask; the first answer comes when the last name has been asked for."""
        server.reset(n)
        lines = self.lua(f"""
            local fibers = {{}}
            for i = 1, {n} do
                fibers[i] = spawn(udp.get_address_v4_info, "held-" .. i .. ".test", i)
            end
            for i = 1, {n} do
                show(fibers[i]:join())
            end
        """)
        self.assertEqual(lines, [f"192.0.2.7:{i}" for i in range(1, n + 1)])
        self.assertEqual(len(server.questions()), n)

    def test_side_by_side(self):
        """ten lookups are under way at once"""
        self.held(10)

    def test_side_by_side_all(self):
        """as many lookups are under way at once as there may be threads"""
        self.held(32)

    def test_queue(self):
        """more lookups than threads all get their answers"""
        server.reset(32)
        lines = self.lua("""
            local fibers, n_found = {}, 0
            for i = 1, 300 do
                fibers[i] = spawn(udp.get_address_v4_info, "held-" .. i .. ".test", i)
            end
            for i = 1, 300 do
                n_found = n_found + #fibers[i]:join()
            end
            print(n_found)
        """)
        self.assertEqual(lines, ["300"])

    def test_local(self):
        """slow lookups do not keep those waiting that no name server is needed for"""
        server.reset(1000)  # nothing is answered
        lines = self.lua("""
            local this_fiber = require "this_fiber"
            local slow = {}
            for i = 1, 80 do
                slow[i] = spawn(pcall, udp.get_address_v4_info, "held-" .. i .. ".test", i)
            end
            this_fiber.yield()
            time.with_timeout(10, function()
                show(udp.get_address_v4_info("in-hosts.test", 1))
                show(tcp.get_address_info("NickName", 2, flag.canonical_name))
                print(udp.get_address_v4_info("localhost", 3)[1].port)
                print(tcp.get_address_info("192.0.2.7", "domain")[1].port)
                show(udp.get_address_v4_info("127.2", 4))
                print(udp.get_name_info("192.0.2.99", 53)[1].host_name)
            end)
            for _, fiber in ipairs(slow) do
                fiber:interrupt()
            end
        """)
        self.assertEqual(lines, ["192.0.2.99:1", "192.0.2.99:2 in-hosts.test", "3", "53",
                                 "127.0.0.2:4", "in-hosts.test"])

    def test_interrupt(self):
        """an interrupted lookup ends at once, and nobody else notices"""
        lines = self.lua("""
            local silent = spawn(udp.get_address_v4_info, "silent.test", 1)
            local other = spawn(udp.get_address_v4_info, "asked-silent.test", 2)
            show(other:join()) -- by now the system has asked for the first
            print(thrum.stats().operations)
            local neighbor = spawn(udp.get_address_v4_info, "quick.test", 3)
            this_fiber.yield()
            silent:interrupt()
            silent:join()
            print(silent.interruption_caught)
            show(neighbor:join())
            print(thrum.stats().operations)
        """)
        self.assertEqual(lines, ["192.0.2.2:2", "1", "true", "192.0.2.1:3", "0"])

    def test_timeout(self):
        """a lookup that takes too long times out, and the fiber goes on to the next"""
        lines = self.lua("""
            local ok, err = pcall(time.with_timeout, 0.05, udp.get_address_info, "silent.test", 1)
            print(ok, err == require "generic_error".ETIMEDOUT, err.detail)
            show(time.with_timeout(20, udp.get_address_v4_info, "quick.test", 2))
        """)
        self.assertEqual(lines, ["false\ttrue\tsilent.test:1", "192.0.2.1:2"])

    def test_list(self):
        """who looks at the fibers sees what is looked up"""
        lines = self.lua("""
            local silent = spawn(fiber.named("asks", udp.get_address_info), "silent.test", "53")
            udp.get_address_v4_info("asked-silent.test", 2)
            for _, entry in ipairs(fiber.list()) do
                if entry.name == "asks" then
                    print(entry.state, entry.waits_for)
                end
            end
            silent:interrupt()
        """)
        self.assertEqual(lines, ["waiting\tip.udp.get_address_info silent.test:53"])

    def test_abandoned(self):
        """what was given up does not come back, and takes no more threads than there may be"""
        lines = self.lua("""
            local function count_threads()
                for line in io.lines("/proc/self/status") do
                    local count = line:match("^Threads:%s*(%d+)")
                    if count then return tonumber(count) end
                end
            end
            local before = count_threads()
            for _ = 1, 20 do
                pcall(time.with_timeout, 0.001, udp.get_address_info, "silent.test", 1)
            end
            udp.get_address_v4_info("asked-silent.test", 1)
            print(count_threads() - before <= 32, thrum.stats().operations)
        """)
        self.assertEqual(lines, ["true\t0"])

    def test_end(self):
        """a program ends while the name server is silent, however it ends"""
        start = """
            spawn(udp.get_address_info, "silent.test", 1):detach()
            udp.get_address_v4_info("asked-silent.test", 1)
        """
        self.assertEqual(self.lua(start + "system.exit(5)", status=5), [])
        server.reset()
        self.assertEqual(self.lua(start + "error('enough')", status=1), [])
        server.reset()
        self.assertEqual(self.lua(start + "os.exit(6, true)", status=6), [])
        server.reset()
        self.assertEqual(self.lua(start + "os.exit(7)", status=7), [])

    def test_stock(self):
        """a stock interpreter looks up outside any fiber, and ends while a server is silent"""
        if "THRUM_STOCK" not in os.environ:
            self.skipTest("no stock interpreter")
        lines = self.lua("""
            require "thrum.prelude"
            show(udp.get_address_v4_info("quick.test", 1))
            spawn(udp.get_address_info, "silent.test", 1):detach()
            show(udp.get_address_v4_info("asked-silent.test", 2))
        """.replace("\n", " "), program=[
            os.environ["THRUM_STOCK"], "-lthrum.prelude", "-e",
        ])
        self.assertEqual(lines, ["192.0.2.1:1", "192.0.2.2:2"])

    def test_host(self):
        """host.lua finds what there is, says what there is not, and ends with status 1"""
        done = peer.run(peer.thrum(), peer.example("host.lua"), "-t", "2", "quick.test",
                        "silent.test", "alias.test", "nobody.test", "192.0.2.1")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        for line in (
            "quick.test has address 192.0.2.1",
            "quick.test has address 2001:db8::1",
            "silent.test: Connection timed out",
            "alias.test is an alias for quick.test",
            "nobody.test: Name or service not known",
            "192.0.2.1 is quick.test",
        ):
            self.assertIn(line, done.stdout.splitlines())


class Service(unittest.TestCase):
    """the DNS service of doc/example:"""

    @classmethod
    def setUpClass(cls):
        namespace.ask_server(EXAMPLE_SERVER)
        cls.server = peer.Server("dns_server.lua", EXAMPLE_SERVER, 53)
        cls.addClassCleanup(cls.server.stop)

    def test_lookups(self):
        """its zone is looked up by host.lua"""
        names = ("www.thrum.test", "alias.thrum.test")
        done = peer.run(peer.thrum(), peer.example("host.lua"), *names)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        addresses = ["192.0.2.10", "192.0.2.11", "2001:db8::10"]
        expected = [f"www.thrum.test has address {address}" for address in addresses]
        expected += ["alias.thrum.test is an alias for www.thrum.test"]
        expected += [f"alias.thrum.test has address {address}" for address in addresses]
        self.assertEqual(sorted(lines), sorted(expected))

    def test_missing(self):
        """a name that is not in its zone is not known"""
        done = peer.run(peer.thrum(), peer.example("host.lua"), "nobody.thrum.test")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("nobody.thrum.test: Name or service not known", done.stdout)


if __name__ == "__main__":
    if "THRUM" in os.environ and INSIDE not in os.environ:
        enter_namespace()
    if INSIDE in os.environ:
        namespace = Namespace()
        server = NameServer()
    peer.main()
