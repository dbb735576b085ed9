-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Values from fiber to fiber, and a pool of workers.
--
--     thrum channel.lua

local channel = require "channel"
local fiber = require "fiber"
local time = require "time"

-- tag::values[]
local numbers = channel.new()

local producer = spawn(function()
    for i = 1, 3 do
        numbers:send(i) -- waits until somebody receives it
    end
    numbers:close()
end)

for n in numbers:values() do
    print(n)
end
producer:join()
--> 1
--> 2
--> 3
-- end::values[]

-- tag::pool[]
local function work(jobs, results)
    for job in jobs:values() do -- until the channel is closed and empty
        time.sleep(0.001) -- a request, a look-up
        results:send { number = job, square = job * job }
    end
end

local function run_pool(n_workers, n_jobs)
    local jobs, results, squares = channel.new(n_workers), channel.new(n_workers), {}
    fiber.group(function(g) -- a worker that fails ends all of it
        for _ = 1, n_workers do
            g:spawn(work, jobs, results)
        end
        g:spawn(function()
            for job = 1, n_jobs do
                jobs:send(job) -- waits while all are busy
            end
            jobs:close()
        end)
        for _ = 1, n_jobs do
            local result = results:receive()
            squares[result.number] = result.square
        end
    end)
    return squares
end

print(table.concat(run_pool(3, 8), " ")) --> 1 4 9 16 25 36 49 64
-- end::pool[]
