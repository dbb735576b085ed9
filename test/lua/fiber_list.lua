-- SPDX-License-Identifier: BSL-1.0
-- fiber.list and fiber.named: what each fiber waits for, where it stands, where it was spawned.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip, fiber, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip, thrum.fiber, thrum.coroutine
local scope, pcall = thrum.scope, thrum.pcall

thrum.system.signal.set.new() -- the descriptors behind all sets are there from now on

-- The line this is called from, as fiber.list says it.
local function here(offset)
    local frame = debug.getinfo(2, "Sl")
    return frame.short_src .. ":" .. frame.currentline + (offset or 0)
end

local function find(id_or_name)
    for _, entry in ipairs(fiber.list()) do
        if entry.id == id_or_name or entry.name == id_or_name then
            return entry
        end
    end
    return nil
end

-- Spawn under a name, let it run until it suspends, look at it, and end it.
local function look(f, ...)
    local fib = spawn(fiber.named("looked at", f), ...)
    this_fiber.yield()
    local entry = find("looked at")
    fib:interrupt()
    fib:join()
    return entry
end

t["test list has the caller as running"] = function()
    local entry = find(this_fiber.id)
    lu.assertEquals(entry.state, "running")
    lu.assertEquals(entry.id, this_fiber.id)
    lu.assertNil(entry.waits_for)
    lu.assertNil(entry.since)
    lu.assertStrContains(entry.traceback, "fiber_list.lua:")
    lu.assertStrContains(entry.traceback, "in upvalue 'find'")
    lu.assertNotStrContains(entry.traceback, "fiber.list")
end

t["test list has a new fiber, its place, and no frame"] = function()
    local fib = spawn(fiber.named("fresh", function() end))
    local place = here(-1)
    local entry = find("fresh")
    fib:join()
    lu.assertEquals(entry.state, "new")
    lu.assertEquals(entry.spawned_at, place)
    lu.assertEquals(entry.traceback,
        "stack traceback:\n\t(in a fiber, spawned at " .. place .. ")")
    lu.assertNil(find("fresh"))
end

t["test list has a fiber that has yielded as ready"] = function()
    local is_over = false
    local fib = spawn(fiber.named("ready", function()
        while not is_over do
            this_fiber.yield()
        end
    end))
    this_fiber.yield()
    local entry = find("ready")
    is_over = true
    fib:join()
    lu.assertEquals(entry.state, "ready")
    lu.assertNil(entry.waits_for)
    lu.assertStrContains(entry.traceback, "\n\t[C]: in this_fiber.yield\n")
end

t["test list is in the order of spawning, and leaves out who has ended"] = function()
    local first = spawn(fiber.named("first", time.sleep), 60)
    local second = spawn(fiber.named("second", function() end))
    local third = spawn(fiber.named("third", time.sleep), 60)
    this_fiber.yield()
    local names = {}
    for _, entry in ipairs(fiber.list()) do
        names[#names + 1] = entry.name
    end
    for _, fib in ipairs {first, third} do
        fib:interrupt()
        fib:join()
    end
    second:join()
    lu.assertEquals(table.concat(names, " "), "first third")
end

t["test list tells the main fiber"] = function()
    local n_main = 0
    for _, entry in ipairs(fiber.list()) do
        n_main = n_main + (entry.is_main and 1 or 0)
    end
    lu.assertEquals(find(this_fiber.id).is_main, this_fiber.is_main)
    lu.assertTrue(n_main <= 1)
end

-- what it waits for

t["test a socket's wait is shown by where it is bound"] = function()
    local sock = ip.udp.socket.new()
    sock:open("v4")
    sock:bind(ip.address.loopback_v4(), 0)
    local buf = thrum.byte_span.new(10)
    local entry = look(function() sock:receive_from(buf) end)
    lu.assertEquals(entry.state, "waiting")
    lu.assertEquals(entry.waits_for,
        "ip.udp.socket.receive_from 127.0.0.1:" .. sock.local_port)
    lu.assertEquals(look(function() sock:receive(buf) end).waits_for,
        "ip.udp.socket.receive 127.0.0.1:" .. sock.local_port)
    sock:close()
end

t["test a socket's wait is shown by its v6 endpoint in brackets"] = function()
    local sock = ip.udp.socket.new()
    sock:open("v6")
    sock:bind(ip.address.loopback_v6(), 0)
    local entry = look(function() sock:receive_from(thrum.byte_span.new(10)) end)
    lu.assertEquals(entry.waits_for, "ip.udp.socket.receive_from [::1]:" .. sock.local_port)
    sock:close()
end

t["test a join is shown by whom it waits for"] = function()
    local joined = spawn(fiber.named("joined", time.sleep), 60)
    this_fiber.yield()
    local id = find("joined").id
    lu.assertEquals(look(joined.join, joined).waits_for, "fiber.join " .. id .. ' "joined"')
    joined:interrupt()
    joined:join()
end

t["test a mutex is shown by who holds it, for condition variables as well"] = function()
    local mutex = thrum.mutex.new()
    local condition = thrum.condition_variable.new()
    mutex:lock()
    local held = "(held by fiber " .. this_fiber.id .. ")"
    lu.assertEquals(look(mutex.lock, mutex).waits_for, "mutex.lock " .. held)
    mutex:unlock()

    local fib = spawn(fiber.named("waiter", function()
        mutex:lock()
        condition:wait(mutex)
        mutex:unlock()
    end))
    this_fiber.yield()
    lu.assertEquals(find("waiter").waits_for, "condition_variable.wait")
    mutex:lock()
    condition:notify_one()
    lu.assertEquals(find("waiter").waits_for, "condition_variable.wait " .. held)
    mutex:unlock()
    fib:join()
end

t["test every other wait has the name of the call"] = function()
    local timer = time.steady_timer.new()
    timer:expires_after(60)
    local channel = thrum.channel.new()
    local cases = {
        ["time.sleep"] = {time.sleep, 60},
        ["time.steady_timer.wait"] = {timer.wait, timer},
        ["channel.receive"] = {channel.receive, channel},
        ["channel.send"] = {channel.send, channel, coroutine.create(print)},
        ["semaphore.acquire"] = {function() thrum.semaphore.new(0):acquire() end},
        ["system.signal.set.wait"] = {function() thrum.system.signal.set.new("SIGUSR1"):wait() end},
    }
    for name, case in pairs(cases) do
        local entry = look(table.unpack(case))
        lu.assertEquals(entry.waits_for, name)
        lu.assertStrContains(entry.traceback, "\n\t[C]: in " .. name)
    end
end

t["test since is when it was suspended"] = function()
    local before = time.steady_clock.now()
    local fib = spawn(fiber.named("sleeper", time.sleep), 60)
    this_fiber.yield()
    local after = time.steady_clock.now()
    local since = find("sleeper").since
    time.sleep(0.03)
    lu.assertEquals(find("sleeper").since, since)
    fib:interrupt()
    fib:join()
    lu.assertTrue(since >= before - 0.02 and since <= after)
end

-- tracebacks

local function frames(entry)
    return (entry.traceback:gsub("[^\n\t <]*fiber_list%.lua", "F"):gsub(" <F:%d+>", ""))
end

t["test a traceback goes through the coroutines that a fiber waits in"] = function()
    local function innermost()
        time.sleep(60)
    end
    local fib = spawn(fiber.named("nested", function()
        local step = coroutine.wrap(function()
            local co = coroutine.create(innermost)
            lu.assertTrue(coroutine.resume(co))
        end)
        step()
    end))
    this_fiber.yield()
    local entry = find("nested")
    fib:interrupt()
    pcall(fib.join, fib)
    local place = entry.spawned_at:gsub("^.*fiber_list%.lua", "F")
    lu.assertEquals(frames(entry):gsub("F:%d+:", "F:"), table.concat({
        "stack traceback:",
        "[C]: in time.sleep",
        "F: in function",
        "(in a coroutine, resumed at)",
        "F: in function",
        "(in a coroutine, resumed at)",
        "F: in function",
        "(in a fiber, spawned at " .. place .. ")",
    }, "\n\t"))
end

t["test a coroutine handed over as an argument is no part of the traceback"] = function()
    local channel = thrum.channel.new()
    local co = coroutine.create(function() coroutine.yield() end)
    coroutine.resume(co)
    local entry = look(function() channel:send(co) end)
    lu.assertNotStrContains(entry.traceback, "in a coroutine")
end

t["test the caller's traceback goes through its coroutines"] = function()
    local id = this_fiber.id
    local entry
    local step = coroutine.wrap(function()
        local co = coroutine.create(function() entry = find(id) end)
        lu.assertTrue(coroutine.resume(co))
    end)
    step()
    local _, count = entry.traceback:gsub("%(in a coroutine, resumed at%)", "")
    lu.assertEquals(count, 2)
    lu.assertStrContains(entry.traceback, "in function 'coroutine.resume'")
end

t["test the traceback of an uncaught error goes through wrapped coroutines"] = function()
    local function fail()
        error("inside")
    end
    spawn(fiber.named("failing", function()
        local caught = coroutine.wrap(function() error("caught") end)
        pcall(caught)
        local outer = coroutine.wrap(function()
            local inner = coroutine.wrap(fail)
            inner()
        end)
        outer()
    end)):detach()
    h.let_others_run()
    local report = h.take_reports()[1]
    lu.assertStrContains(tostring(report.err), "inside")
    lu.assertEquals(report.name, "failing")
    lu.assertStrContains(report.traceback, "in local 'inner'")
    local _, count = report.traceback:gsub("%(in a coroutine, resumed at%)", "")
    lu.assertEquals(count, 2)
    lu.assertStrMatches(report.traceback, ".*spawned at [^\n]*fiber_list%.lua:%d+%)")
end

t["test an error of the fiber itself has no coroutine in its traceback"] = function()
    spawn(function()
        local step = coroutine.wrap(function() error("caught") end)
        pcall(step)
        error("its own")
    end):detach()
    h.let_others_run()
    lu.assertNotStrContains(h.take_reports()[1].traceback, "in a coroutine")
end

-- The traceback of a detached fiber that has run f.
local function report_of(f)
    spawn(f):detach()
    local reports
    h.wait_until(function()
        reports = h.take_reports()
        return reports[1]
    end)
    return reports[1].traceback
end

t["test scope and with_timeout do not hide where an error comes from"] = function()
    local function fail()
        error("deep inside")
    end
    local function work()
        scope(function()
            time.with_timeout(60, function()
                time.sleep(0)
                fail()
            end)
        end)
    end
    local traceback = report_of(work)
    h.assert_contains(traceback, "in upvalue 'fail'")
    h.assert_contains(traceback, "scope'")
    local nested = report_of(function() coroutine.wrap(work)() end)
    h.assert_contains(nested, "in upvalue 'fail'")
    local _, count = nested:gsub("in upvalue 'fail'.*%(in a coroutine, resumed at%)", "")
    lu.assertEquals(count, 1)
end

t["test an error caught before is not in the traceback of a later one"] = function()
    local function fail()
        error("caught")
    end
    local traceback = report_of(function()
        pcall(scope, fail)
        error("uncaught")
    end)
    lu.assertNotStrContains(traceback, "fail")
    traceback = report_of(function()
        pcall(scope, fail)
        scope(function() error(setmetatable({}, {__tostring = function() return "caught" end})) end)
    end)
    lu.assertNotStrContains(traceback, "fail")
end

t["test a hundred coroutines deep the list still answers"] = function()
    local function descend(depth)
        if depth == 0 then
            time.sleep(60)
        end
        coroutine.wrap(descend)(depth - 1)
    end
    local entry = look(function() descend(100) end)
    local _, count = entry.traceback:gsub("%(in a coroutine, resumed at%)", "")
    lu.assertEquals(count, 100)
end

t["test list inside a finalizer answers"] = function()
    local count
    setmetatable({}, {__gc = function() count = #fiber.list() end})
    collectgarbage()
    lu.assertTrue(count >= 1)
end

t["test list inside a stock coroutine shows it, too"] = function()
    lu.skipIf(not h.stock_coroutine, "the program has no stock coroutine library")
    local entry
    local id = this_fiber.id
    local co = h.stock_coroutine.create(function() entry = find(id) end)
    lu.assertTrue(h.stock_coroutine.resume(co))
    lu.assertStrContains(entry.traceback, "in upvalue 'find'")
    lu.assertStrContains(entry.traceback, "(in a coroutine, resumed at)")
end

-- names

t["test a name is in this_fiber, in tostring and nowhere without one"] = function()
    local name
    local fib = spawn(fiber.named("rx", function() name = this_fiber.name end))
    lu.assertStrMatches(tostring(fib), 'fiber %d+ "rx" %(new%)')
    fib:join()
    lu.assertEquals(name, "rx")
    spawn(function() name = this_fiber.name end):join()
    lu.assertNil(name)
end

t["test a named function takes arguments, and serves several fibers"] = function()
    local add = fiber.named("add", function(a, b) return a + b end)
    local one, two = spawn(add, 1, 2), spawn(add, 3, 4)
    lu.assertEquals(one:join() + two:join(), 10)
    lu.assertEquals(tostring(add), 'function "add"')
end

t["test named refuses a name that is no string and what is no function"] = function()
    h.raises_arg(1, fiber.named, 1, print)
    h.raises_arg(1, fiber.named)
    h.raises_arg(2, fiber.named, "name")
    h.raises_arg(2, fiber.named, "name", fiber.named("inner", print))
end
