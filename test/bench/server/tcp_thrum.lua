-- SPDX-License-Identifier: BSL-1.0
-- thrum's own program, as a user would write it: a fiber for each connection.
-- luacheck: globals ip byte_span spawn
local acceptor = ip.tcp.acceptor.new()
acceptor:open("v4")
acceptor:bind(ip.address.loopback_v4(), 0)
acceptor:listen()
io.stdout:write(acceptor.local_port, "\n")
io.stdout:flush()

local function echo(sock)
    local buf = byte_span.new(512)
    while true do
        local n = sock:read_some(buf)
        sock:write_some(buf:slice(1, n)) -- the client never has so much under way
    end
end

local function serve(sock)
    pcall(echo, sock) -- until it raises: the end, or a client that is gone
    sock:close()
end

while true do
    spawn(serve, acceptor:accept()):detach()
end
