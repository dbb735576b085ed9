-- SPDX-License-Identifier: BSL-1.0
-- semaphore: a count that fibers take from, first come, first served.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time = thrum.spawn, thrum.this_fiber, thrum.time
local semaphore = thrum.semaphore
local pcall = thrum.pcall

t["test acquire takes one and release gives one back"] = function()
    local s = semaphore.new(2)
    lu.assertEquals(s.count, 2)
    lu.assertEquals(select("#", s:acquire()), 0)
    lu.assertEquals(s.count, 1)
    s:acquire()
    lu.assertEquals(s.count, 0)
    lu.assertEquals(select("#", s:release()), 0)
    s:release(3)
    lu.assertEquals(s.count, 4)
end

t["test no more fibers are inside than the count allows"] = function()
    local s, inside, most, fibers = semaphore.new(3), 0, 0, {}
    for i = 1, 20 do
        fibers[i] = spawn(function()
            for _ = 1, 5 do
                s:acquire()
                inside = inside + 1
                most = math.max(most, inside)
                this_fiber.yield()
                inside = inside - 1
                s:release()
            end
        end)
    end
    for i = 1, 20 do
        fibers[i]:join()
    end
    lu.assertEquals(most, 3)
    lu.assertEquals(s.count, 3)
end

t["test waiters are served in the order in which they came"] = function()
    local s, order, fibers = semaphore.new(0), {}, {}
    for i = 1, 5 do
        fibers[i] = h.start(function()
            s:acquire()
            order[#order + 1] = i
        end)
    end
    s:release(3)
    lu.assertEquals(s.count, 0)
    lu.assertFalse(s:try_acquire()) -- they are theirs already
    h.let_others_run()
    lu.assertEquals(order, {1, 2, 3})
    s:release(4)
    lu.assertEquals(s.count, 2)
    for i = 1, 5 do
        fibers[i]:join()
    end
    lu.assertEquals(order, {1, 2, 3, 4, 5})
end

t["test try_acquire answers whether it got one, and never suspends"] = function()
    local s = semaphore.new(1)
    this_fiber.forbid_suspend()
    lu.assertTrue(s:try_acquire())
    lu.assertFalse(s:try_acquire())
    this_fiber.allow_suspend()
end

t["test anybody may release, it has no owner"] = function()
    local s = semaphore.new(0)
    spawn(s.release, s):join()
    s:acquire()
    string.gsub("x", "x", function() s:release() end)
    lu.assertEquals(s.count, 1)
end

t["test an interrupted or timed out waiter takes none"] = function()
    local s = semaphore.new(0)
    local interrupted, other = h.start(s.acquire, s), h.start(s.acquire, s)
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, s.acquire, s)
    interrupted:interrupt()
    s:release()
    interrupted:join()
    other:join()
    lu.assertTrue(interrupted.interruption_caught)
    lu.assertEquals(s.count, 0)
end

t["test who was given one before the interruption has it"] = function()
    local s = semaphore.new(0)
    local fiber = h.start(function()
        local ok = pcall(s.acquire, s)
        return ok
    end)
    s:release()
    fiber:interrupt()
    lu.assertTrue(fiber:join())
    lu.assertEquals(s.count, 0)
end

t["test acquire is an interruption point even when there is one"] = function()
    local s, self = semaphore.new(1), nil
    self = spawn(function()
        self:interrupt()
        s:acquire()
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertEquals(s.count, 1)
end

t["test the count has bounds"] = function()
    local limit = 2147483647
    local s = semaphore.new(limit)
    h.raises("EOVERFLOW", s.release, s)
    lu.assertEquals(s.count, limit)
    s:acquire()
    h.raises("EOVERFLOW", s.release, s, 2)
    s:release()
end

t["test bad values are refused cleanly"] = function()
    for _, bad in ipairs {-1, 1.5, 2^31, 0 / 0, "1", {}, true, print, math.mininteger} do
        h.raises_arg(1, semaphore.new, bad)
    end
    h.raises_arg(1, semaphore.new)
    local s = semaphore.new(1)
    for _, bad in ipairs {0, -1, 1.5, 2^31, "1", {}, true, print} do
        h.raises_arg(2, s.release, s, bad)
    end
    for _, bad in ipairs {0, "semaphore", {}, true, print, thrum.mutex.new(), io.stdout} do
        h.raises_arg(1, s.acquire, bad)
        h.raises_arg(1, s.try_acquire, bad)
        h.raises_arg(1, s.release, bad)
    end
    h.raises("EINVAL", function() return s.no_such_field end)
    h.raises("EINVAL", function() s.count = 5 end)
    lu.assertEquals(s.count, 1)
end

t["test an acquire that would wait is refused where it cannot suspend"] = function()
    local s = semaphore.new(0)
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() s:acquire() end)
    s:release()
    lu.assertEquals(s.count, 1) -- nobody waits for it
end

t["test races: release against interruption and timeout keep the count"] = function()
    local s, rounds = semaphore.new(0), math.max(10, h.rounds // 10)
    for round = 1, rounds do
        local n_got = 0
        local function take(seconds)
            time.with_timeout(seconds, s.acquire, s)
            n_got = n_got + 1
        end
        local a = spawn(pcall, take, round % 3 == 0 and 0.000001 or 100)
        local b = spawn(pcall, take, 100)
        this_fiber.yield()
        if round % 2 == 0 then
            a:interrupt()
        end
        s:release()
        b:interrupt()
        if round % 5 == 0 then
            this_fiber.yield()
        end
        s:release()
        a:interrupt()
        a:join()
        b:join()
        lu.assertEquals(s.count + n_got, 2)
        while s:try_acquire() do end
    end
end
