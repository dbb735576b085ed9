-- SPDX-License-Identifier: BSL-1.0
-- thrum: reads what one client sends, in lines, records or as it comes. See test/bench/stream.
-- luacheck: globals byte_span stream unix
local path, mode, size = arg[1], arg[2], math.tointeger(arg[3])

local function lines(sock)
    local r, n, count = stream.reader(sock), 0, 0
    while true do
        local line = r:line()
        if not line then
            return n, count
        end
        n, count = n + #line + 1, count + 1
    end
end

local function records(sock)
    local r, n, count = stream.reader(sock), 0, 0
    pcall(function() -- eof ends it
        while true do
            n, count = n + #r:exactly(size), count + 1
        end
    end)
    return n, count
end

local function bulk(sock)
    local buf, n, count = byte_span.new(size), 0, 0
    pcall(function() -- eof ends it
        while true do
            n, count = n + sock:read_some(buf), count + 1
        end
    end)
    return n, count
end

local acceptor = unix.stream.acceptor.new()
acceptor:open()
acceptor:bind(path)
acceptor:listen()
print("ready")
io.stdout:flush()
local sock = acceptor:accept()
local start = os.clock()
local n, count = ({lines = lines, records = records, bulk = bulk})[mode](sock)
print(("bytes=%d pieces=%d seconds=%.6f"):format(n, count, os.clock() - start))
