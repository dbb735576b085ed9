-- SPDX-License-Identifier: BSL-1.0
-- socket: LuaSocket's module, on fibers.
--
-- Its objects, and the methods that receive and send, are C (src/bind/luasocket); so are all
-- texts of errors. What is Lua besides stands in parts of this module, in the folder socket.
local thrum, internal = ...
if type(thrum) == "string" then -- found as a file: the one in the library is meant
    return require "thrum".socket
end

local pairs, select = pairs, select

local args, kinds = internal.part "socket_args", internal.part "socket_kinds"
local connect = internal.part "socket_connect"
local options = internal.part "socket_option"

kinds.define("tcp", {"master", "client", "server"},
    "accept close dirty getfamily getfd getpeername getsockname getstats gettimeout listen receive "
        .. "send setfd setstats settimeout shutdown",
    connect.tcp, options.tcp)
kinds.define("udp", {"unconnected", "connected"},
    "close dirty getfamily getfd getpeername getsockname gettimeout receive receivefrom send "
        .. "sendto setfd settimeout",
    connect.udp, options.udp)

local M = {
    _VERSION = "LuaSocket 3.1.0 (thrum)",
    _DEBUG = false,
    _SETSIZE = internal.socket_setsize,
    _DATAGRAMSIZE = 65535,
    _SOCKETINVALID = -1,
    BLOCKSIZE = 2048,
    dns = internal.part "socket_dns",
    unix = internal.part "socket_unix",
    connect = connect.connect,
    select = internal.select,
    gettime = thrum.time.system_clock.now,
}

for suffix, family in pairs {[""] = "any", ["4"] = "inet", ["6"] = "inet6"} do
    M["tcp" .. suffix] = function()
        return kinds.make("tcp", "master", family)
    end
    M["udp" .. suffix] = function()
        return kinds.make("udp", "unconnected", family)
    end
end

local sleep = internal.sleep

function M.sleep(...)
    local seconds = args.number(1, "sleep", (...), select("#", ...))
    sleep(seconds > 0 and seconds or 0)
end

for name, f in pairs(internal.part "socket_try") do
    M[name] = f
end
internal.part "socket_helper"(M)

return M
