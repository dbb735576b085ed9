-- SPDX-License-Identifier: BSL-1.0
-- dgram, by events: the same program as dgram_luvit.lua and dgram_node.js.
local dgram = require "dgram"

local server = dgram.createSocket("udp4")
server:on("message", function(msg, rinfo)
    server:send(msg, rinfo.port, rinfo.ip)
end)
server:bind(0, "127.0.0.1")
io.stdout:write(server:address().port, "\n")
io.stdout:flush()
