# SPDX-License-Identifier: BSL-1.0
"""Sockets where the network changes: interfaces that are renamed and made anew, link-local peers of
several zones, and ports that are used up.

All of it is in a network namespace that is made here and gone with the test: two veth pairs, a1 to
a2 and b1 to b2.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import unittest

import peer

INSIDE = "THRUM_TEST_INSIDE"
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

# What the scripts begin with.
PRELUDE = r"""
local generic_error = require "generic_error"
local function sh(line)
    assert(os.execute(line), line)
end
-- An interface that comes up has its address a little later.
local function up(name)
    sh("ip link set " .. name .. " up")
    local deadline = time.steady_clock.now() + 10
    repeat
        assert(time.steady_clock.now() < deadline, name .. " has no address")
        time.sleep(0.001)
        local file = io.open "/proc/self/net/if_inet6"
        local list = file:read "a"
        file:close()
    until list:find(" " .. name .. "\n", 1, true)
end
local function rename(from, to) -- which an interface that is up may not be
    sh("ip link set " .. from .. " down && ip link set " .. from .. " name " .. to)
    up(to)
end
local function index(name)
    return ip.address.new("fe80::1%" .. name).scope_id
end
-- A receiver of what comes in by that interface for the group ff02::77.
local function member(interface)
    local sock = ip.udp.socket.new()
    sock:open "v6"
    sock:set_option("reuse_address", true)
    sock:set_option("bind_to_device", interface)
    sock:bind("::", 5007)
    sock:set_option("join_multicast_group", ip.address.new "ff02::77", interface)
    sock.timeout = 10
    return sock
end
local function receive(sock)
    local buf = byte_span.new(100)
    local n, addr, port = sock:receive_from(buf)
    return tostring(buf:slice(1, n)), addr, port
end
local function check(value, expected)
    if value ~= expected then
        error(("%s expected, got %s"):format(expected, value), 2)
    end
end
local function raises(expected, f, ...)
    local ok, err = pcall(f, ...)
    if ok or err ~= expected then
        error(("%s expected, got %s"):format(expected, ok and "none" or err), 2)
    end
end
"""

# Sends `data` to the group by the text of its zone, for each module.
SENDERS = {
    "dgram": """
        local sock = require("dgram").createSocket "udp6"
        local function send(data, text)
            local ch = channel.new(1)
            sock:send(data, 5007, text, function(err) ch:send(err or "sent") end)
            check(ch:receive(), "sent")
        end
        local function close() sock:close() end
    """,
    "socket": """
        local sock = require("socket").udp6()
        local function send(data, text)
            check(assert(sock:sendto(data, text, 5007)), #data)
        end
        local function close() sock:close() end
    """,
    "ip": """
        local sock = ip.udp.socket.new()
        sock:open "v6"
        local function send(data, text)
            sock:send_to(data, ip.address.new(text), 5007)
        end
        local function close() sock:close() end
    """,
}


def command(line):
    subprocess.run(["sh", "-ec", line], check=True, stdin=subprocess.DEVNULL, timeout=peer.DEADLINE)


class Network(unittest.TestCase):
    """an interface, a zone, a port:"""

    def setUp(self):
        command("""
            echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
            ip link set lo up
            ip link add a1 type veth peer name a2
            ip link add b1 type veth peer name b2
            for name in a1 a2 b1 b2; do ip link set $name up; done
        """)
        deadline = time.monotonic() + peer.DEADLINE
        while not self.has_addresses({"a1", "a2", "b1", "b2"}):
            self.assertLess(time.monotonic(), deadline, "an interface has no address")
            time.sleep(0.001)
        with open(RANGE, encoding="ascii") as file:
            ports = file.read()
        self.addCleanup(self.put_back, ports)

    @staticmethod
    def has_addresses(names):
        with open("/proc/self/net/if_inet6", encoding="ascii") as list_:
            return names <= {line.split()[5] for line in list_}

    @staticmethod
    def put_back(ports):
        with open(RANGE, "w", encoding="ascii") as file:
            file.write(ports)
        for _, name in socket.if_nameindex():
            if name != "lo":  # or gone with its other end
                subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)

    def run_script(self, script, *arguments):
        done = peer.run(peer.thrum(), "-e", PRELUDE + script, "-", *arguments)
        self.assertEqual(done.stdout + done.stderr, "", script.split("\n", 1)[0])
        self.assertEqual(done.returncode, 0)

    def test_renamed(self):
        """a zone's name is looked up for each send: it may be another interface's by now"""
        for name, sender in SENDERS.items():
            self.run_script(f"-- with {name}\n{sender}" + """
                local a, b = member "a2", member "b2"
                local kept = ip.address.new "ff02::77%a1" -- it keeps the number
                send("to a", "ff02::77%a1")
                check(receive(a), "to a")
                rename("a1", "x1")
                rename("b1", "a1")
                send("to b", "ff02::77%a1")
                check(receive(b), "to b")
                check(kept.scope_id, index "x1")
                check(tostring(kept), "ff02::77%x1")
                rename("a1", "b1")
                rename("x1", "a1")
                a:close()
                b:close()
                close()
            """)

    def test_made_anew(self):
        """an interface that is made anew has another number, and its name finds it"""
        for name, sender in SENDERS.items():
            self.run_script(f"-- with {name}\n{sender}" + """
                local kept = ip.address.new "ff02::77%a1"
                send("first", "ff02::77%a1")
                sh "ip link del a1"
                local ok = pcall(send, "lost", "ff02::77%a1")
                check(ok, false)
                sh "ip link add dummy9 type veth peer name dummy8" -- it takes the next number
                sh "ip link add a1 type veth peer name a2"
                sh "ip link set a2 up"
                up "a1"
                check(kept.scope_id ~= index "a1", true)
                local a = member "a2"
                send("second", "ff02::77%a1")
                check(receive(a), "second")
                sh "ip link del dummy9"
                a:close()
                close()
            """)

    def test_shown(self):
        """a sender's zone is shown by the name that it has now"""
        self.run_script("""
            local plain, events, lua = member "a2", channel.new(1), require("socket").udp6()
            local emitting = require("dgram").createSocket {type = "udp6", reuseAddr = true}
            emitting:on("message", function(_, rinfo) events:send(rinfo.address) end)
            emitting:bind(5008)
            lua:setoption("reuseaddr", true)
            assert(lua:setsockname("::", 5009))
            lua:settimeout(10)
            local from = ip.udp.socket.new()
            from:open "v6"
            from:set_option("multicast_interface", "a1")
            local function zone_of(text)
                return text:match "%%(.*)$"
            end
            local function check_shown(name)
                local group = ip.address.new "ff02::1"
                from:send_to("x", ip.address.new "ff02::77", 5007)
                check(zone_of(tostring(select(2, receive(plain)))), name)
                from:send_to("x", group, 5008) -- a2 gets it, and a1 as its own sender
                local zones = {[zone_of(events:receive())] = true}
                zones[zone_of(events:receive())] = true
                check(zones[name], true)
                from:send_to("x", group, 5009)
                zones = {[zone_of((select(2, lua:receivefrom())))] = true}
                zones[zone_of((select(2, lua:receivefrom())))] = true
                check(zones[name], true)
            end
            check_shown "a2"
            check_shown "a2"
            rename("a2", "x2")
            up "a1"
            check_shown "x2"
            rename("x2", "a2")
            up "a1"
            check_shown "a2"
            emitting:close()
            plain:close()
            from:close()
            lua:close()
        """)

    def test_connect_again(self):
        """a socket that is connected to a link-local peer can be to one of another zone, and to
        others, and keeps its port"""
        self.run_script("""
            local sock = ip.udp.socket.new()
            sock:connect(ip.address.new "fe80::9%a1", 9)
            local port = sock.local_port
            for _, text in ipairs {"fe80::9%b1", "fe80::8%b1", "fe80::9%a1", "::1", "fe80::9%b1",
                "ff02::77%a1", "::1"} do
                local addr = ip.address.new(text)
                sock:connect(addr, 9)
                check(sock.remote_address, addr)
                check(sock.local_port, port)
                check(sock:get_option "bind_to_device",
                    addr.scope_id ~= 0 and text:match "%%(.*)$" or "")
            end
            sock:disconnect()
            sock:connect(ip.address.new "fe80::9%b1", 9)
            sock:close()

            -- A failed connect binds it as well: here nobody can be reached.
            sock:open "v6"
            sh "ip link set a1 down"
            check(pcall(sock.connect, sock, ip.address.new "fe80::9%a1", 9), false)
            sock:connect(ip.address.new "fe80::9%b1", 9)
            sock:close()
            up "a1"

            local lua = require("socket").udp6()
            assert(lua:setpeername("fe80::9%a1", 9))
            assert(lua:setpeername("fe80::9%b1", 9))
            lua:settimeout(0)
            assert(lua:setpeername("fe80::9%a1", 9))
            check((lua:getpeername()), "fe80::9%a1")
            lua:close()
        """)

    def test_bound_by_program(self):
        """an interface that the program has chosen stays chosen"""
        self.run_script("""
            local EINVAL = generic_error.EINVAL
            local on_a, on_b = ip.address.new "fe80::9%a1", ip.address.new "fe80::9%b1"
            local sock = ip.udp.socket.new()
            sock:open "v6"
            sock:set_option("bind_to_device", "a1")
            sock:connect(on_a, 9)
            raises(EINVAL, sock.connect, sock, on_b, 9)
            check(sock:get_option "bind_to_device", "a1")
            sock:close()
            sock:open "v6"
            sock:connect(on_a, 9)
            sock:set_option("bind_to_device", "a1") -- now it is the program's
            raises(EINVAL, sock.connect, sock, on_b, 9)
            sock:close()
        """)

    def test_ports(self):
        """where every port is in use EADDRNOTAVAIL says so"""
        with open(RANGE, "w", encoding="ascii") as file:
            file.write("50000 50001")
        self.run_script("""
            local EADDRNOTAVAIL = generic_error.EADDRNOTAVAIL
            local taken, any, loopback = {}, ip.address.any_v6(), ip.address.loopback_v4()
            for i = 1, 2 do
                taken[i] = ip.udp.socket.new()
                taken[i]:open "v6"
                taken[i]:bind(any, 0)
                taken[i + 2] = ip.tcp.acceptor.new()
                taken[i + 2]:open "v6"
                taken[i + 2]:bind(any, 49999 + i)
                taken[i + 2]:listen()
            end
            local sock = ip.udp.socket.new()
            for _, addr in ipairs {loopback, ip.address.loopback_v6()} do
                raises(EADDRNOTAVAIL, sock.connect, sock, addr, 9)
                raises(EADDRNOTAVAIL, sock.send_to, sock, "x", addr, 9)
                sock:close()
            end
            local tcp = ip.tcp.socket.new()
            raises(EADDRNOTAVAIL, tcp.connect, tcp, loopback, 9)
            tcp:close()
            for _, seconds in ipairs {-1, 0, 5} do
                local lua = require("socket").udp4()
                lua:settimeout(seconds)
                local ok, text = lua:setpeername("127.0.0.1", 9)
                check(ok, nil)
                check(text, "Cannot assign requested address")
                lua:close()
            end
            for _, each in ipairs(taken) do
                each:close()
            end
        """)


# What a socket is called, what makes it, and the class that takes it.
KINDS = [
    ("udp v4", socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "udp"),
    ("tcp v4", socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "tcp"),
    ("mptcp v4", socket.AF_INET, socket.SOCK_STREAM, 262, "tcp"),
    ("icmp v4", socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP, None),
    ("icmp v6", socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6, None),
    ("udplite v4", socket.AF_INET, socket.SOCK_DGRAM, 136, None),
    ("udplite v6", socket.AF_INET6, socket.SOCK_DGRAM, 136, None),
]


class Kinds(unittest.TestCase):
    """a socket of the kind"""

    SCRIPT = """
        local generic_error = require "generic_error"
        local kind, class, way = table.unpack(system.arguments, 3)
        local fd = way == "inherited" and system.inherited_fd(3) or system.listen_fds()[1].fd
        assert(fd:kind() == kind, fd:kind())
        local family = kind:sub(-2)
        for _, name in ipairs {"udp", "tcp"} do
            local sock = ip[name].socket.new()
            local ok, err = pcall(sock.assign, sock, family, fd)
            assert(ok == (name == class), err)
            if ok then
                fd = sock:release()
            else
                assert(err == generic_error.EINVAL, err)
                assert(tostring(err):find("got " .. kind, 1, true), err)
            end
        end
        local emitting = require("dgram").createSocket("udp" .. family:sub(2))
        local ok, err = pcall(emitting.bind, emitting, {fd = fd})
        assert(ok == (class == "udp"), err)
        if not ok then
            assert(err == generic_error.EINVAL, err)
            local lua = require("socket").udp() -- trusts its caller, as LuaSocket does
            if kind:find "^icmp" then
                local copy = fd:dup()
                lua:setfd(copy.native_handle)
                assert(lua:getfd() == copy.native_handle)
                lua:setfd(-1)
                copy:close()
            end
            fd:close()
        end
        emitting:close()
    """

    def check(self, kind, family, type_, protocol, class_):
        try:
            sock = socket.socket(family, type_, protocol)
        except OSError as error:
            self.skipTest(f"this system has none: {error}")
        with sock:
            for way in ("inherited", "listen"):
                os.dup2(sock.fileno(), 3)
                start = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
                done = subprocess.run(
                    ["sh", "-c", start, "sh", peer.thrum(), "-e", self.SCRIPT, "-", kind,
                     class_ or "none", way],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=peer.DEADLINE, pass_fds=[3],
                )
                self.assertEqual(done.stdout + done.stderr, "", way)


def add_kind(number, row):
    def test(self):
        self.check(*row)

    taker = f"is for ip.{row[4]}.socket" if row[4] else "is for no class"
    test.__doc__ = f"{row[0]} says so, and {taker}"
    setattr(Kinds, f"test_{number}", test)


for n, each in enumerate(KINDS):
    add_kind(n, each)


def enter():
    """Runs this script again in a namespace of its own, or says why that cannot be."""
    for name in ("unshare", "ip"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    tried = subprocess.run(words + ["sh", "-c", "ip link add a1 type veth peer name a2"],
                           capture_output=True, text=True, timeout=peer.DEADLINE)
    if tried.returncode != 0:
        return f"no network namespaces here: {tried.stderr.strip()}"
    os.execvpe(words[0], words + [sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    if INSIDE not in os.environ:
        print(f"cannot run: {enter()}")
        sys.exit(77)
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as groups:
        groups.write(f"{os.getegid()} {os.getegid()}")  # who may have sockets for ICMP
    os.dup2(0, 3)  # kept for what the programs inherit
    peer.main()
