-- SPDX-License-Identifier: BSL-1.0
-- socket.unix: sockets with paths for addresses.
local thrum, native = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local select, setmetatable = select, setmetatable
local args, become = native.socket_args, native.socket_become
local options = native.part "socket_option"
native.part "socket_connect"

local function bind_method(kind, state, name)
    return function(self, ...)
        args.self(self, name, kind, state)
        return native.socket_bind(self, args.string(1, name, (...), select("#", ...)))
    end
end

local function stream_connect(name)
    return function(self, ...)
        args.self(self, name, "unixstream", "master")
        local path = args.string(1, name, (...), select("#", ...))
        local res, err = native.connect(self, path, 0, native.socket_start(self))
        if res or err == "timeout" then
            become(self, "client")
        end
        if res then
            return res
        end
        return nil, err
    end
end

local function dgram_setpeername(name)
    return function(self, ...)
        args.self(self, name, "unixdgram")
        local path = args.string(1, name, (...), select("#", ...))
        if path == "*" then
            native.socket_disconnect(self)
            become(self, "unconnected")
            return 1
        end
        local res, err = native.connect(self, path, 0)
        if not res then
            return nil, err
        end
        become(self, "connected")
        return res
    end
end

native.socket_define("unixstream", {"master", "client", "server"},
    "accept close dirty getfd getsockname getstats gettimeout listen receive send setfd setstats "
    .. "settimeout shutdown", {
        bind = bind_method("unixstream", "master", "bind"),
        setsockname = bind_method("unixstream", "master", "setsockname"),
        connect = stream_connect "connect", setpeername = stream_connect "setpeername",
    }, options.unixstream)
native.socket_define("unixdgram", {"unconnected", "connected"},
    "close dirty getfd getsockname gettimeout receive receivefrom send sendto setfd settimeout", {
        bind = bind_method("unixdgram", "unconnected", "bind"),
        setsockname = bind_method("unixdgram", "unconnected", "setsockname"),
        connect = dgram_setpeername "connect", setpeername = dgram_setpeername "setpeername",
    }, options.unixdgram)

local M = {}

function M.stream()
    return native.socket_make("unixstream", "master", "unix")
end

function M.dgram()
    return native.socket_make("unixdgram", "unconnected", "unix")
end

-- As LuaSocket 3.0 had them, where the module was a function.
M.tcp, M.udp = M.stream, M.dgram

return setmetatable(M, {__call = M.stream})
