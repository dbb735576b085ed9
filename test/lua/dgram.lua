-- SPDX-License-Identifier: BSL-1.0
-- dgram: what holds for programs of every origin: events, order, life, errors. dgram_queue.lua has
-- the sends; dgram_luvit.lua, dgram_iotjs.lua and dgram_node.lua what each of them relies on.
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

t["test a v4 sender appears mapped to a udp6 socket, and either text reaches it"] =
function()
    h.skip_without_v6()
    local server, client = dgram.createSocket {type = "udp6", ipv6Only = false}, d.bound()
    server:bind(0)
    local heard = {}
    server:on("message", function(msg, rinfo)
        heard = {rinfo.address, rinfo.ip, rinfo.family, rinfo.port}
        server:send(msg, rinfo.port, rinfo.address)
        server:send(msg .. " again", rinfo.port, "127.0.0.1")
    end)
    local answers = {} -- both may be there at once
    client:on("message", function(msg) answers[#answers + 1] = msg end)
    client:send("mapped", d.port(server), "127.0.0.1")
    h.wait_until(function() return #answers == 2 end)
    lu.assertEquals(answers, {"mapped", "mapped again"})
    lu.assertEquals(heard, {"::ffff:127.0.0.1", "::ffff:127.0.0.1", "IPv6", d.port(client)})
    client:send("to the mapped text", d.port(server), "::ffff:127.0.0.1")
    lu.assertEquals(d.wait(client, "message"), "to the mapped text")
    server:connect(d.port(client), "127.0.0.1")
    d.wait(server, "connect")
    local remote = server:remoteAddress()
    lu.assertEquals({remote.address, remote.family}, {"::ffff:127.0.0.1", "IPv6"})
    d.close(server, client)
    server = dgram.createSocket("udp6")
    server:bind(0, "::ffff:127.0.0.1")
    lu.assertEquals({server:address().address, server:address().family},
        {"::ffff:127.0.0.1", "IPv6"})
    d.close(server)
end

t["test datagrams of every size arrive whole, the empty one as well"] = function()
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

t["test the flags of a message are a table that nobody can write to"] = function()
    local a, b = d.bound(), d.bound()
    a:send("x", d.port(b), "127.0.0.1")
    local _, _, flags = d.wait(b, "message")
    lu.assertNil(flags.partial)
    h.raises("EPERM", function() flags.partial = true end)
    d.close(a, b)
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

t["test close ends receiving at once: no message afterwards"] = function()
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

-- Every event, in the order they come.
local function events_of(socket)
    local log = {}
    for _, name in ipairs {"listening", "connect", "error", "timeout", "drain", "close"} do
        socket:on(name, function(what)
            log[#log + 1] = name .. (what and " " .. tostring(what.errno) or "")
        end)
    end
    return log
end

-- Seen: "listening" and its listener ran, and met a closed socket.
t["test bind and close in one breath: only close is emitted (Node)"] = function()
    for _, address in ipairs {"127.0.0.1", "some.name"} do
        local socket = dgram.createSocket {type = "udp4", lookup = h.loopback}
        local log = events_of(socket)
        socket:bind(0, address, function() log[#log + 1] = "the listener of bind" end)
        socket:close(function() log[#log + 1] = "the listener of close" end)
        h.let_others_run(8)
        lu.assertEquals(log, {"close", "the listener of close"})
    end
end

t["test connect and close in one breath: the callback gets an error, no event comes"] = function()
    local answers = {}
    local lookups = {
        ["127.0.0.1"] = false, ["some.name"] = function() return "127.0.0.1" end,
        ["slow.name"] = function(_, _, callback) answers[1] = callback end,
    }
    for address, lookup in pairs(lookups) do
        for _, is_early in ipairs {true, false} do
            local socket = dgram.createSocket {type = "udp4", lookup = lookup or nil}
            local log = events_of(socket)
            socket:connect(9, address, function(err)
                log[#log + 1] = "callback " .. tostring(err and err.errno)
            end)
            if not is_early and address == "slow.name" then
                h.let_others_run(4)
                lu.assertEquals(log, {"listening"})
                log[1] = nil
            end
            socket:close()
            h.let_others_run(8)
            lu.assertEquals(log, {"callback ECANCELED", "close"}, address)
            lu.assertEquals(socket:listenerCount("connect"), 1) -- that of the log
            for _, answer in ipairs(answers) do
                answer(nil, "127.0.0.1") -- too late
            end
            h.let_others_run(4)
            lu.assertEquals(#log, 2)
        end
    end
    local socket = dgram.createSocket {type = "udp4", lookup = lookups["slow.name"]}
    local log = events_of(socket)
    socket:bind(0, "slow.name"):connect(9, "127.0.0.1", function(err)
        log[#log + 1] = "callback " .. tostring(err and err.errno)
    end)
    socket:close()
    h.let_others_run(8)
    lu.assertEquals(log, {"callback ECANCELED", "close"})
end

t["test what fails just before close, or until it is done, goes to callbacks only"] = function()
    local first = d.bound()
    local fails = {
        function(socket) socket:bind(d.port(first), "127.0.0.1") end,
        function(socket) socket:bind(0, "bad.name") end,
        function(socket) socket:send(("x"):rep(65508), 9, "127.0.0.1") end,
        function(socket) socket:send("x", 9, "bad.name") end, -- the queue is sent until the end
        function(socket) socket:connect(9, "::1") end,
        function(socket) socket:connect(9, "bad.name") end,
    }
    for i, fail in ipairs(fails) do
        local socket = dgram.createSocket {type = "udp4", lookup = function() error("bad", 0) end}
        local log = events_of(socket)
        fail(socket)
        socket:close()
        h.wait_until(function() return log[1] end)
        h.let_others_run(4)
        lu.assertEquals(log, {"close"}, i)
    end
    local socket = dgram.createSocket {type = "udp4", lookup = function() error("bad", 0) end}
    local log = events_of(socket)
    socket:send("x", 9, "bad.name", function(err) log[#log + 1] = err end)
    socket:close()
    h.wait_until(function() return log[2] end)
    lu.assertEquals(log, {"bad", "close"})
    d.close(first)
end

t["test an idle time that ends as the socket is closed is not reported"] = function()
    for n = 0, 5 do -- in one of these it has been found over, and waits to be told
        local socket = d.bound()
        local log = events_of(socket)
        socket:setTimeout(1)
        thrum.this_fiber.yield()
        local start = time.steady_clock.now()
        repeat until time.steady_clock.now() > start + 0.003
        h.let_others_run(n)
        socket:close()
        local n_before = #log
        h.let_others_run(6)
        lu.assertEquals({table.unpack(log, n_before + 1)}, {"close"}, n)
    end
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

t["test a failed bind leaves the socket unbound, and it may be bound again"] =
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

t["test a v6 address for a udp4 socket is an error reported by callback or event"] = function()
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

t["test what the system refuses is reported with the length, by callback or event"] =
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

-- Seen: "[[::1]]:9".
t["test a host in brackets is a name like others, and is shown as it is"] = function()
    local a = dgram.createSocket {type = "udp4", lookup = function() error("not found", 0) end}
    a:bind(0, "127.0.0.1")
    a:send("x", 9, "[::1]")
    lu.assertEquals(d.wait(a, "error"), "not found")
    d.close(a)
    a = d.bound()
    a:send("x", 9, "[::zz]")
    local err = d.wait(a, "error")
    h.assert_contains(tostring(err), "dgram.Socket.send [::zz]:9")
    lu.assertEquals(err.address, "[::zz]")
    d.close(a)
end

-- ---- growth ----

-- Seen: each of the sockets that one signal closes went through the listeners of all others.
t["test eight times as many sockets are eight times the work to close"] = function()
    local function run(n)
        local signal, sockets, n_closed, count = thrum.emitter.new(), {}, 0, 0
        for i = 1, n do
            sockets[i] = dgram.createSocket {type = "udp4", signal = signal}
            sockets[i]:on("close", function() n_closed = n_closed + 1 end)
        end
        for i = 1, n, 4 do
            sockets[i]:close()
        end
        debug.sethook(function() count = count + 1 end, "", 100)
        signal:emit("abort")
        debug.sethook()
        lu.assertEquals(signal:listenerCount("abort"), 0)
        h.wait_until(function() return n_closed == n end)
        return count
    end
    local few, many = run(h.is_slow and 10 or 40), run(h.is_slow and 80 or 320)
    lu.assertTrue(many < 16 * few + 16, few .. " and " .. many)
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

t["test a flooded socket leaves time for others"] = function()
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
