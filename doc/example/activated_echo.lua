-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A UDP echo service (RFC 862) that its service manager may start with the first datagram: the
-- manager has the sockets and hands them over. Without one it binds a socket itself.
--
--     systemd-socket-activate --datagram --listen=127.0.0.1:7007 thrum activated_echo.lua
--     thrum activated_echo.lua [address [port]]

local byte_span = require "byte_span"
local ip = require "ip"
local system = require "system"

-- tag::sockets[]
local function adopt(entry)
    local family = entry.fd:kind():match("^udp (v%d)$")
    if not family then
        error(("%s (%s) is a %s and no UDP socket"):format(entry.fd, entry.name, entry.fd:kind()))
    end
    local sock = ip.udp.socket.new()
    sock:assign(family, entry.fd)
    return sock
end

local function bind_one()
    local address = ip.address.new(arg[1] or "127.0.0.1")
    local sock = ip.udp.socket.new()
    sock:open(address)
    sock:bind(address, tonumber(arg[2] or 7007))
    return sock
end

local socks = {}
for i, entry in ipairs(system.listen_fds()) do
    socks[i] = adopt(entry)
end
if #socks == 0 then
    socks[1] = bind_one()
end
-- end::sockets[]

local function serve(sock)
    local buf = byte_span.new(65535) -- no UDP datagram is larger
    while true do
        local nread, remote_addr, remote_port = sock:receive_from(buf)
        local ok, err = pcall(sock.send_to, sock, buf:slice(1, nread), remote_addr, remote_port)
        if not ok then
            io.stderr:write(ip.tostring(remote_addr, remote_port), ": ", tostring(err), "\n")
        end
    end
end

io.stdout:setvbuf("line")
for _, sock in ipairs(socks) do
    print(("listening on %s port %d"):format(ip.tostring(sock.local_address), sock.local_port))
    spawn(serve, sock)
end
