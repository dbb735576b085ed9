-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- LuaSocket's module: a server and its clients in one program.
--
--     thrum luasocket.lua

local socket = require "socket"

-- tag::server[]
local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()

local function serve(client)
    client:settimeout(10, "t") -- seconds for each call; "b" would count them anew for each wait
    local line, err = client:receive()
    while line do
        client:send(line:upper() .. "\n")
        line, err = client:receive()
    end
    client:close()
    return err
end

spawn(function()
    local client = server:accept()
    while client do
        spawn(serve, client):detach()
        client = server:accept()
    end
end):detach()
-- end::server[]

-- tag::client[]
local client = assert(socket.connect(host, port))
client:send("one\r\ntwo\n")
print(client:receive()) --> ONE	nil	nil
print(client:receive(3)) --> TWO	nil	nil
client:settimeout(0.01)
print(client:receive()) --> 	nil	nil
print(client:receive()) --> nil	timeout
client:close()
-- end::client[]

-- tag::select[]
local first, second = socket.udp(), socket.udp()
first:setsockname("127.0.0.1", 0)
second:setpeername(first:getsockname())
second:send("a datagram")
local ready = socket.select({first, second}, nil, 1)
print(#ready, ready[1] == first, ready[first]) --> 1	true	1
print((first:receivefrom())) --> a datagram
-- end::select[]

server:close()
