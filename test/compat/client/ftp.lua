-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- N fibers, each of which gets a file and then puts one: ftp.lua PORT N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local ftp = require "socket.ftp"
local ltn12 = require "ltn12"
local port, n = arg[1], math.tointeger(arg[2])

local bytes = {}
for byte = 0, 255 do
    bytes[#bytes + 1] = string.char(byte)
end
local big = table.concat(bytes):rep(2000)

-- All the sessions of the first round begin before one of them goes on.
local function get()
    local parts = {}
    local ok, err = ftp.get {
        host = "127.0.0.1",
        port = port,
        path = "pub/big",
        type = "i",
        sink = ltn12.sink.table(parts),
    }
    assert(ok, err)
    assert(table.concat(parts) == big)
end

local function put(i)
    assert(ftp.put {
        host = "127.0.0.1",
        port = port,
        user = "user",
        password = "secret",
        path = "up/" .. i,
        type = "i",
        source = ltn12.source.string(i .. ": " .. big),
    })
end

for _, f in ipairs {get, put} do
    local fibers = {}
    for i = 1, n do
        fibers[i] = spawn(f, i)
    end
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
end
print(n .. " times up and down")
