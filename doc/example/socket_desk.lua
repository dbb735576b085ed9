-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A desk that lends sockets: who may bind them does it for who may not. A request is a record, the
-- answer has a descriptor with it.
--
--     thrum socket_desk.lua

local byte_span = require "byte_span"
local ip = require "ip"
local system = require "system"
local unix = require "unix"

local name = "\0thrum-example-desk-" .. system.getpid() -- an abstract name: Linux

local desk = unix.seqpacket.acceptor.new()
desk:open()
desk:bind(name)
desk:listen()

-- tag::desk[]
local function lend(sock, port)
    local udp = ip.udp.socket.new()
    udp:open("v4")
    udp:bind("127.0.0.1", port)
    local fd = udp:release()
    sock:send_with_fds("here you are", {fd})
    fd:close()
end

local function serve(sock)
    local buf = byte_span.new(64)
    while true do
        local n = sock:receive(buf)
        local port = math.tointeger(tonumber(tostring(buf:slice(1, n))))
        local ok, err = pcall(lend, sock, port)
        if not ok then
            sock:send("no: " .. tostring(err)) -- a record without a descriptor
        end
    end
end

local function run()
    while true do
        local sock = desk:accept()
        spawn(function()
            pcall(serve, sock) -- until the client has had enough: eof
            sock:close()
        end):detach()
    end
end
-- end::desk[]

local server = spawn(run)

-- tag::client[]
local function borrow(sock, port)
    local buf = byte_span.new(256)
    sock:send(tostring(port))
    local n, fds = sock:receive_with_fds(buf, 1)
    if #fds == 0 then
        return nil, tostring(buf:slice(1, n))
    end
    local udp = ip.udp.socket.new()
    udp:assign("v4", fds[1])
    return udp
end

local client = unix.seqpacket.socket.new()
client:connect(name)
local udp = borrow(client, 0)
print(udp ~= nil and udp.local_port > 0) --> true
local none, why = borrow(client, 70000)
print(none, why:match("^no: Invalid argument")) --> nil	no: Invalid argument
client:close()
-- end::client[]

udp:close()
server:interrupt()
server:join()
desk:close()
