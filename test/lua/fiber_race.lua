-- SPDX-License-Identifier: BSL-1.0
-- Fibers, timers and signals: a join against the end of who is joined, a cancel against an expiry
-- or a signal, interruptions and timeouts against all of them. Each wait ends once, with what was
-- there or with the reason, and nothing is lost or left. THRUM_ROUNDS says how many rounds each
-- race has, 4,000 by default. (ip_udp_socket_race has the races against datagrams.)
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, time, system = thrum.spawn, thrum.time, thrum.system
local pcall = thrum.pcall
local ECANCELED, EINVAL, ETIMEDOUT = thrum.generic_error.ECANCELED, thrum.generic_error.EINVAL,
    thrum.generic_error.ETIMEDOUT
local rounds = h.rounds_given or 4000
local tick = h.is_slow and 0.0003 or 0.00001 -- about as long as what it races against

-- The first set opens Asio's pipe, which stays as long as the state.
system.signal.set.new()

-- Both outcomes have occurred, or it was no race. A few rounds prove nothing.
local function assert_both(n, m)
    if rounds >= 1000 then
        lu.assertTrue(n > 0 and m > 0, n .. " and " .. m)
    end
end

-- A fiber that makes one call and notes its end.
local function watch(f, ...)
    local record = {n_ends = 0}
    record.fiber = spawn(function(...)
        local results = table.pack(pcall(f, ...))
        record.n_ends = record.n_ends + 1
        record.ok, record.value, record.n = results[1], results[2], results.n
    end, ...)
    return record
end

local function assert_ended(record)
    record.fiber:join()
    lu.assertEquals(record.n_ends, 1)
end

-- ---- join ----

-- However a fiber ends, and whenever its joiner comes or gives up: its results go to one join.
t["test join against the end: results, errors and interruptions of the joined"] = function()
    local dice = h.new_dice(1)
    local counts = {ok = 0, failed = 0, interrupted = 0}
    for round = 1, rounds do
        local turns, fails = dice(4) - 1, dice(2) == 1
        local worker = spawn(function()
            h.let_others_run(turns)
            if fails then
                error({round}, 0)
            end
            return round, nil
        end)
        local joiner = watch(worker.join, worker)
        h.let_others_run(dice(5) - 1)
        local is_interrupted = dice(3) == 1 and worker.joinable or joiner.n_ends == 0
        if is_interrupted and dice(2) == 1 then
            worker:interrupt()
        end
        assert_ended(joiner)
        lu.assertFalse(worker.joinable)
        if worker.interruption_caught then
            counts.interrupted = counts.interrupted + 1
            lu.assertTrue(joiner.ok and joiner.n == 1)
        elseif fails then
            counts.failed = counts.failed + 1
            lu.assertTrue(not joiner.ok and joiner.value[1] == round)
        else
            counts.ok = counts.ok + 1
            lu.assertTrue(joiner.ok and joiner.value == round and joiner.n == 3)
        end
    end
    assert_both(counts.ok, counts.failed)
    assert_both(counts.ok, counts.interrupted)
end

t["test two joins of one fiber: one gets the results, the other is refused"] = function()
    local dice = h.new_dice(2)
    for round = 1, rounds do
        local turns = dice(4) - 1
        local worker = spawn(function()
            h.let_others_run(turns)
            return round
        end)
        local joiners = {}
        for i = 1, 2 do
            joiners[i] = watch(worker.join, worker)
            h.let_others_run(dice(3) - 1)
        end
        local n_joined = 0
        for i = 1, 2 do
            assert_ended(joiners[i])
            n_joined = n_joined + (joiners[i].ok and 1 or 0)
            lu.assertTrue(joiners[i].value == (joiners[i].ok and round or EINVAL))
        end
        lu.assertEquals(n_joined, 1)
    end
end

-- A join that gives up leaves the fiber joinable, the results with it.
t["test join against the joiner's timeout and interruption"] = function()
    local dice = h.new_dice(3)
    local n_joined, n_given_up = 0, 0
    for round = 1, rounds do
        local seconds = (dice(4) - 1) * tick
        local worker = spawn(function()
            time.sleep(seconds)
            return round
        end)
        local joiner = watch(time.with_timeout, (dice(4) - 1) * tick, worker.join, worker)
        if dice(3) == 1 then
            h.let_others_run(dice(4) - 1)
            joiner.fiber:interrupt()
        end
        joiner.fiber:join()
        if joiner.ok then
            n_joined = n_joined + 1
            lu.assertEquals(joiner.value, round)
            lu.assertFalse(worker.joinable)
        else -- one interrupted before it began has not ended: it never ran
            n_given_up = n_given_up + 1
            lu.assertTrue(joiner.n_ends <= 1)
            lu.assertTrue(joiner.n_ends == 0 or joiner.value == ETIMEDOUT or
                h.is_interruption(joiner.value), tostring(joiner.value))
            lu.assertEquals(worker:join(), round)
        end
    end
    assert_both(n_joined, n_given_up)
end

-- An error that nobody joins any more is reported once, whether the fiber was let go before its end
-- or after it.
t["test detach and a dropped handle against the end: errors are reported once"] = function()
    local dice = h.new_dice(4)
    h.take_reports()
    local due = {}
    for round = 1, rounds do
        local turns = dice(4) - 1
        local worker = spawn(function()
            h.let_others_run(turns)
            error(round, 0)
        end)
        due[round] = 1
        h.let_others_run(dice(5) - 1)
        if dice(2) == 1 then
            worker:detach()
        end
    end
    for _ = 1, 5 do
        worker = nil -- luacheck: ignore
        collectgarbage()
        h.let_others_run(3)
    end
    for _, report in ipairs(h.take_reports()) do
        due[report.err] = due[report.err] - 1
    end
    for round = 1, rounds do
        lu.assertEquals(due[round], 0)
    end
end

-- ---- timers ----

-- Each wait ends once: by its expiry, or because it was cancelled; and as many are told ECANCELED
-- as cancel has counted.
t["test timer: cancel against expiry"] = function()
    local dice = h.new_dice(10)
    local n_expired, n_cancelled = 0, 0
    for _ = 1, rounds do
        local timer = time[dice(2) == 1 and "steady_timer" or "system_timer"].new()
        timer:expires_after((dice(4) - 1) * tick)
        local waiters = {}
        for i = 1, 2 do
            waiters[i] = watch(timer.wait, timer)
            h.let_others_run(dice(3) - 1)
        end
        h.let_others_run(dice(3) - 1)
        local n = timer:cancel()
        timer:expires_after(0) -- for one who had not begun to wait
        local n_told = 0
        for i = 1, 2 do
            assert_ended(waiters[i])
            if not waiters[i].ok then
                lu.assertTrue(waiters[i].value == ECANCELED, tostring(waiters[i].value))
                n_told = n_told + 1
            end
        end
        lu.assertEquals(n_told, n)
        n_cancelled, n_expired = n_cancelled + n_told, n_expired + 2 - n_told
    end
    assert_both(n_cancelled, n_expired)
end

-- The same with an interruption of one of them and a new expiry instead of a cancel.
t["test timer: interruption and a new expiry against expiry"] = function()
    local dice = h.new_dice(11)
    local n_told, n_interrupted = 0, 0
    for _ = 1, rounds do
        local timer = time.steady_timer.new()
        timer:expires_after((dice(4) - 1) * tick)
        local waiters = {watch(timer.wait, timer), watch(timer.wait, timer)}
        h.let_others_run(1 + dice(2))
        local acts = {function()
            waiters[1].fiber:interrupt()
        end, function()
            timer:expires_after(10)
        end}
        local first = dice(2)
        acts[first]()
        h.let_others_run(dice(3) - 1)
        acts[3 - first]()
        for i = 1, 2 do
            assert_ended(waiters[i])
            local err = not waiters[i].ok and waiters[i].value
            if err then
                lu.assertTrue(err == ECANCELED or i == 1 and h.is_interruption(err), tostring(err))
                n_told = n_told + (err == ECANCELED and 1 or 0)
                n_interrupted = n_interrupted + (err ~= ECANCELED and 1 or 0)
            end
        end
    end
    assert_both(n_told, n_interrupted)
end

-- Two timeouts and values, all at the same time: a value is with the receiver or in the channel.
-- Each timeout is raised once: who has caught both waits on until the channel is closed.
t["test nested timeouts against a value"] = function()
    local dice = h.new_dice(12)
    local n_got, n_both, n_outer = 0, 0, 0
    for round = 1, rounds do
        local ch, got, n_caught = thrum.channel.new(2), 0, 0
        local short, long = (dice(3) - 1) * tick, (dice(4) - 1) * tick
        local function receive()
            while ch:receive() do
                got = got + 1
            end
        end
        local receiver = watch(time.with_timeout, long, function()
            for _ = 1, 2 do
                local ok, err = pcall(time.with_timeout, short, receive)
                lu.assertTrue(not ok and err == ETIMEDOUT, tostring(err))
                n_caught = n_caught + 1
            end
            receive()
        end)
        for _ = 1, 2 do
            h.let_others_run(dice(4) - 1)
            ch:send(round)
        end
        while receiver.n_ends == 0 and n_caught < 2 do
            time.sleep(tick)
        end
        ch:close()
        assert_ended(receiver)
        local err = not receiver.ok and receiver.value
        lu.assertTrue(err == ETIMEDOUT or tostring(err):find("^End of file") ~= nil, tostring(err))
        n_outer = n_outer + (receiver.value == ETIMEDOUT and 1 or 0)
        n_both = n_both + (receiver.value ~= ETIMEDOUT and 1 or 0)
        n_got = n_got + got
        lu.assertEquals(got + #ch, 2)
    end
    assert_both(n_outer, n_both)
    assert_both(n_got, 2 * rounds - n_got)
end

-- ---- signals ----

-- A wait ends with a signal, or with the reason; each signal that found nobody ends a later wait.
t["test signals: cancel, interruption and timeout against a signal"] = function()
    local dice = h.new_dice(20)
    local set = system.signal.set.new("SIGUSR1")
    local pid, n_raised, n_got, n_given_up = system.getpid(), 0, 0, 0
    for _ = 1, rounds do
        local waiter
        local way = dice(3)
        if way == 1 then
            waiter = watch(time.with_timeout, (dice(4) - 1) * tick, set.wait, set)
        else
            waiter = watch(set.wait, set)
        end
        h.let_others_run(1)
        local acts = {function()
            for _ = 1, dice(2) do
                system.kill(pid, "SIGUSR1")
                n_raised = n_raised + 1
            end
        end, function()
            if way == 2 then
                set:cancel()
            elseif way == 3 then
                waiter.fiber:interrupt()
            end
        end}
        local first = dice(2)
        acts[first]()
        h.let_others_run(dice(4) - 1)
        acts[3 - first]()
        assert_ended(waiter)
        if waiter.ok then
            lu.assertEquals(waiter.value, system.signal.SIGUSR1)
            n_got = n_got + 1
        else
            n_given_up = n_given_up + 1
            local err = waiter.value
            lu.assertTrue(way == 1 and err == ETIMEDOUT or way == 2 and err == ECANCELED or
                way == 3 and h.is_interruption(err), tostring(err))
        end
        h.let_others_run(dice(2) - 1)
        set:cancel() -- nobody waits, and what is queued stays
        while n_got < n_raised do
            lu.assertEquals(time.with_timeout(5, set.wait, set), system.signal.SIGUSR1)
            n_got = n_got + 1
        end
    end
    h.raises("ETIMEDOUT", time.with_timeout, 0.001, set.wait, set) -- nothing is left
    set:clear()
    assert_both(n_got, n_given_up)
end
