-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push spawn
-- A TCP echo service (RFC 862), and without arguments a client of it.
--
--     thrum tcp_echo.lua                      service and client, over loopback
--     thrum tcp_echo.lua address [port]       the service, until it is stopped

local byte_span = require "byte_span"
local ip = require "ip"

-- tag::listen[]
local function listen(addr, port)
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open(addr)
    acceptor:set_option("reuse_address", true) -- old connections are no hindrance
    acceptor:bind(addr, port)
    acceptor:listen()
    return acceptor
end
-- end::listen[]

-- tag::serve[]
-- Send back what comes, to the end of the stream, and close.
local function echo(sock)
    local buf = byte_span.new(4096)
    scope_cleanup_push(function() sock:close() end)
    while true do
        local ok, n = pcall(sock.read_some, sock, buf)
        if not ok then
            return -- the end, or a client that is gone
        end
        local sent = 0
        while sent < n do -- a stream may take less than all
            sent = sent + sock:write_some(buf:slice(sent + 1, n))
        end
    end
end

local function serve(acceptor)
    while true do
        local sock = acceptor:accept()
        spawn(function() pcall(echo, sock) end):detach()
    end
end
-- end::serve[]

local acceptor = listen(ip.address.new(arg[1] or "127.0.0.1"), tonumber(arg[2] or 0))
print(("listening on %s port %d"):format(ip.tostring(acceptor.local_address), acceptor.local_port))
io.stdout:flush()
if arg[1] then
    serve(acceptor)
end

local server = spawn(serve, acceptor)

-- tag::client[]
local client = ip.tcp.socket.new()
client.timeout = 10 -- seconds, for each call
client:connect(acceptor.local_address, acceptor.local_port)
client:set_option("tcp_no_delay", true)

client:write_some("hello, ")
client:write_some({"stream", "\n"}) -- one piece or two: a stream keeps no borders
client:shutdown("send") -- the service sees the end, and can still answer

local answer, buf = {}, byte_span.new(8)
while true do
    local ok, n = pcall(client.read_some, client, buf)
    if not ok then
        break -- n is the error: eof, if all went well
    end
    answer[#answer + 1] = tostring(buf:slice(1, n))
end
io.write(table.concat(answer)) --> hello, stream
client:close()
-- end::client[]

server:interrupt()
server:join()
acceptor:close()
