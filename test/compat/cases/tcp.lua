-- SPDX-License-Identifier: BSL-1.0
-- TCP objects: life, names, options, time-outs.
local c, t = ...
local lu, socket = c.lu, c.socket

t["D50: accept gives a client, in the order of their coming"] = function()
    local server, port = c.server()
    local first = c.keep(socket.connect("127.0.0.1", port))
    local second = c.keep(socket.connect("127.0.0.1", port))
    for _, client in ipairs {first, second} do
        local peer = c.keep(server:accept())
        lu.assertStrContains(tostring(peer), "tcp{client}: ")
        local _, own_port = client:getsockname()
        local _, peer_port = peer:getpeername()
        lu.assertEquals(tonumber(peer_port), tonumber(own_port))
    end
end

t["D50: accept that nobody connects to times out"] = function()
    local server = c.server()
    server:settimeout(0.01)
    c.fails("timeout", server:accept())
    server:settimeout(0)
    c.fails("timeout", server:accept())
end

t["D50: what a server accepts has no time-out of the server's"] = function()
    local server, port = c.server()
    server:settimeout(0.01)
    local client = c.keep(socket.connect("127.0.0.1", port))
    local peer = c.keep(server:accept())
    lu.assertEquals({peer:gettimeout()}, {-1, -1})
    client:send("x")
    lu.assertEquals(peer:receive(1), "x")
end

t["D51: bind to a port of the system's choice, and to '*'"] = function()
    local sock = c.keep(socket.tcp4())
    lu.assertEquals(sock:bind("*", 0), 1)
    local ip, port = sock:getsockname()
    lu.assertEquals(ip, "0.0.0.0")
    lu.assertTrue(tonumber(port) > 0)
end

t["D51: bind to a name, and to a port as text"] = function()
    c.skip_without_hosts()
    local sock = c.keep(socket.tcp4())
    lu.assertEquals(sock:bind("nine.test", "0"), 1)
    lu.assertEquals(sock:getsockname(), "127.0.0.9")
end

t["D51: bind fails with nil and a message"] = function()
    local _, port = c.server()
    c.fails("address already in use", c.keep(socket.tcp4()):bind("127.0.0.1", port))
    local sock = c.keep(socket.tcp4())
    lu.assertEquals(sock:bind("127.0.0.1", 0), 1)
    c.fails("Invalid argument", sock:bind("127.0.0.1", 0))
end

t["D52: after close nothing but close may follow"] = function()
    local client = c.pair()
    lu.assertEquals(client:close(), 1)
    lu.assertEquals(client:close(), 1)
    c.fails("closed", client:send("x"))
    local master = c.keep(socket.tcp4())
    lu.assertEquals(master:close(), 1)
    local server = c.server()
    lu.assertEquals(server:close(), 1)
    lu.assertEquals(server:close(), 1)
end

t["D52: close gives the address back"] = function()
    local server, port = c.server()
    server:close()
    local again = c.keep(socket.tcp4())
    lu.assertEquals(again:bind("127.0.0.1", port), 1)
    lu.assertEquals(again:listen(), 1)
end

t["D52: calls on a closed server and master"] = function()
    local server = c.server()
    server:close()
    c.fails("closed", server:accept())
    local master = c.keep(socket.tcp4())
    master:close()
    lu.assertNil((master:getsockname()))
end

t["D53: connect makes a client of a master"] = function()
    local server, port = c.server()
    local master = c.keep(socket.tcp4())
    lu.assertEquals(master:connect("127.0.0.1", port), 1)
    lu.assertStrContains(tostring(master), "tcp{client}: ")
    local peer = c.keep(server:accept())
    master:send("x")
    lu.assertEquals(peer:receive(1), "x")
end

t["D53: connect knows names, and tries the addresses in turn"] = function()
    c.skip_without_hosts()
    local _, port = c.server()
    local master = c.keep(socket.tcp())
    lu.assertEquals(master:connect("localhost", port), 1)
    lu.assertEquals(master:getpeername(), "127.0.0.1")
end

t["D53: after a connect that was refused another may be tried"] = function()
    local server, port = c.server()
    local master = c.keep(socket.tcp4())
    c.fails("connection refused", master:connect("127.0.0.1", c.free_port()))
    -- Linux: the next one is told once more that something has failed.
    lu.assertEquals(master:connect("127.0.0.1", port) or master:connect("127.0.0.1", port), 1)
    lu.assertStrContains(tostring(master), "tcp{client}: ")
    c.keep(server:accept())
end

t["D53: connect without waiting is a 'timeout', and select tells when it is done"] = function()
    local _, port = c.server()
    local master = c.keep(socket.tcp4())
    master:settimeout(0)
    local ok, err = master:connect("127.0.0.1", port)
    if not ok then
        lu.assertEquals(err, "timeout")
        local _, writable = socket.select(nil, {master}, 10)
        lu.assertTrue(writable[1] == master)
        ok, err = master:connect("127.0.0.1", port)
        lu.assertTrue(ok == 1 or err == "already connected")
    end
end

t["D53: a port that is none"] = function()
    local _, port = c.server()
    local ok = c.keep(socket.tcp4()):connect("127.0.0.1", port + 65536)
    c.differs("connect: a port above 65,535", ok and "wraps round" or "fails")
end

t["D54: getpeername gives address, port and family"] = function()
    local server, port = c.server()
    local client = c.keep(socket.connect("127.0.0.1", port))
    local peer = c.keep(server:accept())
    local ip, peer_port, family = client:getpeername()
    lu.assertEquals({ip, tonumber(peer_port), family}, {"127.0.0.1", port, "inet"})
    local _, own_port = client:getsockname()
    lu.assertEquals((select(2, peer:getpeername())), tonumber(own_port))
end

t["D54: getpeername when the peer has reset gives nil"] = function()
    local client, peer = c.pair()
    peer:setoption("linger", {on = true, timeout = 0})
    peer:close()
    c.fails("closed", client:receive(1))
    lu.assertNil((client:getpeername()))
end

t["D55: getsockname gives address, port and family"] = function()
    local server, port = c.server()
    local results = table.pack(server:getsockname())
    lu.assertEquals({results[1], tonumber(results[2]), results[3], results.n},
        {"127.0.0.1", port, "inet", 3})
end

t["D55: the types of getsockname's and getpeername's ports"] = function()
    local client = c.pair()
    local _, own = client:getsockname()
    local _, peers = client:getpeername()
    c.differs("getsockname: the type of the port", type(own))
    lu.assertEquals(type(peers), "number")
end

t["D56: getstats counts bytes and seconds"] = function()
    local client, peer = c.pair()
    client:send("12345\n")
    peer:receive()
    peer:send("1234567890")
    client:receive(10)
    local received, sent, age = client:getstats()
    lu.assertEquals({received, sent}, {10, 6})
    lu.assertTrue(age >= 0 and age < 60)
    received, sent = peer:getstats()
    lu.assertEquals({received, sent}, {6, 10})
end

t["D57: listen makes a server of a master"] = function()
    local master = c.keep(socket.tcp4())
    assert(master:bind("127.0.0.1", 0))
    lu.assertEquals(master:listen(), 1)
    lu.assertStrContains(tostring(master), "tcp{server}: ")
    for _, name in ipairs {"accept", "getsockname", "setoption", "settimeout", "close"} do
        lu.assertEquals(type(master[name]), "function", name)
    end
    local six = c.keep(socket.tcp4())
    assert(six:bind("127.0.0.1", 0))
    lu.assertEquals(six:listen(5), 1)
end

t["D60 D61: every option of the list is set, and read again"] = function()
    local client = c.pair()
    for _, name in ipairs {"keepalive", "reuseaddr", "tcp-nodelay"} do
        lu.assertEquals(client:setoption(name, true), 1, name)
        lu.assertTrue(client:getoption(name), name)
        lu.assertEquals(client:setoption(name, false), 1, name)
        lu.assertFalse(client:getoption(name), name)
    end
    lu.assertEquals(client:setoption("linger", {on = true, timeout = 3}), 1)
    lu.assertEquals(client:getoption("linger"), {on = true, timeout = 3})
    lu.assertEquals(client:setoption("linger", {on = false, timeout = 0}), 1)
    lu.assertFalse(client:getoption("linger").on)
end

t["D60: ipv6-v6only is set on a master of IPv6"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.tcp6())
    lu.assertEquals(sock:setoption("ipv6-v6only", false), 1)
    assert(sock:bind("::", 0))
    assert(sock:listen())
    local _, port = sock:getsockname()
    local client = c.keep(socket.connect("127.0.0.1", port)) -- it speaks both
    sock:settimeout(10)
    local ip, _, family = c.keep(sock:accept()):getpeername()
    c.differs("getpeername: an IPv4 peer of an IPv6 socket", {ip, family})
    client:close()
end

t["D60: a wrong option, and a wrong value, are errors"] = function()
    local client = c.pair()
    c.raises("unsupported option", client.setoption, client, "nonsense", true)
    c.raises("unsupported option", client.getoption, client, "nonsense")
    c.raises("boolean expected", client.setoption, client, "keepalive", 1)
    c.raises("boolean", client.setoption, client, "linger", {timeout = 1})
    c.raises("number", client.setoption, client, "linger", {on = true})
    c.raises("table expected", client.setoption, client, "linger", true)
end

t["D60 D61: a server has options, too"] = function()
    local server = c.server()
    lu.assertEquals(server:setoption("keepalive", true), 1)
    lu.assertTrue(server:getoption("keepalive"))
end

t["D62: setstats sets the counters"] = function()
    local client, peer = c.pair()
    lu.assertEquals(client:setstats(100, 200, 1000), 1)
    local received, sent, age = client:getstats()
    lu.assertEquals({received, sent}, {100, 200})
    lu.assertTrue(age >= 1000 and age < 1060)
    client:send("abc")
    peer:receive(3)
    lu.assertEquals((select(2, client:getstats())), 203)
end

t["D63: 'b' limits each wait, 't' the whole call, and both may be set"] = function()
    local client = c.pair()
    lu.assertEquals(client:settimeout(0.01), 1)
    lu.assertEquals(client:settimeout(0.02, "b"), 1)
    lu.assertEquals(client:settimeout(0.03, "t"), 1)
    lu.assertEquals({client:gettimeout()}, {0.02, 0.03})
    c.fails("timeout", client:receive(1))
    client:settimeout(nil, "b")
    local start = socket.gettime()
    c.fails("timeout", client:receive(1))
    lu.assertTrue(socket.gettime() - start >= 0.025)
    lu.assertEquals(client:settimeout(0.04, "r"), 1)
    lu.assertEquals((select(2, client:gettimeout())), 0.04)
    c.raises("invalid timeout mode", client.settimeout, client, 1, "x")
end

-- Each of the helper's bytes comes within the block time-out, the line after the total one.
t["D63: the total time-out ends a call whose single waits are short"] = function()
    local server, port = c.server()
    c.helper([[
import time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(10)
try:
    while True:
        s.sendall(b"x")
        time.sleep(0.01)
except OSError:
    pass]], port)
    local client = c.keep(server:accept())
    client:settimeout(5, "b")
    client:settimeout(0.1, "t")
    local partial = c.fails("timeout", client:receive("*l"))
    lu.assertTrue(#partial > 0)
    client:close()
end

-- A second and a half in all, and a tenth for each byte.
t["D63: 'b' without 't', in a call of many waits"] = function()
    local server, port = c.server()
    c.helper([[
import time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
try:
    for i in range(15):
        s.sendall(b"x")
        time.sleep(0.1)
    s.sendall(b"\n")
except OSError:
    pass]], port)
    local client = c.keep(server:accept())
    client:settimeout(1)
    local line, err = client:receive()
    c.differs("settimeout: 'b' and a call of many waits", line and "whole" or err)
    client:close()
end

t["D64: shutdown of a direction"] = function()
    local client, peer = c.pair()
    client:send("last\n")
    lu.assertEquals(client:shutdown("send"), 1)
    lu.assertEquals(peer:receive("*a"), "last\n")
    peer:send("answer\n")
    lu.assertEquals(client:receive(), "answer")
    c.fails("closed", client:send("x"))
end

t["D64: shutdown of 'receive', of 'both', and without an argument"] = function()
    local client, peer = c.pair()
    lu.assertEquals(client:shutdown("receive"), 1)
    c.fails("closed", client:receive(1))
    lu.assertEquals(client:send("x"), 1)
    lu.assertEquals(peer:receive(1), "x")
    lu.assertEquals(peer:shutdown("both"), 1)
    c.fails("closed", peer:receive(1))
    local other, others = c.pair()
    lu.assertEquals(other:shutdown(), 1)
    c.fails("closed", others:receive(1))
    c.raises("invalid option 'nonsense'", other.shutdown, other, "nonsense")
end

t["D65: dirty tells of data in the buffer"] = function()
    local client, peer = c.pair()
    lu.assertFalse(peer:dirty())
    client:send("one\ntwo\n")
    peer:receive()
    lu.assertTrue(peer:dirty())
    peer:receive()
    lu.assertFalse(peer:dirty())
    lu.assertFalse(c.keep(socket.tcp4()):dirty())
    lu.assertFalse(c.server():dirty())
end

t["D66: getfd is the descriptor, and -1 when closed"] = function()
    local client = c.pair()
    lu.assertTrue(client:getfd() >= 3)
    lu.assertTrue(c.server():getfd() >= 3)
    client:close()
    lu.assertEquals(client:getfd(), -1)
end

t["D67: setfd replaces the descriptor, and closes none"] = function()
    local client, peer = c.pair()
    local fd = client:getfd()
    client:setfd(-1)
    lu.assertEquals(client:getfd(), -1)
    client:close()
    local other = c.keep(socket.tcp4())
    local own = other:getfd()
    if own >= 0 then -- one that has a descriptor already would lose it
        other:close()
    end
    local adopted = c.keep(socket.tcp())
    adopted:setfd(fd)
    lu.assertEquals(adopted:getfd(), fd)
    adopted:close()
    c.fails("closed", peer:receive(1))
end

t["D67: an object with another's descriptor does its work"] = function()
    local first, first_peer = c.pair()
    local second, second_peer = c.pair()
    local fd, spare = first:getfd(), second:getfd()
    first:setfd(spare)
    second:setfd(fd)
    first:send("x")
    lu.assertEquals(second_peer:receive(1), "x")
    first_peer:send("y")
    lu.assertEquals(second:receive(1), "y")
end

t["D68: a client has what it is documented to have"] = function()
    local client = c.pair()
    for _, name in ipairs {
        "send", "receive", "getsockname", "getpeername", "settimeout", "close", "shutdown",
        "setoption", "getoption", "getstats", "setstats", "dirty", "getfd", "setfd", "gettimeout",
        "getfamily",
    } do
        lu.assertEquals(type(client[name]), "function", name)
    end
    lu.assertEquals(type(getmetatable(client).__index), "table")
end

t["D87: getfamily, gettimeout, tcp4"] = function()
    lu.assertEquals(c.keep(socket.tcp4()):getfamily(), "inet4")
    lu.assertEquals({c.keep(socket.tcp4()):gettimeout()}, {-1, -1})
    c.skip_without_v6()
    lu.assertEquals(c.keep(socket.tcp6()):getfamily(), "inet6")
end

t["D87: a client's further options"] = function()
    local client = c.pair()
    for _, name in ipairs {"send-buffer-size", "recv-buffer-size"} do
        lu.assertEquals(client:setoption(name, 30000), 1, name)
        lu.assertTrue(client:getoption(name) >= 30000, name)
    end
    lu.assertNil((client:getoption("error")))
    lu.assertEquals(client:setoption("tcp-keepidle", 30), 1)
    lu.assertEquals(client:getoption("tcp-keepidle"), 30)
    lu.assertEquals(client:setoption("tcp-keepcnt", 3), 1)
    lu.assertEquals(client:getoption("tcp-keepcnt"), 3)
    lu.assertEquals(client:setoption("tcp-keepintvl", 5), 1)
    lu.assertEquals(client:getoption("tcp-keepintvl"), 5)
    lu.assertEquals(client:setoption("reuseport", true), 1)
    lu.assertTrue(client:getoption("reuseport"))
end

-- LuaSocket's number of what is none is 0: `true` is taken, and turns off.
t["D60: options of numbers take what LuaSocket's take"] = function()
    local function set(name, ...)
        return c.keep(socket.tcp4()):setoption(name, ...)
    end
    for _, name in ipairs {"tcp-defer-accept", "tcp-fastopen", "tcp-fastopen-connect"} do
        for _, value in ipairs {true, false, 1, 0, 1.7, "1", "x", {}} do
            lu.assertEquals(set(name, value), 1, name .. " " .. tostring(value))
        end
        lu.assertEquals(set(name), 1, name)
        lu.assertEquals(set(name, nil), 1, name)
        c.raises("unsupported option", socket.tcp4().getoption, c.keep(socket.tcp4()), name)
    end
    c.fails("setsockopt failed", set("tcp-fastopen", -1))
    c.fails("setsockopt failed", set("tcp-fastopen-connect", 2))
    for _, name in ipairs {"tcp-keepidle", "tcp-keepcnt", "tcp-keepintvl"} do
        lu.assertEquals(set(name, "7"), 1, name)
        for _, value in ipairs {true, false, 0, -1, "x", {}} do
            c.fails("setsockopt failed", set(name, value))
        end
    end
    for _, name in ipairs {"recv-buffer-size", "send-buffer-size"} do
        for _, value in ipairs {true, -1, 0, 5000.5, "5000", {}} do
            lu.assertEquals(set(name, value), 1, name .. " " .. tostring(value))
        end
    end
end

t["D60: tcp-defer-accept keeps silent connections from accept, and true turns it off"] = function()
    local server, port = c.server()
    assert(server:setoption("tcp-defer-accept", 30))
    c.keep(socket.connect("127.0.0.1", port))
    server:settimeout(0.02)
    c.fails("timeout", server:accept())
    server:close()
    server, port = c.server()
    assert(server:setoption("tcp-defer-accept", 30))
    assert(server:setoption("tcp-defer-accept", true))
    c.keep(socket.connect("127.0.0.1", port))
    c.keep(server:accept())
end

t["D87: the option error tells what became of a connect, once"] = function()
    local master = c.keep(socket.tcp4())
    master:settimeout(0)
    local _, err = master:connect("127.0.0.1", c.free_port())
    if err == "timeout" then
        socket.select(nil, {master}, 10)
        lu.assertEquals((master:getoption("error")), "connection refused")
        lu.assertNil((master:getoption("error")))
    else
        lu.assertEquals(err, "connection refused")
    end
end

local function has_unix()
    return pcall(require, "socket.unix")
end

t["D87: socket.unix, streams"] = function()
    lu.assertTrue(has_unix())
    local unix = require "socket.unix"
    local path = os.tmpname()
    os.remove(path)
    local server = c.keep((unix.stream or unix)())
    assert(server:bind(path))
    assert(server:listen(5))
    lu.assertEquals(server:getsockname(), path)
    local client = c.keep((unix.stream or unix)())
    lu.assertEquals(table.pack(client:connect(path)), {1, n = 1})
    server:settimeout(10)
    local peer = c.keep(server:accept())
    client:send("hello\nrest")
    lu.assertEquals(peer:receive(), "hello")
    client:close()
    lu.assertEquals(peer:receive("*a"), "rest")
    os.remove(path)
    c.fails("No such file or directory", c.keep((unix.stream or unix)()):connect(path))
end

t["D87: socket.unix, datagrams"] = function()
    local unix = require "socket.unix"
    local path = os.tmpname()
    os.remove(path)
    local server = c.keep(unix.dgram())
    assert(server:bind(path))
    server:settimeout(10)
    local client = c.keep(unix.dgram())
    assert(client:sendto("one", path))
    lu.assertEquals(server:receive(), "one")
    lu.assertEquals(table.pack(client:connect(path)), {1, n = 1})
    assert(client:send("two"))
    lu.assertEquals((server:receivefrom()), "two")
    os.remove(path)
end

-- A device that two have opened, which the system makes of a FIFO.
local function devices()
    local is_there, serial = pcall(require, "socket.serial")
    lu.skipIf(not is_there, "socket.serial is LuaSocket's, which is not installed")
    local path = os.tmpname()
    os.remove(path)
    lu.skipIf(not os.execute("mkfifo " .. c.quote(path)), "there is no mkfifo here")
    local one, other = c.keep(serial(path)), c.keep(serial(path))
    os.remove(path)
    one:settimeout(10)
    other:settimeout(10)
    return one, other
end

t["D87: socket.serial, devices"] = function()
    local one, other = devices()
    local function gives(expected, ...)
        lu.assertEquals(table.pack(...), {n = 3, table.unpack(expected, 1, 3)})
    end
    lu.assertStrContains(tostring(one), "serial{client}: ")
    gives({9}, one:send("one\ntwo\r\n"))
    gives({"one"}, other:receive())
    lu.assertTrue(other:dirty())
    gives({"prefix two"}, other:receive("*l", "prefix "))
    lu.assertFalse(other:dirty())
    gives({3}, one:send("xyz", 2, 3))
    gives({"ayz"}, other:receive(3, "a"))
    lu.assertEquals(one:settimeout(0), 1)
    gives({nil, "timeout", ""}, one:receive())
    one:settimeout(0.01)
    gives({nil, "timeout", "1"}, one:receive(2, 1))
    lu.assertEquals({table.unpack({one:getstats()}, 1, 2)}, {0, 11})
    lu.assertEquals({table.unpack({other:getstats()}, 1, 2)}, {11, 0})
    local readable, writable = socket.select({one, other}, {one, other}, 0)
    lu.assertEquals({#readable, #writable}, {0, 2})
    assert(one:send(("x"):rep(5000)))
    lu.assertEquals(#socket.select({one, other}, nil, 10), 2)
    lu.assertEquals(#other:receive(5000), 5000)
    lu.assertEquals(one:close(), 1)
    gives({nil, "closed", ""}, one:receive())
    gives({nil, "closed", 0}, one:send("x"))
    lu.assertEquals(one:getfd(), -1)
end

t["D87: socket.serial, errors"] = function()
    local device = devices()
    local serial = require "socket.serial"
    lu.assertEquals(table.pack(serial("/nonexistent/device")),
        {nil, "No such file or directory", 2, n = 3})
    c.raises("string expected, got no value", serial)
    c.raises("string expected, got table", serial, {})
    c.raises("serial{client} expected", device.receive, c.keep(socket.tcp()))
    c.raises("serial{client} expected", device.send, 1, "x")
    c.raises("serial{", device.settimeout, {}, 1)
    c.raises("serial{", device.close)
    c.raises("invalid timeout mode", device.settimeout, device, 1, "x")
    c.raises("number expected", device.settimeout, device, "x")
    c.raises("invalid receive pattern", device.receive, device, "x")
    c.raises("string expected", device.send, device)
end

t["D87: _SOCKETINVALID is what getfd of a closed object gives; _DEBUG is nil or true"] = function()
    lu.assertEquals(socket._SOCKETINVALID, -1)
    lu.assertTrue(not socket._DEBUG or socket._DEBUG == true) -- true where it was built for that
end
