-- SPDX-License-Identifier: BSL-1.0
-- dgram's bind: s.bound is false, "pending" while a name is looked up, or true. A socket that is
-- bound receives.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = internal.part "dgram_base", internal.part "dgram_address"
local args, queue, receive = internal.part "dgram_args", internal.part "dgram_queue",
    internal.part "dgram_receive"
local adapt, emit_later, Socket = base.adapt, base.emit_later, base.Socket
local error, ipairs, tostring = error, ipairs, tostring

local bind = {}

-- What waits for the socket to be bound, as connect does, is in s.when_bound.
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

-- What waited for it fails, too; the caller reports the error itself.
local function give_up(s, err)
    if s.bind_listener then
        s.self:removeListener("listening", s.bind_listener)
    end
    s.bound, s.bind_listener = false, nil
    queue.note_bound(s, err)
    wake_waiting(s, err)
end

local function report_failure(s, err, host, port)
    give_up(s, err)
    emit_later(s, "error", adapt(err, "bind", "bind", host, port))
end

local function bind_to(s, addr, port, host)
    local is_done, err = internal.pcall(s.handle.bind, s.handle, addr, port)
    if is_done then
        succeed(s)
    else
        report_failure(s, err, host, port)
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

-- ---- options ----

-- luvit writes them so, the others with capitals. What they do not say is left as it is.
local bind_options = {
    {"reuse_address", "reuseaddr", "reuseAddr"},
    {"reuse_port", "reuseport", "reusePort"},
    {"v6_only", "ipv6only", "ipv6Only"},
}

local function check_boolean(options, name)
    return args.check_optional(options[name], "boolean", "bind", 4, name)
end

local function refuse(name, why)
    internal.raise("EINVAL", base.PREFIX .. "bind", "option ", name, ": ", why)
end

-- What is asked for of the system: pairs of an option of the ip.udp.socket and its value.
local function check_options(s, options)
    local wanted = {}
    for _, row in ipairs(bind_options) do
        for i = 2, 3 do
            local value = check_boolean(options, row[i])
            if row[1] == "v6_only" and s.family == "v4" then
                if value then
                    refuse(row[i], "this is a udp4 socket")
                end
            elseif value ~= nil then
                wanted[#wanted + 1] = {row[1], value}
            end
        end
    end
    if check_boolean(options, "exclusive") == false then
        refuse("exclusive", "there is no cluster to share a socket with; see reusePort")
    elseif check_boolean(options, "linux_recverr") then
        refuse("linux_recverr", "not supported; a connected socket gets ICMP errors")
    end
    return wanted
end

-- ---- a descriptor in place of the socket ----

local function check_adoption(s, port, host)
    if port ~= 0 or host then
        refuse("fd", "it is bound already: neither port nor address can be chosen")
    elseif s.is_changed then
        refuse("fd", "what was set on this socket before would be lost: set it after bind")
    end
end

local function adopt(s, fd, wanted)
    local handle = thrum.ip.udp.socket.new()
    local is_done, err = internal.pcall(handle.assign, handle, s.family, fd)
    if is_done then
        is_done, err = internal.pcall(base.apply, handle, s.settings)
    end
    if is_done then
        is_done, err = internal.pcall(base.apply, handle, wanted)
    end
    if not is_done then
        handle:close()
        give_up(s, err)
        error(adapt(err, "bind", "bind"), 0)
    end
    s.handle:close()
    s.handle = handle
    succeed(s)
end

-- ---- bind ----

-- Bind for a call that needs it: the error if that fails.
function bind.implicitly(s, op)
    if s.bound then
        if s.bound == true then
            receive.start(s) -- if there was no memory for that before
        end
        return nil
    end
    local is_done, err = internal.pcall(s.handle.bind, s.handle, address.any[s.family], 0)
    if not is_done then
        return adapt(err, op, "bind")
    end
    succeed(s)
    return nil
end

function Socket:bind(a, b, c, d)
    local s = args.running(self, "bind")
    local port, host, options, listener = args.check_bind(a, b, c, d)
    if s.bound then
        internal.raise("EINVAL", base.PREFIX .. "bind", "Socket is already bound")
    end
    local addr, err = address.any[s.family], nil
    if host then
        addr, err = address.parse(s, "bind", host)
    end
    local wanted = check_options(s, options)
    if options.fd ~= nil then
        check_adoption(s, port, host)
    else
        base.call("bind", "setsockopt", base.apply, s.handle, wanted)
    end
    if listener then
        self:once("listening", listener)
        s.bind_listener = listener
    end
    if options.fd ~= nil then
        adopt(s, options.fd, wanted)
    elseif err then
        report_failure(s, err, host, port)
    elseif addr then
        bind_to(s, addr, port, host or tostring(addr))
    else
        bind_to_name(s, host, port)
    end
    return self
end

return bind
