-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A program of callbacks that makes use of fibers.
--
--     thrum porting.lua

local dgram = require "dgram"
local channel = require "channel"
local time = require "time"

local server = dgram.createSocket("udp4")

-- tag::spawn[]
local function answer(msg, rinfo)
    time.sleep(0.01) -- a database, another service
    server:send("done: " .. msg, rinfo.port, rinfo.address)
end

server:on("message", function(msg, rinfo)
    spawn(answer, msg, rinfo) -- the next message need not wait
end)
-- end::spawn[]

server:bind(0, "127.0.0.1")
local port = server:address().port

-- tag::loop[]
local client = dgram.createSocket("udp4")
local messages = channel.new(16)
client:on("message", function(msg)
    messages:send(msg)
end)

for _, question in ipairs { "one", "two", "three" } do
    client:send(question, port, "127.0.0.1")
    print(messages:receive())
end
--> done: one
--> done: two
--> done: three
client:close()
-- end::loop[]

server:close()
