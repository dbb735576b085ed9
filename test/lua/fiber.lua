-- SPDX-License-Identifier: BSL-1.0
-- fiber: spawn, join, detach, interrupt, handles, this_fiber, reports, order, fairness.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip, byte_span =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip, thrum.byte_span

local function nothing() end

local function collect()
    collectgarbage()
    collectgarbage()
end

-- spawn and join

t["test spawn lets the caller go on until it suspends"] = function()
    local log = {}
    local fiber = spawn(function() log[#log + 1] = "fiber" end)
    log[#log + 1] = "caller"
    fiber:join()
    lu.assertEquals(log, {"caller", "fiber"})
end

t["test spawn hands its arguments over, nil and all"] = function()
    local count, a, b, c
    spawn(function(...)
        count = select("#", ...)
        a, b, c = ...
    end, 1, nil, "three", nil):join()
    lu.assertEquals(count, 4)
    lu.assertEquals(a, 1)
    lu.assertNil(b)
    lu.assertEquals(c, "three")
end

t["test spawn takes two hundred arguments and join gives as many results"] = function()
    local many = {}
    for i = 1, 200 do
        many[i] = i
    end
    local results = table.pack(spawn(function(...) return ... end, table.unpack(many)):join())
    lu.assertEquals(results.n, 200)
    lu.assertEquals(results[200], 200)
end

t["test spawn refuses what is no function"] = function()
    for _, bad in ipairs {1, "f", true, {}, setmetatable({}, {__call = nothing})} do
        h.raises_arg(1, spawn, bad)
    end
    h.raises_arg(1, spawn)
    h.raises_arg(1, spawn, nil)
end

t["test spawn takes a C function"] = function()
    lu.assertEquals(spawn(math.max, 3, 7, 5):join(), 7)
end

t["test join returns the start function's results, nil and all"] = function()
    local results = table.pack(spawn(function() return nil, 2, nil end):join())
    lu.assertEquals(results.n, 3)
    lu.assertEquals(results[2], 2)
    lu.assertEquals(select("#", spawn(nothing):join()), 0)
end

t["test join works before, while and after the fiber runs"] = function()
    lu.assertEquals(spawn(function() return "before" end):join(), "before")
    local running = h.start(function()
        time.sleep(0.001)
        return "while"
    end)
    lu.assertEquals(running:join(), "while")
    local ended = h.start(function() return "after" end)
    lu.assertEquals(ended:join(), "after")
end

t["test join raises the fiber's error again, whatever value it is"] = function()
    local value = {}
    for _, err in ipairs {"text", 42, value, print, thrum.generic_error.EPERM} do
        local ok, came = pcall(function() spawn(error, err, 0):join() end)
        lu.assertFalse(ok)
        lu.assertTrue(rawequal(came, err))
    end
    local ok, came = pcall(function() spawn(error):join() end)
    lu.assertFalse(ok)
    lu.assertNil(came)
end

t["test an error raised after a suspension is joined too"] = function()
    local fiber = spawn(function()
        this_fiber.yield()
        error("late", 0)
    end)
    local ok, err = pcall(fiber.join, fiber)
    lu.assertFalse(ok)
    lu.assertEquals(err, "late")
end

t["test a joined fiber is not joinable and joining again is EINVAL"] = function()
    local fiber = spawn(nothing)
    lu.assertTrue(fiber.joinable)
    fiber:join()
    lu.assertFalse(fiber.joinable)
    h.raises("EINVAL", fiber.join, fiber)
    h.raises("EINVAL", fiber.detach, fiber)
end

t["test a detached fiber is not joinable"] = function()
    local ran = false
    local fiber = spawn(function() ran = true end)
    fiber:detach()
    lu.assertFalse(fiber.joinable)
    h.raises("EINVAL", fiber.join, fiber)
    h.raises("EINVAL", fiber.detach, fiber)
    lu.assertEquals(tostring(fiber), "fiber (detached)")
    h.let_others_run()
    lu.assertTrue(ran)
end

t["test a fiber cannot join itself: EDEADLK"] = function()
    local self
    self = spawn(function()
        return h.raises("EDEADLK", self.join, self)
    end)
    lu.assertTrue(self:join() == thrum.generic_error.EDEADLK)
end

t["test a fiber somebody is joining cannot be joined by another"] = function()
    local slow = h.start(time.sleep, 0.01)
    local joiner = h.start(function() slow:join() end)
    lu.assertFalse(slow.joinable)
    h.raises("EINVAL", slow.join, slow)
    h.raises("EINVAL", slow.detach, slow)
    joiner:join()
end

-- Seen by reading: the 64th join in a row of an ended fiber gives way to the others, the handle
-- still joinable; taking or detaching the fiber meanwhile left the first with a NULL record.
-- Cure: the joiner is noted before it gives way.
t["test many joins in a row race with another joiner and with detach"] = function()
    for _, meddle in ipairs {"join", "detach"} do
        local fibers, n_taken, n_meddled = {}, 0, 0
        for i = 1, 300 do
            fibers[i] = spawn(function() return i end)
        end
        h.let_others_run()
        local function first_joinable()
            for _, fiber in ipairs(fibers) do
                if fiber.joinable then
                    return fiber
                end
            end
        end
        local other = spawn(function()
            local fiber = first_joinable()
            while fiber do
                fiber[meddle](fiber)
                n_meddled = n_meddled + 1
                this_fiber.yield()
                fiber = first_joinable()
            end
        end)
        for i = 1, #fibers do
            local ok, value = pcall(fibers[i].join, fibers[i])
            if ok then
                n_taken = n_taken + 1
                lu.assertEquals(value, i)
            else
                lu.assertTrue(value == thrum.generic_error.EINVAL)
            end
        end
        other:join()
        lu.assertTrue(n_meddled > 0)
        lu.assertEquals(n_taken + n_meddled, 300)
    end
end

t["test interruption_caught can be read only once joined"] = function()
    local fiber = spawn(nothing)
    h.raises("EINVAL", function() return fiber.interruption_caught end)
    fiber:join()
    lu.assertFalse(fiber.interruption_caught)
    local detached = spawn(nothing)
    detached:detach()
    h.raises("EINVAL", function() return detached.interruption_caught end)
end

t["test a failed fiber was not ended by interruption"] = function()
    local fiber = spawn(error, "x", 0)
    lu.assertFalse(pcall(fiber.join, fiber))
    lu.assertFalse(fiber.interruption_caught)
end

-- interrupt

t["test interrupt ends a wait and join then returns nothing"] = function()
    local fiber = h.start(time.sleep, 3600)
    lu.assertEquals(select("#", fiber:interrupt()), 0)
    lu.assertTrue(fiber.joinable)
    lu.assertEquals(select("#", fiber:join()), 0)
    lu.assertTrue(fiber.interruption_caught)
end

t["test interrupt never suspends the caller"] = function()
    local log = {}
    local fiber = h.start(function()
        pcall(time.sleep, 3600)
        log[#log + 1] = "interrupted"
    end)
    fiber:interrupt()
    log[#log + 1] = "caller"
    fiber:join()
    lu.assertEquals(log, {"caller", "interrupted"})
end

t["test the interruption error is of the fiber category"] = function()
    local fiber = h.try(time.sleep, 3600)
    fiber:interrupt()
    local ok, err = fiber:join()
    lu.assertFalse(ok)
    lu.assertEquals(tostring(err.category), "fiber")
    h.assert_starts(tostring(err), "Fiber interrupted")
    lu.assertFalse(fiber.interruption_caught) -- it caught it itself and ended well
end

t["test an interrupted fiber stays interrupted at every later suspending call"] = function()
    local fiber = h.start(function()
        local answers = {}
        for i, f in ipairs {time.sleep, this_fiber.yield, time.sleep} do
            local ok, err = h.pcall_inside(f, 3600)
            answers[i] = not ok and h.is_interruption(err)
        end
        return table.unpack(answers)
    end)
    fiber:interrupt()
    local a, b, c = fiber:join()
    lu.assertTrue(a and b and c)
end

t["test an interruption is delivered at the next suspending call only"] = function()
    local self, reached
    self = spawn(function()
        self:interrupt()
        reached = true
        this_fiber.yield()
        reached = "too far"
    end)
    self:join()
    lu.assertTrue(reached)
    lu.assertTrue(self.interruption_caught)
end

t["test a fiber interrupted before its first run runs to its first interruption point"] = function()
    local points = {
        function() this_fiber.yield() end,
        function() time.sleep(0) end,
        function() pcall(nothing) end,
        function() thrum.xpcall(nothing, nothing) end,
        function() thrum.coroutine.wrap(nothing)() end,
        function() thrum.coroutine.resume(thrum.coroutine.create(nothing)) end,
        function() time.with_timeout(1, nothing) end,
        function() thrum.fiber.group(nothing) end,
        function() thrum.mutex.new():lock() end,
    }
    for i, point in ipairs(points) do
        local log, push = {}, thrum.scope_cleanup_push
        local fiber = spawn(function()
            push(function() log[#log + 1] = "cleaned up" end)
            log[#log + 1] = thrum.scope(function() return "in a scope" end)
            point()
            log[#log + 1] = "too far"
        end)
        fiber:interrupt()
        lu.assertEquals(select("#", fiber:join()), 0)
        lu.assertEquals(log, {"in a scope", "cleaned up"}, i)
        lu.assertTrue(fiber.interruption_caught)
    end
end

t["test a fiber interrupted before its first run that meets no point ends well"] = function()
    local fiber = spawn(function(...) return thrum.scope(select, 2, ...) end, 1, 2, 3)
    fiber:interrupt()
    lu.assertEquals({fiber:join()}, {2, 3})
    lu.assertFalse(fiber.interruption_caught)
end

t["test interrupt is valid on whatever has ended, was joined or detached"] = function()
    local function interrupt_twice(fiber)
        lu.assertEquals(select("#", fiber:interrupt()), 0)
        lu.assertEquals(select("#", fiber:interrupt()), 0)
    end
    for _, f in ipairs {nothing, error, function() this_fiber.yield() end} do
        local joined = spawn(f, "failed", 0)
        pcall(joined.join, joined)
        interrupt_twice(joined)
        local ended = h.start(f, "failed", 0)
        interrupt_twice(ended)
        pcall(ended.join, ended)
        lu.assertFalse(ended.interruption_caught)
        local detached = h.start(f, "failed", 0)
        detached:detach()
        interrupt_twice(detached)
        h.let_others_run()
        interrupt_twice(detached)
    end
    lu.assertEquals(#h.take_reports(), 1) -- of the one that failed and was detached
end

t["test interrupt ends a detached fiber that still runs"] = function()
    for _, is_new in ipairs {true, false} do
        local log = {}
        local fiber = spawn(function()
            local ok, err = h.pcall_inside(time.sleep, 3600)
            log[1], log[2] = ok, h.is_interruption(err)
        end)
        if not is_new then
            h.let_others_run()
        end
        fiber:detach()
        lu.assertFalse(fiber.joinable)
        collect()
        fiber:interrupt()
        h.wait_until(function() return log[2] ~= nil end)
        lu.assertEquals(log, {false, true})
        h.let_others_run()
        fiber:interrupt() -- it is gone
        lu.assertEquals(tostring(fiber), "fiber (detached)")
    end
end

t["test a detached fiber's end is as quiet, or as loud, while its handle is kept"] = function()
    local fiber = h.start(function()
        this_fiber.yield()
        error("loud", 0)
    end)
    fiber:detach()
    h.let_others_run(4)
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "loud")
    lu.assertFalse(fiber.joinable)
end

t["test interrupting twice is quiet, and so is interrupting an ended fiber"] = function()
    local fiber = h.start(time.sleep, 3600)
    fiber:interrupt()
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    local ended = h.start(nothing)
    ended:interrupt()
    ended:join()
    lu.assertFalse(ended.interruption_caught)
end

t["test an interrupted join leaves the other fiber joinable"] = function()
    local gate = thrum.channel.new()
    local slow = h.start(gate.receive, gate)
    local joiner = h.start(slow.join, slow)
    joiner:interrupt()
    joiner:join()
    lu.assertTrue(joiner.interruption_caught)
    lu.assertTrue(slow.joinable)
    gate:send("result")
    lu.assertEquals(slow:join(), "result")
end

t["test a result that is there wins over an interruption"] = function()
    local a, b = h.connected()
    local fiber = h.start(function()
        local buf = byte_span.new(16)
        local n = a:receive(buf)
        local ok, err = h.pcall_inside(this_fiber.yield)
        return n, ok, err
    end)
    b:send("result")
    this_fiber.yield() -- the loop is polled behind us: the receiver is ready, and has not run yet
    fiber:interrupt()
    local n, ok, err = fiber:join()
    lu.assertEquals(n, 6)
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    a:close()
    b:close()
end

t["test an interruption error is not reported as uncaught"] = function()
    local fiber = h.start(time.sleep, 3600)
    fiber:interrupt()
    fiber:detach()
    h.let_others_run()
    lu.assertEquals(h.take_reports(), {})
end

t["test somebody else's interruption error is reported"] = function()
    local fiber = h.try(time.sleep, 3600)
    fiber:interrupt()
    local _, interruption = fiber:join()
    spawn(error, interruption):detach()
    h.let_others_run()
    lu.assertEquals(#h.take_reports(), 1)
end

-- handles and reports

t["test a collected handle detaches and the fiber runs on"] = function()
    local done = false
    h.start(function()
        time.sleep(0.002)
        done = true
    end)
    collect()
    h.wait_until(function() return done end)
end

t["test an uncaught error is reported once, with traceback and id, if detached before"] =
function()
    local id
    local function culprit()
        id = this_fiber.id
        error("kaboom", 0)
    end
    spawn(function() culprit() end):detach()
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "kaboom")
    lu.assertEquals(tostring(reports[1].id), tostring(id))
    h.assert_contains(reports[1].traceback, "culprit")
end

t["test an uncaught error is reported when its handle is detached after"] = function()
    local fiber = h.start(error, "later", 0)
    lu.assertEquals(#h.take_reports(), 0) -- somebody could still join it
    fiber:detach()
    h.let_others_run()
    lu.assertEquals(h.take_reports()[1].err, "later")
end

t["test an uncaught error is reported when its handle is collected"] = function()
    h.start(error, "dropped", 0)
    collect()
    h.let_others_run()
    collect()
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "dropped")
end

-- The thread of a fiber that has ended was kept for who might join it, and with it all that the
-- thread held, the fiber's own handle for one: then nobody could collect the handle any more.
t["test a fiber that knows its own handle is collected when it has ended"] = function()
    local ends = {
        function(me) return me end,
        function(me) error(me, 0) end,
        function(me)
            me:interrupt()
            this_fiber.yield()
        end,
        function(me)
            pcall(me.join, me)
            error("own handle", 0)
        end,
    }
    local witnesses = setmetatable({}, {__mode = "k"})
    for _, finish in ipairs(ends) do
        local fiber
        fiber = spawn(function()
            local witness = {}
            witnesses[witness] = true
            this_fiber.yield()
            return finish(fiber, witness)
        end)
    end
    h.let_others_run(4)
    for _ = 1, 3 do
        collect()
        h.let_others_run()
    end
    lu.assertEquals(#h.take_reports(), 2)
    collect()
    lu.assertNil(next(witnesses))
end

t["test what a fiber has returned, or raised, is kept as long as its handle"] = function()
    local fibers = {}
    for i = 1, 20 do
        fibers[i] = spawn(function(number)
            local result = {number}
            if i % 2 == 0 then
                error(result, 0)
            end
            return result, {-number}
        end, i)
    end
    h.let_others_run(2)
    collect()
    for i = 1, 20 do
        local ok, first, second = pcall(fibers[i].join, fibers[i])
        collect()
        lu.assertEquals(ok, i % 2 == 1)
        lu.assertEquals(first, {i})
        lu.assertEquals(second, i % 2 == 1 and {-i} or nil)
    end
end

t["test a joined error is not reported"] = function()
    local fiber = spawn(error, "joined", 0)
    lu.assertFalse(pcall(fiber.join, fiber))
    collect()
    h.let_others_run()
    lu.assertEquals(h.take_reports(), {})
end

-- A handle may be collected at the very moment at which its fiber ends: the collector goes through
-- the handles while the fibers end in the same order, at different speeds. (That was a use after
-- free: the end of an interrupted fiber looks at its error, which may run the collector.)
t["test the collection of handles against the end of interrupted fibers"] = function()
    local dice = h.new_dice(1)
    local n_ended, n_fibers = 0, 0
    for _ = 1, math.max(4, h.rounds // (h.is_slow and 5000 or 100)) do
        local handles = {}
        for i = 1, dice(50) do
            n_fibers = n_fibers + 1
            handles[i] = spawn(function()
                thrum.scope_cleanup_push(function()
                    n_ended = n_ended + 1
                end)
                time.sleep(10)
            end)
        end
        h.let_others_run(1)
        for i = #handles, 1, -1 do
            handles[i]:interrupt()
        end
        handles = nil -- luacheck: ignore
        if not h.is_eager then
            collectgarbage("setpause", 50 + dice(100))
            collectgarbage("setstepmul", 50 + dice(400))
        end
        collectgarbage("step", dice(100))
        h.let_others_run(3)
    end
    h.collect_as_usual()
    lu.assertEquals(n_ended, n_fibers)
end

-- A fiber that is at its end, or being reported, is nobody else's to report. (Both were a use after
-- free: making the traceback, or the id, may run the collector.)
t["test a finalizer that reports while fibers fail finds each error once"] = function()
    local function litter()
        setmetatable({}, {__gc = thrum.report})
    end
    local n = 0
    h.collect_eagerly()
    thrum.set_reporter(function(err)
        n = n + 1
        lu.assertEquals(err, "of many")
        litter()
    end)
    for _ = 1, 20 do
        spawn(function()
            litter()
            error("of many", 0)
        end):detach()
    end
    h.let_others_run(4)
    collect()
    h.let_others_run(4)
    h.collect_as_usual()
    h.watch_reports()
    lu.assertEquals(n, 20)
end

t["test errors of every kind of value are reported"] = function()
    for _, value in ipairs {"text", 1, {}, print} do
        spawn(error, value, 0):detach()
        h.let_others_run()
        lu.assertTrue(rawequal(h.take_reports()[1].err, value))
    end
    spawn(error):detach()
    h.let_others_run()
    lu.assertNil(h.take_reports()[1].err)
end

t["test the handle shows its state"] = function()
    local fiber = spawn(time.sleep, 0)
    h.assert_starts(tostring(fiber), "fiber")
    fiber:join()
    h.assert_starts(tostring(fiber), "fiber")
end

t["test the handle is closed to tampering"] = function()
    local fiber = spawn(nothing)
    lu.assertFalse(getmetatable(fiber))
    h.raises("EINVAL", function() return fiber.no_such_field end)
    h.raises("EINVAL", function() fiber.joinable = true end)
    h.raises("EINVAL", function() fiber.x = 1 end)
    h.raises_arg(1, fiber.join, ip.address.new())
    h.raises_arg(1, fiber.join)
    fiber:join()
end

-- this_fiber

t["test this_fiber.id is a string of the fiber's own"] = function()
    local mine = this_fiber.id
    lu.assertEquals(type(mine), "string")
    local other = spawn(function() return this_fiber.id end):join()
    lu.assertNotEquals(other, mine)
    lu.assertEquals(this_fiber.id, mine)
end

t["test a spawned fiber is not the main fiber"] = function()
    lu.assertFalse(spawn(function() return this_fiber.is_main end):join())
end

t["test this_fiber.local_ is a table per fiber, the same in its coroutines"] = function()
    this_fiber.local_.x = "mine"
    lu.assertNil(spawn(function() return this_fiber.local_.x end):join())
    lu.assertEquals(thrum.coroutine.wrap(function() return this_fiber.local_.x end)(), "mine")
    lu.assertTrue(rawequal(this_fiber.local_, this_fiber.local_))
    this_fiber.yield()
    lu.assertEquals(this_fiber.local_.x, "mine")
end

t["test local_ does not keep an ended fiber's values alive"] = function()
    local weak = setmetatable({}, {__mode = "v"})
    spawn(function()
        weak.value = {}
        this_fiber.local_.value = weak.value
    end):join()
    collect()
    lu.assertNil(weak.value)
end

t["test this_fiber has no other fields"] = function()
    h.raises("EINVAL", function() return this_fiber.no_such_field end)
end

t["test yield lets every ready fiber run once"] = function()
    local log, fibers = {}, {}
    for i = 1, 3 do
        fibers[i] = spawn(function()
            for _ = 1, 2 do
                log[#log + 1] = i
                this_fiber.yield()
            end
        end)
    end
    for i = 1, 3 do
        fibers[i]:join()
    end
    lu.assertEquals(log, {1, 2, 3, 1, 2, 3})
end

-- order and fairness

t["test fibers start in the order they were spawned"] = function()
    local log, fibers = {}, {}
    for i = 1, 100 do
        fibers[i] = spawn(function() log[#log + 1] = i end)
    end
    for i = 1, 100 do
        fibers[i]:join()
    end
    for i = 1, 100 do
        lu.assertEquals(log[i], i)
    end
end

t["test a fiber spawned in a round waits for the next one"] = function()
    local log = {}
    local last
    local first = spawn(function()
        log[#log + 1] = "first"
        last = spawn(function() log[#log + 1] = "spawned by first" end)
    end)
    local second = spawn(function() log[#log + 1] = "second" end)
    first:join()
    second:join()
    last:join()
    lu.assertEquals(log, {"first", "second", "spawned by first"})
end

t["test yielding for ever does not starve timers"] = function()
    local stop = false
    local spinner = spawn(function()
        while not stop do
            this_fiber.yield()
        end
    end)
    time.sleep(0.005)
    stop = true
    spinner:join()
end

-- The receiver's own sends keep its socket full, so every call completes at once.
t["test a flooded socket starves neither timers nor neighbors"] = function()
    local sock = h.bound()
    local addr, port = sock.local_address, sock.local_port
    local n_received, stop, longest, n_ticks, n_turns = 0, false, 0, 0, 0
    local flooded = spawn(function()
        local buf = byte_span.new(64)
        while not stop do
            sock:send_to("flood", addr, port)
            sock:receive_from(buf)
            n_received = n_received + 1
        end
    end)
    local neighbor = spawn(function()
        while not stop do
            n_turns = n_turns + 1
            this_fiber.yield()
        end
    end)
    for _ = 1, 10 do
        local start = time.steady_clock.now()
        time.sleep(0.010)
        longest = math.max(longest, time.steady_clock.now() - start)
        n_ticks = n_ticks + 1
    end
    stop = true
    flooded:join()
    neighbor:join()
    sock:close()
    lu.assertEquals(n_ticks, 10)
    lu.assertTrue(longest < 2) -- generous: this machine may be shared
    lu.assertTrue(n_received > 64)
    lu.assertTrue(n_turns > 10)
end

t["test a call that completes at once gives way after 64 of them"] = function()
    local sock = h.bound()
    local buf = byte_span.new(8)
    local addr, port = sock.local_address, sock.local_port
    local turns, at_turn, stop = 0, {}, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    for i = 1, 256 do
        sock:send_to("x", addr, port)
        sock:receive_from(buf)
        at_turn[i] = turns
    end
    stop = true
    other:join()
    sock:close()
    lu.assertTrue(at_turn[256] >= 4)
    lu.assertTrue(at_turn[256] < 256) -- but not after every one
end

t["test ten thousand fibers come and go"] = function()
    local count, done = h.is_slow and 100 or 10000, 0
    local fibers = {}
    for i = 1, count do
        fibers[i] = spawn(function()
            this_fiber.yield()
            done = done + 1
        end)
    end
    for i = 1, count do
        fibers[i]:join()
    end
    lu.assertEquals(done, count)
end

t["test a chain of joins unwinds"] = function()
    local depth = h.is_slow and 20 or 150 -- lua_resume nests, up to LUAI_MAXCCALLS
    local function link(n)
        if n == 0 then
            this_fiber.yield()
            return "end"
        end
        return spawn(link, n - 1):join()
    end
    lu.assertEquals(link(depth), "end")
end

t["test fibers spawn fibers without bound"] = function()
    local n = 0
    local function next_one()
        n = n + 1
        if n < 2000 then
            spawn(next_one):detach()
        end
    end
    spawn(next_one):detach()
    h.wait_until(function() return n == 2000 end)
end

t["test joining in a cycle can be broken by an interruption"] = function()
    local a, b
    a = spawn(function() b:join() end)
    b = spawn(function() a:join() end)
    h.let_others_run()
    a:interrupt()
    b:join() -- it joined a, which the interruption ended
    lu.assertTrue(a.interruption_caught)
    lu.assertFalse(a.joinable)
end

-- Seen: a fiber that somebody waits for could not be interrupted (EINVAL), so nothing could end
-- that wait. It is neither joined yet nor detached.
t["test a fiber somebody is joining can be interrupted"] = function()
    local slow = h.start(time.sleep, 3600)
    local joiner = h.start(function()
        slow:join()
        return slow.interruption_caught
    end)
    slow:interrupt()
    lu.assertTrue(joiner:join())
end

t["test thrum.poll is refused inside a fiber"] = function()
    h.raises("EDEADLK", thrum.poll)
end
