-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push
-- Groups: fibers that are waited for, and fail, together.
--
--     thrum group.lua

local fiber = require "fiber"
local semaphore = require "semaphore"
local time = require "time"

-- tag::fetch[]
local function fetch(name, seconds)
    scope_cleanup_push(function() print(name .. ": closed") end)
    time.sleep(seconds) -- a request
    if name == "bad" then
        error("no answer from " .. name, 0)
    end
    return "page of " .. name
end

local function fetch_both(a, b)
    return fiber.group(function(g)
        local first, second = g:spawn(fetch, a, 0.002), g:spawn(fetch, b, 0.004)
        return first:join(), second:join()
    end)
end

print(fetch_both("one", "two"))
--> one: closed
--> two: closed
--> page of one	page of two
print(pcall(fetch_both, "bad", "good"))
--> bad: closed
--> good: closed
--> false	no answer from bad
-- end::fetch[]

-- tag::first[]
local function fetch_first(servers)
    local answer
    fiber.group(function(g)
        for name, seconds in pairs(servers) do
            g:spawn(function()
                answer = fetch(name, seconds)
                g:interrupt() -- the others need not go on
            end)
        end
    end)
    return answer
end

print(fetch_first { near = 0.002, far = 3600 })
--> near: closed
--> far: closed
--> page of near
-- end::first[]

-- tag::bound[]
local function serve(jobs, work, limit)
    local free = semaphore.new(limit)
    fiber.group(function(g)
        for _, job in ipairs(jobs) do
            free:acquire() -- waits while so many are at work
            g:spawn(function()
                work(job)
                free:release()
            end)
        end
    end)
end

local n_done, n_active, most = 0, 0, 0
time.with_timeout(60, serve, { "a", "b", "c", "d", "e" }, function()
    n_active = n_active + 1
    most = math.max(most, n_active)
    time.sleep(0.001)
    n_active = n_active - 1
    n_done = n_done + 1
end, 2)
print(n_done, most) --> 5	2
-- end::bound[]
