-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Fibers: spawn and join, errors, interruption, what belongs to one fiber.
--
--     thrum fibers.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"
local this_fiber = require "this_fiber"
local time = require "time"

-- tag::join[]
local function add(a, b)
    time.sleep(0.01) -- this fiber waits, others run
    return a + b, "done"
end

local sum = spawn(add, 2, 3) -- runs when this fiber suspends
print(sum.joinable) --> true
print(sum:join()) --> 5	done
-- end::join[]

-- tag::error[]
local failing = spawn(function()
    error { reason = "out of tea" }
end)
local ok, err = pcall(failing.join, failing)
print(ok, err.reason) --> false	out of tea
-- end::error[]

-- tag::interrupt[]
local sock = ip.udp.socket.new()
sock:open("v4")
sock:bind("127.0.0.1", 0)

local waiter = spawn(function()
    sock:receive(byte_span.new(100)) -- nothing ever comes
end)
this_fiber.yield() -- let it begin to wait
waiter:interrupt()
waiter:join() -- returns nothing: it was interrupted
print(waiter.interruption_caught) --> true
assert(sock.is_open) -- only the wait ended
-- end::interrupt[]

-- tag::close[]
local other = spawn(function()
    local _, why = pcall(sock.receive, sock, byte_span.new(100))
    return why == generic_error.ECANCELED
end)
this_fiber.yield()
sock:close() -- ends the waits of every fiber on that socket
print(other:join()) --> true
-- end::close[]

-- tag::local[]
local function remember(name)
    this_fiber.local_.name = name
    this_fiber.yield()
    return this_fiber.local_.name -- the other fiber has its own table
end

local ann, bob = spawn(remember, "ann"), spawn(remember, "bob")
print(ann:join(), bob:join()) --> ann	bob
-- end::local[]

-- tag::disable[]
local log = {}
local careful = spawn(function()
    this_fiber.disable_interruption()
    time.sleep(0.002)
    log[1] = "both halves are done"
    this_fiber.restore_interruption()
    time.sleep(3600) -- an interruption point: the interruption is raised here
end)
this_fiber.yield()
careful:interrupt()
careful:join()
print(careful.interruption_caught, log[1]) --> true	both halves are done
-- end::disable[]

-- tag::forbid[]
this_fiber.forbid_suspend()
print(pcall(time.sleep, 0))
--> false	Operation not permitted within a forbid-suspend block: time.sleep (fibers.lua:85)
this_fiber.allow_suspend()
-- end::forbid[]

print(this_fiber.is_main) --> true
