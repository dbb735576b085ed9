-- SPDX-License-Identifier: BSL-1.0
-- unix.stream.socket: bytes in order, their end, and partial transfers.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, ip, spawn = thrum.unix, thrum.byte_span, thrum.ip, thrum.spawn

local function eof(f, ...)
    return h.raises_text("misc", "End of file", f, ...)
end

t["test read_some and write_some, receive and send are the same but for flags"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(16)
    lu.assertEquals(a:write_some("one"), 3)
    lu.assertEquals(b:receive(buf), 3)
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
    h.raises_arg(2, b.read_some, b)
    h.raises_arg(2, a.write_some, a)
    a:close()
    b:close()
end

t["test the end of the stream is eof, now and ever after, and wakes who waits"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(16)
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
        h.assert_starts(tostring(err), "End of file: unix.stream.socket.read_some")
    end
    for _ = 1, 3 do
        eof(b.read_some, b, buf)
        eof(b.receive, b, buf)
        eof(b.receive_with_fds, b, buf, 1)
    end
    h.raises("EPIPE", b.write_some, b, "x")
    b:close()
end

t["test half-close: the other direction goes on"] = function()
    local a, b = unix.stream.socket.pair()
    a:write_some("question")
    a:shutdown("send")
    h.raises("EPIPE", a.write_some, a, "more")
    lu.assertEquals(h.read_all(b), "question")
    b:write_some("answer")
    b:close()
    lu.assertEquals(h.read_all(a), "answer")
    a:close()
end

t["test an empty buffer reads nothing at once, and sending nothing is nothing"] = function()
    local a, b = unix.stream.socket.pair()
    lu.assertEquals(b:read_some(byte_span.new(0)), 0)
    lu.assertEquals(a:write_some(""), 0)
    lu.assertEquals(a:write_some({}), 0)
    a:close()
    b:close()
end

t["test a megabyte goes through partial writes and reads in order"] = function()
    local a, b = unix.stream.socket.pair()
    local pieces = {}
    for i = 1, h.is_slow and 2000 or 20000 do
        pieces[i] = ("%08d,"):format(i)
    end
    local text = table.concat(pieces)
    local writer = spawn(function()
        h.write_all(a, text)
        a:close()
    end)
    lu.assertEquals(#h.read_all(b, 7777), #text)
    writer:join()
    b:close()

    a, b = unix.stream.socket.pair()
    writer = spawn(function()
        h.write_all(a, text)
        a:shutdown("send")
    end)
    lu.assertTrue(h.read_all(b, 100) == text)
    writer:join()
    a:close()
    b:close()
end

t["test a writer waits while there is no room, and goes on when there is"] = function()
    local a, b = unix.stream.socket.pair()
    a.timeout = 0
    local n_sent = 0
    while true do
        local ok, n = pcall(a.write_some, a, ("x"):rep(4096))
        if not ok then
            lu.assertTrue(n == thrum.generic_error.ETIMEDOUT, tostring(n))
            break
        end
        n_sent = n_sent + n
    end
    a.timeout = nil
    local writer = h.start(function()
        h.write_all(a, "the rest")
        a:close()
    end)
    local text = h.read_all(b)
    lu.assertEquals(#text, n_sent + 8)
    lu.assertEquals(text:sub(-8), "the rest")
    writer:join()
    b:close()
end

t["test a peer that is gone with unread bytes is ECONNRESET once, then eof"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(8)
    a:write_some("never read")
    local reader = h.try(a.read_some, a, buf)
    b:close()
    local ok, err = reader:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.ECONNRESET, tostring(err))
    eof(a.read_some, a, buf)
    h.raises("EPIPE", a.write_some, a, "x")
    a:close()
end

t["test an unconnected socket says so"] = function()
    local sock = unix.stream.socket.new()
    sock:open()
    h.raises("ENOTCONN", sock.write_some, sock, "x")
    h.raises("EINVAL", sock.read_some, sock, byte_span.new(1))
    h.raises("ENOTCONN", function() return sock.remote_path end)
    lu.assertEquals(sock.local_path, "")
    sock:close()
end

t["test out-of-band data is one byte apart"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(8)
    local oob = ip.message_flag.out_of_band
    local ok, err = pcall(a.send, a, "!", oob)
    if not ok then
        lu.assertTrue(err == thrum.generic_error.EOPNOTSUPP, tostring(err))
    else
        a:send("calm")
        lu.assertEquals(b:receive(buf, oob), 1)
        lu.assertEquals(tostring(buf:slice(1, 1)), "!")
        lu.assertEquals(b:receive(buf), 4)
    end
    a:close()
    b:close()
end

t["test connect: nobody listens, no such file, again, and another kind"] = function()
    local sock = unix.stream.socket.new()
    local err = h.raises("ECONNREFUSED", sock.connect, sock, "\0thrum-nobody")
    lu.assertEquals(err.path, "\0thrum-nobody")
    lu.assertTrue(sock.is_open)
    h.raises("ENOENT", sock.connect, sock, "/nowhere/at/all")
    local datagram, path = unix.datagram.socket.new(), os.tmpname()
    os.remove(path)
    datagram:open()
    datagram:bind(path)
    h.raises("EPROTOTYPE", sock.connect, sock, path)
    datagram:close()
    os.remove(path)
    local acceptor = unix.stream.acceptor.new()
    acceptor:open()
    acceptor:bind("")
    h.raises("ECONNREFUSED", sock.connect, sock, acceptor.local_path) -- it does not listen yet
    acceptor:listen()
    sock:connect(acceptor.local_path)
    h.raises("EISCONN", sock.connect, sock, acceptor.local_path)
    sock:close()
    acceptor:close()
end
