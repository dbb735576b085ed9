-- SPDX-License-Identifier: BSL-1.0
-- ip.udp.socket: whatever races against an arrival, an operation ends with a datagram or with an
-- error, never with both or neither, and no datagram is lost. THRUM_ROUNDS says how many rounds:
-- 20,000 by default.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip, byte_span =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip, thrum.byte_span
local rounds = h.rounds
local ECANCELED = thrum.generic_error.ECANCELED
local ETIMEDOUT = thrum.generic_error.ETIMEDOUT

-- One receive whose end is reported exactly once: the text, or the error.
local function new_receiver(sock, buf, method)
    local record = {n_ends = 0}
    record.fiber = spawn(function()
        local ok, n = pcall(sock[method], sock, buf)
        record.n_ends = record.n_ends + 1
        if ok then
            record.text = tostring(buf:slice(1, n))
        else
            record.err = n
        end
    end)
    return record
end

local function assert_one_end(record, is_expected)
    lu.assertEquals(record.n_ends, 1)
    lu.assertTrue((record.text ~= nil) ~= (record.err ~= nil))
    if record.err then
        lu.assertTrue(is_expected(record.err), tostring(record.err))
    end
end

-- What was sent and not received must be there, in order.
local function drain(sock, first, last)
    sock.timeout = 5
    for number = first, last do
        lu.assertEquals(h.receive(sock, 32), tostring(number))
    end
    lu.assertEquals(sock:io_control("bytes_readable"), 0)
    sock.timeout = nil
end

local methods = {[0] = "receive", "receive_from"}

-- interrupt: a datagram a round and an interruption of the one receiver, either first.
local function race_interrupt(seed)
    local random = h.new_random(seed)
    local sock, client = h.bound(), h.bound()
    local addr, port = sock.local_address, sock.local_port
    local buf = byte_span.new(32)
    local n_received, n_interrupted = 0, 0
    for round = 1, rounds do
        local record = new_receiver(sock, buf, methods[random(2)])
        h.let_others_run(1 + random(2))
        local function send()
            client:send_to(tostring(round), addr, port)
        end
        if random(2) == 0 then
            send()
            h.let_others_run(random(4))
            record.fiber:interrupt()
        else
            record.fiber:interrupt()
            h.let_others_run(random(3))
            send()
        end
        record.fiber:join()
        assert_one_end(record, h.is_interruption)
        if record.text then
            n_received = n_received + 1
            lu.assertEquals(record.text, tostring(round))
            lu.assertEquals(sock:io_control("bytes_readable"), 0)
        else
            n_interrupted = n_interrupted + 1
            drain(sock, round, round)
        end
    end
    sock:close()
    client:close()
    lu.assertEquals(n_received + n_interrupted, rounds)
    lu.assertTrue(n_received > 0 and n_interrupted > 0)
end

t["test interrupt against arrival"] = function()
    race_interrupt(1)
end

-- timeout: datagrams come when they come, the receiver gives up after next to no time, again and
-- again. All of them are received, in order.
t["test timeout against arrival"] = function()
    local random = h.new_random(2)
    local sock, client = h.bound(), h.bound()
    local addr, port = sock.local_address, sock.local_port
    local n_received, n_timeouts, wrong = 0, 0, nil
    local receiver = spawn(function()
        local buf = byte_span.new(32)
        while n_received < rounds do
            sock.timeout = random(4) * 0.00001
            local ok, n = pcall(sock[methods[random(2)]], sock, buf)
            if ok then
                n_received = n_received + 1
                local text = tostring(buf:slice(1, n))
                wrong = wrong or text ~= tostring(n_received) and text
            elseif n == ETIMEDOUT then
                n_timeouts = n_timeouts + 1
            else
                error(n, 0)
            end
        end
    end)
    for round = 1, rounds do
        client:send_to(tostring(round), addr, port)
        local turns = 0
        while round - n_received > 20 or turns < random(4) do -- never more than its buffer holds
            this_fiber.yield()
            turns = turns + 1
        end
    end
    receiver:join()
    lu.assertFalse(wrong or false)
    lu.assertEquals(n_received, rounds)
    lu.assertTrue(n_timeouts > 0)
    lu.assertEquals(sock:io_control("bytes_readable"), 0)
    sock:close()
    client:close()
end

-- cancel: three receivers, two datagrams, one cancel.
t["test cancel against arrival, with several receivers"] = function()
    local random = h.new_random(3)
    local sock, client = h.bound(), h.bound()
    local addr, port = sock.local_address, sock.local_port
    local bufs = {byte_span.new(32), byte_span.new(32), byte_span.new(32)}
    local n_received, n_cancelled = 0, 0
    for _ = 1, rounds // 2 do
        local records = {}
        for i = 1, 3 do
            records[i] = new_receiver(sock, bufs[i], methods[random(2)])
        end
        h.let_others_run(1 + random(2))
        local cancel_at = random(3)
        for number = 0, 2 do
            if number == cancel_at then
                sock:cancel()
            else
                client:send_to(tostring(number), addr, port)
            end
            h.let_others_run(random(3))
        end
        h.let_others_run(2)
        sock:cancel() -- a receive that began to wait after the first
        local seen = 0
        for i = 1, 3 do
            records[i].fiber:join()
            assert_one_end(records[i], function(err) return err == ECANCELED end)
            if records[i].text then
                seen = seen + 1
            end
        end
        n_received = n_received + seen
        n_cancelled = n_cancelled + 3 - seen
        local left = 0
        while sock:io_control("bytes_readable") > 0 do
            h.receive(sock, 32)
            left = left + 1
        end
        lu.assertEquals(seen + left, 2)
    end
    sock:close()
    client:close()
    lu.assertTrue(n_received > 0 and n_cancelled > 0)
end

-- close: a receiver ends with the datagram or with ECANCELED; then the socket is opened again.
t["test close and release against arrival"] = function()
    local random = h.new_random(4)
    local sock, client = ip.udp.socket.new(), h.bound()
    local loopback = ip.address.loopback_v4()
    local bufs = {byte_span.new(32), byte_span.new(32)}
    local n_received, n_cancelled = 0, 0
    for round = 1, rounds // 2 do
        sock:open("v4")
        sock:bind(loopback, 0)
        local port = sock.local_port
        local records = {}
        for i = 1, 2 do
            records[i] = new_receiver(sock, bufs[i], methods[random(2)])
        end
        h.let_others_run(1 + random(2))
        client:send_to(tostring(round), loopback, port)
        h.let_others_run(random(4))
        local heir
        if random(4) == 0 then
            heir = sock:release()
        else
            sock:close()
        end
        local seen = 0
        for i = 1, 2 do
            records[i].fiber:join()
            assert_one_end(records[i], function(err) return err == ECANCELED end)
            if records[i].text then
                seen = seen + 1
                lu.assertEquals(records[i].text, tostring(round))
            end
        end
        lu.assertTrue(seen <= 1)
        if heir then -- the datagram is with a receiver or still in the socket
            sock:assign("v4", heir)
            if seen == 0 then
                drain(sock, round, round)
            end
            lu.assertEquals(sock:io_control("bytes_readable"), 0)
            sock:close()
        end
        n_received = n_received + seen
        n_cancelled = n_cancelled + 2 - seen
    end
    client:close()
    lu.assertTrue(n_received > 0 and n_cancelled > 0)
end

-- Everything at once: each of four receivers ends exactly once, and what was sent was received by
-- somebody or is still there.
t["test interrupt, cancel, timeout and arrival at once"] = function()
    local random = h.new_random(5)
    local sock, client = h.bound(), h.bound()
    local addr, port = sock.local_address, sock.local_port
    local bufs = {}
    for i = 1, 4 do
        bufs[i] = byte_span.new(32)
    end
    local function is_expected(err)
        return err == ECANCELED or err == ETIMEDOUT or h.is_interruption(err)
    end
    for _ = 1, rounds // 4 do
        local records, n_sent, n_seen = {}, 0, 0
        for i = 1, 4 do
            sock.timeout = random(3) > 0 and random(5) * 0.00002 or 5
            records[i] = new_receiver(sock, bufs[i], methods[random(2)])
            this_fiber.yield()
        end
        for _ = 1, 6 do
            local act = random(4)
            if act <= 1 and n_sent < 4 then
                client:send_to("x", addr, port)
                n_sent = n_sent + 1
            elseif act == 2 then
                pcall(records[1 + random(4)].fiber.interrupt, records[1 + random(4)].fiber)
            elseif random(3) == 0 then
                sock:cancel()
            end
            h.let_others_run(random(2))
        end
        h.let_others_run(2)
        sock:cancel()
        for i = 1, 4 do
            records[i].fiber:join()
            if not records[i].fiber.interruption_caught then
                assert_one_end(records[i], is_expected)
            end
            if records[i].text then
                n_seen = n_seen + 1
            end
        end
        while sock:io_control("bytes_readable") > 0 do
            sock.timeout = 5
            h.receive(sock, 32)
            n_seen = n_seen + 1
        end
        lu.assertEquals(n_seen, n_sent)
    end
    sock:close()
    client:close()
end

t["test interrupt against a timer's end"] = function()
    local random = h.new_random(6)
    local n_slept, n_interrupted = 0, 0
    for _ = 1, rounds // 4 do
        local n_ends, outcome = 0, nil
        local sleeper = spawn(function()
            local ok, err = pcall(time.sleep, random(3) * 0.00001)
            n_ends, outcome = n_ends + 1, ok or err
        end)
        h.let_others_run(1 + random(5))
        sleeper:interrupt()
        sleeper:join()
        lu.assertEquals(n_ends, 1)
        if outcome == true then
            n_slept = n_slept + 1
        else
            lu.assertTrue(h.is_interruption(outcome))
            n_interrupted = n_interrupted + 1
        end
    end
    lu.assertTrue(n_slept > 0 and n_interrupted > 0)
end

t["test interrupt of a joiner against the joined fiber's end"] = function()
    local random = h.new_random(7)
    for round = 1, rounds // 4 do
        local turns = random(4)
        local worker = spawn(function()
            h.let_others_run(turns)
            return round
        end)
        local n_ends, outcome = 0, nil
        local joiner = spawn(function()
            local ok, value = pcall(worker.join, worker)
            n_ends, outcome = n_ends + 1, value
            return ok
        end)
        h.let_others_run(1 + random(4))
        joiner:interrupt()
        local ok = joiner:join()
        lu.assertEquals(n_ends, 1)
        if ok then
            lu.assertEquals(outcome, round)
        else
            lu.assertTrue(h.is_interruption(outcome))
            lu.assertEquals(worker:join(), round) -- it can still be joined
        end
    end
end
