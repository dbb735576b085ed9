-- SPDX-License-Identifier: BSL-1.0
-- luvit's dgram on luv: what its Socket does between a program and luv for each datagram, rebuilt
-- here because luvit is in no distribution. An emitter with lists of handlers by name, looked up
-- and walked for each event; a look at the idle timeout at each send, at its end and at each
-- receive; a callback behind each send.
local uv = require "luv"

-- The idle timeout is a field that timers look at: off, as in a program that has set none.
local function touch(object)
    local msecs = object._idleTimeout
    if msecs and msecs > 0 then
        error("this benchmark sets no timeout")
    end
end

local Emitter = {}
Emitter.__index = Emitter

function Emitter:on(name, handler)
    local handlers = rawget(self, "handlers")
    if not handlers then
        handlers = {}
        rawset(self, "handlers", handlers)
    end
    local list = rawget(handlers, name)
    if not list then
        list = {}
        rawset(handlers, name, list)
    end
    list[#list + 1] = handler
    return self
end

function Emitter:emit(name, ...)
    local handlers = rawget(self, "handlers")
    local list = handlers and rawget(handlers, name)
    if not list then
        return self
    end
    for i = 1, #list do
        local handler = list[i]
        if handler then
            handler(...)
        end
    end
    for i = #list, 1, -1 do
        if not list[i] then
            table.remove(list, i)
        end
    end
    return self
end

local Socket = setmetatable({}, Emitter)
Socket.__index = Socket

local function create_socket(callback)
    local socket = setmetatable({_handle = assert(uv.new_udp())}, Socket)
    if callback then
        socket:on("message", callback)
    end
    return socket
end

function Socket:recvStart()
    return uv.udp_recv_start(self._handle, function(err, msg, rinfo, flags)
        touch(self)
        if err then
            self:emit("error", err)
        elseif msg then
            self:emit("message", msg, rinfo, flags)
        end
    end)
end

function Socket:send(data, port, host, callback)
    touch(self)
    uv.udp_send(self._handle, data, host, port, function(err)
        touch(self)
        if callback then
            callback(err)
        end
    end)
end

function Socket:bind(port, host, options)
    assert(uv.udp_bind(self._handle, host, port, options))
    self:recvStart()
end

local server = create_socket()
server:on("message", function(msg, rinfo)
    if rinfo then
        server:send(msg, rinfo.port, rinfo.ip)
    end
end)
server:bind(0, "127.0.0.1")
io.stdout:write(uv.udp_getsockname(server._handle).port, "\n")
io.stdout:flush()
uv.run()
