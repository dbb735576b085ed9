-- SPDX-License-Identifier: BSL-1.0
-- socket: LuaSocket's module, on fibers.
--
-- Its objects, and the methods that receive and send, are C (src/bind/luasocket); so are all
-- texts of errors. The metatables are made here, one for each state of each kind: tcp{master},
-- tcp{client}, ... The rest stands in parts of this module, in the folder socket.
local thrum, internal = ...
if type(thrum) == "string" then -- found as a file: the one in the library is meant
    return require "thrum".socket
end

local getmetatable, ipairs, pairs, select, tonumber, tostring, type = getmetatable, ipairs, pairs,
    select, tonumber, tostring, type
local format = string.format

-- ---- errors of arguments, as luaL_argerror has them ----

local args = {}
internal.socket_args = args

-- Where the script has called is said by `internal.raise_text`.
function args.error(arg, name, message)
    internal.raise_text(format("bad argument #%d to '%s' (%s)", arg, name, message))
end

local function type_error(arg, name, expected, value, count)
    local came = count and arg > count and "no value" or type(value)
    args.error(arg, name, expected .. " expected, got " .. came)
end

function args.string(arg, name, value, count)
    if type(value) == "number" then
        return tostring(value)
    elseif type(value) ~= "string" then
        type_error(arg, name, "string", value, count)
    end
    return value
end

function args.number(arg, name, value, count)
    local number = value
    if type(value) == "string" then
        number = tonumber(value)
    end
    if type(number) ~= "number" then
        type_error(arg, name, "number", value, count)
    end
    return number
end

function args.type(arg, name, expected, value, count)
    if type(value) ~= expected then
        type_error(arg, name, expected, value, count)
    end
    return value
end

-- ---- kinds and their states ----

local state_numbers = {master = 1, client = 2, server = 4, unconnected = 8, connected = 16}
local ANY = 31

-- The object must be of that kind and in one of those states.
function args.self(self, method, kind, states)
    local mask = states and state_numbers[states] or ANY
    if not internal.socket_is(self, kind, mask) then
        internal.raise_text(format("calling '%s' on bad self (%s{%s} expected)", method, kind,
            states or "any"))
    end
end

local function to_string(object)
    return format("%s: %s", getmetatable(object).__index.class, internal.socket_pointer(object))
end

local function define(kind, states, methods)
    for _, state in ipairs(states) do
        local class = kind .. "{" .. state .. "}"
        local index = {class = class}
        for name, method in pairs(methods) do
            index[name] = method
        end
        internal.socket_set_metatable(kind, state_numbers[state], {
            __index = index, __gc = methods.close, __name = class, __tostring = to_string,
            [kind .. "{any}"] = true, [class] = true,
        })
    end
end

-- Make a kind: the C methods of those names, and those of the parts.
function internal.socket_define(kind, states, names, ...)
    local all, methods = internal.socket_methods(kind), {}
    for name in names:gmatch "%S+" do
        methods[name] = all[name]
    end
    for _, part in ipairs {...} do
        for name, method in pairs(part) do
            methods[name] = method
        end
    end
    define(kind, states, methods)
end

function internal.socket_make(kind, state, family)
    return internal.socket_new(kind, state_numbers[state], family)
end

function internal.socket_become(object, state)
    internal.socket_set_state(object, state_numbers[state])
end

-- ---- the module ----

local connect = internal.part "socket_connect"
local options = internal.part "socket_option"

internal.socket_define("tcp", {"master", "client", "server"},
    "accept close dirty getfamily getfd getpeername getsockname getstats gettimeout listen receive "
        .. "send setfd setstats settimeout shutdown",
    connect.tcp, options.tcp)
internal.socket_define("udp", {"unconnected", "connected"},
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
        return internal.socket_make("tcp", "master", family)
    end
    M["udp" .. suffix] = function()
        return internal.socket_make("udp", "unconnected", family)
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
