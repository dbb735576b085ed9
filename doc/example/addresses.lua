-- SPDX-License-Identifier: BSL-1.0
-- Addresses as values and as table keys, networks, endpoints as text.
--
--     thrum addresses.lua

local ip = require "ip"

-- tag::address[]
local a = ip.address.new("192.0.2.7")
local b = ip.address.from_bytes("\192\0\2\7")
assert(a == b) -- the same address is the same object ...

local hits = {}
for _, sender in ipairs { a, b, ip.address.loopback_v6() } do
    hits[sender] = (hits[sender] or 0) + 1 -- ... and so a key
end
print(hits[a]) --> 2
-- end::address[]

-- tag::family[]
local mapped = a:to_v6()
print(mapped, mapped.is_v4_mapped, mapped:to_v4() == a) --> ::ffff:192.0.2.7	true	true
print(a < mapped) --> true: every v4 address comes before every v6 address
-- end::family[]

-- tag::scope[]
local link_local = ip.address.new("fe80::1"):with_scope_id(1)
print(link_local.is_link_local, link_local.scope_id) --> true	1
-- end::scope[]

-- tag::network[]
local trusted = {
    ip.network.new("10.0.0.0/8"),
    ip.network.new("fd00::/8"),
}

local function is_trusted(address)
    for _, network in ipairs(trusted) do
        if network:contains(address) then
            return true
        end
    end
    return false
end

print(is_trusted(ip.address.new("10.1.2.3")), is_trusted(a)) --> true	false
print(trusted[1].netmask, trusted[1].broadcast) --> 255.0.0.0	10.255.255.255
-- end::network[]

-- tag::endpoint[]
print(ip.tostring(ip.address.loopback_v6(), 53)) --> [::1]:53
local address, port = ip.toendpoint("192.0.2.7:5353")
print(address == a, port) --> true	5353
-- end::endpoint[]
