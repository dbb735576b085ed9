-- SPDX-License-Identifier: BSL-1.0
-- A LuaSocket program that sends every datagram back: udp_echo.lua [N_FIBERS]
-- luacheck: globals spawn
local socket = require "socket"

local server = assert(socket.udp4())
assert(server:setsockname("127.0.0.1", 0))
local _, port = server:getsockname()
io.stdout:write(math.tointeger(tonumber(port)), "\n")
io.stdout:flush()

local function serve()
    while true do
        local data, address, from = server:receivefrom(512)
        if data then
            server:sendto(data, address, from)
        elseif address ~= "timeout" then
            error(address)
        end
    end
end

for _ = 1, tonumber(arg[1] or 0) do
    spawn(serve)
end
serve()
