-- SPDX-License-Identifier: BSL-1.0
-- Spans: windows on a block of bytes, and a small binary message.
--
--     thrum byte_span.lua

local byte_span = require "byte_span"

-- tag::window[]
local block = byte_span.new(16)
local head, rest = block:slice(1, 4), block:slice(5)
head:copy("THRM") -- writes into block: the memory is the same
assert(block[1] == ("T"):byte() and #rest == 12)

rest:fill(0x2e)
print(tostring(block:slice(1, 8))) --> THRM....
-- end::window[]

-- tag::capacity[]
local empty = byte_span.new(0, 64) -- no bytes yet, room for 64
local line = empty:append("to be", " ", "appended") -- in place: the room sufficed
print(#empty, #line, line.capacity) --> 0	14	64

local longer = line:append((" again"):rep(10)) -- does not fit: a new block, twice as large
print(#longer, longer.capacity) --> 74	128
-- end::capacity[]

-- tag::integers[]
-- kind (1 byte), length of the text (2), a time stamp (8), the text.
local function encode(kind, stamp, text)
    local message = byte_span.new(11 + #text)
    message:set_u8(1, kind)
    message:set_u16(2, #text) -- network order unless asked otherwise
    message:set_u64(4, stamp)
    message:slice(12):copy(text)
    return message
end

local function decode(message)
    local length = message:get_u16(2)
    return message:get_u8(1), message:get_u64(4), tostring(message:slice(12, 11 + length))
end

local message = encode(7, 1700000000, "tick")
print(message:hex()) --> 070004000000006553f1007469636b
print(decode(message)) --> 7	1700000000	tick
-- end::integers[]

-- tag::search[]
local request = byte_span.append("GET /index HTTP/1.0\r\n")
local first = request:find(" ")
local last = request:rfind(" ")
print(tostring(request:slice(first + 1, last - 1))) --> /index
print(#request:trimmed()) --> 19
-- end::search[]

assert(#head == 4)
