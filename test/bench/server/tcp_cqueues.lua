-- SPDX-License-Identifier: BSL-1.0
-- cqueues: a coroutine for each connection.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local server = socket.listen {host = "127.0.0.1", port = 0}
assert(server:listen())
local _, _, port = server:localname()
io.stdout:write(port, "\n")
io.stdout:flush()

local loop = cqueues.new()

local function echo(sock)
    sock:setmode("bn", "bn") -- binary, and written at once
    while true do
        local data = sock:read(-512)
        if not data or not sock:write(data) then
            break
        end
    end
    sock:close()
end

loop:wrap(function()
    for sock in server:clients() do
        loop:wrap(echo, sock)
    end
end)
assert(loop:loop())
