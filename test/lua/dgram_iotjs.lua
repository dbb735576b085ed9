-- SPDX-License-Identifier: BSL-1.0
-- dgram: what IoT.js's programs rely on, function by function of its documentation, with
-- `socket.method` written `socket:method`.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local dgram, channel = thrum.dgram, thrum.channel
local generic_error = thrum.generic_error

local group = "230.255.255.250"

t["test all eleven functions of the table are there, setMulticastTTL as well"] = function()
    for _, name in ipairs {"addMembership", "address", "bind", "close", "dropMembership", "send",
        "setBroadcast", "setMulticastLoopback", "setMulticastTTL", "setTTL"} do
        lu.assertEquals(type(dgram.Socket[name]), "function", name)
    end
    lu.assertEquals(type(dgram.createSocket), "function")
end

t["test the example server of the documentation"] = function()
    h.skip_without_program()
    local program = [[
        local dgram = require('dgram')
        local server = dgram.createSocket('udp4')

        server:on('error', function(err)
          print('server error:\n' .. err)
          server:close()
        end)

        server:on('message', function(msg, rinfo)
          print('server got: ' .. msg .. ' from ' .. rinfo.address .. ':' .. rinfo.port)
          server:close() -- added: so that the test ends
        end)

        server:on('listening', function()
          local address = server:address()
          print('server listening ' .. address.address .. ':' .. address.port)
          -- added: the client
          dgram.createSocket('udp4'):unref():send('hello', address.port)
        end)

        server:bind(0) -- 41234 there
    ]]
    h.with_file(program, function(name)
        local output, status = h.run_program(name)
        lu.assertStrMatches(output, "server listening 0%.0%.0%.0:%d+\n" ..
            "server got: hello from 127%.0%.0%.1:%d+\n")
        lu.assertEquals(status, 0)
    end)
end

t["test createSocket(options[, callback]): type, and reuseAddr for addresses in use"] =
function()
    local a = dgram.createSocket({type = "udp4", reuseAddr = true})
    a:bind(0, "127.0.0.1")
    local heard
    local b = dgram.createSocket({type = "udp4", reuseAddr = true}, function(msg) heard = msg end)
    b:bind(a:address().port, "127.0.0.1")
    d.wait(b, "listening")
    b:send("to the last one", d.port(b), "127.0.0.1")
    h.wait_until(function() return heard end)
    lu.assertEquals(heard, "to the last one")
    d.close(a, b)
    for _, bad in ipairs {"udp", "", "tcp4"} do
        local err = h.raises("EINVAL", dgram.createSocket, {type = bad})
        h.assert_contains(err.detail, "Bad socket type specified. Valid types are: udp4")
    end
    h.raises("EINVAL", dgram.createSocket, {})
    for _, bad in ipairs {1, "true", {}} do
        local err = h.raises("EINVAL", dgram.createSocket, {type = "udp4", reuseAddr = bad})
        h.assert_contains(err.detail, "option reuseAddr: boolean expected, got " .. type(bad))
    end
end

t["test createSocket(type[, callback])"] = function()
    local heard
    local socket = dgram.createSocket("udp4", function(msg) heard = msg end)
    socket:bind(0, function() socket:send("x", socket:address().port) end)
    h.wait_until(function() return heard end)
    d.close(socket)
end

t["test a socket is an emitter, and its methods give it back"] = function()
    local socket = dgram.createSocket("udp4")
    lu.assertIs(socket:on("message", print):once("close", function() end), socket)
    lu.assertIs(socket:bind(0), socket)
    d.wait(socket, "listening")
    lu.assertIs(socket:close(), socket)
    d.wait_closed(socket)
end

t["test close comes after close(), and no message after it"] = function()
    local a, b = d.bound(), d.bound()
    local log = {}
    b:on("message", function() log[#log + 1] = "message" end)
    b:on("close", function() log[#log + 1] = "close" end)
    a:send("x", d.port(b), "127.0.0.1")
    b:close()
    log[#log + 1] = "close() has returned"
    h.let_others_run(8)
    lu.assertEquals(log, {"close() has returned", "close"})
    d.close(a)
end

t["test error has the exception; without a listener it is thrown for the program to report"] =
function()
    local a, b = d.bound(), dgram.createSocket("udp4")
    b:bind(d.port(a), "127.0.0.1")
    local err = d.wait(b, "error")
    lu.assertTrue(h.is_error(err))
    b:bind(d.port(a), "127.0.0.1")
    h.let_others_run(4)
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertTrue(reports[1].err == generic_error.EADDRINUSE)
    d.close(a, b)
end

t["test listening comes when bind has completed, once"] = function()
    local socket = dgram.createSocket("udp4")
    local count = 0
    socket:on("listening", function() count = count + 1 end)
    h.let_others_run(4)
    lu.assertEquals(count, 0) -- not "as soon as the socket is created"
    socket:bind(0, "127.0.0.1")
    lu.assertEquals(count, 0)
    h.let_others_run(4)
    lu.assertEquals(count, 1)
    d.close(socket)
end

t["test message has msg, and rinfo with address, family 'IPv4', port and size"] = function()
    local a, b = d.bound(), d.bound()
    a:send("12345", d.port(b))
    local msg, rinfo = d.wait(b, "message")
    lu.assertEquals(msg, "12345")
    lu.assertEquals(#msg, 5)
    lu.assertEquals({rinfo.address, rinfo.family, rinfo.port, rinfo.size},
        {"127.0.0.1", "IPv4", d.port(a), 5})
    d.close(a, b)
end

t["test addMembership without an address throws, a failure throws"] = function()
    local socket = d.bound()
    local err = h.raises("EINVAL", socket.addMembership, socket)
    h.assert_contains(err.detail, "multicast address must be specified")
    err = h.raises("EINVAL", socket.addMembership, socket, "127.0.0.1")
    lu.assertEquals({err.syscall, err.errno}, {"setsockopt", "EINVAL"})
    d.skip_without_multicast(group)
    for _, interface in ipairs {"127.0.0.1", "lo"} do -- once per interface
        socket:addMembership(group, interface)
        socket:dropMembership(group, interface)
    end
    d.close(socket)
end

t["test address() throws when the socket is not bound or closed"] = function()
    local socket = dgram.createSocket("udp4")
    h.raises("EBADF", socket.address, socket)
    socket:bind(0, "127.0.0.1")
    local address = socket:address()
    lu.assertEquals({address.address, address.family}, {"127.0.0.1", "IPv4"})
    d.close(socket)
    h.raises("EBADF", socket.address, socket)
end

t["test bind([port][, address][, bindListener]) in all its forms"] = function()
    local forms = {
        function(socket, listener) socket:on("listening", listener):bind() end,
        function(socket, listener) socket:bind(listener) end,
        function(socket, listener) socket:bind(0, listener) end,
        function(socket, listener) socket:bind(nil, nil, listener) end,
        function(socket, listener) socket:bind(0, "127.0.0.1", listener) end,
        function(socket, listener) socket:bind("0", "127.0.0.1", listener) end,
        function(socket, listener) socket:bind(0, "", listener) end,
        function(socket, listener) socket:bind(0, nil, {}, listener) end,
    }
    for i, bind in ipairs(forms) do
        local socket = dgram.createSocket("udp4")
        local ch = channel.new(1)
        bind(socket, function(...) ch:send(select("#", ...)) end)
        lu.assertEquals(ch:receive(), 0, i)
        lu.assertTrue(d.port(socket) > 0)
        lu.assertEquals(socket:address().address, (i == 5 or i == 6) and "127.0.0.1" or "0.0.0.0")
        d.close(socket)
    end
end

t["test a second bind throws 'Socket is already bound'"] = function()
    local socket = d.bound()
    local err = h.raises("EINVAL", socket.bind, socket, 0)
    h.assert_contains(err.detail, "Socket is already bound")
    d.close(socket)
end

t["test bind refuses what is no port, address or listener"] = function()
    local socket = dgram.createSocket("udp4")
    for _, bad in ipairs {-1, 65536, 70000, 1.5, "x", "", "-1", true, 0 / 0} do
        h.raises_arg(2, socket.bind, socket, bad)
        h.raises_arg(2, socket.bind, socket, {port = bad})
    end
    for _, bad in ipairs {1, true} do
        h.raises_arg(3, socket.bind, socket, 0, bad)
        h.raises_arg(2, socket.bind, socket, {address = bad})
        h.raises_arg(4, socket.bind, socket, 0, "127.0.0.1", bad)
        h.raises_arg(3, socket.bind, socket, {}, bad)
    end
    h.raises_arg(4, socket.bind, socket, 0, "127.0.0.1", {reuseaddr = 1})
    socket:bind(0)
    d.wait(socket, "listening")
    d.close(socket)
end

t["test bind(options[, bindListener]): port and address"] = function()
    local socket = dgram.createSocket("udp4")
    local ch = channel.new(1)
    socket:bind({port = 0, address = "127.0.0.1"}, function() ch:send(true) end)
    ch:receive()
    lu.assertEquals(socket:address().address, "127.0.0.1")
    local other = dgram.createSocket("udp4")
    other:bind({port = d.port(socket), address = "127.0.0.1"})
    lu.assertTrue(d.wait(other, "error") == generic_error.EADDRINUSE)
    other:bind({})
    d.wait(other, "listening")
    d.close(socket, other)
end

t["test close([closeListener]) waits for queued sends; the listener is one of close"] =
function()
    local answer
    local a = dgram.createSocket {type = "udp4", lookup = function(_, _, callback)
        answer = callback
    end}
    local b = d.bound()
    local log = {}
    a:on("close", function() log[#log + 1] = "event" end)
    a:send("queued", d.port(b), "some.name", function() log[#log + 1] = "sent" end)
    a:close(function() log[#log + 1] = "listener" end)
    h.let_others_run(4)
    lu.assertEquals(log, {})
    answer(nil, "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "queued")
    h.wait_until(function() return #log == 3 end)
    lu.assertEquals(log, {"sent", "event", "listener"})
    d.close(b)
end

t["test a call on a closed socket throws 'Not running'"] = function()
    local socket = d.bound()
    d.close(socket)
    local err = h.raises("EBADF", socket.send, socket, "x", 9)
    h.assert_contains(err.detail, "Not running")
    for _, bad in ipairs {1, "x", {}} do
        h.raises_arg(2, socket.close, socket, bad)
    end
end

t["test dropMembership(multicastAddress[, multicastInterface])"] = function()
    local socket = d.bound()
    h.raises("EINVAL", socket.dropMembership, socket)
    d.skip_without_multicast(group)
    h.raises("EADDRNOTAVAIL", socket.dropMembership, socket, group, "127.0.0.1")
    socket:addMembership(group, "127.0.0.1")
    socket:dropMembership(group, "127.0.0.1")
    d.close(socket)
end

t["test setBroadcast(flag) before and after bind"] = function()
    local socket = dgram.createSocket("udp4")
    socket:setBroadcast(true)
    socket:bind(0)
    d.wait(socket, "listening")
    socket:setBroadcast(false)
    d.close(socket)
end

-- Send by each form; what arrives is the same.
t["test send in all its forms, the address and the listener optional"] = function()
    local a, b = d.bound(), d.bound()
    local port = d.port(b)
    local n_called = 0
    local function listener(err, length)
        lu.assertNil(err)
        lu.assertEquals(length, 3)
        n_called = n_called + 1
    end
    local span = thrum.byte_span.append("abc")
    local forms = {
        function() a:send("abc", port) end,
        function() a:send("abc", port, "127.0.0.1") end,
        function() a:send("abc", port, listener) end,
        function() a:send("abc", port, "127.0.0.1", listener) end,
        function() a:send("abc", port, nil, listener) end,
        function() a:send("xabcx", 1, 3, port) end,
        function() a:send("xabcx", 1, 3, port, "127.0.0.1") end,
        function() a:send("xabcx", 1, 3, port, listener) end,
        function() a:send("xabcx", 1, 3, port, "127.0.0.1", listener) end,
        function() a:send("xabcx", 1, 3, port, nil, listener) end,
        function() a:send("abc", 0, 3, port) end,
        function() a:send({"a", "bc"}, port, "127.0.0.1", listener) end,
        function() a:send({span}, port) end,
        function() a:send(span, port, listener) end,
        function() a:send({"a", span:slice(2)}, port) end,
        function() a:send("abc", tostring(port)) end,
        function() a:send("abc", port + 0.0) end,
    }
    for i, send in ipairs(forms) do
        send()
        lu.assertEquals(d.wait(b, "message"), "abc", i)
    end
    h.wait_until(function() return n_called == 8 end)
    a:send({}, port)
    lu.assertEquals(d.wait(b, "message"), "")
    a:send("abc", 3, 0, port)
    lu.assertEquals(d.wait(b, "message"), "")
    d.close(a, b)
end

t["test the default address of udp6 is ::1"] = function()
    h.skip_without_v6()
    local a, b = d.bound("udp6"), d.bound("udp6")
    a:send("x", d.port(b))
    local _, rinfo = d.wait(b, "message")
    lu.assertEquals({rinfo.address, rinfo.family}, {"::1", "IPv6"})
    d.close(a, b)
end

t["test the listener of a send that fails gets the error and the length"] = function()
    local socket = d.bound()
    local ch = channel.new(1)
    local data = ("x"):rep(65508)
    socket:send(data, 9, "127.0.0.1", function(err, length) ch:send {err, length} end)
    local err, length = table.unpack(ch:receive())
    lu.assertEquals({err.errno, err.syscall, err.address, err.port},
        {"EMSGSIZE", "send", "127.0.0.1", 9})
    lu.assertEquals(length, 65508)
    d.close(socket)
end

t["test bad arguments throw: port, message, list items, offset and length"] = function()
    local socket = d.bound()
    for _, bad in ipairs {0, -1, 65536, 70000, 1.5, "x", "0", true, {}, 0 / 0} do
        h.raises_arg(3, socket.send, socket, "x", bad)
        h.raises_arg(3, socket.send, socket, "x", bad, "127.0.0.1")
        h.raises_arg(5, socket.send, socket, "x", 0, 1, bad)
    end
    h.raises_arg(3, socket.send, socket, "x")
    h.raises_arg(5, socket.send, socket, "x", 0, 1)
    for _, bad in ipairs {1, true, print, io.stdout} do
        h.raises_arg(2, socket.send, socket, bad, 9)
    end
    h.raises_arg(2, socket.send, socket)
    for _, bad in ipairs {1, true, {}, print} do
        local err = h.raises("EINVAL", socket.send, socket, {"x", bad}, 9)
        h.assert_contains(err.detail, "Buffer list arguments must be buffers or strings: item 2")
    end
    h.raises("EINVAL", socket.send, socket, {"abc"}, 0, 1, 9)
    for _, bad in ipairs {-1, 4, 1.5, 2 ^ 40} do
        h.raises_arg(3, socket.send, socket, "abc", bad, 0, 9)
        h.raises_arg(4, socket.send, socket, "abc", 0, bad, 9)
    end
    h.raises_arg(4, socket.send, socket, "abc", 2, 2, 9)
    for _, bad in ipairs {true, {}, io.stdout} do
        h.raises_arg(4, socket.send, socket, "x", 9, bad)
        h.raises_arg(5, socket.send, socket, "x", 9, "127.0.0.1", bad)
        h.raises_arg(7, socket.send, socket, "x", 0, 1, 9, "127.0.0.1", bad)
    end
    d.close(socket)
end

t["test an unbound socket is bound by send, and receives the answer"] = function()
    local a, b = dgram.createSocket("udp4"), d.bound()
    b:on("message", function(msg, rinfo) b:send(msg, rinfo.port, rinfo.address) end)
    a:send("there and back", d.port(b))
    lu.assertEquals(d.wait(a, "message"), "there and back")
    lu.assertEquals(a:address().address, "0.0.0.0")
    d.close(a, b)
end

t["test sendto(msg, offset, length, port[, address][, listener])"] = function()
    local a, b = d.bound(), d.bound()
    local called
    a:sendto("xabcx", 1, 3, d.port(b), "127.0.0.1", function(err, length)
        called = err or length
    end)
    lu.assertEquals(d.wait(b, "message"), "abc")
    h.wait_until(function() return called end)
    lu.assertEquals(called, 3)
    a:sendto("abc", 0, 3, d.port(b))
    lu.assertEquals(d.wait(b, "message"), "abc")
    for _, bad in ipairs {"1", true, {}} do
        local err = h.raises("EINVAL", a.sendto, a, "abc", bad, 1, 9)
        h.assert_contains(err.detail, "send takes offset and length as args 2 and 3")
        h.raises("EINVAL", a.sendto, a, "abc", 0, bad, 9)
    end
    h.raises("EINVAL", a.sendto, a, "abc", d.port(b))
    d.close(a, b)
end

t["test setMulticastLoopback(flag) gives the flag"] = function()
    local socket = d.bound()
    lu.assertEquals(socket:setMulticastLoopback(true), true)
    lu.assertEquals(socket:setMulticastLoopback(false), false)
    for _, bad in ipairs {1, "true", {}} do
        h.raises_arg(2, socket.setMulticastLoopback, socket, bad)
    end
    d.close(socket)
end

t["test setMulticastTTL(ttl): 0 to 255, and gives it"] = function()
    local socket = d.bound()
    for _, ttl in ipairs {0, 1, 255} do
        lu.assertEquals(socket:setMulticastTTL(ttl), ttl)
    end
    for _, bad in ipairs {-1, 256, 1.5, "1", true, {}} do
        h.raises_arg(2, socket.setMulticastTTL, socket, bad)
    end
    h.raises_arg(2, socket.setMulticastTTL, socket)
    d.close(socket)
end

t["test setTTL(ttl): 1 to 255, and gives it"] = function()
    local socket = d.bound()
    lu.assertEquals(socket:setTTL(64), 64)
    for _, bad in ipairs {0, 256, "64", {}} do
        h.raises_arg(2, socket.setTTL, socket, bad)
    end
    d.close(socket)
end

-- ---- the documentation's examples ----

t["test a socket with reuseAddr, bound with a callback"] = function()
    local socket = dgram.createSocket({type = "udp4", reuseAddr = true})
    local ch = channel.new(1)
    socket:bind(0, function() ch:send(socket:address().port) end) -- 12345 there
    lu.assertTrue(ch:receive() > 0)
    d.close(socket)
end

t["test bind({port}, callback)"] = function()
    local socket = dgram.createSocket("udp4")
    local ch = channel.new(1)
    socket:bind({port = 0}, function() ch:send(true) end)
    ch:receive()
    d.close(socket)
end

t["test close(callback) right after the socket was made"] = function()
    local socket = dgram.createSocket("udp4")
    local ch = channel.new(1)
    socket:close(function() ch:send(true) end)
    ch:receive()
end

t["test addMembership in the bind listener, dropMembership inside message"] = function()
    d.skip_without_multicast(group)
    local socket = dgram.createSocket("udp4")
    local heard
    socket:on("message", function(msg)
        socket:dropMembership("230.255.255.250", "127.0.0.1")
        heard = msg
    end)
    socket:bind(0, function()
        socket:addMembership("230.255.255.250", "127.0.0.1")
        socket:setMulticastInterface("127.0.0.1") -- added: the traffic stays on loopback
        socket:send("to the group", socket:address().port, "230.255.255.250")
    end)
    h.wait_until(function() return heard end)
    lu.assertEquals(heard, "to the group")
    h.raises("EADDRNOTAVAIL", socket.dropMembership, socket, "230.255.255.250", "127.0.0.1")
    d.close(socket)
end

t["test setBroadcast(true), then a send to everybody"] = function()
    local receiver, sender = dgram.createSocket("udp4"), dgram.createSocket("udp4")
    receiver:bind(0)
    sender:setBroadcast(true)
    sender:send("to all", d.port(receiver), "127.255.255.255") -- loopback's own broadcast
    lu.assertEquals(d.wait(receiver, "message"), "to all")
    d.close(receiver, sender)
end

t["test setMulticastLoopback, setMulticastTTL and setTTL in the bind listener"] = function()
    local socket = dgram.createSocket("udp4")
    local ch = channel.new(1)
    socket:bind(0, function()
        socket:setMulticastLoopback(true)
        socket:setMulticastTTL(1)
        socket:setTTL(64)
        ch:send(true)
    end)
    ch:receive()
    d.close(socket)
end
