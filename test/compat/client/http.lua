-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Fetches BASE/1 to BASE/N, all at once: http.lua BASE N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local http = require "socket.http"
local base, n = arg[1], math.tointeger(arg[2])

local fibers = {}
for i = 1, n do
    fibers[i] = spawn(http.request, base .. i)
end
for i, fiber in ipairs(fibers) do
    local body, code = fiber:join()
    assert(code == 200, code)
    assert(body == "body of /" .. i, body)
end
print(n .. " answers")
