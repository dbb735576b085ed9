-- SPDX-License-Identifier: BSL-1.0
-- Interruption, timeouts, cancel, close and release against the arrival of messages that carry
-- descriptors: each message is received once, with its descriptor, or is still there; no descriptor
-- is lost, and none is left open. THRUM_ROUNDS says how many rounds.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, unix, byte_span = thrum.spawn, thrum.unix, thrum.byte_span
local rounds = math.max(h.rounds // 8, 100)
local ECANCELED = thrum.generic_error.ECANCELED
local ETIMEDOUT = thrum.generic_error.ETIMEDOUT

local kinds = {"datagram", "stream", "seqpacket"}

local width = 6 -- of a number: on a stream a receive takes as many bytes

local function format(number)
    return ("%0" .. width .. "d"):format(number)
end

-- One receive whose end is reported exactly once: the number that came, with its descriptor, or the
-- error.
local function new_receiver(sock)
    local record = {n_ends = 0}
    record.fiber = spawn(function()
        local buf = byte_span.new(width)
        local ok, n, fds = pcall(sock.receive_with_fds, sock, buf, 2)
        record.n_ends = record.n_ends + 1
        if ok then
            record.number = math.tointeger(tonumber(tostring(buf:slice(1, n))))
            record.n_fds = #fds
            for _, fd in ipairs(fds) do
                fd:close()
            end
        else
            record.err = n
        end
    end)
    return record
end

local function assert_one_end(record, is_expected)
    lu.assertEquals(record.n_ends, 1)
    if record.err then
        lu.assertTrue(is_expected(record.err), tostring(record.err))
    else
        lu.assertEquals(record.n_fds, 1)
    end
end

-- What is still there: the next number, with its descriptor.
local function take(sock)
    local buf = byte_span.new(width)
    sock.timeout = 5
    local n, fds = sock:receive_with_fds(buf, 2)
    sock.timeout = nil
    lu.assertEquals(#fds, 1)
    fds[1]:close()
    return math.tointeger(tonumber(tostring(buf:slice(1, n))))
end

local function each_kind(name, case)
    for i, kind in ipairs(kinds) do
        t[("test %s: %s"):format(kind, name)] = function()
            local before = h.descriptors()
            local fd = h.bound():release()
            local a, b = unix[kind].socket.pair()
            case(a, b, fd, h.new_random(i), kind)
            a:close()
            b:close()
            fd:close()
            lu.assertEquals(h.descriptors(), before)
        end
    end
end

each_kind("interrupt against arrival", function(a, b, fd, random)
    local n_received, n_interrupted = 0, 0
    for round = 1, rounds do
        local record = new_receiver(b)
        h.let_others_run(1 + random(2))
        if random(2) == 0 then
            a:send_with_fds(format(round), {fd})
            h.let_others_run(random(4))
            record.fiber:interrupt()
        else
            record.fiber:interrupt()
            h.let_others_run(random(3))
            a:send_with_fds(format(round), {fd})
        end
        record.fiber:join()
        assert_one_end(record, h.is_interruption)
        if record.err then
            n_interrupted = n_interrupted + 1
            lu.assertEquals(take(b), round)
        else
            n_received = n_received + 1
            lu.assertEquals(record.number, round)
        end
    end
    lu.assertTrue(n_received > 0 and n_interrupted > 0)
end)

each_kind("timeout against arrival", function(a, b, fd, random)
    local n_received, n_timeouts = 0, 0
    local receiver = spawn(function()
        local buf = byte_span.new(width)
        while n_received < rounds do
            b.timeout = random(4) * 0.00001
            local ok, n, fds = pcall(b.receive_with_fds, b, buf, 2)
            if ok then
                n_received = n_received + 1
                lu.assertEquals(tostring(buf:slice(1, n)), format(n_received))
                lu.assertEquals(#fds, 1)
                fds[1]:close()
            elseif n == ETIMEDOUT then
                n_timeouts = n_timeouts + 1
            else
                error(n, 0)
            end
        end
    end)
    for round = 1, rounds do
        a:send_with_fds(format(round), {fd})
        h.let_others_run(random(4))
    end
    receiver:join()
    lu.assertEquals(n_received, rounds)
    lu.assertTrue(n_timeouts > 0)
end)

each_kind("cancel against arrival, with several receivers", function(a, b, fd, random)
    local n_received, n_cancelled, next_number = 0, 0, 0
    for _ = 1, rounds // 2 do
        local records = {}
        for i = 1, 3 do
            records[i] = new_receiver(b)
        end
        h.let_others_run(1 + random(2))
        local cancel_at = random(3)
        for turn = 0, 2 do
            if turn == cancel_at then
                b:cancel()
            else
                next_number = next_number + 1
                a:send_with_fds(format(next_number), {fd})
            end
            h.let_others_run(random(3))
        end
        h.let_others_run(2)
        b:cancel() -- a receive that began to wait after the first
        local numbers = {}
        for i = 1, 3 do
            records[i].fiber:join()
            assert_one_end(records[i], function(err) return err == ECANCELED end)
            if records[i].err then
                n_cancelled = n_cancelled + 1
            else
                n_received = n_received + 1
                numbers[#numbers + 1] = records[i].number
            end
        end
        while #numbers < 2 do
            numbers[#numbers + 1] = take(b)
        end
        table.sort(numbers)
        lu.assertEquals(numbers, {next_number - 1, next_number})
        lu.assertEquals(b:io_control("bytes_readable"), 0)
    end
    lu.assertTrue(n_received > 0 and n_cancelled > 0)
end)

each_kind("close and release against arrival", function(_, _, fd, random, kind)
    local n_received, n_cancelled, n_inherited = 0, 0, 0
    for round = 1, rounds // 2 do
        local a, b = unix[kind].socket.pair()
        local records = {new_receiver(b), new_receiver(b)}
        h.let_others_run(1 + random(2))
        a:send_with_fds(format(round), {fd})
        h.let_others_run(random(4))
        local heir = random(2) == 0 and b:release() or nil
        b:close()
        local seen = 0
        for i = 1, 2 do
            records[i].fiber:join()
            assert_one_end(records[i], function(err) return err == ECANCELED end)
            if records[i].number then
                seen = seen + 1
                lu.assertEquals(records[i].number, round)
            end
        end
        lu.assertTrue(seen <= 1)
        if heir then -- the message is with a receiver or still in the socket
            b:assign(heir)
            if seen == 0 then
                n_inherited = n_inherited + 1
                lu.assertEquals(take(b), round)
            end
            lu.assertEquals(b:io_control("bytes_readable"), 0)
            b:close()
        end
        n_received = n_received + seen
        n_cancelled = n_cancelled + 2 - seen
        a:close()
    end
    lu.assertTrue(n_received > 0 and n_cancelled > 0 and n_inherited > 0)
end)

-- Senders that wait for room hold copies: however their wait ends, the copies go, and what was sent
-- was sent once.
each_kind("interrupt and cancel against a sender's turn", function(a, b, fd, random, kind)
    local buf = byte_span.new(kind == "stream" and width or 4000)
    a:set_option("send_buffer_size", 8192)
    local function fill()
        a.timeout = 0
        while pcall(a.send, a, ("x"):rep(width)) do end -- luacheck: ignore
        a.timeout = nil
    end
    local function drain(count)
        local seen = {}
        b.timeout = 0
        repeat
            local ok, n, fds = pcall(b.receive_with_fds, b, buf, 2)
            if ok then
                local number = math.tointeger(tonumber(tostring(buf:slice(1, n))))
                lu.assertEquals(#fds, number and 1 or 0)
                for _, each in ipairs(fds) do
                    each:close()
                end
                seen[#seen + 1] = number
                count = count - 1
            end
        until not ok or count == 0
        b.timeout = nil
        return seen
    end
    local n_sent, n_ended = 0, 0
    for round = 1, rounds // 20 do
        fill()
        local outcomes, fibers = {}, {}
        for i = 1, 3 do
            fibers[i] = spawn(function()
                outcomes[i] = table.pack(pcall(a.send_with_fds, a, format(3 * round + i), {fd}))
            end)
        end
        h.let_others_run(1 + random(2))
        local seen = random(2) == 0 and drain(random(60)) or {}
        local victim = 1 + random(3)
        if random(2) == 0 then
            fibers[victim]:interrupt()
        else
            a:cancel()
        end
        local received = {}
        local function note(numbers)
            for _, number in ipairs(numbers) do
                lu.assertNil(received[number])
                received[number] = true
            end
        end
        note(seen)
        for _ = 1, 50 do
            note(drain(math.huge))
            h.let_others_run(1)
        end
        for i = 1, 3 do
            fibers[i]:join()
            lu.assertEquals(outcomes[i][1], received[3 * round + i] == true)
            if outcomes[i][1] then
                n_sent = n_sent + 1
            else
                n_ended = n_ended + 1
                lu.assertTrue(outcomes[i][2] == ECANCELED or h.is_interruption(outcomes[i][2]),
                    tostring(outcomes[i][2]))
            end
        end
    end
    lu.assertTrue(n_ended > 0)
    lu.assertTrue(n_sent > 0)
end)

-- Accepting: a connection goes to one who waits, or stays for the next.
for _, kind in ipairs {"stream", "seqpacket"} do
    t[("test %s: interrupt, timeout and cancel against a connection"):format(kind)] = function()
        local random = h.new_random(9)
        local acceptor = unix[kind].acceptor.new()
        acceptor:open()
        acceptor:bind("")
        acceptor:listen()
        local path = acceptor.local_path
        local n_accepted, n_ended = 0, 0
        for _ = 1, rounds // 2 do
            acceptor.timeout = random(3) == 0 and 0.00002 or nil
            local server, err
            local fiber = spawn(function()
                local ok, result = pcall(acceptor.accept, acceptor)
                server, err = ok and result or nil, not ok and result or nil
            end)
            h.let_others_run(1 + random(2))
            local client = unix[kind].socket.new()
            client:connect(path)
            h.let_others_run(random(3))
            if random(2) == 0 then
                fiber:interrupt()
            else
                acceptor:cancel()
            end
            fiber:join()
            acceptor.timeout = 5
            if server then
                n_accepted = n_accepted + 1
            else
                n_ended = n_ended + 1
                lu.assertTrue(err == ECANCELED or err == ETIMEDOUT or h.is_interruption(err),
                    tostring(err))
                server = acceptor:accept()
            end
            client:send("x")
            lu.assertEquals(server:receive(byte_span.new(1)), 1)
            server:close()
            client:close()
        end
        acceptor:close()
        lu.assertTrue(n_accepted > 0 and n_ended > 0)
    end
end
