-- SPDX-License-Identifier: BSL-1.0
-- socket: timeouts, interruptions and close against what comes, with several fibers at one object.
-- A stream's bytes come once and in order, whichever fibers take them; a datagram comes to one.
-- THRUM_ROUNDS says how many rounds.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time = thrum.spawn, thrum.this_fiber, thrum.time
local socket = thrum.socket
local rounds = math.max(h.rounds // 60, 5)
local SEED = tonumber(os.getenv("THRUM_SEED") or 1)

local function pair()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = assert(listener:accept())
    listener:close()
    for _, sock in ipairs {client, peer} do
        sock:setoption("linger", {on = true, timeout = 0})
    end
    return client, peer
end

local function random_timeout(dice, sock)
    local kind = dice(4)
    sock:settimeout(kind == 1 and 0 or kind == 2 and dice(5) / 5000 or nil, "b")
    sock:settimeout(dice(6) == 1 and dice(5) / 5000 or nil, "t")
end

-- What a fiber returns with was taken, or sent, before what the next one returns with: so the two
-- lists, in the order of returns, are the stream.
local function write(stream, dice, sock, name)
    for i = 1, 12 do
        local data = ("%s%d "):format(name, i):rep(dice(60) == 1 and 200000 or dice(30))
            .. (dice(3) == 1 and "\r\n" or "\n")
        random_timeout(dice, sock)
        local last, _, partial = sock:send(data)
        stream.sent[#stream.sent + 1] = data:sub(1, last or partial)
        if dice(4) == 1 then
            this_fiber.yield()
        end
    end
end

local function read(stream, dice, sock)
    while not stream.is_over do
        random_timeout(dice, sock)
        local data, err, partial
        local kind = dice(3)
        if kind == 1 then
            data, err, partial = sock:receive("*l")
            data = data and data .. "\n"
        else
            data, err, partial = sock:receive(kind == 2 and dice(200) or dice(100000))
        end
        stream.got[#stream.got + 1] = data or partial
        stream.is_over = stream.is_over or err == "closed"
        if dice(4) == 1 then
            this_fiber.yield()
        end
    end
end

local function without_returns(list)
    return (table.concat(list):gsub("\r", ""))
end

local function race_stream(seed)
    local dice = h.new_dice(seed)
    local client, peer = pair()
    local stream = {sent = {}, got = {}, is_over = false}
    local writers, readers = {}, {}
    for i = 1, dice(3) do
        writers[i] = spawn(write, stream, dice, client, ("abc"):sub(i, i))
    end
    local function new_reader()
        return spawn(read, stream, dice, peer)
    end
    for i = 1, dice(3) do
        readers[i] = new_reader()
    end
    local interrupter = spawn(function() -- of readers, while there is something to read
        while not stream.is_over do
            local i = dice(#readers)
            readers[i]:interrupt()
            readers[i]:join()
            readers[i] = new_reader()
            time.sleep(dice(4) / 4000)
        end
    end)
    for _, fiber in ipairs(writers) do
        fiber:join()
    end
    client:setoption("linger", {on = false, timeout = 0})
    client:close()
    interrupter:join()
    for _, fiber in ipairs(readers) do
        fiber:join()
    end
    peer:close()
    local sent, got = without_returns(stream.sent), without_returns(stream.got)
    lu.assertEquals(#got, #sent, "seed " .. seed)
    lu.assertTrue(got == sent, "seed " .. seed)
end

t["test what several fibers send comes once and in order to several that receive"] = function()
    for i = 1, rounds do
        race_stream(SEED * 1000 + i)
    end
end

local function race_datagrams(seed)
    local dice = h.new_dice(seed)
    local receiver, sender = socket.udp4(), socket.udp4()
    assert(receiver:setsockname("127.0.0.1", 0))
    local ip, port = receiver:getsockname()
    local n_got, seen, is_over = 0, {}, false
    local function take()
        while not is_over do
            random_timeout(dice, receiver)
            local data, err = receiver[dice(2) == 1 and "receive" or "receivefrom"](receiver)
            if data then
                lu.assertNil(seen[data], "seed " .. seed)
                seen[data] = true
                n_got = n_got + 1
            else
                lu.assertTrue(err == "timeout" or err == "closed", err)
            end
            if dice(3) == 1 then
                this_fiber.yield()
            end
        end
    end
    local fibers = {}
    for i = 1, 4 do
        fibers[i] = spawn(take)
    end
    for i = 1, 60 do
        sender:sendto("datagram " .. i, ip, port)
        if dice(3) == 1 then
            this_fiber.yield()
        end
        if dice(5) == 1 then
            local k = dice(4)
            fibers[k]:interrupt()
            fibers[k]:join()
            fibers[k] = spawn(take)
        end
    end
    h.wait_until(function() return n_got == 60 end)
    is_over = true
    receiver:close()
    sender:close()
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
end

t["test a datagram comes to one of several, whichever are interrupted or time out"] = function()
    for i = 1, rounds do
        race_datagrams(SEED * 1000 + i)
    end
end

local function race_select(seed)
    local dice = h.new_dice(seed)
    local socks, n_closed, n_ended = {}, 0, 0
    for i = 1, 4 do
        socks[i] = socket.udp4()
        socks[i]:setsockname("127.0.0.1", 0)
    end
    local fibers = {}
    for i = 1, 4 do
        fibers[i] = spawn(function()
            while n_closed < 4 do
                local list = {}
                for k, sock in ipairs(socks) do
                    list[#list + 1] = dice(2) == 1 and sock or k == 4 and socks[1] or nil
                end
                local ready, _, err = socket.select(list, nil, dice(3) == 1 and 0 or 0.002)
                lu.assertEquals(#ready == 0, err == "timeout")
                for _, sock in ipairs(ready) do
                    sock:settimeout(0)
                    sock:receive()
                end
                this_fiber.yield()
            end
            n_ended = n_ended + 1
        end)
    end
    local other = socket.udp4()
    for i = 1, 40 do
        local ip, port = socks[dice(4)]:getsockname()
        if ip then
            other:sendto("x", ip, port)
        end
        if i % 10 == 0 then
            socks[i // 10]:close()
            n_closed = n_closed + 1
        end
        this_fiber.yield()
    end
    other:close()
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
    lu.assertEquals(n_ended, 4)
end

t["test select in several fibers, of objects that are used and closed meanwhile"] = function()
    for i = 1, rounds do
        race_select(SEED * 1000 + i)
    end
end
