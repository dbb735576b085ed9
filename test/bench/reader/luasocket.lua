-- SPDX-License-Identifier: BSL-1.0
-- LuaSocket: blocking calls. See test/bench/stream.
local connect = require "socket.unix"
local path, mode, size = arg[1], arg[2], math.tointeger(arg[3])

local function read(sock, pattern, extra)
    local n, count = 0, 0
    while true do
        local piece, _, rest = sock:receive(pattern)
        if not piece then
            return n + #rest, count
        end
        n, count = n + #piece + extra, count + 1
    end
end

local function new_socket()
    return assert(type(connect) == "table" and connect.stream() or connect())
end

local acceptor = new_socket()
assert(acceptor:bind(path))
assert(acceptor:listen())
print("ready")
io.stdout:flush()
local sock = assert(acceptor:accept())
local start = os.clock()
local n, count = read(sock, mode == "lines" and "*l" or size, mode == "lines" and 1 or 0)
print(("bytes=%d pieces=%d seconds=%.6f"):format(n, count, os.clock() - start))
