-- SPDX-License-Identifier: BSL-1.0
-- dgram's bind: s.bound is false, "pending" while a name is looked up, or true. A socket that is
-- bound receives.
local thrum, native = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = native.part "dgram_base", native.part "dgram_address"
local args, queue, receive = native.part "dgram_args", native.part "dgram_queue",
    native.part "dgram_receive"
local adapt, emit_later, Socket = base.adapt, base.emit_later, base.Socket
local error, ipairs, tostring = error, ipairs, tostring

local bind = {}

-- Whoever waits for the socket to be bound, as connect does, is in s.when_bound.
local function wake_waiting(s, err)
    local waiting = s.when_bound
    if waiting then
        s.when_bound = nil
        waiting(err)
    end
end

local function succeed(s)
    s.bound, s.bind_listener = true, nil
    if s.life == "open" then
        s.is_receiving = true
        emit_later(s, "listening")
        receive.start(s)
    end
    queue.note_bound(s)
    wake_waiting(s)
end

-- What waited for it fails, too; the caller tells the error itself.
local function give_up(s, err)
    if s.bind_listener then
        s.self:removeListener("listening", s.bind_listener)
    end
    s.bound, s.bind_listener = false, nil
    queue.note_bound(s, err)
    wake_waiting(s, err)
end

local function tell_failure(s, err, host, port)
    give_up(s, err)
    emit_later(s, "error", adapt(err, "bind", "bind", host, port))
end

local function bind_to(s, addr, port, host)
    local is_done, err = native.pcall(s.handle.bind, s.handle, addr, port)
    if is_done then
        succeed(s)
    else
        tell_failure(s, err, host, port)
    end
end

local function bind_to_name(s, host, port)
    s.bound = "pending"
    address.look_up(s, "bind", host, port, function(err, addr)
        if s.life == "closed" then
            return
        elseif addr then
            return bind_to(s, addr, port, host)
        end
        give_up(s, err)
        emit_later(s, "error", err)
    end)
end

local function adopt(s, fd)
    local handle = thrum.ip.udp.socket.new()
    local is_done, err = native.pcall(handle.assign, handle, s.family, fd)
    if not is_done then
        give_up(s, err)
        error(adapt(err, "bind", "bind"), 0)
    end
    s.handle:close()
    s.handle = handle
    succeed(s)
end

-- Bind for a call that needs it: the error if that fails.
function bind.implicitly(s, op)
    if s.bound then
        if s.bound == true then
            receive.start(s) -- if there was no memory for that before
        end
        return nil
    end
    local is_done, err = native.pcall(s.handle.bind, s.handle, address.any[s.family], 0)
    if not is_done then
        return adapt(err, op, "bind")
    end
    succeed(s)
    return nil
end

-- luvit writes them so, the others with capitals. What they do not say is left as it is.
local bind_options = {
    {"reuse_address", "reuseaddr", "reuseAddr"},
    {"reuse_port", "reuseport", "reusePort"},
    {"v6_only", "ipv6only", "ipv6Only"},
}

local function apply_options(s, options)
    for _, row in ipairs(bind_options) do
        for i = 2, 3 do
            local name = row[i]
            local value = args.check_optional(options[name], "boolean", "bind", 4, name)
            if value ~= nil and (row[1] ~= "v6_only" or s.family == "v6") then
                base.set_option(s, "bind", row[1], value)
            end
        end
    end
end

function Socket:bind(a, b, c, d)
    local s = args.running(self, "bind")
    local port, host, options, listener = args.check_bind(a, b, c, d)
    if s.bound then
        native.raise("EINVAL", base.PREFIX .. "bind", "Socket is already bound")
    end
    local addr, err = address.any[s.family], nil
    if host then
        addr, err = address.parse(s, "bind", host)
    end
    apply_options(s, options)
    if listener then
        self:once("listening", listener)
        s.bind_listener = listener
    end
    if options.fd ~= nil then
        adopt(s, options.fd)
    elseif err then
        tell_failure(s, err, host, port)
    elseif addr then
        bind_to(s, addr, port, host or tostring(addr))
    else
        bind_to_name(s, host, port)
    end
    return self
end

return bind
