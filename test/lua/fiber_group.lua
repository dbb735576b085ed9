-- SPDX-License-Identifier: BSL-1.0
-- fiber.group: fibers that are waited for, and fail, together.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, fiber, channel, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.fiber, thrum.channel, thrum.coroutine
local pcall, scope, push = thrum.pcall, thrum.scope, thrum.scope_cleanup_push

local function forever()
    time.sleep(3600)
end

-- A child that takes some turns to clean up when it is interrupted, and notes it.
local function slow_to_end(log, name)
    return function()
        push(function()
            time.sleep(0.001)
            log[#log + 1] = name or "cleaned up"
        end)
        forever()
    end
end

local function interrupted(f, ...)
    return h.raises_text("fiber", "Fiber interrupted", f, ...)
end

-- f(...) must raise exactly this value.
local function raises_value(value, f, ...)
    local ok, err = pcall(f, ...)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value), tostring(err))
end

-- join

t["test join waits for every child and returns nothing"] = function()
    local g, log = fiber.group(), {}
    for i = 1, 3 do
        g:spawn(function(...)
            for _ = 1, 4 - i do
                this_fiber.yield()
            end
            log[#log + 1] = table.concat({...}, " ")
        end, i, "of 3")
    end
    lu.assertEquals(#g, 3)
    lu.assertEquals(log, {})
    lu.assertEquals(select("#", g:join()), 0)
    lu.assertEquals(log, {"3 of 3", "2 of 3", "1 of 3"})
    lu.assertEquals(#g, 0)
end

t["test an empty group joins at once"] = function()
    fiber.group():join()
    local g = fiber.group()
    g:spawn(function() end)
    h.let_others_run()
    g:join()
    lu.assertEquals(tostring(g), "fiber.group (ended)")
end

t["test a group that has ended takes no more"] = function()
    local g = fiber.group()
    g:join()
    h.assert_contains(tostring(h.raises("EINVAL", g.spawn, g, forever)), "the group has ended")
    h.raises("EINVAL", g.join, g)
    g:interrupt()
    lu.assertEquals(#g, 0)
end

t["test children spawn siblings while the group is being joined"] = function()
    local g, count = fiber.group(), 0
    local function child(depth)
        this_fiber.yield()
        count = count + 1
        if depth > 0 then
            g:spawn(child, depth - 1)
            g:spawn(child, depth - 1)
        end
    end
    g:spawn(child, 3)
    g:join()
    lu.assertEquals(count, 15)
    h.raises("EINVAL", g.spawn, g, child)
end

-- Seen: the joiner went on while a child was alive. Cause: between the last child's end and the
-- joiner's turn the group still took children. Cure: it has ended by then.
t["test a group ends with its last child, not when its joiner runs"] = function()
    local g, ch = fiber.group(), channel.new()
    g:spawn(ch.receive, ch)
    local joiner = h.start(g.join, g)
    h.let_others_run()
    local child = spawn(function()
        ch:send(true) -- the child is ready, and ends before this fiber runs again
        this_fiber.yield()
        h.raises("EINVAL", g.spawn, g, forever)
    end)
    h.let_others_run()
    child:join()
    joiner:join()
    fiber.group(function(inner) -- the function is not the joiner
        inner:spawn(function() end)
        h.let_others_run()
        inner:spawn(function() end)
    end)
end

t["test a child's handle gives its results, before and after the group was joined"] = function()
    local g = fiber.group()
    local first, second = g:spawn(function() return 1, 2 end), g:spawn(function() return 3 end)
    lu.assertEquals({first:join()}, {1, 2})
    g:join()
    lu.assertTrue(second.joinable)
    lu.assertEquals(second:join(), 3)
end

t["test a child may have a name, be detached, or dropped"] = function()
    local g, log = fiber.group(), {}
    local child = g:spawn(fiber.named("rx", function() log[#log + 1] = this_fiber.name end))
    h.assert_contains(tostring(child), '"rx"')
    g:spawn(function()
        this_fiber.yield()
        log[#log + 1] = "detached"
    end):detach()
    g:spawn(function()
        h.let_others_run(5)
        log[#log + 1] = "dropped"
    end)
    collectgarbage()
    g:join()
    lu.assertEquals(log, {"rx", "detached", "dropped"})
end

t["test a group can be joined by one, and not by its own children"] = function()
    local g = fiber.group()
    local child = g:spawn(function() h.raises("EDEADLK", g.join, g) end)
    child:join()
    g:spawn(time.sleep, 0.002)
    local joiner = h.start(g.join, g)
    h.assert_contains(tostring(h.raises("EINVAL", g.join, g)), "another waits to join the group")
    joiner:join()
    h.raises("EINVAL", g.join, g)
end

t["test join is refused where it cannot suspend, and nothing is lost"] = function()
    local g = fiber.group()
    g:spawn(time.sleep, 0)
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() g:join() end)
    this_fiber.forbid_suspend()
    h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", g.join, g)
    this_fiber.allow_suspend()
    g:join()
end

t["test many groups in a row give way now and then"] = function()
    local turns, stop = 0, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    for _ = 1, 300 do
        fiber.group():join()
    end
    stop = true
    other:join()
    lu.assertTrue(turns > 1)
end

-- errors

t["test the first error in time interrupts the rest, waits for them, and is raised"] = function()
    local g, log, value = fiber.group(), {}, {}
    local others = {g:spawn(slow_to_end(log, "one"))}
    others[2] = g:spawn(function()
        h.let_others_run(4)
        error "too late to be the first"
    end)
    g:spawn(function()
        this_fiber.yield()
        error(value)
    end)
    others[3] = g:spawn(slow_to_end(log, "two"))
    raises_value(value, g.join, g)
    lu.assertEquals(log, {"one", "two"})
    for _, other in ipairs(others) do
        other:join()
        lu.assertTrue(other.interruption_caught)
    end
    h.raises("EINVAL", g.join, g)
end

t["test the first error interrupts the rest before anybody joins"] = function()
    local g, log = fiber.group(), {}
    g:spawn(error, "the first", 0)
    local other = g:spawn(slow_to_end(log))
    other:join()
    lu.assertTrue(other.interruption_caught)
    lu.assertEquals(tostring(g), "fiber.group (failed, 0 fibers)")
    raises_value("the first", g.join, g)
end

t["test errors that come after the first are reported, and it is not"] = function()
    local g = fiber.group()
    for i = 1, 3 do
        g:spawn(function()
            pcall(forever)
            this_fiber.disable_interruption()
            h.let_others_run(i)
            error("later " .. i, 0)
        end)
    end
    g:spawn(function()
        this_fiber.yield()
        error("first", 0)
    end)
    raises_value("first", g.join, g)
    collectgarbage()
    collectgarbage()
    h.let_others_run()
    local reports = {}
    for _, report in ipairs(h.take_reports()) do
        reports[#reports + 1] = report.err
    end
    table.sort(reports)
    lu.assertEquals(reports, {"later 1", "later 2", "later 3"})
end

t["test an error is not reported twice, whichever fiber takes it"] = function()
    for _, case in ipairs {"group, handle", "handle, group", "handle", "group"} do
        local g, value = fiber.group(), {}
        local child = g:spawn(error, value)
        h.let_others_run()
        for who in case:gmatch("%a+") do
            local object = who == "group" and g or child
            raises_value(value, object.join, object)
        end
        lu.assertEquals(child.joinable, case == "group")
        g, child = nil, nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
        h.let_others_run()
        lu.assertEquals(h.take_reports(), {}, case)
    end
end

t["test two who wait for one failing child both get its error"] = function()
    local g, value, got = fiber.group(), {}, nil
    local child = g:spawn(function()
        this_fiber.yield()
        error(value)
    end)
    local other = spawn(function() got = select(2, pcall(child.join, child)) end)
    raises_value(value, g.join, g)
    other:join()
    lu.assertTrue(rawequal(got, value))
end

t["test a child that waits for its failing sibling is interrupted"] = function()
    local g = fiber.group()
    local failing = g:spawn(function()
        this_fiber.yield()
        error("failed", 0)
    end)
    local waiting = g:spawn(function() failing:join() end)
    raises_value("failed", g.join, g)
    waiting:join()
    lu.assertTrue(waiting.interruption_caught)
    raises_value("failed", failing.join, failing)
end

t["test an interrupted child is no failure"] = function()
    local g, log = fiber.group(), {}
    local child = g:spawn(forever)
    g:spawn(function()
        this_fiber.yield()
        child:interrupt()
        this_fiber.yield()
        log[#log + 1] = "went on"
    end)
    g:join()
    lu.assertEquals(log, {"went on"})
    child:join()
    lu.assertTrue(child.interruption_caught)
end

t["test an interruption of the group ends there where the fiber's own is disabled"] = function()
    local self, went_on
    self = spawn(function()
        this_fiber.disable_interruption()
        fiber.group(function(g)
            self:interrupt()
            g:interrupt()
            forever()
        end)
        went_on = true
        this_fiber.restore_interruption()
        forever()
    end)
    self:join()
    lu.assertTrue(went_on)
    lu.assertTrue(self.interruption_caught)
end

t["test an error of a detached or dropped child is the group's all the same"] = function()
    for _, drop in ipairs {function(child) child:detach() end, function() end} do
        local g = fiber.group()
        drop(g:spawn(error, "failed", 0))
        collectgarbage()
        local other = g:spawn(forever)
        raises_value("failed", g.join, g)
        other:join()
        lu.assertTrue(other.interruption_caught)
    end
end

t["test spawn in a group that has failed gives a fiber that ends at its first point"] = function()
    local g, n_begun, n_gone_on = fiber.group(), 0, 0
    local function child()
        n_begun = n_begun + 1
        this_fiber.yield()
        n_gone_on = n_gone_on + 1
    end
    g:spawn(function()
        push(function() g:spawn(child) end)
        error("failed", 0)
    end)
    h.let_others_run()
    local late = g:spawn(child)
    raises_value("failed", g.join, g)
    late:join()
    lu.assertTrue(late.interruption_caught)
    lu.assertEquals(n_begun, 2)
    lu.assertEquals(n_gone_on, 0)
end

-- interruption of the group

t["test interrupt ends all children and those to come, and is no error"] = function()
    local g, log, has_run = fiber.group(), {}, false
    g:spawn(slow_to_end(log))
    h.let_others_run()
    lu.assertEquals(select("#", g:interrupt()), 0)
    lu.assertEquals(tostring(g), "fiber.group (interrupted, 1 fiber)")
    g:spawn(function()
        this_fiber.yield()
        has_run = true
    end)
    lu.assertEquals(tostring(g), "fiber.group (interrupted, 2 fibers)")
    g:interrupt()
    g:join()
    lu.assertEquals(log, {"cleaned up"})
    lu.assertFalse(has_run)
end

t["test an error after interrupt is raised by join"] = function()
    local g = fiber.group()
    g:spawn(function()
        pcall(forever)
        error("while ending", 0)
    end)
    h.let_others_run()
    g:interrupt()
    raises_value("while ending", g.join, g)
end

t["test interrupting tens of thousands of nested groups needs no deep stack"] = function()
    local depth = h.is_slow and 300 or 20000
    local g, deepest, n_ended = fiber.group(), nil, 0
    local function descend(level)
        push(function() n_ended = n_ended + 1 end)
        if level == depth then
            deepest = true
            forever()
        end
        local inner = fiber.group()
        inner:spawn(descend, level + 1)
        inner:join()
    end
    g:spawn(descend, 1)
    h.wait_until(function() return deepest end)
    g:interrupt()
    g:join()
    lu.assertEquals(n_ended, depth)
end

-- interruption of who joins

t["test an interrupted joiner ends all children, waits for them, and is interrupted"] = function()
    local g, log = fiber.group(), {}
    local child
    local joiner = h.start(function()
        child = g:spawn(slow_to_end(log, "child"))
        push(function() log[#log + 1] = "joiner" end)
        g:join()
        log[#log + 1] = "not here"
    end)
    h.let_others_run()
    joiner:interrupt()
    h.let_others_run()
    lu.assertEquals(log, {})
    joiner:interrupt() -- nothing ends this wait
    joiner:join()
    lu.assertTrue(joiner.interruption_caught)
    lu.assertEquals(log, {"child", "joiner"})
    child:join()
    lu.assertTrue(child.interruption_caught)
    h.raises("EINVAL", g.join, g)
end

t["test a joiner that was interrupted before join does the same"] = function()
    local log, self = {}, nil
    self = spawn(function()
        local g = fiber.group()
        g:spawn(slow_to_end(log))
        h.let_others_run()
        self:interrupt()
        g:join()
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertEquals(log, {"cleaned up"})
end

t["test a joiner whose interruption is disabled goes on waiting"] = function()
    local g = fiber.group()
    g:spawn(time.sleep, 0.003)
    local joiner = h.start(function()
        this_fiber.disable_interruption()
        g:join()
        this_fiber.restore_interruption()
        forever()
    end)
    joiner:interrupt()
    joiner:join()
    lu.assertTrue(joiner.interruption_caught)
    lu.assertEquals(tostring(g), "fiber.group (ended)")
end

t["test an error that comes after the joiner's interruption is reported"] = function()
    local g = fiber.group()
    g:spawn(function()
        pcall(forever)
        error("late", 0)
    end):detach()
    local joiner = h.start(g.join, g)
    joiner:interrupt()
    joiner:join()
    lu.assertTrue(joiner.interruption_caught)
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "late")
end

t["test an error that came before the joiner's interruption is raised first"] = function()
    local g, log, got = fiber.group(), {}, nil
    g:spawn(slow_to_end(log))
    g:spawn(function()
        this_fiber.yield()
        error("first", 0)
    end)
    local joiner = h.start(function()
        local _
        _, got = h.pcall_inside(g.join, g)
        forever()
    end)
    h.wait_until(function() return tostring(g):find("failed") end)
    joiner:interrupt()
    joiner:join()
    lu.assertEquals(got, "first")
    lu.assertEquals(log, {"cleaned up"})
    lu.assertTrue(joiner.interruption_caught)
end

t["test with_timeout round join ends the children and raises the timeout once"] = function()
    local g, log = fiber.group(), {}
    g:spawn(slow_to_end(log))
    h.let_others_run()
    local ok, err, slept = pcall(time.with_timeout, 0.002, function()
        local failure = h.raises("ETIMEDOUT", g.join, g)
        time.sleep(0)
        return failure, true
    end)
    lu.assertTrue(ok and slept, tostring(err))
    lu.assertEquals(log, {"cleaned up"})
end

t["test a time that is over before join ends the children, too"] = function()
    local g, log = fiber.group(), {}
    g:spawn(slow_to_end(log))
    h.raises("ETIMEDOUT", time.with_timeout, 0, g.join, g)
    lu.assertEquals(log, {"cleaned up"})
    h.raises("EINVAL", g.join, g)
end

-- Without a call that suspends, so that nobody notices the time but the group.
local function let_time_pass(seconds)
    local deadline = time.steady_clock.now() + seconds
    while time.steady_clock.now() < deadline do end -- luacheck: ignore
end

-- The group took the timeout and raised something else: then nothing was limited any more.
t["test a timeout that a group does not raise is raised by the next call"] = function()
    local seconds, ETIMEDOUT = h.is_slow and 0.2 or 0.02, thrum.generic_error.ETIMEDOUT
    local ways = {
        ["its function fails"] = function()
            fiber.group(function(g)
                g:spawn(forever)
                let_time_pass(1.5 * seconds)
                error("another", 0)
            end)
        end,
        ["its function returns, and there is no child"] = function()
            fiber.group(function()
                let_time_pass(1.5 * seconds)
            end)
            error("another", 0)
        end,
        ["a child has failed"] = function()
            local g = fiber.group()
            g:spawn(error, "another", 0)
            this_fiber.yield()
            let_time_pass(1.5 * seconds)
            g:join()
        end,
        ["a child has failed, another ends"] = function()
            local g = fiber.group()
            g:spawn(forever)
            g:spawn(error, "another", 0)
            this_fiber.yield()
            let_time_pass(1.5 * seconds)
            g:join()
        end,
    }
    for name, way in pairs(ways) do
        local ok, err = pcall(time.with_timeout, seconds, function()
            local _, other = pcall(way)
            lu.assertEquals(other, "another", name)
            time.sleep(0)
        end)
        lu.assertTrue(not ok and err == ETIMEDOUT, name .. ": " .. tostring(err))
    end
end

t["test a timeout while the children of a failed group end does not cut the wait"] = function()
    local g, log, go = fiber.group(), {}, channel.new()
    g:spawn(function()
        push(function()
            go:receive()
            log[#log + 1] = "cleaned up"
        end)
        forever()
    end)
    g:spawn(function()
        this_fiber.yield()
        error("failed", 0)
    end)
    h.wait_until(function() return tostring(g):find("failed") end)
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, function()
        spawn(function()
            time.sleep(0.004)
            go:send(true)
        end)
        raises_value("failed", g.join, g)
        lu.assertEquals(log, {"cleaned up"})
        time.sleep(0) -- here it is told
    end)
end

t["test a time that is over, but ends no wait, is left for the next call"] = function()
    local seconds
    local function let_it_pass()
        local start = time.steady_clock.now()
        repeat
        until time.steady_clock.now() > start + seconds
    end
    local function check(case)
        local has_passed = false
        for attempt = 0, 5 do -- where all is slow, it may be over too early
            seconds = 0.01 * 3 ^ attempt
            h.raises("ETIMEDOUT", time.with_timeout, seconds, function()
                case()
                has_passed = true
                time.sleep(0)
            end)
            if has_passed then
                break
            end
        end
        lu.assertTrue(has_passed)
    end

    local g = fiber.group() -- what is settled before
    g:spawn(error, "failed", 0)
    g:spawn(slow_to_end {})
    h.let_others_run()
    check(function()
        let_it_pass()
        raises_value("failed", g.join, g)
    end)
    check(function() -- no child
        fiber.group(let_it_pass)
    end)
    check(function() -- an error of the function
        raises_value("own", fiber.group, function(inner)
            inner:spawn(forever)
            let_it_pass()
            error("own", 0)
        end)
    end)
end

-- with a function

t["test a function gets the group and its arguments, and its results are returned"] = function()
    local log = {}
    local results = table.pack(fiber.group(function(g, ...)
        g:spawn(function()
            h.let_others_run()
            log[#log + 1] = "child"
        end)
        log[#log + 1] = "function"
        return "results", ..., nil
    end, 1, 2, nil))
    lu.assertEquals(results, {"results", 1, nil, n = 3})
    lu.assertEquals(log, {"function", "child"})
    results = table.pack(fiber.group(function(_, ...) return ... end, 1, nil, 3, nil))
    lu.assertEquals(results, {1, nil, 3, nil, n = 4})
    lu.assertEquals(select("#", fiber.group(function() end)), 0)
end

t["test the group of a function is joined at its end and not by join"] = function()
    local kept
    fiber.group(function(g)
        kept = g
        h.raises("EINVAL", g.join, g)
        g:spawn(function() h.raises("EINVAL", g.join, g) end)
    end)
    lu.assertEquals(tostring(kept), "fiber.group (ended)")
    h.raises("EINVAL", kept.spawn, kept, forever)
    h.raises("EINVAL", kept.join, kept)
end

t["test a child's error interrupts the function, and is raised in its place"] = function()
    local log, value = {}, {}
    raises_value(value, fiber.group, function(g)
        g:spawn(function()
            this_fiber.yield()
            error(value)
        end)
        g:spawn(slow_to_end(log, "child"))
        local _, err = pcall(forever)
        lu.assertTrue(h.is_interruption(err))
        interrupted(h.pcall_inside, time.sleep, 0)
        log[#log + 1] = "not here"
    end)
    lu.assertEquals(log, {"child"})
    time.sleep(0) -- nothing is left of it
end

t["test every kind of interruption point tells the function that the group has failed"] = function()
    local ch = channel.new(10)
    local points = {
        pcall = function() pcall(print) end,
        resume = function() coroutine.wrap(function() end)() end,
        with_timeout = function() time.with_timeout(1, function() end) end,
        yield = this_fiber.yield,
        send = function() ch:send(1) end,
        group = function() fiber.group(function() end) end,
        join = function() fiber.group():join() end,
    }
    for name, point in pairs(points) do
        local has_passed = false
        local ok, err = pcall(fiber.group, function(g)
            this_fiber.disable_interruption()
            g:spawn(error, "failed", 0)
            h.let_others_run()
            this_fiber.restore_interruption()
            point()
            has_passed = true
        end)
        lu.assertFalse(ok)
        lu.assertEquals(err, "failed", name)
        lu.assertFalse(has_passed, name)
    end
    lu.assertEquals(#ch, 0)
end

t["test an error of the function interrupts the children, waits for them, and is raised"] =
    function()
        local log, value = {}, {}
        raises_value(value, fiber.group, function(g)
            g:spawn(slow_to_end(log, "child"))
            h.let_others_run()
            error(value)
        end)
        lu.assertEquals(log, {"child"})
    end

t["test after the function's error those of children are reported"] = function()
    raises_value("function", fiber.group, function(g)
        g:spawn(function()
            pcall(forever)
            error("child", 0)
        end):detach()
        h.let_others_run()
        error("function", 0)
    end)
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "child")
end

t["test after a child's error the function's own is reported, unless it is the interruption"] =
    function()
        local value = {}
        raises_value("child", fiber.group, function(g)
            g:spawn(error, "child", 0)
            pcall(forever)
            error(value)
        end)
        h.let_others_run()
        local reports = h.take_reports()
        lu.assertEquals(#reports, 1)
        lu.assertTrue(rawequal(reports[1].err, value))

        raises_value("child", fiber.group, function(g)
            g:spawn(error, "child", 0)
            forever()
        end)
        h.let_others_run()
        lu.assertEquals(h.take_reports(), {})
    end

t["test a function that has its group interrupted ends quietly"] = function()
    local log = {}
    local results = table.pack(fiber.group(function(g)
        g:spawn(slow_to_end(log))
        h.let_others_run()
        g:interrupt()
        forever()
        return "not here"
    end))
    lu.assertEquals(results, {n = 0})
    lu.assertEquals(log, {"cleaned up"})

    lu.assertEquals(fiber.group(function(g)
        g:spawn(forever)
        g:interrupt()
        return "at once"
    end), "at once")

    raises_value("own", fiber.group, function(g)
        g:interrupt()
        error("own", 0)
    end)
end

t["test a child can interrupt the group, its function included"] = function()
    local n_ended = 0
    fiber.group(function(g)
        for _ = 1, 3 do
            g:spawn(function()
                push(function() n_ended = n_ended + 1 end)
                forever()
            end)
        end
        g:spawn(function()
            this_fiber.yield()
            g:interrupt()
        end)
        push(function() n_ended = n_ended + 1 end)
        forever()
    end)
    lu.assertEquals(n_ended, 3)
    thrum.scope_cleanup_pop() -- it is the scope's around the group
    lu.assertEquals(n_ended, 4)
end

t["test interruption of the fiber ends children in both halves of its group"] = function()
    for _, waits_in_function in ipairs {true, false} do
        local log = {}
        local fib = h.start(function()
            push(function() log[#log + 1] = "fiber" end)
            fiber.group(function(g)
                g:spawn(slow_to_end(log, "child"))
                if waits_in_function then
                    forever()
                end
            end)
            log[#log + 1] = "not here"
        end)
        h.let_others_run()
        fib:interrupt()
        fib:join()
        lu.assertTrue(fib.interruption_caught)
        lu.assertEquals(log, {"child", "fiber"})
    end
end

t["test a fiber that is interrupted at the end of its function ends the children"] = function()
    local log, self = {}, nil
    self = spawn(function()
        fiber.group(function(g)
            g:spawn(slow_to_end(log))
            h.let_others_run()
            self:interrupt()
        end)
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertEquals(log, {"cleaned up"})
end

t["test with_timeout ends a group in both halves, and inside the function only a part"] = function()
    local log, n_begun = {}, 0
    for _, waits_in_function in ipairs {true, false} do
        h.raises("ETIMEDOUT", time.with_timeout, 0.005, fiber.group, function(g)
            g:spawn(function()
                n_begun = n_begun + 1 -- if not too late
                slow_to_end(log)()
            end)
            if waits_in_function then
                forever()
            end
        end)
    end
    lu.assertEquals(#log, n_begun)
    lu.assertEquals(fiber.group(function(g)
        g:spawn(time.sleep, 0.004)
        h.raises("ETIMEDOUT", time.with_timeout, 0.001, forever)
        return "went on"
    end), "went on")
end

t["test nested groups: the inner one passes on what the outer one brings"] = function()
    local log = {}
    raises_value("outer", fiber.group, function(outer)
        outer:spawn(function()
            h.let_others_run(3)
            error("outer", 0)
        end)
        fiber.group(function(inner)
            inner:spawn(slow_to_end(log, "inner child"))
            forever()
        end)
        log[#log + 1] = "not here"
    end)
    lu.assertEquals(log, {"inner child"})

    -- while the inner one waits for its children
    log = {}
    raises_value("outer", fiber.group, function(outer)
        outer:spawn(function()
            h.let_others_run(3)
            error("outer", 0)
        end)
        fiber.group(function(inner)
            inner:spawn(slow_to_end(log, "inner child"))
        end)
        log[#log + 1] = "not here"
    end)
    lu.assertEquals(log, {"inner child"})
end

t["test nested groups: what the inner one raises is the outer function's error"] = function()
    local log = {}
    raises_value("inner", fiber.group, function(outer)
        outer:spawn(slow_to_end(log, "outer child"))
        h.let_others_run()
        fiber.group(function(inner)
            inner:spawn(error, "inner", 0)
            forever()
        end)
    end)
    lu.assertEquals(log, {"outer child"})
    lu.assertEquals(fiber.group(function()
        fiber.group(function(inner)
            inner:interrupt()
            forever()
        end)
        time.sleep(0)
        return "the outer one goes on"
    end), "the outer one goes on")
end

t["test interruption disabled around a group does not hold up the group's own"] = function()
    this_fiber.disable_interruption()
    raises_value("child", fiber.group, function(g)
        g:spawn(error, "child", 0)
        forever()
    end)
    this_fiber.restore_interruption()
end

t["test interruption disabled in the function holds it up"] = function()
    local log = {}
    raises_value("child", fiber.group, function(g)
        g:spawn(error, "child", 0)
        this_fiber.disable_interruption()
        time.sleep(0.002)
        log[#log + 1] = "a whole step"
        this_fiber.restore_interruption()
        forever()
    end)
    lu.assertEquals(log, {"a whole step"})
end

t["test a cleanup handler of the function is not interrupted"] = function()
    local log = {}
    raises_value("child", fiber.group, function(g)
        g:spawn(function()
            this_fiber.yield()
            error("child", 0)
        end)
        scope(function()
            push(function()
                time.sleep(0.003)
                log[#log + 1] = "handler"
            end)
        end)
        forever()
    end)
    lu.assertEquals(log, {"handler"})
end

t["test a function that waits for its failing child is interrupted"] = function()
    for _, f in ipairs {
        function(child) child:join() end,
        function(child) spawn(function() child:join() end):join() end,
    } do
        local got
        raises_value("failed", fiber.group, function(g)
            local child = g:spawn(function()
                h.let_others_run()
                error("failed", 0)
            end)
            local _
            _, got = h.pcall_inside(f, child)
        end)
        lu.assertTrue(h.is_interruption(got))
        h.let_others_run()
        collectgarbage()
        collectgarbage()
        h.let_others_run()
        h.take_reports() -- a plain fiber has joined the child, and was not joined itself
    end
end

t["test a group works in a cleanup handler"] = function()
    local log = {}
    scope(function()
        push(function()
            fiber.group(function(g)
                g:spawn(function() log[#log + 1] = "child" end)
                time.sleep(0)
            end)
            local ok, err = pcall(fiber.group, function(g)
                g:spawn(error, "failed", 0)
                forever()
            end)
            log[#log + 1] = tostring(ok) .. " " .. tostring(err)
        end)
    end)
    lu.assertEquals(log, {"child", "false failed"})
end

t["test this_fiber is the same in the function"] = function()
    local id = this_fiber.id
    this_fiber.local_.key = "value"
    local m = thrum.mutex.new()
    m:lock()
    fiber.group(function()
        lu.assertEquals(this_fiber.id, id)
        lu.assertEquals(this_fiber.local_.key, "value")
        m:unlock()
    end)
end

t["test a function is not called where it could not be waited for"] = function()
    local was_called = false
    local function call()
        fiber.group(function() was_called = true end)
    end
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x", call)
    this_fiber.forbid_suspend()
    h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", call)
    this_fiber.allow_suspend()
    lu.assertFalse(was_called)
end

t["test a forbid_suspend that is left at the end of the function is an error"] = function()
    local log = {}
    h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", fiber.group,
        function(g)
            g:spawn(slow_to_end(log))
            h.let_others_run()
            this_fiber.forbid_suspend()
        end)
    this_fiber.allow_suspend()
    h.wait_until(function() return log[1] end) -- its children are interrupted all the same
end

-- coroutines

t["test groups work in coroutines inside fibers"] = function()
    local got = {}
    for value in coroutine.wrap(function()
        fiber.group(function(g)
            for i = 1, 3 do
                coroutine.yield(g:spawn(function()
                    this_fiber.yield()
                    return i
                end):join())
            end
        end)
        local ok, err = pcall(fiber.group, function(g)
            g:spawn(error, "failed", 0)
            forever()
        end)
        coroutine.yield(tostring(ok) .. " " .. tostring(err))
    end) do
        got[#got + 1] = value
    end
    lu.assertEquals(got, {1, 2, 3, "false failed"})
end

t["test a function that has yielded to its coroutine's user is not inside the fiber's calls"] =
    function()
        local log = {}
        local step = coroutine.wrap(function()
            fiber.group(function(g)
                g:spawn(function()
                    this_fiber.yield()
                    error("child", 0)
                end)
                coroutine.yield("yielded")
                log[#log + 1] = "resumed"
                forever()
            end)
        end)
        lu.assertEquals(step(), "yielded")
        time.sleep(0.002) -- the group has failed: not our business
        raises_value("child", step)
        lu.assertEquals(log, {"resumed"})
    end

t["test a coroutine with a group may go on in another fiber"] = function()
    local log = {}
    local step = coroutine.wrap(function()
        fiber.group(function(g)
            g:spawn(slow_to_end(log))
            h.let_others_run()
            coroutine.yield()
        end)
    end)
    spawn(step):join()
    local other = h.start(step)
    h.let_others_run()
    other:interrupt()
    other:join()
    lu.assertTrue(other.interruption_caught)
    lu.assertEquals(log, {"cleaned up"})
end

t["test a coroutine that is dropped in the middle leaves its children to themselves"] = function()
    local log, ch = {}, channel.new()
    local weak = setmetatable({}, {__mode = "k"})
    do
        local co = coroutine.create(function()
            fiber.group(function(g)
                weak[g] = true
                g:spawn(function()
                    log[#log + 1] = ch:receive()
                    error("heard", 0)
                end)
                g:spawn(slow_to_end(log, "interrupted"))
                coroutine.yield()
            end)
        end)
        coroutine.resume(co)
        weak[co] = true
        h.let_others_run()
        co = nil -- luacheck: ignore
    end
    spawn(function() end):join() -- nothing of it is left on this fiber's stack
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
    ch:send("went on")
    h.wait_until(function() return #log == 2 end)
    lu.assertEquals(log, {"went on", "interrupted"})
    h.let_others_run(4)
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "heard")
end

t["test a coroutine resumed where it cannot be suspended interrupts the children"] = function()
    local log = {}
    local step = coroutine.wrap(function()
        fiber.group(function(g)
            g:spawn(slow_to_end(log))
            h.let_others_run()
            coroutine.yield()
        end)
    end)
    step()
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() step() end)
    h.wait_until(function() return log[1] end)
    lu.assertEquals(log, {"cleaned up"})
end

-- what is left

t["test a group dropped before it was joined lets its children go on together"] = function()
    local log, ch = {}, channel.new()
    spawn(function()
        local g = fiber.group()
        g:spawn(function()
            ch:receive()
            error("failed", 0)
        end)
        g:spawn(slow_to_end(log))
    end):join()
    collectgarbage()
    collectgarbage()
    h.let_others_run()
    lu.assertEquals(log, {})
    ch:send(true)
    h.wait_until(function() return log[1] end)
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "failed")
end

t["test a group dropped after it has failed has its error reported"] = function()
    spawn(function()
        local g = fiber.group()
        g:spawn(error, "failed", 0)
        h.let_others_run()
    end):join()
    collectgarbage()
    collectgarbage()
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "failed")
end

-- The failed child's thread was kept for who might join the group, and with it all that the thread
-- held: if that was the group's handle, nobody could collect it, and nobody was told of the error.
t["test a dropped group is collected although its failed child knows it"] = function()
    local witnesses = setmetatable({}, {__mode = "k"})
    for i = 1, 10 do
        local g = fiber.group()
        local function fail()
            local witness = {}
            witnesses[witness] = true
            time.sleep(0.001)
            error("of " .. #g .. " and " .. tostring(witness ~= nil), 0)
        end
        g:spawn(fail)
        for _ = 1, i % 3 do
            g:spawn(forever)
        end
    end
    h.let_others_run()
    collectgarbage() -- the children's handles
    h.wait_until(function()
        collectgarbage()
        return next(witnesses) == nil
    end)
    h.let_others_run()
    lu.assertEquals(#h.take_reports(), 10)
end

t["test a failed child's handle that is kept has the error when the group is dropped"] = function()
    local child
    spawn(function()
        local g = fiber.group()
        child = g:spawn(error, "failed", 0)
        h.let_others_run()
    end):join()
    collectgarbage()
    collectgarbage()
    lu.assertTrue(child.joinable)
    raises_value("failed", child.join, child)
end

t["test thrum.report has the error of a group that was not joined"] = function()
    local g = fiber.group()
    g:spawn(error, "failed", 0)
    local other = fiber.group()
    local child = other:spawn(error, "failed, too", 0)
    h.let_others_run()
    thrum.report()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 2)
    lu.assertEquals(reports[1].err, "failed")
    raises_value("failed", g.join, g)
    raises_value("failed, too", child.join, child)
    raises_value("failed, too", other.join, other)
    raises_value("failed", fiber.group, function(inner) -- the group itself is going to tell it
        inner:spawn(error, "failed", 0)
        this_fiber.disable_interruption()
        h.let_others_run()
        thrum.report()
        this_fiber.restore_interruption()
    end)
    lu.assertEquals(h.take_reports(), {})
end

t["test groups, children and what they refer to are collected"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    local function note(value)
        weak[value] = true
        return value
    end
    spawn(function()
        local g = note(fiber.group())
        local value = note {g}
        note(g:spawn(function() return value, g end))
        g:join()
        local dropped = note(fiber.group())
        dropped:spawn(function() return dropped end)
        pcall(fiber.group, function(inner)
            note(inner)
            inner:spawn(function() error(note {inner}) end)
            forever()
        end)
        fiber.group(function(inner)
            note(inner:spawn(function() return note {inner} end)):join()
        end)
    end):join()
    h.let_others_run(3)
    collectgarbage()
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
end

t["test a finalizer meets a dead group without harm"] = function()
    local outcome
    spawn(function()
        local g = fiber.group()
        local spawn_in, interrupt = g.spawn, g.interrupt
        local function finalize(object)
            outcome = {pcall(spawn_in, object[1], forever)}
            pcall(interrupt, object[1])
            pcall(tostring, object[1])
        end
        -- Finalizers are called in the reverse order of their making.
        local object = setmetatable({}, {__gc = finalize})
        object[1] = fiber.group()
    end):join()
    collectgarbage()
    collectgarbage()
    lu.assertFalse(outcome[1])
    lu.assertTrue(h.is_error(outcome[2]))
end

t["test bad values are refused cleanly"] = function()
    for _, bad in ipairs {0, "group", {}, true, io.stdout, spawn(function() end),
        fiber.named("n", print)} do
        h.raises_arg(1, fiber.group, bad)
        local g = fiber.group()
        h.raises_arg(1, g.spawn, bad, print)
        h.raises_arg(1, g.join, bad)
        h.raises_arg(1, g.interrupt, bad)
        if getmetatable(bad) ~= false or not tostring(bad):find("^function") then
            h.raises_arg(2, g.spawn, g, bad)
        end
        g:join()
    end
    h.raises_arg(1, fiber.group, nil)
    local g = fiber.group()
    h.raises_arg(2, g.spawn, g)
    h.raises("EINVAL", function() return g.no_such_field end)
    h.raises("EINVAL", function() g.spawn = print end)
end

t["test fiber.list tells who waits for a group"] = function()
    local function look(f)
        local fib = spawn(fiber.named("looked at", f))
        h.let_others_run()
        local waits_for
        for _, entry in ipairs(fiber.list()) do
            if entry.name == "looked at" then
                waits_for = entry.waits_for
            end
        end
        fib:interrupt()
        fib:join()
        return waits_for
    end
    lu.assertEquals(look(function()
        local g = fiber.group()
        g:spawn(forever)
        g:join()
    end), "fiber.group.join (1 fiber)")
    lu.assertEquals(look(function()
        fiber.group(function(g)
            g:spawn(forever)
            g:spawn(forever)
        end)
    end), "fiber.group (2 fibers)")
end

-- Whatever comes first, join ends once, after the last child, and says what came first.
t["test races: an error of one, the joiner's interruption, a timeout, spawn, the end"] = function()
    local rounds = math.max(10, h.rounds // (h.is_slow and 200 or 20))
    local seen = {}
    for round = 1, rounds do
        local n_alive, n_late = 0, 0
        local function child(turns, f)
            n_alive = n_alive + 1
            push(function()
                if round % 2 == 0 then
                    this_fiber.yield()
                end
                n_alive = n_alive - 1
            end)
            h.let_others_run(turns)
            f()
        end
        local outcome
        local function whole(g)
            g:spawn(child, round % 4, function() error("failed", 0) end)
            g:spawn(child, round % 3, function()
                if pcall(g.spawn, g, child, round % 2, forever) then
                    n_late = n_late + 1
                end
            end)
            g:spawn(child, round % 7, function()
                if round % 11 == 0 then
                    g:interrupt()
                end
            end)
        end
        local joiner = spawn(function()
            local ok, err = h.pcall_inside(time.with_timeout, round % 5 == 0 and 0 or 100,
                function()
                    if round % 3 == 0 then
                        fiber.group(whole)
                    else
                        local g = fiber.group()
                        whole(g)
                        g:join()
                    end
                end)
            lu.assertEquals(n_alive, 0)
            outcome = ok and "well" or tostring(err)
        end)
        h.let_others_run(round % 6)
        joiner:interrupt()
        joiner:join()
        local kind = joiner.interruption_caught and not outcome and "never ran"
            or outcome:match("^%a+ ?%a*")
        seen[kind] = (seen[kind] or 0) + 1
        lu.assertEquals(n_alive, 0)
    end
    h.let_others_run(4)
    collectgarbage()
    collectgarbage()
    h.let_others_run(4)
    for _, report in ipairs(h.take_reports()) do
        lu.assertEquals(report.err, "failed")
    end
    if rounds >= 1000 then
        for _, kind in ipairs {"failed", "Fiber interrupted", "Connection timed"} do
            lu.assertTrue((seen[kind] or 0) > 0, kind)
        end
    end
end

-- Seen: the joiner was told that the error had been reported.
t["test thrum.report leaves an error to the join that waits for it"] = function()
    local gate = channel.new()
    local g = fiber.group()
    g:spawn(function()
        this_fiber.disable_interruption()
        gate:receive()
    end)
    g:spawn(error, "boom", 0)
    local joiner = h.try(g.join, g)
    thrum.report()
    lu.assertEquals(h.take_reports(), {})
    gate:send("go on")
    lu.assertEquals({joiner:join()}, {false, "boom"})
end
