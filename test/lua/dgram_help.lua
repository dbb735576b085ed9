-- SPDX-License-Identifier: BSL-1.0
-- What the specs of dgram lean on.
local h = ...
local lu, thrum = h.lu, h.thrum
local dgram, channel = thrum.dgram, thrum.channel

local d = {}

-- A socket bound to a port of loopback, bound and listening.
function d.bound(kind)
    local socket = dgram.createSocket(kind or "udp4")
    socket:bind(0, kind == "udp6" and "::1" or "127.0.0.1")
    d.wait(socket, "listening")
    return socket
end

function d.port(socket)
    return socket:address().port
end

-- The next event of that name: its arguments. The harness's watchdog is the deadline.
function d.wait(socket, event)
    local ch = channel.new(1)
    socket:once(event, function(...)
        ch:send(table.pack(...))
    end)
    local values = ch:receive()
    return table.unpack(values, 1, values.n)
end

-- Close them, and wait until they are.
function d.close(...)
    for _, socket in ipairs {...} do
        local ch = channel.new(1)
        socket:close(function() ch:send(true) end)
        ch:receive()
    end
end

-- Until a socket that is being closed has told so.
function d.wait_closed(socket)
    h.wait_until(function() return not pcall(socket.getRecvBufferSize, socket) end)
    h.let_others_run(4)
end

function d.skip_without_multicast(group)
    local socket = dgram.createSocket("udp4")
    local is_there = pcall(socket.addMembership, socket, group, "127.0.0.1")
    d.close(socket)
    lu.skipIf(not is_there, "no multicast on loopback here")
end

return d
