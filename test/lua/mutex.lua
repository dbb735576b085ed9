-- SPDX-License-Identifier: BSL-1.0
-- mutex: who holds it, who is next, and how a wait for it ends.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, mutex, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.mutex, thrum.coroutine
local pcall = thrum.pcall

t["test lock and unlock return nothing"] = function()
    local m = mutex.new()
    lu.assertEquals(select("#", m:lock()), 0)
    lu.assertEquals(select("#", m:unlock()), 0)
end

t["test one fiber at a time holds a mutex, over its suspensions"] = function()
    local m, inside, most, fibers = mutex.new(), 0, 0, {}
    for i = 1, 20 do
        fibers[i] = spawn(function()
            for _ = 1, 10 do
                m:lock()
                inside = inside + 1
                most = math.max(most, inside)
                this_fiber.yield()
                inside = inside - 1
                m:unlock()
            end
        end)
    end
    for i = 1, 20 do
        fibers[i]:join()
    end
    lu.assertEquals(most, 1)
end

t["test waiters get it in the order in which they came"] = function()
    local m, order, fibers = mutex.new(), {}, {}
    m:lock()
    for i = 1, 10 do
        fibers[i] = h.start(function()
            m:lock()
            order[#order + 1] = i
            m:unlock()
        end)
    end
    m:unlock()
    m:lock() -- behind them all
    lu.assertEquals(order, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
    m:unlock()
    for i = 1, 10 do
        fibers[i]:join()
    end
end

t["test unlock hands it to the next at once, whenever that may run"] = function()
    local m = mutex.new()
    m:lock()
    local fiber = h.start(function()
        m:lock()
        m:unlock()
    end)
    m:unlock()
    lu.assertFalse(m:try_lock())
    h.raises("EPERM", m.unlock, m)
    fiber:join()
    lu.assertTrue(m:try_lock())
    m:unlock()
end

t["test relocking by its owner is EDEADLK, and it holds it as before"] = function()
    local m = mutex.new()
    m:lock()
    h.raises("EDEADLK", m.lock, m)
    lu.assertFalse(m:try_lock())
    m:unlock()
    h.raises("EPERM", m.unlock, m)
end

t["test unlocking by another, or a free one, is EPERM"] = function()
    local m = mutex.new()
    h.raises("EPERM", m.unlock, m)
    m:lock()
    spawn(function() h.raises("EPERM", m.unlock, m) end):join()
    m:unlock()
end

t["test try_lock takes a free one, answers false else, and never suspends"] = function()
    local m = mutex.new()
    lu.assertTrue(m:try_lock())
    spawn(function()
        this_fiber.forbid_suspend()
        lu.assertFalse(m:try_lock())
        this_fiber.allow_suspend()
    end):join()
    m:unlock()
    string.gsub("x", "x", function()
        lu.assertTrue(m:try_lock())
        m:unlock()
    end)
end

t["test a mutex belongs to the fiber, through its coroutines"] = function()
    local m = mutex.new()
    coroutine.wrap(function()
        m:lock()
        h.raises("EDEADLK", m.lock, m)
        coroutine.yield()
    end)()
    h.raises("EDEADLK", m.lock, m)
    m:unlock()
    local fiber = h.start(function()
        coroutine.wrap(function()
            m:lock()
            time.sleep(0.002)
        end)()
        m:unlock()
    end)
    m:lock()
    m:unlock()
    fiber:join()
end

t["test a mutex whose owner has ended is held for ever, its waiters interruptible"] = function()
    local m = mutex.new()
    spawn(m.lock, m):join()
    lu.assertFalse(m:try_lock())
    h.raises("EPERM", m.unlock, m)
    local fiber = h.start(m.lock, m)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

t["test tostring tells who holds it"] = function()
    local m = mutex.new()
    lu.assertEquals(tostring(m), "mutex (free)")
    m:lock()
    lu.assertEquals(tostring(m), "mutex (held by fiber " .. this_fiber.id .. ")")
    m:unlock()
end

t["test an interrupted waiter does not get it, and keeps nobody waiting"] = function()
    local m, order = mutex.new(), {}
    m:lock()
    local function enter(name)
        m:lock()
        order[#order + 1] = name
        m:unlock()
    end
    local first, second, third = h.start(enter, 1), h.start(enter, 2), h.start(enter, 3)
    second:interrupt()
    second:join()
    lu.assertTrue(second.interruption_caught)
    m:unlock()
    first:join()
    third:join()
    lu.assertEquals(order, {1, 3})
end

t["test lock is an interruption point even when the mutex is free"] = function()
    local m, self = mutex.new(), nil
    self = spawn(function()
        self:interrupt()
        m:lock()
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertTrue(m:try_lock())
    m:unlock()
end

t["test a mutex that was handed over before the interruption is held"] = function()
    local m = mutex.new()
    m:lock()
    local fiber = h.start(function()
        local ok = pcall(m.lock, m)
        m:unlock() -- raises EPERM unless it is held
        return ok
    end)
    m:unlock()
    fiber:interrupt()
    lu.assertTrue(fiber:join())
end

t["test a waiter with interruption disabled gets the mutex first"] = function()
    local m = mutex.new()
    m:lock()
    local has_it
    local fiber = h.start(function()
        this_fiber.disable_interruption()
        m:lock()
        has_it = true
        m:unlock()
        this_fiber.restore_interruption()
        m:lock()
    end)
    fiber:interrupt()
    h.let_others_run()
    lu.assertNil(has_it)
    m:unlock()
    fiber:join()
    lu.assertTrue(has_it)
    lu.assertTrue(fiber.interruption_caught)
end

t["test with_timeout ends a wait for a mutex, which stays usable"] = function()
    local m = mutex.new()
    m:lock()
    spawn(function()
        h.raises("ETIMEDOUT", time.with_timeout, 0.002, m.lock, m)
        h.raises("ETIMEDOUT", time.with_timeout, 0, m.lock, m)
    end):join()
    m:unlock()
    time.with_timeout(10, m.lock, m)
    m:unlock()
end

t["test a lock that would wait is refused where it cannot suspend"] = function()
    local m, gate = mutex.new(), thrum.channel.new()
    local holder = h.start(function()
        m:lock()
        gate:receive()
        m:unlock()
    end)
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() m:lock() end)
    gate:send(true)
    holder:join()
    this_fiber.forbid_suspend()
    local ok, err = pcall(m.lock, m)
    this_fiber.allow_suspend()
    lu.assertFalse(ok)
    h.assert_contains(tostring(err), "within a forbid-suspend block")
    lu.assertTrue(m:try_lock())
    m:unlock()
end

t["test bad values are refused cleanly"] = function()
    local m = mutex.new()
    for _, bad in ipairs {0, "mutex", {}, true, print, thrum.condition_variable.new(), io.stdout} do
        h.raises_arg(1, m.lock, bad)
        h.raises_arg(1, m.try_lock, bad)
        h.raises_arg(1, m.unlock, bad)
    end
    h.raises_arg(1, m.lock)
    h.raises("EINVAL", function() return m.no_such_field end)
    h.raises("EINVAL", function() m.owner = 1 end)
end

t["test a mutex that was dropped while it was locked is collected"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    spawn(function()
        local m = mutex.new()
        m:lock()
        weak[m] = true
    end):join()
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
end

t["test an unlock that loops does not keep the others from running"] = function()
    local m, turns, stop = mutex.new(), 0, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    for _ = 1, 1000 do
        m:lock()
        m:unlock()
    end
    stop = true
    other:join()
    lu.assertTrue(turns > 1)
end

t["test races: interruptions and timeouts against unlock lose and double nothing"] = function()
    local m, inside, entered, given_up = mutex.new(), 0, 0, 0
    local rounds = math.max(10, h.rounds // 20)
    local function enter(seconds)
        local ok, err = pcall(time.with_timeout, seconds, m.lock, m)
        if not ok then
            given_up = given_up + 1
            return ok, err
        end
        inside = inside + 1
        lu.assertEquals(inside, 1)
        entered = entered + 1
        inside = inside - 1
        m:unlock()
    end
    for round = 1, rounds do
        m:lock()
        local fibers = {}
        for i = 1, 4 do
            fibers[i] = spawn(enter, i == 4 and 0 or 100)
        end
        this_fiber.yield()
        if round % 2 == 0 then
            fibers[1 + round % 3]:interrupt()
        end
        if round % 5 == 0 then
            this_fiber.yield()
        end
        m:unlock()
        fibers[1 + round % 4]:interrupt()
        for i = 1, 4 do
            fibers[i]:join()
        end
        lu.assertTrue(m:try_lock())
        m:unlock()
    end
    lu.assertTrue(entered > rounds)
    lu.assertTrue(entered + given_up <= 4 * rounds)
end
