-- SPDX-License-Identifier: BSL-1.0
-- UDP sockets with events.
--
--     thrum dgram.lua

local channel = require "channel"
local time = require "time"

-- tag::echo[]
local dgram = require "dgram"

local server = dgram.createSocket("udp4")
server:on("message", function(msg, rinfo)
    server:send(msg:upper(), rinfo.port, rinfo.address)
end)
server:on("error", function(err)
    print("server: " .. err)
    server:close()
end)
server:bind(0, "127.0.0.1", function()
    local client = dgram.createSocket("udp4")
    client:on("message", function(msg)
        print(msg)
        client:close()
    end)
    client:send("hello", server:address().port)
end)
--> HELLO
-- end::echo[]

-- tag::request[]
local function ask(port, question, seconds)
    local socket = dgram.createSocket("udp4")
    local answers = channel.new(1)
    socket:once("message", function(msg) answers:send(msg) end)
    socket:send(question, port)
    local is_there, answer = pcall(time.with_timeout, seconds, answers.receive, answers)
    socket:close()
    return is_there and answer or nil
end

print(ask(server:address().port, "what time is it?", 5)) --> WHAT TIME IS IT?
-- end::request[]

-- tag::drain[]
local function send_all(socket, port, count)
    local i = 0
    local function more()
        while i < count do
            i = i + 1
            if not socket:send("number " .. i, port) then
                socket:once("drain", more) -- the queue is full: go on when it is empty
                return
            end
        end
        socket:close() -- when what is in the queue has been sent
    end
    more()
end

local sink = dgram.createSocket("udp4")
local received = 0
sink:on("message", function()
    received = received + 1
    if received == 100 then
        print(received .. " datagrams")
        sink:close()
    end
end)
sink:bind(0, "127.0.0.1")
send_all(dgram.createSocket("udp4"), sink:address().port, 100) --> 100 datagrams
-- end::drain[]

-- tag::multicast[]
local function listen_to_group(group, port)
    local socket = dgram.createSocket {type = "udp4", reuseAddr = true}
    socket:on("message", function(msg, rinfo)
        print(msg .. " from " .. rinfo.address)
        socket:close()
    end)
    socket:bind(port, function()
        socket:addMembership(group, "*")
    end)
    return socket
end
-- end::multicast[]

local listener = listen_to_group("239.255.77.41", 0)
listener:once("listening", function()
    local sender = dgram.createSocket("udp4")
    sender:setMulticastInterface("127.0.0.1")
    sender:send("to the group", listener:address().port, "239.255.77.41")
    sender:close()
end)
listener:setTimeout(1000, function() -- without multicast on loopback nothing comes
    listener:close()
end)
server:unref()
