-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn scope scope_cleanup_push
-- Not for ever: time.with_timeout, and timers that others wait for.
--
--     thrum with_timeout.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"
local this_fiber = require "this_fiber"
local time = require "time"

-- A server that never answers.
local server = ip.udp.socket.new()
server:open("v4")
server:bind("127.0.0.1", 0)

-- tag::cleanup[]
local is_closed = false

local function ask(address, port, question)
    return scope(function()
        local sock = ip.udp.socket.new()
        scope_cleanup_push(function()
            sock:close() -- runs when the time is over, too
            is_closed = true
        end)
        sock:connect(address, port)
        sock:send(question)
        local buf = byte_span.new(512)
        return tostring(buf:slice(1, sock:receive(buf)))
    end)
end

local ok, err = pcall(time.with_timeout, 0.01, ask, server.local_address, server.local_port, "?")
print(ok, err == generic_error.ETIMEDOUT, is_closed) --> false	true	true
-- end::cleanup[]
server:close()

-- tag::nested[]
print(pcall(time.with_timeout, 5, function() -- for the whole
    for attempt = 1, 3 do
        if not pcall(time.with_timeout, 0.002, time.sleep, 3600) then -- for each part
            print("attempt " .. attempt .. " took too long")
        end
    end
    return "gave up"
end))
--> attempt 1 took too long
--> attempt 2 took too long
--> attempt 3 took too long
--> true	gave up
-- end::nested[]

-- tag::timer[]
local start_signal = time.steady_timer.new()
start_signal:expires_after(0.005)

local function runner(name)
    start_signal:wait()
    return name .. " runs"
end

local ann, bob = spawn(runner, "ann"), spawn(runner, "bob")
print(ann:join(), bob:join()) --> ann runs	bob runs
-- end::timer[]

-- tag::cancel[]
start_signal:expires_after(3600)
local late = spawn(function()
    local _, why = pcall(start_signal.wait, start_signal)
    return why == generic_error.ECANCELED
end)
this_fiber.yield()
print(start_signal:cancel()) --> 1
print(late:join()) --> true
-- end::cancel[]

-- tag::absolute[]
local noon = time.system_timer.new()
noon:expires_at(os.time { year = 2020, month = 1, day = 1, hour = 12 })
noon:wait() -- it is past: returns at once
-- end::absolute[]
