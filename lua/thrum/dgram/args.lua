-- SPDX-License-Identifier: BSL-1.0
-- What dgram's methods were called with: the socket, and arguments that come in several forms. A
-- function takes the method's name (op), and for one argument its number, self being the first.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, deferred = internal.part "dgram_base", internal.part "dgram_queue".deferred
local send_deferred = internal.part "dgram_queue".send_deferred
local PREFIX, states = base.PREFIX, base.states
local concat, math_type, tointeger = table.concat, math.type, math.tointeger
local pairs, tonumber, tostring, type = pairs, tonumber, tostring, type

local args = {NOT_RUNNING = "Not running: the socket has been closed"}

-- ---- the socket ----

local function state_of(self, op)
    local s = states[self]
    if not s then
        internal.raise_arg(PREFIX .. op, 1, "self", "dgram.Socket", self)
    end
    return s
end
args.state_of = state_of

-- The state of a socket that has not been closed. Deferred sends leave first.
function args.running(self, op)
    local s = state_of(self, op)
    if deferred.by then
        send_deferred()
    end
    if s.life ~= "open" then
        internal.raise("EBADF", PREFIX .. op, args.NOT_RUNNING)
    end
    return s
end

-- ---- plain values ----

function args.check_type(value, wanted, op, arg, name)
    if type(value) ~= wanted then
        internal.raise_arg(PREFIX .. op, arg, name, wanted, value)
    end
    return value
end

local function check_optional(value, wanted, op, arg, name)
    if value ~= nil and type(value) ~= wanted then
        internal.raise_arg(PREFIX .. op, arg, name, wanted .. " or nil", value)
    end
    return value
end
args.check_optional = check_optional

local function check_integer(value, low, high, op, arg, name)
    local integer = math_type(value) and tointeger(value)
    if not integer or integer < low or integer > high then
        internal.raise_arg(PREFIX .. op, arg, name, "integer from " .. low .. " to " .. high, value)
    end
    return integer
end
args.check_integer = check_integer

-- Nothing that a program asks for is passed over: a name that is not known is an error.
function args.check_names(options, known, op)
    for name in pairs(options) do
        if not known[name] then
            internal.raise("EINVAL", op, "unknown option: ", tostring(name))
        end
    end
end

-- A port may come as the text of one, from a command line for instance.
local function check_port(value, low, op, arg)
    local port = value
    if type(port) == "string" and port:find("^%d+$") then
        port = tonumber(port)
    end
    port = math_type(port) and tointeger(port)
    if not port or port < low or port > 65535 then
        internal.raise_arg(PREFIX .. op, arg, "port", "integer from " .. low .. " to 65535", value)
    end
    return port
end

-- ---- bind ----

-- Both forms of options have the same names, but for the port and the address.
local bind_options = {
    reuseaddr = true, reuseAddr = true, reuseport = true, reusePort = true, ipv6only = true,
    ipv6Only = true, exclusive = true, linux_recverr = true, fd = true,
}
local bind_options_with_port = {port = true, address = true}
for name in pairs(bind_options) do
    bind_options_with_port[name] = true
end

-- luvit: (port, host, options); IoT.js and Node: ([port][, address][, listener]) or
-- (options[, listener]). Both at once: (port, host, options, listener).
local function sort_bind(a, b, c, d)
    if type(a) == "function" then
        return nil, nil, {}, a, 2
    elseif type(a) == "table" then
        args.check_names(a, bind_options_with_port, PREFIX .. "bind")
        return a.port, a.address, a, b, 3
    elseif type(b) == "function" then
        return a, nil, {}, b, 3
    elseif type(c) == "table" then
        args.check_names(c, bind_options, PREFIX .. "bind")
        return a, b, c, d, 5
    end
    return a, b, {}, c, 4
end

-- The port, the host or nil, a table of options, the listener or nil.
function args.check_bind(a, b, c, d)
    local port, host, options, listener, listener_arg = sort_bind(a, b, c, d)
    port = port == nil and 0 or check_port(port, 0, "bind", 2)
    check_optional(host, "string", "bind", type(a) == "table" and 2 or 3, "address")
    check_optional(listener, "function", "bind", listener_arg, "listener")
    return port, host ~= "" and host or nil, options, listener
end

-- ---- send and connect ----

local function to_bytes(value)
    if type(value) == "string" then
        return value
    end
    return type(value) == "userdata" and internal.bytes(value) or nil
end

-- The bytes of a message: a string, a byte_span, or a list of them.
function args.check_message(message, op)
    local data = to_bytes(message)
    if data then
        return data
    elseif type(message) ~= "table" then
        internal.raise_arg(PREFIX .. op, 2, "msg", "string, byte_span or list of them", message)
    end
    local pieces = {}
    for i = 1, #message do
        pieces[i] = to_bytes(message[i])
        if not pieces[i] then
            internal.raise("EINVAL", PREFIX .. op,
                "Buffer list arguments must be buffers or strings: item ", i, " is a ",
                type(message[i]))
        end
    end
    return concat(pieces)
end

-- The part of it that offset and length tell.
function args.cut(message, data, offset, length, op)
    if type(message) == "table" then
        internal.raise("EINVAL", PREFIX .. op, "a list has neither offset nor length")
    end
    offset = check_integer(offset, 0, #data, op, 3, "offset")
    length = check_integer(length, 0, #data - offset, op, 4, "length")
    return data:sub(offset + 1, offset + length)
end

-- What is left for a connected socket: a callback, maybe behind nil for port and address.
local function check_callback_alone(op, arg, a, b, c)
    local callback = a
    if a == nil then
        callback = b
        if b == nil then
            callback = c
        end
    end
    if callback ~= nil and type(callback) ~= "function" then
        internal.raise("EISCONN", PREFIX .. op,
            "a connected socket sends to its peer: no port and address after the data, argument ",
            arg)
    end
    return callback
end

-- ([port[, address]][, callback]), the first at argument `arg`. On a connected socket nobody else
-- can be sent to.
function args.check_target(s, op, arg, a, b, c)
    if s.is_connected then
        return nil, nil, check_callback_alone(op, arg, a, b, c)
    end
    local port, host, callback, callback_arg = a, b, c, arg + 2
    if type(host) == "function" and callback == nil then
        host, callback, callback_arg = nil, host, arg + 1
    end
    port = check_port(port, 1, op, arg)
    check_optional(host, "string", op, arg + 1, "address")
    check_optional(callback, "function", op, callback_arg, "callback")
    return port, host ~= "" and host or nil, callback
end

return args
