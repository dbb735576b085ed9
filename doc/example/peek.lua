-- SPDX-License-Identifier: BSL-1.0
-- Datagrams of unknown size: peeking first, being told afterwards, or cutting on purpose.
--
--     thrum peek.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"

local receiver = ip.udp.socket.new()
receiver:open("v4")
receiver:bind("127.0.0.1", 0)

local sender = ip.udp.socket.new()
sender:connect(receiver.local_address, receiver.local_port)

-- tag::gather[]
local payload = byte_span.append(" payload")
sender:send { "header", payload, (" and"):rep(3) } -- one datagram of three pieces
-- end::gather[]

-- tag::peek[]
receiver:receive(byte_span.new(0), ip.message_flag.peek) -- waits; takes nothing away
local size = receiver:io_control("bytes_readable")
local buf = byte_span.new(size)
assert(receiver:receive(buf) == size)
print(tostring(buf)) --> header payload and and and
-- end::peek[]

-- tag::too_long[]
local small = byte_span.new(4)
sender:send("a whole sentence")
local ok, err = pcall(receiver.receive_from, receiver, small)
assert(not ok and err == generic_error.EMSGSIZE)
print(err.length, err.address) --> 16	127.0.0.1
assert(err.port == sender.local_port)
-- end::too_long[]

-- tag::truncate[]
sender:send("a whole sentence")
local nread = receiver:receive(small, ip.message_flag.truncate) -- the rest is not wanted
print(nread, tostring(small)) --> 4	a wh
-- end::truncate[]

sender:close()
receiver:close()
