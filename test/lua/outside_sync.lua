-- SPDX-License-Identifier: BSL-1.0
-- scope, mutex, channel and their kin outside any fiber: run by harness.lua --outside.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.coroutine
local pcall, scope, push = thrum.pcall, thrum.scope, thrum.scope_cleanup_push

local function deadlocks(f, ...)
    return h.raises_text("fiber", "Every fiber waits and nothing is pending", f, ...)
end

t["test the calls drive the loop until their own wait has ended"] = function()
    local ch, m, s = thrum.channel.new(), thrum.mutex.new(), thrum.semaphore.new(0)
    local fiber = spawn(function()
        m:lock()
        ch:send "value"
        time.sleep(0.001)
        s:release()
        m:unlock()
    end)
    lu.assertEquals(ch:receive(), "value")
    m:lock()
    s:acquire()
    m:unlock()
    fiber:join()

    local sum = 0
    local receiver = spawn(function()
        for value in ch:values() do
            sum = sum + value
        end
    end)
    for i = 1, 200 do
        ch:send(i)
    end
    ch:close()
    receiver:join()
    lu.assertEquals(sum, 20100)

    local buffer = thrum.channel.new(200)
    for i = 1, 200 do
        buffer:send({i})
    end
    for i = 1, 200 do
        lu.assertEquals(buffer:receive(), {i})
    end
end

t["test coroutines in which the caller waits are at work for the fibers that run"] = function()
    local inner, outer, wrapped
    local other = spawn(function()
        for _, co in ipairs {inner, outer, (coroutine.running())} do
            local is_own = co == coroutine.running()
            lu.assertEquals(coroutine.status(co), is_own and "running" or "normal")
            if is_own then
                lu.assertEquals({coroutine.resume(co)},
                    {false, "cannot resume non-suspended coroutine"})
            else
                h.raises("EPERM", coroutine.resume, co)
            end
        end
        h.raises("EPERM", wrapped)
        return "told"
    end)
    outer = coroutine.create(function()
        wrapped = coroutine.wrap(function()
            inner = coroutine.running()
            return other:join()
        end)
        return wrapped()
    end)
    lu.assertEquals({coroutine.resume(outer)}, {true, "told"})
    lu.assertEquals(coroutine.status(inner), "dead")
end

t["test a mutex is held by the caller outside, fiber 0"] = function()
    local m = thrum.mutex.new()
    m:lock()
    lu.assertEquals(tostring(m), "mutex (held by fiber 0)")
    h.raises("EDEADLK", m.lock, m)
    spawn(function() h.raises("EPERM", m.unlock, m) end):join()
    m:unlock()
    h.raises("EPERM", m.unlock, m)
end

t["test a condition variable works between outside and a fiber"] = function()
    local m, cv, is_ready = thrum.mutex.new(), thrum.condition_variable.new(), false
    spawn(function()
        m:lock()
        is_ready = true
        cv:notify_one()
        m:unlock()
    end):detach()
    m:lock()
    while not is_ready do
        cv:wait(m)
    end
    m:unlock()
end

t["test a wait that nobody can end is a deadlock, and leaves all as it was"] = function()
    local ch, m, s = thrum.channel.new(), thrum.mutex.new(), thrum.semaphore.new(0)
    local cv, timer = thrum.condition_variable.new(), time.steady_timer.new()
    deadlocks(ch.receive, ch)
    deadlocks(ch.send, ch, 1)
    deadlocks(s.acquire, s)
    spawn(m.lock, m):join()
    deadlocks(m.lock, m)
    local free = thrum.mutex.new()
    free:lock()
    deadlocks(cv.wait, cv, free)
    free:unlock() -- it holds it again
    timer:expires_after(0.001)
    timer:wait()
    s:release()
    s:acquire()
    local sender = spawn(ch.send, ch, 2)
    lu.assertEquals(ch:receive(), 2)
    sender:join()
end

-- Seen: the loop span for ever. Cause: to end its wait the caller had to get the mutex first, and
-- who held it waited, too. Cure: there the wait ends without the mutex.
t["test a deadlock in wait whose mutex somebody else keeps"] = function()
    local m, cv, ch = thrum.mutex.new(), thrum.condition_variable.new(), thrum.channel.new()
    local fiber = spawn(function()
        m:lock()
        ch:receive()
        m:unlock()
    end)
    m:lock()
    deadlocks(cv.wait, cv, m)
    h.raises("EPERM", m.unlock, m)
    ch:send(1)
    fiber:join()
    m:lock()
    m:unlock()
end

t["test groups work outside any fiber"] = function()
    local fiber = thrum.fiber
    local g, log = fiber.group(), {}
    g:spawn(function()
        time.sleep(0.001)
        g:spawn(function() log[#log + 1] = "sibling" end)
    end)
    g:join()
    lu.assertEquals(log, {"sibling"})

    lu.assertEquals(fiber.group(function(inner)
        return inner:spawn(function()
            time.sleep(0.001)
            return 5
        end):join()
    end), 5)

    local ok, err = pcall(fiber.group, function(inner)
        inner:spawn(function()
            push(function()
                time.sleep(0.001)
                log[#log + 1] = "cleaned up"
            end)
            time.sleep(3600)
        end)
        inner:spawn(function()
            time.sleep(0.001)
            error("failed", 0)
        end)
        time.sleep(3600)
    end)
    lu.assertFalse(ok)
    lu.assertEquals(err, "failed")
    lu.assertEquals(log, {"sibling", "cleaned up"})

    h.raises("ETIMEDOUT", time.with_timeout, 0.002, fiber.group, function(inner)
        inner:spawn(time.sleep, 3600)
    end)
end

t["test a group whose children wait for ever is a deadlock, and ends them"] = function()
    local fiber, ch, log = thrum.fiber, thrum.channel.new(), {}
    local function stuck()
        push(function()
            time.sleep(0.001)
            log[#log + 1] = "cleaned up"
        end)
        ch:receive()
    end
    local g = fiber.group()
    g:spawn(stuck)
    deadlocks(g.join, g)
    deadlocks(fiber.group, function(inner) inner:spawn(stuck) end)
    deadlocks(fiber.group, function(inner)
        inner:spawn(stuck)
        ch:receive()
    end)
    lu.assertEquals(log, {"cleaned up", "cleaned up", "cleaned up"})

    local m, free = thrum.mutex.new(), false
    m:lock()
    g = fiber.group()
    g:spawn(function()
        this_fiber.disable_interruption()
        m:lock()
        m:unlock()
        free = true
    end)
    deadlocks(g.join, g) -- it cannot even be ended
    h.raises("EINVAL", g.join, g)
    m:unlock()
    thrum.run()
    lu.assertTrue(free)
end

t["test select works outside any fiber"] = function()
    local select_one = thrum.fiber.select
    local a, b, timer = thrum.channel.new(), thrum.channel.new(), time.steady_timer.new()
    local sender = spawn(function()
        time.sleep(0.001)
        b:send("value")
    end)
    lu.assertEquals({select_one {a, b}}, {2, "value"})
    lu.assertEquals(select_one {a, sender}, 2)
    sender:join()
    local receiver = spawn(b.receive, b)
    lu.assertEquals(select_one {a, {b, "sent"}}, 2)
    lu.assertEquals(receiver:join(), "sent")
    timer:expires_after(0.001)
    lu.assertEquals(select_one {a, timer, timeout = 100}, 2)
    lu.assertNil((select_one {a, b, timeout = 0.001}))
    h.raises("ETIMEDOUT", time.with_timeout, 0.001, select_one, {a, {b, 1}})
    deadlocks(select_one, {a, {b, "not sent"}})
    lu.assertNil((select_one {b, timeout = 0}))
end

t["test with_timeout ends waits outside any fiber"] = function()
    local m, cv, ch = thrum.mutex.new(), thrum.condition_variable.new(), thrum.channel.new()
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, ch.receive, ch)
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, time.sleep, 3600)
    m:lock()
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, cv.wait, cv, m)
    m:unlock()
    h.raises("ETIMEDOUT", time.with_timeout, 3600, time.with_timeout, 0.001, ch.send, ch, 1)
    time.with_timeout(0.001, function() end)
    time.sleep(0.003)
end

t["test scopes and their handlers work, handlers may wait"] = function()
    local log = {}
    local value = {}
    local ok, err = pcall(function()
        push(function() log[#log + 1] = "pcall" end)
        scope(function()
            push(function()
                time.sleep(0.001)
                log[#log + 1] = "scope"
            end)
            error(value)
        end)
    end)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertEquals(log, {"scope", "pcall"})
    local wrapped = coroutine.wrap(function()
        push(function() log[#log + 1] = "coroutine" end)
        coroutine.yield(1)
    end)
    wrapped()
    wrapped()
    lu.assertEquals(log[3], "coroutine")
end

t["test a handler that raises raises here: there is no run to end"] = function()
    local err = h.raises_text("fiber", "A cleanup handler raised an error", scope, function()
        push(function() error("boom", 0) end)
    end)
    lu.assertEquals(err.cause, "boom")
    h.raises("EPERM", this_fiber.restore_interruption)
    time.sleep(0)
end

-- A step is no level of the C stack: there would be too many.
t["test a long call on a stream drives the loop step by step"] = function()
    local a, b = thrum.unix.stream.socket.pair()
    local n = 0
    local writer = spawn(function()
        for i = 1, 20000 do
            a:write_some("x")
            n = n + 1
            if i % 3 == 0 then
                this_fiber.yield()
            end
        end
        a:write_some("\nend")
        a:close()
    end)
    local r = thrum.stream.reader(b)
    lu.assertEquals(#r:line(), 20000)
    lu.assertEquals(n, 20000)
    lu.assertEquals(r:all(), "end")
    writer:join()
    local endless = {read_some = function(_, buf) return buf:copy("x") end}
    lu.assertEquals(#thrum.stream.reader(endless):exactly(20000), 20000)
    b.timeout = 0.001
    b:close()
    h.raises("EBADF", r.line, r)
end

-- Seen: a call went on to drive the loop. Cure: outside, too, the count is looked at.
t["test forbid_suspend holds outside any fiber"] = function()
    this_fiber.forbid_suspend()
    h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", time.sleep, 0)
    this_fiber.allow_suspend()
    time.sleep(0)
    h.raises("EPERM", this_fiber.allow_suspend)
end

t["test a wait inside thrum.run that nobody can end is a deadlock"] = function()
    local ch = thrum.channel.new()
    local err = deadlocks(thrum.run, function() pcall(ch.receive, ch) end)
    h.assert_contains(tostring(err), "channel.receive")
    ch:close()
    thrum.run()
end

-- Seen: pieces of memory that was no longer the stream's. A finalizer that ran while a line was
-- made a string had taken lines itself, and what came behind them stood where that line had stood.
t["test a finalizer that receives from a stream in use gets lines, and leaves lines"] = function()
    local socket = thrum.socket
    local server = assert(socket.bind("127.0.0.1", 0))
    local host, port = server:getsockname()
    local client = assert(socket.connect(host, port))
    local peer = assert(server:accept())
    client:settimeout(0)
    local seen, is_over = {}, false
    local function note(line)
        if line then
            lu.assertStrMatches(line, "line %d+ and more")
            seen[line] = true
        end
    end
    local function leave_finalizer()
        setmetatable({}, {__gc = function()
            client:settimeout(0)
            note((client:receive()))
            client:settimeout(0.001)
            if not is_over then
                leave_finalizer()
            end
        end})
    end
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 10000)
    leave_finalizer()
    leave_finalizer()
    for i = 1, 300 do
        for k = 1, 10 do
            peer:send(("line %d\r and more\r\n"):format(10 * i + k))
        end
        for _ = 1, 8 do
            note((client:receive()))
        end
    end
    is_over = true
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    client:settimeout(nil)
    peer:close()
    repeat
        local line = client:receive()
        note(line)
    until not line
    local count = 0
    for _ in pairs(seen) do
        count = count + 1
    end
    lu.assertEquals(count, 3000)
    client:close()
    server:close()
end

-- ---- finalizers, in whatever runs ----

local function collect(f)
    local results
    setmetatable({}, {__gc = function() results = table.pack(f()) end})
    collectgarbage()
    collectgarbage()
    return results
end

-- Seen: "error in __gc metamethod" out of collectgarbage.
t["test a finalizer that waits for nobody raises nothing, and is reported"] = function()
    local results = collect(function() return thrum.channel.new():receive() end)
    local reports = h.take_reports()
    lu.assertNil(results[1])
    h.assert_starts(tostring(results[2]), "Every fiber waits and nothing is pending")
    lu.assertEquals(#reports, 1)
    lu.assertIs(reports[1].err, results[2])
    lu.assertEquals(collect(function() return pcall(thrum.channel.new().receive, 1) end)[1], false)
end

t["test what is meant for the caller outside leaves its finalizers alone"] = function()
    local log = {}
    local function wait()
        time.sleep(0.001)
        log[#log + 1] = "slept"
    end
    time.with_timeout(0, function() lu.assertNotNil(collect(wait)) end)
    lu.assertEquals(log, {"slept"})
    local m = thrum.mutex.new()
    this_fiber.forbid_suspend()
    local results = collect(function()
        m:lock()
        return time.sleep(0.001)
    end)
    this_fiber.allow_suspend()
    lu.assertNil(results[1])
    h.assert_starts(tostring(results[2]), "A fiber cannot be suspended here")
    lu.assertEquals(#h.take_reports(), 1)
    m:unlock()
end

-- Seen: "the loop is being driven already", out of a call that had nothing to do with it.
t["test finalizers that run in the scheduler itself may call, and end no drive"] = function()
    local buf, a, b = thrum.byte_span.new(8), h.connected()
    local n_done, n_made = 0, 0
    local function litter()
        n_made = n_made + 1
        setmetatable({}, {__gc = function()
            a:send("text")
            b:receive(buf)
            time.sleep(0) -- waits in the caller's own code, and is reported elsewhere
            n_done = n_done + 1
        end})
    end
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000000)
    for _ = 1, 200 do -- spawning and ending allocate, outside any fiber
        litter()
        spawn(litter):join()
        spawn(error, "of a fiber", 0):detach()
        this_fiber.yield()
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    collectgarbage()
    collectgarbage()
    lu.assertEquals(n_done, n_made)
    h.take_reports()
    a:close()
    b:close()
end
