-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A request that is sent again until its answer comes: the socket's timeout.
--
--     thrum timeout.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"

-- A server that ignores the first two requests.
local server = ip.udp.socket.new()
server:open("v4")
server:bind("127.0.0.1", 0)
spawn(function()
    local buf = byte_span.new(512)
    server:receive(buf)
    server:receive(buf)
    local nread, remote_addr, remote_port = server:receive_from(buf)
    server:send_to({ "answer to ", buf:slice(1, nread) }, remote_addr, remote_port)
    server:close()
end):detach()

-- tag::request[]
local function request(sock, message)
    local buf = byte_span.new(512)
    sock.timeout = 0.05 -- seconds
    for attempt = 1, 5 do
        sock:send(message)
        local ok, result = pcall(sock.receive, sock, buf)
        if ok then
            return tostring(buf:slice(1, result)), attempt
        elseif result ~= generic_error.ETIMEDOUT then
            error(result, 0) -- not ours to handle
        end
        sock.timeout = 2 * sock.timeout -- the socket is as usable as before
    end
    error("no answer", 0)
end
-- end::request[]

local client = ip.udp.socket.new()
client:connect(server.local_address, server.local_port)
print(request(client, "the question")) --> answer to the question	3
client:close()
