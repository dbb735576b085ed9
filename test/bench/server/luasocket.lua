-- SPDX-License-Identifier: BSL-1.0
-- LuaSocket: one blocking loop that can serve nothing else meanwhile.
local socket = require "socket"

local server = assert(socket.udp())
assert(server:setsockname("127.0.0.1", 0))
local _, port = server:getsockname()
io.stdout:write(port, "\n")
io.stdout:flush()

while true do
    local data, address, from = server:receivefrom()
    if data then
        server:sendto(data, address, from)
    elseif address ~= "timeout" then
        error(address)
    end
end
