-- SPDX-License-Identifier: BSL-1.0
-- dgram: UDP sockets with events, as luvit's dgram, IoT.js's and Node's, over ip.udp.socket. Here
-- are the life of a socket and its options; dgram/base.lua tells where the rest is.
local thrum, internal = ...
if type(thrum) == "string" then -- found as a file: the one in the library is meant
    return require "thrum".dgram
end

local base, args = internal.part "dgram_base", internal.part "dgram_args"
local block_list = internal.part "dgram_block_list"
local bind, queue = internal.part "dgram_bind", internal.part "dgram_queue"
local receive, timeout = internal.part "dgram_receive", internal.part "dgram_timeout"
local known = internal.part "dgram_address".known
local connect = internal.part "dgram_connect"
internal.part "dgram_multicast"
internal.part "dgram_send"

local Socket, running, state_of = base.Socket, args.running, args.state_of
local tointeger, tostring, type = math.tointeger, tostring, type

local DEFAULT_QUEUE_SIZE = 1 << 20
local DEFAULT_QUEUE_COUNT = 1024

-- ---- createSocket ----

local families = {udp4 = "v4", udp6 = "v6"}
local option_names = {
    type = true, reuseAddr = true, reusePort = true, ipv6Only = true, recvBufferSize = true,
    sendBufferSize = true, lookup = true, signal = true, receiveBlockList = true,
    sendBlockList = true, sendQueueCount = true, sendQueueSize = true,
}

local function raise(...)
    internal.raise("EINVAL", "dgram.createSocket", ...)
end

local function check_options(options)
    if options == nil then
        return {type = "udp4"}
    elseif type(options) == "string" then
        return {type = options}
    elseif type(options) ~= "table" then
        internal.raise_arg("dgram.createSocket", 1, "options", "type or options", options)
    end
    args.check_names(options, option_names, "dgram.createSocket")
    return options
end

local function check_option(options, name, wanted)
    local value = options[name]
    if value ~= nil and type(value) ~= wanted then
        raise("option ", name, ": ", wanted, " expected, got ", type(value))
    end
    return value
end

local function check_limit(options, name, default)
    local value = check_option(options, name, "number") or default
    if value < 1 or value ~= value then
        raise("option ", name, ": 1 or more expected, got ", value)
    end
    return value
end

local function check_size(options, name)
    local size = check_option(options, name, "number")
    if size and (not tointeger(size) or size < 0) then
        raise("option ", name, ": integer, 0 or more, expected")
    end
    return size
end

local function check_signal(options)
    local signal = check_option(options, "signal", "table")
    if signal and type(signal.once) ~= "function" then
        raise("option signal: emitter expected")
    end
    return signal
end

local function check_block_list(options, name)
    local list = options[name]
    if list ~= nil and not block_list.is_list(list) then
        raise("option ", name, ": dgram.BlockList expected, got ", type(list))
    end
    return list
end

-- What is asked for of the system.
local function check_settings(options, family)
    local settings = {}
    local function add(option, value)
        if value ~= nil then
            settings[#settings + 1] = {option, value}
        end
    end
    add("reuse_address", check_option(options, "reuseAddr", "boolean"))
    add("reuse_port", check_option(options, "reusePort", "boolean"))
    add("receive_buffer_size", check_size(options, "recvBufferSize"))
    add("send_buffer_size", check_size(options, "sendBufferSize"))
    local is_v6_only = check_option(options, "ipv6Only", "boolean")
    if family == "v6" then
        add("v6_only", is_v6_only)
    elseif is_v6_only then
        raise("option ipv6Only: this is a udp4 socket")
    end
    return settings
end

local function obey_signal(s, signal)
    if signal.aborted then
        s.self:close()
        return
    end
    s.signal = signal
    s.on_abort = function()
        s.self:close()
    end
    signal:once("abort", s.on_abort)
end

local function new_state(self, options, family)
    return {
        self = self, type = options.type, family = family, handle = thrum.ip.udp.socket.new(),
        life = "open", -- "closing" while the queue is being sent; "closed"
        bound = false, -- or "pending", or true; bind_listener, bind_error, when_bound: dgram_bind
        settings = check_settings(options, family), -- see dgram_base, apply
        is_changed = false, -- by a method, before it was bound
        is_connected = false, is_connecting = false, connect_callback = nil,
        is_plain = false, -- see note_state
        lookup = check_option(options, "lookup", "function"), -- or nil
        known = known[family],
        receive_block_list = check_block_list(options, "receiveBlockList"), -- or nil
        send_block_list = check_block_list(options, "sendBlockList"), -- or nil

        -- Receiving: what has come and is not yet delivered is in `batch`, up to the last place.
        is_receiving = false, has_receiver = false, is_counted = true,
        receiver = nil, -- memory: of dgram.c, once there is need
        batch = {}, next_place = 1, last_place = 0,
        strings = {}, -- of deferred sends

        -- The send queue: items from `first` to `last`; the count has those as well that wait for
        -- a name. when_empty: what is to be called then.
        queue = {}, first = 1, last = 0, queue_count = 0, queue_size = 0,
        max_size = check_limit(options, "sendQueueSize", DEFAULT_QUEUE_SIZE),
        max_count = check_limit(options, "sendQueueCount", DEFAULT_QUEUE_COUNT),
        last_named = {}, -- by name: the last item that waits for its address or others
        is_sending = false, wants_drain = false, when_empty = nil,

        timeout = nil, timer = nil, deadline = nil, -- dgram_timeout
        signal = nil, on_abort = nil,
    }
end

function Socket:initialize(options, listener)
    if type(self) ~= "table" or base.states[self] or type(self.emit) ~= "function" then
        internal.raise_arg(base.PREFIX .. "initialize", 1, "self", "new dgram.Socket", self)
    end
    options = check_options(options)
    local family = families[options.type]
    if not family then
        raise("Bad socket type specified. Valid types are: udp4, udp6")
    end
    if listener ~= nil and type(listener) ~= "function" then
        internal.raise_arg("dgram.createSocket", 2, "listener", "function or nil", listener)
    end
    local s = new_state(self, options, family)
    local signal = check_signal(options)
    base.call("createSocket", "socket", s.handle.open, s.handle, family)
    base.call("createSocket", "setsockopt", base.apply, s.handle, s.settings)
    base.states[self] = s
    if listener then
        self:on("message", listener)
    end
    if signal then
        obey_signal(s, signal)
    end
end

-- ---- life ----

local function finish_close(s)
    s.handle:close()
    s.life = "closed"
    base.note_state(s)
    if s.signal and type(s.signal.removeListener) == "function" then
        s.signal:removeListener("abort", s.on_abort)
    end
    s.signal, s.on_abort = nil, nil
    base.call_later(s.self.emit, s.self, "close")
end

function Socket:close(callback)
    local s = state_of(self, "close")
    args.check_optional(callback, "function", "close", 2, "callback")
    if callback and s.life ~= "closed" then
        self:once("close", callback)
    end
    if s.life ~= "open" then
        return self
    end
    queue.send_deferred()
    timeout.stop(s)
    connect.give_up_pending(s)
    s.is_receiving, s.last_place = false, 0
    if s.queue_count == 0 then
        finish_close(s)
    else
        receive.stop(s)
        s.life, s.when_empty = "closing", finish_close
        base.note_state(s)
    end
    return self
end

-- These two answer as luv does, and raise nothing.
local function refuse(op)
    local err = internal.error("EBADF", base.PREFIX .. op, args.NOT_RUNNING)
    return nil, tostring(err), "EBADF"
end

function Socket:recvStart()
    local s = state_of(self, "recvStart")
    if s.life ~= "open" then
        return refuse("recvStart")
    end
    local err = bind.implicitly(s, "recvStart")
    if err then
        return nil, tostring(err), internal.error_name(err)
    end
    s.is_receiving = true
    if s.bound == true then
        receive.start(s)
    end
    return 0
end

function Socket:recvStop()
    local s = state_of(self, "recvStop")
    if s.life ~= "open" then
        return refuse("recvStop")
    end
    receive.stop(s)
    return 0
end

function Socket:ref()
    local s = state_of(self, "ref")
    s.is_counted = true
    internal.count_receive(s.handle, s.receiver, true)
    return self
end

function Socket:unref()
    local s = state_of(self, "unref")
    s.is_counted = false
    internal.count_receive(s.handle, s.receiver, false)
    return self
end

-- ---- options ----

function Socket:getRecvBufferSize()
    local s = running(self, "getRecvBufferSize")
    return base.get_option(s, "getRecvBufferSize", "receive_buffer_size")
end

function Socket:getSendBufferSize()
    local s = running(self, "getSendBufferSize")
    return base.get_option(s, "getSendBufferSize", "send_buffer_size")
end

function Socket:setRecvBufferSize(size)
    local s = running(self, "setRecvBufferSize")
    size = args.check_integer(size, 0, 0x7fffffff, "setRecvBufferSize", 2, "size")
    base.set_option(s, "setRecvBufferSize", "receive_buffer_size", size)
end

function Socket:setSendBufferSize(size)
    local s = running(self, "setSendBufferSize")
    size = args.check_integer(size, 0, 0x7fffffff, "setSendBufferSize", 2, "size")
    base.set_option(s, "setSendBufferSize", "send_buffer_size", size)
end

function Socket:setBroadcast(flag)
    local s = running(self, "setBroadcast")
    base.set_option(s, "setBroadcast", "broadcast",
        args.check_type(flag, "boolean", "setBroadcast", 2, "flag"))
end

function Socket:setTTL(ttl)
    local s = running(self, "setTTL")
    ttl = args.check_integer(ttl, 1, 255, "setTTL", 2, "ttl")
    base.set_option(s, "setTTL", "unicast_hops", ttl)
    return ttl
end

-- ---- the module ----

return {
    BlockList = block_list.BlockList,
    Socket = Socket,
    createSocket = function(options, listener)
        return Socket:new(options, listener)
    end,
}
