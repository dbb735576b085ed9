-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Servers and clients in one process: tls_both_ends.lua CERTIFICATE KEY N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local socket = require "socket"
local ssl = require "ssl"
local certificate, key, n = arg[1], arg[2], math.tointeger(arg[3])

local BIG = ("0123456789abcdef"):rep(20000)

local function wrap(sock, params)
    local conn = assert(ssl.wrap(sock, params))
    conn:settimeout(10)
    assert(conn:dohandshake())
    return conn
end

local function serve(sock)
    local conn = wrap(sock, {
        mode = "server", protocol = "any", certificate = certificate, key = key,
    })
    local name = assert(conn:receive())
    assert(conn:send("hello, " .. name .. "\n"))
    assert(conn:send(BIG))
    assert(conn:receive(#BIG) == BIG)
    conn:close()
end

local function converse(port, i)
    local conn = wrap(assert(socket.connect("127.0.0.1", port)), {
        mode = "client", protocol = "any", verify = "peer", cafile = certificate,
    })
    assert(conn:send(i .. "\n"))
    assert(conn:receive() == "hello, " .. i)
    assert(conn:receive(#BIG) == BIG)
    assert(conn:send(BIG))
    local nothing, err = conn:receive(1)
    assert(nothing == nil and err == "closed", err)
    conn:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local fibers = {spawn(function()
    local serving = {}
    for i = 1, n do
        serving[i] = spawn(serve, assert(server:accept()))
    end
    for _, fiber in ipairs(serving) do
        fiber:join()
    end
end)}
for i = 1, n do
    fibers[#fibers + 1] = spawn(converse, port, i)
end
for _, fiber in ipairs(fibers) do
    fiber:join()
end
server:close()
print(n .. " conversations")
