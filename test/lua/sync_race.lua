-- SPDX-License-Identifier: BSL-1.0
-- mutex, condition_variable, semaphore, channel: what is handed over races against an interruption,
-- a timeout or a close of who waits for it. Each wait ends once, and what was handed over is with
-- somebody: no wake-up and no value is lost. THRUM_ROUNDS says how many rounds each race has, 4,000
-- by default.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time = thrum.spawn, thrum.this_fiber, thrum.time
local pcall = thrum.pcall
local EPIPE, ETIMEDOUT = thrum.generic_error.EPIPE, thrum.generic_error.ETIMEDOUT
local rounds = h.rounds_given or 4000
local tick = h.is_slow and 0.0003 or 0.00001 -- about as long as what it races against

-- Both outcomes have occurred, or it was no race. A few rounds prove nothing.
local function assert_both(n, m)
    if rounds >= 1000 then
        lu.assertTrue(n > 0 and m > 0, n .. " and " .. m)
    end
end

-- ---- waiters ----

-- A fiber that makes one call and notes how it ended. With `seconds`, for no longer.
local function new_waiter(seconds, f, ...)
    local waiter = {n_ends = 0}
    local function note(ok, value)
        waiter.n_ends = waiter.n_ends + 1
        waiter.is_served, waiter.value = ok, value
    end
    if seconds then
        waiter.fiber = spawn(function(...)
            note(pcall(time.with_timeout, seconds, f, ...))
        end, ...)
    else
        waiter.fiber = spawn(function(...)
            note(pcall(f, ...))
        end, ...)
    end
    return waiter
end

local function is_given_up(waiter)
    return waiter.n_ends == 1 and not waiter.is_served
end

local function count_served(waiters)
    local n = 0
    for _, waiter in ipairs(waiters) do
        n = n + (waiter.is_served and 1 or 0)
    end
    return n
end

-- By now they have ended, each once, and those who got nothing were told why.
local function end_waiters(waiters)
    for _, waiter in ipairs(waiters) do
        if waiter.n_ends == 0 then
            waiter.fiber:interrupt()
        end
        waiter.fiber:join()
        lu.assertEquals(waiter.n_ends, 1)
        if not waiter.is_served then
            lu.assertTrue(waiter.value == ETIMEDOUT or h.is_interruption(waiter.value),
                tostring(waiter.value))
        end
    end
end

-- ---- two who wait, one of whom gives up while one is served ----

-- The ways to give up: `begin` gives a waiter's time, `act` is what happens besides.
local ways = {
    interruption = {
        begin = function()
            return nil
        end,
        act = function(waiter)
            waiter.fiber:interrupt()
        end,
    },
    timeout = {
        begin = function(dice)
            return (dice(8) == 1 and 100 or dice(4) - 1) * tick
        end,
        act = function()
        end,
    },
}

-- `wait` is the call of both waiters, of which the first may give up; `serve` ends the wait of one;
-- check(waiters) is called when all has happened that follows from it.
local function race(seed, way, wait, serve, check)
    local dice = h.new_dice(seed)
    local n_served, n_given_up = 0, 0
    for _ = 1, rounds do
        local waiters = {new_waiter(ways[way].begin(dice), wait, 1), new_waiter(nil, wait, 2)}
        h.let_others_run(dice(2))
        if waiters[2].n_ends == 0 and dice(2) == 1 then
            h.let_others_run(1) -- both wait
        end
        if dice(2) == 1 then
            ways[way].act(waiters[1])
            h.let_others_run(dice(3) - 1)
            serve(waiters)
        else
            serve(waiters)
            h.let_others_run(dice(4) - 1)
            ways[way].act(waiters[1])
        end
        h.let_others_run(4)
        check(waiters)
        n_served = n_served + (waiters[1].is_served and 1 or 0)
        n_given_up = n_given_up + (is_given_up(waiters[1]) and 1 or 0)
        end_waiters(waiters)
    end
    assert_both(n_served, n_given_up)
end

local function assert_one_served(waiters)
    lu.assertEquals(count_served(waiters), 1)
end

for i, way in ipairs {"interruption", "timeout"} do
    t["test semaphore: release against " .. way] = function()
        local sem = thrum.semaphore.new(0)
        race(i, way, function()
            sem:acquire()
        end, function()
            sem:release()
        end, function(waiters)
            assert_one_served(waiters)
            lu.assertEquals(sem.count, 0)
        end)
    end

    -- Who has got the mutex hands it on: the second gets it whatever becomes of the first.
    t["test mutex: unlock against " .. way] = function()
        local m = thrum.mutex.new()
        m:lock()
        race(10 + i, way, function()
            m:lock()
            lu.assertEquals(tostring(m), "mutex (held by fiber " .. this_fiber.id .. ")")
            m:unlock()
        end, function()
            m:unlock()
        end, function(waiters)
            lu.assertTrue(waiters[2].is_served)
            lu.assertEquals(tostring(m), "mutex (free)")
            m:lock()
        end)
        m:unlock()
    end

    -- One notification, one return; and each who waited has the mutex again, however it ended.
    t["test condition_variable: notify_one against " .. way] = function()
        local m, cv = thrum.mutex.new(), thrum.condition_variable.new()
        local dice = h.new_dice(20 + i)
        local n_waiting = 0
        race(30 + i, way, function()
            m:lock()
            n_waiting = n_waiting + 1
            local ok, err = h.pcall_inside(cv.wait, cv, m)
            n_waiting = n_waiting - 1
            local owner = tostring(m)
            m:unlock()
            lu.assertEquals(owner, "mutex (held by fiber " .. this_fiber.id .. ")")
            if not ok then
                error(err, 0)
            end
        end, function(waiters)
            while n_waiting == 0 and not waiters[2].is_served do
                this_fiber.yield() -- a notification that finds nobody is lost
            end
            if dice(2) == 1 then
                cv:notify_one()
            else -- and the mutex is not to be had at once
                m:lock()
                cv:notify_one()
                h.let_others_run(dice(3) - 1)
                if dice(2) == 1 then
                    ways[way].act(waiters[1])
                    h.let_others_run(dice(2) - 1)
                end
                m:unlock()
            end
        end, function(waiters)
            assert_one_served(waiters)
            lu.assertEquals(tostring(m), "mutex (free)")
        end)
    end

    t["test channel: send against a receiver's " .. way] = function()
        local ch, number = thrum.channel.new(), 0
        race(40 + i, way, function()
            return ch:receive()
        end, function()
            number = number + 1
            ch:send(number)
        end, function(waiters)
            assert_one_served(waiters)
            for _, waiter in ipairs(waiters) do
                lu.assertTrue(not waiter.is_served or waiter.value == number)
            end
        end)
    end

    -- A sender has sent exactly when its value is received, with a buffer and without.
    for _, capacity in ipairs {0, 1} do
        t[("test channel of %d: receive against a sender's %s"):format(capacity, way)] = function()
            local ch, got = thrum.channel.new(capacity), nil
            local function receive()
                got[#got + 1] = ch:receive()
            end
            race(50 + i, way, function(which)
                if which == 1 and capacity == 1 then
                    ch:send(0) -- fills the buffer
                end
                ch:send(which)
            end, function()
                got = {}
                receive()
            end, function(waiters)
                while #ch > 0 or waiters[2].n_ends == 0 do
                    receive()
                    h.let_others_run(2)
                end
                local is_received = {[1] = false, [2] = false}
                for _, value in ipairs(got) do
                    lu.assertFalse(is_received[value] or false, "received twice")
                    is_received[value] = true
                end
                lu.assertEquals(is_received[1], waiters[1].is_served or false)
                lu.assertTrue(is_received[2] and waiters[2].is_served)
            end)
        end
    end
end

-- ---- close ----

-- Receivers, values, an interruption and a close: each value that was sent is received, each
-- receiver has a value or is told of the end.
t["test channel: close against send, receive and interruption"] = function()
    local dice = h.new_dice(60)
    local n_received, n_at_end = 0, 0
    for round = 1, rounds do
        local ch = thrum.channel.new(dice(3) - 1)
        local receivers, senders = {}, {}
        for i = 1, 2 do
            if i == 1 or dice(2) == 1 then
                receivers[i] = new_waiter(nil, ch.receive, ch)
            end
            senders[i] = new_waiter(nil, ch.send, ch, 10 * round + i)
            h.let_others_run(dice(3) - 1)
        end
        local victim = dice(2) == 1 and receivers[dice(#receivers)] or senders[dice(2)]
        if dice(2) == 1 and victim.n_ends == 0 then
            victim.fiber:interrupt()
            h.let_others_run(dice(2) - 1)
        end
        ch:close()
        h.let_others_run(3)
        local got = {}
        for _, receiver in ipairs(receivers) do
            lu.assertTrue(receiver.n_ends == 1 or receiver == victim)
            if receiver.is_served then
                lu.assertNil(got[receiver.value])
                got[receiver.value] = true
                n_received = n_received + 1
            end
        end
        for value in ch:values() do
            lu.assertNil(got[value])
            got[value] = true
            n_at_end = n_at_end + 1
        end
        for i, sender in ipairs(senders) do
            lu.assertTrue(sender.n_ends == 1 or sender == victim)
            lu.assertEquals(got[10 * round + i] or false, sender.is_served or false)
            lu.assertTrue(sender.is_served or sender.value == nil or sender.value == EPIPE or
                h.is_interruption(sender.value))
        end
        for _, waiters in ipairs {receivers, senders} do
            for _, waiter in ipairs(waiters) do
                waiter.fiber:join()
            end
        end
    end
    assert_both(n_received, n_at_end)
end
