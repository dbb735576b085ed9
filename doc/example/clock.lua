-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Sleeping, measuring, and a ticker that does not drift.
--
--     thrum clock.lua

local time = require "time"

-- tag::measure[]
local start = time.steady_clock.now()
time.sleep(0.02)
assert(time.steady_clock.now() - start >= 0.02) -- never less
-- end::measure[]

-- tag::ticker[]
local function ticker(interval, count, action)
    local due = time.steady_clock.now()
    for tick = 1, count do
        due = due + interval -- from the plan, not from when the last tick was done
        time.sleep(math.max(0, due - time.steady_clock.now()))
        action(tick)
    end
end

spawn(ticker, 0.01, 3, function(tick)
    print("tick", tick)
end):join()
-- end::ticker[]

-- tag::calendar[]
print(os.date("!%Y-%m-%d", math.floor(time.system_clock.now())))
-- end::calendar[]
