-- SPDX-License-Identifier: BSL-1.0
-- The functions and constants of the module.
local c, t = ...
local lu, socket = c.lu, c.socket

t["D17: _VERSION is text"] = function()
    lu.assertStrContains(socket._VERSION, "LuaSocket 3")
end

t["D18: _SETSIZE is a number, and as many sockets go into a select"] = function()
    lu.assertTrue(socket._SETSIZE >= 1024)
end

t["D19: tcp6 is a master of IPv6 alone"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.tcp6())
    lu.assertStrContains(tostring(sock), "tcp{master}: ")
    assert(sock:bind("::", 0))
    local ip, port, family = sock:getsockname()
    lu.assertEquals({ip, family}, {"::", "inet6"})
    assert(sock:listen())
    local four = c.keep(socket.tcp4()) -- it would be in use if that one spoke IPv4, too
    lu.assertEquals(four:bind("0.0.0.0", port), 1)
    lu.assertEquals(four:listen(), 1)
end

t["D19: the option ipv6-v6only of a TCP object can be asked for"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.tcp6())
    local ok, value = pcall(sock.getoption, sock, "ipv6-v6only")
    c.differs("getoption: ipv6-v6only of TCP", ok and value or "raises")
end

t["D20: tcp is a master of the family of its first address"] = function()
    local sock = c.keep(socket.tcp())
    lu.assertStrContains(tostring(sock), "tcp{master}: ")
    assert(sock:bind("127.0.0.1", 0))
    local ip, _, family = sock:getsockname()
    lu.assertEquals({ip, family}, {"127.0.0.1", "inet"})
    c.skip_without_v6()
    local six = c.keep(socket.tcp())
    assert(six:bind("::1", 0))
    local ip6, _, family6 = six:getsockname()
    lu.assertEquals({ip6, family6}, {"::1", "inet6"})
end

t["D21: a master has what it is documented to have"] = function()
    local sock = c.keep(socket.tcp4())
    for _, name in ipairs {
        "bind", "listen", "connect", "close", "getsockname", "getstats", "setstats", "settimeout",
        "dirty", "getfd", "setfd",
    } do
        lu.assertEquals(type(sock[name]), "function", name)
    end
    lu.assertFalse(sock:dirty())
    local ok, received = pcall(sock.getstats, sock)
    c.differs("getstats: of a master or server", ok and received or "raises")
    ok, received = pcall(sock.setstats, sock, 1, 2, 3)
    c.differs("setstats: of a master or server", ok and received or "raises")
end

t["D21: a call that the object's kind has not is an error of its argument"] = function()
    local master = c.keep(socket.tcp4())
    c.raises("tcp{client} expected", master.send, master, "x")
    c.raises("tcp{client} expected", master.receive, master)
    c.raises("tcp{server} expected", master.accept, master)
    local server = c.server()
    c.raises("tcp{client} expected", server.send, server, "x")
    c.raises("tcp{master} expected", server.listen, server)
    local client = c.pair()
    c.raises("tcp{master} expected", client.bind, client, "127.0.0.1", 0)
    c.raises("tcp{server} expected", client.accept, client)
end

t["D22: udp6 is an unconnected socket of IPv6 alone"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.udp6())
    lu.assertStrContains(tostring(sock), "udp{unconnected}: ")
    lu.assertTrue(sock:getoption("ipv6-v6only"))
    assert(sock:setsockname("::1", 0))
    sock:settimeout(10)
    local ip, port, family = sock:getsockname()
    lu.assertEquals({ip, family}, {"::1", "inet6"})
    lu.assertEquals(sock:sendto("six", "::1", port), 3)
    lu.assertEquals({sock:receivefrom()}, {"six", "::1", math.tointeger(tonumber(port))})
end

t["D22 D23: udp has what it is documented to have"] = function()
    local sock = c.keep(socket.udp())
    lu.assertStrContains(tostring(sock), "udp{unconnected}: ")
    for _, name in ipairs {
        "sendto", "receive", "receivefrom", "getoption", "getsockname", "setoption", "settimeout",
        "setpeername", "setsockname", "close",
    } do
        lu.assertEquals(type(sock[name]), "function", name)
    end
end

t["D23: udp is a socket of the family of its first address"] = function()
    local sock = c.keep(socket.udp())
    assert(sock:setsockname("127.0.0.1", 0))
    lu.assertEquals(select(3, sock:getsockname()), "inet")
    c.skip_without_v6()
    local six = c.keep(socket.udp())
    assert(six:setsockname("::1", 0))
    lu.assertEquals(select(3, six:getsockname()), "inet6")
end

t["D24: connect gives a client"] = function()
    local server, port = c.server()
    local client = c.keep(socket.connect("127.0.0.1", port))
    lu.assertStrContains(tostring(client), "tcp{client}: ")
    local peer = c.keep(server:accept())
    client:send("hello\n")
    lu.assertEquals(peer:receive(), "hello")
end

t["D24: connect goes out from the local address and port given"] = function()
    local server, port = c.server()
    local local_port = c.free_port()
    local client = c.keep(socket.connect("127.0.0.1", port, "127.0.0.1", local_port))
    local ip, own = client:getsockname()
    lu.assertEquals({ip, tonumber(own)}, {"127.0.0.1", local_port})
    local peer = c.keep(server:accept())
    lu.assertEquals(tonumber((select(2, peer:getpeername()))), local_port)
end

t["D24: connect's family, with a local address"] = function()
    c.skip_without_hosts()
    local _, port = c.server()
    local client = c.keep(socket.connect("localhost", port, "127.0.0.1", 0, "inet"))
    lu.assertEquals(client:getpeername(), "127.0.0.1")
end

t["D24: connect's family, without a local address"] = function()
    c.skip_without_v6()
    local _, port = c.server()
    local client = socket.connect("127.0.0.1", port, nil, nil, "inet6")
    c.differs("connect: the family without a local address", client ~= nil)
    if client then
        client:close()
    end
end

t["D24: connect to nobody gives nil and a message"] = function()
    c.fails("connection refused", socket.connect("127.0.0.1", c.free_port()))
end

t["D25: skip leaves out the first results"] = function()
    lu.assertEquals(table.pack(socket.skip(1, "a", "b", "c")), {"b", "c", n = 2})
    lu.assertEquals(table.pack(socket.skip(0, "a")), {"a", n = 1})
    lu.assertEquals(select("#", socket.skip(3, "a")), 0)
end

t["D26: newtry calls the finalizer before the exception"] = function()
    local order = {}
    local try = socket.newtry(function()
        order[#order + 1] = "finalized"
    end)
    local f = socket.protect(function()
        try(nil, "why")
        order[#order + 1] = "not reached"
    end)
    c.fails("why", f())
    lu.assertEquals(order, {"finalized"})
end

t["D26: a finalizer is optional, and not called for a success"] = function()
    local n = 0
    local try = socket.newtry(function() n = n + 1 end)
    lu.assertEquals(try(1), 1)
    lu.assertEquals(n, 0)
    c.fails("why", socket.protect(socket.newtry())(nil, "why"))
end

t["D26: a finalizer's own error goes through protect"] = function()
    local try = socket.newtry(function() error("of the finalizer", 0) end)
    local ok, err = pcall(socket.protect(function() try(nil, "why") end))
    lu.assertEquals({ok, err}, {false, "of the finalizer"})
end

t["D27: try gives all its arguments on when the first is true"] = function()
    lu.assertEquals(table.pack(socket.try("a", nil, "c")), {"a", nil, "c", n = 3})
end

t["D27: try throws the second when the first is nil or false"] = function()
    c.fails("why", socket.protect(socket.try)(nil, "why"))
    c.fails("why", socket.protect(socket.try)(false, "why"))
    local ok = pcall(socket.try, nil, "why")
    lu.assertFalse(ok)
end

t["D28: protect gives the results on, and only exceptions of try become nil and a message"] =
function()
    local f = socket.protect(function(...) return ... end)
    lu.assertEquals(table.pack(f(1, nil, 3)), {1, nil, 3, n = 3})
    local g = socket.protect(function() error("ordinary", 0) end)
    local ok, err = pcall(g)
    lu.assertEquals({ok, err}, {false, "ordinary"})
    local object = {}
    local h = socket.protect(function() error(object) end)
    local _, same = pcall(h)
    lu.assertTrue(same == object)
end

t["D28: protected functions nest, and what they call may block"] = function()
    local client, peer = c.pair()
    local inner = socket.protect(function()
        socket.try(client:send("x\n"))
        lu.assertEquals(socket.try(peer:receive()), "x")
        peer:settimeout(0.01)
        socket.try(peer:receive())
    end)
    local outer = socket.protect(function()
        c.fails("timeout", inner())
        socket.try(nil, "outer")
    end)
    c.fails("outer", outer())
end

t["D29: gettime is the time of the Unix epoch, in seconds with fractions"] = function()
    local function agrees()
        local before = os.time()
        local now = socket.gettime()
        return now >= before - 1 and now <= os.time() + 1
    end
    lu.assertTrue(agrees() or agrees()) -- the clock may be set in between
    lu.assertEquals(math.type(socket.gettime()), "float")
end

t["D30: sleep takes that long, and a negative time none"] = function()
    local start = socket.gettime()
    socket.sleep(0.03)
    lu.assertTrue(socket.gettime() - start >= 0.029)
    socket.sleep(-1)
    socket.sleep(0)
end
