-- SPDX-License-Identifier: BSL-1.0
-- thrum as a module of a stock interpreter: nothing global, the loop run by thrum.run.
local thrum = require "thrum"
local ip, byte_span = thrum.ip, thrum.byte_span

thrum.run(function()
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
end)
