-- SPDX-License-Identifier: BSL-1.0
-- Steps with UDP sockets on loopback. The model of the kernel's side is a port: what is queued
-- there, and whom it is connected to. Sockets and descriptors lead to ports, several to one after a
-- dup. A datagram that was sent to a port with room is received once or still there at the end; one
-- that was not sent, or went elsewhere, is received by nobody.
local h, stress = ...
local thrum = h.thrum
local sync = stress.sync
local ip, byte_span, pcall = thrum.ip, thrum.byte_span, thrum.pcall
local now = thrum.time.steady_clock.now
local flag = ip.message_flag
local generic = thrum.generic_error
local ECANCELED, EBADF, EMSGSIZE, ECONNREFUSED, EDESTADDRREQ, ENOTCONN, EADDRINUSE, EINVAL =
    generic.ECANCELED, generic.EBADF, generic.EMSGSIZE, generic.ECONNREFUSED,
    generic.EDESTADDRREQ, generic.ENOTCONN, generic.EADDRINUSE, generic.EINVAL

local sockets = {}

local header_size = 16
local room = 24 -- datagrams that wait at a port, far less than the system lets

-- This process's own part of loopback: nobody else's datagrams come here, and none of ours reach
-- another after a port was closed.
local pid = thrum.system.getpid()
local home = ip.address.new(("127.%d.%d.77"):format(1 + pid // 250 % 250, 1 + pid % 250))
local next_port = 20000

function sockets.set_up(world)
    world.sockets, world.descriptors, world.ports = {}, {}, {}
    world.datagrams, world.n_datagrams = {}, 0
    for i = 1, 4 do
        world.sockets[i] = {socket = ip.udp.socket.new(), n_cancels = 0, n_users = 0}
    end
    world.sockets[4].is_v6 = h.has_v6
    for _, slot in ipairs(world.sockets) do
        sockets.open_slot(world, slot)
    end
end

-- ---- ports ----

local function unref(world, port)
    port.n_refs = port.n_refs - 1
    if port.n_refs == 0 then
        world.ports[port.number] = nil
    end
end

local function bind_somewhere(slot)
    local address = slot.is_v6 and home:to_v6() or home
    repeat
        next_port = next_port < 30000 and next_port + 1 or 20000
        local ok, err = stress.Actor.pcall(slot.socket.bind, slot.socket, address, next_port)
        if not ok and err ~= EADDRINUSE then
            error(err, 0)
        end
    until ok
    return next_port
end

function sockets.open_slot(world, slot)
    slot.socket:open(slot.is_v6 and "v6" or "v4")
    local number = bind_somewhere(slot)
    slot.port = {number = number, is_v6 = slot.is_v6, n_refs = 1, n_queued = 0,
        n_empty = 0, n_cut = 0, n_unclear = 0}
    slot.is_ended = false
    world.ports[number] = slot.port
end

-- How many datagrams wait there. `n_cut` are those that were received without their names.
local function count_waiting(port)
    return port.n_queued + port.n_empty - port.n_cut
end

-- ---- the life of a socket ----

local function pick_slot(actor)
    return actor:pick(actor.world.sockets)
end

function sockets.open(actor)
    local slot = pick_slot(actor)
    if not slot.port then
        actor:check(not slot.socket.is_open, "a closed socket is open")
        sockets.open_slot(actor.world, slot)
    end
end

function sockets.close(actor)
    local slot = pick_slot(actor)
    if not actor:chance(2) then
        return
    end
    slot.n_cancels = slot.n_cancels + 1
    slot.socket:close()
    if slot.port then
        unref(actor.world, slot.port)
        slot.port = nil
    end
    actor:check(not slot.socket.is_open, "open after close")
end

function sockets.cancel(actor)
    local slot = pick_slot(actor)
    if slot.port then
        slot.n_cancels = slot.n_cancels + 1
        slot.socket:cancel()
    end
end

-- The port goes on in a descriptor.
function sockets.release(actor)
    local slot = pick_slot(actor)
    if slot.port and not slot.is_ended then
        slot.n_cancels = slot.n_cancels + 1
        local fd = slot.socket:release()
        actor:check(fd:kind() == (slot.is_v6 and "udp v6" or "udp v4"), "released: %s", fd:kind())
        table.insert(actor.world.descriptors, {fd = fd, port = slot.port})
        slot.port = nil
        actor:check(not slot.socket.is_open, "open after release")
    end
end

local function take_descriptor(actor)
    local list = actor.world.descriptors
    return #list > 0 and table.remove(list, actor.dice(#list)) or nil
end

function sockets.assign(actor)
    local slot, descriptor = pick_slot(actor), take_descriptor(actor)
    if not descriptor then
        return
    elseif slot.port or slot.is_v6 ~= descriptor.port.is_v6 then
        table.insert(actor.world.descriptors, descriptor)
        return
    end
    local family = slot.is_v6 and "v6" or "v4"
    local ok, err = stress.Actor.pcall(slot.socket.assign, slot.socket, slot.is_v6 and "v4" or "v6",
        descriptor.fd)
    actor:check(not ok and err == EINVAL, "assigned to another family")
    slot.socket:assign(family, descriptor.fd)
    slot.port, slot.is_ended = descriptor.port, false
    actor:check(slot.socket.local_port == slot.port.number, "assign has changed the port")
end

function sockets.duplicate(actor)
    local descriptor = take_descriptor(actor)
    if not descriptor then
        return
    end
    local world, port = actor.world, descriptor.port
    if actor:chance(2) and #world.descriptors < 4 then
        port.n_refs = port.n_refs + 1
        table.insert(world.descriptors, {fd = descriptor.fd:dup(), port = port})
        table.insert(world.descriptors, descriptor)
    elseif actor:chance(2) then
        descriptor.fd:close()
        unref(world, port)
    else
        unref(world, port) -- and the collector closes it
    end
end

-- A socket that is dropped: the collector closes it, and a new one takes its place.
function sockets.drop(actor)
    local world, i = actor.world, actor.dice(#actor.world.sockets)
    local slot = world.sockets[i]
    if slot.n_users == 0 and actor:chance(2) then
        if slot.port then
            unref(world, slot.port)
        end
        world.sockets[i] = {socket = ip.udp.socket.new(), n_cancels = 0, n_users = 0,
            is_v6 = slot.is_v6}
        sockets.open_slot(world, world.sockets[i])
    end
end

function sockets.shut_down(actor)
    local slot = pick_slot(actor)
    if slot.port and slot.port.n_refs == 1 and actor:chance(4) then
        slot.port.is_odd, slot.is_ended = true, true
        slot.socket:shutdown("receive")
    end
end

-- What a call is called in the log.
local function name_of(call, slot)
    return ("ip.udp.socket.%s at %s"):format(call, slot.port and slot.port.number or "none")
end

-- ---- connecting ----

local function random_peer(actor)
    local numbers = {}
    for number in pairs(actor.world.ports) do
        numbers[#numbers + 1] = number
    end
    table.sort(numbers)
    numbers[#numbers + 1] = 31000 + actor.dice(1000) -- where nobody listens
    return actor:pick(numbers)
end

-- Until the call returns nobody knows whether the peer is the new one.
local function connect(actor, slot)
    local port, number = slot.port, random_peer(actor)
    local call = {name = name_of("connect to " .. number, slot), allows = function(err)
        return port.is_connected and err == ECONNREFUSED
    end}
    port.is_connected = true
    port.n_unclear = port.n_unclear + 1
    slot.n_users = slot.n_users + 1
    local ok, err = actor:try(call, slot.socket.connect, slot.socket, home, number)
    slot.n_users = slot.n_users - 1
    port.n_unclear = port.n_unclear - 1
    if slot.port == port then
        local has_peer, peer = stress.Actor.pcall(function()
            return slot.socket.remote_port
        end)
        port.peer = has_peer and peer or nil
    else
        port.n_unclear = port.n_unclear + 1 -- for good
    end
    if not ok then
        actor:react(err)
    end
end

function sockets.connect(actor)
    local slot = pick_slot(actor)
    if slot.port and slot.port.n_refs == 1 then
        connect(actor, slot)
    end
end

function sockets.disconnect(actor)
    local slot = pick_slot(actor)
    if slot.port then
        slot.socket:disconnect()
        slot.port.peer = nil
    end
end

-- ---- send ----

local function new_datagram(actor, number, from)
    local world = actor.world
    world.n_datagrams = world.n_datagrams + 1
    local text = ("%08x%08x"):format(world.seed & 0xffffffff, world.n_datagrams) ..
        string.char(96 + world.n_datagrams % 26):rep(actor.dice(4) == 1 and actor.dice(1200) or 8)
    if actor:chance(12) then
        text = ""
    end
    local datagram = {text = text, from = from, number = number, state = "new"}
    world.datagrams[text:sub(1, header_size)] = datagram
    return datagram
end

-- As a string, as a span, or in pieces.
local function payload_of(actor, text)
    local kind = actor.dice(3)
    if kind == 1 then
        return text
    end
    local span = byte_span.new(#text)
    span:copy(text)
    if kind == 2 then
        return span
    end
    local at = actor.dice(#text + 1) - 1
    return {span:slice(1, at), "", text:sub(at + 1)}
end

-- The port takes it in when the system call is made: at once, when the call begins.
local function enqueue(world, datagram)
    local port = world.ports[datagram.number]
    datagram.state = "sending"
    if not port or port.is_odd or port.peer and port.peer ~= datagram.from.number then
        return
    end
    datagram.port = port
    if datagram.text == "" then
        port.n_empty = port.n_empty + 1
    else
        port.n_queued = port.n_queued + 1
    end
end

-- It was not sent after all.
local function take_back(actor, datagram)
    local port = datagram.port
    datagram.state = "failed"
    actor:check(not datagram.receiver, "%s has got what was not sent", datagram.receiver)
    if not port then
        return
    elseif datagram.text == "" then
        port.n_empty = port.n_empty - 1
        actor:check(port.n_empty >= 0, "an empty datagram was received that was not sent")
    else
        port.n_queued = port.n_queued - 1
    end
end

local function has_room(world, number)
    local port = world.ports[number]
    return not port or port.n_unclear == 0 and count_waiting(port) < room
end

-- What a call of a socket may raise besides.
local function common_errors(slot)
    local port, n_cancels = slot.port, slot.n_cancels
    return function(err)
        if err == EBADF then
            return not port
        elseif err == ECANCELED then
            return slot.n_cancels ~= n_cancels
        end
        return err == ECONNREFUSED and port and port.is_connected
    end
end

local function finish_send(actor, slot, datagram, call, f, ...)
    slot.n_users = slot.n_users + 1
    local ok, n = actor:try(call, f, ...)
    slot.n_users = slot.n_users - 1
    if ok then
        actor:check(datagram.number and datagram.from.number, "sent from nowhere, or to nobody")
        actor:check(n == #datagram.text, "%s bytes sent of %d", n, #datagram.text)
        datagram.state = "sent"
    else
        take_back(actor, datagram)
        actor:react(n)
    end
end

function sockets.send_to(actor)
    local world, slot, number = actor.world, pick_slot(actor), random_peer(actor)
    if not has_room(world, number) then
        return
    end
    local datagram = new_datagram(actor, number, slot.port or {})
    local payload = payload_of(actor, datagram.text)
    local call = {name = name_of("send_to " .. number, slot), allows = common_errors(slot),
        timeout = slot.timeout}
    finish_send(actor, slot, datagram, call, function()
        if slot.port then
            enqueue(world, datagram)
        end
        return slot.socket:send_to(payload, home, number)
    end)
end

function sockets.send(actor)
    local world, slot = actor.world, pick_slot(actor)
    local port = slot.port
    if not port or port.n_unclear > 0 or port.peer and not has_room(world, port.peer) then
        return
    end
    local datagram = new_datagram(actor, port.peer, port)
    local payload = payload_of(actor, datagram.text)
    local common = common_errors(slot)
    local call = {name = name_of("send", slot), timeout = slot.timeout, allows = function(err)
        return err == EDESTADDRREQ and not datagram.number or common(err)
    end}
    finish_send(actor, slot, datagram, call, function()
        if datagram.number then
            enqueue(world, datagram)
        end
        return slot.socket:send(payload)
    end)
end

-- ---- receive ----

-- The datagram that has come to `port` and begins with `text`. One that was only looked at may have
-- been received by another before the call returned.
local function find(actor, port, text, is_taken)
    local datagram = actor.world.datagrams[text:sub(1, header_size)] or {}
    if datagram.port ~= port or is_taken and datagram.receiver or
        datagram.state ~= "sending" and datagram.state ~= "sent" then
        actor:fail("received at port %d: %q, which was sent from %s to %s, is %s, and is with %s",
            port.number, text, datagram.from and datagram.from.number, datagram.number,
            datagram.state, datagram.receiver)
    end
    return datagram
end

-- A datagram of `length` bytes, whose start is `text`, was taken off the port's queue, or only
-- looked at.
local function account(actor, port, text, length, is_taken)
    if length > 0 and #text >= header_size then
        local datagram = find(actor, port, text, is_taken)
        actor:check(datagram.text:sub(1, #text) == text and #datagram.text == length,
            "a datagram's bytes are others: %q", text)
        if is_taken then
            datagram.receiver = actor
            port.n_queued = port.n_queued - 1
        end
        return datagram
    elseif is_taken and length == 0 then
        actor:check(port.n_empty > 0, "an empty datagram nobody has sent")
        port.n_empty = port.n_empty - 1
    elseif is_taken then -- which one it was cannot be told
        actor:check(port.n_queued > port.n_cut, "a datagram too many")
        port.n_cut = port.n_cut + 1
    end
end

local function check_sender(actor, datagram, addr, number)
    if datagram and datagram.from.number and addr then
        local plain = addr.is_v6 and addr:to_v4() or addr
        actor:check(rawequal(plain, home) and number == datagram.from.number,
            "a datagram of port %d comes from %s", datagram.from.number, ip.tostring(addr, number))
    end
end

local function new_receive_call(slot, name, size)
    local port, common, n_cancels = slot.port, common_errors(slot), slot.n_cancels
    local call = {name = name_of(("%s(%d)"):format(name, size), slot), timeout = slot.timeout}
    function call.is_stuck()
        if not port or slot.is_ended or slot.n_cancels ~= n_cancels then
            return "the socket was closed, cancelled or shut down"
        end
        return not port.is_odd and count_waiting(port) > 0 and "there are datagrams"
    end
    function call.allows(err)
        if err == EMSGSIZE then
            return size < 2000
        end
        return common(err) or port and port.is_odd and tostring(err):find("End of file", 1, true)
    end
    return call
end

local function note_received(actor, port, buf, flags, n, addr, number)
    local is_taken = flags & flag.peek == 0
    local text = tostring(buf:slice(1, n))
    actor:check(port, "a closed socket has received: %q", text)
    if n == #buf and flags ~= 0 then -- there may be more of it than the buffer took
        if n >= header_size then
            account(actor, port, text, #find(actor, port, text, is_taken).text, is_taken)
        else
            account(actor, port, text, 1, is_taken and n > 0)
        end
        return
    end
    check_sender(actor, account(actor, port, text, n, is_taken), addr, number)
end

local sizes = {0, 8, header_size, 100, 2000, 2000, 2000, 2000}

local function receive(actor, slot)
    local name = actor:pick {"receive", "receive_from"}
    local flags = actor:pick {0, 0, 0, flag.peek, flag.truncate}
    local buf = byte_span.new(actor:pick(sizes))
    if #buf == 0 and flags == flag.truncate then
        flags = 0 -- whether it was an empty datagram could not be told
    end
    local port = slot.port
    local call = new_receive_call(slot, name, #buf)
    slot.n_users = slot.n_users + 1
    local ok, n, addr, number = actor:try(call, slot.socket[name], slot.socket, buf, flags)
    slot.n_users = slot.n_users - 1
    if ok then
        note_received(actor, port, buf, flags, n, addr, number)
    elseif n == EMSGSIZE and not call.must then
        actor:check(n.length > #buf and flags == 0, "EMSGSIZE for %s bytes", n.length)
        check_sender(actor, account(actor, port, tostring(buf), n.length, true), n.address, n.port)
    end
    return ok, n
end

function sockets.receive(actor)
    local ok, err = sync.maybe_limited(actor, receive, actor, pick_slot(actor))
    if not ok then
        actor:react(err)
    end
end

-- ---- properties ----

function sockets.set_timeout(actor)
    local slot = pick_slot(actor)
    slot.timeout = actor:pick {0, 0.00002, 0.0005, 60, 60, false} or nil
    slot.socket.timeout = slot.timeout
    actor:check(slot.socket.timeout == slot.timeout, "another timeout")
end

local options = {"broadcast", "receive_buffer_size", "unicast_hops", "type_of_service", "error"}

local function check_properties(actor, slot)
    local sock, port = slot.socket, slot.port
    actor:check(sock.is_open == (port ~= nil), "is_open is %s", sock.is_open)
    if not port then
        return
    end
    actor:check(sock.local_port == port.number, "port %d is %d", port.number, sock.local_port)
    actor:check(tostring(sock):find(port.number, 1, true), "tostring")
    sock:get_option(actor:pick(options))
    sock:set_option("type_of_service", 4 * actor.dice(10))
    actor:check(sock:io_control("bytes_readable") >= 0, "bytes_readable")
    if port.n_unclear == 0 then
        actor:check((sock.remote_port or 0) == (port.peer or 0), "another peer")
    end
end

-- remote_port raises without a peer.
function sockets.look(actor)
    local slot = pick_slot(actor)
    local ok, err = stress.Actor.pcall(check_properties, actor, slot)
    if ok then
        return
    elseif err == ENOTCONN and slot.port and not slot.port.peer then
        return
    end
    actor:check(rawequal(err, actor.world.failed), "a property: %s", tostring(err))
    error(err, 0)
end

-- ---- the whole ----

function sockets.stir(world)
    for _, slot in ipairs(world.sockets) do
        if slot.port then
            slot.n_cancels = slot.n_cancels + 1
            slot.socket:cancel()
        end
    end
end

-- Receive what is left at a port, which by now has no other reader.
local function drain(world, actor, socket, port)
    local buf = byte_span.new(2000)
    local deadline = now() + 5
    local flags = 0
    socket.timeout = 0
    repeat
        local ok, n, addr, number = pcall(socket.receive_from, socket, buf, flags)
        if ok then
            note_received(actor, port, buf, flags, n, addr, number)
        elseif n ~= ECONNREFUSED and count_waiting(port) > 0 then
            thrum.time.sleep(0.001)
        end
        local is_done = not ok and n ~= ECONNREFUSED and count_waiting(port) <= 0
    until is_done or world.failure or now() > deadline
    world:check(count_waiting(port) <= 0, "%d datagrams of port %d were lost", count_waiting(port),
        port.number)
end

function sockets.finish(world)
    local actor = stress.Actor.new(world, world.seed, 0)
    local drained = {}
    for _, slot in ipairs(world.sockets) do
        if slot.port and not slot.port.is_odd and not drained[slot.port] then
            drained[slot.port] = true
            drain(world, actor, slot.socket, slot.port)
        end
        slot.socket:close()
    end
    for _, descriptor in ipairs(world.descriptors) do
        if not drained[descriptor.port] and not world.failure then
            drained[descriptor.port] = true
            local socket = ip.udp.socket.new()
            socket:assign(descriptor.port.is_v6 and "v6" or "v4", descriptor.fd)
            drain(world, actor, socket, descriptor.port)
            socket:close()
        else
            descriptor.fd:close()
        end
    end
    world.actors[actor.id] = nil
end

sockets.steps = {
    {2, sockets.open}, {1, sockets.close}, {2, sockets.cancel}, {1, sockets.release},
    {2, sockets.assign}, {1, sockets.duplicate}, {1, sockets.drop}, {1, sockets.shut_down},
    {3, sockets.connect}, {1, sockets.disconnect}, {12, sockets.send_to}, {4, sockets.send},
    {12, sockets.receive}, {2, sockets.set_timeout}, {2, sockets.look},
}

return sockets
