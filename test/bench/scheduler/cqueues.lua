-- SPDX-License-Identifier: BSL-1.0
-- cqueues, for task.lua and sleepers.lua. It has conditions, but neither mutexes nor channels, and
-- no timer but the time-out of a wait.
local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local poll, sleep = cqueues.poll, cqueues.sleep
local queue = cqueues.new()

local scheduler = {now = cqueues.monotime, sleep = sleep}

function scheduler.run(main)
    queue:wrap(main)
    assert(queue:loop())
end

function scheduler.go(f)
    queue:wrap(f)
end

-- Run f(i) in n coroutines to their end.
local function together(n, f)
    for i = 1, n do
        queue:wrap(f, i)
    end
    assert(queue:loop())
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
            poll()
        end
    end)
end

function task.pair(count)
    local pause, resume = coroutine.yield, coroutine.resume
    together(1, function()
        local co = coroutine.create(function()
            while true do
                pause()
            end
        end)
        for _ = 1, count do
            resume(co)
        end
    end)
end

local function take_turns(count, wait)
    local c, turn = condition.new(), 1
    together(2, function(i)
        for _ = 1, count // 2 do
            while turn ~= i do
                wait(c)
            end
            turn = 3 - i
            c:signal(1)
        end
    end)
end

function task.condition(count)
    take_turns(count, function(c) c:wait() end)
end

function task.timeout(count)
    take_turns(count, function(c) c:wait(60) end)
end

-- n coroutines wait, each with a time-out and for a condition of its own; another signals them all,
-- and again when all wait.
function task.timer(count, n)
    local conditions, n_armed = {}, 0
    for i = 1, n do
        conditions[i] = condition.new()
    end
    together(n + 1, function(i)
        for _ = 1, count // n do
            if i <= n then
                n_armed = n_armed + 1
                conditions[i]:wait(60)
            else
                while n_armed < n do
                    poll()
                end
                n_armed = 0
                for k = 1, n do
                    conditions[k]:signal()
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
