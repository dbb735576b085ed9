-- SPDX-License-Identifier: BSL-1.0
-- dgram: what luvit's programs rely on, function by function and event by event.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local Emitter = thrum.emitter.Emitter
local generic_error = thrum.generic_error

t["test require 'dgram' gives a Node-style udp module"] = function()
    local dgram = require("dgram")
    lu.assertEquals(type(dgram.createSocket), "function")
    lu.assertEquals(type(dgram.Socket), "table")
end

local dgram = thrum.dgram

t["test createSocket(type, callback): the callback hears every message"] = function()
    local heard = {}
    local socket = dgram.createSocket("udp4", function(msg) heard[#heard + 1] = msg end)
    socket:bind(0, "127.0.0.1")
    for _, msg in ipairs {"one", "two"} do
        socket:send(msg, d.port(socket), "127.0.0.1")
    end
    h.wait_until(function() return #heard == 2 end)
    lu.assertEquals(heard, {"one", "two"})
    d.close(socket)
end

t["test createSocket() without a type is udp4; 'udp6' is the other"] = function()
    local socket = dgram.createSocket()
    socket:bind(0, "127.0.0.1")
    lu.assertEquals(socket:address().family, "IPv4")
    d.close(socket)
    h.skip_without_v6()
    socket = dgram.createSocket("udp6")
    socket:bind(0, "::1")
    lu.assertEquals(socket:address().family, "IPv6")
    d.close(socket)
end

t["test bad arguments have a clear error"] = function()
    for _, bad in ipairs {"udp", "udp5", "", "UDP4", "tcp"} do
        local err = h.raises("EINVAL", dgram.createSocket, bad)
        h.assert_contains(err.detail, "Bad socket type specified. Valid types are: udp4, udp6")
        lu.assertEquals(err.op, "dgram.createSocket")
    end
    for _, bad in ipairs {1, true, print} do
        h.raises_arg(1, dgram.createSocket, bad)
    end
    for _, bad in ipairs {1, true, "x", {}} do
        h.raises_arg(2, dgram.createSocket, "udp4", bad)
    end
end

t["test dgram.Socket extends Emitter"] = function()
    lu.assertIs(dgram.Socket.meta.super, Emitter)
    local socket = dgram.createSocket("udp4")
    lu.assertEquals(getmetatable(socket), dgram.Socket.meta)
    h.assert_starts(tostring(socket), "dgram.Socket")
    local heard
    socket:on("an event of the program's", function(...) heard = {...} end)
    socket:emit("an event of the program's", 1, 2)
    lu.assertEquals(heard, {1, 2})
    d.close(socket)
end

t["test the emitter's methods are the socket's"] = function()
    local socket = dgram.createSocket("udp4")
    for _, name in ipairs {"on", "once", "emit", "listenerCount", "removeListener",
        "removeAllListeners", "listeners", "wrap", "propagate", "missingHandlerType"} do
        lu.assertIs(socket[name], Emitter[name])
    end
    local function listener() end
    socket:on("message", listener)
    lu.assertEquals(socket:listenerCount("message"), 1)
    lu.assertEquals(socket:listeners("message"), {listener})
    lu.assertEquals(socket:removeListener("message", listener), 1)
    lu.assertNil(socket:removeListener("message", listener))
    local other = Emitter:new()
    local heard
    other:on("message", function(msg) heard = msg end)
    socket:propagate("message", other)
    socket:bind(0, "127.0.0.1")
    socket:send("passed on", d.port(socket), "127.0.0.1")
    h.wait_until(function() return heard end)
    lu.assertEquals(heard, "passed on")
    d.close(socket)
end

t["test recvStop holds datagrams back, recvStart goes on; both answer 0"] = function()
    local a, b = d.bound(), d.bound()
    local heard = {}
    b:on("message", function(msg) heard[#heard + 1] = msg end)
    lu.assertEquals(b:recvStop(), 0)
    lu.assertEquals(b:recvStop(), 0)
    for i = 1, 3 do
        a:send(tostring(i), d.port(b), "127.0.0.1")
    end
    h.let_others_run(8)
    lu.assertEquals(heard, {})
    lu.assertEquals(b:recvStart(), 0)
    lu.assertEquals(b:recvStart(), 0)
    h.wait_until(function() return #heard == 3 end)
    lu.assertEquals(heard, {"1", "2", "3"})
    d.close(a, b)
end

t["test recvStop inside a listener, in the midst of a flood, loses nothing"] = function()
    local a, b = d.bound(), d.bound()
    local heard = {}
    b:on("message", function(msg)
        heard[#heard + 1] = msg
        if #heard == 5 then
            b:recvStop()
        end
    end)
    local sent = {}
    for i = 1, 30 do
        sent[i] = tostring(i)
        a:send(sent[i], d.port(b), "127.0.0.1")
    end
    h.wait_until(function() return #heard == 5 end)
    h.let_others_run(8)
    lu.assertEquals(#heard, 5)
    b:recvStart()
    h.wait_until(function() return #heard == 30 end)
    lu.assertEquals(heard, sent)
    d.close(a, b)
end

t["test recvStop and recvStart in a row, raced with datagrams, lose nothing"] = function()
    local a, b = d.bound(), d.bound()
    local count = 0
    b:on("message", function() count = count + 1 end)
    local rounds = h.is_slow and 50 or 300
    for i = 1, rounds do
        b:recvStop()
        a:send("x", d.port(b), "127.0.0.1")
        if i % 3 == 0 then
            h.let_others_run(1)
        end
        b:recvStart()
        if i % 5 == 0 then
            h.let_others_run(2)
        end
    end
    h.wait_until(function() return count == rounds end)
    d.close(a, b)
end

t["test recvStart on a socket that is not bound binds it"] = function()
    local socket = dgram.createSocket("udp4")
    lu.assertEquals(socket:recvStart(), 0)
    d.wait(socket, "listening")
    socket:send("x", d.port(socket), "127.0.0.1")
    lu.assertEquals(d.wait(socket, "message"), "x")
    d.close(socket)
    local nothing, message, name = socket:recvStart()
    lu.assertNil(nothing)
    h.assert_contains(message, "Not running")
    lu.assertEquals(name, "EBADF")
    lu.assertEquals({select(3, socket:recvStop())}, {"EBADF"})
end

t["test a socket that was stopped keeps no program from ending"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local socket = require("dgram").createSocket("udp4")
        socket:bind(0, "127.0.0.1")
        socket:recvStop()
        print("ends")]])
    lu.assertEquals(output, "ends\n")
    lu.assertEquals(status, 0)
end

t["test setTimeout: the event comes when nothing was sent or received for so long"] =
function()
    local socket = d.bound()
    local arguments
    lu.assertIs(socket:setTimeout(5, function(...) arguments = select("#", ...) end), socket)
    h.wait_until(function() return arguments end)
    lu.assertEquals(arguments, 0)
    lu.assertEquals(socket:listenerCount("timeout"), 0) -- the callback was a once
    socket:address() -- it is not closed
    d.close(socket)
end

t["test sends and receives put the timeout off, and arm it again after it has come"] =
function()
    local a, b = d.bound(), d.bound()
    local n_timeouts = 0
    b:on("timeout", function() n_timeouts = n_timeouts + 1 end)
    local now = thrum.time.steady_clock.now
    local start, last, longest = now(), now(), 0
    b:setTimeout(50)
    while now() - start < 0.12 do
        a:send("x", d.port(b), "127.0.0.1")
        thrum.time.sleep(0.005)
        b:send("x", d.port(a), "127.0.0.1")
        longest, last = math.max(longest, now() - last), now()
    end
    lu.assertTrue(n_timeouts == 0 or longest > 0.045, longest) -- unless the machine stood still
    n_timeouts = 0
    b:setTimeout(2)
    d.wait(b, "timeout")
    b:send("x", d.port(a), "127.0.0.1")
    d.wait(b, "timeout")
    a:send("x", d.port(b), "127.0.0.1")
    d.wait(b, "timeout")
    lu.assertEquals(n_timeouts, 3)
    d.close(a, b)
end

t["test 0 disarms, a negative number is ignored, close disarms"] = function()
    local socket = d.bound()
    local function callback() error("disarmed", 0) end
    socket:setTimeout(1, callback)
    socket:setTimeout(0, callback)
    lu.assertEquals(socket:listenerCount("timeout"), 0)
    socket:setTimeout(-5, callback)
    lu.assertEquals(socket:listenerCount("timeout"), 0)
    thrum.time.sleep(0.005)
    socket:setTimeout(1)
    socket:on("timeout", callback)
    d.close(socket)
    thrum.time.sleep(0.005)
    local other = d.bound()
    for _, bad in ipairs {"1", true, {}, 0 / 0} do
        h.raises_arg(2, other.setTimeout, other, bad)
    end
    h.raises_arg(3, other.setTimeout, other, 1, "x")
    d.close(other)
end

t["test send(data, port, host, callback): err is nil on success, callback is optional"] =
function()
    local a, b = d.bound(), d.bound()
    local called
    a:send("with", d.port(b), "127.0.0.1", function(...) called = table.pack(...) end)
    lu.assertEquals(d.wait(b, "message"), "with")
    h.wait_until(function() return called end)
    lu.assertNil(called[1])
    lu.assertEquals(called[2], 4)
    a:send("without", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "without")
    d.close(a, b)
end

t["test a table of strings is gathered, an empty string is sent, after close it raises"] =
function()
    local a, b = d.bound(), d.bound()
    a:send({"a", "b", "", "c"}, d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "abc")
    a:send("", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "")
    d.close(a, b)
    h.raises("EBADF", a.send, a, "x", 9, "127.0.0.1")
end

t["test bind(port, host, options) also starts receiving"] = function()
    local a, b = dgram.createSocket("udp4"), dgram.createSocket("udp4")
    a:bind(0, "127.0.0.1", {reuseaddr = true, linux_recverr = false})
    b:bind(a:address().port, "127.0.0.1", {reuseaddr = true}) -- only with the option
    b:send("to the last one", d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(b, "message"), "to the last one")
    d.close(a, b)
    local c, e = dgram.createSocket("udp4"), dgram.createSocket("udp4")
    c:bind(0, "127.0.0.1", {reuseport = true})
    e:bind(c:address().port, "127.0.0.1", {reuseport = true})
    d.wait(e, "listening")
    d.close(c, e)
    h.skip_without_v6()
    local f = dgram.createSocket("udp6")
    f:bind(0, "::", {ipv6only = true})
    local g = dgram.createSocket("udp4")
    g:bind(d.port(f), "0.0.0.0") -- would be taken otherwise
    d.wait(g, "listening")
    d.close(f, g)
end

t["test an option that would do nothing is refused"] = function()
    local socket = dgram.createSocket("udp4")
    local err = h.raises("EINVAL", socket.bind, socket, 0, "127.0.0.1", {linux_recverr = true})
    h.assert_contains(err.detail, "option linux_recverr: not supported")
    for _, name in ipairs {"reuse_addr", "recverr", "port", "address", "type", 1} do
        err = h.raises("EINVAL", socket.bind, socket, 0, "127.0.0.1", {[name] = true})
        h.assert_contains(err.detail, "unknown option: " .. name)
        lu.assertEquals(err.op, "dgram.Socket.bind")
    end
    h.raises_arg(4, socket.bind, socket, 0, "127.0.0.1", {linux_recverr = 1})
    err = h.raises("EINVAL", socket.bind, socket, 0, "127.0.0.1", {ipv6only = true})
    h.assert_contains(err.detail, "option ipv6only: this is a udp4 socket")
    socket:bind(0, "127.0.0.1", {ipv6only = false})
    d.wait(socket, "listening")
    d.close(socket)
end

t["test a failed bind is an error event, never silent; no host is any address"] = function()
    local a, b = d.bound(), dgram.createSocket("udp4")
    b:bind(d.port(a), "127.0.0.1")
    lu.assertTrue(d.wait(b, "error") == generic_error.EADDRINUSE)
    b:bind(0)
    lu.assertEquals(b:address().address, "0.0.0.0")
    d.close(a, b)
end

t["test close(callback): after cleanup, without arguments"] = function()
    local socket = d.bound()
    local count
    socket:close(function(...) count = select("#", ...) end)
    h.wait_until(function() return count end)
    lu.assertEquals(count, 0)
    socket:close()
    local fresh = dgram.createSocket("udp4")
    d.close(fresh) -- never bound
end

t["test address() has address and ip, family and port"] = function()
    local socket = d.bound()
    local address = socket:address()
    lu.assertEquals({address.address, address.ip, address.family},
        {"127.0.0.1", "127.0.0.1", "IPv4"})
    lu.assertEquals(math.type(address.port), "integer")
    d.close(socket)
end

t["test setBroadcast(status): a boolean, or it raises"] = function()
    local socket = d.bound()
    socket:send("x", 9, "255.255.255.255")
    local err = d.wait(socket, "error")
    lu.assertTrue(err == generic_error.EACCES or err == generic_error.ENETUNREACH)
    socket:setBroadcast(true)
    socket:setBroadcast(false)
    for _, bad in ipairs {1, 0, "true", {}} do
        h.raises_arg(2, socket.setBroadcast, socket, bad)
    end
    h.raises_arg(2, socket.setBroadcast, socket)
    d.close(socket)
end

-- Everything goes over loopback's interface; test/peer/test_dgram.py has real ones.
local group = "239.255.77.21"

t["test setMembership(address[, interface], op): 'join' and 'leave' answer 0"] = function()
    d.skip_without_multicast(group)
    local socket = d.bound()
    lu.assertEquals(socket:setMembership(group, "127.0.0.1", "join"), 0)
    lu.assertEquals(socket:setMembership(group, "127.0.0.1", "leave"), 0)
    h.raises("EADDRNOTAVAIL", socket.setMembership, socket, group, "127.0.0.1", "leave")
    local err = h.raises("EINVAL", socket.setMembership, socket)
    h.assert_contains(err.detail, "multicast address must be specified")
    for _, bad in ipairs {"joined", "", 1, true} do
        h.raises_arg(4, socket.setMembership, socket, group, "127.0.0.1", bad)
    end
    h.raises_arg(4, socket.setMembership, socket, group, "127.0.0.1")
    d.close(socket)
end

t["test without an interface the system chooses, as with luvit's 0.0.0.0"] = function()
    d.skip_without_multicast(group)
    local socket = dgram.createSocket("udp4")
    local function try(...)
        local ok, err = pcall(socket.setMembership, socket, ...)
        lu.assertTrue(ok or err == generic_error.ENODEV, tostring(err)) -- no route for multicast
        return ok
    end
    if try(group, "join") then
        lu.assertEquals(socket:setMembership(group, nil, "leave"), 0)
    end
    if try(group, "0.0.0.0", "join") then
        lu.assertEquals(socket:setMembership(group, "leave"), 0)
    end
    d.close(socket)
end

t["test addMembership and dropMembership, the interface by address, name, index"] =
function()
    d.skip_without_multicast(group)
    local socket = d.bound()
    for _, interface in ipairs {"127.0.0.1", "lo", 1} do
        lu.assertEquals(socket:addMembership(group, interface), 0)
        h.raises("EADDRINUSE", socket.addMembership, socket, group, interface)
        lu.assertEquals(socket:dropMembership(group, interface), 0)
        h.raises("EADDRNOTAVAIL", socket.dropMembership, socket, group, interface)
    end
    d.close(socket)
end

t["test '*' joins and leaves every interface that can"] = function()
    d.skip_without_multicast(group)
    local socket = d.bound()
    lu.assertEquals(socket:addMembership(group, "*"), 0)
    h.raises("EADDRINUSE", socket.addMembership, socket, group, "lo")
    lu.assertEquals(socket:dropMembership(group, "*"), 0)
    h.raises("EADDRNOTAVAIL", socket.dropMembership, socket, group, "lo")
    h.raises("EADDRNOTAVAIL", socket.dropMembership, socket, group, "*")
    d.close(socket)
end

t["test misuse of memberships raises"] = function()
    local socket = d.bound()
    for _, name in ipairs {"addMembership", "dropMembership"} do
        local method = socket[name]
        local err = h.raises("EINVAL", method, socket)
        h.assert_contains(err.detail, "multicast address must be specified")
        lu.assertEquals(err.op, "dgram.Socket." .. name)
        h.raises("EINVAL", method, socket, "127.0.0.1")
        h.raises("EINVAL", method, socket, "127.0.0.1", "*")
        h.raises("EAFNOSUPPORT", method, socket, "ff02::1")
        h.raises("ENODEV", method, socket, group, "no-such-if")
        for _, bad in ipairs {1, true, {}, "name.of.a.host"} do
            h.raises_arg(2, method, socket, bad)
        end
        for _, bad in ipairs {true, {}, 1.5, -1} do
            h.raises_arg(3, method, socket, group, bad)
        end
    end
    d.close(socket)
end

t["test setTTL takes 1 to 255, and raises for others"] = function()
    local socket = d.bound()
    for _, ttl in ipairs {1, 64, 255, 128.0} do
        lu.assertEquals(socket:setTTL(ttl), ttl)
    end
    for _, bad in ipairs {0, 256, -1, 1.5, "64", true} do
        h.raises_arg(2, socket.setTTL, socket, bad)
    end
    h.raises_arg(2, socket.setTTL, socket)
    d.close(socket)
end

t["test message has msg, rinfo with ip, port and family, and flags"] = function()
    local a, b = d.bound(), d.bound()
    a:send("x", d.port(b), "127.0.0.1")
    local msg, rinfo, flags = d.wait(b, "message")
    lu.assertEquals({msg, rinfo.ip, rinfo.port, rinfo.family, type(flags)},
        {"x", "127.0.0.1", d.port(a), "IPv4", "table"})
    d.close(a, b)
end

t["test error has an err that prints; timeout has no arguments"] = function()
    local a, b = d.bound(), dgram.createSocket("udp4")
    local printed
    b:on("error", function(err) printed = "error: " .. err end)
    b:bind(d.port(a), "127.0.0.1")
    h.wait_until(function() return printed end)
    h.assert_starts(printed, "error: Address already in use")
    b:setTimeout(1)
    lu.assertEquals(select("#", d.wait(b, "timeout")), 0)
    d.close(a, b)
end

-- A program as one writes it for luvit: nothing in it but the port, which the system chooses here.
local program = [[
local dgram = require('dgram')
local HOST = '127.0.0.1'

local server = dgram.createSocket('udp4')
server:on('message', function (msg, rinfo)
  print('server got: ' .. msg .. ' from ' .. rinfo.ip)
  server:send('reply to ' .. msg, rinfo.port, rinfo.ip)
end)
server:on('error', function (err)
  print('server error: ' .. err)
end)
server:bind(0, HOST)

local client
client = dgram.createSocket('udp4', function (msg)
  print('client got: ' .. msg)
  if msg == 'reply to second' then
    server:close()
    client:close(function ()
      print('closed')
    end)
  end
end)
client:bind(0, HOST)
client:setTimeout(60000, function ()
  print('timeout')
end)
client:send('first', server:address().port, HOST, function (err)
  if err then print(err) return end
  client:send({'sec', 'ond'}, server:address().port, HOST)
end)
]]

local said = "server got: first from 127.0.0.1\nclient got: reply to first\n" ..
    "server got: second from 127.0.0.1\nclient got: reply to second\nclosed\n"

t["test a program for luvit runs as it stands"] = function()
    h.skip_without_program()
    h.with_file(program, function(name)
        local output, status = h.run_program(name)
        lu.assertEquals(output, said)
        lu.assertEquals(status, 0)
    end)
end
