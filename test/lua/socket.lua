-- SPDX-License-Identifier: BSL-1.0
-- socket: what LuaSocket's own cannot be compared with: fibers, objects that others close, errors
-- that are raised, and who is loaded when. test/compat has what both do.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local this_fiber, time = thrum.this_fiber, thrum.time
local socket = thrum.socket
local ECANCELED = thrum.generic_error.ECANCELED

local objects

local function keep(object, err)
    objects[#objects + 1] = assert(object, err)
    return object
end

local function case(name, f)
    t["test " .. name] = function()
        objects = {}
        local ok, err = pcall(f)
        for _, object in ipairs(objects) do
            object:close()
        end
        objects = nil
        if not ok then
            error(err, 0)
        end
    end
end

local function server()
    local sock = keep(socket.bind("127.0.0.1", 0))
    local _, port = sock:getsockname()
    return sock, port
end

local function pair()
    local listener, port = server()
    local client = keep(socket.connect("127.0.0.1", port))
    local peer = keep(listener:accept())
    listener:close()
    return client, peer
end

local function udp_pair()
    local a, b = keep(socket.udp4()), keep(socket.udp4())
    a:setsockname("127.0.0.1", 0)
    b:setsockname("127.0.0.1", 0)
    a:setpeername(b:getsockname())
    b:setpeername(a:getsockname())
    return a, b
end

-- Start a fiber with the call, and let it come to its wait.
local function start(f, ...)
    local fib = h.start(f, ...)
    h.let_others_run()
    return fib
end

-- ---- waiting ----

case("receive suspends one fiber, and the others run", function()
    local client, peer = pair()
    local fib = start(client.receive, client)
    peer:send("to you\n")
    lu.assertEquals({fib:join()}, {"to you"})
end)

case("accept suspends one fiber", function()
    local listener, port = server()
    local fib = start(listener.accept, listener)
    keep(socket.connect("127.0.0.1", port))
    lu.assertEquals(keep(fib:join()).class, "tcp{client}")
end)

case("a datagram wakes the fiber that waits for it", function()
    local a, b = udp_pair()
    local fib = start(a.receive, a)
    b:send("x")
    lu.assertEquals(fib:join(), "x")
end)

case("a call that has waited has as many results as one that has not", function()
    local function packed(sock, method, ...)
        return start(function(...) return table.pack(sock[method](sock, ...)) end, ...)
    end
    local listener, port = server()
    local accepting = packed(listener, "accept")
    local client = keep(socket.connect("127.0.0.1", port))
    local peer = keep(accepting:join()[1])
    for _, pattern in ipairs {"*l", 4, "*a"} do
        local receiving = packed(peer, "receive", pattern)
        client:send("line\n")
        if pattern == "*a" then
            client:shutdown("send")
        end
        local expected = {["*l"] = "line", [4] = "line", ["*a"] = "\nline\n"}
        lu.assertEquals(receiving:join(), {expected[pattern], n = 3})
    end
    local big = ("x"):rep(1 << 23)
    local sending = packed(peer, "send", big)
    lu.assertTrue(client:receive(#big) == big)
    lu.assertEquals(sending:join(), {#big, n = 3})
    local a, b = udp_pair()
    local receiving = packed(a, "receive")
    b:send("x")
    lu.assertEquals(receiving:join(), {"x", n = 1})
end)

case("several fibers wait for datagrams of one socket, and each gets one", function()
    local a, b = udp_pair()
    local fibers = {}
    for i = 1, 5 do
        fibers[i] = start(a.receive, a)
    end
    for i = 1, 5 do
        b:send("datagram " .. i)
    end
    for i = 1, 5 do
        lu.assertEquals(fibers[i]:join(), "datagram " .. i)
    end
end)

case("several fibers receive lines of one stream, in their order and whole", function()
    local client, peer = pair()
    local fibers = {}
    for i = 1, 5 do
        fibers[i] = start(client.receive, client)
    end
    for byte in ("one\ntwo\nthree\nfour\nfive\n"):gmatch(".") do
        peer:send(byte)
        this_fiber.yield()
    end
    for i, line in ipairs {"one", "two", "three", "four", "five"} do
        lu.assertEquals(fibers[i]:join(), line)
    end
end)

case("what several fibers send does not mix", function()
    local client, peer = pair()
    local size = 1 << 22
    local fibers = {}
    for i = 1, 3 do
        fibers[i] = start(client.send, client, tostring(i):rep(size))
    end
    for i = 1, 3 do
        lu.assertTrue(peer:receive(size) == tostring(i):rep(size))
        lu.assertEquals(fibers[i]:join(), size)
    end
end)

case("who waits for its turn has a timeout, too", function()
    local client, peer = pair()
    client:settimeout(0.02)
    local first = start(client.receive, client, 3)
    lu.assertEquals({client:receive("*l", "prefix ")}, {nil, "timeout", "prefix "})
    lu.assertEquals({first:join()}, {nil, "timeout", ""})
    client:settimeout(nil)
    first = start(client.receive, client, 3)
    client:settimeout(0)
    lu.assertEquals({client:receive()}, {nil, "timeout", ""})
    peer:send("abcde")
    lu.assertEquals(first:join(), "abc")
    lu.assertEquals(client:receive(2), "de")
end)

case("who waits for its turn can be interrupted, and the others go on", function()
    local client, peer = pair()
    local first = start(client.receive, client)
    local second = start(client.receive, client)
    local third = start(client.receive, client)
    second:interrupt()
    peer:send("one\nthree\n")
    lu.assertEquals(first:join(), "one")
    second:join()
    lu.assertTrue(second.interruption_caught)
    lu.assertEquals(third:join(), "three")
end)

case("an interrupted receive loses nothing", function()
    local client, peer = pair()
    local fib = start(client.receive, client, 6)
    peer:send("abc")
    h.let_others_run(10)
    fib:interrupt()
    fib:join()
    lu.assertTrue(fib.interruption_caught)
    lu.assertTrue(client:dirty())
    peer:send("def")
    lu.assertEquals(client:receive(6), "abcdef")
end)

case("a with_timeout round a call is raised, and the object's own is returned", function()
    local client, peer = pair()
    client:settimeout(10)
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, client.receive, client)
    client:settimeout(0.01)
    lu.assertEquals({time.with_timeout(10, client.receive, client)}, {nil, "timeout", ""})
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, socket.select, {client}, nil, 10)
    local a = udp_pair()
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, a.receive, a)
    peer:send("still there\n")
    lu.assertEquals(client:receive(), "still there")
end)

case("a fiber whose calls complete at once lets others run", function()
    local client, peer = pair()
    peer:send(("x\n"):rep(1000))
    local others = 0
    local fib = thrum.spawn(function()
        while true do
            others = others + 1
            this_fiber.yield()
        end
    end)
    for _ = 1, 1000 do
        client:receive()
    end
    fib:interrupt()
    fib:join()
    lu.assertTrue(others > 5, others)
end)

case("the timeout 'b' counts for each wait", function()
    local client, peer = pair()
    client:settimeout(0.2)
    local fib = h.start(client.receive, client, 4)
    for _ = 1, 4 do
        time.sleep(0.08)
        peer:send("x")
    end
    lu.assertEquals(fib:join(), "xxxx")
end)

-- ---- closing ----

case("close ends the waits of others with 'closed'", function()
    local client = pair()
    local listener = server()
    local a = udp_pair()
    local unbound = keep(socket.udp4())
    unbound:setsockname("127.0.0.1", 0)
    local receiver = start(client.receive, client)
    local queued = start(client.receive, client)
    local acceptor = start(listener.accept, listener)
    local datagram = start(a.receive, a)
    local from = start(unbound.receivefrom, unbound)
    for _, object in ipairs {client, listener, a, unbound} do
        lu.assertEquals(object:close(), 1)
    end
    lu.assertEquals({receiver:join()}, {nil, "closed", ""})
    lu.assertEquals({queued:join()}, {nil, "closed", ""})
    for _, fib in ipairs {acceptor, datagram, from} do
        lu.assertEquals({fib:join()}, {nil, "closed"})
    end
end)

case("close ends a send that waits, which tells what was sent", function()
    local client = pair()
    local fib = start(client.send, client, ("x"):rep(1 << 24))
    client:close()
    local last, err, sent = fib:join()
    lu.assertEquals({last, err}, {nil, "closed"})
    lu.assertTrue(sent > 0 and sent < 1 << 24)
end)

case("a collected object is closed", function()
    local peer
    do
        local listener, port = server()
        assert(socket.connect("127.0.0.1", port))
        peer = keep(listener:accept())
    end
    collectgarbage()
    collectgarbage()
    lu.assertEquals({peer:receive()}, {nil, "closed", ""})
end)

case("what LuaSocket's objects have is behind ours", function()
    local client = pair()
    local index = getmetatable(client).__index
    lu.assertEquals(index.class, "tcp{client}")
    lu.assertEquals(type(index.settimeout), "function")
    lu.assertStrMatches(tostring(client), "tcp{client}: 0x%x+")
    lu.assertNotEquals(tostring(client), tostring(select(2, pair())))
end)

-- ---- select ----

case("select suspends one fiber", function()
    local client, peer = pair()
    local fib = start(socket.select, {client}, nil)
    peer:send("x")
    local ready = fib:join()
    lu.assertTrue(ready[1] == client and ready[client] == 1)
end)

case("several fibers select the same sockets", function()
    local client, peer = pair()
    local a = udp_pair()
    local fibers = {}
    for i = 1, 3 do
        fibers[i] = start(socket.select, {a, client}, {})
    end
    peer:send("x")
    for i = 1, 3 do
        lu.assertTrue((fibers[i]:join())[1] == client)
    end
end)

case("select takes one object twice, and for both ways", function()
    local client, peer = pair()
    local readers, writers = socket.select({client, client}, {client}, 0)
    lu.assertEquals({#readers, #writers}, {0, 1})
    repeat
        client:settimeout(0)
        local ok = client:send(("x"):rep(65536))
    until not ok
    local fib = start(socket.select, {client, client}, {client})
    peer:send("x")
    readers = fib:join()
    lu.assertEquals({#readers, readers[client]}, {1, 1})
end)

case("select can be interrupted, and without anything it sleeps", function()
    local client = pair()
    for _, list in ipairs {{client}, {}} do
        local fib = start(socket.select, list, nil)
        fib:interrupt()
        fib:join()
        lu.assertTrue(fib.interruption_caught)
    end
    local before = time.steady_clock.now()
    lu.assertEquals({socket.select(nil, nil, 0.02)}, {{}, {}, "timeout"})
    lu.assertTrue(time.steady_clock.now() - before >= 0.02)
end)

case("close wakes those who select the object, for whom it is ready", function()
    for n = 1, 2 do
        local a, b = udp_pair()
        local fib = start(socket.select, {a, n == 2 and b or nil}, nil)
        a:close()
        local ready = fib:join()
        lu.assertTrue(#ready == 1 and ready[1] == a)
        lu.assertEquals({a:receive()}, {nil, "closed"})
        lu.assertEquals(#socket.select({a}, nil, 0), 0) -- closed from the start: passed over
    end
end)

case("select of many, with few descriptors to spare", function()
    local list = {}
    for i = 1, 300 do
        list[i] = keep(socket.udp4())
        list[i]:setsockname("127.0.0.1", 0)
    end
    local fib = start(socket.select, list, nil, 10)
    local _, port = list[77]:getsockname()
    list[1]:sendto("x", "127.0.0.1", port)
    local ready = fib:join()
    lu.assertTrue(#ready == 1 and ready[1] == list[77])
end)

case("an error of an object in a list leaves select", function()
    local bad = {getfd = function() error("no descriptor", 0) end}
    local ok, err = pcall(socket.select, {bad}, nil, 0)
    lu.assertEquals({ok, err}, {false, "no descriptor"})
end)

-- ---- connecting ----

case("connect without waiting, select, and connect again", function()
    local _, port = server()
    local client = keep(socket.tcp())
    client:settimeout(0)
    lu.assertEquals({client:connect("127.0.0.1", port)}, {nil, "timeout"})
    local _, ready = socket.select(nil, {client}, 10)
    lu.assertTrue(ready[1] == client)
    local res, err = client:connect("127.0.0.1", port)
    lu.assertTrue(res == 1 or err == "already connected")
    lu.assertEquals({client:connect("127.0.0.1", port)}, {nil, "already connected"})
    client:settimeout(nil)
    lu.assertEquals(client:send("x"), 1)
end)

case("a connect that times out says so, with the time it was given", function()
    local listener = keep(socket.tcp4())
    listener:bind("127.0.0.1", 0)
    listener:listen(0)
    local _, port = listener:getsockname()
    local timed_out = false
    for _ = 1, 10 do -- a full backlog takes no more
        local client = keep(socket.tcp())
        client:settimeout(0.02)
        local _, err = client:connect("127.0.0.1", port)
        timed_out = timed_out or err == "timeout"
    end
    lu.assertTrue(timed_out)
end)

case("names are looked up while others run", function()
    local ran = false
    local fib = thrum.spawn(function() ran = true end)
    local address, err = socket.dns.toip("localhost")
    lu.assertTrue(ran)
    fib:join()
    lu.skipIf(not address, "no localhost here: " .. tostring(err))
    lu.assertEquals(address, "127.0.0.1")
    lu.assertEquals({socket.connect("localhost", "no such service")},
        {nil, "service not supported for socket type"})
end)

case("wrong arguments are texts, and say where", function()
    local sock = keep(socket.tcp4())
    for _, f in ipairs {
        function() sock:connect(nil, 1) end, function() sock:bind("127.0.0.1", {}) end,
        function() sock:setoption("no such option", 1) end, function() sock:receive() end,
        function() sock:settimeout("x") end, function() socket.bind() end,
        function() socket.dns.toip({}) end, function() socket.connect("127.0.0.1") end,
    } do
        local ok, err = pcall(f)
        lu.assertFalse(ok)
        lu.assertStrMatches(err, ".*socket%.lua:%d+: .*")
    end
    for _, method in ipairs {"connect", "close", "receive", "setoption", "getfd", "send"} do
        for _, bad in ipairs {1, {}, io.stdout, thrum.ip.tcp.socket.new(), keep(socket.udp4())} do
            local ok, err = pcall(sock[method], bad, "127.0.0.1", 1)
            lu.assertFalse(ok)
            lu.assertStrContains(err, "expected)")
        end
    end
end)

case("numbers that no option can have are refused as the system would", function()
    local sock, datagram, six = keep(socket.tcp4()), keep(socket.udp4()), keep(socket.udp())
    for _, bad in ipairs {1e30, -1e30, 0 / 0, math.huge, math.maxinteger, math.mininteger} do
        for _, name in ipairs {"recv-buffer-size", "tcp-keepidle", "tcp-defer-accept"} do
            lu.assertEquals({sock:setoption(name, bad)}, {nil, "setsockopt failed"})
        end
        lu.assertEquals({sock:setoption("linger", {on = true, timeout = bad})},
            {nil, "setsockopt failed"})
        lu.assertEquals({datagram:setoption("ip-multicast-ttl", bad)}, {nil, "setsockopt failed"})
        local group = {multiaddr = "ff02::5", interface = bad}
        lu.assertEquals({six:setoption("ipv6-add-membership", group)}, {nil, "setsockopt failed"})
    end
    for _, bad in ipairs {1e30, -1e30, 0 / 0, math.huge} do
        local server_sock = keep(socket.tcp4())
        lu.assertEquals(server_sock:listen(bad), 1)
        keep(socket.tcp()):setfd(bad)
        lu.assertEquals({select("#", server_sock:settimeout(bad)), server_sock:close()}, {1, 1})
    end
    lu.assertEquals(sock:setoption("tcp-defer-accept", 1.5), 1)
    lu.assertEquals(sock:setoption("linger", {on = true, timeout = 1.5}), 1)
    lu.assertEquals(sock:getoption("linger"), {on = true, timeout = 1})
end)

-- ---- exceptions ----

case("a protected function may suspend, and so may its finalizer", function()
    local client, peer = pair()
    local order = {}
    local try = socket.newtry(function()
        order[#order + 1] = client:receive()
    end)
    local f = socket.protect(function()
        order[#order + 1] = try(client:receive())
        try(nil, "over")
    end)
    local fib = start(f)
    peer:send("one\n")
    h.let_others_run()
    peer:send("two\n")
    lu.assertEquals({fib:join()}, {nil, "over"})
    lu.assertEquals(order, {"one", "two"})
end)

case("an interruption goes through protect", function()
    local client = pair()
    local fib = start(socket.protect(function() return client:receive() end))
    fib:interrupt()
    fib:join()
    lu.assertTrue(fib.interruption_caught)
    lu.assertEquals({pcall(socket.protect(error), ECANCELED)}, {false, ECANCELED})
end)

-- ---- other descriptors ----

case("setfd takes a descriptor over, and lets another object go on with it", function()
    local client, peer = pair()
    local other = keep(socket.tcp())
    local fd = client:getfd()
    client:setfd(-1)
    lu.assertEquals(client:getfd(), -1)
    other:setfd(fd)
    lu.assertEquals(other:getfd(), fd)
    lu.assertFalse(pcall(other.receive, other)) -- it is a master still
    peer:send("x")
    lu.assertEquals(other:setfd(-1))
    client:setfd(fd)
    lu.assertEquals(client:receive(1), "x")
    lu.assertEquals({other:setfd(1 << 20)}, {nil, "Bad file descriptor"})
end)

-- ---- loading ----

case("the module is loaded when it is asked for", function()
    h.skip_without_program()
    local output = h.run_program("-e", [[
        local thrum = require "thrum"
        print(rawget(thrum, "socket"), package.loaded["socket.core"])
        print(require "socket" == thrum.socket, require "socket.core" == thrum.socket,
            require "socket.unix" == thrum.socket.unix, rawget(_G, "socket"))
    ]])
    lu.assertStrContains(output, "nil\tnil\ntrue\ttrue\ttrue\tnil\n")
end)

case("LuaSec that is not there is not found", function()
    h.skip_without_program()
    local output = h.run_program("-e", [[
        package.path, package.cpath = "", ""
        print(pcall(require, "ssl.core"))
    ]])
    lu.assertStrContains(output, "module 'ssl.core' not found:")
end)
