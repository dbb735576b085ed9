-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- fiber.select: waiting for several things, of which one happens.
--
--     thrum select.lua

local channel = require "channel"
local fiber = require "fiber"
local time = require "time"

-- tag::loop[]
local function serve(requests, quit, interval)
    local tick = time.steady_timer.new()
    tick:expires_after(interval)
    while true do
        local which, request = fiber.select { quit, tick, requests }
        if which == 1 then
            return "stopped"
        elseif which == 2 then
            print("still there")
            tick:expires_at(tick.expiry + interval)
        elseif request == nil then
            return "no more requests" -- the channel is closed and empty
        else
            print("serving " .. request)
        end
    end
end

local requests, quit = channel.new(), channel.new()
local server = spawn(serve, requests, quit, 0.01)
requests:send("one")
requests:send("two")
time.sleep(0.015)
quit:close() -- every fiber that selects it sees that
print(server:join())
--> serving one
--> serving two
--> still there
--> stopped
-- end::loop[]

-- tag::poll[]
-- Hand the value over if somebody can take it within the time; else it is dropped.
local function offer(ch, value, seconds)
    return fiber.select { { ch, value }, timeout = seconds } == 1
end

local ch = channel.new(1)
print(offer(ch, "kept", 0), offer(ch, "dropped", 0.001), ch:receive())
--> true	false	kept
-- end::poll[]

-- tag::children[]
-- The results of all, each as soon as it is there.
fiber.group(function(g)
    local children = {}
    for i = 1, 3 do
        children[i] = g:spawn(function()
            time.sleep((4 - i) * 0.004)
            return "child " .. i
        end)
    end
    while #children > 0 do
        local child = table.remove(children, fiber.select(children))
        print(child:join()) -- it has ended: no wait
    end
end)
--> child 3
--> child 2
--> child 1
-- end::children[]
