-- SPDX-License-Identifier: BSL-1.0
-- channel: values from fiber to fiber, each to one receiver, in order.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, channel, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.channel, thrum.coroutine
local pcall = thrum.pcall

local function ends(f, ...)
    return h.raises_text("misc", "End of file", f, ...)
end

t["test without a buffer a send waits for its receiver"] = function()
    local ch, log = channel.new(), {}
    lu.assertEquals(ch.capacity, 0)
    local sender = h.start(function()
        lu.assertEquals(select("#", ch:send "value"), 0)
        log[#log + 1] = "sent"
    end)
    lu.assertEquals(log, {})
    lu.assertEquals(#ch, 0)
    lu.assertEquals(table.pack(ch:receive()), {"value", n = 1})
    sender:join()
    lu.assertEquals(log, {"sent"})
end

t["test a receiver waits for its value"] = function()
    local ch = channel.new()
    local receiver = h.start(ch.receive, ch)
    ch:send(17)
    lu.assertEquals(receiver:join(), 17)
end

t["test a buffer takes as many values as its capacity without waiting"] = function()
    local ch = channel.new(3)
    lu.assertEquals(ch.capacity, 3)
    for i = 1, 3 do
        ch:send(i)
        lu.assertEquals(#ch, i)
    end
    local sender = h.start(ch.send, ch, 4)
    lu.assertTrue(sender.joinable)
    lu.assertEquals(#ch, 3)
    lu.assertEquals(ch:receive(), 1)
    lu.assertEquals(#ch, 3)
    sender:join()
    for i = 2, 4 do
        lu.assertEquals(ch:receive(), i)
    end
    lu.assertEquals(#ch, 0)
end

t["test any value but nil goes through as it is"] = function()
    local ch = channel.new(1)
    for _, value in ipairs {false, true, 0, 1.5, "", "text", {}, print, coroutine.create(print), ch,
        io.stdout} do
        ch:send(value)
        lu.assertTrue(rawequal(ch:receive(), value))
        local receiver = h.start(ch.receive, ch)
        ch:send(value)
        lu.assertTrue(rawequal(receiver:join(), value))
    end
    h.raises_arg(2, ch.send, ch)
    h.raises_arg(2, ch.send, ch, nil)
    lu.assertEquals(#ch, 0)
end

t["test values arrive in the order of the sends, receivers are served in theirs"] = function()
    for _, capacity in ipairs {0, 1, 3} do
        local ch, senders, receivers = channel.new(capacity), {}, {}
        for i = 1, 6 do
            senders[i] = h.start(ch.send, ch, i)
        end
        for i = 1, 6 do
            lu.assertEquals(ch:receive(), i)
        end
        for i = 1, 6 do
            senders[i]:join()
            receivers[i] = h.start(ch.receive, ch)
        end
        for i = 1, 6 do
            ch:send(i)
        end
        for i = 1, 6 do
            lu.assertEquals(receivers[i]:join(), i)
        end
    end
end

t["test a value that was handed over cannot be taken by somebody who comes first"] = function()
    local ch = channel.new(5)
    local receiver = h.start(ch.receive, ch)
    ch:send "first"
    ch:send "second"
    lu.assertEquals(ch:receive(), "second")
    lu.assertEquals(receiver:join(), "first")
end

t["test many senders and receivers lose and double nothing"] = function()
    for _, capacity in ipairs {0, 1, 7} do
        local ch, count, sum = channel.new(capacity), h.is_eager and 20 or 200, 0
        local senders, receivers = {}, {}
        for i = 1, 5 do
            senders[i] = spawn(function()
                for k = 1, count do
                    ch:send(k)
                end
            end)
            receivers[i] = spawn(function()
                for value in ch:values() do
                    sum = sum + value
                end
            end)
        end
        for i = 1, 5 do
            senders[i]:join()
        end
        ch:close()
        for i = 1, 5 do
            receivers[i]:join()
        end
        lu.assertEquals(sum, 5 * count * (count + 1) // 2)
    end
end

-- values and close

t["test values gives what comes until the channel is closed"] = function()
    local ch, got = channel.new(2), {}
    local producer = spawn(function()
        for i = 1, 5 do
            ch:send(i)
            time.sleep(0)
        end
        ch:send(false)
        ch:close()
    end)
    for value in ch:values() do
        got[#got + 1] = value
        if value == false then
            break
        end
    end
    producer:join()
    lu.assertEquals(got, {1, 2, 3, 4, 5, false})
    lu.assertNil((ch:values()(ch)))
end

t["test what was buffered is received after the channel was closed"] = function()
    local ch = channel.new(3)
    ch:send(1)
    ch:send(2)
    lu.assertFalse(ch.is_closed)
    lu.assertEquals(select("#", ch:close()), 0)
    lu.assertTrue(ch.is_closed)
    h.raises("EPIPE", ch.send, ch, 3)
    lu.assertEquals(#ch, 2)
    lu.assertEquals(ch:receive(), 1)
    lu.assertEquals(ch:receive(), 2)
    ends(ch.receive, ch)
    ends(ch.receive, ch)
    ch:close()
    for _ in ch:values() do
        lu.fail("a value from a closed channel")
    end
end

t["test close ends the waits of receivers with eof, of senders with EPIPE"] = function()
    local ch = channel.new()
    local receivers = {h.start(ch.receive, ch), h.start(function()
        for _ in ch:values() do end
        return "over"
    end)}
    ch:close()
    ends(receivers[1].join, receivers[1])
    lu.assertEquals(receivers[2]:join(), "over")

    ch = channel.new(1)
    ch:send "kept"
    local sender = h.start(ch.send, ch, "not sent")
    ch:close()
    h.raises("EPIPE", sender.join, sender)
    lu.assertEquals(ch:receive(), "kept")
    ends(ch.receive, ch)
end

t["test a value handed over before close arrives"] = function()
    local ch = channel.new()
    local receiver = h.start(ch.receive, ch)
    ch:send "last"
    ch:close()
    lu.assertEquals(receiver:join(), "last")
end

-- interruption and timeouts

t["test an interrupted sender has sent nothing"] = function()
    local ch = channel.new()
    local interrupted, other = h.start(ch.send, ch, "no"), h.start(ch.send, ch, "yes")
    interrupted:interrupt()
    lu.assertEquals(ch:receive(), "yes")
    interrupted:join()
    other:join()
    lu.assertTrue(interrupted.interruption_caught)
end

t["test an interrupted receiver takes nothing"] = function()
    local ch = channel.new()
    local interrupted, other = h.start(ch.receive, ch), h.start(ch.receive, ch)
    interrupted:interrupt()
    ch:send "value"
    interrupted:join()
    lu.assertEquals(other:join(), "value")
    lu.assertTrue(interrupted.interruption_caught)
end

t["test a value that was handed over comes before the interruption"] = function()
    local ch = channel.new()
    local receiver = h.start(function() return ch:receive() end)
    ch:send "value"
    receiver:interrupt()
    lu.assertEquals(receiver:join(), "value")
end

t["test send and receive are interruption points even when they need not wait"] = function()
    local ch, self = channel.new(5), nil
    ch:send(1)
    for _, call in ipairs {ch.send, ch.receive, (ch:values())} do
        self = spawn(function()
            self:interrupt()
            call(ch, 2)
        end)
        self:join()
        lu.assertTrue(self.interruption_caught)
    end
    lu.assertEquals(#ch, 1)
end

t["test with_timeout ends a send and a receive, and the channel stays usable"] = function()
    local ch = channel.new()
    h.raises("ETIMEDOUT", time.with_timeout, 0.001, ch.receive, ch)
    h.raises("ETIMEDOUT", time.with_timeout, 0.001, ch.send, ch, 1)
    local sender = spawn(ch.send, ch, 2)
    lu.assertEquals(time.with_timeout(10, ch.receive, ch), 2)
    sender:join()
end

t["test calls that complete at once give way now and then"] = function()
    local ch, turns, stop = channel.new(1), 0, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    for i = 1, 500 do
        ch:send(i)
        lu.assertEquals(ch:receive(), i)
    end
    stop = true
    other:join()
    lu.assertTrue(turns > 1)
end

t["test a value taken while giving way arrives before the interruption"] = function()
    local ch, n_received = channel.new(200), 0
    for i = 1, 200 do
        ch:send({i})
    end
    local fiber = h.start(function()
        for value in ch:values() do
            n_received = n_received + 1
            lu.assertEquals(value, {n_received})
        end
    end)
    lu.assertTrue(n_received < 200) -- so it gives way, with a value in its hands
    lu.assertEquals(#ch, 200 - n_received - 1)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(#ch, 200 - n_received)
end

t["test a channel works from coroutines inside fibers"] = function()
    local ch = channel.new()
    local sender = spawn(coroutine.wrap(function()
        for i = 1, 3 do
            ch:send(i)
        end
        ch:close()
    end))
    local got = {}
    for value in coroutine.wrap(function()
        for value in ch:values() do
            coroutine.yield(value)
        end
    end) do
        got[#got + 1] = value
    end
    sender:join()
    lu.assertEquals(got, {1, 2, 3})
end

t["test calls that would wait are refused where they cannot suspend, and move nothing"] = function()
    local full, empty = channel.new(1), channel.new(1)
    full:send(1)
    local calls = {[full.send] = full, [empty.receive] = empty, [empty:values()] = empty}
    for call, ch in pairs(calls) do
        h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x",
            function() call(ch, 1) end)
    end
    lu.assertEquals({#full, #empty}, {1, 0})
    lu.assertEquals(full:receive(), 1)
    empty:send(2)
    lu.assertEquals(empty:receive(), 2)
end

t["test bad values are refused cleanly"] = function()
    for _, bad in ipairs {-1, 1.5, 2^31, 0 / 0, "1", {}, true, print, math.mininteger} do
        h.raises_arg(1, channel.new, bad)
    end
    lu.assertEquals(channel.new(nil).capacity, 0)
    local ch = channel.new()
    for _, bad in ipairs {0, "channel", {}, true, print, thrum.mutex.new(), io.stdout} do
        h.raises_arg(1, ch.send, bad, 1)
        h.raises_arg(1, ch.receive, bad)
        h.raises_arg(1, ch.values, bad)
        h.raises_arg(1, ch.close, bad)
        h.raises_arg(1, (ch:values()), bad)
    end
    h.raises("EINVAL", function() return ch.no_such_field end)
    h.raises("EINVAL", function() ch.capacity = 5 end)
    h.raises("EINVAL", function() ch.is_closed = true end)
    h.assert_starts(tostring(ch), "channel")
end

t["test a dropped channel is collected with its values, and values that went through are free"] =
    function()
        local weak = setmetatable({}, {__mode = "k"})
        local function note(value)
            weak[value] = true
            return value
        end
        local kept = channel.new(2)
        spawn(function()
            local ch = note(channel.new(3))
            ch:send(note {})
            ch:send(ch) -- a cycle
            kept:send(note {})
            kept:receive()
            local sender = h.start(kept.send, kept, note {})
            sender:join()
            kept:receive()
            local interrupted = h.start(ch.send, channel.new(), note {})
            interrupted:interrupt()
            interrupted:join()
        end):join()
        collectgarbage()
        collectgarbage()
        lu.assertNil(next(weak))
    end

-- Every value is received once, or its sender knows that it was not.
t["test races: close, interruption and timeout against send and receive"] = function()
    local rounds = math.max(10, h.rounds // 20)
    for round = 1, rounds do
        local ch = channel.new(round % 3)
        local n_sent, n_received = 0, 0
        local function send(seconds)
            time.with_timeout(seconds, ch.send, ch, round)
            n_sent = n_sent + 1
        end
        local function receive(seconds)
            lu.assertEquals(time.with_timeout(seconds, ch.receive, ch), round)
            n_received = n_received + 1
        end
        local fibers = {}
        for i = 1, 4 do
            local f = (i + round // 3) % 2 == 0 and send or receive
            fibers[i] = spawn(pcall, f, i == 2 and 0.000001 or 100)
            if round % (i + 1) == 0 then
                this_fiber.yield()
            end
        end
        fibers[1 + round % 4]:interrupt()
        if round % 5 == 0 then
            this_fiber.yield()
        end
        ch:close()
        fibers[1 + (round + 1) % 4]:interrupt()
        for i = 1, 4 do
            fibers[i]:join()
        end
        lu.assertEquals(n_sent, n_received + #ch)
    end
end
