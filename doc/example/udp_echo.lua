-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- An echo service over UDP and its client: two fibers of one script.
--
--     thrum udp_echo.lua [address [port]]

-- tag::whole[]
local byte_span = require "byte_span"
local ip = require "ip"

-- tag::server[]
local function serve(sock)
    local buf = byte_span.new(65535)
    while true do
        local nread, remote_addr, remote_port = sock:receive_from(buf)
        print(("server: %d bytes from %s"):format(nread, ip.tostring(remote_addr, remote_port)))
        sock:send_to(buf:slice(1, nread), remote_addr, remote_port)
    end
end
-- end::server[]

-- tag::client[]
local function converse(address, port)
    local sock = ip.udp.socket.new()
    sock:connect(address, port)
    sock.timeout = 5 -- seconds; then a call raises ETIMEDOUT instead of waiting on

    local buf = byte_span.new(65535)
    for _, message in ipairs { "hello, fibers", "", ("large "):rep(5000) } do
        sock:send(message)
        local echo = tostring(buf:slice(1, sock:receive(buf)))
        assert(echo == message, "the echo differs from what was sent")
        print(("client: %d bytes came back, as they were sent"):format(#echo))
    end
    sock:close()
end
-- end::client[]

local address = ip.address.new(arg[1] or "127.0.0.1")
local sock = ip.udp.socket.new()
sock:open(address)
sock:bind(address, tonumber(arg[2] or 0)) -- port 0: the system chooses one
print("server: listening on " .. ip.tostring(sock.local_address, sock.local_port))

-- tag::main[]
local server = spawn(serve, sock)
local client = spawn(converse, sock.local_address, sock.local_port)

client:join() -- suspends this fiber until the client is done; the others run
server:interrupt() -- the server waits in receive_from: that wait ends here
server:join()
sock:close()
print("server: stopped")
-- end::main[]
-- end::whole[]
