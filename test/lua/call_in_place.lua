-- SPDX-License-Identifier: BSL-1.0
-- Calls where a fiber cannot be suspended: under C functions, in finalizers, in debug hooks. What
-- needs no wait works; what does is refused, and has begun nothing; the module socket waits.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip = thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip
local byte_span, stream, unix, system = thrum.byte_span, thrum.stream, thrum.unix, thrum.system
local pack, loopback = table.pack, ip.address.loopback_v4()
local socket = require "thrum.socket"

system.signal.set.new("SIGUSR1") -- the first one opens the pipe that is there from then on

-- ---- the places: each calls `f` and returns what pcall of it did ----

local places = {}

function places.gsub(f)
    local results
    string.gsub("x", "x", function() results = pack(pcall(f)) end)
    return results
end

function places.sort(f)
    local results
    table.sort({1, 2}, function(a, b)
        results = results or pack(pcall(f))
        return a < b
    end)
    return results
end

function places.tostring(f)
    local results
    tostring(setmetatable({}, {__tostring = function()
        results = pack(pcall(f))
        return ""
    end}))
    return results
end

function places.load(f)
    local results
    load(function()
        results = pack(pcall(f))
        return nil
    end)
    return results
end

function places.finalizer(f)
    local results
    setmetatable({}, {__gc = function() results = pack(pcall(f)) end})
    collectgarbage()
    collectgarbage()
    return results
end

function places.hook(f)
    local results
    debug.sethook(function()
        debug.sethook()
        results = pack(pcall(f))
    end, "l")
    local _ = 1
    debug.sethook()
    return results
end

-- A coroutine inside such a place.
function places.coroutine(f)
    local results
    string.gsub("x", "x", function()
        local co = thrum.coroutine.create(function() results = pack(pcall(f)) end)
        lu.assertTrue(thrum.coroutine.resume(co))
    end)
    return results
end

-- A coroutine that is resumed by who knows no fibers.
if h.stock_coroutine then
    function places.stock_coroutine(f)
        local results
        local co = h.stock_coroutine.create(function() results = pack(pcall(f)) end)
        lu.assertTrue(h.stock_coroutine.resume(co))
        return results
    end
end

-- In each place `f` is called and its results are given back.
local function in_every_place(f)
    for name, place in pairs(places) do
        local results = place(f)
        lu.assertNotNil(results, name)
        if not results[1] then
            error(name .. ": " .. tostring(results[2]), 0)
        end
    end
end

local function refused_in_every_place(f)
    for name, place in pairs(places) do
        local before = thrum.stats().operations
        local results = place(f)
        lu.assertNotNil(results, name)
        lu.assertFalse(results[1], name)
        lu.assertTrue(h.is_error(results[2]), name .. ": " .. tostring(results[2]))
        h.assert_starts(tostring(results[2]), "A fiber cannot be suspended here")
        lu.assertTrue(thrum.stats().operations <= before, name) -- others may have ended meanwhile
    end
end

local function close(...)
    for _, object in ipairs {...} do
        object:close()
    end
end

local function tcp_pair()
    local acceptor, client = ip.tcp.acceptor.new(), ip.tcp.socket.new()
    acceptor:open("v4")
    acceptor:bind(loopback, 0)
    acceptor:listen()
    client:connect(loopback, acceptor.local_port)
    return client, acceptor:accept(), acceptor
end

-- ---- what needs no wait ----

t["test datagrams come and go in every place"] = function()
    local a, b = h.connected()
    local buf = byte_span.new(16)
    in_every_place(function()
        lu.assertEquals(a:send("one"), 3)
        lu.assertEquals(b:receive(buf), 3)
        lu.assertEquals(a:send_to("four", b.local_address, b.local_port), 4)
        local n, addr, port = b:receive_from(buf)
        lu.assertEquals({n, addr, port}, {4, a.local_address, a.local_port})
        a:connect(b.local_address, b.local_port)
    end)
    refused_in_every_place(function() b:receive(buf) end)
    refused_in_every_place(function() b:receive_from(buf) end)
    a:send("kept")
    lu.assertEquals(b:receive(buf), 4)
    close(a, b)
end

t["test a stream's bytes come and go, and a connection that is there is accepted"] = function()
    local a, b, acceptor = tcp_pair()
    local buf, clients = byte_span.new(4), {}
    for name in pairs(places) do
        clients[name] = ip.tcp.socket.new()
        clients[name]:connect(loopback, acceptor.local_port)
    end
    in_every_place(function()
        lu.assertEquals(a:send("data"), 4)
        lu.assertEquals(b:receive(buf), 4)
        lu.assertEquals(a:write_some("data"), 4)
        lu.assertEquals(b:read_some(buf), 4)
        stream.write_all(a, "data")
        stream.read_all(b, buf)
        lu.assertEquals(tostring(buf), "data")
        acceptor:accept():close()
    end)
    refused_in_every_place(function() b:receive(buf) end)
    refused_in_every_place(function() stream.read_all(b, buf) end)
    refused_in_every_place(function() acceptor:accept() end)
    local other = ip.tcp.socket.new()
    refused_in_every_place(function() other:connect(loopback, acceptor.local_port) end)
    lu.assertFalse(pcall(function() return other.remote_port end))
    refused_in_every_place(function()
        ip.connect(other, {{address = loopback, port = acceptor.local_port}})
    end)
    for _, client in pairs(clients) do
        client:close()
    end
    close(a, b, acceptor, other)
end

t["test a step that is refused says what has been done, and loses nothing"] = function()
    local a, b, acceptor = tcp_pair()
    local reader = stream.reader(b)
    a:send("first\nsec")
    in_every_place(function() lu.assertEquals(reader.buffered, reader.buffered) end)
    lu.assertEquals(places.gsub(function() return reader:line() end), {true, "first", n = 2})
    refused_in_every_place(function() reader:line() end)
    lu.assertEquals(reader.buffered, 3)
    a:send("ond\nthird\n")
    lu.assertEquals(places.hook(function() return reader:line() end), {true, "second", n = 2})
    lu.assertEquals(places.sort(function() return reader:exactly(6) end), {true, "third\n", n = 2})

    local buf = byte_span.new(8)
    a:send("half")
    local results = places.tostring(function() stream.read_all(b, buf) end)
    lu.assertFalse(results[1])
    lu.assertEquals(results[2].length, 4)
    lu.assertEquals(tostring(buf:slice(1, 4)), "half")
    close(a, b, acceptor)
end

t["test unix sockets and descriptors pass in every place"] = function()
    local a, b = unix.datagram.socket.pair()
    local buf = byte_span.new(4)
    in_every_place(function()
        lu.assertEquals(a:send_with_fds("fd", {}), 2)
        lu.assertEquals((b:receive_with_fds(buf, 1)), 2)
        lu.assertEquals(b:send("abc"), 3)
        lu.assertEquals(a:receive(buf), 3)
    end)
    refused_in_every_place(function() b:receive_with_fds(buf, 1) end)
    close(a, b)
end

t["test timers that have come are waited for, those to come are not"] = function()
    local timer = time.steady_timer.new()
    timer:expires_after(0)
    in_every_place(function() timer:wait() end)
    timer:expires_after(3600)
    refused_in_every_place(function() timer:wait() end)
    lu.assertEquals(timer:cancel(), 0)
    refused_in_every_place(function() time.sleep(0) end)
    refused_in_every_place(function() this_fiber.yield() end)
end

t["test what is free is taken, and its owner is the fiber"] = function()
    local m, s, ch = thrum.mutex.new(), thrum.semaphore.new(1), thrum.channel.new(1)
    for _, place in pairs(places) do
        lu.assertTrue(place(function() m:lock() end)[1])
        m:unlock()
    end
    in_every_place(function()
        s:acquire()
        ch:send("value")
        lu.assertEquals(ch:receive(), "value")
        s:release()
    end)
    s:acquire()
    refused_in_every_place(function() s:acquire() end)
    lu.assertEquals(s.count, 0)
    refused_in_every_place(function() ch:receive() end)
    ch:send("full")
    refused_in_every_place(function() ch:send("more") end)
    lu.assertEquals(#ch, 1)
    lu.assertEquals(ch:receive(), "full")

    local cond = thrum.condition_variable.new()
    m:lock()
    refused_in_every_place(function() cond:wait(m) end)
    m:unlock() -- which it still holds
    local holder = h.start(function()
        m:lock()
        ch:receive()
        m:unlock()
    end)
    refused_in_every_place(function() m:lock() end)
    ch:send("go on")
    holder:join()
    lu.assertTrue(m:try_lock())
end

t["test a fiber that has ended is joined, one that lives is not"] = function()
    for _, place in pairs(places) do
        local fiber = spawn(function() return "result" end)
        this_fiber.yield()
        lu.assertEquals(place(function() return fiber:join() end), {true, "result", n = 2})
    end
    local ch = thrum.channel.new()
    local fiber = spawn(ch.receive, ch)
    refused_in_every_place(function() fiber:join() end)
    lu.assertTrue(fiber.joinable)
    local group = thrum.fiber.group()
    group:spawn(ch.receive, ch)
    refused_in_every_place(function() group:join() end)
    ch:send(1)
    ch:send(2)
    fiber:join()
    group:join() -- whose child was not interrupted
    in_every_place(function() thrum.fiber.group():join() end)
end

t["test select takes what is there"] = function()
    local ch, full, s = thrum.channel.new(1), thrum.channel.new(1), thrum.semaphore.new(0)
    in_every_place(function()
        ch:send("value")
        lu.assertEquals({thrum.fiber.select {s, ch}}, {2, "value"})
        lu.assertNil(thrum.fiber.select {s, timeout = 0})
    end)
    full:send(1)
    refused_in_every_place(function() thrum.fiber.select {s, ch, {full, 2}} end)
    -- The deadline's timer is the fiber's, and goes on for what comes next.
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() thrum.fiber.select {s, timeout = 3600} end)
    lu.assertEquals({#ch, #full, s.count}, {0, 1, 0})
end

t["test numeric names are looked up, others are not"] = function()
    in_every_place(function()
        lu.assertEquals(ip.udp.get_address_info("127.0.0.1", 53)[1].port, 53)
        lu.assertEquals(ip.tcp.get_address_v4_info("127.0.0.1", "80")[1].port, 80)
    end)
    refused_in_every_place(function() ip.udp.get_address_info("no such name.invalid", 1) end)
end

-- Whether the child has ended, though nobody has asked the loop since.
local function is_zombie(pid)
    local file = assert(io.open("/proc/" .. pid .. "/stat"))
    local state = file:read("a"):match("%) (%u)")
    file:close()
    return state == "Z"
end

t["test a child that has ended is waited for"] = function()
    for name, place in pairs(places) do
        local child = system.spawn {program = "true", arguments = {"true"}}
        local deadline = time.steady_clock.now() + 10
        while not is_zombie(child.pid) and time.steady_clock.now() < deadline do
        end
        local results = place(function() return child:wait() end)
        lu.assertTrue(results[1], name .. ": " .. tostring(results[2]))
        lu.assertEquals(results[2], {exited = true, code = 0})
    end
    local child = system.spawn {program = "sleep", arguments = {"sleep", "3600"}}
    refused_in_every_place(function() child:wait() end)
    child:kill("SIGKILL")
    lu.assertEquals(child:wait(), {exited = false, signal = system.signal.SIGKILL})
end

t["test a signal that has come is taken, none is not"] = function()
    local set = system.signal.set.new("SIGUSR1")
    refused_in_every_place(function() set:wait() end)
    in_every_place(function()
        system.kill(system.getpid(), "SIGUSR1")
        lu.assertEquals({set:wait()}, {system.signal.SIGUSR1, "SIGUSR1"})
    end)
    set:cancel()
end

t["test dgram sends, and names are looked up behind its back"] = function()
    local dgram = thrum.dgram
    local receiver, got = dgram.createSocket("udp4"), {}
    receiver:on("message", function(data) got[#got + 1] = data end)
    receiver:bind(0, "127.0.0.1")
    this_fiber.yield()
    local port = receiver:address().port
    local sender = dgram.createSocket("udp4")
    local n = 0
    in_every_place(function()
        n = n + 1
        sender:send("text", port, "127.0.0.1")
    end)
    local deadline = time.steady_clock.now() + 10
    while #got < n and time.steady_clock.now() < deadline do
        time.sleep(0.001)
    end
    lu.assertEquals(#got, n)
    close(sender, receiver)
end

-- ---- forbidden, interrupted, limited ----

t["test nothing that is meant for the fiber reaches a call in such a place"] = function()
    local a, b = h.connected()
    local buf = byte_span.new(8)
    local function talk()
        a:send("text")
        lu.assertEquals(b:receive(buf), 4)
        this_fiber.local_.count = (this_fiber.local_.count or 0) + 1
    end
    local gate, n_done = thrum.channel.new(), nil
    local late = spawn(function()
        this_fiber.disable_interruption()
        gate:receive()
        this_fiber.restore_interruption()
        places.gsub(talk)
        places.finalizer(talk)
        n_done = this_fiber.local_.count
        this_fiber.yield()
        n_done = "not interrupted"
    end)
    this_fiber.yield()
    late:interrupt()
    gate:send(true)
    late:join()
    lu.assertTrue(late.interruption_caught)
    lu.assertEquals(n_done, 2)
    a:send("limit")
    time.with_timeout(0, function()
        places.gsub(function() lu.assertEquals(b:receive(buf), 5) end)
        places.finalizer(talk)
    end)
    this_fiber.forbid_suspend()
    in_every_place(talk)
    this_fiber.allow_suspend()
    close(a, b)
end

-- ---- finalizers that do not protect themselves ----

local function collect(f)
    local results
    setmetatable({}, {__gc = function() results = pack(f()) end})
    collectgarbage()
    collectgarbage()
    return results
end

t["test a finalizer that would have to wait raises in nobody, and is reported"] = function()
    local a, b = h.connected()
    local tcp, _, acceptor = tcp_pair()
    local buf, m = byte_span.new(8), thrum.mutex.new()
    local ch, full, cond = thrum.channel.new(), thrum.channel.new(), thrum.condition_variable.new()
    local sleeper = spawn(ch.receive, ch)
    local holder = h.start(function()
        m:lock()
        full:receive()
        m:unlock()
    end)
    local timer, set = time.steady_timer.new(), system.signal.set.new("SIGUSR1")
    timer:expires_after(3600)
    local group, own = thrum.fiber.group(), thrum.mutex.new()
    group:spawn(ch.receive, ch)
    own:lock()
    local reader = stream.reader(tcp)
    local calls = {
        function() return b:receive(buf) end,
        function() return b:receive_from(buf) end,
        function() return tcp:read_some(buf) end,
        function() return stream.read_all(tcp, buf) end,
        function() return reader:line() end,
        function() return acceptor:accept() end,
        function() return ip.tcp.socket.new():connect(loopback, acceptor.local_port) end,
        function() return time.sleep(0.001) end,
        function() return timer:wait() end,
        function() return this_fiber.yield() end,
        function() return m:lock() end,
        function() return cond:wait(own) end,
        function() return thrum.semaphore.new(0):acquire() end,
        function() return full:send("value") end,
        function() return thrum.channel.new():receive() end,
        function() return sleeper:join() end,
        function() return group:join() end,
        function() return thrum.fiber.select {thrum.channel.new(), thrum.semaphore.new(0)} end,
        function() return thrum.fiber.group(function() end) end,
        function() return ip.udp.get_address_info("no such name.invalid", 1) end,
        function() return ip.udp.get_name_info("127.0.0.1", 1) end,
        function() return set:wait() end,
        function()
            return ip.connect_any {{address = loopback, port = 1}}
        end,
        thrum.coroutine.wrap(function() return time.sleep(0.001) end),
        function()
            return thrum.coroutine.wrap(function()
                return thrum.coroutine.wrap(function() return time.sleep(0.001) end)()
            end)()
        end,
    }
    full:send("ends the holder")
    holder:join()
    m:lock()
    local other = spawn(m.lock, m)
    m:unlock()
    other:join() -- which holds it, and has ended
    for i, call in ipairs(calls) do
        local before = thrum.stats().operations
        local results = collect(call)
        local label = "call " .. i
        lu.assertNotNil(results, label)
        lu.assertNil(results[1], label)
        lu.assertTrue(h.is_error(results[2]), label .. ": " .. tostring(results[2]))
        h.assert_starts(tostring(results[2]), "A fiber cannot be suspended here")
        local reports = h.take_reports()
        lu.assertEquals(#reports, 1, label)
        lu.assertIs(reports[1].err, results[2])
        lu.assertEquals(reports[1].id, this_fiber.id)
        h.assert_contains(reports[1].traceback, "call_in_place.lua")
        lu.assertTrue(thrum.stats().operations <= before, label)
    end
    ch:send(1)
    ch:send(2)
    sleeper:join()
    group:join()
    set:cancel()
    own:unlock()
    close(a, b, tcp, acceptor)
    collectgarbage()
end

t["test a finalizer that locks what the running fiber holds raises in nobody"] = function()
    local m = thrum.mutex.new()
    m:lock()
    local results = collect(function() return m:lock() end)
    lu.assertNil(results[1])
    lu.assertTrue(results[2] == thrum.generic_error.EDEADLK)
    lu.assertIs(h.take_reports()[1].err, results[2])
    h.raises("EDEADLK", m.lock, m)
    m:unlock()
end

t["test an interruption, a timeout and a forbidden wait leave a finalizer alone"] = function()
    local a, b = h.connected()
    local buf, n_done = byte_span.new(8), 0
    local function talk()
        a:send("text")
        b:receive(buf)
        time.with_timeout(10, b.get_option, b, "broadcast")
        n_done = n_done + 1
    end
    time.with_timeout(0, function() lu.assertNotNil(collect(talk)) end)
    this_fiber.forbid_suspend()
    lu.assertNotNil(collect(talk))
    this_fiber.allow_suspend()
    local fiber = spawn(function()
        this_fiber.disable_interruption()
        this_fiber.yield()
        this_fiber.restore_interruption()
        lu.assertNotNil(collect(talk))
    end)
    this_fiber.yield()
    fiber:interrupt()
    fiber:join()
    lu.assertEquals(n_done, 3)
    close(a, b)
end

-- ---- what the scheduler itself calls ----

-- Seen: "the loop is being driven already", in a reporter that logs over UDP.
t["test the reporter may send and receive"] = function()
    local a, b = h.connected()
    local buf, results = byte_span.new(16), nil
    thrum.set_reporter(function(err)
        a:send(tostring(err))
        results = pack(b:receive(buf))
        results[2] = select(2, pcall(b.receive, b, buf))
    end)
    spawn(function() error("to be told", 0) end):detach()
    h.let_others_run()
    h.watch_reports()
    lu.assertEquals(results[1], 10)
    lu.assertEquals(tostring(buf:slice(1, 10)), "to be told")
    h.assert_starts(tostring(results[2]), "A fiber cannot be suspended here")
    close(a, b)
end

-- ---- the module socket waits ----

-- An echo server in a process of its own: nothing of this one runs while we wait.
local server = [[
local socket = require "socket"
local listener = assert(socket.bind("127.0.0.1", 0))
local udp = assert(socket.udp())
assert(udp:setsockname("127.0.0.1", 0))
local _, port = listener:getsockname()
local _, udp_port = udp:getsockname()
print(port, udp_port)
io.stdout:flush()
local client = assert(listener:accept())
while true do
    local line = client:receive()
    if not line then
        break
    elseif line == "udp" then
        local data, host, from = udp:receivefrom()
        socket.sleep(0.02)
        udp:sendto(data, host, from)
    else
        socket.sleep(0.02) -- so that the other end has to wait
        client:send(line .. "\n")
    end
end
]]

local function with_server(f)
    h.with_file(server, function(path)
        local pipe = io.popen(h.quote(h.program) .. " " .. h.quote(path))
        local port, udp_port = pipe:read("n", "n")
        local client = socket.tcp()
        lu.assertEquals(client:connect("127.0.0.1", port), 1)
        f(client, udp_port, port)
        client:close()
        pipe:close()
    end)
end

t["test module socket waits where nothing can be suspended, while others stand still"] = function()
    with_server(function(client, udp_port)
        local udp, n_turns, is_over = socket.udp(), 0, false
        udp:setpeername("127.0.0.1", udp_port)
        local other = spawn(function()
            while not is_over do
                n_turns = n_turns + 1
                this_fiber.yield()
            end
        end)
        this_fiber.yield()
        in_every_place(function()
            local before = n_turns
            client:send("hello\n")
            lu.assertEquals(client:receive(), "hello")
            client:send("again\n")
            lu.assertEquals({socket.select({client}, nil, 5)}, {{client, [client] = 1}, {}})
            lu.assertEquals(client:receive("*l"), "again")
            client:send("udp\n")
            udp:send("datagram")
            lu.assertEquals(udp:receive(), "datagram")
            local start = time.steady_clock.now()
            socket.sleep(0.01)
            lu.assertTrue(time.steady_clock.now() - start >= 0.01)
            lu.assertNotNil(socket.dns.toip("localhost"))
            client:settimeout(0.01)
            lu.assertEquals({client:receive()}, {nil, "timeout", ""})
            client:settimeout(nil)
            lu.assertEquals({socket.select({client}, nil, 0.01)}, {{}, {}, "timeout"})
            lu.assertEquals(n_turns, before)
        end)
        is_over = true
        other:join()
        udp:close()
    end)
end

t["test module socket connects and accepts in such a place"] = function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    in_every_place(function()
        local client = assert(socket.connect("127.0.0.1", port))
        local accepted = assert(listener:accept())
        client:send(("x"):rep(100))
        lu.assertEquals(#accepted:receive(100), 100)
        listener:settimeout(0.01)
        lu.assertEquals({listener:accept()}, {nil, "timeout"})
        listener:settimeout(nil)
        close(client, accepted)
    end)
    close(listener)
end

-- What dgram holds back until its fiber suspends leaves before the others stand still.
t["test what a listener has sent is sent before module socket waits"] = function()
    local peer, sock, answer = socket.udp4(), thrum.dgram.createSocket("udp4"), nil
    peer:setsockname("127.0.0.1", 0)
    peer:settimeout(5)
    local _, port = peer:getsockname()
    sock:on("message", function()
        sock:send("answer", port, "127.0.0.1")
        string.gsub("x", "x", function() answer = peer:receive() or "none" end)
    end)
    sock:bind(0, "127.0.0.1")
    this_fiber.yield()
    peer:sendto("question", "127.0.0.1", sock:address().port)
    h.wait_until(function() return answer end)
    lu.assertEquals(answer, "answer")
    close(peer, sock)
end

-- Another fiber's bytes come first, and only that fiber could take them.
t["test module socket does not wait there for another fiber's turn"] = function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local client = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
    local peer = assert(listener:accept())
    local fiber = h.start(client.receive, client)
    refused_in_every_place(function() client:receive() end)
    peer:send("line\n")
    lu.assertEquals(fiber:join(), "line")
    close(listener, client, peer)
end

t["test a with_timeout ends a wait of module socket in such a place"] = function()
    local udp = socket.udp4()
    udp:setsockname("127.0.0.1", 0)
    for name, place in pairs(places) do
        if name ~= "stock_coroutine" then
            local results = place(function()
                time.with_timeout(0.01, udp.receive, udp)
            end)
            lu.assertFalse(results[1])
            lu.assertTrue(results[2] == thrum.generic_error.ETIMEDOUT)
        end
    end
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, function()
        string.gsub("x", "x", function() udp:receive() end)
    end)
    udp:close()
end
