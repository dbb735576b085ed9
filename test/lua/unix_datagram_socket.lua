-- SPDX-License-Identifier: BSL-1.0
-- unix.datagram.socket: datagrams by path, by peer, of every size.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, ip, spawn = thrum.unix, thrum.byte_span, thrum.ip, thrum.spawn

local function bound()
    local sock = unix.datagram.socket.new()
    sock:open()
    sock:bind("")
    return sock
end

local function unbound()
    local sock = unix.datagram.socket.new()
    sock:open()
    return sock
end

t["test the synopsis of the page runs"] = function()
    local path = os.tmpname()
    os.remove(path)
    local sock = unix.datagram.socket.new()
    sock:open()
    sock:bind(path)
    local client = bound()
    client:send_to("ping", path)
    local buf = byte_span.new(1024)
    local nread, remote_path = sock:receive_from(buf)
    lu.assertEquals(nread, 4)
    lu.assertEquals(remote_path, client.local_path)
    sock:send_to(buf:slice(1, nread), remote_path)
    local n, from = client:receive_from(buf)
    lu.assertEquals(n, 4)
    lu.assertEquals(from, path)
    sock:close()
    client:close()
    os.remove(path)
end

t["test a sender without a name is an empty path, and cannot be answered"] = function()
    local sock, nameless = bound(), unbound()
    nameless:send_to("who?", sock.local_path)
    local n, from = sock:receive_from(byte_span.new(8))
    lu.assertEquals(n, 4)
    lu.assertEquals(from, "")
    h.raises_arg(3, sock.send_to, sock, "you", from)
    sock:close()
    nameless:close()
end

t["test spans, strings and lists are sent, and a datagram of nothing is one"] = function()
    local a, b = unix.datagram.socket.pair()
    local buf = byte_span.new(64)
    local span = byte_span.append("span")
    for _, case in ipairs {
        {"string", "string"}, {span, "span"}, {span:slice(2, 3), "pa"}, {"", ""}, {{}, ""},
        {{"a", span, "", "b"}, "aspanb"}, {byte_span.new(0), ""},
    } do
        lu.assertEquals(a:send(case[1]), #case[2])
        lu.assertEquals(b:receive(buf), #case[2])
        lu.assertEquals(tostring(buf:slice(1, #case[2])), case[2])
    end
    local err = h.raises_arg(2, a.send, a, {"a", 5})
    h.assert_contains(tostring(err), "element 2")
    h.raises_arg(2, a.send, a, 5)
    a:close()
    b:close()
end

t["test a datagram that is longer than the buffer is EMSGSIZE with length and path"] = function()
    local sock, client = bound(), bound()
    local buf = byte_span.new(4)
    client:send_to("0123456789", sock.local_path)
    local err = h.raises("EMSGSIZE", sock.receive_from, sock, buf)
    lu.assertEquals(err.length, 10)
    lu.assertEquals(err.path, client.local_path)
    lu.assertEquals(tostring(buf), "0123")
    client:send_to("0123456789", sock.local_path)
    err = h.raises("EMSGSIZE", sock.receive, sock, buf)
    lu.assertEquals(err.length, 10)
    lu.assertNil(err.path)
    local waiting = h.try(sock.receive_from, sock, buf)
    client:send_to("0123456789", sock.local_path)
    local ok
    ok, err = waiting:join()
    lu.assertFalse(ok)
    lu.assertEquals(err.length, 10)
    client:send_to("0123456789", sock.local_path)
    lu.assertEquals(sock:receive(buf, ip.message_flag.truncate), 4)
    client:send_to("0123456789", sock.local_path)
    lu.assertEquals(sock:receive(byte_span.new(0), ip.message_flag.peek), 0)
    lu.assertEquals(sock:io_control("bytes_readable"), 10)
    lu.assertEquals(sock:receive(byte_span.new(10)), 10)
    h.raises("EOPNOTSUPP", sock.receive, sock, buf, ip.message_flag.out_of_band)
    h.raises_arg(3, sock.receive, sock, buf, ip.message_flag.do_not_route)
    sock:close()
    client:close()
end

t["test connect sets the peer, opens the socket, and disconnect takes it away"] = function()
    local server, other, client = bound(), bound(), unix.datagram.socket.new()
    client:connect(server.local_path)
    lu.assertTrue(client.is_open)
    lu.assertEquals(client.remote_path, server.local_path)
    lu.assertEquals(client:send("to the peer"), 11)
    lu.assertEquals(server:receive(byte_span.new(32)), 11)
    client:connect(other.local_path)
    lu.assertEquals(client.remote_path, other.local_path)
    client:disconnect()
    h.raises("ENOTCONN", function() return client.remote_path end)
    h.raises("ENOTCONN", client.send, client, "x")
    client:disconnect()
    for _, sock in ipairs {server, other, client} do
        sock:close()
    end
end

t["test errors of names that lead nowhere have the path"] = function()
    local sock = unbound()
    local err = h.raises("ECONNREFUSED", sock.send_to, sock, "x", "\0thrum-nobody")
    lu.assertEquals(err.path, "\0thrum-nobody")
    h.assert_contains(tostring(err), "unix.datagram.socket.send_to @thrum-nobody")
    err = h.raises("ENOENT", sock.connect, sock, "/nowhere/at/all")
    lu.assertEquals(err.path, "/nowhere/at/all")
    local acceptor, path = unix.stream.acceptor.new(), os.tmpname()
    os.remove(path)
    acceptor:open()
    acceptor:bind(path)
    h.raises("EPROTOTYPE", sock.connect, sock, path)
    h.raises("EPROTOTYPE", sock.send_to, sock, "x", path)
    acceptor:close()
    os.remove(path)
    sock:close()
end

t["test a receiver that is connected elsewhere refuses with EPERM"] = function()
    local sock, friend, stranger = bound(), bound(), unbound()
    sock:connect(friend.local_path)
    h.raises("EPERM", stranger.send_to, stranger, "x", sock.local_path)
    for _, each in ipairs {sock, friend, stranger} do
        each:close()
    end
end

t["test a full receiver makes senders wait, in their order, and loses nothing"] = function()
    local sock, client = bound(), unbound()
    local path = sock.local_path
    client.timeout = 0
    local n_sent = 0
    while pcall(client.send_to, client, tostring(n_sent + 1), path) do
        n_sent = n_sent + 1
    end
    lu.assertTrue(n_sent > 0)
    client.timeout = nil
    local senders = {}
    for i = 1, 3 do
        senders[i] = h.start(function() return client:send_to(tostring(n_sent + i), path) end)
    end
    local buf = byte_span.new(16)
    for i = 1, n_sent + 3 do
        local n = sock:receive(buf)
        lu.assertEquals(tostring(buf:slice(1, n)), tostring(i))
    end
    for i = 1, 3 do
        lu.assertTrue(senders[i]:join() > 0)
    end
    sock:close()
    client:close()
end

t["test interrupt and timeout of a sender that waits for a full receiver"] = function()
    local sock, client = bound(), unbound()
    local path = sock.local_path
    client.timeout = 0
    repeat until not pcall(client.send_to, client, "filler", path)
    client.timeout = 0.01
    local err = h.raises("ETIMEDOUT", client.send_to, client, "late", path)
    lu.assertEquals(err.path, path)
    client.timeout = nil
    local waiting = h.try(client.send_to, client, "never", path)
    waiting:interrupt()
    local ok
    ok, err = waiting:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    sock:close()
    h.raises("ECONNREFUSED", client.send_to, client, "gone", path)
    client:close()
end

t["test a datagram larger than the send buffer is EMSGSIZE"] = function()
    local a, b = unix.datagram.socket.pair()
    a:set_option("send_buffer_size", 4096)
    h.raises("EMSGSIZE", a.send, a, ("x"):rep(1 << 16))
    lu.assertEquals(a:send("fits"), 4)
    a:close()
    b:close()
end

t["test fibers that receive are served first come, first served"] = function()
    local a, b = unix.datagram.socket.pair()
    local fibers = {}
    for i = 1, 5 do
        fibers[i] = h.start(function()
            local buf = byte_span.new(8)
            return tostring(buf:slice(1, (b:receive(buf))))
        end)
    end
    spawn(function()
        for i = 1, 5 do
            a:send(tostring(i))
        end
    end):join()
    for i = 1, 5 do
        lu.assertEquals(fibers[i]:join(), tostring(i))
    end
    a:close()
    b:close()
end
