-- SPDX-License-Identifier: BSL-1.0
-- thrum's own program with its methods in locals, as one writes Lua where every instruction counts:
-- a method look-up on a userdata that has properties, too, is a call of a C function.
-- luacheck: globals ip byte_span
local sock = ip.udp.socket.new()
sock:open('v4')
sock:bind(ip.address.loopback_v4(), 0)
io.stdout:write(sock.local_port, "\n")
io.stdout:flush()

local buf = byte_span.new(2048)
local receive_from, send_to, slice = sock.receive_from, sock.send_to, buf.slice
while true do
    local n, addr, port = receive_from(sock, buf)
    send_to(sock, slice(buf, 1, n), addr, port)
end
