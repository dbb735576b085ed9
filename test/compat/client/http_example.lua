-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- N fibers at once, each with several requests to http_server.lua: http_example.lua BASE N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local http = require "socket.http"
local base, n = arg[1], math.tointeger(arg[2])

local function fetch(i)
    local body, code, headers = http.request(base .. "/")
    assert(body == "hello\n" and code == 200, code)
    assert(headers["content-length"] == "6")
    body, code = http.request(base .. "/echo", "body of " .. i)
    assert(body == "body of " .. i and code == 200, code)
    body, code = http.request(base .. "/count?3")
    assert(body == "1\n2\n3\n" and code == 200, code)
    body, code = http.request(base .. "/nowhere")
    assert(body and code == 404, code)
    return i
end

local fibers = {}
for i = 1, n do
    fibers[i] = spawn(fetch, i)
end
for i, fiber in ipairs(fibers) do
    assert(fiber:join() == i)
end
print(n .. " answers")
