-- SPDX-License-Identifier: BSL-1.0
-- ip.connect and ip.connect_any: lists of endpoints, one after the other and all together.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span, time, spawn = thrum.ip, thrum.byte_span, thrum.time, thrum.spawn
local loopback = ip.address.loopback_v4()

local function listening(family, backlog)
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open(family or "v4")
    acceptor:bind(h.loopback(family), 0)
    acceptor:listen(backlog)
    return acceptor
end

local function result(acceptor)
    return {address = acceptor.local_address, port = acceptor.local_port}
end

-- Endpoints at which nobody listens, and nobody else will: the port is taken, and that is all.
local function refusing(count, family)
    local taken, results = {}, {}
    for i = 1, count do
        taken[i] = ip.tcp.acceptor.new()
        taken[i]:open(family or "v4")
        taken[i]:bind(h.loopback(family), 0)
        results[i] = result(taken[i])
    end
    return results, taken
end

-- An acceptor whose backlog is full answers nobody: Linux drops the SYN.
local function silent()
    local acceptor, fill = listening("v4", 0), {}
    for i = 1, 8 do
        fill[i] = ip.tcp.socket.new()
        fill[i].timeout = 0.02
        if not pcall(fill[i].connect, fill[i], loopback, acceptor.local_port) then
            fill[i]:close()
            fill[#fill + 1] = acceptor
            return result(acceptor), fill
        end
    end
    lu.skip("a full backlog answers here")
end

local function close(...)
    for _, each in ipairs {...} do
        if type(each) == "table" then
            close(table.unpack(each))
        else
            each:close()
        end
    end
end

local function not_found(f, ...)
    return h.raises_text("misc", "Element not found", f, ...)
end

local function assert_works(sock, acceptor)
    local server = acceptor:accept()
    sock:send("works")
    lu.assertEquals(server:read_some(byte_span.new(8)), 5)
    server:close()
end

-- connect

t["test connect tries in order and says where it has got to"] = function()
    local results, taken = refusing(2)
    local acceptor, never = listening(), listening()
    results[3], results[4] = result(acceptor), result(never)
    local sock = ip.tcp.socket.new()
    local addr, port = ip.connect(sock, results)
    lu.assertIs(addr, loopback)
    lu.assertEquals(port, acceptor.local_port)
    lu.assertEquals(sock.remote_port, port)
    assert_works(sock, acceptor)
    lu.assertEquals(select("#", ip.connect(sock, results)), 2) -- from the beginning
    close(sock, acceptor, never, taken)
end

t["test connect goes from one family to the other"] = function()
    h.skip_without_v6()
    local results, taken = refusing(1, "v6")
    local acceptor, sock = listening(), ip.tcp.socket.new()
    results[2] = result(acceptor)
    sock:open("v4")
    lu.assertIs((ip.connect(sock, results)), loopback)
    assert_works(sock, acceptor)
    close(sock, acceptor, taken)
end

t["test connect raises the last error, or not_found if there is none"] = function()
    local results, taken = refusing(3)
    local sock = ip.tcp.socket.new()
    local err = h.raises("ECONNREFUSED", ip.connect, sock, results)
    lu.assertEquals(err.port, results[3].port)
    not_found(ip.connect, sock, {})
    h.assert_starts(tostring(not_found(ip.connect, sock, results, function() return false end)),
        "Element not found: ip.connect")
    close(sock, taken)
end

t["test the condition gets the last error, and skips"] = function()
    local results, taken = refusing(3)
    local acceptor, sock = listening(), ip.tcp.socket.new()
    results[4] = result(acceptor)
    local seen = {}
    ip.connect(sock, results, function(...)
        local last_error, addr, port = ...
        lu.assertEquals(select("#", ...), 3)
        lu.assertIs(addr, loopback)
        seen[#seen + 1] = {last_error and last_error.port or false, port}
        time.sleep(0) -- it may wait
        return port ~= results[2].port
    end)
    lu.assertEquals(seen, {
        {false, results[1].port}, {results[1].port, results[2].port},
        {results[1].port, results[3].port}, {results[3].port, results[4].port},
    })
    lu.assertEquals(sock.remote_port, acceptor.local_port)
    local ok, err = pcall(ip.connect, sock, results, function() error("mine", 0) end)
    lu.assertFalse(ok)
    lu.assertEquals(err, "mine")
    close(sock, acceptor, taken)
end

t["test the list may change meanwhile: what was given counts"] = function()
    local acceptor, sock = listening(), ip.tcp.socket.new()
    local results = {result(acceptor)}
    ip.connect(sock, results, function()
        results[1].port, results[1] = 1, nil
        return true
    end)
    lu.assertEquals(sock.remote_port, acceptor.local_port)
    close(sock, acceptor)
end

t["test the timeout of a socket is for each endpoint, that of with_timeout for all"] = function()
    local first, fill = silent()
    local acceptor, sock = listening(), ip.tcp.socket.new()
    local results = {first, result(acceptor)}
    sock.timeout = 0.01
    ip.connect(sock, results)
    lu.assertEquals(sock.remote_port, acceptor.local_port)
    sock.timeout = nil
    local n_asked = 0
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, ip.connect, sock, results, function()
        n_asked = n_asked + 1
        return true
    end)
    lu.assertEquals(n_asked, 1)
    close(sock, acceptor, fill)
end

for how, ending in pairs {close = "ECANCELED", cancel = "ECANCELED", interrupt = false} do
    t["test " .. how .. " ends the whole connect"] = function()
        local first, fill = silent()
        local acceptor, sock = listening(), ip.tcp.socket.new()
        local fiber = h.try(ip.connect, sock, {first, result(acceptor)})
        if ending then
            sock[how](sock)
        else
            fiber:interrupt()
        end
        local ok, err = fiber:join()
        lu.assertFalse(ok)
        if ending then
            lu.assertTrue(err == thrum.generic_error[ending], tostring(err))
        else
            lu.assertTrue(h.is_interruption(err))
        end
        close(sock, acceptor, fill)
    end
end

t["test connect takes UDP sockets, too"] = function()
    local peer, sock = h.bound(), ip.udp.socket.new()
    local addr, port = ip.connect(sock, {{address = peer.local_address, port = peer.local_port}})
    lu.assertIs(addr, loopback)
    lu.assertEquals(sock.remote_port, port)
    close(peer, sock)
end

t["test what a lookup gives can be connected to"] = function()
    local acceptor, sock = listening(), ip.tcp.socket.new()
    local results = ip.tcp.get_address_info("127.0.0.1", acceptor.local_port)
    lu.assertEquals(select(2, ip.connect(sock, results)), acceptor.local_port)
    sock:close()
    local any = ip.connect_any(results)
    lu.assertEquals(any.remote_port, acceptor.local_port)
    close(sock, any, acceptor)
end

t["test bad arguments name themselves"] = function()
    local sock, acceptor = ip.tcp.socket.new(), ip.tcp.acceptor.new()
    for _, bad in ipairs {acceptor, thrum.unix.stream.socket.new(), "sock", {}, 1} do
        h.raises_arg(1, ip.connect, bad, {})
    end
    for _, bad in ipairs {1, "127.0.0.1", true, sock} do
        h.raises_arg(2, ip.connect, sock, bad)
        h.raises_arg(1, ip.connect_any, bad)
        h.raises_arg(2, ip.connect_any, {}, bad)
        h.raises_arg(3, ip.connect, sock, {}, bad)
    end
    for _, bad in ipairs {
        1, {}, {address = loopback}, {port = 80}, {address = "127.0.0.1", port = 80},
        {address = loopback, port = "80"}, {address = loopback, port = 70000},
        {address = loopback, port = -1}, {address = loopback, port = 1.5},
    } do
        local err = h.raises_arg(2, ip.connect, sock, {{address = loopback, port = 80}, bad})
        h.assert_contains(tostring(err), "results[2]")
        h.raises_arg(1, ip.connect_any, {bad})
    end
    for _, bad in ipairs {{delay = -1}, {delay = "1"}, {delay = 0 / 0}, {delays = 1}, {1}} do
        h.raises_arg(2, ip.connect_any, {}, bad)
    end
end

t["test where nothing can be suspended nothing begins"] = function()
    local acceptor, sock = listening(), ip.tcp.socket.new()
    local results = {result(acceptor)}
    local forbidden = "Operation not permitted within a forbid-suspend block"
    lu.skipIf(h.is_outside, "there is no fiber to forbid it to")
    thrum.this_fiber.forbid_suspend()
    h.raises_text("fiber", forbidden, ip.connect, sock, results)
    h.raises_text("fiber", forbidden, ip.connect_any, results)
    thrum.this_fiber.allow_suspend()
    lu.assertFalse(sock.is_open)
    acceptor.timeout = 0
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    acceptor:close()
end

-- connect_any

t["test connect_any returns the socket and where it has got to"] = function()
    local acceptor = listening()
    local sock, addr, port = ip.connect_any {result(acceptor)}
    lu.assertIs(addr, loopback)
    lu.assertEquals(port, acceptor.local_port)
    h.assert_starts(tostring(sock), "ip.tcp.socket (127.0.0.1:")
    lu.assertNil(sock.timeout)
    assert_works(sock, acceptor)
    close(sock, acceptor)
end

t["test connect_any: a refusal starts the next one at once"] = function()
    local results, taken = refusing(4)
    local acceptor = listening()
    results[5] = result(acceptor)
    local sock, _, port = ip.connect_any(results, {delay = math.huge})
    lu.assertEquals(port, acceptor.local_port)
    assert_works(sock, acceptor)
    close(sock, acceptor, taken)
end

t["test connect_any: one that is slow gets company after the delay, and is closed"] = function()
    local first, fill = silent()
    local acceptor, never = listening(), listening()
    local before = h.descriptors()
    local sock, _, port = ip.connect_any({first, result(acceptor), result(never)}, {delay = 0.01})
    lu.assertEquals(port, acceptor.local_port)
    sock:close()
    lu.assertEquals(h.descriptors(), before)
    never.timeout = 0
    h.raises("ETIMEDOUT", never.accept, never)
    close(acceptor, never, fill)
end

t["test connect_any: the families take turns, beginning with the first result's"] = function()
    h.skip_without_v6()
    local first, fill = silent()
    local v4, v6 = listening("v4"), listening("v6")
    local sock, addr = ip.connect_any({first, result(v4), result(v6)}, {delay = 0.01})
    lu.assertTrue(addr.is_v6)
    sock:close()
    sock, addr = ip.connect_any({result(v4), result(v6)})
    lu.assertTrue(addr.is_v4)
    close(sock, v4, v6, fill)
end

t["test connect_any with a delay of 0 tries all together, and one of them is it"] = function()
    local results, acceptors = {}, {}
    for i = 1, 10 do
        acceptors[i] = listening()
        results[i] = result(acceptors[i])
    end
    local before = h.descriptors()
    local sock, _, port = ip.connect_any(results, {delay = 0})
    lu.assertEquals(sock.remote_port, port)
    sock:close()
    lu.assertEquals(h.descriptors(), before)
    close(acceptors)
end

t["test connect_any raises the last error, or not_found for an empty list"] = function()
    local results, taken = refusing(3)
    local before = h.descriptors()
    for _, delay in ipairs {0, 0.25, 1000} do
        local err = h.raises("ECONNREFUSED", ip.connect_any, results, {delay = delay})
        lu.assertIs(err.address, loopback)
        lu.assertEquals(h.descriptors(), before)
    end
    h.assert_starts(tostring(not_found(ip.connect_any, {})), "Element not found: ip.connect_any")
    close(taken)
end

for how, ending in pairs {interrupt = false, with_timeout = "ETIMEDOUT"} do
    t["test connect_any ended by " .. how .. " leaves no socket"] = function()
        local first, fill = silent()
        local before = h.descriptors()
        local results = {first, first, first}
        local fiber = h.try(function()
            if how == "interrupt" then
                ip.connect_any(results, {delay = 0.001})
            else
                time.with_timeout(0.01, ip.connect_any, results, {delay = 0.001})
            end
        end)
        if how == "interrupt" then
            time.sleep(0.005)
            fiber:interrupt()
        end
        local ok, err = fiber:join()
        lu.assertFalse(ok)
        if ending then
            lu.assertTrue(err == thrum.generic_error[ending], tostring(err))
        else
            lu.assertTrue(h.is_interruption(err), tostring(err))
        end
        lu.assertEquals(h.descriptors(), before)
        close(fill)
    end
end

-- Seen: an attempt that had not begun when all was over opened its socket afterwards.
t["test connect_any whose time is over while it begins another attempt opens nothing"] = function()
    local first, fill = silent()
    local before = h.descriptors()
    for round = 1, 20 do
        local seconds = 0.001 + round * 0.0001
        h.raises("ETIMEDOUT", time.with_timeout, seconds, ip.connect_any,
            {first, first, first, first, first, first}, {delay = 0.0004})
        lu.assertEquals(h.descriptors(), before)
        h.let_others_run()
        lu.assertEquals(h.descriptors(), before)
    end
    close(fill)
end

t["test races of interrupt against the winner: a socket or an error, and nothing left"] =
function()
    local acceptor, before = listening(), nil
    local results, taken = refusing(1)
    results[2] = result(acceptor)
    local n_connected, n_interrupted = 0, 0
    for round = 1, h.is_slow and 40 or 400 do
        before = before or h.descriptors()
        local sock
        local fiber = spawn(function()
            sock = ip.connect_any(results)
        end)
        h.let_others_run(round % 12)
        if fiber.joinable then
            fiber:interrupt()
        end
        fiber:join()
        n_connected = n_connected + (sock and 1 or 0)
        n_interrupted = n_interrupted + (fiber.interruption_caught and 1 or 0)
        lu.assertEquals(sock == nil, fiber.interruption_caught)
        if sock then
            sock:set_option("linger", {true, 0})
            sock:close()
        end
        h.let_others_run()
    end
    lu.assertTrue(n_connected > 0 and n_interrupted > 0)
    lu.assertEquals(h.descriptors(), before)
    acceptor.timeout = 0 -- those who are gone again do not count
    repeat
        local ok, server = pcall(acceptor.accept, acceptor)
        if ok then
            server:close()
        end
    until not ok
    close(acceptor, taken)
end
