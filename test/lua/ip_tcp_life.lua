-- SPDX-License-Identifier: BSL-1.0
-- ip.tcp.socket and ip.tcp.acceptor: how they begin and end, and what ends a wait.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span, unix = thrum.ip, thrum.byte_span, thrum.unix
local loopback = ip.address.loopback_v4()
local ECANCELED = thrum.generic_error.ECANCELED

local function listening()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:bind(loopback, 0)
    acceptor:listen()
    return acceptor
end

local function client_of(acceptor)
    local client = ip.tcp.socket.new()
    client:connect(acceptor.local_address, acceptor.local_port)
    return client
end

local function pair()
    local acceptor = listening()
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

-- First what fits; then, when the peer's kernel has taken what it takes, the room that left.
local function fill(sock)
    for _, piece in ipairs {{65536, 0.05}, {64, 0}, {1, 0}} do
        sock.timeout = piece[2]
        repeat until not pcall(sock.send, sock, ("x"):rep(piece[1]))
    end
    sock.timeout = nil
end

t["test a new socket and a new acceptor are closed, and say so"] = function()
    local buf = byte_span.new(1)
    local sock, acceptor = ip.tcp.socket.new(), ip.tcp.acceptor.new()
    lu.assertEquals(tostring(sock), "ip.tcp.socket (closed)")
    lu.assertEquals(tostring(acceptor), "ip.tcp.acceptor (closed)")
    for name, arguments in pairs {
        bind = {loopback, 0}, shutdown = {"both"}, cancel = {}, release = {}, receive = {buf},
        read_some = {buf}, send = {"x"}, write_some = {"x"}, set_option = {"linger", {false, 0}},
        get_option = {"linger"}, io_control = {"bytes_readable"},
    } do
        h.raises("EBADF", sock[name], sock, table.unpack(arguments))
    end
    for name, arguments in pairs {
        bind = {loopback, 0}, cancel = {}, release = {}, listen = {}, accept = {},
        get_option = {"debug"},
    } do
        h.raises("EBADF", acceptor[name], acceptor, table.unpack(arguments))
    end
    for _, name in ipairs {"local_address", "local_port", "remote_address", "remote_port",
        "at_mark"} do
        h.raises("EBADF", function() return sock[name] end)
    end
    for _ = 1, 2 do
        close(sock, acceptor)
    end
    lu.assertFalse(sock.is_open or acceptor.is_open)
end

t["test a class has what is its own and nothing else"] = function()
    local sock, acceptor = ip.tcp.socket.new(), ip.tcp.acceptor.new()
    for _, name in ipairs {"receive_from", "send_to", "disconnect", "listen", "accept",
        "local_path", "receive_with_fds", "remote_credentials"} do
        h.raises("EINVAL", function() return sock[name] end)
    end
    for _, name in ipairs {"connect", "receive", "send", "read_some", "write_some", "shutdown",
        "remote_address", "at_mark", "io_control"} do
        h.raises("EINVAL", function() return acceptor[name] end)
    end
    h.raises_arg(1, acceptor.accept, sock)
    h.raises_arg(1, sock.read_some, acceptor, byte_span.new(1))
end

t["test open: twice is already_open; by an address; again after close"] = function()
    for _, class in ipairs {ip.tcp.socket, ip.tcp.acceptor} do
        local sock = class.new()
        sock:open(loopback)
        h.raises_text("misc", "Already open", sock.open, sock, "v4")
        sock:close()
        sock:open("v4")
        lu.assertTrue(sock.is_open)
        for _, bad in ipairs {"v5", 4, true, {}} do
            h.raises_arg(2, sock.open, sock, bad)
        end
        sock:close()
    end
end

t["test bind tells the endpoint that is in use"] = function()
    local acceptor, other = listening(), ip.tcp.acceptor.new()
    other:open("v4")
    local err = h.raises("EADDRINUSE", other.bind, other, loopback, acceptor.local_port)
    lu.assertIs(err.address, loopback)
    lu.assertEquals(err.port, acceptor.local_port)
    close(acceptor, other)
end

t["test reuse_address lets a service start again over old connections"] = function()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:set_option("reuse_address", true)
    acceptor:bind(loopback, 0)
    acceptor:listen()
    local port = acceptor.local_port
    local client = client_of(acceptor)
    local server = acceptor:accept()
    server:close() -- first: its end is the one that waits
    h.raises_text("misc", "End of file", client.read_some, client, byte_span.new(1))
    close(client, acceptor)
    acceptor:open("v4")
    h.raises("EADDRINUSE", acceptor.bind, acceptor, loopback, port)
    acceptor:set_option("reuse_address", true)
    acceptor:bind(loopback, port)
    acceptor:listen()
    acceptor:close()
end

for _, how in ipairs {"close", "cancel", "release"} do
    t["test " .. how .. " wakes everybody who waits to receive"] = function()
        local a, b = pair()
        local flags = ip.message_flag
        local fibers = {}
        for i, wait in ipairs {0, flags.peek, flags.out_of_band, 0} do
            fibers[i] = h.try(b.receive, b, byte_span.new(8), wait)
        end
        local fd = b[how](b)
        for i = 1, 4 do
            local ok, err = fibers[i]:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == ECANCELED, i .. ": " .. tostring(err))
        end
        lu.assertEquals(b.is_open, how == "cancel")
        if how == "cancel" then
            a:send("alive")
            lu.assertEquals(b:receive(byte_span.new(8)), 5)
        elseif how == "release" then
            lu.assertEquals(fd:kind(), "tcp v4")
            fd:close()
        end
        close(a, b)
    end

    t["test " .. how .. " wakes senders that wait for room"] = function()
        local a, b = pair()
        fill(a)
        local senders = {h.try(a.send, a, "1"), h.try(a.write_some, a, "2")}
        local released = a[how](a)
        for i = 1, 2 do
            local ok, err = senders[i]:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == ECANCELED, tostring(err))
        end
        if released then
            released:close()
        end
        close(a, b)
    end

    t["test " .. how .. " wakes all who accept"] = function()
        local acceptor = listening()
        local port = acceptor.local_port
        local fibers = {}
        for i = 1, 3 do
            fibers[i] = h.try(acceptor.accept, acceptor)
        end
        local fd = acceptor[how](acceptor)
        for i = 1, 3 do
            local ok, err = fibers[i]:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == ECANCELED, tostring(err))
        end
        lu.assertEquals(acceptor.is_open, how == "cancel")
        if how == "release" then
            lu.assertEquals(fd:kind(), "tcp v4 acceptor")
            acceptor:assign("v4", fd)
            lu.assertEquals(acceptor.local_port, port)
        end
        if how ~= "close" then
            local client = client_of(acceptor)
            acceptor:accept():close()
            client:close()
        end
        acceptor:close()
    end
end

t["test interrupting one reader leaves its neighbors waiting"] = function()
    for victim = 1, 4 do
        local a, b = pair()
        local fibers = {}
        for i = 1, 4 do
            fibers[i] = h.try(b.read_some, b, byte_span.new(1))
        end
        fibers[victim]:interrupt()
        local ok, err = fibers[victim]:join()
        lu.assertFalse(ok)
        lu.assertTrue(h.is_interruption(err))
        a:write_some("abc")
        for i = 1, 4 do
            if i ~= victim then
                lu.assertTrue((fibers[i]:join()))
            end
        end
        close(a, b)
    end
end

t["test interrupting one who accepts leaves the next in line"] = function()
    local acceptor = listening()
    local first, second = h.try(acceptor.accept, acceptor), h.try(acceptor.accept, acceptor)
    first:interrupt()
    local ok, err = first:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    local client = client_of(acceptor)
    local server
    ok, server = second:join()
    lu.assertTrue(ok)
    close(acceptor, client, server)
end

t["test release and assign: what waits in the socket is the heir's"] = function()
    local a, b = pair()
    a:write_some("early")
    local heir = ip.tcp.socket.new()
    heir:assign(loopback, b:release())
    lu.assertFalse(b.is_open)
    lu.assertEquals(heir:read_some(byte_span.new(8)), 5)
    lu.assertEquals(heir.remote_port, a.local_port)
    close(a, heir)

    local acceptor, next_one = listening(), ip.tcp.acceptor.new()
    local client = client_of(acceptor)
    next_one:assign("v4", acceptor:release())
    local server = next_one:accept()
    close(next_one, client, server)
end

t["test assign takes its own kind only, and says what came"] = function()
    local a, b = pair()
    local acceptor = listening()
    local stream = unix.stream.socket.pair()
    local fds = {
        tcp = a:release(), listening = acceptor:release(), udp = h.bound():release(),
        unix = stream:release(),
    }
    local sock, listener = ip.tcp.socket.new(), ip.tcp.acceptor.new()
    for name, kind in pairs {
        listening = "tcp v4 acceptor", udp = "udp v4", unix = "unix stream",
    } do
        local err = h.raises("EINVAL", sock.assign, sock, "v4", fds[name])
        lu.assertEquals(err.arg, 3)
        h.assert_contains(tostring(err), "tcp v4 expected, got " .. kind)
    end
    local err = h.raises("EINVAL", sock.assign, sock, "v6", fds.tcp)
    h.assert_contains(tostring(err), "tcp v6 expected, got tcp v4")
    err = h.raises("EINVAL", listener.assign, listener, "v4", fds.tcp)
    h.assert_contains(tostring(err), "tcp v4 acceptor expected, got tcp v4")
    sock:assign("v4", fds.tcp)
    listener:assign("v4", fds.listening)
    h.raises("EBUSY", fds.tcp.close, fds.tcp)
    local other = b:release()
    h.raises_text("misc", "Already open", sock.assign, sock, "v4", other)
    close(sock, listener, other, fds.udp, fds.unix)
end

t["test collected while a fiber waits: never, the wait holds them"] = function()
    local acceptor = listening()
    local a = client_of(acceptor)
    local reader = h.try(function()
        return acceptor:accept():read_some(byte_span.new(8))
    end)
    collectgarbage()
    collectgarbage()
    a:write_some("hello")
    local ok, n = reader:join()
    lu.assertTrue(ok)
    lu.assertEquals(n, 5)
    close(a, acceptor)
end

t["test the timeout of a socket: receiving, sending, and 0"] = function()
    local a, b = pair()
    local buf = byte_span.new(8)
    b.timeout = 0.005
    h.raises("ETIMEDOUT", b.read_some, b, buf)
    h.raises("ETIMEDOUT", b.receive, b, buf, ip.message_flag.out_of_band)
    b.timeout = 0
    h.raises("ETIMEDOUT", b.read_some, b, buf)
    a:write_some("there")
    h.wait_until(function() return b:io_control("bytes_readable") == 5 end)
    lu.assertEquals(b:read_some(buf), 5)
    fill(a)
    a.timeout = 0.005
    h.raises("ETIMEDOUT", a.write_some, a, "x")
    close(a, b)
end

t["test fiber.list tells who waits for what"] = function()
    local acceptor = listening()
    local fiber = h.try(acceptor.accept, acceptor)
    local found
    for _, entry in ipairs(thrum.fiber.list()) do
        for _, value in pairs(entry) do
            found = found or (type(value) == "string" and
                value:find("ip.tcp.acceptor.accept 127.0.0.1:" .. acceptor.local_port, 1, true))
        end
    end
    lu.assertTrue(found ~= nil)
    acceptor:close()
    fiber:join()
end
