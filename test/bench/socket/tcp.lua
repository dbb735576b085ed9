-- SPDX-License-Identifier: BSL-1.0
-- A LuaSocket program that serves so many connections: in fibers at once where there are any, else
-- one after the other. It prints its port, and then what it has done and the processor time that
-- this took: tcp.lua MODE CONNECTIONS SIZE, the size that of a block.
-- luacheck: globals spawn
local socket = require "socket"
local mode, n_connections, size = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])

local modes = {}

-- All lines until the end.
function modes.lines(conn)
    local count = 0
    while conn:receive() do
        count = count + 1
    end
    return count
end

-- Each line is answered.
function modes.answers(conn)
    local count = 0
    while true do
        local line = conn:receive()
        if not line then
            return count
        end
        assert(conn:send(line .. "\n"))
        count = count + 1
    end
end

-- Blocks until the end.
function modes.receive(conn)
    local bytes = 0
    while true do
        local block, _, rest = conn:receive(size)
        bytes = bytes + #(block or rest)
        if not block then
            return bytes
        end
    end
end

-- The peer says how many blocks it wants.
function modes.send(conn)
    local block, bytes = ("x"):rep(size), 0
    for _ = 1, tonumber(conn:receive()) do
        bytes = bytes + assert(conn:send(block))
    end
    return bytes
end

local total = 0

local function serve(conn)
    local count = modes[mode](conn) -- others run meanwhile
    total = total + count
    conn:close()
end

local server = assert(socket.bind("127.0.0.1", 0, 128))
local _, port = server:getsockname()
io.stdout:write(math.tointeger(tonumber(port)), "\n")
io.stdout:flush()

local start, fibers
for _ = 1, n_connections do
    local conn = assert(server:accept())
    start = start or os.clock()
    if n_connections > 1 and rawget(_G, "spawn") then
        fibers = fibers or {}
        fibers[#fibers + 1] = spawn(serve, conn)
    else
        serve(conn)
    end
end
for _, fiber in ipairs(fibers or {}) do
    fiber:join()
end
print(("count=%d seconds=%.6f"):format(total, os.clock() - start))
