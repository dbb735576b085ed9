-- SPDX-License-Identifier: BSL-1.0
-- time: steady_timer, system_timer, with_timeout.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, coroutine, byte_span =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.coroutine, thrum.byte_span
local pcall, scope, push = thrum.pcall, thrum.scope, thrum.scope_cleanup_push
local with_timeout, ETIMEDOUT = time.with_timeout, thrum.generic_error.ETIMEDOUT
local now = time.steady_clock.now

local classes = {
    {name = "steady_timer", new = time.steady_timer.new, now = now},
    {name = "system_timer", new = time.system_timer.new, now = time.system_clock.now},
}

for _, class in ipairs(classes) do
    local name = class.name

    t["test a " .. name .. " waits for its expiry, never less"] = function()
        local timer = class.new()
        for _, seconds in ipairs {0, 0.001, 0.01} do
            local start = class.now()
            lu.assertEquals(select("#", timer:expires_after(seconds)), 0)
            lu.assertEquals(select("#", timer:wait()), 0)
            lu.assertTrue(class.now() - start >= seconds - 1e-6)
            timer:expires_at(start + 2 * seconds)
            lu.assertAlmostEquals(timer.expiry, start + 2 * seconds, 1e-6)
            timer:wait()
            lu.assertTrue(class.now() - start >= 2 * seconds - 1e-6)
        end
    end

    t["test waiting for a " .. name .. " that was never set, or has expired, returns at once"] =
        function()
            local timer = class.new()
            timer:wait()
            timer:expires_at(class.now() - 5)
            timer:wait()
            timer:wait()
            for _, past in ipairs {0, -1, -1e300, -math.huge, math.mininteger} do
                timer:expires_at(past)
                timer:wait()
            end
        end

    t["test any number of fibers wait for one " .. name] = function()
        local timer, count, fibers = class.new(), 0, {}
        timer:expires_after(0.01)
        for i = 1, 10 do
            fibers[i] = h.start(function()
                timer:wait()
                lu.assertTrue(class.now() >= timer.expiry)
                count = count + 1
            end)
        end
        for i = 1, 10 do
            fibers[i]:join()
        end
        lu.assertEquals(count, 10)
    end

    t["test cancel ends the waits for a " .. name .. " and tells how many"] = function()
        local timer, fibers = class.new(), {}
        lu.assertEquals(timer:cancel(), 0)
        timer:expires_after(3600)
        for i = 1, 3 do
            fibers[i] = h.start(timer.wait, timer)
        end
        lu.assertEquals(timer:cancel(), 3)
        lu.assertEquals(timer:cancel(), 0)
        for i = 1, 3 do
            h.raises("ECANCELED", fibers[i].join, fibers[i])
        end
        timer:expires_after(0)
        timer:wait()
    end

    t["test a new expiry of a " .. name .. " ends the waits for the old one"] = function()
        local timer = class.new()
        timer:expires_after(3600)
        local first = h.start(timer.wait, timer)
        timer:expires_after(7200)
        h.raises("ECANCELED", first.join, first)
        local second = h.start(timer.wait, timer)
        timer:expires_at(class.now())
        h.raises("ECANCELED", second.join, second)
        timer:wait()
    end

    t["test an interrupted wait for a " .. name .. " leaves the others alone"] = function()
        local timer = class.new()
        timer:expires_after(3600)
        local first, second = h.start(timer.wait, timer), h.start(timer.wait, timer)
        first:interrupt()
        first:join()
        lu.assertTrue(first.interruption_caught)
        lu.assertEquals(timer:cancel(), 1)
        lu.assertFalse((pcall(second.join, second)))
    end

    t["test a " .. name .. " may be set to times far away"] = function()
        local timer = class.new()
        for _, seconds in ipairs {1e9, 1e300, math.huge, math.maxinteger} do
            timer:expires_after(seconds)
            local fiber = h.start(timer.wait, timer)
            timer:expires_at(seconds)
            h.raises("ECANCELED", fiber.join, fiber)
            if seconds > 1e9 then
                fiber = h.start(timer.wait, timer)
                lu.assertEquals(timer:cancel(), 1)
                h.raises("ECANCELED", fiber.join, fiber)
            end
        end
    end

    t["test a " .. name .. " refuses bad values cleanly"] = function()
        local timer = class.new()
        for _, bad in ipairs {-1, 0 / 0, -math.huge, "1", true, {}, print} do
            h.raises_arg(2, timer.expires_after, timer, bad)
        end
        for _, bad in ipairs {0 / 0, "1", true, {}, print} do
            h.raises_arg(2, timer.expires_at, timer, bad)
        end
        h.raises_arg(2, timer.expires_after, timer)
        h.raises_arg(2, timer.expires_at, timer, nil)
        for _, bad in ipairs {0, "timer", {}, true, print, thrum.mutex.new(), io.stdout} do
            for _, method in ipairs {"expires_after", "expires_at", "wait", "cancel"} do
                h.raises_arg(1, timer[method], bad, 1)
            end
        end
        h.raises("EINVAL", function() return timer.no_such_field end)
        h.raises("EINVAL", function() timer.expiry = 1 end)
    end

    t["test a dropped " .. name .. " leaves nothing behind"] = function()
        local weak = setmetatable({}, {__mode = "k"})
        local fiber = h.start(function()
            local timer = class.new()
            weak[timer] = true
            timer:expires_after(3600)
            timer:wait()
        end)
        collectgarbage()
        lu.assertNotNil(next(weak)) -- the wait keeps it
        fiber:interrupt()
        fiber:join()
        collectgarbage()
        collectgarbage()
        lu.assertNil(next(weak))
    end
end

-- Seen: cancel counted a waiter whose time had come but that had not run since, and a new expiry
-- made it wait once more. Cause: it stands in the timer's queue until it runs.
t["test a wait that has ended is neither cancelled nor begun again"] = function()
    local timer, counts = time.steady_timer.new(), {}
    for round = 1, 2 do
        timer:expires_after(0)
        local fiber = spawn(timer.wait, timer)
        local meddler = spawn(function()
            local till = now() + 0.005
            while fiber.joinable and now() < till do end
            while fiber.joinable and #counts < 100 * round do
                counts[#counts + 1] = timer:cancel()
                if round == 2 then
                    timer:expires_after(3600)
                end
                this_fiber.yield()
            end
        end)
        local ok, err = pcall(fiber.join, fiber)
        lu.assertTrue(ok or err == thrum.generic_error.ECANCELED)
        meddler:join()
    end
end

-- with_timeout

t["test with_timeout hands on arguments and results"] = function()
    lu.assertEquals(table.pack(with_timeout(10, function(...) return ... end, nil, 1, nil)),
        {nil, 1, nil, n = 3})
    lu.assertEquals(table.pack(with_timeout(10, function() time.sleep(0) end)), {n = 0})
    lu.assertEquals(table.pack(with_timeout(math.huge, select, "#", nil, nil)), {2, n = 1})
end

t["test with_timeout hands on the error of its function, the same value"] = function()
    for _, value in ipairs {{}, "text", 17, false} do
        local ok, err = pcall(with_timeout, 10, function()
            time.sleep(0)
            error(value, 0)
        end)
        lu.assertFalse(ok)
        lu.assertTrue(rawequal(err, value))
    end
end

t["test with_timeout ends every kind of wait with ETIMEDOUT"] = function()
    local sock = h.bound()
    local fiber = h.start(time.sleep, 3600)
    local timer = time.steady_timer.new()
    timer:expires_after(3600)
    local waits = {
        function() time.sleep(3600) end,
        function() sock:receive(byte_span.new(8)) end,
        function() fiber:join() end,
        function() timer:wait() end,
        function() thrum.channel.new():receive() end,
        function() thrum.semaphore.new(0):acquire() end,
        coroutine.wrap(function() coroutine.wrap(function() time.sleep(3600) end)() end),
    }
    for _, wait in ipairs(waits) do
        h.raises("ETIMEDOUT", with_timeout, 0.002, wait)
    end
    lu.assertTrue(fiber.joinable)
    fiber:interrupt()
    fiber:join()
    h.send_to(sock, sock, "still usable")
    lu.assertEquals(h.receive(sock), "still usable")
    sock:close()
end

t["test the timeout is raised once"] = function()
    local ok = with_timeout(0.002, function()
        local slept, err = pcall(time.sleep, 3600)
        lu.assertFalse(slept)
        lu.assertTrue(err == ETIMEDOUT)
        time.sleep(0.005)
        return "went on"
    end)
    lu.assertEquals(ok, "went on")
end

t["test a function that never waits is ended at its next call that may"] = function()
    local start = now()
    h.raises("ETIMEDOUT", with_timeout, 0.002, function()
        while now() - start < 3600 do
            this_fiber.yield()
        end
    end)
    lu.assertTrue(now() - start < 60)
    h.raises("ETIMEDOUT", with_timeout, 0, function()
        thrum.mutex.new():lock()
    end)
    lu.assertEquals(with_timeout(0, function() return "waits for nothing" end), "waits for nothing")
end

-- Let f, which has nearer timeouts of its own, run into an outer one that is raised behind it. On a
-- machine that stands still for that long, f is what the outer one ends: then with a longer one.
local function time_out_behind(f)
    local seconds, was_in_time = 0.02, false
    repeat
        seconds = seconds * 2
        local start = now()
        h.raises("ETIMEDOUT", with_timeout, seconds, function()
            f()
            was_in_time = now() - start < seconds
            time.sleep(was_in_time and 3600 or 0)
            error(ETIMEDOUT)
        end)
    until was_in_time or seconds > 10
    lu.assertTrue(was_in_time)
end

t["test the nearest deadline wins, whichever is inside"] = function()
    h.raises("ETIMEDOUT", with_timeout, 0.002, with_timeout, 3600, time.sleep, 3600)
    h.raises("ETIMEDOUT", with_timeout, 3600, with_timeout, 0.002, time.sleep, 3600)
    time_out_behind(function()
        lu.assertFalse((pcall(with_timeout, 0.002, time.sleep, 3600)))
        lu.assertFalse((pcall(with_timeout, 0.002, time.sleep, 3600)))
    end)
end

t["test an outer timeout raised inside an inner one is not raised again"] = function()
    local value = with_timeout(0.002, function()
        lu.assertFalse((pcall(with_timeout, 3600, time.sleep, 3600)))
        time.sleep(0.002)
        return "on"
    end)
    lu.assertEquals(value, "on")
end

t["test a socket's own timeout that is nearer leaves the outer one as it was"] = function()
    local sock = h.bound()
    sock.timeout = 0.002
    time_out_behind(function()
        lu.assertFalse((pcall(sock.receive, sock, byte_span.new(8))))
    end)
    sock:close()
end

t["test nothing is left of it once its function has returned"] = function()
    with_timeout(0.2, function() time.sleep(0) end)
    time.sleep(0.21)
    pcall(with_timeout, 0.002, error)
    time.sleep(0.01)
    local fiber = h.start(function()
        with_timeout(0.001, function() end)
        time.sleep(0.005)
        return "done"
    end)
    lu.assertEquals(fiber:join(), "done")
end

t["test cleanup handlers run, and the timeout does not disturb them"] = function()
    local log = {}
    h.raises("ETIMEDOUT", with_timeout, 0.002, function()
        scope(function()
            push(function()
                time.sleep(0.005)
                log[#log + 1] = "cleaned up"
            end)
            time.sleep(3600)
        end)
    end)
    lu.assertEquals(log, {"cleaned up"})
end

-- Seen: a timeout that came while a cleanup handler waited was raised in the handler, and that is
-- the end of the program. Cure: a handler has the timeouts that begin in it, no others.
t["test a timeout that comes while a handler waits is raised behind the scope"] = function()
    local log = {}
    h.raises("ETIMEDOUT", with_timeout, 0.002, function()
        scope(function()
            push(function()
                time.sleep(0.01)
                log[#log + 1] = pcall(with_timeout, 0.001, time.sleep, 3600)
                this_fiber.yield()
            end)
        end)
        log[#log + 1] = "behind"
        this_fiber.yield()
    end)
    lu.assertEquals(log, {false, "behind"})
end

t["test an interruption is not taken for a timeout, nor the other way round"] = function()
    local fiber = h.start(with_timeout, 3600, time.sleep, 3600)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    local self
    self = spawn(function()
        self:interrupt()
        with_timeout(0, error)
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
end

t["test with_timeout holds for the coroutines below it, not for those who resumed it"] = function()
    local wrapped = coroutine.wrap(function()
        h.raises("ETIMEDOUT", with_timeout, 0.003, function()
            coroutine.yield()
            coroutine.wrap(function() time.sleep(3600) end)()
        end)
        return "over"
    end)
    wrapped()
    time.sleep(0.01) -- past its deadline, and none of its business
    lu.assertEquals(wrapped(), "over")
end

t["test with_timeout works where C is in between, for what need not wait"] = function()
    string.gsub("x", "x", function()
        lu.assertEquals(with_timeout(10, function() return 5 end), 5)
        h.raises_text("fiber", "A fiber cannot be suspended here", with_timeout, 10, time.sleep, 0)
    end)
end

t["test with_timeout refuses bad values cleanly"] = function()
    for _, bad in ipairs {-1, 0 / 0, -math.huge, "1", true, {}, print} do
        h.raises_arg(1, with_timeout, bad, print)
    end
    h.raises_arg(1, with_timeout)
    for _, bad in ipairs {0, "f", {}, true, io.stdout} do
        h.raises_arg(2, with_timeout, 1, bad)
    end
    h.raises_arg(2, with_timeout, 1)
end

-- Seen under valgrind: a read of freed memory. Cause: a dropped coroutine is freed before the
-- finalizer of its timeout runs, and in between the fiber looked at it. Cure: the timeout keeps its
-- thread.
t["test coroutines dropped in the middle of with_timeout do no harm"] = function()
    local function drop_one()
        coroutine.wrap(function()
            with_timeout(100, function()
                time.sleep(0)
                coroutine.yield()
            end)
        end)()
    end
    for _ = 1, 3 do
        for _ = 1, 100 do
            drop_one()
        end
        collectgarbage("stop")
        repeat
            local is_cycle_done = collectgarbage("step", 0)
            with_timeout(50, this_fiber.yield)
        until is_cycle_done
        collectgarbage("restart")
    end
end

t["test many fibers with many timeouts"] = function()
    local fibers, n_late, n_done = {}, 0, 0
    for i = 1, 200 do
        fibers[i] = spawn(function()
            local ok = pcall(with_timeout, i % 2 == 0 and 0.002 or 60, time.sleep,
                i % 2 == 0 and 60 or 0.002)
            if ok then
                n_done = n_done + 1
            else
                n_late = n_late + 1
            end
        end)
    end
    for i = 1, 200 do
        fibers[i]:join()
    end
    lu.assertEquals(n_done, 100)
    lu.assertEquals(n_late, 100)
end

t["test races: timeout against arrival, a datagram is received or still there"] = function()
    local a, b = h.connected()
    local buf, rounds = byte_span.new(8), math.max(10, h.rounds // 20)
    local n_received = 0
    for round = 1, rounds do
        local fiber = spawn(function()
            return pcall(with_timeout, (round % 50) * 1e-6, a.receive, a, buf)
        end)
        this_fiber.yield()
        b:send("x")
        local ok, err = fiber:join()
        if ok then
            n_received = n_received + 1
        else
            lu.assertTrue(err == ETIMEDOUT)
            lu.assertEquals(a:receive(buf), 1)
        end
    end
    lu.assertTrue(n_received <= rounds)
    a:close()
    b:close()
end
