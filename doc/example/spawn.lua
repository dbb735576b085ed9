-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Child processes: programs are started, waited for beside everything else, given sockets, and
-- stopped when they take too long.

local byte_span = require "byte_span"
local ip = require "ip"
local system = require "system"
local time = require "time"

io.stdout:setvbuf("line")

-- tag::run[]
local function describe(status)
    if status.exited then
        return "exited with code " .. status.code
    end
    return "was ended by signal " .. status.signal
end

local process = system.spawn {
    program = "sh",
    arguments = {"sh", "-c", "echo $GREETING from process $$; exit 3"},
    environment = {GREETING = "hello"},
    stdout = "share",
}
print("the first child " .. describe(process:wait()))
-- end::run[]

-- tag::parallel[]
local running = {}
for i = 1, 3 do
    local child = system.spawn {program = "sh", arguments = {"sh", "-c", "exit " .. i}}
    running[i] = spawn(function() return child:wait().code end)
end
local sum = 0
for _, fiber in ipairs(running) do
    sum = sum + fiber:join()
end
print("the sum of their codes is " .. sum)
-- end::parallel[]

-- tag::timeout[]
local function run_for(seconds, options)
    local child = system.spawn(options)
    local ok, status = pcall(time.with_timeout, seconds, child.wait, child)
    if ok then
        return status
    end
    child:kill("SIGTERM")
    return child:wait()
end

local status = run_for(0.05, {program = "sleep", arguments = {"sleep", "3600"}})
print("the child that sleeps " .. describe(status))
-- end::timeout[]

-- tag::socket[]
-- The parent binds, the child serves: it finds the socket as its descriptor 3.
local service = [[
    local sock = ip.udp.socket.new()
    sock:assign("v4", system.inherited_fd(3))
    local buf = byte_span.new(512)
    local nread, remote_addr, remote_port = sock:receive_from(buf)
    sock:send_to(tostring(buf:slice(1, nread)):upper(), remote_addr, remote_port)]]

local sock = ip.udp.socket.new()
sock:open("v4")
sock:bind(ip.address.loopback_v4(), 0)
local address, port = sock.local_address, sock.local_port
local fd = sock:release()
local server = system.spawn {
    program = system.arguments[1],
    arguments = {"thrum", "-e", service},
    stderr = "share",
    extra_fds = {[3] = fd},
}
fd:close() -- the child has its own
-- end::socket[]

local client = ip.udp.socket.new()
client:open("v4")
client.timeout = 20
client:send_to("a question", address, port)
local buf = byte_span.new(512)
print("the child answers: " .. tostring(buf:slice(1, client:receive(buf))))
print("it " .. describe(server:wait()))

-- tag::errors[]
local ok, err = pcall(system.spawn, {program = "no-such-program"})
print(ok, err)
-- end::errors[]
