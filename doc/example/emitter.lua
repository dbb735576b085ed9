-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Events and listeners.
--
--     thrum emitter.lua

local emitter = require "emitter"
local channel = require "channel"
local time = require "time"

-- tag::class[]
local Counter = emitter.Emitter:extend()

function Counter:initialize(limit)
    self.value, self.limit = 0, limit
end

function Counter:add(n)
    self.value = self.value + n
    if self.value >= self.limit then
        self:emit("full", self.value)
    end
end

local counter = Counter:new(10)
counter:once("full", function(value) print("full at", value) end)
counter:add(7)
counter:add(7) --> full at 14
-- end::class[]

-- tag::progress[]
local function download(parts)
    local task = emitter.new()
    spawn(function()
        for part = 1, parts do
            time.sleep(0.001) -- the work
            task:emit("progress", part, parts)
        end
        task:emit("end")
    end)
    return task
end

local task = download(3)
task:on("progress", function(part, parts) print(part .. " of " .. parts) end)
--> 1 of 3
--> 2 of 3
--> 3 of 3
-- end::progress[]

-- tag::wait[]
local function wait_for(em, event)
    local ch = channel.new(1)
    em:once(event, function(...) ch:send(table.pack(...)) end)
    local values = ch:receive()
    return table.unpack(values, 1, values.n)
end

wait_for(task, "end")
print("the task is done") --> the task is done
-- end::wait[]
