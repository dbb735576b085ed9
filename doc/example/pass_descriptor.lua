-- SPDX-License-Identifier: BSL-1.0
-- A bound socket goes from one owner to another over a pair of unix sockets. Here both ends are in
-- one script; in life the other end is another process, which inherited it or connected.
--
--     thrum pass_descriptor.lua

local byte_span = require "byte_span"
local ip = require "ip"
local unix = require "unix"

-- tag::pair[]
local left, right = unix.seqpacket.socket.pair()
-- end::pair[]

-- tag::send[]
local sock = ip.udp.socket.new()
sock:open("v4")
sock:bind("127.0.0.1", 0)
local addr, port = sock.local_address, sock.local_port

local fd = sock:release() -- from here on this side receives nothing any more
left:send_with_fds("udp v4", {fd})
fd:close() -- the message carries a copy: the other side has its own
left:close()
-- end::send[]

local client = ip.udp.socket.new()
client:open("v4")
client:send_to("sent in between", addr, port)

-- tag::receive[]
local buf = byte_span.new(64)
local n, fds = right:receive_with_fds(buf, 1) -- at most one; more would be an error
print(tostring(buf:slice(1, n)), #fds, fds[1]:kind()) --> udp v4	1	udp v4

local heir = ip.udp.socket.new()
heir:assign("v4", fds[1]) -- checked: a UDP socket of that family
assert(heir.local_port == port)
n = heir:receive(buf) -- what came in between has waited in the socket
print(tostring(buf:slice(1, n))) --> sent in between
-- end::receive[]

local ok, err = pcall(right.receive, right, buf)
print(ok, err) --> false	End of file
heir:close()
right:close()
client:close()
