-- SPDX-License-Identifier: BSL-1.0
-- The prelude: thrum's short names, as modules and as globals that load on first use. The thrum
-- program runs it before any script; in a stock interpreter, require "thrum.prelude" does the same.
local thrum = require "thrum"

local short_names = {
    "byte_span", "channel", "condition_variable", "dgram", "emitter", "fiber", "file_descriptor",
    "generic_error", "ip", "mutex", "semaphore", "socket", "stream", "system", "this_fiber", "time",
    "unix",
}

local is_lazy = {}
for _, name in ipairs(short_names) do
    is_lazy[name] = true
    if not package.preload[name] then
        package.preload[name] = function()
            return thrum[name]
        end
    end
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
    local module = require(name)
    rawset(globals, name, module)
    return module
end

setmetatable(_G, metatable)

for _, name in ipairs {
    "spawn", "scope", "scope_cleanup_push", "scope_cleanup_pop", "pcall", "xpcall", "require",
} do
    _G[name] = thrum[name]
end
coroutine = thrum.coroutine -- luacheck: globals coroutine
package.loaded.coroutine = thrum.coroutine

return thrum
