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
-- installed; and what else of it, and of LuaSec, has to be changed to suspend fibers.
local loaders = {
    ["socket.core"] = function() return thrum.socket end,
    ["socket.unix"] = function() return thrum.socket.unix end,
    ["socket.serial"] = function(name) return thrum.socket_installed.load(name) end,
    ["ssl.core"] = function(name) return thrum.socket_installed.load(name) end,
}
for name, loader in pairs(loaders) do
    package.preload[name] = package.preload[name] or loader
end

-- The error for a part of them that is missing names the package that has it.
table.insert(package.searchers, function(name) return thrum.socket_installed.hint(name) end)

-- A global that was never set, and is one of ours, is required and set when it is first read. Once
-- set, by us or by a script, it is a global like any other: nil stays nil. What a script's own
-- metatable of the globals does goes on working; it is called in tail position, because such code
-- looks at the level above it for who reads or assigns. One that is locked is extended as well.
local debug = rawget(_G, "debug")
local present = debug and debug.getmetatable(_G) or getmetatable(_G)
local metatable = present or {}
local inherited, inherited_assign = metatable.__index, metatable.__newindex

for name in pairs(is_lazy) do
    is_lazy[name] = rawget(_G, name) == nil or nil
end

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
    is_lazy[name] = nil
    rawset(globals, name, module)
    return module
end

function metatable.__newindex(globals, name, value)
    is_lazy[name] = nil
    if type(inherited_assign) == "function" then
        return inherited_assign(globals, name, value)
    elseif inherited_assign ~= nil then
        inherited_assign[name] = value
        return
    end
    rawset(globals, name, value)
end

if not present then
    setmetatable(_G, metatable)
end

-- An installed LuaSocket that was loaded before stays what `socket` and its parts are, for every
-- `require` from here on: half of it and half of ours would not know each other's objects.
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
    rawset(_G, name, thrum[name]) -- no declaration of a script's
end
rawset(_G, "coroutine", thrum.coroutine)
package.loaded.coroutine = thrum.coroutine

return thrum
