-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push spawn
-- A protocol of lines between processes: a store of values by name.
--
--     set NAME LENGTH    followed by so many bytes: "ok"
--     get NAME           "value LENGTH" and so many bytes, or "none"
--     quit

local generic_error = require "generic_error"
local stream = require "stream"
local time = require "time"
local unix = require "unix"

-- tag::server[]
local MAX_LINE, MAX_VALUE = 1000, 1 << 20
local SECONDS = 60 -- that a client may take for a command, with its value and the answer

local values = {}
local commands = {}

function commands.set(sock, r, name, length)
    length = math.tointeger(length)
    if not length or length < 0 or length > MAX_VALUE then
        error("bad length", 0)
    end
    values[name] = r:exactly(length)
    stream.write_all(sock, "ok\r\n")
end

function commands.get(sock, _, name)
    local value = values[name]
    stream.write_all(sock, value and {("value %d\r\n"):format(#value), value} or "none\r\n")
end

-- Serve the next command; false when there is none.
local function serve_next(sock, r)
    local line = r:line(MAX_LINE) or "quit" -- nil at the stream's end
    local verb, name, rest = line:match("^(%l+) ?(%S*) ?(%S*)$")
    if verb == "quit" then
        return false
    end
    local command = commands[verb] or error("no such command", 0)
    command(sock, r, name, rest)
    return true
end

-- The time is for all of it: who sends or takes a byte now and then never exceeds `sock.timeout`,
-- which is for each wait.
local function converse(sock)
    local r = stream.reader(sock)
    repeat
        local is_served = time.with_timeout(SECONDS, serve_next, sock, r)
    until not is_served
end

local function serve(sock)
    scope_cleanup_push(function() sock:close() end)
    local ok, err = pcall(converse, sock)
    if ok or err == generic_error.ETIMEDOUT then
        return
    elseif err == generic_error.EMSGSIZE then -- one client's error is the end of that client only
        err = "line too long"
    end
    pcall(time.with_timeout, SECONDS, stream.write_all, sock, ("error %s\r\n"):format(err))
end
-- end::server[]

local acceptor = unix.stream.acceptor.new()
acceptor:open()
acceptor:bind("") -- an abstract name that the system chooses
acceptor:listen()

local server = spawn(function()
    while true do
        spawn(serve, acceptor:accept()):detach()
    end
end)

-- tag::client[]
local sock = unix.stream.socket.new()
sock:connect(acceptor.local_path)
local r = stream.reader(sock)

stream.write_all(sock, "set verse 16\r\none line\nand twoget verse\r\n")
print(r:line()) --> ok
local length = tonumber(r:line():match("^value (%d+)$"))
print(r:exactly(length)) --> one line, and two
stream.write_all(sock, "get nothing\n")
print(r:line()) --> none
stream.write_all(sock, ("x"):rep(2000))
print(r:line(), r:line()) --> error line too long, nil
-- end::client[]
sock:close()

-- tag::own[]
-- Every byte in upper case. The end, eof, comes through by itself.
local upper = {source = nil}
upper.__index = upper

function upper.new(source)
    return setmetatable({source = source}, upper)
end

function upper:read_some(buf)
    local n = self.source:read_some(buf)
    buf:copy(tostring(buf:slice(1, n)):upper())
    return n
end

local a, b = unix.stream.socket.pair()
stream.write_all(a, "hello, stream\n")
a:close()
print(stream.reader(upper.new(b)):line()) --> HELLO, STREAM
-- end::own[]
b:close()
server:interrupt()
server:join()
acceptor:close()
