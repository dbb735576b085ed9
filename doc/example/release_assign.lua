-- SPDX-License-Identifier: BSL-1.0
-- Descriptors: out of a socket, and into another.
--
--     thrum release_assign.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"

local old = ip.udp.socket.new()
old:open("v4")
old:bind("127.0.0.1", 0)
local port = old.local_port

-- tag::release[]
local fd = old:release()
print(old.is_open, fd:kind()) --> false	udp v4
-- end::release[]

-- tag::dup[]
local copy = fd:dup() -- a second descriptor of the same system socket
assert(copy.native_handle ~= fd.native_handle)
copy:close()
local ok, err = pcall(copy.close, copy)
assert(not ok and err == generic_error.EBADF) -- once is enough
-- end::dup[]

-- tag::assign[]
local new = ip.udp.socket.new()
new:assign("v4", fd) -- checked: a UDP socket of that family; from here on it owns the descriptor
assert(new.local_port == port)
print(tostring(fd)) --> file_descriptor (taken)
-- end::assign[]

new:send_to("still there", new.local_address, port)
local buf = byte_span.new(32)
print(tostring(buf:slice(1, new:receive(buf)))) --> still there
new:close()
