-- SPDX-License-Identifier: BSL-1.0
-- stream: whole transfers, and the reader's lines, records and rests.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local stream, unix, byte_span = thrum.stream, thrum.unix, thrum.byte_span
local spawn, time, this_fiber = thrum.spawn, thrum.time, thrum.this_fiber
local generic_error = thrum.generic_error

local function eof(f, ...)
    return h.raises_text("misc", "End of file", f, ...)
end

-- A pair, a reader of its second end, and what closes both.
local function new_pair()
    local a, b = unix.stream.socket.pair()
    return a, stream.reader(b), function()
        a:close()
        b:close()
    end
end

-- A stream of one's own: each read_some gives the next piece, or as much of it as there is room
-- for; functions among them are called. Then the end.
local function scripted(...)
    local script = {pieces = {...}, n_calls = 0, at = 1}
    function script:read_some(buf)
        self.n_calls = self.n_calls + 1
        local piece = self.pieces[self.at]
        if type(piece) == "function" then
            self.at = self.at + 1
            return piece(buf)
        elseif not piece then
            return nil
        end
        local n = buf:copy(piece)
        self.pieces[self.at] = piece:sub(n + 1)
        if n == #piece then
            self.at = self.at + 1
        end
        return n
    end
    return script
end

local function reader_of(...)
    return stream.reader(scripted(...))
end

-- Each byte of the text by itself.
local function bytes(text)
    local list = {}
    for i = 1, #text do
        list[i] = text:sub(i, i)
    end
    return list
end

local function collect(next_piece)
    local list = {}
    for _ = 1, 100000 do
        local piece = next_piece()
        if not piece then
            return list
        end
        list[#list + 1] = piece
    end
    lu.fail("no end of pieces")
end

-- ---- lines ----

t["test line drops LF and CRLF and keeps everything else"] = function()
    local a, r, close = new_pair()
    a:write_some("one\r\ntwo\n\r\n\n a\rb \r\r\nnul\0nul\nlast")
    a:shutdown("send")
    local lines = collect(function() return r:line() end)
    lu.assertEquals(lines, {"one", "two", "", "", " a\rb \r", "nul\0nul", "last"})
    lu.assertNil(r:line())
    lu.assertNil(r:read_until("x"))
    lu.assertEquals(r:all(), "")
    close()
end

t["test lines come whole wherever the pieces are cut"] = function()
    local text = "a\r\n\r\nbcd\n\rx\r\r\ntail\r"
    local expected = {"a", "", "bcd", "\rx\r", "tail\r"}
    for first = 1, #text - 1 do
        for second = first + 1, #text do
            local r = reader_of(text:sub(1, first), text:sub(first + 1, second),
                text:sub(second + 1))
            lu.assertEquals(collect(function() return r:line() end), expected)
        end
    end
    local r = reader_of(table.unpack(bytes(text)))
    lu.assertEquals(collect(function() return r:line() end), expected)
end

t["test a line that comes slowly is waited for; a CR at a piece's end is no end"] = function()
    local a, r, close = new_pair()
    local fiber = h.start(function() return r:line() end)
    for _, piece in ipairs {"ha", "lf", "\r"} do
        a:write_some(piece)
        h.wait_until(function() return r.buffered > 0 end)
        h.let_others_run()
    end
    a:write_some("\nmore")
    lu.assertEquals(fiber:join(), "half")
    a:close()
    lu.assertEquals(r:line(), "more")
    close()
end

t["test a line longer than max is EMSGSIZE and nothing of it is lost"] = function()
    for _, is_own in ipairs {false, true} do
        local a, r, close
        if is_own then
            r, close = reader_of("12345\r\n123456\r\nx\n123456"), function() end
        else
            a, r, close = new_pair()
            a:write_some("12345\r\n123456\r\nx\n123456")
            a:shutdown("send")
        end
        lu.assertEquals(r:line(5), "12345")
        local err = h.raises("EMSGSIZE", r.line, r, 5)
        lu.assertEquals(err.op, "stream.reader.line")
        lu.assertEquals(err.length, r.buffered)
        h.raises("EMSGSIZE", r.line, r, 5)
        h.raises("EMSGSIZE", r.line, r, 0)
        lu.assertEquals(r:line(6), "123456")
        lu.assertEquals(r:line(1), "x")
        h.raises("EMSGSIZE", r.line, r, 5)
        lu.assertEquals(r:line(6), "123456")
        lu.assertNil(r:line(0))
        close()
    end
end

t["test max is seen before the line has ended; a CR counts only without its LF"] = function()
    local a, r, close = new_pair()
    local b = r.stream
    b.timeout = 0.01
    a:write_some("12345\r")
    h.raises("ETIMEDOUT", r.line, r, 5)
    a:write_some("\n")
    lu.assertEquals(r:line(5), "12345")
    a:write_some("12345\rx")
    h.raises("EMSGSIZE", r.line, r, 5)
    a:write_some("\n")
    lu.assertEquals(r:line(7), "12345\rx")
    a:write_some("1234\r")
    a:shutdown("send")
    h.raises("EMSGSIZE", r.line, r, 4) -- the end makes it a byte like others
    lu.assertEquals(r:line(5), "1234\r")
    close()
end

t["test a line is as long as memory allows, through a growing buffer"] = function()
    local size = h.is_slow and 100000 or 3000000
    local long = ("0123456789"):rep(size // 10)
    local a, r, close = new_pair()
    local writer = spawn(function()
        stream.write_all(a, {long, "\r\nshort\n", long, "\n"})
        a:close()
    end)
    lu.assertTrue(r:line() == long)
    lu.assertEquals(r:line(), "short")
    lu.assertTrue(r:line() == long)
    lu.assertNil(r:line())
    writer:join()
    close()
end

-- ---- delimiters ----

t["test read_until finds delimiters of any length across any border"] = function()
    for _, delimiter in ipairs {"|", "\0", "--", "\r\n\r\n", "aab", "abab", "aaaa", "\0\1\0\0"} do
        local text = "first" .. delimiter .. delimiter .. "a a\0aa" .. delimiter .. "rest"
        local expected, from = {}, 1
        while true do
            local first, last = text:find(delimiter, from, true)
            expected[#expected + 1] = text:sub(from, (first or 0) - 1)
            if not first then
                break
            end
            from = last + 1
        end
        for cut = 1, #text - 1 do
            local r = reader_of(text:sub(1, cut), text:sub(cut + 1))
            lu.assertEquals(collect(function() return r:read_until(delimiter) end), expected)
        end
        local r = reader_of(table.unpack(bytes(text)))
        lu.assertEquals(collect(function() return r:read_until(delimiter) end), expected)
    end
end

t["test read_until takes the first of overlapping finds; a byte_span will do"] = function()
    local r = reader_of("aaab", "ab", "aaaab", "x")
    lu.assertEquals(r:read_until("aab"), "a")
    lu.assertEquals(r:read_until(byte_span.append("aab")), "abaa")
    lu.assertEquals(r:read_until("aab"), "x")
    lu.assertNil(r:read_until("aab"))
end

t["test read_until agrees with a search in the whole text, for random pieces"] = function()
    local random = 12345
    local function next_random(n)
        random = (random * 1103515245 + 12345) % 2147483648
        return (random >> 8) % n
    end
    for _ = 1, h.is_slow and 20 or 400 do
        local text, pieces = {}, {}
        for i = 1, 200 do
            text[i] = next_random(2) == 0 and "a" or "b"
        end
        text = table.concat(text)
        local delimiter = {}
        for i = 1, 1 + next_random(6) do
            delimiter[i] = next_random(2) == 0 and "a" or "b"
        end
        delimiter = table.concat(delimiter)
        local at = 1
        while at <= #text do
            local n = 1 + next_random(20)
            pieces[#pieces + 1] = text:sub(at, at + n - 1)
            at = at + n
        end
        local r = reader_of(table.unpack(pieces))
        local found = collect(function() return r:read_until(delimiter) end)
        local from, i = 1, 1
        while true do
            local first, last = text:find(delimiter, from, true)
            if not first then
                break
            end
            lu.assertEquals(found[i], text:sub(from, first - 1))
            from, i = last + 1, i + 1
        end
        local rest = from <= #text and text:sub(from) or nil
        lu.assertEquals(found[i], rest)
        lu.assertNil(found[i + 1])
    end
end

t["test read_until with max: EMSGSIZE, nothing lost, the delimiter does not count"] = function()
    local r = reader_of("12345\r\n\r", "\n1234", "56\r\n\r\nend")
    lu.assertEquals(r:read_until("\r\n\r\n", 5), "12345")
    local err = h.raises("EMSGSIZE", r.read_until, r, "\r\n\r\n", 5)
    lu.assertEquals(err.op, "stream.reader.read_until")
    h.raises("EMSGSIZE", r.read_until, r, "\r\n\r\n", 5)
    h.raises("EMSGSIZE", r.line, r, 5)
    lu.assertEquals(r:read_until("\r\n\r\n", 6), "123456")
    h.raises("EMSGSIZE", r.read_until, r, "\r\n\r\n", 2)
    lu.assertEquals(r:read_until("\r\n\r\n", 3), "end")
    lu.assertNil(r:read_until("\r\n\r\n", 0))
end

t["test an empty delimiter and other bad arguments are refused"] = function()
    local r = reader_of("x\n")
    h.raises_arg(2, r.read_until, r, "")
    h.raises_arg(2, r.read_until, r)
    h.raises_arg(2, r.read_until, r, 1)
    h.raises_arg(3, r.read_until, r, "x", -1)
    h.raises_arg(2, r.line, r, -1)
    h.raises_arg(2, r.line, r, "1")
    h.raises_arg(2, r.exactly, r)
    h.raises_arg(2, r.exactly, r, -1)
    h.raises_arg(2, r.all, r, 0.5)
    h.raises_arg(1, r.line, {})
    h.raises("EINVAL", function() return r.word end)
    h.raises("EINVAL", function() r.buffered = 1 end)
    lu.assertEquals(r:line(), "x")
end

-- ---- exactly and all ----

t["test exactly gives so many bytes; at the end eof, and nothing is lost"] = function()
    local a, r, close = new_pair()
    a:write_some("\0\1\2\003456789")
    lu.assertEquals(r:exactly(0), "")
    lu.assertEquals(r:exactly(4), "\0\1\2\003")
    lu.assertEquals(r:exactly(2), "45")
    local fiber = h.try(r.exactly, r, 7)
    a:write_some("ab")
    a:shutdown("send")
    local ok, err = fiber:join()
    lu.assertFalse(ok)
    h.assert_starts(tostring(err), "End of file: stream.reader.exactly")
    lu.assertEquals(err.length, 6)
    lu.assertEquals(r.buffered, 6)
    eof(r.exactly, r, math.maxinteger)
    lu.assertEquals(r:exactly(5), "6789a")
    lu.assertEquals(r:all(), "b")
    eof(r.exactly, r, 1)
    lu.assertEquals(r:exactly(0), "")
    close()
end

t["test records longer than the buffer, and a length no memory has"] = function()
    local size = h.is_slow and 70000 or 1000000
    local record = ("r"):rep(size)
    local a, r, close = new_pair()
    local writer = spawn(function()
        for _ = 1, 3 do
            stream.write_all(a, record)
        end
        a:close()
    end)
    lu.assertTrue(r:exactly(size) == record)
    lu.assertTrue(r:exactly(2 * size - 1) == record .. record:sub(2))
    eof(r.exactly, r, 1 << 50)
    lu.assertEquals(r:all(), "r")
    writer:join()
    close()
end

t["test all reads to the end; more than max is EMSGSIZE and nothing is lost"] = function()
    local a, r, close = new_pair()
    a:write_some("line\n0123456789")
    lu.assertEquals(r:line(), "line")
    h.raises("EMSGSIZE", r.all, r, 9) -- long before the end
    a:close()
    lu.assertEquals(r:all(10), "0123456789")
    lu.assertEquals(r:all(0), "")
    close()
end

t["test what is read on the way to different pieces is the same bytes"] = function()
    local r = reader_of("4\r\nwiki", "\r\n", "5\r\npedia\r\n0\r", "\n\r\nnext--rest")
    local body = {}
    while true do
        local size = tonumber(r:line(20), 16)
        if size == 0 then
            break
        end
        body[#body + 1] = r:exactly(size)
        lu.assertEquals(r:line(0), "")
    end
    lu.assertEquals(table.concat(body), "wikipedia")
    lu.assertEquals(r:line(0), "")
    lu.assertEquals(r:read_until("--"), "next")
    lu.assertEquals(r:exactly(r.buffered), "rest")
end

-- ---- the middle: interruption, timeout, errors ----

t["test an interruption in the middle of a line loses nothing"] = function()
    local a, r, close = new_pair()
    for _, read in ipairs {
        function() return r:line() end,
        function() return r:read_until("\n") end,
        function() return r:exactly(9) end,
    } do
        a:write_some("half")
        local fiber = h.start(read)
        h.wait_until(function() return r.buffered == 4 end)
        fiber:interrupt()
        fiber:join()
        lu.assertTrue(fiber.interruption_caught)
        lu.assertEquals(r.buffered, 4)
        a:write_some(" line\n")
        lu.assertEquals(r:line(), "half line")
    end
    close()
end

t["test timeouts in the middle lose nothing, the socket's and with_timeout's"] = function()
    local a, r, close = new_pair()
    a:write_some("one ")
    local err = h.raises("ETIMEDOUT", time.with_timeout, 0.01, r.line, r)
    lu.assertEquals(err.length, r.buffered) -- on a busy machine the time is over before it begins
    r.stream.timeout = 0.01
    a:write_some("line\nnext")
    lu.assertEquals(r:line(), "one line")
    h.raises("ETIMEDOUT", r.exactly, r, 5)
    a:write_some("!")
    lu.assertEquals(r:exactly(5), "next!")
    close()
end

t["test an error of the socket leaves what has come"] = function()
    local a, r, close = new_pair()
    a:write_some("half")
    local fiber = h.try(r.line, r)
    h.wait_until(function() return r.buffered == 4 end)
    r.stream:close()
    local ok, err = fiber:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == generic_error.ECANCELED)
    err = h.raises("EBADF", r.line, r)
    lu.assertEquals(err.length, 4)
    lu.assertEquals(r:exactly(4), "half")
    close()
end

t["test one fiber at a time: the second gets EBUSY and disturbs nobody"] = function()
    local a, r, close = new_pair()
    a:write_some("li")
    local fiber = h.start(function() return r:line() end)
    for _, method in ipairs {"line", "exactly", "all"} do
        h.raises("EBUSY", r[method], r, 1)
    end
    h.raises("EBUSY", r.read_until, r, "x")
    a:write_some("ne\nmore\n")
    lu.assertEquals(fiber:join(), "line")
    lu.assertEquals(r:line(), "more")
    close()
end

t["test EBUSY while a stream of one's own is asked, from inside as well"] = function()
    local r, inside
    local timer = time.steady_timer.new()
    timer:expires_after(60)
    r = reader_of("a", function(buf)
        inside = h.raises("EBUSY", r.line, r)
        pcall(timer.wait, timer)
        return buf:copy("b\n")
    end)
    local fiber = h.start(function() return r:line() end)
    h.raises("EBUSY", r.line, r)
    timer:cancel()
    lu.assertEquals(fiber:join(), "ab")
    lu.assertNotNil(inside)
end

t["test a reader lets others run while all it needs is there"] = function()
    local turns, is_done = 0, false
    local other = spawn(function()
        while not is_done do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    local endless = {read_some = function(_, buf) return buf:copy("x\n") end}
    local r = stream.reader(endless)
    for _ = 1, 1000 do
        r:line()
    end
    lu.assertTrue(turns >= 10, tostring(turns))
    local before = turns
    h.raises("EMSGSIZE", r.all, r, 4000)
    lu.assertTrue(turns - before >= 10, tostring(turns))
    is_done = true
    other:join()
end

t["test an endless stream that never waits is still interrupted and timed out"] = function()
    local endless = {read_some = function(_, buf) return buf:copy("x") end}
    local r = stream.reader(endless)
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, r.line, r)
    local n = r.buffered
    local fiber = h.start(function() return r:line() end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertTrue(r.buffered >= n)
end

-- ---- streams of one's own ----

t["test a stream of one's own may suspend, return 0, and end by nil or by eof"] = function()
    local a, b = unix.stream.socket.pair()
    local wrapper = {n_calls = 0}
    function wrapper:read_some(buf)
        self.n_calls = self.n_calls + 1
        if self.n_calls % 2 == 0 then
            return 0
        end
        return b:read_some(buf)
    end
    local r = stream.reader(wrapper)
    lu.assertIs(r.stream, wrapper)
    local fiber = h.start(function() return r:line() end)
    a:write_some("one")
    h.let_others_run()
    a:write_some(" line\nrest")
    lu.assertEquals(fiber:join(), "one line")
    a:close()
    lu.assertEquals(r:line(), "rest")
    lu.assertNil(r:line())
    eof(r.exactly, r, 1)
    b:close()
    lu.assertEquals(reader_of():all(), "")
end

t["test its errors pass through as they are, and nothing is lost"] = function()
    local marker = {}
    local r = reader_of("ab", function() error("plain", 0) end, function() error(marker) end,
        function() error(generic_error.EPERM) end, "c\n")
    local ok, err = pcall(r.line, r)
    lu.assertFalse(ok)
    lu.assertEquals(err, "plain")
    ok, err = pcall(r.line, r)
    lu.assertFalse(ok)
    lu.assertIs(err, marker)
    h.raises("EPERM", r.line, r)
    lu.assertEquals(r:line(), "abc")
end

t["test an answer that is no count is refused"] = function()
    local answers = {-1, 1 << 40, 1.5, "1", true, {}}
    for i = 1, #answers do
        local r = reader_of("a", function() return answers[i] end, "b\n")
        local err = h.raises("EINVAL", r.line, r)
        h.assert_contains(tostring(err), "the stream's read_some has to return an integer from 0")
        lu.assertEquals(r:line(), "ab")
    end
    local r = reader_of("a", function() return nil, "timeout" end)
    h.raises("EINVAL", r.line, r)
    local span = byte_span.new(4)
    local none = {write_some = function() return nil end}
    local err = h.raises("EINVAL", stream.write_all, none, span)
    h.assert_contains(tostring(err), "from 0 to 4, got nil")
end

t["test a userdata with read_some and a callable that is no function will do"] = function()
    local method = setmetatable({}, {__call = function(_, _, buf) return buf:copy("x\n") end})
    local r = stream.reader(setmetatable({}, {__index = {read_some = method}}))
    lu.assertEquals(r:line(), "x")
    h.raises_arg(1, stream.reader, io.stdout)
    h.raises_arg(1, stream.reader, {})
    h.raises_arg(1, stream.reader, {read_some = 1})
    h.raises_arg(1, stream.reader, "stream")
    h.raises_arg(1, stream.reader)
    h.raises_arg(1, stream.reader, r)
    h.raises_arg(1, stream.reader, byte_span.new(1))
    local sock = h.bound()
    h.raises_arg(1, stream.reader, sock)
    h.raises_arg(1, stream.write_all, sock, "x")
    sock:close()
    local acceptor = unix.stream.acceptor.new()
    h.raises_arg(1, stream.reader, acceptor)
end

t["test reading in a user coroutine, with its yields inside read_some"] = function()
    local coroutine = thrum.coroutine
    local r = stream.reader({read_some = function(_, buf)
        coroutine.yield("asked")
        this_fiber.yield()
        return buf:copy("x\n")
    end})
    local next_line = coroutine.wrap(function() return r:line() end)
    lu.assertEquals(next_line(), "asked")
    lu.assertEquals(next_line(), "x")
end

-- ---- whole transfers ----

t["test write_all and read_all move everything, in as many steps as it takes"] = function()
    local size = h.is_slow and 300000 or 5000000
    local text = ("0123456789\0"):rep(size // 11)
    local a, b = unix.stream.socket.pair()
    local writer = spawn(function() return stream.write_all(a, text) end)
    local buf = byte_span.new(#text, #text + 10)
    lu.assertEquals(stream.read_all(b, buf), #text)
    lu.assertEquals(writer:join(), #text)
    lu.assertTrue(tostring(buf) == text)
    lu.assertEquals(stream.write_all(a, {"a", byte_span.append("b"), "c"}), 3)
    lu.assertEquals(stream.write_all(a, ""), 0)
    lu.assertEquals(stream.read_all(b, byte_span.new(0)), 0)
    buf = byte_span.new(3)
    lu.assertEquals(stream.read_all(b, buf), 3)
    lu.assertEquals(tostring(buf), "abc")
    a:close()
    b:close()
end

t["test read_at_least and write_at_least may do more, and no less"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(10)
    a:write_some("12345")
    lu.assertEquals(stream.read_at_least(b, buf, 3), 5)
    lu.assertEquals(stream.read_at_least(b, buf, 0), 0)
    local fiber = h.start(stream.read_at_least, b, buf, 4)
    a:write_some("abc")
    h.let_others_run()
    a:write_some("de")
    lu.assertEquals(fiber:join(), 5)
    lu.assertEquals(tostring(buf:slice(1, 5)), "abcde")
    lu.assertEquals(stream.write_at_least(a, "12", 0), 0)
    lu.assertEquals(stream.write_at_least(a, "12", 1), 2)
    h.raises_arg(3, stream.read_at_least, b, buf, 11)
    h.raises_arg(3, stream.read_at_least, b, buf)
    h.raises_arg(3, stream.write_at_least, a, "12", 3)
    h.raises_arg(2, stream.read_all, b, "12")
    h.raises_arg(2, stream.write_all, a)
    h.raises_arg(1, stream.read_all)
    a:close()
    b:close()
end

t["test an error tells how much was transferred: end, interruption, timeout, EPIPE"] = function()
    local a, b = unix.stream.socket.pair()
    local buf = byte_span.new(10)
    a:write_some("123")
    b.timeout = 0.01
    lu.assertEquals(h.raises("ETIMEDOUT", stream.read_all, b, buf).length, 3)
    b.timeout = nil
    local caught
    local fiber = spawn(function()
        a:write_some("4567")
        local _, err = h.pcall_inside(stream.read_all, b, buf)
        caught = err
    end)
    h.let_others_run(4)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(h.is_interruption(caught))
    lu.assertEquals(caught.length, 4)
    lu.assertEquals(tostring(buf:slice(1, 4)), "4567")
    a:write_some("89")
    a:close()
    local err = eof(stream.read_all, b, buf)
    lu.assertEquals(err.length, 2)
    lu.assertEquals(err.op, "stream.read_all")
    lu.assertEquals(h.raises("EPIPE", stream.write_all, b, "x").length, 0)
    b:close()
    lu.assertEquals(h.raises("EBADF", stream.write_all, b, "x").length, 0)
end

t["test a write that nobody reads: timed out, it tells what has gone"] = function()
    local a, b = unix.stream.socket.pair()
    a.timeout = 0.01
    local size = 1 << 21
    local err = h.raises("ETIMEDOUT", stream.write_all, a, ("x"):rep(size))
    lu.assertTrue(err.length > 0 and err.length < size, tostring(err.length))
    lu.assertEquals(b:io_control("bytes_readable"), err.length)
    a:close()
    b:close()
end

t["test transfers with streams of one's own: spans both ways, no more than asked for"] = function()
    local written = {}
    local own = scripted("12", "345", function() return 0 end, "6789")
    function own:write_some(span)
        lu.assertEquals(getmetatable(span), getmetatable(byte_span.new(1)))
        written[#written + 1] = tostring(span:slice(1, math.min(3, #span)))
        self.n_calls = self.n_calls + 1
        return math.min(3, #span)
    end
    lu.assertEquals(stream.write_all(own, "abcdefgh"), 8)
    lu.assertEquals(stream.write_all(own, byte_span.append("ABCD")), 4)
    lu.assertEquals(stream.write_all(own, {"x", "y"}), 2)
    lu.assertEquals(written, {"abc", "def", "gh", "ABC", "D", "xy"})
    local buf = byte_span.new(8, 16)
    lu.assertEquals(stream.read_at_least(own, buf, 3), 5)
    lu.assertEquals(stream.read_all(own, buf:slice(1, 3)), 3)
    lu.assertEquals(tostring(buf), "67845\0\0\0")
    local err = eof(stream.read_all, own, buf)
    lu.assertEquals(err.length, 1)
    own = {write_some = function() error(generic_error.EIO) end}
    lu.assertEquals(h.raises("EIO", stream.write_all, own, "x").length, 0)
end

-- ---- the collector ----

t["test a reader keeps its stream, and a large buffer is not kept for ever"] = function()
    local a, r, close = new_pair()
    collectgarbage()
    collectgarbage()
    a:write_some("still\n")
    lu.assertEquals(r:line(), "still")
    local size = h.is_slow and 300000 or 4000000
    local writer = spawn(stream.write_all, a, ("x"):rep(size) .. "\n")
    lu.assertEquals(#r:line(), size)
    writer:join()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    r = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    lu.assertTrue(before - collectgarbage("count") < 70)
    close()
end

t["test a reader and its buffer may be collected while their fiber waits"] = function()
    local a, b = unix.stream.socket.pair()
    do
        local r = stream.reader(b)
        spawn(function() return r:line() end):detach()
    end
    h.let_others_run()
    collectgarbage()
    a:write_some("x")
    h.let_others_run()
    collectgarbage()
    a:close()
    h.let_others_run()
    b:close()
end
