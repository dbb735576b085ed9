-- SPDX-License-Identifier: BSL-1.0
-- luv, the libuv binding: one callback, answered with try_send, the cheapest send it has.
local uv = require "luv"

local server = uv.new_udp()
assert(server:bind("127.0.0.1", 0))
io.stdout:write(server:getsockname().port, "\n")
io.stdout:flush()

assert(server:recv_start(function(err, data, peer)
    assert(not err, err)
    if peer then
        local n = server:try_send(data, peer.ip, peer.port)
        if not n then
            server:send(data, peer.ip, peer.port, function() end)
        end
    end
end))
uv.run()
