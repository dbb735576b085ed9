-- SPDX-License-Identifier: BSL-1.0
-- dgram's sends that do not leave at once.
--
-- The queue has what the system does not take yet, and what waits for a name or for the socket to
-- be bound. It is bounded; one fiber sends what is in it, in order. An item: data, addr (nil on a
-- connected socket), port, callback, and the host as it was given.
--
-- Deferred are the sends of a socket whose listeners are being called for several datagrams in a
-- row, to leave with one system call: when all listeners have run or one of them suspends, when
-- they take more than some ten milliseconds, and before any other call on a dgram socket. A send
-- with a callback is never deferred.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = internal.part "dgram_base", internal.part "dgram_address"
local adapt, call_later, emit_later, fail = base.adapt, base.call_later, base.emit_later, base.fail
local note_state, PREFIX = base.note_state, base.PREFIX
local error, pcall, tostring = error, thrum.pcall, tostring

local queue = {}

-- The end of a datagram that was not counted in, or is no more.
local function finish_send(s, item, err)
    local size = #item.data
    if err then
        fail(s, adapt(err, "send", "send", item.host, item.port), item.callback, size)
    elseif item.callback then
        call_later(item.callback, nil, size)
    end
end
queue.finish_send = finish_send

-- ---- counting ----

-- Whether a datagram of that size may be counted in. An empty queue takes one of any size.
local function has_room(s, size)
    return s.queue_count == 0
        or s.queue_count < s.max_count and s.queue_size + size <= s.max_size
end

local function refuse(s, item)
    s.wants_drain = true
    finish_send(s, item, internal.error("ENOBUFS", PREFIX .. "send", "the send queue is full: "
        .. s.queue_count .. " datagrams, " .. s.queue_size .. " bytes"))
    return false
end

-- Count a datagram in. The result is what send is to return: false asks to wait for "drain".
local function count_in(s, item)
    s.queue_count = s.queue_count + 1
    s.queue_size = s.queue_size + #item.data
    note_state(s)
    s.wants_drain = s.wants_drain or s.queue_count >= s.max_count or s.queue_size >= s.max_size
    return not s.wants_drain
end

local function count_out(s, item)
    s.queue_count = s.queue_count - 1
    s.queue_size = s.queue_size - #item.data
    if s.queue_count > 0 then
        return
    end
    note_state(s)
    if s.when_empty then
        s.when_empty(s)
    elseif s.wants_drain then -- some were refused, or their sender was asked to wait
        s.wants_drain = false
        emit_later(s, "drain")
    end
end

-- The end of a datagram that was counted in. It leaves the count even if there is no memory to
-- report it.
local function finish_counted(s, item, err)
    local is_delivered, problem = internal.pcall(finish_send, s, item, err)
    count_out(s, item)
    if not is_delivered then
        error(problem, 0)
    end
end

-- ---- the fiber that sends ----

local function take_first(s)
    local item = s.queue[s.first]
    if item then
        s.queue[s.first] = nil
        s.first = s.first + 1
    end
    return item
end

local function send_waiting(s, item)
    local handle = s.handle
    if item.addr then
        return pcall(handle.send_to, handle, item.data, item.addr, item.port)
    end
    return pcall(handle.send, handle, item.data)
end

local function run(start, s)
    local item = start.is_made and take_first(s)
    while item do
        local is_sent, err = send_waiting(s, item)
        finish_counted(s, item, not is_sent and err or nil)
        item = take_first(s)
    end
end

-- To be called when the socket has been bound, and when there is something in the queue, or will
-- be before anybody else runs.
function queue.start_sending(s)
    if s.is_sending then
        return
    end
    base.run_watched(function()
        s.is_sending = false
        if s.queue[s.first] then -- there was no memory to report one
            queue.start_sending(s)
        end
    end, thrum.fiber.named("dgram sender", run), s):detach()
    s.is_sending = true
end

-- ---- putting in ----

-- Nothing has changed when there is no memory for it.
local function put(s, item)
    if s.bound == true then
        queue.start_sending(s)
    end
    s.queue[s.last + 1] = item
    s.last = s.last + 1
end

function queue.enqueue(s, item)
    if not has_room(s, #item.data) then
        return refuse(s, item)
    end
    put(s, item)
    return count_in(s, item)
end

local function fail_unbound(s, item)
    finish_counted(s, item, internal.error("EADDRNOTAVAIL", PREFIX .. "send",
        "the socket could not be bound: " .. tostring(s.bind_error)))
end

local function put_found(s, item, err, addr)
    err = err or address.check_allowed(s, "send", addr)
    if err then
        return finish_counted(s, item, err)
    elseif s.bound == false then -- it was about to be, when the name began to be looked up
        return fail_unbound(s, item)
    end
    item.addr = addr
    put(s, item)
end

-- Names are looked up side by side, but what is sent to one name leaves in the order of the calls:
-- an item whose address is known waits for those `before` it.
local function put_in_order(s, item)
    local problem
    while item and item.is_found and not item.before do
        local after = item.after
        if after then
            after.before = nil
        else
            s.last_named[item.host] = nil
        end
        local is_put, err = internal.pcall(put_found, s, item, item.failure, item.found)
        problem = problem or not is_put and err
        item = after
    end
    if problem then
        error(problem, 0)
    end
end

-- The same for one whose host is a name: it counts from now on.
function queue.enqueue_name(s, item)
    if not has_room(s, #item.data) then
        return refuse(s, item)
    end
    local host, before = item.host, s.last_named[item.host]
    item.before, item.after, item.is_found, item.failure, item.found = before, nil, false, nil, nil
    s.last_named[host] = item
    local is_begun, problem = internal.pcall(address.look_up, s, "send", host, item.port,
        function(err, addr)
            item.failure, item.found, item.is_found = err, addr, true
            put_in_order(s, item)
        end)
    if not is_begun then
        s.last_named[host] = before
        error(problem, 0)
    end
    if before then
        before.after = item
    end
    return count_in(s, item)
end

-- The socket has been bound, or could not be.
function queue.note_bound(s, err)
    if not err then
        if s.queue[s.first] then
            queue.start_sending(s)
        end
        return
    end
    s.bind_error = err
    local item = take_first(s)
    while item do
        fail_unbound(s, item)
        item = take_first(s)
    end
end

-- ---- deferred sends ----

-- Whose sends are deferred: `by` is the state of that socket, or nil.
local deferred = {}
queue.deferred = deferred

local function enqueue_deferred(s)
    local data, addr, port = internal.take_deferred(s.handle, s.receiver, s.strings)
    while data do
        queue.enqueue(s, {data = data, addr = addr, port = port, host = address.show(addr).text})
        data, addr, port = internal.take_deferred(s.handle, s.receiver, s.strings)
    end
end

-- Send what was deferred. If something has to wait, it goes into the queue with what comes after.
function queue.send_deferred()
    local s = deferred.by
    if not s then
        return
    end
    local result, err
    repeat
        result, err = internal.send_deferred(s.handle, s.receiver)
        if err then
            fail(s, adapt(err, "send", "send"))
        elseif result == "wait" then
            enqueue_deferred(s)
        end
    until result == "done"
    deferred.by = nil
    internal.on_suspend(false)
end

function queue.defer(s)
    queue.send_deferred()
    deferred.by = s
    internal.on_suspend(true)
end

internal.set_send_deferred(queue.send_deferred)

return queue
