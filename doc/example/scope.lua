-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn scope scope_cleanup_push scope_cleanup_pop
-- Cleanup handlers: what has to be done at the end of a block, however it ends.
--
--     thrum scope.lua

local byte_span = require "byte_span"
local ip = require "ip"
local this_fiber = require "this_fiber"
local time = require "time"

-- tag::scope[]
local function with_socket(f)
    return scope(function()
        local sock = ip.udp.socket.new()
        scope_cleanup_push(function() sock:close() end)
        sock:open("v4")
        sock:bind("127.0.0.1", 0)
        return f(sock)
    end)
end

local seen
local port = with_socket(function(sock)
    seen = sock
    return sock.local_port
end)
print(port > 0, seen.is_open) --> true	false

print(pcall(with_socket, function(sock)
    seen = sock
    error("the task failed", 0)
end)) --> false	the task failed
print(seen.is_open) --> false
-- end::scope[]

-- tag::interrupt[]
local worker = spawn(function()
    scope_cleanup_push(function() -- of the fiber's own scope
        time.sleep(0.001) -- a handler may wait: interruption is disabled in it
        print("the worker has cleaned up")
    end)
    with_socket(function(sock)
        sock:receive(byte_span.new(16)) -- nothing ever comes
    end)
end)
this_fiber.yield()
worker:interrupt()
worker:join() --> the worker has cleaned up
print(worker.interruption_caught) --> true
-- end::interrupt[]

-- tag::pop[]
local function build(fails)
    return pcall(function() -- which is a scope, too
        local parts = { "first part" }
        scope_cleanup_push(function() parts[1] = "taken apart" end)
        if fails then
            error(parts)
        end
        scope_cleanup_pop(false) -- it is whole: nothing to undo any more
        return parts
    end)
end

print(select(2, build(false))[1]) --> first part
print(select(2, build(true))[1]) --> taken apart
-- end::pop[]

-- tag::xpcall[]
local ok, report = xpcall(function()
    time.sleep(0)
    error("something is wrong")
end, debug.traceback)
print(ok, report:match("^[^\n]*wrong")) --> false	...: something is wrong
-- end::xpcall[]
