-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn scope scope_cleanup_push
-- Fibers that wait for one another: mutex, condition_variable, semaphore.
--
--     thrum mutex.lua

local condition_variable = require "condition_variable"
local generic_error = require "generic_error"
local mutex = require "mutex"
local semaphore = require "semaphore"
local this_fiber = require "this_fiber"
local time = require "time"

local function join_all(fibers)
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
end

-- tag::mutex[]
local balance, account = 100, mutex.new()

local function withdraw(amount)
    scope(function()
        account:lock()
        scope_cleanup_push(function() account:unlock() end) -- however the block ends
        local before = balance
        time.sleep(0.001) -- another fiber could change the balance here
        balance = before - amount
    end)
end

join_all { spawn(withdraw, 30), spawn(withdraw, 50) }
print(balance, account) --> 20	mutex (free)
-- end::mutex[]

-- tag::condition[]
local queue, lock, not_empty = {}, mutex.new(), condition_variable.new()

local consumer = spawn(function()
    lock:lock()
    while #queue == 0 do -- look again: somebody else may have been faster
        not_empty:wait(lock) -- gives the mutex up, and has it again when it returns
    end
    local value = table.remove(queue, 1)
    lock:unlock()
    return value
end)

this_fiber.yield()
lock:lock()
table.insert(queue, "a value")
not_empty:notify_one()
lock:unlock()
print(consumer:join()) --> a value
-- end::condition[]

-- tag::timeout[]
lock:lock()
local ok, err = pcall(time.with_timeout, 0.01, function()
    not_empty:wait(lock) -- no fiber notifies
end)
print(ok, err == generic_error.ETIMEDOUT, lock) --> false	true	mutex (held by fiber ...)
lock:unlock()
-- end::timeout[]

-- tag::semaphore[]
local slots, busy, most = semaphore.new(2), 0, 0

local function job()
    slots:acquire()
    busy = busy + 1
    most = math.max(most, busy)
    time.sleep(0.001)
    busy = busy - 1
    slots:release()
end

join_all { spawn(job), spawn(job), spawn(job), spawn(job), spawn(job) }
print(most) --> 2
-- end::semaphore[]
