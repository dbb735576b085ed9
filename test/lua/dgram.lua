-- SPDX-License-Identifier: BSL-1.0
-- dgram: what holds for programs of every origin: life, events, order, the queue, errors, names.
-- dgram_luvit.lua, dgram_iotjs.lua and dgram_node.lua have the rows of their checklists.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local dgram, time, spawn = thrum.dgram, thrum.time, thrum.spawn

-- ---- the module ----

t["test the module is one table, however it is asked for"] = function()
    lu.assertIs(require "dgram", dgram)
    lu.assertIs(require "thrum.dgram", dgram)
    lu.assertIs(assert(loadfile(h.source .. "/lua/thrum/dgram.lua"))("thrum.dgram", ""), dgram)
end

t["test a datagram there and back by events"] = function()
    local server, client = d.bound(), d.bound()
    server:on("message", function(msg, rinfo)
        server:send(msg:upper(), rinfo.port, rinfo.address)
    end)
    client:send("hello", d.port(server), "127.0.0.1")
    local msg, rinfo = d.wait(client, "message")
    lu.assertEquals(msg, "HELLO")
    lu.assertEquals(rinfo, {
        address = "127.0.0.1", ip = "127.0.0.1", port = d.port(server), family = "IPv4", size = 5,
    })
    d.close(server, client)
end

t["test the same over v6"] = function()
    h.skip_without_v6()
    local server, client = d.bound("udp6"), d.bound("udp6")
    server:on("message", function(msg, rinfo)
        server:send(msg:upper(), rinfo.port, rinfo.address)
    end)
    client:send("hello", d.port(server))
    local msg, rinfo = d.wait(client, "message")
    lu.assertEquals(msg, "HELLO")
    lu.assertEquals(rinfo.address, "::1")
    lu.assertEquals(rinfo.family, "IPv6")
    d.close(server, client)
end

t["test a v4 sender appears plain to a udp6 socket, and is answered (pitfall 13)"] = function()
    h.skip_without_v6()
    local server, client = dgram.createSocket {type = "udp6", ipv6Only = false}, d.bound()
    server:bind(0)
    server:on("message", function(msg, rinfo)
        lu.assertEquals({rinfo.address, rinfo.family}, {"127.0.0.1", "IPv4"})
        server:send(msg, rinfo.port, rinfo.address)
    end)
    client:send("mapped", d.port(server), "127.0.0.1")
    lu.assertEquals(d.wait(client, "message"), "mapped")
    d.close(server, client)
end

t["test datagrams of every size arrive whole, the empty one as well (pitfalls 1, 9)"] = function()
    local a, b = d.bound(), d.bound()
    for _, size in ipairs {0, 1, 2047, 2048, 2049, 9000, 65507} do
        a:send(("x"):rep(size), d.port(b), "127.0.0.1")
        local msg, rinfo = d.wait(b, "message")
        lu.assertEquals(#msg, size)
        lu.assertEquals(rinfo.size, size)
    end
    d.close(a, b)
end

-- ---- order, and where listeners run ----

t["test messages come in order, one at a time, though the listener suspends"] = function()
    local a, b = d.bound(), d.bound()
    local heard, is_busy = {}, false
    b:on("message", function(msg)
        lu.assertFalse(is_busy)
        is_busy = true
        thrum.this_fiber.yield()
        heard[#heard + 1] = msg
        is_busy = false
    end)
    local sent = {}
    for i = 1, 100 do
        sent[i] = tostring(i)
        a:send(sent[i], d.port(b), "127.0.0.1")
    end
    h.wait_until(function() return #heard == 100 end)
    lu.assertEquals(heard, sent)
    d.close(a, b)
end

t["test while a listener waits, other sockets and other events go on"] = function()
    local a, b = d.bound(), d.bound()
    local gate = thrum.channel.new()
    local answers = {}
    b:on("message", function(msg)
        local sent = thrum.channel.new(1)
        b:send(msg, d.port(a), "127.0.0.1", function(err, length) sent:send(err or length) end)
        answers[#answers + 1] = sent:receive() -- the callback of a send comes meanwhile
        gate:receive()
    end)
    a:send("first", d.port(b), "127.0.0.1")
    a:send("second", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(a, "message"), "first")
    gate:send(true)
    lu.assertEquals(d.wait(a, "message"), "second")
    gate:send(true)
    lu.assertEquals(answers, {5, 6})
    d.close(a, b)
end

t["test an error in a listener is reported, and the next message is delivered"] = function()
    local a, b = d.bound(), d.bound()
    local heard = {}
    b:on("message", function(msg)
        heard[#heard + 1] = msg
        if msg ~= "good" then
            error("the listener fails on " .. msg, 0)
        end
    end)
    for _, msg in ipairs {"bad", "worse", "good"} do
        a:send(msg, d.port(b), "127.0.0.1")
    end
    h.wait_until(function() return #heard == 3 end)
    lu.assertEquals(heard, {"bad", "worse", "good"})
    d.close(a, b)
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 2)
    lu.assertEquals(reports[1].err, "the listener fails on bad")
    h.assert_contains(reports[1].traceback, "dgram.lua")
    h.assert_contains(reports[1].name, "dgram udp4 127.0.0.1:")
end

t["test an error in the midst of a flood loses no datagram"] = function()
    local a, b = d.bound(), d.bound()
    local count = 0
    b:on("message", function()
        count = count + 1
        if count % 7 == 0 then
            error("every seventh", 0)
        end
    end)
    for _ = 1, 70 do
        a:send("x", d.port(b), "127.0.0.1")
    end
    h.wait_until(function() return count == 70 end)
    d.close(a, b)
    h.let_others_run()
    lu.assertEquals(#h.take_reports(), 10)
end

t["test events and callbacks come after the call has returned"] = function()
    local log = {}
    local socket = dgram.createSocket("udp4")
    socket:bind(0, "127.0.0.1", function() log[#log + 1] = "listening" end)
    log[#log + 1] = "bind has returned"
    socket:send("x", socket:address().port, "127.0.0.1", function() log[#log + 1] = "sent" end)
    log[#log + 1] = "send has returned"
    h.wait_until(function() return #log == 4 end)
    lu.assertEquals(log, {"bind has returned", "send has returned", "listening", "sent"})
    socket:close(function() log[#log + 1] = "close" end)
    log[#log + 1] = "close has returned"
    h.wait_until(function() return #log == 6 end)
    lu.assertEquals({log[5], log[6]}, {"close has returned", "close"})
end

t["test several listeners of message, and once, are called by the same rules"] = function()
    local a, b = d.bound(), d.bound()
    local heard = {}
    b:once("message", function(msg) heard[#heard + 1] = "once " .. msg end)
    b:on("message", function(msg) heard[#heard + 1] = "on " .. msg end)
    b:prependListener("message", function(msg) heard[#heard + 1] = "first " .. msg end)
    a:send("1", d.port(b), "127.0.0.1")
    a:send("2", d.port(b), "127.0.0.1")
    h.wait_until(function() return #heard == 5 end)
    lu.assertEquals(heard, {"first 1", "once 1", "on 1", "first 2", "on 2"})
    d.close(a, b)
end

t["test a class derived from Socket may have its own emit"] = function()
    local Loud = dgram.Socket:extend()
    local heard = {}
    function Loud:emit(name, ...)
        heard[#heard + 1] = name
        return dgram.Socket.emit(self, name, ...)
    end
    local socket = Loud:new("udp4", function(_, rinfo) heard[#heard + 1] = rinfo.size end)
    socket:bind(0, "127.0.0.1")
    socket:send("four", d.port(socket), "127.0.0.1")
    h.wait_until(function() return #heard == 3 end)
    lu.assertEquals(heard, {"listening", "message", 4})
    d.close(socket)
end

t["test the flags of a message are a table that nobody can write to (L19)"] = function()
    local a, b = d.bound(), d.bound()
    a:send("x", d.port(b), "127.0.0.1")
    local _, _, flags = d.wait(b, "message")
    lu.assertNil(flags.partial)
    h.raises("EPERM", function() flags.partial = true end)
    d.close(a, b)
end

-- ---- sends from listeners ----
--
-- What came at once is delivered in a row, and the answers are held to be sent together. Nobody is
-- to notice.

-- Give `b` a number of datagrams at once, before it can look.
local function flood(a, b, count)
    for i = 1, count do
        a:send(tostring(i), d.port(b), "127.0.0.1")
    end
end

local function collect(socket)
    local heard = {}
    socket:on("message", function(msg) heard[#heard + 1] = msg end)
    return heard
end

t["test answers to a flood arrive, all of them, in order"] = function()
    local a, b = d.bound(), d.bound()
    local heard, wanted = collect(a), {}
    b:on("message", function(msg, rinfo)
        lu.assertTrue(b:send(msg .. " first", rinfo.port, rinfo.address))
        lu.assertTrue(b:send({msg, " second"}, rinfo.port, rinfo.address)) -- never held
        lu.assertTrue(b:send(msg .. " third", rinfo.port, rinfo.address))
    end)
    flood(a, b, 50)
    for i = 1, 50 do
        for _, part in ipairs {" first", " second", " third"} do
            wanted[#wanted + 1] = i .. part
        end
    end
    h.wait_until(function() return #heard == 150 end)
    lu.assertEquals(heard, wanted)
    d.close(a, b)
end

t["test an answer has left when its listener suspends, wherever in a flood that is"] = function()
    local a, b = d.bound(), d.bound()
    local heard = collect(a)
    local gate = thrum.channel.new()
    b:on("message", function(msg, rinfo)
        b:send(msg, rinfo.port, rinfo.address)
        gate:receive()
    end)
    flood(a, b, 20)
    for i = 1, 20 do
        h.wait_until(function() return #heard == i end)
        gate:send(true)
    end
    d.close(a, b)
end

t["test an answer has left when a listener suspends inside a coroutine"] = function()
    local a, b = d.bound(), d.bound()
    local heard = collect(a)
    local gate = thrum.channel.new()
    b:on("message", function(msg, rinfo)
        thrum.coroutine.wrap(function()
            b:send(msg, rinfo.port, rinfo.address)
            gate:receive()
        end)()
    end)
    flood(a, b, 10)
    for i = 1, 10 do
        h.wait_until(function() return #heard == i end)
        gate:send(true)
    end
    d.close(a, b)
end

t["test an answer has left when its listener raises, or closes the socket"] = function()
    local a, b = d.bound(), d.bound()
    local heard = collect(a)
    b:on("message", function(msg, rinfo)
        b:send(msg, rinfo.port, rinfo.address)
        if msg == "9" then
            b:close()
        end
        error("the listener fails", 0)
    end)
    flood(a, b, 20)
    h.wait_until(function() return #heard == 9 end)
    d.wait_closed(b)
    d.close(a)
    lu.assertEquals(#h.take_reports(), 9)
end

t["test an answer has left before the program ends by system.exit"] = function()
    h.skip_without_program()
    local sock = h.bound()
    local chunk = ([[
        local b = require("dgram").createSocket("udp4")
        b:bind(0, "127.0.0.1")
        b:on("message", function(msg)
            b:send("answer to " .. msg, PORT, "127.0.0.1")
            if msg == "4" then
                require("system").exit(3)
            end
        end)
        local a = ip.udp.socket.new()
        a:open("v4")
        for i = 1, 8 do
            a:send_to(tostring(i), ip.address.loopback_v4(), b:address().port)
        end]]):gsub("PORT", sock.local_port)
    local output, status = h.run_program("-e", chunk)
    lu.assertEquals({output, status}, {"", 3})
    for i = 1, 4 do
        lu.assertEquals(h.receive(sock), "answer to " .. i)
    end
    sock:close()
end

t["test a send that fails in a flood is told, and the others leave"] = function()
    local a, b = d.bound(), d.bound()
    local heard, errors = collect(a), {}
    b:on("error", function(err) errors[#errors + 1] = err.errno .. " " .. err.address end)
    b:on("message", function(msg, rinfo)
        b:send(msg, rinfo.port, rinfo.address)
        if tonumber(msg) % 5 == 0 then
            b:send("not allowed", rinfo.port, "127.255.255.255")
        end
    end)
    flood(a, b, 30)
    h.wait_until(function() return #heard == 30 and #errors == 6 end)
    lu.assertEquals(errors[6], "EACCES 127.255.255.255")
    d.close(a, b)
end

t["test options that are set in a flood hold for what is sent after them, not before"] = function()
    local a, b = d.bound(), d.bound()
    local heard, errors = collect(a), {}
    b:on("error", function(err) errors[#errors + 1] = err.errno end)
    b:on("message", function(msg, rinfo)
        b:setBroadcast(false)
        b:send("refused", rinfo.port, "127.255.255.255")
        b:setBroadcast(true)
        b:send("broadcast", 9, "127.255.255.255")
        b:send(msg, rinfo.port, rinfo.address)
    end)
    flood(a, b, 20)
    h.wait_until(function() return #heard == 20 end)
    lu.assertEquals(#errors, 20)
    d.close(a, b)
end

t["test what a listener sends by two sockets leaves in order"] = function()
    local a, b, other = d.bound(), d.bound(), d.bound()
    local heard, wanted = collect(a), {}
    b:on("message", function(msg, rinfo)
        b:send(msg, rinfo.port, rinfo.address)
        other:send(msg .. " again", rinfo.port, rinfo.address)
    end)
    flood(a, b, 20)
    for i = 1, 20 do
        wanted[2 * i - 1], wanted[2 * i] = tostring(i), i .. " again"
    end
    h.wait_until(function() return #heard == 40 end)
    lu.assertEquals(heard, wanted)
    d.close(a, b, other)
end

t["test several sockets that answer floods to each other do not mix them up"] = function()
    local sockets, counts = {}, {}
    for i = 1, 4 do
        sockets[i] = d.bound()
        counts[i] = 0
    end
    local ports = {}
    for i = 1, 4 do
        ports[d.port(sockets[i])] = i
    end
    for i = 1, 4 do
        sockets[i]:on("message", function(msg, rinfo)
            lu.assertEquals(msg, "from " .. ports[rinfo.port])
            counts[i] = counts[i] + 1
            if counts[i] <= 30 then
                sockets[i]:send("from " .. i, rinfo.port, rinfo.address)
                sockets[i % 4 + 1]:send("from " .. i % 4 + 1, rinfo.port, rinfo.address)
            end
        end)
    end
    for i = 1, 4 do
        for j = 1, 4 do
            sockets[i]:send("from " .. i, d.port(sockets[j]), "127.0.0.1")
        end
    end
    h.wait_until(function()
        return counts[1] > 30 and counts[2] > 30 and counts[3] > 30 and counts[4] > 30
    end)
    d.close(table.unpack(sockets))
end

-- ---- life ----

t["test nothing is left of sockets that are dropped without close, but for those that receive"] =
function()
    for _ = 1, 3 do
        dgram.createSocket("udp4")
    end
    local socket = d.bound()
    d.close(socket)
end

t["test close ends receiving at once: no message afterwards (I06)"] = function()
    local a, b = d.bound(), d.bound()
    local count = 0
    b:on("message", function()
        count = count + 1
        b:close()
    end)
    for _ = 1, 40 do
        a:send("x", d.port(b), "127.0.0.1")
    end
    d.wait(b, "close")
    d.close(a)
    lu.assertEquals(count, 1)
end

t["test close is quiet the second time, and its callback is called if it is not too late"] =
function()
    local socket = d.bound()
    local heard = {}
    lu.assertIs(socket:close(function() heard[#heard + 1] = "first" end), socket)
    d.wait_closed(socket)
    lu.assertEquals(heard, {"first"})
    lu.assertIs(socket:close(function() heard[#heard + 1] = "second" end), socket)
    h.let_others_run(4)
    lu.assertEquals(heard, {"first"})
end

t["test a closed socket refuses every call but close, ref, unref and questions about its queue"] =
function()
    local socket = d.bound()
    d.close(socket)
    local calls = {
        bind = {0}, send = {"x", 9}, sendto = {"x", 0, 1, 9}, connect = {9}, disconnect = {},
        address = {}, remoteAddress = {}, setBroadcast = {true}, setTTL = {1}, setTimeout = {1},
        setMulticastTTL = {1}, setMulticastLoopback = {true}, setMulticastInterface = {"0.0.0.0"},
        addMembership = {"239.1.1.1"}, dropMembership = {"239.1.1.1"},
        setMembership = {"239.1.1.1", nil, "join"}, getRecvBufferSize = {}, getSendBufferSize = {},
        setRecvBufferSize = {4096}, setSendBufferSize = {4096},
        addSourceSpecificMembership = {"127.0.0.1", "232.1.1.1"},
        dropSourceSpecificMembership = {"127.0.0.1", "232.1.1.1"},
    }
    for name, arguments in pairs(calls) do
        local err = h.raises("EBADF", socket[name], socket, table.unpack(arguments, 1, 3))
        h.assert_contains(err.detail, "Not running")
        lu.assertEquals(err.op, "dgram.Socket." .. name)
    end
    socket:ref():unref()
    lu.assertEquals({socket:getSendQueueSize(), socket:getSendQueueCount()}, {0, 0})
    lu.assertNil((socket:recvStart()))
    lu.assertNil((socket:recvStop()))
end

t["test a program ends when its last socket is closed, and not before"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local dgram = require "dgram"
        local socket = dgram.createSocket("udp4")
        socket:bind(0, "127.0.0.1")
        socket:on("message", function(msg) print(msg) socket:close() end)
        socket:on("close", function() print("closed") end)
        spawn(function() time.sleep(0.01) socket:send("last", socket:address().port) end)]])
    lu.assertEquals(output, "last\nclosed\n")
    lu.assertEquals(status, 0)
end

t["test a stock interpreter runs it by thrum.run"] = function()
    lu.skipIf(h.is_program, "this is no stock interpreter")
    local output, status = h.shell([[lua5.3 -e '
        local thrum = require "thrum"
        local dgram = require "thrum.dgram"
        local socket = dgram.createSocket("udp4")
        socket:bind(0, "127.0.0.1")
        socket:on("message", function(msg) print(msg) socket:close() end)
        socket:send("outside", socket:address().port)
        thrum.run()' ]])
    lu.assertEquals(output, "outside\n")
    lu.assertEquals(status, 0)
end

-- ---- errors ----

t["test an error event that nobody listens to is reported by the program"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local dgram = require "dgram"
        local first, second = dgram.createSocket("udp4"), dgram.createSocket("udp4")
        first:bind(0, "127.0.0.1")
        second:bind(first:address().port, "127.0.0.1")
        spawn(function() time.sleep(0.01) first:close() second:close() print("goes on") end)]])
    h.assert_contains(output, "uncaught error in fiber")
    h.assert_contains(output, "Address already in use: dgram.Socket.bind 127.0.0.1:")
    h.assert_contains(output, "goes on\n")
    lu.assertEquals(status, 0)
end

t["test missingHandlerType takes errors that nobody listens to"] = function()
    local first, second = d.bound(), dgram.createSocket("udp4")
    local heard
    function second:missingHandlerType(name, err) -- luacheck: no self
        heard = {name, err}
    end
    second:bind(d.port(first), "127.0.0.1")
    h.wait_until(function() return heard end)
    lu.assertEquals(heard[1], "error")
    lu.assertTrue(heard[2] == thrum.generic_error.EADDRINUSE)
    d.close(first, second)
end

t["test an error is an object that can be told, compared and joined"] = function()
    local first, second = d.bound(), dgram.createSocket("udp4")
    local line = debug.getinfo(1, "l").currentline + 1
    second:bind(d.port(first), "127.0.0.1")
    local err = d.wait(second, "error")
    lu.assertTrue(err == thrum.generic_error.EADDRINUSE)
    lu.assertEquals({err.errno, err.syscall, err.address, err.port, err.op},
        {"EADDRINUSE", "bind", "127.0.0.1", d.port(first), "dgram.Socket.bind"})
    h.assert_contains(err.where, "dgram.lua:" .. line)
    h.assert_contains("it says: " .. err, "it says: Address already in use: dgram.Socket.bind 127")
    d.close(first, second)
end

t["test a failed bind leaves the socket unbound, and it may be bound again (pitfall 19)"] =
function()
    local first, second = d.bound(), dgram.createSocket("udp4")
    local n_listening = 0
    second:on("listening", function() n_listening = n_listening + 1 end)
    second:bind(d.port(first), "127.0.0.1", function() error("the stale listener", 0) end)
    d.wait(second, "error")
    h.raises("EBADF", second.address, second)
    second:bind(0, "127.0.0.1")
    d.wait(second, "listening")
    lu.assertTrue(d.port(second) ~= d.port(first))
    lu.assertEquals(n_listening, 1)
    d.close(first, second)
end

t["test a v6 address for a udp4 socket is an error told by callback or event"] = function()
    local socket = d.bound()
    local answer = thrum.channel.new(1)
    socket:send("x", 9, "::1", function(err, length) answer:send {err, length} end)
    local told = answer:receive()
    lu.assertTrue(told[1] == thrum.generic_error.EAFNOSUPPORT)
    lu.assertEquals(told[2], 1)
    socket:send("x", 9, "::1")
    lu.assertTrue(d.wait(socket, "error") == thrum.generic_error.EAFNOSUPPORT)
    local other = dgram.createSocket("udp4")
    other:bind(0, "::1")
    lu.assertTrue(d.wait(other, "error") == thrum.generic_error.EAFNOSUPPORT)
    d.close(socket, other)
end

t["test what the system refuses is told with the length, by callback or event (pitfall 8)"] =
function()
    local socket = d.bound()
    local answer = thrum.channel.new(1)
    local large = ("x"):rep(65508)
    socket:send(large, 9, "127.0.0.1", function(err, length) answer:send {err, length} end)
    local told = answer:receive()
    lu.assertTrue(told[1] == thrum.generic_error.EMSGSIZE)
    lu.assertEquals(told[2], 65508)
    socket:send(large, 9, "127.0.0.1")
    local err = d.wait(socket, "error")
    lu.assertTrue(err == thrum.generic_error.EMSGSIZE)
    lu.assertEquals({err.syscall, err.address, err.port}, {"send", "127.0.0.1", 9})
    socket:send("still usable", d.port(socket), "127.0.0.1")
    lu.assertEquals(d.wait(socket, "message"), "still usable")
    d.close(socket)
end

-- ---- the queue ----

-- A look-up that answers when it is told to: what waits for it is in the queue.
local function slow_lookup()
    local waiting = {}
    local function lookup(_, _, callback)
        waiting[#waiting + 1] = callback
    end
    local function answer()
        for _, callback in ipairs(waiting) do
            callback(nil, "127.0.0.1")
        end
        waiting = {}
    end
    return lookup, answer
end

t["test the queue counts what waits, and is empty when it is sent"] = function()
    local lookup, answer = slow_lookup()
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    lu.assertTrue(a:send("12345", d.port(b), "some.name"))
    lu.assertTrue(a:send("678", d.port(b), "some.name"))
    lu.assertEquals({a:getSendQueueSize(), a:getSendQueueCount()}, {8, 2})
    h.let_others_run(4)
    answer()
    local heard = {}
    b:on("message", function(msg) heard[#heard + 1] = msg end)
    h.wait_until(function() return #heard == 2 end)
    lu.assertEquals(heard, {"12345", "678"})
    lu.assertEquals({a:getSendQueueSize(), a:getSendQueueCount()}, {0, 0})
    d.close(a, b)
end

t["test a full queue refuses with ENOBUFS, send says false, and drain comes once it is empty"] =
function()
    local lookup, answer = slow_lookup()
    local a = dgram.createSocket {type = "udp4", lookup = lookup, sendQueueCount = 3}
    local b = d.bound()
    local results = {}
    local function callback(err, length) results[#results + 1] = err and err.errno or length end
    lu.assertTrue(a:send("a", d.port(b), "some.name", callback))
    lu.assertTrue(a:send("bb", d.port(b), "some.name", callback))
    lu.assertFalse(a:send("ccc", d.port(b), "some.name", callback)) -- taken; but now wait
    lu.assertFalse(a:send("dddd", d.port(b), "some.name", callback)) -- refused
    lu.assertFalse(a:send("eeeee", d.port(b), "some.name")) -- refused, and told by event
    local err = d.wait(a, "error")
    lu.assertEquals(err.errno, "ENOBUFS")
    h.assert_contains(err.detail, "3 datagrams, 6 bytes")
    lu.assertEquals(results, {"ENOBUFS"})
    answer()
    d.wait(a, "drain")
    h.wait_until(function() return #results == 4 end)
    lu.assertEquals(results, {"ENOBUFS", 1, 2, 3})
    lu.assertTrue(a:send("f", d.port(b), "127.0.0.1"))
    d.close(a, b)
end

t["test the queue is bounded by bytes as well, but takes one of any size when it is empty"] =
function()
    local lookup, answer = slow_lookup()
    local a = dgram.createSocket {type = "udp4", lookup = lookup, sendQueueSize = 10}
    local b = d.bound()
    local refused = {}
    local function callback(err, length) refused[#refused + 1] = err and length or nil end
    lu.assertFalse(a:send(("x"):rep(50), d.port(b), "some.name", callback))
    lu.assertFalse(a:send("y", d.port(b), "some.name", callback))
    lu.assertEquals(a:getSendQueueCount(), 1)
    h.let_others_run(4)
    answer()
    lu.assertEquals(#d.wait(b, "message"), 50)
    lu.assertEquals(refused, {1})
    d.close(a, b)
end

t["test drain comes once, and not to those who were never asked to wait"] = function()
    local lookup, answer = slow_lookup()
    local a = dgram.createSocket {type = "udp4", lookup = lookup, sendQueueCount = 5}
    local n_drains = 0
    a:on("drain", function() n_drains = n_drains + 1 end)
    a:send("x", 9, "some.name")
    h.let_others_run(4)
    answer()
    h.wait_until(function() return a:getSendQueueCount() == 0 end)
    h.let_others_run(4)
    lu.assertEquals(n_drains, 0)
    for _ = 1, 5 do
        a:send("x", 9, "some.name")
    end
    h.let_others_run(4)
    answer()
    h.wait_until(function() return a:getSendQueueCount() == 0 end)
    h.let_others_run(4)
    lu.assertEquals(n_drains, 1)
    d.close(a)
end

t["test what the kernel does not take now waits in the queue, in order (pitfall 7)"] = function()
    -- A full send buffer is rare on loopback: this one is made by a queue that is already waiting.
    local lookup, answer = slow_lookup()
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    local heard = {}
    b:on("message", function(msg) heard[#heard + 1] = msg end)
    a:send("by name", d.port(b), "some.name")
    a:send("by number", d.port(b), "127.0.0.1")
    h.let_others_run(4)
    answer()
    h.wait_until(function() return #heard == 2 end)
    table.sort(heard)
    lu.assertEquals(heard, {"by name", "by number"})
    d.close(a, b)
end

t["test close waits for what is in the queue, and refuses more (I14)"] = function()
    local lookup, answer = slow_lookup()
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    local sent
    a:send("before close", d.port(b), "some.name", function(err) sent = err or "sent" end)
    local is_closed = false
    a:close(function() is_closed = true end)
    h.raises("EBADF", a.send, a, "after close", d.port(b), "127.0.0.1")
    h.let_others_run(4)
    lu.assertFalse(is_closed)
    answer()
    lu.assertEquals(d.wait(b, "message"), "before close")
    h.wait_until(function() return is_closed end)
    lu.assertEquals(sent, "sent")
    d.close(b)
end

t["test a socket that is being closed has no drain: nobody could go on"] = function()
    local lookup, answer = slow_lookup()
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup, sendQueueCount = 1}, d.bound()
    local log = {}
    a:on("drain", function() log[#log + 1] = "drain" end)
    a:on("close", function() log[#log + 1] = "close" end)
    lu.assertFalse(a:send("x", d.port(b), "some.name"))
    a:close()
    h.let_others_run(4)
    answer()
    lu.assertEquals(d.wait(b, "message"), "x")
    h.wait_until(function() return #log == 1 end)
    h.let_others_run(4)
    lu.assertEquals(log, {"close"})
    d.close(b)
end

-- ---- names ----

t["test a name is looked up for each send, without blocking, by the option lookup"] = function()
    local asked = {}
    local function lookup(host, options, callback)
        asked[#asked + 1] = host .. " " .. options.family
        time.sleep(0.001)
        callback(nil, "127.0.0.1", 4)
    end
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    a:send("x", d.port(b), "one.name")
    a:send("y", d.port(b), "other.name")
    lu.assertEquals(d.wait(b, "message"), "x")
    lu.assertEquals(d.wait(b, "message"), "y")
    lu.assertEquals(asked, {"one.name 4", "other.name 4"})
    a:send("z", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "z")
    lu.assertEquals(#asked, 2)
    d.close(a, b)
end

t["test a lookup may return the address, as text or object"] = function()
    local b = d.bound()
    for _, result in ipairs {"127.0.0.1", h.loopback()} do
        local a = dgram.createSocket {type = "udp4", lookup = function() return result end}
        a:send("x", d.port(b), "some.name")
        lu.assertEquals(d.wait(b, "message"), "x")
        d.close(a)
    end
    d.close(b)
end

t["test a lookup that fails, raises or finds nothing is told by callback or event (I19)"] =
function()
    local failures = {
        {function(_, _, callback) callback("no such name") end, "no such name"},
        {function() error("it raises", 0) end, "it raises"},
        {function(_, _, callback) callback(nil, nil) end, "EADDRNOTAVAIL"},
        {function() return "no address" end, "EADDRNOTAVAIL"},
        {function() return "::1" end, "EAFNOSUPPORT"},
    }
    for _, case in ipairs(failures) do
        local a = dgram.createSocket {type = "udp4", lookup = case[1]}
        local answer = thrum.channel.new(1)
        a:send("abc", 9, "some.name", function(err, length) answer:send {err, length} end)
        local told = answer:receive()
        lu.assertEquals(type(told[1]) == "table" and told[1].errno or told[1], case[2])
        lu.assertEquals(told[2], 3)
        a:send("abc", 9, "some.name")
        local err = d.wait(a, "error")
        lu.assertEquals(type(err) == "table" and err.errno or err, case[2])
        lu.assertEquals(a:getSendQueueCount(), 0)
        d.close(a)
    end
end

t["test a lookup that answers twice is heard once"] = function()
    local function lookup(_, _, callback)
        callback(nil, "127.0.0.1")
        callback("too late")
        return "127.0.0.1"
    end
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    local n_answers = 0
    a:send("x", d.port(b), "some.name", function(err)
        lu.assertNil(err)
        n_answers = n_answers + 1
    end)
    lu.assertEquals(d.wait(b, "message"), "x")
    h.let_others_run(4)
    lu.assertEquals(n_answers, 1)
    d.close(a, b)
end

t["test bind to a name: sends meanwhile wait for it, listening comes when it is bound"] = function()
    local lookup, answer = slow_lookup()
    local a, b = dgram.createSocket {type = "udp4", lookup = lookup}, d.bound()
    local log = {}
    a:bind(0, "some.name", function() log[#log + 1] = "listening" end)
    h.raises("EINVAL", a.bind, a, 0)
    a:send("waits", d.port(b), "127.0.0.1", function() log[#log + 1] = "sent" end)
    lu.assertEquals(a:getSendQueueCount(), 1)
    h.raises("EBADF", a.address, a)
    h.let_others_run(4)
    lu.assertEquals(log, {})
    answer()
    lu.assertEquals(d.wait(b, "message"), "waits")
    h.wait_until(function() return #log == 2 end)
    lu.assertEquals(log, {"listening", "sent"})
    lu.assertEquals(a:address().address, "127.0.0.1")
    d.close(a, b)
end

t["test bind to a name that is not found fails what waits for it"] = function()
    local fail
    local a = dgram.createSocket {type = "udp4", lookup = function(_, _, callback)
        fail = callback
    end}
    local results = {}
    a:on("error", function(err) results[#results + 1] = tostring(err) end)
    a:bind(0, "no.name")
    a:send("x", 9, "127.0.0.1", function(err) results[#results + 1] = err.errno end)
    h.let_others_run(4)
    fail("not found")
    h.wait_until(function() return #results == 2 end)
    table.sort(results)
    lu.assertEquals(results, {"EADDRNOTAVAIL", "not found"})
    lu.assertEquals(a:getSendQueueCount(), 0)
    a:bind(0, "127.0.0.1")
    d.wait(a, "listening")
    d.close(a)
end

t["test a send whose name is found after the bind it waited for has failed is told so"] = function()
    local answers = {}
    local a = dgram.createSocket {type = "udp4", lookup = function(host, _, callback)
        answers[host] = callback
    end}
    local told
    a:on("error", function() end)
    a:bind(0, "no.name")
    a:send("x", 9, "some.name", function(err) told = err.errno end)
    h.wait_until(function() return answers["no.name"] and answers["some.name"] end)
    answers["no.name"]("not found")
    answers["some.name"](nil, "127.0.0.1")
    h.wait_until(function() return told end)
    lu.assertEquals(told, "EADDRNOTAVAIL")
    lu.assertEquals(a:getSendQueueCount(), 0)
    d.close(a)
end

t["test close while a name is being looked up"] = function()
    for _, call in ipairs {"bind", "connect"} do
        local lookup, answer = slow_lookup()
        local a = dgram.createSocket {type = "udp4", lookup = lookup}
        if call == "bind" then
            a:bind(0, "some.name")
        else
            a:connect(9, "some.name")
        end
        h.let_others_run(4)
        a:close()
        d.wait_closed(a)
        answer()
        h.let_others_run(4)
    end
end

t["test names go through the system's resolver by default"] = function()
    local is_known = pcall(thrum.ip.udp.get_address_v4_info, "localhost", 0)
    lu.skipIf(not is_known, "localhost is not known here")
    local a, b = d.bound(), d.bound()
    a:send("to localhost", d.port(b), "localhost")
    lu.assertEquals(d.wait(b, "message"), "to localhost")
    local c = dgram.createSocket("udp4")
    c:bind(0, "localhost")
    d.wait(c, "listening")
    lu.assertEquals(c:address().address, "127.0.0.1")
    c:send("x", 9, "::zz")
    local err = d.wait(c, "error")
    lu.assertEquals(tostring(err.category), "resolver")
    lu.assertEquals({err.syscall, err.address, err.port},
        {"getaddrinfo", "::zz", 9})
    d.close(a, b, c)
end

-- ---- stress ----

t["test many sockets echo to each other, and none is starved"] = function()
    local sockets, counts = {}, {}
    local n, rounds = 20, h.is_slow and 5 or 50
    for i = 1, n do
        sockets[i] = d.bound()
        counts[i] = 0
    end
    for i = 1, n do
        local to = d.port(sockets[i % n + 1])
        sockets[i]:on("message", function(msg)
            counts[i] = counts[i] + 1
            if counts[i] <= rounds then
                sockets[i]:send(msg, to, "127.0.0.1")
            end
        end)
    end
    for i = 1, n do
        sockets[i]:send("x", d.port(sockets[i]), "127.0.0.1")
    end
    h.wait_until(function()
        for i = 1, n do
            if counts[i] <= rounds then
                return false
            end
        end
        return true
    end)
    d.close(table.unpack(sockets))
end

t["test a flooded socket leaves time for others (pitfall 21)"] = function()
    local a, b = d.bound(), d.bound()
    local is_flooding = true
    b:on("message", function(msg)
        if is_flooding then
            b:send(msg, d.port(b), "127.0.0.1") -- for ever
        end
    end)
    for _ = 1, 10 do
        a:send("x", d.port(b), "127.0.0.1")
    end
    local ticks = 0
    local fiber = spawn(function()
        for _ = 1, 5 do
            time.sleep(0.001)
            ticks = ticks + 1
        end
        is_flooding = false
    end)
    fiber:join()
    lu.assertEquals(ticks, 5)
    d.close(a, b)
end
