-- SPDX-License-Identifier: BSL-1.0
-- dgram's connect and disconnect, and the two ends of a socket.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, address = internal.part "dgram_base", internal.part "dgram_address"
local args, bind = internal.part "dgram_args", internal.part "dgram_bind"
local adapt, fail, PREFIX, Socket = base.adapt, base.fail, base.PREFIX, base.Socket
local tostring = tostring

local connect = {}

local function give_up(s, err)
    local callback = s.connect_callback
    s.is_connecting, s.connect_callback = false, nil
    if callback then
        s.self:removeListener("connect", callback)
    end
    fail(s, err, callback)
end

-- The socket is being closed: what was to be reported of its connecting is reported now.
function connect.give_up_pending(s)
    if s.is_connecting or s.connect_callback then
        local err = internal.error("ECANCELED", PREFIX .. "connect", "the socket has been closed")
        give_up(s, adapt(err, "connect", "connect"))
    end
end

local function report_connected(s)
    if s.life == "open" then
        s.connect_callback = nil
        s.self:emit("connect")
    end
end

local function connect_to(s, addr, port, host)
    local err = address.check_allowed(s, "connect", addr)
    local is_done = not err
    if is_done then
        is_done, err = internal.set_peer(s.handle, addr, port)
    end
    if not is_done then
        return give_up(s, adapt(err, "connect", "connect", host, port))
    end
    s.is_connecting, s.is_connected = false, true
    base.note_state(s)
    base.call_later(report_connected, s)
end

local function connect_to_name(s, host, port)
    address.look_up(s, "connect", host, port, function(err, addr)
        if s.life ~= "open" then
            return
        elseif err then
            give_up(s, err)
        else
            connect_to(s, addr, port, host)
        end
    end)
end

-- Go on when the socket has been bound, or could not be.
local function wait_for_bind(s, go_on, host, port)
    s.when_bound = function(err)
        if s.life ~= "open" then
            return
        elseif not err then
            return go_on()
        end
        err = internal.error("EADDRNOTAVAIL", PREFIX .. "connect",
            "the socket could not be bound: " .. tostring(err))
        give_up(s, adapt(err, "connect", "connect", host, port))
    end
end

function Socket:connect(a, b, c)
    local s = args.running(self, "connect")
    if s.is_connected or s.is_connecting then
        internal.raise("EISCONN", PREFIX .. "connect", "Already connected")
    end
    local port, host, callback = args.check_target(s, "connect", 2, a, b, c)
    local addr, err = address.loopback[s.family], nil
    if host then
        addr, err = address.parse(s, "connect", host)
    end
    err = err or bind.implicitly(s, "connect")
    if err then
        fail(s, adapt(err, "connect", "connect", host, port), callback)
        return self
    end
    if callback then
        self:once("connect", callback)
    end
    s.is_connecting, s.connect_callback = true, callback
    local function go_on()
        if addr then
            connect_to(s, addr, port, host or tostring(addr))
        else
            connect_to_name(s, host, port)
        end
    end
    if s.bound == true then
        go_on()
    else
        wait_for_bind(s, go_on, host, port)
    end
    return self
end

-- Linux gives a port back that it has chosen itself: take it again.
function Socket:disconnect()
    local s = args.running(self, "disconnect")
    if not s.is_connected then
        internal.raise("ENOTCONN", PREFIX .. "disconnect", "Not connected")
    end
    local handle = s.handle
    local port = handle.local_port
    base.call("disconnect", "connect", handle.disconnect, handle)
    s.is_connected = false
    base.note_state(s)
    if handle.local_port == 0 then
        base.call("disconnect", "bind", handle.bind, handle, handle.local_address, port)
    end
end

function Socket:address()
    local s = args.running(self, "address")
    if s.bound ~= true then
        internal.raise("EBADF", PREFIX .. "address", "the socket is not bound")
    end
    return address.describe(s.handle.local_address, s.handle.local_port)
end

function Socket:remoteAddress()
    local s = args.running(self, "remoteAddress")
    if not s.is_connected then
        internal.raise("ENOTCONN", PREFIX .. "remoteAddress", "Not connected")
    end
    return address.describe(s.handle.remote_address, s.handle.remote_port)
end

return connect
