-- SPDX-License-Identifier: BSL-1.0
-- LuaSocket under copas: a coroutine for each connection, over select(2).
local copas = require "copas"
local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0, 4096))
local _, port = server:getsockname()
io.stdout:write(port, "\n")
io.stdout:flush()

copas.addserver(server, function(sock)
    while true do
        local data = copas.receive(sock, 64) -- a request
        if not data or not copas.send(sock, data) then
            break
        end
    end
    sock:close()
end)
copas.loop()
