-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push spawn
-- A service at a path: a fiber for each client, a word for each end.
--
--     thrum unix_stream.lua [path]

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local unix = require "unix"

local path = arg[1] or os.tmpname() -- which makes a file: it is left behind, so to speak

-- tag::listen[]
-- The directory is the service's own, /run/service for example: a file at which nobody listens was
-- left behind by an earlier run.
local function is_left_behind(name)
    local probe = unix.stream.socket.new()
    local ok, err = pcall(probe.connect, probe, name)
    probe:close()
    return not ok and err == generic_error.ECONNREFUSED
end

local function listen(name)
    if is_left_behind(name) then
        os.remove(name)
    end
    local acceptor = unix.stream.acceptor.new()
    acceptor:open()
    acceptor:bind(name)
    acceptor:listen()
    return acceptor
end
-- end::listen[]

-- tag::server[]
-- Send back what comes, until the client has had enough.
local function serve(sock)
    local buf = byte_span.new(4096)
    scope_cleanup_push(function() sock:close() end)
    while true do
        local ok, n = pcall(sock.read_some, sock, buf)
        if not ok then
            return -- the end of the stream, or a client that is gone
        end
        local sent = 0
        while sent < n do -- a stream may take less than all
            sent = sent + sock:write_some(buf:slice(sent + 1, n))
        end
    end
end

local function run(acceptor)
    while true do
        local sock = acceptor:accept()
        local pid, uid = sock:remote_credentials()
        print(("process %d of user %d"):format(pid, uid))
        spawn(serve, sock):detach()
    end
end
-- end::server[]

local acceptor = listen(path)
local server = spawn(run, acceptor)

-- tag::client[]
local client = unix.stream.socket.new()
client:connect(path)
client:write_some("hello, ")
client:write_some({"stream", "\n"}) -- one piece or two: a stream keeps no borders
client:shutdown("send") -- the server sees the end, and can still answer

local answer = {}
local buf = byte_span.new(8)
while true do
    local ok, n = pcall(client.read_some, client, buf)
    if not ok then
        break
    end
    answer[#answer + 1] = tostring(buf:slice(1, n))
end
io.write(table.concat(answer)) --> hello, stream
client:close()
-- end::client[]

server:interrupt()
server:join()

-- tag::descriptor[]
local a, b = unix.stream.socket.pair()
local fd = acceptor:release()
a:write_some("before ")
a:send_with_fds("with", {fd})
fd:close()
a:write_some(" after")

local taken = byte_span.new(64)
local n, fds = b:receive_with_fds(taken, 1)
print(tostring(taken:slice(1, n)):match("before with") ~= nil, fds[1]:kind())
-- end::descriptor[]
fds[1]:close()
a:close()
b:close()
os.remove(path) -- the program that made the file removes it
