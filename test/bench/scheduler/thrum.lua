-- SPDX-License-Identifier: BSL-1.0
-- thrum's fibers, for task.lua and sleepers.lua.
-- luacheck: globals channel condition_variable mutex spawn this_fiber time
local yield, sleep = this_fiber.yield, time.sleep

local scheduler = {now = time.steady_clock.now, sleep = sleep}

-- The main chunk is a fiber.
function scheduler.run(main)
    main()
end

function scheduler.go(f)
    spawn(f):detach()
end

-- Run f(i) in n fibers to their end.
local function together(n, f)
    local list = {}
    for i = 1, n do
        list[i] = spawn(f, i)
    end
    for i = 1, n do
        list[i]:join()
    end
end

local task = {}
scheduler.task = task

function task.spawn(count)
    local function nothing() end
    for _ = 1, count // 100 do
        together(100, nothing)
    end
end

function task.yield(count, n)
    together(n, function()
        for _ = 1, count // n do
            yield()
        end
    end)
end

function task.pair(count)
    local pause, resume = coroutine.yield, coroutine.resume
    local co = coroutine.create(function()
        while true do
            pause()
        end
    end)
    for _ = 1, count do
        resume(co)
    end
end

-- Unlocked, the mutex belongs to the other, who waits for it: every lock but the first waits.
function task.mutex(count)
    local m = mutex.new()
    together(2, function(i)
        m:lock()
        if i == 1 then
            yield()
        end
        for _ = 1, count // 2 do
            m:unlock()
            m:lock()
        end
        m:unlock()
    end)
end

local function take_turns(count, wait)
    local m, c, turn = mutex.new(), condition_variable.new(), 1
    together(2, function(i)
        m:lock()
        for _ = 1, count // 2 do
            while turn ~= i do
                wait(c, m)
            end
            turn = 3 - i
            c:notify_one()
        end
        m:unlock()
    end)
end

function task.condition(count)
    take_turns(count, function(c, m) c:wait(m) end)
end

function task.timeout(count)
    local with_timeout = time.with_timeout
    take_turns(count, function(c, m) with_timeout(60, c.wait, c, m) end)
end

local function hand_on(count, capacity)
    local ch = channel.new(capacity)
    together(2, function(i)
        for k = 1, count do
            if i == 1 then
                ch:send(k)
            else
                ch:receive()
            end
        end
    end)
end

function task.channel(count)
    hand_on(count, 0)
end

function task.buffer(count, capacity)
    hand_on(count, capacity)
end

-- n fibers wait, each for a timer of its own; another cancels them all, and again when all wait.
function task.timer(count, n)
    local timers, n_armed = {}, 0
    for i = 1, n do
        timers[i] = time.steady_timer.new()
    end
    together(n + 1, function(i)
        for _ = 1, count // n do
            if i <= n then
                timers[i]:expires_after(60)
                n_armed = n_armed + 1
                pcall(timers[i].wait, timers[i])
            else
                while n_armed < n do
                    yield()
                end
                n_armed = 0
                for k = 1, n do
                    timers[k]:cancel()
                end
            end
        end
    end)
end

function task.sleep(count, n)
    together(n, function()
        for _ = 1, count // n do
            sleep(0)
        end
    end)
end

return scheduler
