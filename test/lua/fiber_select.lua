-- SPDX-License-Identifier: BSL-1.0
-- fiber.select: a wait for several things, exactly one of which happens.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, fiber, channel, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.fiber, thrum.channel, thrum.coroutine
local pcall, select_one = thrum.pcall, fiber.select

local function results(cases)
    return table.pack(select_one(cases))
end

-- What is ready

t["test a value that is there is received, with the case's number"] = function()
    local a, b = channel.new(1), channel.new(2)
    b:send("first")
    b:send(false)
    lu.assertEquals(results {a, b}, {2, "first", n = 2})
    lu.assertEquals(results {b}, {1, false, n = 2})
    lu.assertEquals(#b, 0)
    local sender = h.start(a.send, channel.new(), "not taken")
    local other = channel.new()
    local taken = h.start(other.send, other, "taken")
    lu.assertEquals(results {a, other, b}, {2, "taken", n = 2})
    taken:join()
    sender:interrupt()
    sender:join()
end

t["test a value is sent where there is a receiver or room"] = function()
    local full, room, met = channel.new(1), channel.new(1), channel.new()
    full:send(0)
    lu.assertEquals(results {{full, 1}, {room, 2}}, {2, n = 1})
    lu.assertEquals(room:receive(), 2)
    local receiver = h.start(met.receive, met)
    lu.assertEquals(results {{full, 1}, {met, false}}, {2, n = 1})
    lu.assertEquals(receiver:join(), false)
    lu.assertEquals(full:receive(), 0)
    lu.assertEquals(#full, 0)
end

t["test the first in the list that is ready is taken, and no other"] = function()
    local a, b, out = channel.new(5), channel.new(5), channel.new(5)
    local sem, timer = thrum.semaphore.new(1), time.steady_timer.new()
    a:send("a")
    b:send("b")
    lu.assertEquals(results {b, a, sem, timer, {out, 1}}, {1, "b", n = 2})
    lu.assertEquals(results {sem, a, timer, {out, 1}}, {1, n = 1})
    lu.assertEquals(results {sem, timer, a, {out, 1}}, {2, n = 1})
    lu.assertEquals(results {sem, {out, 1}, a, timer}, {2, n = 1})
    lu.assertEquals({#a, #b, #out, sem.count}, {1, 0, 1, 0})
end

t["test timeout 0 tells whether anything is ready, without waiting"] = function()
    local a, out, sem = channel.new(), channel.new(), thrum.semaphore.new(0)
    local timer, fib = time.steady_timer.new(), h.start(a.receive, channel.new())
    timer:expires_after(3600)
    local has_run = false
    local other = spawn(function() has_run = true end)
    lu.assertEquals(results {a, {out, 1}, sem, timer, fib, timeout = 0}, {nil, n = 1})
    lu.assertFalse(has_run)
    other:join()
    fib:interrupt()
    fib:join()
    lu.assertEquals(results {timeout = 0}, {nil, n = 1})
end

t["test a closed channel is ready: nothing is received, and a send is EPIPE"] = function()
    local open, closed = channel.new(), channel.new(1)
    closed:send("last")
    closed:close()
    lu.assertEquals(results {open, closed}, {2, "last", n = 2})
    lu.assertEquals(results {open, closed}, {2, nil, n = 2})
    local err = h.raises("EPIPE", select_one, {open, {closed, 1}})
    h.assert_contains(tostring(err), "case 2")
end

-- Waiting

t["test a select that waits gets the value that comes first"] = function()
    local a, b = channel.new(), channel.new(3)
    for _, ch in ipairs {a, b} do
        local fib = h.start(results, {a, b})
        ch:send("value")
        lu.assertEquals(fib:join(), {ch == a and 1 or 2, "value", n = 2})
        lu.assertEquals(#ch, 0)
    end
end

t["test a select that waits sends to the receiver that comes first"] = function()
    local a, b, log = channel.new(), channel.new(1), {}
    b:send("before")
    local fib = h.start(results, {{a, "to a"}, {b, "to b"}})
    lu.assertEquals(b:receive(), "before")
    lu.assertEquals(fib:join(), {2, n = 1})
    lu.assertEquals(b:receive(), "to b")
    fib = h.start(results, {{a, "to a"}, {b, "to b"}})
    lu.assertEquals(fib:join(), {2, n = 1})
    fib = h.start(results, {{b, "to b, too"}, {a, "to a"}})
    log[1] = a:receive()
    lu.assertEquals(fib:join(), {2, n = 1})
    lu.assertEquals(log, {"to a"})
    lu.assertEquals(b:receive(), "to b")
    lu.assertEquals(#b, 0)
end

t["test two selects meet, and one never meets itself"] = function()
    local a, b = channel.new(), channel.new()
    local own = h.start(results, {a, {a, "own"}})
    lu.assertTrue(own.joinable)
    local other = h.start(results, {b, {a, "other"}})
    lu.assertEquals(own:join(), {1, "other", n = 2})
    lu.assertEquals(other:join(), {2, n = 1})
    own = h.start(results, {a, {a, "own"}})
    lu.assertEquals(results {b, a}, {2, "own", n = 2})
    lu.assertEquals(own:join(), {2, n = 1})
end

t["test a channel may be in a list several times"] = function()
    local ch = channel.new()
    local fib = h.start(results, {ch, ch, {ch, 1}, {ch, 2}})
    ch:send("value")
    lu.assertEquals(fib:join(), {1, "value", n = 2})
    fib = h.start(results, {{ch, 1}, {ch, 2}})
    lu.assertEquals(ch:receive(), 1)
    lu.assertEquals(fib:join(), {1, n = 1})
    lu.assertEquals(results {ch, {ch, 1}, timeout = 0}, {nil, n = 1})
    fib = h.start(results, {ch, ch})
    ch:close()
    lu.assertEquals(fib:join(), {1, nil, n = 2})
end

t["test close ends a select: with nil where it receives, with EPIPE where it sends"] = function()
    local a, b = channel.new(), channel.new()
    local fib = h.start(results, {a, b})
    b:close()
    lu.assertEquals(fib:join(), {2, nil, n = 2})
    local out = channel.new()
    fib = h.try(select_one, {a, {out, "not sent"}})
    out:close()
    local ok, err = fib:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.EPIPE)
end

t["test a select waits in line, and waiters beside it keep their places"] = function()
    local ch, other = channel.new(), channel.new()
    local first, chosen, last =
        h.start(ch.receive, ch), h.start(results, {other, ch}), h.start(ch.receive, ch)
    ch:send(1)
    ch:send(2)
    ch:send(3)
    lu.assertEquals(first:join(), 1)
    lu.assertEquals(chosen:join(), {2, 2, n = 2})
    lu.assertEquals(last:join(), 3)

    -- and when it leaves by another case
    first, chosen, last =
        h.start(ch.receive, ch), h.start(results, {other, ch}), h.start(ch.receive, ch)
    other:send("other")
    ch:send(1)
    ch:send(2)
    lu.assertEquals(first:join(), 1)
    lu.assertEquals(last:join(), 2)
    lu.assertEquals(chosen:join(), {1, "other", n = 2})
end

t["test a case that has lost is gone at once, before its fiber has run"] = function()
    local a, b = channel.new(), channel.new(1)
    local out = channel.new()
    local fib = h.start(results, {a, b, {out, "not sent"}})
    a:send("a") -- decides; the fiber has not run since
    b:send("b")
    lu.assertEquals(#b, 1)
    lu.assertEquals(results {out, timeout = 0}, {nil, n = 1})
    lu.assertEquals(fib:join(), {1, "a", n = 2})
    lu.assertEquals(b:receive(), "b")
end

t["test a value given to a select cannot be taken by somebody who comes first"] = function()
    local ch = channel.new(5)
    local fib = h.start(results, {channel.new(), ch})
    ch:send("first")
    ch:send("second")
    lu.assertEquals(ch:receive(), "second")
    lu.assertEquals(fib:join(), {2, "first", n = 2})
end

t["test a sender that selects moves up into the buffer"] = function()
    local ch = channel.new(2)
    ch:send(1)
    ch:send(2)
    local fib = h.start(results, {channel.new(), {ch, 3}})
    lu.assertEquals(ch:receive(), 1)
    lu.assertEquals(#ch, 2)
    lu.assertEquals(fib:join(), {2, n = 1})
    lu.assertEquals({ch:receive(), ch:receive()}, {2, 3})
end

-- Fibers

t["test the end of a fiber is seen, and left to be joined"] = function()
    local ch, value = channel.new(), {}
    local well, failing = h.start(function() return ch:receive() end), h.start(function()
        ch:receive()
        error(value)
    end)
    local watcher = h.start(results, {channel.new(), failing, well})
    ch:send("result")
    lu.assertEquals(watcher:join(), {3, n = 1})
    lu.assertTrue(well.joinable)
    lu.assertEquals(well:join(), "result")
    watcher = h.start(results, {failing})
    ch:send("go")
    lu.assertEquals(watcher:join(), {1, n = 1})
    lu.assertEquals(results {channel.new(), failing}, {2, n = 1}) -- it has ended already
    lu.assertTrue(rawequal(select(2, pcall(failing.join, failing)), value))
end

t["test several may watch a fiber that somebody joins"] = function()
    local ch = channel.new()
    local fib = h.start(ch.receive, ch)
    local watchers = {h.start(results, {fib}), h.start(results, {channel.new(), fib})}
    local joiner = h.start(fib.join, fib)
    watchers[3] = h.start(results, {fib, fib})
    ch:send("result")
    lu.assertEquals(joiner:join(), "result")
    for i, number in ipairs {1, 2, 1} do
        lu.assertEquals(watchers[i]:join(), {number, n = 1})
    end
    local err = h.raises("EINVAL", select_one, {channel.new(), fib})
    h.assert_contains(tostring(err), "case 2: the fiber was joined or detached")
end

t["test a watched fiber may be detached, interrupted, and dropped"] = function()
    local ch = channel.new()
    local fib = h.start(ch.receive, ch)
    local watcher = h.start(results, {fib})
    local id = tostring(fib):match("%d+")
    fib:detach()
    lu.assertEquals(fiber.list()[#fiber.list()].waits_for, ("fiber.select (fiber %s)"):format(id))
    ch:send(1)
    lu.assertEquals(watcher:join(), {1, n = 1})
    h.raises("EINVAL", select_one, {fib})

    fib = h.start(ch.receive, ch)
    watcher = h.start(results, {fib})
    fib:interrupt()
    lu.assertEquals(watcher:join(), {1, n = 1})
    fib:join()

    watcher = h.start(function() return select_one {spawn(ch.receive, ch)} end)
    collectgarbage()
    collectgarbage()
    ch:send(1)
    lu.assertEquals(watcher:join(), 1)
end

t["test a fiber cannot wait for its own end"] = function()
    local self
    self = spawn(function() h.raises("EDEADLK", select_one, {self, channel.new(1)}) end)
    self:join()
end

t["test the first of several children"] = function()
    local names = {}
    fiber.group(function(g)
        local children = {}
        for i = 1, 3 do
            children[i] = g:spawn(function()
                h.let_others_run(4 - i)
                return "child " .. i
            end)
        end
        while #children > 0 do
            names[#names + 1] = table.remove(children, select_one(children)):join()
        end
    end)
    lu.assertEquals(names, {"child 3", "child 2", "child 1"})
end

-- Time

t["test timeout ends a select with nil, and leaves no trace"] = function()
    local ch, out, sem = channel.new(), channel.new(), thrum.semaphore.new(0)
    local start = time.steady_clock.now()
    lu.assertEquals(results {ch, {out, 1}, sem, timeout = 0.01}, {nil, n = 1})
    lu.assertTrue(time.steady_clock.now() - start >= 0.01)
    lu.assertEquals(results {timeout = 0.001}, {nil, n = 1})
    sem:release()
    lu.assertEquals(sem.count, 1)
    lu.assertEquals(results {out, timeout = 0}, {nil, n = 1})
    local sender = h.start(ch.send, ch, "value")
    lu.assertTrue(sender.joinable)
    lu.assertEquals(results {ch, timeout = math.huge}, {1, "value", n = 2})
    sender:join()
end

-- Seen: a huge timeout alone was "nothing to wait for".
t["test every number of seconds is a timeout: what no clock reaches is for ever"] = function()
    for _, seconds in ipairs {9e8, 8.9e9, 1e10, 1e300, math.huge, math.maxinteger} do
        local waiting = h.start(select_one, {timeout = seconds})
        lu.assertTrue(waiting.joinable)
        waiting:interrupt()
        waiting:join()
        lu.assertTrue(waiting.interruption_caught)
        local ch = channel.new()
        local receiving = h.start(select_one, {ch, timeout = seconds})
        ch:send("value")
        lu.assertEquals(table.pack(receiving:join()), {1, "value", n = 2})
        local timer = time.steady_timer.new()
        timer:expires_after(seconds)
        lu.assertEquals(results {timer, timeout = 0.001}, {nil, n = 1})
    end
    lu.assertEquals(results {timeout = -0.0}, {nil, n = 1})
end

t["test a timer that expires is a case"] = function()
    local early, late = time.steady_timer.new(), time.system_timer.new()
    early:expires_after(0.002)
    late:expires_after(3600)
    lu.assertEquals(results {channel.new(), late, early, timeout = 100}, {3, n = 1})
    late:expires_after(0.002)
    lu.assertEquals(results {channel.new(), late, timeout = 100}, {2, n = 1})
    lu.assertTrue(time.system_clock.now() >= late.expiry)
    lu.assertEquals(results {late, early}, {1, n = 1})
    local never = time.steady_timer.new()
    never:expires_after(math.huge)
    lu.assertEquals(results {never, timeout = 0.001}, {nil, n = 1})
end

t["test a timer that is cancelled or set anew ends a select with ECANCELED"] = function()
    for _, cancel in ipairs {
        function(timer) lu.assertEquals(timer:cancel(), 2) end,
        function(timer) timer:expires_after(3600) end,
        function(timer) timer:expires_at(0) end,
    } do
        local ch, timer = channel.new(), time.steady_timer.new()
        timer:expires_after(3600)
        local fib, plain = h.try(select_one, {ch, timer}), h.try(timer.wait, timer)
        cancel(timer)
        local ok, err = fib:join()
        lu.assertFalse(ok)
        lu.assertTrue(err == thrum.generic_error.ECANCELED)
        h.assert_contains(tostring(err), "case 2")
        lu.assertFalse(plain:join())
        lu.assertEquals(results {{ch, 1}, timeout = 0}, {nil, n = 1})
    end
end

t["test a timer that was lost to another case is free"] = function()
    local ch, timer = channel.new(), time.steady_timer.new()
    timer:expires_after(3600)
    local fib = h.start(results, {timer, ch, timeout = 3600})
    ch:send(1)
    lu.assertEquals(timer:cancel(), 0)
    lu.assertEquals(fib:join(), {2, 1, n = 2})
    time.sleep(0.001)
end

t["test with_timeout and timeout: the nearest ends it, each in its own way"] = function()
    local ch = channel.new()
    h.raises("ETIMEDOUT", time.with_timeout, 0.002, select_one, {ch, timeout = 100})
    lu.assertNil(time.with_timeout(100, select_one, {ch, timeout = 0.002}))
    h.raises("ETIMEDOUT", time.with_timeout, 0, select_one, {ch})
    lu.assertEquals(time.with_timeout(0.003, function()
        h.raises("ETIMEDOUT", select_one, {ch, timeout = 100})
        return select_one {ch, timeout = 0}
    end), nil)
    local sender = h.start(ch.send, ch, "value")
    lu.assertEquals({time.with_timeout(100, select_one, {ch})}, {1, "value"})
    sender:join()
end

-- Semaphores

t["test a semaphore is acquired only by the case that wins"] = function()
    local sem, ch = thrum.semaphore.new(0), channel.new()
    local fib = h.start(results, {ch, sem})
    sem:release()
    lu.assertEquals(sem.count, 0)
    lu.assertEquals(fib:join(), {2, n = 1})
    fib = h.start(results, {ch, sem})
    ch:send(1)
    sem:release()
    lu.assertEquals(sem.count, 1)
    lu.assertEquals(fib:join(), {1, 1, n = 2})
end

-- Interruption

t["test an interrupted select has taken nothing and sent nothing"] = function()
    local a, out, sem = channel.new(1), channel.new(), thrum.semaphore.new(0)
    local fib = h.start(select_one, {a, {out, "not sent"}, sem, timeout = 3600})
    fib:interrupt()
    a:send("kept")
    sem:release()
    lu.assertEquals(results {out, timeout = 0}, {nil, n = 1})
    fib:join()
    lu.assertTrue(fib.interruption_caught)
    lu.assertEquals(a:receive(), "kept")
    lu.assertEquals(sem.count, 1)
end

t["test what a select had been given comes before the interruption"] = function()
    local ch = channel.new()
    local fib = h.start(results, {ch, channel.new()})
    ch:send("value")
    fib:interrupt()
    lu.assertEquals(fib:join(), {1, "value", n = 2})
end

t["test a timer that has expired comes before the interruption"] = function()
    local timer = time.steady_timer.new()
    local function state()
        for _, entry in ipairs(fiber.list()) do
            if entry.name == "chosen" then
                return entry.state
            end
        end
    end
    local found
    for attempt = 1, 12 do -- where all is slow, it may have gone on before we look
        timer:expires_after(0.0005 * 2 ^ attempt)
        local fib = h.start(fiber.named("chosen", results), {channel.new(), timer})
        repeat -- nobody else runs
        until time.steady_clock.now() > timer.expiry
        while state() == "waiting" do -- until the loop has seen it
            this_fiber.yield()
        end
        found = state()
        fib:interrupt()
        lu.assertEquals(fib:join(), {2, n = 1})
        if found == "ready" then
            break
        end
    end
    lu.assertEquals(found, "ready")
end

t["test a select is an interruption point even when something is ready"] = function()
    local ch, self = channel.new(1), nil
    ch:send("kept")
    self = spawn(function()
        self:interrupt()
        select_one {ch}
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertEquals(#ch, 1)
end

t["test selects that end at once give way now and then"] = function()
    local turns, stop = 0, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    local ch = channel.new(1)
    for i = 1, 200 do
        lu.assertEquals(results {{ch, i}, timeout = 0}, {1, n = 1})
        lu.assertEquals(results {ch}, {1, i, n = 2})
        lu.assertNil((select_one {ch, timeout = 0}))
    end
    stop = true
    other:join()
    lu.assertTrue(turns > 1)
end

-- Where it is called

t["test select works in coroutines inside fibers"] = function()
    local a, b, got = channel.new(), channel.new(), {}
    local fib = spawn(function()
        for _, value in coroutine.wrap(function()
            for _ = 1, 3 do
                coroutine.yield(select_one {a, b})
            end
        end) do
            got[#got + 1] = value
        end
    end)
    a:send(1)
    b:send(2)
    a:send(3)
    fib:join()
    lu.assertEquals(got, {1, 2, 3})
end

t["test a select that would wait is refused where it cannot suspend"] = function()
    local ch, empty = channel.new(1), channel.new()
    ch:send(1)
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
        function() select_one {empty, {ch, 2}} end)
    this_fiber.forbid_suspend()
    h.raises_text("fiber", "Operation not permitted within a forbid-suspend block", select_one,
        {ch})
    this_fiber.allow_suspend()
    lu.assertEquals(#ch, 1)
end

t["test the list may change while the select waits"] = function()
    local ch, out = channel.new(), channel.new()
    local cases = {channel.new(), {channel.new(), {}}, ch, {out, "value"}, spawn(time.sleep, 0.01),
        time.steady_timer.new(), timeout = 100}
    cases[6]:expires_after(3600)
    local send = cases[4]
    local fib = h.start(results, cases)
    for i = 1, 6 do
        cases[i] = nil
    end
    cases.timeout, send[2] = nil, "another"
    collectgarbage()
    collectgarbage()
    lu.assertEquals(out:receive(), "value")
    lu.assertEquals(fib:join(), {4, n = 1})
end

t["test a list may be long"] = function()
    local cases = {}
    for i = 1, 1000 do
        cases[i] = channel.new()
    end
    local fib = h.start(results, cases)
    cases[777]:send("value")
    lu.assertEquals(fib:join(), {777, "value", n = 2})
    for i = 1, 32768 do
        cases[i] = cases[1]
    end
    h.raises("EINVAL", select_one, cases)
end

t["test bad lists are refused, and nothing of them has happened"] = function()
    local ch = channel.new(3)
    ch:send("kept")
    local function refused(part, cases)
        local err = h.raises_arg(1, select_one, cases)
        h.assert_contains(tostring(err), part)
    end
    for _, bad in ipairs {0, "channel", true, print, io.stdout, {}, {ch}, {1, 2}, {ch, 1, 2},
        {ch, nil, 1}, thrum.mutex.new(), thrum.condition_variable.new(), fiber.group(),
        setmetatable({}, {__index = function() error("trap") end})} do
        refused("case 2", {ch, bad})
    end
    refused("case 2", {ch, nil, ch})
    refused("got \"timout\"", {ch, timout = 1})
    refused("got 0", {[0] = ch, ch})
    refused("got 2.5", {ch, [2.5] = ch})
    for _, bad in ipairs {-1, 0 / 0, "1", true, {}} do
        refused("timeout", {ch, timeout = bad})
    end
    for _, bad in ipairs {0, "x", true, print, ch} do
        h.raises_arg(1, select_one, bad)
    end
    h.raises_arg(1, select_one)
    h.raises("EINVAL", select_one, {})
    lu.assertEquals(#ch, 1)
    lu.assertEquals(results(setmetatable({ch}, {__len = error, __index = error})),
        {1, "kept", n = 2})
end

t["test fiber.list tells what a select waits for"] = function()
    local ch, timer = channel.new(), time.steady_timer.new()
    local other = h.start(fiber.named("other", ch.receive), channel.new())
    timer:expires_after(3600)
    local function look(cases)
        local fib = spawn(fiber.named("looked at", select_one), cases)
        this_fiber.yield()
        for _, entry in ipairs(fiber.list()) do
            if entry.name == "looked at" then
                fib:interrupt()
                fib:join()
                return (entry.waits_for:gsub("%d+", "N"))
            end
        end
    end
    lu.assertEquals(look {ch, {ch, 1}, thrum.semaphore.new(0), timer, other, timeout = 9},
        'fiber.select (channel.receive, channel.send, semaphore.acquire, timer, ' ..
        'fiber N "other", timeout)')
    lu.assertEquals(look {ch}, "fiber.select (channel.receive)")
    lu.assertEquals(look {timeout = 9}, "fiber.select (timeout)")
    other:interrupt()
    other:join()
end

t["test what took part in a select is collected"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    local function note(value)
        weak[value] = true
        return value
    end
    local kept, never = channel.new(), channel.new()
    spawn(function()
        local fib = h.start(results, note {kept, {never, note {}}, note(channel.new())})
        kept:send(note {})
        fib:join()
        fib = h.start(results, note {kept, {never, note {}}, timeout = 3600})
        fib:interrupt()
        fib:join()
        fib = h.start(results, note {kept, {never, note {}}, timeout = 0.001})
        fib:join()
        note(fib)
        local watched = note(h.start(kept.receive, kept))
        fib = h.start(results, {never, watched})
        kept:send(1)
        fib:join()
        watched:join()
    end):join()
    h.let_others_run(3)
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
end

-- Every value is received once, or its sender knows that it was not.
t["test races: select against send, receive, select, close, interruption and timeouts"] =
    function()
        local rounds = math.max(20, h.rounds // (h.is_slow and 200 or 10))
        local seen = {}
        for round = 1, rounds do
            local channels = {channel.new(round % 2), channel.new(round % 3), channel.new()}
            local sent, received = {}, {}
            local function note(list, value)
                lu.assertNil(list[value], "twice: " .. tostring(value))
                list[value] = true
            end
            local function choose(id, seconds)
                local cases = {timeout = seconds}
                for i = 1, 3 do
                    local ch = channels[1 + (id + i + round) % 3]
                    cases[i] = (id + i) % 2 == 0 and ch or {ch, id * 10 + i}
                end
                local number, value = select_one(cases)
                if not number then
                    seen.timeout = true
                elseif type(cases[number]) == "table" then
                    note(sent, cases[number][2])
                    seen.sent = true
                elseif value then
                    note(received, value)
                    seen.received = true
                else
                    seen.closed = true
                end
            end
            local function plain(id)
                local ch = channels[1 + id % 3]
                if (id + round) % 2 == 0 then
                    note(received, ch:receive())
                else
                    ch:send(id * 10)
                    note(sent, id * 10)
                end
            end
            local fibers, timeouts = {}, {0, 0.000001, nil, nil, 100}
            for id = 1, 7 do
                local f = (id + round) % 4 == 0 and plain or choose
                fibers[id] = spawn(pcall, f, id, timeouts[1 + id * round % 5])
                if round % (id + 1) == 0 then
                    this_fiber.yield()
                end
            end
            h.let_others_run(round % 3)
            fibers[1 + round % 7]:interrupt()
            channels[1 + round % 3]:close()
            fibers[1 + (round + 3) % 7]:interrupt()
            h.let_others_run(round % 2)
            for _, ch in ipairs(channels) do
                ch:close()
            end
            for _, fib in ipairs(fibers) do
                fib:join()
            end
            for _, ch in ipairs(channels) do
                for value in ch:values() do
                    note(received, value)
                end
            end
            lu.assertEquals(received, sent)
        end
        if rounds >= 1000 then
            for _, what in ipairs {"timeout", "sent", "received", "closed"} do
                lu.assertTrue(seen[what] or false, what)
            end
        end
    end
