-- SPDX-License-Identifier: BSL-1.0
-- thrum's own program, as a user would write it.
-- luacheck: globals ip byte_span
local sock = ip.udp.socket.new()
sock:open('v4')
sock:bind(ip.address.loopback_v4(), 0)
io.stdout:write(sock.local_port, "\n")
io.stdout:flush()

local buf = byte_span.new(2048)
while true do
    local n, addr, port = sock:receive_from(buf)
    sock:send_to(buf:slice(1, n), addr, port)
end
