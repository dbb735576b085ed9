-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Datagrams between processes: a collector at a path, and a client that is answered.
--
--     thrum unix_datagram.lua [path]

local byte_span = require "byte_span"
local unix = require "unix"

local path = arg[1] or os.tmpname()
os.remove(path) -- tmpname has made a file

-- tag::server[]
local collector = unix.datagram.socket.new()
collector:open()
collector:bind(path)

local function collect()
    local buf = byte_span.new(4096)
    local count = 0
    while true do
        local n, sender = collector:receive_from(buf)
        count = count + 1
        print(count, tostring(buf:slice(1, n)))
        if sender ~= "" then -- it has a name, so it can be answered
            collector:send_to("noted as number " .. count, sender)
        end
    end
end
-- end::server[]

local server = spawn(collect)

-- tag::client[]
local client = unix.datagram.socket.new()
client:open()
client:bind("") -- Linux: an abstract name of the system's choice
client:connect(path)
client:send("disk is full")

local buf = byte_span.new(64)
client.timeout = 5
local n = client:receive(buf)
print(tostring(buf:slice(1, n))) --> noted as number 1
client:close()
-- end::client[]

server:interrupt()
server:join()
collector:close()
os.remove(path)
