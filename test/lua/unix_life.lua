-- SPDX-License-Identifier: BSL-1.0
-- The unix sockets: how they end and what ends a wait; release and assign, for every class.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, ip, spawn, time =
    thrum.unix, thrum.byte_span, thrum.ip, thrum.spawn, thrum.time
local ECANCELED = thrum.generic_error.ECANCELED

local kinds = {"datagram", "stream", "seqpacket"}

local function each_kind(name, case)
    for _, kind in ipairs(kinds) do
        t[("test %s: %s"):format(kind, name)] = function() case(kind) end
    end
end

local function pair(kind)
    return unix[kind].socket.pair()
end

local function close(...)
    for _, each in ipairs {...} do
        each:close()
    end
end

local function waiters(sock)
    return {
        receive = function() return sock:receive(byte_span.new(8)) end,
        receive_with_fds = function() return sock:receive_with_fds(byte_span.new(8), 4) end,
        another = function() return sock:receive_with_fds(byte_span.new(8), 4) end,
        peek = function() return sock:receive(byte_span.new(8), ip.message_flag.peek) end,
    }
end

for _, how in ipairs {"close", "cancel", "release"} do
    each_kind(how .. " wakes everybody who waits with ECANCELED", function(kind)
        local a, b = pair(kind)
        local fibers = {}
        for name, f in pairs(waiters(b)) do
            fibers[name] = h.try(f)
        end
        local fd = b[how](b)
        for name, fiber in pairs(fibers) do
            local ok, err = fiber:join()
            lu.assertFalse(ok, name)
            lu.assertTrue(err == ECANCELED, name .. ": " .. tostring(err))
        end
        lu.assertEquals(b.is_open, how == "cancel")
        if how == "cancel" then
            a:send("alive")
            lu.assertEquals(b:receive(byte_span.new(8)), 5)
        elseif how == "release" then
            lu.assertEquals(fd:kind(), "unix " .. kind)
            fd:close()
        end
        close(a, b)
    end)

    each_kind(how .. " wakes senders that wait for room, with and without descriptors",
    function(kind)
        local a, b = pair(kind)
        a.timeout = 0
        repeat until not pcall(a.send, a, ("x"):rep(2000))
        repeat until not pcall(a.send, a, "x")
        a.timeout = nil
        local fd = h.bound():release()
        local before = h.descriptors()
        local senders = {
            h.try(a.send, a, "1"), h.try(a.send_with_fds, a, "2", {fd}), h.try(a.send, a, "3"),
        }
        local released = a[how](a)
        for i = 1, 3 do
            local ok, err = senders[i]:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == ECANCELED, tostring(err))
        end
        if how == "cancel" then
            lu.assertEquals(h.descriptors(), before) -- the copies are gone
        elseif released then
            released:close()
        end
        lu.assertEquals(fd:kind(), "udp v4")
        close(a, b, fd)
    end)
end

each_kind("interrupting one leaves its neighbors waiting, whatever they wait for", function(kind)
    for victim = 1, 4 do
        local a, b = pair(kind)
        local fibers = {}
        for i = 1, 4 do
            fibers[i] = h.try(function()
                local buf = byte_span.new(1)
                if i % 2 == 0 then
                    b:receive_with_fds(buf, 1)
                else
                    b:receive(buf)
                end
                return tostring(buf)
            end)
        end
        fibers[victim]:interrupt()
        local ok, err = fibers[victim]:join()
        lu.assertFalse(ok)
        lu.assertTrue(h.is_interruption(err))
        for i = 1, 4 do
            if i ~= victim then
                a:send(tostring(i))
            end
        end
        for i = 1, 4 do
            if i ~= victim then
                local text
                ok, text = fibers[i]:join()
                lu.assertTrue(ok, tostring(text))
                lu.assertEquals(text, tostring(i))
            end
        end
        close(a, b)
    end
end)

each_kind("shutdown ends receives with eof and sends with EPIPE", function(kind)
    local a, b = pair(kind)
    local fibers = {}
    for name, f in pairs(waiters(b)) do
        fibers[name] = h.try(f)
    end
    b:shutdown("receive")
    for name, fiber in pairs(fibers) do
        local ok, err = fiber:join()
        lu.assertFalse(ok, name)
        h.assert_starts(tostring(err), "End of file")
    end
    for name, f in pairs(waiters(b)) do
        h.assert_contains(tostring(h.raises_text("misc", "End of file", f)), "unix." .. kind)
        lu.assertNotNil(name)
    end
    b:send("sending goes on")
    lu.assertEquals(a:receive(byte_span.new(32)), 15)
    b:shutdown("send")
    h.raises("EPIPE", b.send, b, "x")
    h.raises("EPIPE", b.send_with_fds, b, "x", {})
    h.raises_arg(2, b.shutdown, b, "neither")
    close(a, b)
end)

each_kind("the timeout holds for every call, and the socket stays usable", function(kind)
    local a, b = pair(kind)
    b.timeout = 0.003
    for name, f in pairs(waiters(b)) do
        local start = time.steady_clock.now()
        h.raises("ETIMEDOUT", f)
        lu.assertTrue(time.steady_clock.now() - start >= 0.003, name)
    end
    b.timeout = 0
    for _ = 1, 10 do
        for name, f in pairs(waiters(b)) do
            h.raises("ETIMEDOUT", f)
            a:send("there")
            lu.assertEquals(f(), 5, name)
            if name == "peek" then
                b:receive(byte_span.new(8))
            end
        end
    end
    a.timeout = 0.003
    repeat until not pcall(a.send, a, ("x"):rep(2000))
    local fd = h.bound():release()
    h.raises("ETIMEDOUT", a.send_with_fds, a, ("x"):rep(2000), {fd})
    lu.assertEquals(fd:kind(), "udp v4")
    close(a, b, fd)
end)

each_kind("a socket that is dropped is closed, and its waiter with it", function(kind)
    local before = h.descriptors()
    do
        local a, b = pair(kind)
        local fiber = h.start(function() b:receive_with_fds(byte_span.new(8), 253) end)
        fiber:interrupt()
        fiber:join()
        lu.assertNotNil(a)
    end
    spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertEquals(h.descriptors(), before)
end)

-- release and assign

each_kind("what waits in a socket goes with its descriptor", function(kind)
    local a, b = pair(kind)
    local fd = h.bound():release()
    local waiting = h.try(b.receive_with_fds, b, byte_span.new(8), 4)
    a:send_with_fds("with", {fd})
    fd:close()
    a:send("more")
    local heir = unix[kind].socket.new()
    heir:assign(b:release()) -- before the waiter has had its turn
    local ok, err = waiting:join()
    lu.assertFalse(ok)
    lu.assertTrue(err == ECANCELED, tostring(err))
    local buf = byte_span.new(4)
    local n, fds = heir:receive_with_fds(buf, 4)
    lu.assertEquals(tostring(buf:slice(1, n)), "with")
    lu.assertEquals(#fds, 1)
    lu.assertEquals(fds[1]:kind(), "udp v4")
    lu.assertEquals(heir:receive(buf), 4)
    lu.assertEquals(tostring(buf), "more")
    close(a, heir, fds[1])
end)

each_kind("a released socket can be opened again, and a dropped descriptor is closed",
function(kind)
    local a, b = pair(kind)
    local before = h.descriptors()
    local fd = b:release()
    h.raises("EBADF", b.release, b)
    lu.assertEquals(h.descriptors(), before)
    b:open()
    b:bind("")
    close(a, b, fd)
    h.raises("EBADF", b.assign, b, fd)
    lu.assertFalse(b.is_open)
end)

-- One descriptor of each kind there is, made anew.
local function all_kinds()
    local made = {}
    local function add(sock)
        local fd = sock:release()
        made[fd:kind()] = fd
    end
    add(h.bound())
    if h.has_v6 then
        add(h.bound("v6"))
    end
    for _, kind in ipairs(kinds) do
        local sock = unix[kind].socket.new()
        sock:open()
        add(sock)
        if kind ~= "datagram" then
            local acceptor = unix[kind].acceptor.new()
            acceptor:open()
            acceptor:bind("")
            acceptor:listen()
            add(acceptor)
        end
    end
    return made
end

t["test assign takes its own kind and no other, and names both"] = function()
    local classes = {
        ["udp v4"] = {ip.udp.socket, "v4"}, ["udp v6"] = {ip.udp.socket, "v6"},
    }
    for _, kind in ipairs(kinds) do
        classes["unix " .. kind] = {unix[kind].socket}
        if kind ~= "datagram" then
            classes[("unix %s acceptor"):format(kind)] = {unix[kind].acceptor}
        end
    end
    for wanted, row in pairs(classes) do
        local n_taken = 0
        for came, fd in pairs(all_kinds()) do
            local sock = row[1].new()
            local arguments = {row[2] or fd, row[2] and fd}
            if came == wanted then
                sock:assign(table.unpack(arguments))
                lu.assertTrue(sock.is_open)
                h.raises("EBUSY", fd.kind, fd)
                h.raises("EBUSY", row[1].new().assign, row[1].new(), table.unpack(arguments))
                sock:close()
                n_taken = n_taken + 1
            else
                local err = h.raises_arg(row[2] and 3 or 2, sock.assign, sock,
                    table.unpack(arguments))
                h.assert_contains(tostring(err), ("%s expected, got %s"):format(wanted, came))
                lu.assertFalse(sock.is_open)
                lu.assertEquals(fd:kind(), came) -- it is still its owner's
                fd:close()
            end
        end
        if wanted ~= "udp v6" or h.has_v6 then
            lu.assertEquals(n_taken, 1, wanted)
        end
    end
end

t["test assign refuses what is no socket, no descriptor, closed, or one too many"] = function()
    for _, kind in ipairs(kinds) do
        local a, b = pair(kind)
        local fd = b:release()
        h.raises_text("misc", "Already open", a.assign, a, fd)
        lu.assertEquals(fd:kind(), "unix " .. kind)
        for _, bad in ipairs {3, "fd", true, {}, a, io.stdout} do
            h.raises_arg(2, b.assign, b, bad)
        end
        h.raises_arg(2, b.assign, b)
        fd:close()
        h.raises("EBADF", b.assign, b, fd)
        close(a, b)
    end
end

-- The same open file description in two descriptors.
each_kind("a descriptor that lives on elsewhere does not keep firing events", function(kind)
    local a, b = pair(kind)
    local fd = b:release()
    local copy = fd:dup()
    b:assign(fd)
    local waiting = h.try(b.receive_with_fds, b, byte_span.new(8), 1)
    b:close()
    lu.assertFalse((waiting:join()))
    a:send("for the copy")
    local before = os.clock()
    time.sleep(0.05)
    lu.assertTrue(os.clock() - before < 0.03)
    b:assign(copy)
    lu.assertEquals(b:receive(byte_span.new(16)), 12)
    close(a, b)
end)
