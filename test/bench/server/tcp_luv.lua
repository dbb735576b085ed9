-- SPDX-License-Identifier: BSL-1.0
-- luv, the libuv binding: a callback for each connection, answered with try_write, the cheapest
-- send it has.
local uv = require "luv"

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
io.stdout:write(server:getsockname().port, "\n")
io.stdout:flush()

assert(server:listen(4096, function(err)
    assert(not err, err)
    local client = uv.new_tcp()
    server:accept(client)
    client:read_start(function(failure, data)
        if failure or not data then
            client:close()
        elseif client:try_write(data) ~= #data then
            client:close() -- this client never has so much under way
        end
    end)
end))
uv.run()
