-- SPDX-License-Identifier: BSL-1.0
-- ip.tcp.socket and ip.tcp.acceptor: what a connection is, its bytes, and their end.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span, spawn, time = thrum.ip, thrum.byte_span, thrum.spawn, thrum.time
local loopback = ip.address.loopback_v4()
local oob = ip.message_flag.out_of_band

local function eof(f, ...)
    return h.raises_text("misc", "End of file", f, ...)
end

local function listening(family, backlog)
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open(family or "v4")
    acceptor:bind(h.loopback(family), 0)
    acceptor:listen(backlog)
    return acceptor
end

local function client_of(acceptor)
    local client = ip.tcp.socket.new()
    client:connect(acceptor.local_address, acceptor.local_port)
    return client
end

local function pair(family)
    local acceptor = listening(family)
    local client = client_of(acceptor)
    local server = acceptor:accept()
    acceptor:close()
    return client, server
end

local function close(...)
    for _, each in ipairs {...} do
        each:close()
    end
end

local function each_family(name, case)
    for _, family in ipairs {"v4", "v6"} do
        t[("test %s: %s"):format(family, name)] = function()
            if family == "v6" then
                h.skip_without_v6()
            end
            case(family)
        end
    end
end

-- who is who

each_family("connect and accept: both ends know each other", function(family)
    local acceptor = listening(family)
    local client = client_of(acceptor)
    local server = acceptor:accept()
    lu.assertTrue(server.is_open and client.is_open)
    lu.assertIs(server.local_address, h.loopback(family))
    lu.assertEquals(server.local_port, acceptor.local_port)
    lu.assertIs(server.remote_address, client.local_address)
    lu.assertEquals(server.remote_port, client.local_port)
    lu.assertEquals(client.remote_port, acceptor.local_port)
    h.assert_starts(tostring(server), "ip.tcp.socket (" ..
        ip.tostring(server.local_address, server.local_port))
    h.assert_starts(tostring(acceptor), "ip.tcp.acceptor (" ..
        ip.tostring(acceptor.local_address, acceptor.local_port))
    local buf = byte_span.new(8)
    client:write_some("hello")
    lu.assertEquals(server:read_some(buf), 5)
    server:send("back")
    lu.assertEquals(client:receive(buf), 4)
    close(acceptor, client, server)
end)

t["test a v6 acceptor takes v4 clients, unless v6_only is set"] = function()
    h.skip_without_v6()
    for _, only in ipairs {false, true} do
        local acceptor, client = ip.tcp.acceptor.new(), ip.tcp.socket.new()
        acceptor:open("v6")
        acceptor:set_option("v6_only", only)
        acceptor:bind(ip.address.any_v6(), 0)
        acceptor:listen()
        if only then
            h.raises("ECONNREFUSED", client.connect, client, loopback, acceptor.local_port)
        else
            client:connect(loopback, acceptor.local_port)
            local server = acceptor:accept()
            lu.assertIs(server.remote_address:to_v4(), loopback)
            server:close()
        end
        close(acceptor, client)
    end
end

t["test families: an open socket keeps its own, a closed one takes the address's"] = function()
    h.skip_without_v6()
    local v6, v4 = listening("v6"), listening("v4")
    local sock = ip.tcp.socket.new()
    sock:open("v4")
    h.raises("EAFNOSUPPORT", sock.connect, sock, ip.address.loopback_v6(), v6.local_port)
    sock:connect(loopback:to_v6(), v4.local_port) -- mapped
    sock:close()
    sock:connect(ip.address.loopback_v6(), v6.local_port)
    lu.assertTrue(sock.local_address.is_v6)
    close(sock, v6, v4)
end

t["test a client may bind first"] = function()
    local acceptor, client = listening(), ip.tcp.socket.new()
    client:open(loopback)
    client:bind("127.0.0.1", 0)
    local port = client.local_port
    client:connect(loopback, acceptor.local_port)
    local server = acceptor:accept()
    lu.assertEquals(server.remote_port, port)
    close(acceptor, client, server)
end

-- bytes

t["test read_some and write_some, receive and send are the same but for flags"] = function()
    local a, b = pair()
    local buf = byte_span.new(16)
    lu.assertEquals(a:send({"t", byte_span.append("wo")}), 3)
    lu.assertEquals(b:read_some(buf), 3)
    lu.assertEquals(tostring(buf:slice(1, 3)), "two")
    a:write_some("peeked")
    lu.assertEquals(b:receive(buf, ip.message_flag.peek), 6)
    lu.assertEquals(b:io_control("bytes_readable"), 6)
    lu.assertEquals(b:read_some(buf:slice(1, 4)), 4)
    lu.assertEquals(b:read_some(buf), 2)
    h.raises_arg(3, b.receive, b, buf, ip.message_flag.truncate)
    h.raises_arg(2, b.read_some, b, "buffer")
    h.raises_arg(2, a.write_some, a)
    lu.assertEquals(b:read_some(byte_span.new(0)), 0)
    lu.assertEquals(a:write_some(""), 0)
    close(a, b)
end

t["test the end of the stream is eof, now and ever after, and wakes who waits"] = function()
    local a, b = pair()
    local fibers = {}
    for i = 1, 3 do
        fibers[i] = h.try(function() return b:read_some(byte_span.new(4)) end)
    end
    a:write_some("last")
    a:close()
    local ok, n = fibers[1]:join()
    lu.assertTrue(ok)
    lu.assertEquals(n, 4)
    for i = 2, 3 do
        local err
        ok, err = fibers[i]:join()
        lu.assertFalse(ok)
        h.assert_starts(tostring(err), "End of file: ip.tcp.socket.read_some")
    end
    for _ = 1, 3 do
        eof(b.read_some, b, byte_span.new(1))
        eof(b.receive, b, byte_span.new(1))
    end
    b:close()
end

t["test half-close: the other direction goes on"] = function()
    local a, b = pair()
    a:write_some("question")
    a:shutdown("send")
    h.raises("EPIPE", a.write_some, a, "more")
    lu.assertEquals(h.read_all(b), "question")
    b:write_some("answer")
    b:shutdown("send")
    lu.assertEquals(h.read_all(a), "answer")
    close(a, b)
end

t["test shutdown of receiving wakes who waits, and the peer hears nothing of it"] = function()
    local a, b = pair()
    local reader = h.try(b.read_some, b, byte_span.new(4))
    b:shutdown("receive")
    local ok, err = reader:join()
    lu.assertFalse(ok)
    h.assert_starts(tostring(err), "End of file")
    eof(b.read_some, b, byte_span.new(4))
    b:write_some("still sends")
    lu.assertEquals(a:read_some(byte_span.new(32)), 11)
    close(a, b)
end

each_family("megabytes go through partial writes and reads in order", function(family)
    local a, b = pair(family)
    a:set_option("send_buffer_size", 8192)
    local pieces = {}
    for i = 1, h.is_slow and 5000 or 200000 do
        pieces[i] = ("%08d,"):format(i)
    end
    local text = table.concat(pieces)
    local span, n_partial = byte_span.append(text), 0
    local writer = spawn(function()
        local sent = 0
        while sent < #span do
            local n = a:write_some(span:slice(sent + 1))
            n_partial = n_partial + (n < #span - sent and 1 or 0)
            sent = sent + n
        end
        a:shutdown("send")
    end)
    lu.assertTrue(h.read_all(b, 77777) == text)
    writer:join()
    lu.assertTrue(n_partial > 0)
    close(a, b)
end)

t["test a writer waits while there is no room, and goes on when there is"] = function()
    local a, b = pair()
    a.timeout = 0
    local n_sent = 0
    while true do
        local ok, n = pcall(a.write_some, a, ("x"):rep(65536))
        if not ok then
            lu.assertTrue(n == thrum.generic_error.ETIMEDOUT, tostring(n))
            break
        end
        n_sent = n_sent + n
    end
    a.timeout = nil
    local writer = h.start(function()
        h.write_all(a, "the rest")
        a:shutdown("send")
    end)
    local text = h.read_all(b)
    lu.assertEquals(#text, n_sent + 8)
    lu.assertEquals(text:sub(-8), "the rest")
    writer:join()
    close(a, b)
end

t["test many fibers read and write one connection, and no byte is lost or doubled"] = function()
    local a, b = pair()
    local n_fibers, n_each, seen, fibers = 8, 50, {}, {}
    for i = 1, n_fibers do
        fibers[#fibers + 1] = spawn(function()
            for k = 1, n_each do -- small enough to be taken whole
                lu.assertEquals(a:write_some(("%04d"):format((i - 1) * n_each + k)), 4)
                thrum.this_fiber.yield()
            end
        end)
        fibers[#fibers + 1] = spawn(function()
            local buf = byte_span.new(4)
            for _ = 1, n_each do
                local n = b:read_some(buf)
                while n < 4 do
                    n = n + b:read_some(buf:slice(n + 1))
                end
                seen[#seen + 1] = tonumber(tostring(buf))
            end
        end)
    end
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
    table.sort(seen)
    for i = 1, n_fibers * n_each do
        lu.assertEquals(seen[i], i)
    end
    close(a, b)
end

t["test a peer that is gone with unread bytes is ECONNRESET once, then eof"] = function()
    local a, b = pair()
    a:write_some("never read")
    h.wait_until(function() return b:io_control("bytes_readable") == 10 end)
    local reader = h.try(a.read_some, a, byte_span.new(8))
    b:close()
    local ok, err = reader:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.ECONNRESET, tostring(err))
    eof(a.read_some, a, byte_span.new(8))
    h.raises("EPIPE", a.write_some, a, "x")
    a:close()
end

t["test linger {true, 0} drops the connection"] = function()
    local a, b = pair()
    a:set_option("linger", {true, 0})
    a:close()
    h.raises("ECONNRESET", b.read_some, b, byte_span.new(8))
    b:close()
end

t["test a socket that lingers is collected without waiting"] = function()
    local b
    do
        local a
        a, b = pair()
        a:set_option("linger", {true, 20})
        a.timeout = 0
        while pcall(a.write_some, a, ("x"):rep(65536)) do end -- luacheck: ignore
    end
    local before = time.steady_clock.now()
    collectgarbage()
    collectgarbage()
    lu.assertTrue(time.steady_clock.now() - before < 10)
    b:close()
end

-- urgent data

t["test out-of-band data is one byte apart, and at_mark tells where it was"] = function()
    local a, b = pair()
    local buf = byte_span.new(8)
    local urgent = h.start(function()
        local one = byte_span.new(1)
        lu.assertEquals(b:receive(one, oob), 1)
        return tostring(one)
    end)
    a:write_some("calm")
    a:send("!", oob)
    a:write_some("after")
    lu.assertEquals(urgent:join(), "!")
    lu.assertFalse(b.at_mark)
    lu.assertEquals(b:read_some(buf), 4)
    lu.assertTrue(b.at_mark)
    b.timeout = 0
    h.raises("ETIMEDOUT", b.receive, b, buf, oob) -- the next one is waited for
    b.timeout = nil
    lu.assertEquals(b:read_some(buf), 5)
    lu.assertFalse(b.at_mark)
    close(a, b)
    h.raises("EBADF", function() return b.at_mark end)
end

t["test out_of_band_inline leaves it where it was"] = function()
    local a, b = pair()
    local buf = byte_span.new(8)
    b:set_option("out_of_band_inline", true)
    local apart = h.try(b.receive, b, byte_span.new(1), oob)
    a:write_some("calm")
    a:send("!", oob)
    local ok, err = apart:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.EINVAL, tostring(err))
    lu.assertEquals(b:read_some(buf), 4)
    h.wait_until(function() return b.at_mark end)
    lu.assertEquals(b:read_some(buf), 1)
    lu.assertEquals(tostring(buf:slice(1, 1)), "!")
    close(a, b)
end

t["test a wait for urgent data is interrupted, and other readers go on"] = function()
    local a, b = pair()
    local urgent = h.try(b.receive, b, byte_span.new(1), oob)
    local reader = h.try(b.read_some, b, byte_span.new(8))
    urgent:interrupt()
    local ok, err = urgent:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    a:write_some("calm")
    local n
    ok, n = reader:join()
    lu.assertTrue(ok)
    lu.assertEquals(n, 4)
    close(a, b)
end

-- connect

t["test connect: nobody listens, unconnected, connected already"] = function()
    local acceptor = listening()
    local port = acceptor.local_port
    acceptor:close()
    local sock = ip.tcp.socket.new()
    local err = h.raises("ECONNREFUSED", sock.connect, sock, loopback, port)
    lu.assertIs(err.address, loopback)
    lu.assertEquals(err.port, port)
    lu.assertTrue(sock.is_open)
    sock:close()
    sock:open("v4")
    h.raises("ENOTCONN", sock.read_some, sock, byte_span.new(1))
    h.raises("EPIPE", sock.write_some, sock, "x")
    h.raises("ENOTCONN", sock.shutdown, sock, "both")
    h.raises("ENOTCONN", function() return sock.remote_address end)
    h.raises("ENOTCONN", function() return sock.remote_port end)
    sock:close()
    acceptor = listening()
    sock:connect(loopback, acceptor.local_port)
    h.raises("EISCONN", sock.connect, sock, loopback, acceptor.local_port)
    close(sock, acceptor)
    for _, bad in ipairs {"127.0.0.1", 1, true, {}} do
        h.raises_arg(2, sock.connect, sock, bad, port)
    end
    for _, bad in ipairs {70000, -1, "80", 1.5} do
        h.raises_arg(3, sock.connect, sock, loopback, bad)
    end
end

-- An acceptor whose backlog is full answers nobody: Linux drops the SYN.
local function silent()
    local acceptor, fill = listening("v4", 0), {}
    for i = 1, 8 do
        fill[i] = ip.tcp.socket.new()
        fill[i].timeout = 0.02
        local ok, err = pcall(fill[i].connect, fill[i], loopback, acceptor.local_port)
        if not ok then
            lu.assertTrue(err == thrum.generic_error.ETIMEDOUT, tostring(err))
            fill[i]:close()
            return acceptor, fill
        end
    end
    lu.skip("a full backlog answers here")
end

for how, ending in pairs {
    timeout = "ETIMEDOUT", cancel = "ECANCELED", close = "ECANCELED", release = "ECANCELED",
    interrupt = "interrupted", with_timeout = "ETIMEDOUT",
} do
    t["test a connect ended by " .. how .. ": the socket connects again after close"] = function()
        local acceptor, fill = silent()
        local port = acceptor.local_port
        local sock = ip.tcp.socket.new()
        sock.timeout = how == "timeout" and 0.01 or nil
        local fiber = h.try(function()
            if how == "with_timeout" then
                time.with_timeout(0.01, sock.connect, sock, loopback, port)
            else
                sock:connect(loopback, port)
            end
        end)
        if how == "interrupt" then
            fiber:interrupt()
        elseif how ~= "timeout" and how ~= "with_timeout" then
            local fd = sock[how](sock)
            lu.assertEquals(fd ~= nil, how == "release")
            if fd then
                fd:close()
            end
        end
        local ok, err = fiber:join()
        lu.assertFalse(ok)
        if ending == "interrupted" then
            lu.assertTrue(h.is_interruption(err), tostring(err))
        else
            lu.assertTrue(err == thrum.generic_error[ending], tostring(err))
        end
        if sock.is_open then
            err = h.raises("EALREADY", sock.connect, sock, loopback, port)
            lu.assertEquals(err.port, port)
        end
        close(sock, acceptor, table.unpack(fill))
        sock.timeout = nil
        local other = listening()
        sock:connect(loopback, other.local_port)
        local server = other:accept()
        sock:write_some("works")
        lu.assertEquals(server:read_some(byte_span.new(8)), 5)
        close(sock, server, other)
    end
end

-- accept

t["test a fiber waits in accept, and the first who came is served first"] = function()
    local acceptor = listening()
    local fibers, clients = {}, {}
    for i = 1, 4 do
        fibers[i] = h.start(function() return acceptor:accept() end)
    end
    for i = 1, 4 do
        clients[i] = client_of(acceptor)
        clients[i]:send(tostring(i))
    end
    local buf = byte_span.new(4)
    for i = 1, 4 do
        local server = fibers[i]:join()
        lu.assertEquals(tostring(buf:slice(1, (server:receive(buf)))), tostring(i))
        server:close()
        clients[i]:close()
    end
    acceptor:close()
end

t["test accept without listen is EINVAL, and listen takes a number"] = function()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:bind(loopback, 0)
    lu.assertNil(h.raises("EINVAL", acceptor.accept, acceptor).arg)
    for _, bad in ipairs {-1, 1.5, "1", true, 2 ^ 31} do
        h.raises_arg(2, acceptor.listen, acceptor, bad)
    end
    for _, backlog in ipairs {0, 1, 4096} do
        lu.assertEquals(select("#", acceptor:listen(backlog)), 0)
    end
    acceptor:listen(nil)
    acceptor:close()
end

t["test the timeout of an acceptor"] = function()
    local acceptor = listening()
    acceptor.timeout = 0
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    acceptor.timeout = 0.005
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    local client = client_of(acceptor)
    acceptor.timeout = 5
    local server = acceptor:accept()
    lu.assertNil(server.timeout)
    close(acceptor, client, server)
end

t["test a client that is gone before accept: its bytes and its end still arrive"] = function()
    local acceptor = listening()
    local client = client_of(acceptor)
    client:write_some("was here")
    client:close()
    local server = acceptor:accept()
    lu.assertEquals(h.read_all(server), "was here")
    close(acceptor, server)
end

-- A server that spins, or loses the client, when descriptors run out.
t["test the descriptor limit is EMFILE once per call, and the connection waits on"] = function()
    h.skip_without_program()
    local script = [[
        local acceptor, client = ip.tcp.acceptor.new(), ip.tcp.socket.new()
        acceptor:open("v4")
        acceptor:bind("127.0.0.1", 0)
        acceptor:listen()
        client:connect(acceptor.local_address, acceptor.local_port)
    ]]
    h.check_descriptor_limit(script)
end

t["test an accepted socket that nobody keeps is closed"] = function()
    local acceptor = listening()
    local client = client_of(acceptor)
    spawn(function() acceptor:accept() end):join()
    acceptor:close()
    collectgarbage()
    collectgarbage()
    eof(client.receive, client, byte_span.new(1))
    client:close()
end

-- While many connections are busy, receives are put aside and tried together.
t["test among many busy connections each gets its own bytes, and no wait loses any"] = function()
    local count, n_rounds = 24, 30
    local function serve(sock)
        local buf = byte_span.new(64)
        while true do
            local ok, n = pcall(sock.read_some, sock, buf)
            if not ok then
                sock:close()
                return tostring(n)
            end
            sock:write_some(buf:slice(1, n))
        end
    end
    -- Ways to read: with patience; with none, again and again; interrupted, again and again.
    local ways = {}
    ways[0] = function(sock, buf)
        return sock:read_some(buf)
    end
    ways[1] = function(sock, buf)
        sock.timeout = 0
        local ok, n
        repeat
            ok, n = pcall(sock.read_some, sock, buf)
            thrum.this_fiber.yield()
        until ok
        return n
    end
    ways[2] = function(sock, buf)
        local reader, n
        repeat
            reader = spawn(sock.read_some, sock, buf)
            thrum.this_fiber.yield()
            reader:interrupt()
            n = reader:join()
        until not reader.interruption_caught
        return n
    end
    local function ask(sock, i)
        local buf = byte_span.new(64)
        for round = 1, n_rounds do
            local text = ("%d of %d"):format(round, i)
            sock:write_some(text)
            local n = ways[i % 3](sock, buf)
            lu.assertEquals(tostring(buf:slice(1, n)), text)
        end
        sock:close()
    end
    local servers, clients = {}, {}
    for i = 1, count do
        local client, server = pair()
        servers[i], clients[i] = spawn(serve, server), spawn(ask, client, i)
    end
    for i = 1, count do
        clients[i]:join()
        h.assert_starts(servers[i]:join(), "End of file")
    end
end
