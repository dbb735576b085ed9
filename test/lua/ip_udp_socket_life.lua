-- SPDX-License-Identifier: BSL-1.0
-- ip.udp.socket: how it ends and what ends a wait: close, cancel, shutdown, timeout, release,
-- assign. E: a row of the Emilua checklist.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, time, ip, byte_span = thrum.spawn, thrum.time, thrum.ip, thrum.byte_span
local this_fiber = thrum.this_fiber
local loopback = ip.address.loopback_v4()

local function already_open(f, ...)
    return h.raises_text("misc", "Already open", f, ...)
end

-- close

t["test close is quiet twice and the socket can be opened again"] = function()
    local sock = h.bound()
    lu.assertEquals(select("#", sock:close()), 0)
    lu.assertFalse(sock.is_open)
    sock:close()
    sock:open("v4")
    sock:bind(loopback, 0)
    h.send_to(sock, sock, "again")
    lu.assertEquals(h.receive(sock), "again")
    sock:close()
end

t["test close of a socket never opened is quiet"] = function()
    ip.udp.socket.new():close()
end

t["test every call on a closed socket is EBADF"] = function()
    local sock = h.bound()
    sock:close()
    local buf = byte_span.new(8)
    local calls = {
        {"bind", loopback, 0}, {"shutdown", "both"}, {"disconnect"}, {"cancel"}, {"release"},
        {"receive", buf}, {"receive_from", buf}, {"send", "x"}, {"send_to", "x", loopback, 9},
        {"set_option", "broadcast", true}, {"get_option", "broadcast"},
        {"io_control", "bytes_readable"},
    }
    for _ = 1, 3 do -- for ever, and not only the first time
        for _, call in ipairs(calls) do
            local err = h.raises("EBADF", sock[call[1]], sock, table.unpack(call, 2))
            lu.assertEquals(err.op, "ip.udp.socket." .. call[1])
        end
    end
end

-- Each of the calls that wait, waiting: a function and what makes it wait.
local function waiters(sock)
    return {
        receive = function() return sock:receive(byte_span.new(8)) end,
        receive_from = function() return sock:receive_from(byte_span.new(8)) end,
        peek = function() return sock:receive(byte_span.new(0), ip.message_flag.peek) end,
    }
end

t["test close wakes everybody who waits with ECANCELED"] = function()
    local sock = h.bound()
    local fibers = {}
    for name, f in pairs(waiters(sock)) do
        fibers[name] = h.try(f)
    end
    sock:close()
    lu.assertFalse(sock.is_open)
    for name, fiber in pairs(fibers) do
        local ok, err = fiber:join()
        lu.assertFalse(ok, name)
        lu.assertTrue(err == thrum.generic_error.ECANCELED, name)
    end
    h.raises("EBADF", sock.receive, sock, byte_span.new(1))
end

t["test close in the receiver's own reaction to a datagram ends the others"] = function()
    local sock = h.bound()
    local second = h.start(function() -- served after the first
        local ok, err = pcall(sock.receive_from, sock, byte_span.new(8))
        return ok, err
    end)
    local closer = h.start(function()
        sock:receive_from(byte_span.new(8))
        sock:close()
    end)
    h.send_to(sock, sock, "one")
    h.send_to(sock, sock, "two")
    closer:join()
    lu.assertTrue((second:join()))
end

t["test cancel wakes everybody with ECANCELED and leaves the socket open"] = function()
    local sock = h.bound()
    local fibers = {}
    for name, f in pairs(waiters(sock)) do
        fibers[name] = h.try(f)
    end
    lu.assertEquals(select("#", sock:cancel()), 0)
    for name, fiber in pairs(fibers) do
        local ok, err = fiber:join()
        lu.assertFalse(ok, name)
        lu.assertTrue(err == thrum.generic_error.ECANCELED, name)
    end
    lu.assertTrue(sock.is_open)
    h.send_to(sock, sock, "alive")
    lu.assertEquals(h.receive(sock), "alive")
    sock:cancel() -- nothing to cancel
    sock:close()
end

t["test cancelling one socket leaves the others alone"] = function()
    local a, b = h.bound(), h.bound()
    local on_a = h.try(function() return h.receive(a) end)
    local on_b = h.try(function() return h.receive(b) end)
    a:cancel()
    lu.assertFalse((on_a:join()))
    h.send_to(a, b, "for b")
    local ok, text = on_b:join()
    lu.assertTrue(ok)
    lu.assertEquals(text, "for b")
    a:close()
    b:close()
end

t["test interrupting one fiber leaves its neighbor on the same socket waiting"] = function()
    local sock = h.bound()
    local first = h.try(function() return h.receive(sock) end)
    local second = h.try(function() return h.receive(sock) end)
    first:interrupt()
    local ok, err = first:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    h.send_to(sock, sock, "for the second")
    local text
    ok, text = second:join()
    lu.assertTrue(ok)
    lu.assertEquals(text, "for the second")
    sock:close()
end

t["test a waiting socket and buffer are collected afterwards only"] = function()
    local weak = setmetatable({}, {__mode = "v"})
    local port
    local fiber = h.start(function()
        local sock = h.bound()
        local buf = byte_span.new(32)
        weak.sock, weak.buf = sock, buf
        port = sock.local_port
        return (sock:receive_from(buf:slice(1, 16)))
    end)
    for _ = 1, 4 do
        collectgarbage()
    end
    lu.assertNotNil(weak.sock)
    local client = h.bound()
    client:send_to("0123456789", loopback, port)
    lu.assertEquals(fiber:join(), 10)
    client:close()
    collectgarbage()
    collectgarbage()
    lu.assertNil(weak.sock)
    lu.assertNil(weak.buf)
end

t["test a socket that is dropped closes its descriptor"] = function()
    local before = h.descriptors()
    do
        local sock = h.bound()
        lu.assertNotEquals(h.descriptors(), before)
        sock.timeout = 1
    end
    spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertEquals(h.descriptors(), before)
end

t["test a socket dropped with an interrupted waiter is closed"] = function()
    local fiber = h.start(function() h.receive(h.bound()) end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

-- shutdown

t["test shutdown takes receive, send and both and nothing else"] = function()
    local a, b = h.connected()
    for _, bad in ipairs {"read", "", "receive\0", 0, true, {}} do
        h.raises_arg(2, a.shutdown, a, bad)
    end
    h.raises_arg(2, a.shutdown, a)
    for _, what in ipairs {"receive", "send", "both"} do
        lu.assertEquals(select("#", a:shutdown(what)), 0)
    end
    a:close()
    b:close()
end

-- Linux answers ENOTCONN, yet it takes effect, and the socket then polls readable for ever.
t["test after shutdown receive every receive raises eof at once"] = function()
    local sock = h.bound()
    sock:shutdown("receive")
    local buf = byte_span.new(8)
    for _ = 1, 3 do
        h.raises_text("misc", "End of file", sock.receive, sock, buf)
        h.raises_text("misc", "End of file", sock.receive_from, sock, buf)
    end
    lu.assertTrue(sock.is_open)
    local other = h.bound()
    h.send_to(sock, other, "sending still works")
    lu.assertEquals(h.receive(other), "sending still works")
    sock:close()
    other:close()
end

t["test shutdown receive wakes who waits with eof"] = function()
    for _, what in ipairs {"receive", "both"} do
        local sock = h.bound()
        local fibers = {}
        for i = 1, 3 do
            fibers[i] = h.try(function() return h.receive(sock) end)
        end
        sock:shutdown(what)
        for i = 1, 3 do
            local ok, err = fibers[i]:join()
            lu.assertFalse(ok)
            h.assert_starts(tostring(err), "End of file")
        end
        sock:close()
    end
end

t["test a socket that was shut down does not spin"] = function()
    local sock = h.bound()
    sock:shutdown("receive")
    pcall(sock.receive, sock, byte_span.new(1))
    local before = os.clock()
    time.sleep(0.1)
    lu.assertTrue(os.clock() - before < 0.05)
    sock:close()
end

t["test after shutdown send a send is EPIPE and raises no signal"] = function()
    local a, b = h.connected()
    a:shutdown("send")
    for _ = 1, 2 do
        h.raises("EPIPE", a.send, a, "x")
    end
    b:send("receiving still works")
    lu.assertEquals(h.receive(a), "receiving still works")
    a:close()
    b:close()
end

t["test a socket reopened after shutdown receives again"] = function()
    local sock = h.bound()
    sock:shutdown("both")
    sock:close()
    sock:open("v4")
    sock:bind(loopback, 0)
    h.send_to(sock, sock, "new life")
    lu.assertEquals(h.receive(sock), "new life")
    sock:close()
end

-- timeout

t["test timeout is nil, then what was set, in seconds"] = function()
    local sock = ip.udp.socket.new()
    lu.assertNil(sock.timeout)
    for _, seconds in ipairs {0, 0.25, 3, 1e300} do
        sock.timeout = seconds
        lu.assertEquals(sock.timeout, seconds)
    end
    sock.timeout = nil
    lu.assertNil(sock.timeout)
end

t["test timeout refuses what is no number of seconds"] = function()
    local sock = ip.udp.socket.new()
    sock.timeout = 1.5
    for _, bad in ipairs {-1, 0 / 0, -math.huge, "1", true, {}} do
        h.raises("EINVAL", function() sock.timeout = bad end)
    end
    lu.assertEquals(sock.timeout, 1.5)
end

t["test a receive that waits too long is ETIMEDOUT and the socket stays usable"] = function()
    local sock = h.bound()
    for _, seconds in ipairs {0, 0.001, 0.01} do
        sock.timeout = seconds
        local start = time.steady_clock.now()
        local err = h.raises("ETIMEDOUT", sock.receive_from, sock, byte_span.new(8))
        lu.assertEquals(err.op, "ip.udp.socket.receive_from")
        h.raises("ETIMEDOUT", sock.receive, sock, byte_span.new(8))
        lu.assertTrue(time.steady_clock.now() - start >= 2 * seconds)
    end
    h.send_to(sock, sock, "in time")
    lu.assertEquals(h.receive(sock), "in time")
    sock:close()
end

t["test a datagram that is there wins over a timeout of 0"] = function()
    local sock = h.bound()
    sock.timeout = 0
    for i = 1, 100 do
        h.send_to(sock, sock, "ready")
        if i % 3 == 0 then -- the socket stops trying first after an empty attempt
            h.receive(sock)
            h.raises("ETIMEDOUT", h.receive, sock)
            h.send_to(sock, sock, "ready")
        end
        lu.assertEquals(h.receive(sock), "ready")
    end
    sock:close()
end

t["test a loop that asks with a timeout of 0 lets others run, and can be interrupted"] = function()
    local sock = h.bound()
    sock.timeout = 0
    local is_over = false
    local asking = spawn(function()
        while not is_over do
            h.raises("ETIMEDOUT", h.receive, sock)
        end
        while true do
            thrum.pcall(h.receive, sock)
        end
    end)
    time.sleep(0.001)
    is_over = true
    time.sleep(0.001)
    asking:interrupt()
    asking:join()
    lu.assertTrue(asking.interruption_caught)
    sock:close()
end

t["test a timeout is each fiber's own: the later one gets the datagram"] = function()
    local sock = h.bound()
    sock.timeout = 0.005
    local early = h.try(function() return h.receive(sock) end)
    sock.timeout = 5
    local late = h.try(function() return h.receive(sock) end)
    local ok, err = early:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.ETIMEDOUT)
    h.send_to(sock, sock, "late")
    local text
    ok, text = late:join()
    lu.assertTrue(ok)
    lu.assertEquals(text, "late")
    sock:close()
end

t["test a long timeout then a short one on the same fiber"] = function()
    local sock = h.bound()
    sock.timeout = 1000
    h.send_to(sock, sock, "x")
    local feeder = spawn(function()
        time.sleep(0.002)
        h.send_to(sock, sock, "y")
    end)
    h.receive(sock)
    h.receive(sock) -- waits with the long deadline armed
    feeder:join()
    sock.timeout = 0.005
    local start = time.steady_clock.now()
    h.raises("ETIMEDOUT", h.receive, sock)
    lu.assertTrue(time.steady_clock.now() - start < 10)
    sock:close()
end

t["test an operation without a timeout is not hit by an earlier deadline of its fiber"] = function()
    local sock, patient = h.bound(), h.bound()
    sock.timeout = 0.003
    local feeder = spawn(function()
        this_fiber.yield()
        h.send_to(sock, sock, "a")
        time.sleep(0.02) -- beyond that deadline
        h.send_to(patient, patient, "b")
    end)
    pcall(h.receive, sock)
    lu.assertEquals(h.receive(patient), "b")
    feeder:join()
    sock:close()
    patient:close()
end

-- release, assign, file_descriptor

t["test release gives the descriptor up, still open and bound"] = function()
    local sock = h.bound()
    local port = sock.local_port
    local waiter = h.try(function() return h.receive(sock) end)
    local fd = sock:release()
    lu.assertFalse(sock.is_open)
    h.raises("EBADF", sock.receive, sock, byte_span.new(1))
    local ok, err = waiter:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.ECANCELED)
    lu.assertEquals(fd:kind(), "udp v4")

    local heir = ip.udp.socket.new()
    heir:assign("v4", fd)
    lu.assertEquals(heir.local_port, port)
    h.send_to(heir, heir, "inherited")
    lu.assertEquals(h.receive(heir), "inherited")
    heir:close()
end

t["test release of a closed socket is EBADF and leaves nothing"] = function()
    local sock = ip.udp.socket.new()
    h.raises("EBADF", sock.release, sock)
end

t["test a socket that released can be opened again"] = function()
    local sock = h.bound()
    local fd = sock:release()
    sock:open("v4")
    sock:bind(loopback, 0)
    h.send_to(sock, sock, "mine")
    lu.assertEquals(h.receive(sock), "mine")
    sock:close()
    fd:close()
end

t["test assign takes the descriptor over: then it is EBUSY elsewhere"] = function()
    local fd = h.bound():release()
    local sock = ip.udp.socket.new()
    lu.assertEquals(select("#", sock:assign(loopback, fd)), 0)
    lu.assertTrue(sock.is_open)
    local other = ip.udp.socket.new()
    h.raises("EBUSY", other.assign, other, "v4", fd)
    h.raises("EBUSY", fd.close, fd)
    h.raises("EBUSY", fd.dup, fd)
    lu.assertFalse(other.is_open)
    sock:close()
    h.raises("EBUSY", other.assign, other, "v4", fd)
end

t["test assign of a closed descriptor is EBADF"] = function()
    local fd = h.bound():release()
    fd:close()
    local sock = ip.udp.socket.new()
    h.raises("EBADF", sock.assign, sock, "v4", fd)
    lu.assertFalse(sock.is_open)
end

t["test assign checks family and kind and leaves a refused descriptor usable"] = function()
    local fd = h.bound():release()
    local sock = ip.udp.socket.new()
    h.raises_arg(3, sock.assign, sock, "v6", fd)
    h.raises_arg(2, sock.assign, sock, "v5", fd)
    h.raises_arg(3, sock.assign, sock, "v4", 3)
    h.raises_arg(3, sock.assign, sock, "v4")
    h.raises_arg(3, sock.assign, sock, "v4", sock)
    lu.assertFalse(sock.is_open)
    sock:assign("v4", fd)
    sock:close()
end

t["test assign to an open socket is already_open and the descriptor stays its owner's"] = function()
    local fd = h.bound():release()
    local sock = h.bound()
    already_open(sock.assign, sock, "v4", fd)
    lu.assertEquals(fd:kind(), "udp v4")
    fd:close()
    sock:close()
end

-- The same open file description in two descriptors.
t["test a descriptor that lives on elsewhere does not keep firing events"] = function()
    local sock = h.bound()
    local fd = sock:release()
    local copy = fd:dup()
    sock:assign("v4", fd)
    local addr, port = sock.local_address, sock.local_port
    local waiter = h.try(function() return h.receive(sock) end)
    sock:close()
    lu.assertFalse((waiter:join()))
    local client = h.bound()
    client:send_to("for nobody", addr, port) -- the copy is readable now
    local before = os.clock()
    time.sleep(0.1)
    lu.assertTrue(os.clock() - before < 0.05)
    local heir = ip.udp.socket.new()
    heir:assign("v4", copy)
    lu.assertEquals(h.receive(heir), "for nobody")
    heir:close()
    client:close()
end
