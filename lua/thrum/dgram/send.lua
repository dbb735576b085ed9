-- SPDX-License-Identifier: BSL-1.0
-- dgram's send. It is tried at once; dgram/queue.lua has what becomes of it if that cannot be.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = internal.part "dgram_base", internal.part "dgram_address"
local args, queue = internal.part "dgram_args", internal.part "dgram_queue"
local bind, timeout = internal.part "dgram_bind", internal.part "dgram_timeout"
local Socket, states, deferred = base.Socket, base.states, queue.deferred
local internal_defer, internal_send = internal.defer, internal.send
local send_deferred = queue.send_deferred
local tostring, type = tostring, type

-- Act on the result of an attempt: sent, to be queued (false), or failed (nil).
local function complete(s, item, addr, is_sent, err)
    if is_sent == false then
        item.addr = addr
        return queue.enqueue(s, item)
    end
    queue.finish_send(s, item, err)
    return true
end

local function send_item(s, item, op)
    local addr, err = nil, bind.implicitly(s, op)
    if s.timeout then
        timeout.refresh(s)
    end
    if not err and not s.is_connected then
        addr = address.loopback[s.family]
        if item.host then
            addr, err = address.parse(s, op, item.host)
        end
        if not addr and not err then
            return queue.enqueue_name(s, item)
        end
        item.host = item.host or tostring(addr)
        err = err or address.check_allowed(s, op, addr)
    end
    if err then
        return complete(s, item, nil, nil, err)
    elseif s.bound ~= true or s.queue_count > 0 then
        return complete(s, item, addr, false)
    end
    return complete(s, item, addr, internal_send(s.handle, item.data, addr, item.port))
end

-- (msg[, offset, length][, port[, address]][, callback]). luvit's (data, port, host, callback) is
-- the same without offset and length, recognized by their being two numbers.
local function send(self, op, message, a, b, c, d, e)
    local s = args.running(self, op)
    local data, arg = args.check_message(message, op), 3
    if type(a) == "number" and type(b) == "number" then
        data = args.cut(message, data, a, b, op)
        a, b, c, arg = c, d, e, 5
    end
    local port, host, callback = args.check_target(s, op, arg, a, b, c)
    return send_item(s, {data = data, port = port, host = host, callback = callback}, op)
end

-- The plain case without a detour: a string and a port, which the internal functions check, and a
-- numeric address that is known.
function Socket:send(message, a, b, c, d, e)
    local s = states[self]
    if s and s.is_plain and c == nil and d == nil then
        local addr = s.known[b]
        if addr then
            local deferring = deferred.by
            if deferring == s then
                local has_room = internal_defer(s.handle, s.receiver, s.strings, message, addr, a)
                if has_room then
                    return true
                end
                send_deferred()
                if has_room == false then
                    return true
                end
            elseif deferring then
                send_deferred()
            end
            local is_sent, err = internal_send(s.handle, message, addr, a)
            if is_sent then
                return true
            elseif err or is_sent == false then
                return complete(s, {data = message, port = a, host = b}, addr, is_sent, err)
            end
        end
    end
    return send(self, "send", message, a, b, c, d, e)
end

function Socket:sendto(message, offset, length, a, b, c)
    if type(offset) ~= "number" or type(length) ~= "number" then
        args.running(self, "sendto")
        internal.raise("EINVAL", base.PREFIX .. "sendto",
            "send takes offset and length as args 2 and 3")
    end
    return send(self, "sendto", message, offset, length, a, b, c)
end

function Socket:getSendQueueSize()
    return args.state_of(self, "getSendQueueSize").queue_size
end

function Socket:getSendQueueCount()
    return args.state_of(self, "getSendQueueCount").queue_count
end
