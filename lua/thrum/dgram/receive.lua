-- SPDX-License-Identifier: BSL-1.0
-- dgram's receiving: a fiber for each socket that is bound, which calls the listeners of "message",
-- so these run one datagram at a time. If one of them raises, that fiber ends, its error is
-- reported like any fiber's, and another one takes its place.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = internal.part "dgram_base", internal.part "dgram_address"
local queue, refresh = internal.part "dgram_queue", internal.part "dgram_timeout".refresh
local is_blocked = internal.part "dgram_block_list".has
local deferred, shown, show = queue.deferred, address.shown, address.show
local ip, internal_receive = thrum.ip, internal.receive
local LISTENERS = internal.part "emitter_listeners"
local is_overdue = internal.is_overdue
local rawget, may_defer = rawget, internal.may_defer
local class_emit = base.Socket.emit

local receive = {}

-- The third argument of a message's listeners: datagrams are always whole here.
local no_flags = setmetatable({}, {
    __newindex = function() internal.raise("EPERM", "dgram", "these flags are everybody's") end,
    __metatable = false,
})

-- Have the listeners called for each datagram of the batch: data, address and port in a row. What
-- is left when receiving is stopped, or when a listener raises, is the first when it goes on. The
-- usual case, one listener, is called here and not by way of emit.
local function deliver(s, self, batch)
    local emit, lists, block_list = self.emit, nil, s.receive_block_list
    if may_defer and s.last_place - s.next_place > 2 and s.is_plain then -- more than one datagram
        queue.defer(s)
    end
    if emit == class_emit then
        lists = rawget(self, LISTENERS)
    end
    while s.next_place <= s.last_place and s.is_receiving do
        local i = s.next_place
        local data, addr = batch[i], batch[i + 1]
        if block_list and is_blocked(block_list, addr) then
            s.next_place = i + 3
            batch[i] = false
        else
            local entry = shown[addr] or show(addr)
            local text = entry.text
            local rinfo = {
                address = text, ip = text, port = batch[i + 2], family = entry.family, size = #data,
            }
            s.next_place = i + 3
            batch[i] = false
            if s.timeout then
                refresh(s)
            end
            local list = lists and lists.message
            local only = list and list.only
            if only then
                only(data, rinfo, no_flags)
            else
                emit(self, "message", data, rinfo, no_flags)
            end
            if i % 12 == 1 and deferred.by == s and is_overdue(s.receiver) then -- every fourth time
                queue.send_deferred()
            end
        end
    end
    if deferred.by == s then
        queue.send_deferred()
    end
end

local function report_failure(s, err)
    local name = internal.error_name(err)
    if not s.is_receiving or name == "ECANCELED" then
        return
    elseif name == "EBADF" or name == "eof" then
        s.is_receiving = false
    end
    base.emit_later(s, "error", base.adapt(err, "receive", "recvmsg"))
    thrum.time.sleep(0) -- an error that stays must not keep everybody else from running
end

local function run(start, s)
    if not start.is_made then
        return
    end
    local self, handle, batch = s.self, s.handle, s.batch
    deliver(s, self, batch)
    while s.is_receiving do
        local count, err = internal_receive(handle, s.receiver, batch, s.is_counted)
        if count then
            s.next_place, s.last_place = 1, 3 * count
            deliver(s, self, batch)
        else
            report_failure(s, err)
        end
    end
end

-- To be called when is_receiving has become true of a socket that is bound. When a listener raises,
-- or there is no memory to go on, the fiber ends and another takes its place.
function receive.start(s)
    if s.has_receiver or not s.is_receiving then
        return
    end
    local handle = s.handle
    local name = "dgram " .. s.type .. " " .. ip.tostring(handle.local_address, handle.local_port)
    s.receiver = s.receiver or internal.receiver()
    base.run_watched(function()
        if deferred.by == s then
            queue.send_deferred()
        end
        s.has_receiver = false
        base.note_state(s)
        receive.start(s)
    end, thrum.fiber.named(name, run), s):detach()
    s.has_receiver = true
    base.note_state(s)
end

function receive.stop(s)
    s.is_receiving = false
    internal.cancel_receive(s.handle, s.receiver)
end

return receive
