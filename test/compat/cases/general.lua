-- SPDX-License-Identifier: BSL-1.0
-- What holds everywhere: results and errors, time-outs, collection, the helpers.
local c, t = ...
local lu, socket = c.lu, c.socket

t["D01: a success gives its value, a failure nil and a message"] = function()
    local sock = c.keep(socket.tcp4())
    lu.assertEquals(sock:bind("127.0.0.1", 0), 1)
    lu.assertEquals(table.pack(sock:listen()), {1, n = 1})
    local results = table.pack(c.keep(socket.tcp4()):connect("127.0.0.1", c.free_port()))
    lu.assertEquals(results, {nil, "connection refused", n = 2})
end

-- Programs look at the number of results: {f()}, select("#", f()), a call as the last argument.
t["D01: calls of streams have as many results as LuaSocket's"] = function()
    local client, peer = c.pair()
    local function gives(expected, ...)
        local results = table.pack(...)
        lu.assertEquals(results, {n = expected.n or #expected, table.unpack(expected)})
    end
    gives({8, n = 3}, client:send("one\ntwo\n"))
    gives({"one", n = 3}, peer:receive())
    gives({"tw", n = 3}, peer:receive(2))
    peer:settimeout(0)
    gives({nil, "timeout", "ao\n", n = 3}, peer:receive(5, "a"))
    peer:settimeout(10)
    gives({0, n = 3}, client:send(""))
    client:close()
    gives({nil, "closed", 0, n = 3}, client:send("x"))
    gives({nil, "closed", "", n = 3}, client:receive())
    gives({nil, "closed", "", n = 3}, peer:receive("*a"))
    gives({1}, client:close())
    local master = c.keep(socket.tcp4())
    gives({1}, master:bind("127.0.0.1", 0))
    gives({1}, master:listen())
    gives({1}, master:settimeout(0))
    gives({nil, "timeout"}, master:accept())
    gives({1}, master:setoption("reuseaddr", true))
    gives({true}, master:getoption("reuseaddr"))
    gives({0, -1}, master:gettimeout())
end

t["D01: calls of datagram sockets have as many results as LuaSocket's"] = function()
    local sock, other = c.udp_pair()
    local function count(...)
        return select("#", ...)
    end
    lu.assertEquals(count(sock:send("x")), 1)
    lu.assertEquals(count(other:receivefrom()), 3)
    lu.assertEquals(count(sock:send("x")), 1)
    lu.assertEquals(count(other:receive()), 1)
    other:settimeout(0)
    lu.assertEquals(count(other:receive()), 2)
    lu.assertEquals(count(other:receivefrom()), 2)
    lu.assertEquals(count(other:getsockname()), 3)
    lu.assertEquals(count(sock:getpeername()), 3)
    lu.assertEquals(count(sock:setpeername("*")), 1)
    lu.assertEquals(count(sock:setpeername("127.0.0.1", 9)), 1)
    lu.assertEquals(count(c.keep(socket.udp4()):setsockname("127.0.0.1", 0)), 1)
end

t["D02: a receive that nothing comes for fails with 'timeout'"] = function()
    local client = c.pair()
    client:settimeout(0)
    c.fails("timeout", client:receive(1))
end

t["D02: a receive after the peer's end fails with 'closed'"] = function()
    local client, peer = c.pair()
    peer:close()
    c.fails("closed", client:receive(1))
end

t["D02: any call on a closed object fails with 'closed'"] = function()
    local client = c.pair()
    client:close()
    c.fails("closed", client:receive(1))
    c.fails("closed", client:send("x"))
end

t["D02: 'connection refused', 'address already in use', 'already connected'"] = function()
    c.fails("connection refused", socket.connect("127.0.0.1", c.free_port()))
    local _, port = c.server()
    c.fails("address already in use", c.keep(socket.tcp4()):bind("127.0.0.1", port))
    local client = c.pair()
    client:connect("127.0.0.1", port) -- Linux: one that did not wait when it was begun succeeds
    c.fails("already connected", client:connect("127.0.0.1", port))
end

t["D02: 'permission denied' for what the system denies"] = function()
    local sock = c.keep(socket.udp4())
    c.fails("permission denied", sock:sendto("x", "127.255.255.255", 9))
end

t["D02: 'host or service not provided, or not known' for a name that nobody has"] = function()
    c.skip_without_hosts()
    local text = "host or service not provided, or not known"
    c.fails(text, c.keep(socket.tcp()):connect("nowhere.test", 80))
    c.fails(text, c.keep(socket.tcp()):bind("nowhere.test", 0))
    c.fails(text, socket.dns.getaddrinfo("nowhere.test"))
    c.fails(text, c.keep(socket.udp()):setpeername("nowhere.test", 80))
end

t["D02: other errors are the system's words"] = function()
    local sock = c.keep(socket.tcp4())
    c.fails("Cannot assign requested address", sock:bind("192.0.2.1", 0))
end

t["D03: a time-out is in seconds, with fractions"] = function()
    local client = c.pair()
    client:settimeout(0.05)
    local start = socket.gettime()
    c.fails("timeout", client:receive(1))
    lu.assertTrue(socket.gettime() - start >= 0.045)
end

t["D03: a time-out of 0 asks and does not wait"] = function()
    local client, peer = c.pair()
    client:settimeout(0)
    c.fails("timeout", client:receive(1))
    peer:send("x")
    lu.assertEquals(socket.select({client}, nil, 10)[1], client)
    lu.assertEquals(client:receive(1), "x")
end

t["D03: nil and negative time-outs wait for ever, and so does an object by default"] = function()
    for _, way in ipairs {"default", "nil", "negative"} do
        local server, port = c.server()
        server = c.keep(server)
        if way == "default" then
            server = c.keep(socket.tcp4())
            assert(server:bind("127.0.0.1", 0))
            assert(server:listen())
            _, port = server:getsockname()
        elseif way == "nil" then
            lu.assertEquals(server:settimeout(nil), 1)
        else
            lu.assertEquals(server:settimeout(-1), 1)
        end
        local helper = c.helper([[
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"late\n")
print(s.recv(10))]], port)
        local client = c.keep(server:accept())
        lu.assertEquals(client:receive(), "late")
        client:send("x")
        lu.assertStrContains(helper.read(), "x")
    end
end

t["D04: a collected object is closed"] = function()
    local client, peer
    do
        local server, port = c.server()
        client = c.keep(socket.connect("127.0.0.1", port))
        peer = server:accept()
    end
    client:settimeout(10)
    lu.assertEquals(type(peer:getfd()), "number")
    peer = nil -- luacheck: ignore
    for _ = 1, 4 do -- a new object overwrites what the last call may have left on the stack
        c.keep(socket.tcp())
        collectgarbage()
    end
    c.fails("closed", client:receive(1))
end

t["D05: connect4 and connect6 connect over their family"] = function()
    local server, port = c.server()
    local client = c.keep(socket.connect4("127.0.0.1", port))
    lu.assertEquals(client:getpeername(), "127.0.0.1")
    c.keep(server:accept())
    c.skip_without_v6()
    local six = c.keep(socket.tcp6())
    assert(six:bind("::1", 0))
    assert(six:listen())
    local _, six_port = six:getsockname()
    local six_client = c.keep(socket.connect6("::1", six_port))
    lu.assertEquals(six_client:getpeername(), "::1")
end

t["D05: bind makes a listening socket, of any address for '*'"] = function()
    local server = c.keep(socket.bind("127.0.0.1", 0, 5))
    local ip, port = server:getsockname()
    lu.assertEquals(ip, "127.0.0.1")
    lu.assertTrue(server:getoption("reuseaddr"))
    c.keep(socket.connect("127.0.0.1", port))
    local any = c.keep(socket.bind("*", 0))
    lu.assertEquals(any:getsockname(), "0.0.0.0")
    local _, used = server:getsockname()
    c.fails("address already in use", socket.bind("127.0.0.1", used))
end

t["D05: bind knows names, and makes the socket of the family that they have"] = function()
    c.skip_without_hosts()
    local server = c.keep(socket.bind("nine.test", 0))
    lu.assertEquals(server:getsockname(), "127.0.0.9")
    c.skip_without_v6()
    local six = c.keep(socket.bind("::1", 0))
    lu.assertEquals(six:getsockname(), "::1")
end

t["D05: try gives its arguments on, or throws the second"] = function()
    local f = socket.protect(function(...)
        return socket.try(...)
    end)
    lu.assertEquals(table.pack(f(1, 2, nil)), {1, 2, n = 3})
    lu.assertEquals(table.pack(f(nil, "why")), {nil, "why", n = 2})
end

t["D05: choose looks a function up by its first argument"] = function()
    local f = socket.choose {
        default = function(a, b) return "default", a, b end,
        other = function(a, b) return "other", a, b end,
    }
    lu.assertEquals({f("other", 1, 2)}, {"other", 1, 2})
    lu.assertEquals({f(1)}, {"default", 1})
    c.raises("unknown key (nowhere)", f, "nowhere")
end

t["D05: a sink 'keep-open' sends, and leaves the socket open"] = function()
    local client, peer = c.pair()
    local sink = socket.sink("keep-open", client)
    lu.assertEquals(sink("one\n"), 4)
    lu.assertEquals(sink(nil), 1)
    lu.assertEquals(sink.getfd(), client:getfd())
    lu.assertFalse(sink.dirty())
    client:send("two\n")
    lu.assertEquals(peer:receive(), "one")
    lu.assertEquals(peer:receive(), "two")
end

t["D05: a sink 'close-when-done' closes at the end"] = function()
    local client, peer = c.pair()
    local sink = socket.sink("close-when-done", client)
    lu.assertEquals(sink("one\n"), 4)
    lu.assertEquals(sink(nil), 1)
    lu.assertEquals(peer:receive("*a"), "one\n")
    c.fails("closed", client:send("x"))
end

t["D05: a source 'by-length' gives that many bytes, BLOCKSIZE at most at once"] = function()
    lu.assertEquals(socket.BLOCKSIZE, 2048)
    local client, peer = c.pair()
    assert(client:send(("x"):rep(3000)))
    local source = socket.source("by-length", peer, 2500)
    lu.assertEquals(#source(), 2048)
    lu.assertEquals(#source(), 452)
    lu.assertNil(source())
end

t["D05: a source 'until-closed' ends with the connection"] = function()
    local client, peer = c.pair()
    assert(client:send(("x"):rep(2050)))
    client:close()
    local source = socket.source("until-closed", peer)
    lu.assertEquals(#source(), 2048)
    lu.assertEquals(source(), "xx")
    lu.assertNil(source())
    lu.assertEquals(type(socket.sourcet["by-length"]), "function")
    lu.assertEquals(type(socket.sinkt["keep-open"]), "function")
end

-- Of "keep-open", "chunk and sock:send(chunk) or 1" made 1, a success, of the nil of a failed send:
-- a pump went on into a connection that was gone.
t["D05: a sink of any mode gives a failed send on"] = function()
    for _, mode in ipairs {"close-when-done", "keep-open", "default"} do
        local client = c.pair()
        local sink = socket.sink(mode, client)
        client:close()
        lu.assertEquals(c.fails("closed", sink("one\n")), 0, mode)
        lu.assertEquals(sink(nil), 1, mode)
    end
end

t["D05: ltn12 pumps end when a send fails"] = function()
    local is_there, ltn12 = pcall(require, "ltn12")
    lu.skipIf(not is_there, "ltn12 is LuaSocket's, which is not installed")
    local client = c.pair()
    client:close()
    local n = 0
    local function source()
        n = n + 1
        return n < 100 and "a piece" or nil
    end
    c.fails("closed", ltn12.pump.all(source, (socket.sink("keep-open", client))))
    lu.assertEquals(n, 1)
end

t["D05: ltn12 pumps from a source into a sink"] = function()
    local is_there, ltn12 = pcall(require, "ltn12")
    lu.skipIf(not is_there, "ltn12 is LuaSocket's, which is not installed")
    local client, peer = c.pair()
    local text = ("0123456789"):rep(500)
    assert(ltn12.pump.all(ltn12.source.string(text), (socket.sink("close-when-done", client))))
    local parts = {}
    assert(ltn12.pump.all(socket.source("until-closed", peer), (ltn12.sink.table(parts))))
    lu.assertEquals(table.concat(parts), text)
end
