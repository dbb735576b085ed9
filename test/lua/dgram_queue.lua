-- SPDX-License-Identifier: BSL-1.0
-- dgram: sends that do not leave at once: held while listeners run, waiting in the queue, or for a
-- name.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local dgram, time = thrum.dgram, thrum.time

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

-- A listener answers, and receives from another socket. Between the two `disturb` is called, after
-- which finalizers or hooks run in as many places as possible. They call `send`.
local function receive_while_answers_leave(disturb)
    local a, b = d.bound(), d.bound()
    local from, to, sink = h.bound(), h.bound(), h.bound()
    local heard, buf, seen = collect(a), thrum.byte_span.new(32), {}
    local function send()
        from:send_to("from somebody else", h.loopback(), sink.local_port)
    end
    b:on("message", function(msg, rinfo)
        thrum.spawn(function()
            from:send_to("for " .. msg, h.loopback(), to.local_port)
        end):detach()
        b:send(msg, rinfo.port, rinfo.address)
        disturb(send)
        local n, _, port = to:receive_from(buf)
        debug.sethook()
        seen[#seen + 1] = tostring(buf:slice(1, n)) .. " " .. tostring(port == from.local_port)
    end)
    flood(a, b, 10)
    h.wait_until(function() return #heard == 10 and #seen == 10 end)
    for i = 1, 10 do
        lu.assertEquals(seen[i], "for " .. i .. " true")
    end
    d.close(a, b)
    from:close()
    to:close()
    sink:close()
end

-- The sender of a datagram that was waited for stands where calls of the same fiber describe what
-- they want, and a finalizer's are such calls.
t["test a finalizer changes no sender"] = function()
    local a, b = d.bound(), d.bound()
    local pause, multiplier = collectgarbage("setpause", 0), collectgarbage("setstepmul", 100000)
    local port, n_heard, n_wrong = d.port(a), 0, 0
    local mt = {
        __gc = function()
            local other = thrum.ip.udp.socket.new()
            pcall(other.connect, other, h.loopback(), 9)
            other:close()
        end,
    }
    b:on("message", function(_, rinfo)
        n_heard = n_heard + 1
        n_wrong = n_wrong + (rinfo.port == port and 0 or 1)
    end)
    for i = 1, 20 do
        local room = {}
        local function is_heard() return n_heard == i end
        collectgarbage("stop")
        a:send(tostring(i):rep(50), d.port(b), "127.0.0.1")
        setmetatable({}, mt)
        collectgarbage("restart")
        for j = 1, 300 do -- memory without a step of the collector: that comes when `b` has it
            rawset(room, j, true)
        end
        h.wait_until(is_heard)
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", multiplier)
    lu.assertEquals(n_wrong, 0)
    d.close(a, b)
end

t["test no finalizer comes between a wait's start and its suspension"] = function()
    local pause, multiplier = collectgarbage("setpause", 0), collectgarbage("setstepmul", 100000)
    receive_while_answers_leave(function(send)
        collectgarbage("stop")
        do
            local _ = setmetatable({}, {__gc = send})
        end
        local room = {}
        collectgarbage("restart")
        for i = 1, 300 do -- memory without a step of the collector
            rawset(room, i, true)
        end
    end)
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", multiplier)
end

t["test nor does a debug hook"] = function()
    receive_while_answers_leave(function(send) debug.sethook(send, "", 1) end)
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

-- A flood for a dgram socket from one of the native kind, and whether an answer has come to that.
local function flood_from(sock, b, count)
    for i = 1, count do
        sock:send_to(tostring(i), h.loopback(), d.port(b))
    end
    return function() return sock:io_control("bytes_readable") > 0 end
end

-- How many listeners had run when the first answer was there to be read.
local function first_answer(sends)
    local sock, b = h.bound(), d.bound()
    local n_heard, has_answer, first_seen = 0, nil, nil
    b:on("message", function(msg, rinfo)
        n_heard = n_heard + 1
        first_seen = first_seen or has_answer() and n_heard - 1
        if sends[n_heard] then
            b:send(msg, rinfo.port, rinfo.address)
        end
        local now = time.steady_clock.now
        local start = now()
        repeat until now() > start + 0.02
    end)
    has_answer = flood_from(sock, b, 12)
    h.wait_until(function() return n_heard == 12 end)
    sock:close()
    d.close(b)
    return first_seen
end

t["test answers of listeners that compute for long are not held until the last has run"] =
function() -- the first three come alone
    local all = {[4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [9] = true}
    local first_seen = first_answer(all)
    lu.assertTrue(first_seen and first_seen <= 5, tostring(first_seen))
    first_seen = first_answer {[5] = true}
    lu.assertTrue(first_seen and first_seen <= 8, tostring(first_seen))
end

t["test an answer has left after each kind of wait"] = function()
    local lock, gate = thrum.mutex.new(), thrum.channel.new()
    local waits = {
        sleep = function() time.sleep(0) end,
        yield = function() thrum.this_fiber.yield() end,
        pcall = function() thrum.pcall(time.sleep, 0.001) end,
        coroutine = function() thrum.coroutine.wrap(time.sleep)(0) end,
        timeout = function() thrum.pcall(time.with_timeout, 0.02, gate.receive, gate) end,
        select = function() thrum.fiber.select {gate, timeout = 0.02} end,
        join = function() thrum.spawn(function() end):join() end,
        group = function() thrum.fiber.group(function(g) g:spawn(time.sleep, 0) end) end,
        mutex = function() thrum.pcall(time.with_timeout, 0.02, lock.lock, lock) end,
        scope = function()
            thrum.scope(function() thrum.scope_cleanup_push(function() time.sleep(0) end) end)
        end,
        socket = function() thrum.socket.sleep(0.001) end,
        poll = function() thrum.socket.select({}, {}, 0.001) end,
        lookup = function() thrum.ip.udp.get_name_info(h.loopback(), 9) end,
        child = function() thrum.system.spawn {program = "true", arguments = {"true"}}:wait() end,
    }
    lock:lock()
    for name, wait in pairs(waits) do
        local sock, b = h.bound(), d.bound()
        local n_heard, has_answer, has_left = 0, nil, nil
        b:on("message", function(msg, rinfo)
            n_heard = n_heard + 1
            if n_heard == 5 then -- in the midst of what is delivered in a row
                b:send(msg, rinfo.port, rinfo.address)
                wait()
                has_left = has_answer()
            end
        end)
        has_answer = flood_from(sock, b, 8)
        h.wait_until(function() return n_heard == 8 end)
        lu.assertTrue(has_left, name)
        sock:close()
        d.close(b)
    end
    lock:unlock()
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

t["test an answer has left before the program ends by system.exit or os.exit"] = function()
    local sock = h.bound()
    local chunk = [[
        local thrum = require "thrum.prelude"
        local b = require("dgram").createSocket("udp4")
        b:bind(0, "127.0.0.1")
        b:on("message", function(msg)
            b:send("answer to " .. msg, PORT, "127.0.0.1")
            if msg == "4" then
                EXIT
            end
        end)
        local a = ip.udp.socket.new()
        a:open("v4")
        for i = 1, 8 do
            a:send_to(tostring(i), ip.address.loopback_v4(), b:address().port)
        end
        pcall(thrum.run)]] -- the program is in a fiber already, and goes on by itself
    for _, exit in ipairs {"require('system').exit(3)", "os.exit(3)", "os.exit(3, true)"} do
        local text = chunk:gsub("PORT", sock.local_port):gsub("EXIT", exit)
        local output, status = h.shell(h.quote(h.interpreter) .. " -e " .. h.quote(text))
        lu.assertEquals({output, status}, {"", 3})
        for i = 1, 4 do
            lu.assertEquals(h.receive(sock), "answer to " .. i)
        end
    end
    sock:close()
end

t["test a send that fails in a flood is reported, and the others leave"] = function()
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

t["test what the kernel does not take now waits in the queue, in order"] = function()
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

t["test close waits for what is in the queue, and refuses more"] = function()
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
    local heard = {} -- both may be there at once
    b:on("message", function(msg) heard[#heard + 1] = msg end)
    a:send("x", d.port(b), "one.name")
    a:send("y", d.port(b), "other.name")
    h.wait_until(function() return #heard == 2 end)
    lu.assertEquals(heard, {"x", "y"})
    lu.assertEquals(asked, {"one.name 4", "other.name 4"})
    a:send("z", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "z")
    lu.assertEquals(#asked, 2)
    d.close(a, b)
end

t["test sends to one name leave in the order of the calls, however the lookups end"] = function()
    local answers = {}
    local a = dgram.createSocket {type = "udp4", lookup = function(_, _, callback)
        answers[#answers + 1] = function(err) callback(err, not err and "127.0.0.1" or nil) end
    end}
    local b = d.bound()
    local heard, told = collect(b), {}
    for i, host in ipairs {"one.name", "one.name", "other.name", "one.name", "one.name"} do
        a:send(tostring(i), d.port(b), host, function(err)
            told[#told + 1] = i .. (err and " failed" or "")
        end)
    end
    h.wait_until(function() return #answers == 5 end)
    answers[5]()
    answers[2]()
    answers[3]()
    h.wait_until(function() return #heard == 1 and #told == 1 end)
    h.let_others_run(10)
    lu.assertEquals(heard, {"3"})
    answers[1]("not found")
    h.wait_until(function() return #heard == 2 and #told == 3 end)
    answers[4]()
    h.wait_until(function() return #heard == 4 and #told == 5 end)
    lu.assertEquals(heard, {"3", "2", "4", "5"})
    lu.assertEquals(told, {"3", "1 failed", "2", "4", "5"})
    lu.assertEquals(a:getSendQueueCount(), 0)

    -- And once more, with nothing of it left over.
    answers = {}
    a:send("6", d.port(b), "one.name")
    h.wait_until(function() return #answers == 1 end)
    answers[1]()
    lu.assertEquals(d.wait(b, "message"), "6")
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

t["test a lookup that fails, raises or finds nothing is reported by callback or event"] =
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

t["test a send whose name is found after its bind has failed gets that error"] = function()
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

t["test what is sent to the system's localhost arrives in order"] = function()
    local is_known = pcall(thrum.ip.udp.get_address_v4_info, "localhost", 0)
    lu.skipIf(not is_known, "localhost is not known here")
    local a, b = dgram.createSocket("udp4"), d.bound()
    local heard, wanted = collect(b), {}
    for i = 1, 200 do
        a:send(tostring(i), d.port(b), "localhost")
        wanted[i] = tostring(i)
    end
    h.wait_until(function() return #heard == 200 end)
    lu.assertEquals(heard, wanted)
    d.close(a, b)
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
    h.assert_contains(tostring(err), "dgram.Socket.send [::zz]:9")
    lu.assertNil(err.detail)
    d.close(a, b, c)
end
