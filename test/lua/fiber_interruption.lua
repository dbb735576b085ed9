-- SPDX-License-Identifier: BSL-1.0
-- fiber and this_fiber: interruption, its disabling, and blocks in which no suspension is allowed.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.coroutine
local pcall = thrum.pcall

local function forbidden(f, ...)
    return h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", f, ...)
end

-- interruption

t["test an interruption while disabled comes at the next point after it was restored"] = function()
    local log = {}
    local fiber = h.start(function()
        this_fiber.disable_interruption()
        time.sleep(0.002)
        log[#log + 1] = "slept"
        this_fiber.yield()
        log[#log + 1] = pcall(function() return true end)
        this_fiber.restore_interruption()
        log[#log + 1] = "restored" -- which is no point itself
        time.sleep(3600)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {"slept", true, "restored"})
end

t["test disable_interruption is counted"] = function()
    local log = {}
    local fiber = h.start(function()
        this_fiber.disable_interruption()
        this_fiber.disable_interruption()
        this_fiber.yield()
        this_fiber.yield()
        this_fiber.restore_interruption()
        time.sleep(0)
        log[#log + 1] = "still disabled"
        this_fiber.restore_interruption()
        time.sleep(0)
        log[#log + 1] = "not here"
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {"still disabled"})
end

t["test an unbalanced restore_interruption is EPERM and changes nothing"] = function()
    h.raises("EPERM", this_fiber.restore_interruption)
    lu.assertEquals(select("#", this_fiber.disable_interruption()), 0)
    lu.assertEquals(select("#", this_fiber.restore_interruption()), 0)
    h.raises("EPERM", this_fiber.restore_interruption)
    spawn(function() h.raises("EPERM", this_fiber.restore_interruption) end):join()
end

t["test the count belongs to the fiber, through its coroutines, and to no other"] = function()
    coroutine.wrap(this_fiber.disable_interruption)()
    spawn(function() h.raises("EPERM", this_fiber.restore_interruption) end):join()
    this_fiber.restore_interruption()
end

t["test a wait that began while disabled is ended by an interruption after it only"] = function()
    local ch = thrum.channel.new()
    local fiber = h.start(function()
        this_fiber.disable_interruption()
        local value = ch:receive()
        this_fiber.restore_interruption()
        return value, pcall(time.sleep, 0)
    end)
    fiber:interrupt()
    h.let_others_run()
    lu.assertTrue(fiber.joinable)
    ch:send "value"
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

t["test an interrupted fiber stays interrupted"] = function()
    local errors = {}
    local fiber = h.start(function()
        local co = coroutine.create(function() end)
        for _, call in ipairs {
            function() time.sleep(3600) end,
            this_fiber.yield,
            function() coroutine.resume(co) end,
            coroutine.wrap(function() end),
            function() thrum.mutex.new():lock() end,
            function() thrum.fiber.group(function() end) end,
            function() time.with_timeout(1, function() end) end,
            function() spawn(function() end):join() end,
        } do
            this_fiber.disable_interruption()
            local results = table.pack(pcall(function()
                this_fiber.restore_interruption()
                call()
            end))
            errors[#errors + 1] = h.is_interruption(results[2])
        end
        return "ended by itself"
    end)
    fiber:interrupt()
    lu.assertEquals(fiber:join(), "ended by itself")
    lu.assertFalse(fiber.interruption_caught)
    lu.assertEquals(errors, {true, true, true, true, true, true, true, true})
end

t["test interrupting a joiner ends its join, and the joined fiber stays joinable"] = function()
    local results = thrum.channel.new(1)
    local slow = h.start(results.receive, results)
    local joiner = h.start(slow.join, slow)
    lu.assertFalse(slow.joinable)
    joiner:interrupt()
    joiner:join()
    lu.assertTrue(joiner.interruption_caught)
    lu.assertTrue(slow.joinable)
    results:send("result")
    lu.assertEquals(slow:join(), "result")
end

t["test a joiner with a timeout leaves the joined fiber joinable"] = function()
    local slow = h.start(time.sleep, 3600)
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, slow.join, slow)
    lu.assertTrue(slow.joinable)
    slow:interrupt()
    slow:join()
end

t["test a fiber that interrupts itself goes on to its next point"] = function()
    local self, is_behind
    self = spawn(function()
        self:interrupt()
        is_behind = true
        this_fiber.yield()
    end)
    self:join()
    lu.assertTrue(is_behind)
    lu.assertTrue(self.interruption_caught)
end

t["test interruption_caught is false for an error that only looks like it"] = function()
    local fiber = h.start(function()
        pcall(time.sleep, 3600)
        error("an error of its own", 0)
    end)
    fiber:interrupt()
    local ok, err = pcall(fiber.join, fiber)
    lu.assertFalse(ok)
    lu.assertEquals(err, "an error of its own")
    lu.assertFalse(fiber.interruption_caught)
end

t["test a fiber that ends while interruption is disabled ends as usual"] = function()
    local fiber = h.start(function()
        this_fiber.disable_interruption()
        this_fiber.yield()
        this_fiber.yield()
        return "result"
    end)
    fiber:interrupt()
    lu.assertEquals(fiber:join(), "result")
    lu.assertFalse(fiber.interruption_caught)
end

-- Seen under valgrind: the mark of a fiber's thread was read from memory nobody had set, and it
-- took the place in which a host program keeps what is its own. Cure: a table knows the threads.
t["test a fiber's thread is resumed by the scheduler only, whatever its state"] = function()
    local thread, cleaner
    local gate = thrum.channel.new()
    local fiber = h.start(function()
        thread = coroutine.running()
        thrum.scope_cleanup_push(function()
            cleaner = coroutine.running()
            gate:receive()
        end)
        time.sleep(3600)
    end)
    local function refuse(co)
        local ok, err = coroutine.resume(co)
        lu.assertFalse(ok)
        h.assert_starts(err, "cannot resume")
    end
    local function refuse_waiting(co)
        h.raises("EPERM", coroutine.resume, co)
        lu.assertEquals(coroutine.status(co), "normal")
    end
    refuse_waiting(thread)
    fiber:interrupt()
    h.wait_until(function() return cleaner end)
    refuse(thread)
    refuse_waiting(cleaner)
    gate:send(1)
    fiber:join()
    refuse(thread)
    refuse(cleaner)
end

-- forbid_suspend

t["test within a forbid-suspend block no call suspends, and none begins"] = function()
    local a, b = h.connected()
    local fiber = h.start(time.sleep, 3600)
    local buf, m, ch = thrum.byte_span.new(8), thrum.mutex.new(), thrum.channel.new(2)
    ch:send(1)
    local before = thrum.stats().operations
    this_fiber.forbid_suspend()
    for _, call in ipairs {
        function() time.sleep(0) end,
        function() this_fiber.yield() end,
        function() fiber:join() end,
        function() a:receive(buf) end,
        function() a:send "never" end,
        function() m:lock() end,
        function() ch:send(2) end,
        function() ch:receive() end,
        function() thrum.semaphore.new(1):acquire() end,
        function() time.steady_timer.new():wait() end,
        function() time.with_timeout(1, time.sleep, 0) end,
        coroutine.wrap(function() time.sleep(0) end),
    } do
        forbidden(call)
    end
    lu.assertEquals(thrum.stats().operations, before)
    this_fiber.allow_suspend()
    lu.assertEquals(b:io_control "bytes_readable", 0)
    lu.assertEquals(#ch, 1)
    lu.assertTrue(fiber.joinable)
    fiber:interrupt()
    fiber:join()
    a:close()
    b:close()
end

t["test what does not suspend is allowed within it"] = function()
    local ran
    this_fiber.forbid_suspend()
    lu.assertTrue((pcall(function() return true end)))
    lu.assertEquals(coroutine.wrap(function() return 5 end)(), 5)
    thrum.scope(function() end)
    local fiber = spawn(function() ran = true end)
    fiber:interrupt()
    lu.assertEquals(this_fiber.local_, this_fiber.local_)
    lu.assertNil(ran)
    this_fiber.allow_suspend()
    fiber:join()
    lu.assertTrue(ran)
end

t["test forbid_suspend is counted, an unbalanced allow_suspend is EPERM"] = function()
    h.raises("EPERM", this_fiber.allow_suspend)
    lu.assertEquals(select("#", this_fiber.forbid_suspend()), 0)
    this_fiber.forbid_suspend()
    this_fiber.allow_suspend()
    forbidden(time.sleep, 0)
    lu.assertEquals(select("#", this_fiber.allow_suspend()), 0)
    time.sleep(0)
    h.raises("EPERM", this_fiber.allow_suspend)
end

t["test the block is the fiber's own"] = function()
    local log = {}
    local other = spawn(function()
        time.sleep(0)
        h.raises("EPERM", this_fiber.allow_suspend)
        log[#log + 1] = "other"
    end)
    local fiber = spawn(function()
        this_fiber.forbid_suspend()
        forbidden(this_fiber.yield)
    end)
    other:join()
    fiber:join() -- it ended without allowing
    lu.assertEquals(log, {"other"})
end

-- Where the fiber cannot be suspended

-- A finalizer runs in whichever fiber allocates next. If that one was interrupted, the finalizer's
-- pcall raised the interruption: its work was left undone, and the fiber had an error in __gc.
t["test a finalizer's pcall does its work in an interrupted fiber"] = function()
    local log = {}
    local fiber
    fiber = spawn(function()
        setmetatable({}, {__gc = function()
            log[#log + 1] = select(2, pcall(function() return "pcall" end))
            log[#log + 1] = select(2, thrum.xpcall(function() return "xpcall" end, print))
            log[#log + 1] = thrum.scope(function() return "scope" end)
            log[#log + 1] = coroutine.wrap(function() return select(2, pcall(tostring, 1)) end)()
            log[#log + 1] = time.with_timeout(1, function() return "with_timeout" end)
        end})
        fiber:interrupt()
        collectgarbage()
        log[#log + 1] = "collected"
        pcall(function() log[#log + 1] = "not reached" end)
    end)
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {"pcall", "xpcall", "scope", "1", "with_timeout", "collected"})
end

t["test a string.gsub callback's pcall is no interruption point, the next one is"] = function()
    local fiber, inner
    fiber = spawn(function()
        fiber:interrupt()
        string.gsub("x", "x", function()
            inner = pcall(function() end)
        end)
        pcall(function() inner = "not reached" end)
    end)
    fiber:join()
    lu.assertTrue(inner and fiber.interruption_caught)
end

-- races

t["test races: interruption against arrival, a datagram is received or still there"] = function()
    local a, b = h.connected()
    local buf, rounds = thrum.byte_span.new(8), math.max(10, h.rounds // 10)
    for round = 1, rounds do
        local n_received = 0
        local fiber = spawn(function()
            a:receive(buf)
            n_received = 1
        end)
        if round % 5 > 0 then
            this_fiber.yield()
        end
        if round % 2 == 0 then
            b:send "x"
            fiber:interrupt()
        else
            fiber:interrupt()
            b:send "x"
        end
        fiber:join()
        lu.assertEquals(n_received == 0, fiber.interruption_caught)
        if n_received == 0 then
            lu.assertEquals(a:receive(buf), 1)
        end
    end
    a:close()
    b:close()
end

t["test races: join against end and interruption"] = function()
    for round = 1, math.max(10, h.rounds // 10) do
        local fiber = spawn(function()
            for _ = 1, round % 3 do
                this_fiber.yield()
            end
            return round
        end)
        local joiner = spawn(function() return fiber:join() end)
        for _ = 1, round % 4 do
            this_fiber.yield()
        end
        joiner:interrupt()
        local result = joiner:join()
        if joiner.interruption_caught then
            lu.assertNil(result)
            lu.assertTrue(fiber.joinable)
            lu.assertEquals(fiber:join(), round)
        else
            lu.assertEquals(result, round)
        end
    end
end
