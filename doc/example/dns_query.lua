-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A question to a name server, with a number that nobody can guess: an attacker who could
-- would answer it in the server's place.
--
--     thrum dns_query.lua

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"
local system = require "system"
local time = require "time"

local TYPE_A, CLASS_IN = 1, 1
local FLAG_RECURSION_DESIRED = 0x0100

-- tag::query[]
-- The question for the IPv4 addresses of a name, and the two random bytes that it begins with.
local function make_query(name)
    local id = system.random_bytes(2)
    local labels = name:gsub("([^.]+)%.?", function(label) return string.pack(">s1", label) end)
    return id .. string.pack(">I2I2I2I2I2", FLAG_RECURSION_DESIRED, 1, 0, 0, 0) .. labels .. "\0" ..
        string.pack(">I2I2", TYPE_A, CLASS_IN), id
end

-- The answer to it. Anything else that comes meanwhile is an old answer, or a forged one.
local function ask(sock, name)
    local query, id = make_query(name)
    local buf = byte_span.new(512)
    sock:send(query)
    return time.with_timeout(5, function()
        while true do
            local answer = buf:slice(1, sock:receive(buf))
            if answer:starts_with(id) then
                return answer
            end
        end
    end)
end
-- end::query[]

-- A server that knows one address, and is slow: a forged answer comes first.
local ADDRESS = ip.address.new("192.0.2.7")
local server = ip.udp.socket.new()
server:open("v4")
server:bind("127.0.0.1", 0)
spawn(function()
    local buf = byte_span.new(512)
    local n, address, port = server:receive_from(buf)
    local answer = byte_span.append(buf:slice(1, n), "\xC0\x0C",
        string.pack(">I2I2I4s2", TYPE_A, CLASS_IN, 60, ADDRESS:to_bytes()))
    answer:set_u16(3, 0x8180) -- a response
    answer:set_u16(7, 1) -- with one answer
    local id = answer:get_u16(1)
    answer:set_u16(1, id ~ 1)
    server:send_to(answer, address, port)
    answer:set_u16(1, id)
    server:send_to(answer, address, port)
    server:close()
end):detach()

local sock = ip.udp.socket.new()
sock:connect(server.local_address, server.local_port)
local answer = ask(sock, "www.example.org")
print("www.example.org has address " ..
    tostring(ip.address.from_bytes(tostring(answer:slice(#answer - 3)))))

-- The server has gone: a connected socket gets that as an error.
local ok, err = pcall(ask, sock, "www.example.org")
print(ok, err == generic_error.ECONNREFUSED)
sock:close()
