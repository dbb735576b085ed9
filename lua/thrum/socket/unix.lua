-- SPDX-License-Identifier: BSL-1.0
-- socket.unix: sockets with paths for addresses.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local select, setmetatable = select, setmetatable
local args, become = internal.part "socket_args", internal.part "socket_kinds".become
local options = internal.part "socket_option"
internal.part "socket_connect"

local function bind_method(kind, state, name)
    return function(self, ...)
        args.self(self, name, kind, state)
        return internal.socket_bind(self, args.string(1, name, (...), select("#", ...)))
    end
end

local function stream_connect(name)
    return function(self, ...)
        args.self(self, name, "unixstream", "master")
        local path = args.string(1, name, (...), select("#", ...))
        local res, err = internal.connect(self, path, 0, internal.socket_start(self))
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
            internal.socket_disconnect(self)
            become(self, "unconnected")
            return 1
        end
        local res, err = internal.connect(self, path, 0)
        if not res then
            return nil, err
        end
        become(self, "connected")
        return res
    end
end

internal.part "socket_kinds".define("unixstream", {"master", "client", "server"},
    "accept close dirty getfd getsockname getstats gettimeout listen receive send setfd setstats "
    .. "settimeout shutdown", {
        bind = bind_method("unixstream", "master", "bind"),
        setsockname = bind_method("unixstream", "master", "setsockname"),
        connect = stream_connect "connect", setpeername = stream_connect "setpeername",
    }, options.unixstream)
internal.part "socket_kinds".define("unixdgram", {"unconnected", "connected"},
    "close dirty getfd getsockname gettimeout receive receivefrom send sendto setfd settimeout", {
        bind = bind_method("unixdgram", "unconnected", "bind"),
        setsockname = bind_method("unixdgram", "unconnected", "setsockname"),
        connect = dgram_setpeername "connect", setpeername = dgram_setpeername "setpeername",
    }, options.unixdgram)

local M = {}

function M.stream()
    return internal.part "socket_kinds".make("unixstream", "master", "unix")
end

function M.dgram()
    return internal.part "socket_kinds".make("unixdgram", "unconnected", "unix")
end

-- As LuaSocket 3.0 had them, where the module was a function.
M.tcp, M.udp = M.stream, M.dgram

return setmetatable(M, {__call = M.stream})
