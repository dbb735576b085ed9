-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Fetches BASE/1 to BASE/N, all at once, from who has that certificate:
-- https.lua BASE N CERTIFICATE
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local https = require "ssl.https"
local ltn12 = require "ltn12"
local base, n, certificate = arg[1], math.tointeger(arg[2]), arg[3]

local function fetch(i)
    local parts = {}
    local ok, code = https.request {
        url = base .. i,
        sink = ltn12.sink.table(parts),
        verify = "peer",
        cafile = certificate,
    }
    assert(ok == 1 and code == 200, code)
    assert(table.concat(parts) == "body of /" .. i)
end

local fibers = {}
for i = 1, n do
    fibers[i] = spawn(fetch, i)
end
for _, fiber in ipairs(fibers) do
    fiber:join()
end
print(n .. " answers")
