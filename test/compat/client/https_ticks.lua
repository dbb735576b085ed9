-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- One fiber fetches, and another talks to a clock, which has to have heard N ticks before the
-- server begins its handshake: https_ticks.lua URL CLOCK_PORT N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local https = require "ssl.https"
local socket = require "socket"
local url, clock_port, n = arg[1], arg[2], math.tointeger(arg[3])

https.TIMEOUT = 30
local fetching = spawn(https.request, url)
local n_ticks = 0
local ticking = spawn(function()
    local clock = assert(socket.connect("127.0.0.1", clock_port))
    for _ = 1, n do
        assert(clock:send("tick\r\n"))
        assert(clock:receive() == "tock")
        n_ticks = n_ticks + 1
    end
    clock:close()
end)
ticking:join()
local _, code = fetching:join()
print(("%d ticks, then %s"):format(n_ticks, code))
