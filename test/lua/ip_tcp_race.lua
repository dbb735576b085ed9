-- SPDX-License-Identifier: BSL-1.0
-- ip.tcp: interruption, timeouts, cancel, close and release against connecting, accepting and the
-- arrival of bytes. Each call ends once; a byte is received once or is still there; a connection
-- goes to one who accepts, or stays for the next. THRUM_ROUNDS says how many rounds.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, ip, byte_span = thrum.spawn, thrum.ip, thrum.byte_span
local loopback = ip.address.loopback_v4()
local rounds = math.max(h.rounds // 4, 100)
local ECANCELED = thrum.generic_error.ECANCELED
local ETIMEDOUT = thrum.generic_error.ETIMEDOUT

-- Connections of earlier rounds must not hold the ports: they are dropped, not ended.
local function drop(...)
    for _, sock in ipairs {...} do
        if sock.is_open then
            sock:set_option("linger", {true, 0})
        end
        sock:close()
    end
end

local function listening()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:set_option("reuse_address", true)
    acceptor:bind(loopback, 0)
    acceptor:listen()
    return acceptor
end

local function pair(acceptor)
    local client = ip.tcp.socket.new()
    client:connect(loopback, acceptor.local_port)
    acceptor.timeout = 5
    return client, acceptor:accept()
end

-- A call in a fiber whose end is reported exactly once.
local function start(f, ...)
    local record = {n_ends = 0}
    record.fiber = spawn(function(...)
        local ok, result = pcall(f, ...)
        record.n_ends = record.n_ends + 1
        record.result, record.err = ok and result or nil, not ok and result or nil
    end, ...)
    return record
end

local function is_ending(err)
    return err == ECANCELED or err == ETIMEDOUT or h.is_interruption(err)
end

local function finish(record)
    record.fiber:join()
    lu.assertEquals(record.n_ends, 1)
    lu.assertTrue(record.err == nil or is_ending(record.err), tostring(record.err))
    return record.result
end

t["test a reader's end against arrival: every byte is read once"] = function()
    local random, acceptor = h.new_random(1), listening()
    local a, b = pair(acceptor)
    local n_received, n_ended = 0, 0
    for round = 1, rounds do
        local buf = byte_span.new(4)
        b.timeout = random(4) == 0 and 0.00002 or nil
        local reader = start(b.read_some, b, buf)
        h.let_others_run(1 + random(2))
        local is_first = random(2) == 0
        if is_first then
            a:write_some(("%04d"):format(round % 10000))
            h.let_others_run(random(3))
        end
        if random(2) == 0 then
            reader.fiber:interrupt()
        else
            b:cancel()
        end
        if not is_first then
            h.let_others_run(random(2))
            a:write_some(("%04d"):format(round % 10000))
        end
        local n = finish(reader)
        if n then
            n_received = n_received + 1
        else
            n_ended = n_ended + 1
            b.timeout = 5
            n = b:read_some(buf)
        end
        lu.assertEquals(n, 4)
        lu.assertEquals(tostring(buf), ("%04d"):format(round % 10000))
        lu.assertEquals(b:io_control("bytes_readable"), 0)
    end
    drop(a, b, acceptor)
    lu.assertTrue(n_received > 0 and n_ended > 0)
end

t["test close and release against arrival: the heir has what nobody has read"] = function()
    local random, acceptor = h.new_random(2), listening()
    local n_received, n_inherited = 0, 0
    for _ = 1, rounds // 2 do
        local a, b = pair(acceptor)
        local readers = {}
        for i = 1, 2 do
            readers[i] = start(b.read_some, b, byte_span.new(4))
        end
        h.let_others_run(1 + random(2))
        a:write_some("byte")
        h.let_others_run(random(4))
        local heir = random(2) == 0 and b:release() or nil
        b:close()
        local seen = 0
        for i = 1, 2 do
            seen = seen + (finish(readers[i]) and 1 or 0)
        end
        lu.assertTrue(seen <= 1)
        n_received = n_received + seen
        if heir then
            b:assign("v4", heir)
            b.timeout = 5
            if seen == 0 then
                n_inherited = n_inherited + 1
                lu.assertEquals(b:read_some(byte_span.new(8)), 4)
            end
        end
        drop(a, b)
    end
    acceptor:close()
    lu.assertTrue(n_received > 0 and n_inherited > 0)
end

t["test an accept's end against a connection: it goes to one, or stays"] = function()
    local random, acceptor = h.new_random(3), listening()
    local port = acceptor.local_port
    local n_accepted, n_ended = 0, 0
    for _ = 1, rounds // 2 do
        acceptor.timeout = random(3) == 0 and 0.00002 or nil
        local accepting = start(acceptor.accept, acceptor)
        h.let_others_run(1 + random(2))
        local client = ip.tcp.socket.new()
        client:connect(loopback, port)
        h.let_others_run(random(3))
        local how = random(3)
        if how == 0 then
            accepting.fiber:interrupt()
        elseif how == 1 then
            acceptor:cancel()
        else
            acceptor:assign("v4", acceptor:release())
        end
        local server = finish(accepting)
        acceptor.timeout = 5
        if server then
            n_accepted = n_accepted + 1
        else
            n_ended = n_ended + 1
            server = acceptor:accept()
        end
        lu.assertEquals(server.remote_port, client.local_port)
        client:write_some("x")
        lu.assertEquals(server:read_some(byte_span.new(1)), 1)
        drop(client, server)
    end
    acceptor:close()
    lu.assertTrue(n_accepted > 0 and n_ended > 0)
end

t["test a connect's end against its success: it is connected, or can be closed"] = function()
    local random, acceptor = h.new_random(4), listening()
    local port = acceptor.local_port
    local n_connected, n_ended = 0, 0
    for _ = 1, rounds // 2 do
        local client = ip.tcp.socket.new()
        client.timeout = random(3) == 0 and 0.00001 or nil
        local connecting = start(function()
            client:connect(loopback, port)
            return true
        end)
        h.let_others_run(1 + random(2))
        local how = random(4)
        if how == 0 then
            connecting.fiber:interrupt()
        elseif how == 1 and client.is_open then
            client:cancel()
        elseif how == 2 then
            client:close()
        end
        if finish(connecting) then
            n_connected = n_connected + 1
        else
            n_ended = n_ended + 1
        end
        client.timeout = nil
        drop(client)
        client:connect(loopback, port) -- it can be used again
        -- the acceptor may have taken the first one, too
        acceptor.timeout = 5
        local server
        repeat
            if server then
                drop(server)
            end
            server = acceptor:accept()
            local ok, remote = pcall(function() return server.remote_port end)
        until ok and remote == client.local_port
        client:write_some("x")
        lu.assertEquals(server:read_some(byte_span.new(1)), 1)
        drop(client, server)
    end
    acceptor:close()
    lu.assertTrue(n_connected > 0 and n_ended > 0)
end

t["test an acceptor that is closed while clients come: each ends once"] = function()
    local random = h.new_random(5)
    local n_accepted, n_refused = 0, 0
    for _ = 1, rounds // 10 do
        local acceptor = listening()
        local port = acceptor.local_port
        local accepting, connecting, clients = {}, {}, {}
        for i = 1, 3 do
            accepting[i] = start(acceptor.accept, acceptor)
        end
        for i = 1, 3 do
            clients[i] = ip.tcp.socket.new()
            connecting[i] = start(clients[i].connect, clients[i], loopback, port)
        end
        h.let_others_run(1 + random(5))
        acceptor:close()
        for i = 1, 3 do
            local server = finish(accepting[i])
            n_accepted = n_accepted + (server and 1 or 0)
            connecting[i].fiber:join()
            lu.assertEquals(connecting[i].n_ends, 1)
            n_refused = n_refused + (connecting[i].err and 1 or 0)
            if server then
                drop(server)
            end
            drop(clients[i])
        end
    end
    lu.assertTrue(n_accepted > 0)
end

t["test half-close against cancel: the end comes after all bytes, and once"] = function()
    local random, acceptor = h.new_random(6), listening()
    for _ = 1, rounds // 4 do
        local a, b = pair(acceptor)
        local reader = start(function()
            local buf, text = byte_span.new(3), ""
            while true do
                local ok, n = pcall(b.read_some, b, buf)
                if ok then
                    text = text .. tostring(buf:slice(1, n))
                elseif n ~= ECANCELED then
                    h.assert_starts(tostring(n), "End of file")
                    return text
                end
            end
        end)
        h.let_others_run(random(3))
        a:write_some("all of it")
        h.let_others_run(random(3))
        if random(2) == 0 then
            b:cancel()
        end
        a:shutdown("send")
        h.let_others_run(random(3))
        b:cancel()
        lu.assertEquals(finish(reader), "all of it")
        drop(a, b)
    end
    acceptor:close()
end
