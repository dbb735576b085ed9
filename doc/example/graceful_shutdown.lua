-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A UDP service that ends gracefully: on SIGTERM or SIGINT it takes no more requests, answers those
-- that have come, and exits with status 0. A second signal ends it at once.
--
--     thrum graceful_shutdown.lua [address [port [seconds of work for a request]]]

local byte_span = require "byte_span"
local fiber = require "fiber"
local generic_error = require "generic_error"
local ip = require "ip"
local system = require "system"
local time = require "time"

local address = ip.address.new(arg[1] or "127.0.0.1")
local port = tonumber(arg[2] or 7070)
local seconds = tonumber(arg[3] or 0.1)

local sock = ip.udp.socket.new()
sock:open(address)
sock:bind(address, port)

-- tag::work[]
local busy = fiber.group() -- the fibers that work on a request
local n_answered = 0

local function answer(request, remote_addr, remote_port)
    time.sleep(seconds) -- whatever takes its time
    local ok, err = pcall(sock.send_to, sock, request:upper(), remote_addr, remote_port)
    if ok then
        n_answered = n_answered + 1
    else
        io.stderr:write(ip.tostring(remote_addr, remote_port), ": ", tostring(err), "\n")
    end
end

local buf = byte_span.new(65535)
local function take_request()
    local nread, remote_addr, remote_port = sock:receive_from(buf)
    busy:spawn(answer, tostring(buf:slice(1, nread)), remote_addr, remote_port)
end
-- end::work[]

-- tag::serve[]
local stop = system.signal.set.new("SIGINT", "SIGTERM")
local receiver = spawn(function()
    while true do
        take_request()
    end
end)
io.stdout:setvbuf("line")
print(("listening on %s port %d"):format(ip.tostring(sock.local_address), sock.local_port))

local _, name = stop:wait()
stop:clear() -- from here on a signal kills, as it does by default
print("stopping: " .. name)
receiver:interrupt() -- loses no datagram: what it has not taken is still in the socket
receiver:join()
-- end::serve[]

-- tag::drain[]
sock.timeout = 0 -- take what is there and wait for nothing
local ok, err
repeat
    ok, err = pcall(take_request)
until not ok
if err ~= generic_error.ETIMEDOUT then
    error(err, 0)
end
busy:join()
sock:close()
print(("stopped: %d answered"):format(n_answered))
-- end::drain[]
