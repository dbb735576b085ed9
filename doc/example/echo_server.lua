-- SPDX-License-Identifier: BSL-1.0
-- A UDP echo service (RFC 862) that runs until it is stopped.
--
--     thrum echo_server.lua [address [port]]

local byte_span = require "byte_span"
local ip = require "ip"

local address = ip.address.new(arg[1] or "127.0.0.1")
local port = tonumber(arg[2] or 7007)

local sock = ip.udp.socket.new()
sock:open(address)
sock:bind(address, port)
print(("listening on %s port %d"):format(ip.tostring(sock.local_address), sock.local_port))
io.stdout:flush()

-- tag::serve[]
local buf = byte_span.new(65535) -- no UDP datagram is larger
while true do
    local nread, remote_addr, remote_port = sock:receive_from(buf)

    -- One client that cannot be answered must not end the service for all.
    local ok, err = pcall(sock.send_to, sock, buf:slice(1, nread), remote_addr, remote_port)
    if not ok then
        io.stderr:write(ip.tostring(remote_addr, remote_port), ": ", tostring(err), "\n")
    end
end
-- end::serve[]
