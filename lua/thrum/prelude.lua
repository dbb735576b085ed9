-- SPDX-License-Identifier: BSL-1.0
-- The prelude: thrum's short names, as modules and as globals that load on first use. The thrum
-- program runs it before any script; in a stock interpreter, require "thrum.prelude" does the same.
local thrum = require "thrum"

local short_names = {
    "byte_span", "channel", "condition_variable", "dgram", "emitter", "fiber", "file_descriptor",
    "generic_error", "ip", "mutex", "semaphore", "socket", "stream", "system", "this_fiber", "time",
    "unix",
}

-- Two stand in front of modules of the same name that are installed, because to be them is their
-- purpose, and so do the parts of `socket`. All others are found when nothing else is: the script's
-- own `time` and an installed `system` come first.
local in_front = {dgram = true, socket = true}
local parts = {"socket", "socket.core", "socket.unix", "socket.serial", "ssl.core"}

-- What stood in the place of the parts, and whether an installed LuaSocket was loaded.
local preloaded, has_luasocket = {}, false
for _, name in ipairs(parts) do
    local loaded = name ~= "ssl.core" and package.loaded[name]
    preloaded[name] = package.preload[name]
    if loaded and loaded ~= thrum.socket and loaded ~= thrum.socket.unix then
        has_luasocket = true
    end
end

local is_short, is_lazy = {}, {}
for _, name in ipairs(short_names) do
    is_short[name], is_lazy[name] = true, true
    if in_front[name] and not package.preload[name] then
        package.preload[name] = function()
            return thrum[name]
        end
    end
end

package.searchers[#package.searchers + 1] = function(name)
    return is_short[name] and function() return thrum[name] end or nil
end

-- LuaSocket's core, for the rest of LuaSocket (socket.http, ...), which is taken from where it is
-- installed.
for name, field in pairs {["socket.core"] = false, ["socket.unix"] = "unix"} do
    if not package.preload[name] then
        package.preload[name] = function()
            return field and thrum.socket[field] or thrum.socket
        end
    end
end

-- LuaSec's core, where it is installed, so that its connections suspend fibers.
local function load_sec(name)
    local message = "module '" .. name .. "' not found:"
    for i = 2, #package.searchers do
        local loader, extra = package.searchers[i](name)
        if type(loader) == "function" then
            return thrum.socket_sec(loader(name, extra))
        elseif type(loader) == "string" then
            message = message .. loader
        end
    end
    error(message, 0)
end

package.preload["ssl.core"] = package.preload["ssl.core"] or load_sec

-- A global that is not set yet, and is one of ours, is required and set; what a script's own
-- metatable of the globals answers goes on working.
local metatable = getmetatable(_G) or {}
local inherited = metatable.__index

local function answer_inherited(globals, name)
    if type(inherited) == "function" then
        return inherited(globals, name)
    elseif inherited ~= nil then
        return inherited[name]
    end
    return nil
end

function metatable.__index(globals, name)
    if not is_lazy[name] then
        return answer_inherited(globals, name)
    end
    local module = in_front[name] and require(name) or thrum[name]
    rawset(globals, name, module)
    return module
end

setmetatable(_G, metatable)

-- An installed LuaSocket that was loaded before stays what `socket` and its parts are, for whoever
-- asks from here on: half of it and half of ours would not know each other's objects.
if has_luasocket then
    for _, name in ipairs(parts) do
        package.preload[name] = preloaded[name]
    end
end

-- Defold's name for LuaSocket.
package.preload["builtins.scripts.socket"] = package.preload["builtins.scripts.socket"] or
    function() return require "socket" end

for _, name in ipairs {
    "spawn", "scope", "scope_cleanup_push", "scope_cleanup_pop", "pcall", "xpcall", "require",
} do
    _G[name] = thrum[name]
end
coroutine = thrum.coroutine -- luacheck: globals coroutine
package.loaded.coroutine = thrum.coroutine

-- An error that no fiber can join any more goes to standard error.
thrum.set_reporter(function(err, traceback, id, name)
    local _, message = pcall(tostring, err)
    local title = name and id .. ' "' .. name .. '"' or id
    io.stderr:write("thrum: uncaught error in fiber ", title, ": ", tostring(message), "\n",
        traceback or "", "\n")
end)

-- Also the errors of fibers that could still be joined when the interpreter ends.
package.loaded["thrum.prelude.at_exit"] = setmetatable({}, {__gc = function() thrum.report() end})

return thrum
