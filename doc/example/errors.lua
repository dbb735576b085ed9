-- SPDX-License-Identifier: BSL-1.0
-- Error objects: what they hold, how to tell them apart.
--
--     thrum errors.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"

-- tag::in_use[]
local first = ip.udp.socket.new()
first:open("v4")
first:bind("127.0.0.1", 0)

local second = ip.udp.socket.new()
second:open("v4")
local ok, err = pcall(second.bind, second, "127.0.0.1", first.local_port)
assert(not ok and err == generic_error.EADDRINUSE)
print(err.op, err.category, err.address) --> ip.udp.socket.bind	system	127.0.0.1
assert(err.port == first.local_port)
-- end::in_use[]

-- tag::argument[]
ok, err = pcall(second.bind, second, "127.0.0.1", 70000)
assert(not ok and err == generic_error.EINVAL)
print(err.arg) --> 3
print(err) -- the text says what was expected and what came
-- end::argument[]

-- tag::refused[]
local port = first.local_port
second:connect(ip.address.loopback_v4(), port)
first:close() -- no socket listens there any more
second:send("anybody?")

ok, err = pcall(second.receive, second, byte_span.new(16))
assert(not ok and err == generic_error.ECONNREFUSED) -- reported once; the socket stays usable
-- end::refused[]

-- tag::by_code[]
local actions = {
    [generic_error.ECONNREFUSED.code] = "try again later",
    [generic_error.EMSGSIZE.code] = "send less",
}
local generic = err:togeneric()
if tostring(generic.category) == "generic" then
    print(actions[generic.code]) --> try again later
end
-- end::by_code[]

-- tag::own[]
second:shutdown("receive")
ok, err = pcall(second.receive, second, byte_span.new(16))
assert(not ok)
print(err.category, err.code, err.category:message(err.code)) --> misc	2	End of file
-- end::own[]
