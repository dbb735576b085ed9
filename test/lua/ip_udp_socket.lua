-- SPDX-License-Identifier: BSL-1.0
-- ip.udp.socket: construction, open, bind, connect, properties. E: a row of the Emilua checklist.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span = thrum.ip, thrum.byte_span
local loopback = ip.address.loopback_v4()

local function already_open(f, ...)
    return h.raises_text("misc", "Already open", f, ...)
end

-- synopsis and construction

t["test the synopsis of the page runs"] = function()
    local sock = ip.udp.socket.new()
    sock:open("v4")
    sock:bind(ip.address.any_v4(), 0)
    local client = h.bound()
    client:send_to("ping", loopback, sock.local_port)
    local buf = byte_span.new(1024)
    local nread, remote_addr, remote_port = sock:receive_from(buf)
    lu.assertEquals(nread, 4)
    lu.assertTrue(remote_addr == loopback)
    lu.assertEquals(remote_port, client.local_port)
    sock:send_to(buf:slice(1, nread), remote_addr, remote_port)
    lu.assertEquals(h.receive(client), "ping")
    sock:close()
    client:close()
end

t["test new makes no descriptor: the socket is closed"] = function()
    local before = h.descriptors()
    local sock = ip.udp.socket.new()
    lu.assertFalse(sock.is_open)
    lu.assertEquals(h.descriptors(), before)
    h.assert_contains(tostring(sock), "ip.udp.socket")
end

t["test calling a method with a dot is EINVAL for argument 1"] = function()
    local sock = ip.udp.socket.new()
    h.raises_arg(1, function() sock.open("v4") end)
end

t["test an unknown field raises with class and field in the text"] = function()
    local sock = ip.udp.socket.new()
    local err = h.raises("EINVAL", function() return sock.no_such_field end)
    h.assert_contains(tostring(err), "ip.udp.socket")
    h.assert_contains(tostring(err), "no_such_field")
    h.raises("EINVAL", function() sock.no_such_field = 1 end)
    h.raises("EINVAL", function() sock.is_open = true end)
    h.raises("EINVAL", function() sock.close = print end)
    h.raises("EINVAL", function() return sock[1] end)
    h.raises("EINVAL", function() return sock[nil] end)
    lu.assertFalse(getmetatable(sock))
end

-- open

t["test open takes v4, v6 and an address"] = function()
    for _, family in ipairs {"v4", loopback} do
        local sock = ip.udp.socket.new()
        lu.assertEquals(select("#", sock:open(family)), 0)
        lu.assertTrue(sock.is_open)
        lu.assertTrue(sock.local_address == ip.address.any_v4())
        sock:close()
    end
    h.skip_without_v6()
    for _, family in ipairs {"v6", ip.address.loopback_v6()} do
        local sock = ip.udp.socket.new()
        sock:open(family)
        lu.assertTrue(sock.local_address == ip.address.any_v6())
        sock:close()
    end
end

t["test open refuses any other family: EINVAL, argument 2"] = function()
    local sock = ip.udp.socket.new()
    for _, bad in ipairs {"v5", "", "V4", "v4 ", "v4\0", "127.0.0.1", 4, true, {}} do
        h.raises_arg(2, sock.open, sock, bad)
        lu.assertFalse(sock.is_open)
    end
    h.raises_arg(2, sock.open, sock)
end

t["test opening twice is already_open and changes nothing"] = function()
    local sock = h.bound()
    local port = sock.local_port
    already_open(sock.open, sock, "v4")
    lu.assertEquals(sock.local_port, port)
    sock:close()
end

-- bind

t["test bind takes an address or its text and gives port 0 a number"] = function()
    for _, addr in ipairs {loopback, "127.0.0.1"} do
        local sock = ip.udp.socket.new()
        sock:open("v4")
        lu.assertEquals(sock.local_port, 0)
        lu.assertEquals(select("#", sock:bind(addr, 0)), 0)
        lu.assertTrue(sock.local_address == loopback)
        lu.assertEquals(math.type(sock.local_port), "integer")
        lu.assertTrue(sock.local_port > 0)
        sock:close()
    end
end

t["test bind to a port in use is EADDRINUSE with the endpoint, never a random port"] =
function()
    local first = h.bound()
    local second = ip.udp.socket.new()
    second:open("v4")
    local err = h.raises("EADDRINUSE", second.bind, second, loopback, first.local_port)
    lu.assertTrue(err.address == loopback)
    lu.assertEquals(err.port, first.local_port)
    lu.assertEquals(err.op, "ip.udp.socket.bind")
    h.assert_starts(tostring(err), "Address already in use")
    h.assert_contains(tostring(err), "127.0.0.1:" .. first.local_port)
    lu.assertEquals(second.local_port, 0)
    second:bind(loopback, 0)
    first:close()
    second:close()
end

t["test bind to an address that is not ours is EADDRNOTAVAIL"] = function()
    local sock = ip.udp.socket.new()
    sock:open("v4")
    h.raises("EADDRNOTAVAIL", sock.bind, sock, "192.0.2.1", 0)
    sock:close()
end

t["test bind twice is EINVAL from the system and keeps the first port"] = function()
    local sock = h.bound()
    local port = sock.local_port
    h.raises("EINVAL", sock.bind, sock, loopback, 0)
    lu.assertEquals(sock.local_port, port)
    sock:close()
end

t["test bind refuses bad text and bad ports: no port wraps"] = function()
    local sock = ip.udp.socket.new()
    sock:open("v4")
    for _, bad in ipairs {"localhost", "", "127.0.0.1:80", "1.2.3", 1, true, {}} do
        h.raises_arg(2, sock.bind, sock, bad, 0)
    end
    for _, bad in ipairs {70000, 65536, -1, 1.5, 0 / 0, 2 ^ 40, math.mininteger, "80", true} do
        h.raises_arg(3, sock.bind, sock, loopback, bad)
    end
    h.raises_arg(3, sock.bind, sock, loopback)
    lu.assertEquals(sock.local_port, 0)
    sock:bind(loopback, 0.0) -- a float with an integer's value is a number like any other
    sock:close()
end

t["test bind with the other family is refused, or mapped where that has a meaning"] = function()
    h.skip_without_v6()
    local v4 = ip.udp.socket.new()
    v4:open("v4")
    h.raises("EAFNOSUPPORT", v4.bind, v4, ip.address.loopback_v6(), 0)
    v4:close()
    local v6 = ip.udp.socket.new()
    v6:open("v6")
    v6:set_option("v6_only", false)
    v6:bind(loopback, 0)
    lu.assertTrue(v6.local_address == loopback:to_v6())
    v6:close()
end

-- connect, disconnect

t["test connect sets where send goes; the properties tell"] = function()
    local a, b = h.bound(), h.bound()
    lu.assertEquals(select("#", a:connect(b.local_address, b.local_port)), 0)
    lu.assertTrue(a.remote_address == loopback)
    lu.assertEquals(a.remote_port, b.local_port)
    a:send("hello")
    lu.assertEquals(h.receive(b), "hello")
    a:close()
    b:close()
end

t["test connect opens a closed socket"] = function()
    local b = h.bound()
    local a = ip.udp.socket.new()
    a:connect(b.local_address, b.local_port)
    lu.assertTrue(a.is_open)
    lu.assertTrue(a.local_port > 0)
    a:close()
    b:close()
    h.skip_without_v6()
    a:connect(ip.address.loopback_v6(), 9)
    lu.assertTrue(a.remote_address == ip.address.loopback_v6())
    a:close()
end

t["test connect takes an address object and no string"] = function()
    local sock = ip.udp.socket.new()
    h.raises_arg(2, sock.connect, sock, "127.0.0.1", 9)
    h.raises_arg(3, sock.connect, sock, loopback, 70000)
    h.raises_arg(3, sock.connect, sock, loopback)
    lu.assertFalse(sock.is_open)
end

t["test a connected socket hears only its peer"] = function()
    local a, b = h.connected()
    local stranger = h.bound()
    h.send_to(stranger, a, "stranger")
    b:send("peer")
    lu.assertEquals(h.receive(a), "peer")
    lu.assertEquals(a:io_control("bytes_readable"), 0)
    a:close()
    b:close()
    stranger:close()
end

t["test connect again changes the peer"] = function()
    local a, b = h.connected()
    local c = h.bound()
    a:connect(c.local_address, c.local_port)
    lu.assertEquals(a.remote_port, c.local_port)
    a:send("to c")
    lu.assertEquals(h.receive(c), "to c")
    a:close()
    b:close()
    c:close()
end

t["test disconnect takes the peer away"] = function()
    local a, b = h.connected()
    lu.assertEquals(select("#", a:disconnect()), 0)
    h.raises("ENOTCONN", function() return a.remote_address end)
    h.raises("EDESTADDRREQ", a.send, a, "nowhere")
    lu.assertTrue(a.is_open)
    a:send_to("still works", b.local_address, b.local_port)
    a:close()
    b:close()
end

t["test disconnect of an unconnected socket is quiet and of a closed one EBADF"] = function()
    local sock = h.bound()
    sock:disconnect()
    sock:close()
    h.raises("EBADF", sock.disconnect, sock)
end

-- Linux gives an ephemeral port back.
t["test local_port asks the system, so it is right after disconnect"] = function()
    local b = h.bound()
    local a = ip.udp.socket.new()
    a:connect(b.local_address, b.local_port)
    local port = a.local_port
    lu.assertTrue(port > 0)
    a:disconnect()
    local after = a.local_port
    h.send_to(a, b, "whence")
    local _, _, sender_port = h.receive(b)
    lu.assertEquals(a.local_port, sender_port)
    lu.assertTrue(after == 0 or after == sender_port)
    a:close()
    b:close()
end

-- properties on a socket that is closed or not connected

t["test properties of a closed socket are EBADF"] = function()
    local sock = ip.udp.socket.new()
    for _, state in ipairs {"never opened", "closed"} do
        lu.assertFalse(sock.is_open, state)
        for _, name in ipairs {"local_address", "local_port", "remote_address", "remote_port"} do
            h.raises("EBADF", function() return sock[name] end)
        end
        sock:open("v4")
        sock:close()
    end
end

t["test remote properties of an unconnected socket are ENOTCONN"] = function()
    local sock = h.bound()
    h.raises("ENOTCONN", function() return sock.remote_address end)
    h.raises("ENOTCONN", function() return sock.remote_port end)
    sock:close()
end

t["test the socket's text tells its state"] = function()
    local sock = h.bound()
    h.assert_contains(tostring(sock), "127.0.0.1:" .. sock.local_port)
    sock:close()
    h.assert_contains(tostring(sock), "closed")
end

t["test the descriptor limit is EMFILE from open, and the socket works later"] =
function()
    h.skip_without_program()
    local command = "ulimit -n 24; exec " .. h.quote(h.program) .. " -e "
    local output, status = h.shell(command .. h.quote([[
        local generic_error, held = require "generic_error", {}
        local sock = ip.udp.socket.new()
        while true do
            local one = ip.udp.socket.new()
            local ok, err = pcall(one.open, one, "v4")
            if not ok then
                assert(err == generic_error.EMFILE, tostring(err))
                assert(not one.is_open)
                break
            end
            held[#held + 1] = one
        end
        for _, one in ipairs(held) do one:close() end
        sock:open("v4")
        print("open again")]]))
    h.assert_contains(output, "open again\n") -- a sanitizer may complain of the limit itself
    lu.assertEquals(status, 0)
end
