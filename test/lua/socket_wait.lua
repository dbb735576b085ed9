-- SPDX-License-Identifier: BSL-1.0
-- socket: how calls wait: several fibers at one object, which LuaSocket's programs know nothing of,
-- interruptions, and timeouts that let nobody wait.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber = thrum.spawn, thrum.this_fiber
local socket = require "thrum.socket"

-- Two sockets of UDP, and where the second is bound.
local function udp_pair()
    local sender, receiver = socket.udp4(), socket.udp4()
    lu.assertEquals(receiver:setsockname("127.0.0.1", 0), 1)
    local _, port = receiver:getsockname()
    lu.assertEquals(sender:setpeername("127.0.0.1", port), 1)
    return sender, receiver
end

local function close(...)
    for _, sock in ipairs {...} do
        sock:close()
    end
end

-- Seen: of some hundred datagrams one was lost and another came twice. A fiber that had received
-- many in a row let others run before it took its own out of the buffer that all share.
t["test two fibers that receive from one udp object get each datagram once"] = function()
    local sender, receiver = udp_pair()
    local n, seen = 200, {}
    for _, method in ipairs {"receive", "receivefrom"} do
        local count = 0
        for i = 1, n do
            lu.assertEquals(sender:send(method .. i), #(method .. i))
        end
        local function take()
            while count < n do
                count = count + 1
                local data = receiver[method](receiver)
                lu.assertNil(seen[data])
                seen[data] = true
            end
        end
        local fibers = {spawn(take), spawn(take)}
        fibers[1]:join()
        fibers[2]:join()
        for i = 1, n do
            lu.assertTrue(seen[method .. i])
        end
    end
    close(sender, receiver)
end

-- Seen: it waited for the next datagram, whenever that would come. Every so many receives in a row
-- others have their turn, before the call asks for a datagram.
t["test an interruption ends a receive that has let others run first"] = function()
    local sender, receiver = udp_pair()
    receiver:settimeout(5)
    for n = 1, 130 do
        local count, err = 0, nil
        for _ = 1, n do
            sender:send("x")
        end
        local fiber = spawn(function()
            repeat
                local data
                data, err = receiver:receive()
                count = count + (data and 1 or 0)
            until not data
        end)
        spawn(function() -- runs when the other one lets it
            fiber:interrupt()
        end):detach()
        fiber:join()
        lu.assertNil(err)
        lu.assertTrue(fiber.interruption_caught)
        receiver:settimeout(0)
        for _ = count + 1, n do
            receiver:receive()
        end
        receiver:settimeout(5)
    end
    close(sender, receiver)
end

-- Seen: it waited on, for ever. It had been woken already, so the interruption was left for the
-- next call, and there was none.
t["test an interruption ends a select whose data somebody else was faster to take"] = function()
    local sender, receiver = udp_pair()
    receiver:settimeout(0)
    local has_ended = false
    local fiber = spawn(function()
        socket.select({receiver}, nil, 20)
        has_ended = true
    end)
    this_fiber.yield()
    sender:send("x")
    while true do -- until the waiting one has been woken, and does not run yet
        this_fiber.yield()
        local data = receiver:receive()
        if data then
            break
        end
    end
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertFalse(has_ended)
    close(sender, receiver)
end

-- Seen: thousands of wake-ups a second until the timeout. The set that is waited for tells of what
-- has hung up, and that did not count.
t["test select takes what has hung up for ready to send"] = function()
    local before = h.descriptors()
    local pipe = io.popen("exit 0")
    local number
    for each in h.descriptors():gmatch "%d+" do
        if not (" " .. before .. " "):find(" " .. each .. " ", 1, true) then
            number = tonumber(each)
        end
    end
    lu.assertEquals(pipe:read("a"), "")
    local object = {getfd = function() return number end, dirty = function() return false end}
    local receivers, senders, err = socket.select(nil, {object}, 5)
    lu.assertNil(err)
    lu.assertEquals(#receivers, 0)
    lu.assertIs(senders[1], object)
    pipe:close()
end

-- Of a server: a client, and who has been accepted.
local function tcp_pair(server, port)
    local client = assert(socket.connect("127.0.0.1", port))
    server:settimeout(nil)
    server:settimeout(nil, "t")
    return client, assert(server:accept())
end

-- Seen: with a total of 0 every second call said "timeout" without having looked. A try that has
-- found nothing is followed by one that leaves the asking to the wait, and there is none.
t["test a timeout of 0 asks each time, of either mode"] = function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    for _, mode in ipairs {"b", "t"} do
        local client, accepted = tcp_pair(server, port)
        local sender, receiver = udp_pair()
        for _, sock in ipairs {server, accepted, receiver} do
            sock:settimeout(0, mode)
            local _, err = (sock == server and sock.accept or sock.receive)(sock)
            lu.assertEquals(err, "timeout")
        end
        client:send("line\n")
        sender:send("datagram")
        local another = assert(socket.connect("127.0.0.1", port))
        for _, sock in ipairs {server, accepted, receiver} do
            lu.assertEquals(#socket.select({sock}, nil, 5), 1)
        end
        lu.assertEquals(accepted:receive(), "line")
        lu.assertEquals(receiver:receive(), "datagram")
        local late = server:accept()
        lu.assertNotNil(late)
        close(client, accepted, sender, receiver, another, late)
    end
    server:close()
end

-- Seen: nil, where programs put the third result behind what they have.
t["test a receive that has not had its turn has received nothing, as a string"] = function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client, accepted = tcp_pair(server, port)
    local fiber = spawn(function() return accepted:receive() end)
    this_fiber.yield()
    for _, seconds in ipairs {0, 0.001} do
        accepted:settimeout(seconds)
        lu.assertEquals({accepted:receive()}, {nil, "timeout", ""})
        lu.assertEquals({accepted:receive(9, "before")}, {nil, "timeout", "before"})
    end
    client:send("line\n")
    lu.assertEquals(fiber:join(), "line")
    close(server, client, accepted)
end

-- Seen: "socket.socket_select", which no page has.
t["test what select raises is select's own"] = function()
    local sender, receiver = udp_pair()
    for _, list in ipairs {{receiver}, {sender, receiver}, {}} do
        local err = h.raises("ETIMEDOUT", thrum.time.with_timeout, 0.001, socket.select, list)
        lu.assertEquals(err.op, "socket.select")
    end
    close(sender, receiver)
end

-- Seen: the time-out of the with_timeout before raised once more, from a call that was not in it.
t["test a call after a with_timeout that is over gets its own timeout"] = function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client, accepted = tcp_pair(server, port)
    local sender, receiver = udp_pair()
    local another = socket.tcp4()
    for _, sock in ipairs {server, client, accepted, receiver, another} do
        sock:settimeout(0)
    end
    local function check(method, sock, ...)
        h.raises("ETIMEDOUT", thrum.time.with_timeout, 0.001, thrum.time.sleep, 5)
        local result, err = sock[method](sock, ...)
        lu.assertNil(result)
        lu.assertEquals(err, "timeout")
    end
    check("accept", server)
    check("receive", receiver)
    check("receivefrom", receiver)
    check("receive", accepted)
    check("send", client, ("x"):rep(1 << 26))
    check("connect", another, "127.0.0.1", port)
    close(server, client, accepted, sender, receiver, another)
end

-- Seen: timers and all other fibers stood still.
t["test who asks select again and again lets others run"] = function()
    local sender, receiver = udp_pair()
    sender:send("x")
    for _, list in ipairs {{sender}, {receiver}, {}} do -- not ready, ready, nothing
        local is_over, count = false, 0
        spawn(function()
            is_over = true
        end):detach()
        while not is_over and count < 1000 do
            socket.select(list, nil, 0)
            count = count + 1
        end
        lu.assertTrue(is_over)
    end
    close(sender, receiver)
end

t["test a receive whose prefix is long enough lets others run, too"] = function()
    local listener = socket.bind("127.0.0.1", 0)
    local _, port = listener:getsockname()
    local client = socket.connect("127.0.0.1", port)
    local is_over, count = false, 0
    spawn(function()
        is_over = true
    end):detach()
    while not is_over and count < 1000 do
        lu.assertEquals(client:receive(1, "abc"), "abc")
        count = count + 1
    end
    lu.assertTrue(is_over)
    close(listener, client)
end
