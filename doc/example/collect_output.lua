-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- What a child process prints comes to its parent over a pair of unix sockets, and over another
-- one what it is to read.
--
--     thrum collect_output.lua

local byte_span = require "byte_span"
local system = require "system"
local unix = require "unix"

-- tag::collect[]
local function is_eof(err)
    return tostring(err.category) == "misc" and err.code == 2
end

local function read_all(sock)
    local parts, buf = {}, byte_span.new(4096)
    while true do
        local ok, n = pcall(sock.read_some, sock, buf)
        if not ok then
            sock:close()
            if not is_eof(n) then
                error(n, 0)
            end
            return table.concat(parts)
        end
        parts[#parts + 1] = tostring(buf:slice(1, n))
    end
end

-- One end for us, the other as the descriptor that a child gets.
local function pipe()
    local ours, theirs = unix.stream.socket.pair()
    return ours, theirs:release()
end

-- Run a program to its end: what it printed, what it complained about, how it ended.
local function collect(options)
    local out, out_fd = pipe()
    local err, err_fd = pipe()
    options.stdout, options.stderr = out_fd, err_fd
    local ok, process = pcall(system.spawn, options)
    out_fd:close() -- the child has its own: as long as somebody has that end open, there is no eof
    err_fd:close()
    if not ok then
        error(process, 0)
    end
    local complaints = spawn(read_all, err) -- both at once: a child waits when nobody reads
    local output = read_all(out)
    return output, complaints:join(), process:wait()
end

local output, complaints, status = collect {
    program = "sh",
    arguments = {"sh", "-c", "echo one; echo two; echo 'what?' >&2; exit 3"},
}
io.write(output) --> one two
io.write(complaints) --> what?
print(status.code) --> 3
-- end::collect[]

-- tag::filter[]
-- What the program is to read is written by a fiber of its own.
local function filter(input, options)
    local feed, feed_fd = pipe()
    options.stdin = feed_fd
    local writer = spawn(function()
        local sent = 0
        while sent < #input do
            local ok, n = pcall(feed.write_some, feed, input:sub(sent + 1, sent + 65536))
            if not ok then
                break -- the program reads no more
            end
            sent = sent + n
        end
        feed:close() -- the end of its input
    end)
    local ok, result = pcall(collect, options)
    feed_fd:close()
    writer:join()
    return ok and result or error(result, 0)
end

local words = {}
for i = 1, 100000 do
    words[i] = ("%d\n"):format(100000 - i)
end
local sorted = filter(table.concat(words), {program = "sort", arguments = {"sort", "-n"}})
print(#sorted, sorted:match("^0\n1\n2\n") ~= nil) --> 588890	true
-- end::filter[]
