-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Coroutines inside a fiber: a generator that waits for datagrams between its yields.
--
--     thrum coroutines.lua

local byte_span = require "byte_span"
local ip = require "ip"

local sock = ip.udp.socket.new()
sock:open("v4")
sock:bind("127.0.0.1", 0)

-- tag::generator[]
-- Each call of the function it returns gives the next line, whatever datagram it came in.
local function lines(receiver)
    return coroutine.wrap(function()
        local buf = byte_span.new(2048)
        while true do
            local nread = receiver:receive(buf) -- suspends the whole fiber, not the coroutine
            for line in tostring(buf:slice(1, nread)):gmatch("[^\n]+") do
                if line == "." then
                    return
                end
                coroutine.yield(line) -- back to the caller of the generator, as always
            end
        end
    end)
end

local reader = spawn(function()
    for line in lines(sock) do
        print(line)
    end
end)
-- end::generator[]

local address, port = sock.local_address, sock.local_port
sock:send_to("one\ntwo\n", address, port)
sock:send_to("three\n.\n", address, port)
reader:join()
sock:close()
--> one
--> two
--> three
