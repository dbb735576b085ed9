-- SPDX-License-Identifier: BSL-1.0
-- A multicast group on the loopback interface: one sender, two members.
--
--     thrum multicast.lua

local byte_span = require "byte_span"
local ip = require "ip"

-- tag::join[]
local group = ip.address.new("239.255.7.7") -- RFC 2365: administratively scoped
local loopback = ip.address.loopback_v4()

local function join(port)
    local sock = ip.udp.socket.new()
    sock:open("v4")
    sock:set_option("reuse_address", true) -- several members of one host share the port
    sock:bind(group, port) -- the group's own address: no other datagrams
    sock:set_option("join_multicast_group", group, loopback)
    sock.timeout = 5
    return sock
end

local first = join(0)
local second = join(first.local_port)
-- end::join[]

-- tag::send[]
local sender = ip.udp.socket.new()
sender:open("v4")
sender:set_option("multicast_interface", loopback) -- or "lo", or its index
sender:set_option("multicast_hops", 0) -- never leaves this host
sender:set_option("multicast_loop", true) -- members of this host hear it: the default
sender:send_to("to whom it may concern", group, first.local_port)
-- end::send[]

local buf = byte_span.new(64)
for _, member in ipairs { first, second } do
    print(tostring(buf:slice(1, member:receive(buf))))
    member:set_option("leave_multicast_group", group, loopback)
    member:close()
end
sender:close()
--> to whom it may concern
--> to whom it may concern
