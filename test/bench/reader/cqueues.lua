-- SPDX-License-Identifier: BSL-1.0
-- cqueues: a coroutine in its loop. See test/bench/stream.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local path, mode, size = arg[1], arg[2], math.tointeger(arg[3])

local function read(sock, format, extra)
    local n, count = 0, 0
    while true do
        local piece = sock:read(format)
        if not piece then
            return n, count
        end
        n, count = n + #piece + extra, count + 1
    end
end

local queue = cqueues.new()
queue:wrap(function()
    local acceptor = assert(socket.listen {path = path})
    assert(acceptor:listen())
    print("ready")
    io.stdout:flush()
    local sock = assert(acceptor:accept())
    sock:setmode("bf", "bf")
    if mode == "bulk" then
        sock:setbufsiz(size)
    end
    local start = os.clock()
    local format = mode == "lines" and "*l" or mode == "records" and size or -size
    local n, count = read(sock, format, mode == "lines" and 1 or 0)
    print(("bytes=%d pieces=%d seconds=%.6f"):format(n, count, os.clock() - start))
end)
assert(queue:loop())
