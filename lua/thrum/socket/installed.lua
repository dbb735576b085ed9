-- SPDX-License-Identifier: BSL-1.0
-- What the prelude has of LuaSocket and LuaSec where they are installed: modules of theirs that are
-- changed when they are loaded, and the name of the package where they are not.
--
-- The chunk returns load(name), a loader, and hint(name), the last searcher.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local error, type = error, type

-- The part that is given the module, and returns what stands for it.
local parts = {["socket.serial"] = "socket_serial", ["ssl.core"] = "socket_sec"}

-- Which package has what is not in thrum.
local LUASOCKET = {name = "LuaSocket", debian = "lua-socket", luarocks = "luasocket"}
local LUASEC = {name = "LuaSec", debian = "lua-sec", luarocks = "luasec"}
local packages = {
    ltn12 = LUASOCKET, mime = LUASOCKET, ["mime.core"] = LUASOCKET, ["socket.ftp"] = LUASOCKET,
    ["socket.headers"] = LUASOCKET, ["socket.http"] = LUASOCKET, ["socket.mbox"] = LUASOCKET,
    ["socket.serial"] = LUASOCKET, ["socket.smtp"] = LUASOCKET, ["socket.tp"] = LUASOCKET,
    ["socket.url"] = LUASOCKET, ssl = LUASEC, ["ssl.core"] = LUASEC, ["ssl.https"] = LUASEC,
    ["ssl.options"] = LUASEC,
}

-- What every searcher but the first, of package.preload, finds.
local function load(name)
    local searchers = package.searchers
    local message = "module '" .. name .. "' not found:"
    for i = 2, #searchers do
        local loader, extra = searchers[i](name)
        if type(loader) == "function" then
            return internal.part(parts[name])(loader(name, extra))
        elseif type(loader) == "string" then
            message = message .. loader
        end
    end
    error(message, 0)
end

local function hint(name)
    local home = packages[name]
    return home and ("\n\t'%s' comes with %s: package %s of Debian, %s of LuaRocks"):format(name,
        home.name, home.debian, home.luarocks) or nil
end

return {load = load, hint = hint}
