-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A host and a service by name: whichever of its addresses answers first, or the first that
-- answers.
--
--     thrum connect.lua [host service]

local ip = require "ip"
local byte_span = require "byte_span"
local time = require "time"

local host, service, acceptor = arg[1], arg[2], nil
if not host then -- a service of our own
    acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:bind("127.0.0.1", 0)
    acceptor:listen()
    host, service = "127.0.0.1", acceptor.local_port
    spawn(function()
        for _ = 1, 2 do
            local sock = acceptor:accept()
            sock:write_some("welcome\n")
            sock:close()
        end
    end):detach()
end

-- tag::any[]
-- Ten seconds for all of it: the lookup, and whatever has to be tried.
local sock, addr, port = time.with_timeout(10, function()
    return ip.connect_any(ip.tcp.get_address_info(host, service))
end)
print("connected to " .. ip.tostring(addr, port))
-- end::any[]
local buf = byte_span.new(100)
print((tostring(buf:slice(1, sock:read_some(buf))):gsub("%s+$", ""))) --> welcome
sock:close()

-- tag::order[]
local second = ip.tcp.socket.new()
second.timeout = 3 -- seconds for each address
ip.connect(second, ip.tcp.get_address_info(host, service), function(last_error, next_addr)
    if last_error then
        print(tostring(last_error))
    end
    return not next_addr.is_multicast -- false passes over an address
end)
-- end::order[]
second:read_some(buf)
second:close()
if acceptor then
    acceptor:close()
end
