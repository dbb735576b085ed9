-- SPDX-License-Identifier: BSL-1.0
-- dgram: what else Node's users know: connect, ref and unref, buffer sizes, sources, options.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local dgram, channel, emitter = thrum.dgram, thrum.channel, thrum.emitter
local generic_error = thrum.generic_error

-- ---- connect ----

t["test connect: the event, the callback, and sends without a target"] = function()
    local a, b = d.bound(), d.bound()
    local log = {}
    a:on("connect", function(...) log[#log + 1] = "event " .. select("#", ...) end)
    lu.assertIs(a:connect(d.port(b), "127.0.0.1", function() log[#log + 1] = "callback" end), a)
    lu.assertEquals(log, {})
    h.wait_until(function() return #log == 2 end)
    lu.assertEquals(log, {"event 0", "callback"})
    lu.assertEquals(a:remoteAddress(),
        {address = "127.0.0.1", ip = "127.0.0.1", family = "IPv4", port = d.port(b)})
    local n_sent = 0
    local function callback(err, length)
        lu.assertNil(err)
        lu.assertEquals(length, 3)
        n_sent = n_sent + 1
    end
    local forms = {
        function() a:send("abc") end,
        function() a:send("abc", callback) end,
        function() a:send("xabcx", 1, 3) end,
        function() a:send("xabcx", 1, 3, callback) end,
        function() a:send({"a", "bc"}, callback) end,
        function() a:send("abc", nil, nil, callback) end,
    }
    for i, send in ipairs(forms) do
        send()
        lu.assertEquals(d.wait(b, "message"), "abc", i)
    end
    h.wait_until(function() return n_sent == 4 end)
    d.close(a, b)
end

t["test a connected socket hears its peer only, and refuses another target"] = function()
    local a, b, other = d.bound(), d.bound(), d.bound()
    a:connect(d.port(b), "127.0.0.1")
    d.wait(a, "connect")
    other:send("from another", d.port(a), "127.0.0.1")
    b:send("from the peer", d.port(a), "127.0.0.1")
    lu.assertEquals(d.wait(a, "message"), "from the peer")
    h.raises("EISCONN", a.send, a, "x", 9)
    h.raises("EISCONN", a.send, a, "x", 9, "127.0.0.1")
    h.raises("EISCONN", a.send, a, "x", 0, 1, 9)
    h.raises("EISCONN", a.connect, a, 9)
    d.close(a, b, other)
end

t["test connect without an address is loopback, and binds the socket"] = function()
    local a, b = dgram.createSocket("udp4"), d.bound()
    a:connect(d.port(b))
    d.wait(a, "connect")
    b:on("message", function(msg, rinfo) b:send(msg, rinfo.port, rinfo.address) end)
    a:send("there and back")
    lu.assertEquals(d.wait(a, "message"), "there and back")
    d.close(a, b)
end

t["test connect by name; sends before it is connected still name their target"] = function()
    local answer
    local a = dgram.createSocket {type = "udp4", lookup = function(_, _, callback)
        answer = callback
    end}
    local b = d.bound()
    a:connect(d.port(b), "some.name")
    h.raises("EISCONN", a.connect, a, 9)
    h.raises("ENOTCONN", a.remoteAddress, a)
    a:send("with a target", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "with a target")
    h.wait_until(function() return answer end)
    answer(nil, "127.0.0.1")
    d.wait(a, "connect")
    a:send("without")
    lu.assertEquals(d.wait(b, "message"), "without")
    d.close(a, b)
end

t["test connect while bind waits for a name begins when that is done"] = function()
    local answers = {}
    local a = dgram.createSocket {type = "udp4", lookup = function(_, _, callback)
        answers[#answers + 1] = callback
    end}
    local b = d.bound()
    a:bind(0, "some.name"):connect(d.port(b), "127.0.0.1")
    h.wait_until(function() return #answers == 1 end)
    h.raises("ENOTCONN", a.remoteAddress, a)
    answers[1](nil, "127.0.0.1")
    d.wait(a, "connect")
    d.close(a)

    a = dgram.createSocket {type = "udp4", lookup = function() error("not found", 0) end}
    local told = {}
    a:on("error", function(err) told[#told + 1] = tostring(err) end)
    a:bind(0, "some.name"):connect(d.port(b), "127.0.0.1", function(err)
        told[#told + 1] = err.errno
    end)
    h.wait_until(function() return #told == 2 end)
    table.sort(told)
    lu.assertEquals(told, {"EADDRNOTAVAIL", "not found"})
    d.close(a, b)
end

t["test a connect that fails tells its callback, or else emits error, and may be tried again"] =
function()
    local a, b = d.bound(), d.bound()
    local ch = channel.new(1)
    a:connect(9, "::1", function(err) ch:send(err) end)
    local err = ch:receive()
    lu.assertTrue(err == generic_error.EAFNOSUPPORT)
    lu.assertEquals({err.op, err.syscall}, {"dgram.Socket.connect", "connect"})
    a:connect(9, "255.255.255.255")
    lu.assertFalse(d.wait(a, "error") == nil)
    lu.assertEquals(a:listenerCount("connect"), 0)
    a:connect(d.port(b), "127.0.0.1")
    d.wait(a, "connect")
    d.close(a, b)
end

t["test connect refuses what is no port, address or callback"] = function()
    local a = d.bound()
    for _, bad in ipairs {0, -1, 65536, 1.5, "x", true, {}} do
        h.raises_arg(2, a.connect, a, bad)
    end
    h.raises_arg(2, a.connect, a)
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(3, a.connect, a, 9, bad)
        h.raises_arg(4, a.connect, a, 9, "127.0.0.1", bad)
    end
    d.close(a)
end

t["test disconnect: everybody is heard again, on the same port"] = function()
    local a, b, other = dgram.createSocket("udp4"), d.bound(), d.bound()
    h.raises("ENOTCONN", a.disconnect, a)
    a:connect(d.port(b), "127.0.0.1")
    d.wait(a, "connect")
    local port = d.port(a)
    a:disconnect()
    h.raises("ENOTCONN", a.disconnect, a)
    h.raises("ENOTCONN", a.remoteAddress, a)
    lu.assertEquals(d.port(a), port)
    other:send("from another", port, "127.0.0.1")
    lu.assertEquals(d.wait(a, "message"), "from another")
    a:send("with a target again", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "with a target again")
    a:connect(d.port(other), "127.0.0.1")
    d.wait(a, "connect")
    d.close(a, b, other)
end

t["test nobody listens there: a connected socket tells it once, and stays usable"] =
function()
    local a, gone = d.bound(), d.bound()
    local port = d.port(gone)
    d.close(gone)
    a:connect(port, "127.0.0.1")
    d.wait(a, "connect")
    a:send("into the void")
    local err = d.wait(a, "error")
    lu.assertTrue(err == generic_error.ECONNREFUSED)
    a:disconnect()
    a:send("to itself", d.port(a), "127.0.0.1")
    lu.assertEquals(d.wait(a, "message"), "to itself")
    d.close(a)
end

t["test nobody listens there: a socket that is not connected hears nothing of it"] =
function()
    local a, gone = d.bound(), d.bound()
    local port = d.port(gone)
    d.close(gone)
    a:on("error", function(err) error(err, 0) end)
    for _ = 1, 5 do
        a:send("into the void", port, "127.0.0.1")
    end
    a:send("to itself", d.port(a), "127.0.0.1")
    lu.assertEquals(d.wait(a, "message"), "to itself")
    d.close(a)
end

-- ---- ref, unref ----

t["test unref lets the program end, ref keeps it; both give the socket"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local dgram = require "dgram"
        local socket = dgram.createSocket("udp4")
        assert(socket:unref() == socket and socket:ref() == socket)
        socket:bind(0, "127.0.0.1")
        spawn(function()
            this_fiber.yield() this_fiber.yield() -- it is waiting by now
            socket:unref()
            print("may end")
        end)]])
    lu.assertEquals(output, "may end\n")
    lu.assertEquals(status, 0)
    output, status = h.run_program("-e", [[
        local dgram = require "dgram"
        local socket = dgram.createSocket("udp4"):unref()
        socket:bind(0, "127.0.0.1")
        socket:on("message", function(msg) print(msg) socket:close() end)
        spawn(function()
            this_fiber.yield() this_fiber.yield()
            socket:ref()
            socket:send("still there", socket:address().port)
        end)]])
    lu.assertEquals(output, "still there\n")
    lu.assertEquals(status, 0)
end

t["test an unref'd socket works as long as something else keeps the program"] = function()
    local a, b = d.bound(), d.bound()
    b:unref()
    a:send("x", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "x")
    b:ref():unref():ref()
    a:send("y", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "y")
    d.close(a, b)
end

t["test ref and unref, raced with datagrams, lose none"] = function()
    local a, b = d.bound(), d.bound()
    local count = 0
    b:on("message", function() count = count + 1 end)
    local rounds = h.is_slow and 50 or 300
    for i = 1, rounds do
        a:send("x", d.port(b), "127.0.0.1")
        if i % 2 == 0 then
            b:unref()
        else
            b:ref()
        end
        if i % 3 == 0 then
            h.let_others_run(1)
        end
    end
    b:ref()
    h.wait_until(function() return count == rounds end)
    d.close(a, b)
end

-- ---- buffer sizes ----

t["test buffer sizes are set, read, and asked for in createSocket"] = function()
    local socket = dgram.createSocket {type = "udp4", recvBufferSize = 8192, sendBufferSize = 9000}
    lu.assertTrue(socket:getRecvBufferSize() >= 8192)
    lu.assertTrue(socket:getSendBufferSize() >= 9000)
    local before = {socket:getRecvBufferSize(), socket:getSendBufferSize()}
    socket:setRecvBufferSize(16384)
    socket:setSendBufferSize(20000)
    lu.assertTrue(socket:getRecvBufferSize() > before[1])
    lu.assertTrue(socket:getSendBufferSize() > before[2])
    for _, name in ipairs {"setRecvBufferSize", "setSendBufferSize"} do
        for _, bad in ipairs {-1, 1.5, 2 ^ 31, "1", true} do
            h.raises_arg(2, socket[name], socket, bad)
        end
        h.raises_arg(2, socket[name], socket)
    end
    d.close(socket)
end

-- ---- multicast ----

t["test setMulticastInterface takes an address, a name and an index"] = function()
    local socket = d.bound()
    for _, interface in ipairs {"127.0.0.1", "lo", 1, "0.0.0.0"} do
        socket:setMulticastInterface(interface)
    end
    for _, name in ipairs {"no-such-if", "", "a name that is much too long for an interface"} do
        local err = h.raises("ENODEV", socket.setMulticastInterface, socket, name)
        h.assert_contains(err.detail, "there is no interface " .. name)
        lu.assertNil(err.arg)
    end
    for _, address in ipairs {"192.0.2.77", "255.255.255.255", "224.0.0.1"} do
        h.raises("EADDRNOTAVAIL", socket.setMulticastInterface, socket, address)
    end
    h.raises("EAFNOSUPPORT", socket.setMulticastInterface, socket, "::1")
    for _, bad in ipairs {true, {}, 1.5, -1} do
        h.raises_arg(2, socket.setMulticastInterface, socket, bad)
    end
    h.raises_arg(2, socket.setMulticastInterface, socket)
    d.close(socket)
    h.skip_without_v6()
    socket = d.bound("udp6")
    for _, interface in ipairs {"::%lo", "::%1", "lo", 1, "::1"} do
        socket:setMulticastInterface(interface)
    end
    h.raises("EADDRNOTAVAIL", socket.setMulticastInterface, socket, "2001:db8::77")
    h.raises("ENODEV", socket.setMulticastInterface, socket, "::%no-such-if")
    d.close(socket)
end

t["test add- and dropSourceSpecificMembership(source, group[, interface])"] = function()
    local socket = d.bound()
    local ok = pcall(socket.addSourceSpecificMembership, socket, "127.0.0.1", "232.1.2.3", "lo")
    lu.skipIf(not ok, "no multicast on loopback here")
    lu.assertEquals(socket:addSourceSpecificMembership("127.0.0.2", "232.1.2.3", "127.0.0.1"), 0)
    h.raises("EADDRNOTAVAIL", socket.addSourceSpecificMembership, socket, "127.0.0.2", "232.1.2.3",
        1)
    lu.assertEquals(socket:dropSourceSpecificMembership("127.0.0.2", "232.1.2.3", "lo"), 0)
    lu.assertEquals(socket:dropSourceSpecificMembership("127.0.0.1", "232.1.2.3", "*"), 0)
    for _, name in ipairs {"addSourceSpecificMembership", "dropSourceSpecificMembership"} do
        local method = socket[name]
        for _, bad in ipairs {1, true, {}, "a.name"} do
            h.raises_arg(2, method, socket, bad, "232.1.2.3")
            h.raises_arg(3, method, socket, "127.0.0.1", bad)
        end
        h.raises_arg(2, method, socket)
        h.raises("EINVAL", method, socket, "127.0.0.1")
        h.raises("EINVAL", method, socket, "127.0.0.1", "127.0.0.2")
        h.raises("EAFNOSUPPORT", method, socket, "::1", "232.1.2.3")
        h.raises_arg(4, method, socket, "127.0.0.1", "232.1.2.3", {})
    end
    d.close(socket)
end

-- ---- options ----

t["test reusePort lets two sockets share a port"] = function()
    local a = dgram.createSocket {type = "udp4", reusePort = true}
    a:bind(0, "127.0.0.1")
    local b = dgram.createSocket {type = "udp4", reusePort = true}
    b:bind(d.port(a), "127.0.0.1")
    d.wait(b, "listening")
    d.close(a, b)
end

t["test ipv6Only keeps IPv4 out"] = function()
    h.skip_without_v6()
    local a = dgram.createSocket {type = "udp6", ipv6Only = true}
    a:bind(0)
    local b = dgram.createSocket("udp4")
    b:bind(d.port(a))
    d.wait(b, "listening")
    d.close(a, b)
end

t["test options of the wrong type are refused, and so are unknown ones"] = function()
    local wrong = {
        reuseAddr = 1, reusePort = "x", recvBufferSize = "1", sendBufferSize = -1, lookup = "x",
        signal = 1, sendQueueSize = "x", sendQueueCount = 0, receiveBlockList = {},
        sendBlockList = "10.0.0.0/8", ipv6Only = true,
    }
    for name, value in pairs(wrong) do
        local err = h.raises("EINVAL", dgram.createSocket, {type = "udp4", [name] = value})
        h.assert_contains(err.detail, "option " .. name)
        lu.assertEquals(err.op, "dgram.createSocket")
    end
    h.raises("EINVAL", dgram.createSocket, {type = "udp4", signal = {}})
    h.raises("EINVAL", dgram.createSocket, {type = "udp4", sendQueueCount = 0 / 0})
    h.raises("EINVAL", dgram.createSocket, {type = "udp4", recvBufferSize = 1.5})
    for _, name in ipairs {"anything", "reuseaddr", "recvbuffersize", 1} do
        local err = h.raises("EINVAL", dgram.createSocket, {type = "udp4", [name] = print})
        lu.assertEquals(err.detail, "unknown option: " .. name)
        lu.assertEquals(err.op, "dgram.createSocket")
    end
    local socket = dgram.createSocket {type = "udp4", ipv6Only = false}
    d.close(socket)
end

t["test bind's options: exclusive is what is so anyway, unknown ones are refused"] = function()
    local socket = dgram.createSocket("udp4")
    local err = h.raises("EINVAL", socket.bind, socket, {port = 0, exclusive = false})
    h.assert_contains(err.detail, "option exclusive: there is no cluster")
    h.raises("EINVAL", socket.bind, socket, {port = 0, exclusive = 1})
    err = h.raises("EINVAL", socket.bind, socket, {prot = 0})
    h.assert_contains(err.detail, "unknown option: prot")
    socket:bind {port = 0, address = "127.0.0.1", exclusive = true, reuseAddr = true}
    d.wait(socket, "listening")
    d.close(socket)
end

t["test a signal closes the socket when it is aborted, or at once if it was"] = function()
    local signal = emitter.new()
    local socket = dgram.createSocket {type = "udp4", signal = signal}
    socket:bind(0, "127.0.0.1")
    local ch = channel.new(1)
    socket:on("close", function() ch:send(true) end)
    signal:emit("abort")
    ch:receive()
    h.raises("EBADF", socket.address, socket)
    lu.assertEquals(signal:listenerCount("abort"), 0)

    signal = emitter.new()
    signal.aborted = true
    socket = dgram.createSocket {type = "udp4", signal = signal}
    h.raises("EBADF", socket.bind, socket)
    d.wait(socket, "close")

    signal = emitter.new()
    socket = dgram.createSocket {type = "udp4", signal = signal}
    lu.assertEquals(signal:listenerCount("abort"), 1)
    d.close(socket)
    lu.assertEquals(signal:listenerCount("abort"), 0)
end

t["test bind adopts a descriptor: the option fd"] = function()
    local native = h.bound()
    local port = native.local_port
    local socket = dgram.createSocket("udp4")
    socket:bind {fd = native:release()}
    d.wait(socket, "listening")
    lu.assertEquals(d.port(socket), port)
    socket:send("adopted", port)
    lu.assertEquals(d.wait(socket, "message"), "adopted")
    d.close(socket)
    socket = dgram.createSocket("udp4")
    for _, bad in ipairs {1, "x", true, {}} do
        h.raises("EINVAL", socket.bind, socket, {fd = bad})
    end
    local spare = h.bound():release()
    for _, options in ipairs {{fd = spare, port = 9}, {fd = spare, address = "127.0.0.1"}} do
        local err = h.raises("EINVAL", socket.bind, socket, options)
        h.assert_contains(err.detail, "option fd: it is bound already")
    end
    socket:setTTL(3)
    local err = h.raises("EINVAL", socket.bind, socket, {fd = spare})
    h.assert_contains(err.detail, "option fd: what was set on this socket before")
    spare:close()
    socket:bind(0, "127.0.0.1")
    d.wait(socket, "listening")
    d.close(socket)
end

-- Seen: they were set on a socket that the descriptor then took the place of.
t["test what createSocket and bind ask for holds for an adopted descriptor, too"] = function()
    local size = dgram.createSocket {type = "udp4", recvBufferSize = 16384}
    local wanted = size:getRecvBufferSize()
    d.close(size)
    local native = h.bound()
    lu.assertTrue(native:get_option("receive_buffer_size") ~= wanted)
    local fd = native:release()
    local other = fd:dup()
    local socket = dgram.createSocket {type = "udp4", recvBufferSize = 16384}
    socket:bind {fd = fd, reuseaddr = true}
    d.wait(socket, "listening")
    lu.assertEquals(socket:getRecvBufferSize(), wanted)
    native:assign("v4", other)
    lu.assertTrue(native:get_option("reuse_address"))
    native:close()
    d.close(socket)
    h.skip_without_v6()
    native = thrum.ip.udp.socket.new()
    native:open("v6")
    native:bind(thrum.ip.address.loopback_v6(), 0)
    socket = dgram.createSocket("udp6")
    local err = h.raises("EINVAL", socket.bind, socket, {fd = native:release(), ipv6Only = true})
    lu.assertEquals(err.syscall, "bind") -- that is too late for a bound socket
    socket:bind(0, "::1")
    d.wait(socket, "listening")
    d.close(socket)
end

t["test getSendQueueSize and getSendQueueCount are 0 when nothing waits"] = function()
    local socket = d.bound()
    socket:send("x", d.port(socket), "127.0.0.1")
    lu.assertEquals({socket:getSendQueueSize(), socket:getSendQueueCount()}, {0, 0})
    d.close(socket)
end

-- The client and server of Node's documentation, in Lua.
t["test Node's example of a connected client"] = function()
    h.skip_without_program()
    local program = [[
        local dgram = require('dgram')
        local server = dgram.createSocket('udp4')
        server:on('message', function(msg)
          print('server got: ' .. msg)
          server:close()
        end)
        server:bind(0, '127.0.0.1', function()
          local message = 'Some bytes'
          local client = dgram.createSocket('udp4')
          client:connect(server:address().port, '127.0.0.1', function(err)
            client:send(message, function(err)
              client:close()
            end)
          end)
        end)
    ]]
    h.with_file(program, function(name)
        local output, status = h.run_program(name)
        lu.assertEquals(output, "server got: Some bytes\n")
        lu.assertEquals(status, 0)
    end)
end
