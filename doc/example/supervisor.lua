-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn scope_cleanup_push
-- A fiber that looks after others: starts them again when they fail, and leaves none behind.
--
--     thrum supervisor.lua

local fiber = require "fiber"
local time = require "time"

-- tag::children[]
-- Run each function in a fiber of its own. As soon as one fails, or the caller is interrupted, or
-- its time is over, the others are interrupted; no child outlives the call.
local function run_all(functions)
    fiber.group(function(g)
        for _, f in ipairs(functions) do
            g:spawn(f)
        end
    end)
end

local is_stopped = false
print(pcall(run_all, {
    function()
        scope_cleanup_push(function() is_stopped = true end)
        time.sleep(3600)
    end,
    function()
        time.sleep(0.002)
        error("the second child failed", 0)
    end,
})) --> false	the second child failed
print(is_stopped) --> true
-- end::children[]

-- tag::restart[]
-- Run `f` again when it fails, at most `limit` times, and later each time.
local function supervise(name, f, limit)
    local pause = 0.001
    for attempt = 1, limit do
        local child = spawn(f, attempt)
        local ok, result = pcall(child.join, child)
        if ok then
            return result
        end
        print(("%s failed (attempt %d): %s"):format(name, attempt, tostring(result)))
        time.sleep(pause) -- interrupted here or in join, the supervisor ends
        pause = 2 * pause
    end
    error(name .. " keeps failing", 0)
end

print(supervise("the service", function(attempt)
    if attempt < 3 then
        error("not yet", 0)
    end
    return "up"
end, 5))
--> the service failed (attempt 1): not yet
--> the service failed (attempt 2): not yet
--> up
-- end::restart[]

-- tag::deadline[]
print(pcall(time.with_timeout, 0.01, run_all, {
    function() time.sleep(3600) end,
    function() time.sleep(0.001) end,
})) --> false	Connection timed out: fiber.group
-- end::deadline[]
