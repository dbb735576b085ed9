-- SPDX-License-Identifier: BSL-1.0
-- Which module a name finds: a script's own and what is installed come before our short names;
-- thrum.*, socket and dgram are ours. Each case is a process of its own.
local h, t = ...
local lu = h.lu

local function interpreter()
    if h.is_program then
        return h.quote(h.program)
    end
    local file = assert(io.open "/proc/self/cmdline")
    local words = file:read("a"):match("^%Z+")
    file:close()
    return h.quote(words) .. " -l thrum.prelude"
end

-- Run `chunk` where these files, by name and content, are the script's own modules.
local function run(files, chunk, command)
    local directory = os.tmpname()
    os.remove(directory)
    for name, content in pairs(files) do
        local path = directory .. "/" .. name
        h.shell("mkdir -p " .. h.quote(path:match("^(.*)/")))
        local file = assert(io.open(path, "w"))
        file:write(content)
        file:close()
    end
    local path = h.quote(directory .. "/?.lua;" .. os.getenv("LUA_PATH"))
    local output, status = h.shell("LUA_PATH=" .. path .. " " .. (command or interpreter()) ..
        " -e " .. h.quote(chunk))
    h.shell("rm -rf " .. h.quote(directory))
    return output, status
end

local function prints(expected, files, chunk, command)
    local output, status = run(files, chunk, command)
    lu.assertEquals(output, expected)
    lu.assertEquals(status, 0)
end

local names = {
    "byte_span", "channel", "condition_variable", "emitter", "fiber", "file_descriptor",
    "generic_error", "ip", "mutex", "semaphore", "stream", "system", "this_fiber", "time", "unix",
}

t["test a script's own module of a short name comes first, and the global stays ours"] = function()
    local files, chunk = {}, {}
    for _, name in ipairs(names) do
        files[name .. ".lua"] = "return {own = ...}"
        chunk[#chunk + 1] = ([[
            assert(require("%s").own == "%s", "%s")
            assert(%s == require("thrum.%s"), "the global %s")
        ]]):gsub("%%s", name)
    end
    prints("", files, table.concat(chunk))
end

t["test an installed module comes first, by whatever searcher"] = function()
    prints("installed\n", {}, [[
        table.insert(package.searchers, 2, function(name)
            return name == "system" and function() return "installed" end or nil
        end)
        print((require "system"))]])
    prints("preloaded\n", {}, [[
        package.preload.time = function() return "preloaded" end
        print((require "time"))]])
end

t["test where there is no other the short names are ours"] = function()
    local chunk = {"local thrum = require 'thrum'"}
    for _, name in ipairs(names) do
        chunk[#chunk + 1] = ("assert(require '%s' == thrum.%s, '%s')"):gsub("%%s", name)
    end
    prints("", {}, table.concat(chunk, "\n"))
    local output = run({}, "require 'no_such_module'")
    h.assert_contains(output, "module 'no_such_module' not found:\n\tno field package.preload")
end

t["test the long names are always ours"] = function()
    local files = {["thrum/time.lua"] = "return 'not ours'", ["thrum/dgram.lua"] = "return 1"}
    prints("table\ttable\ttrue\n", files, [[
        local thrum = require "thrum"
        print(type(require "thrum.time"), type(require "thrum.dgram"),
            require "thrum.time" == thrum.time)]])
end

t["test a plain require of thrum makes the long names ours, and no short ones"] = function()
    lu.skipIf(h.is_program, "this is no stock interpreter")
    local files = {["thrum/time.lua"] = "return 'not ours'"}
    prints("table\nfalse\n", files, [[
        require "thrum"
        print(type(require "thrum.time"))
        print((pcall(require, "byte_span")))]], interpreter():match("^%S+"))
end

t["test socket, its parts and dgram stand in front, and step aside for a preload"] = function()
    local files = {
        ["socket.lua"] = "return 'installed'", ["socket/core.lua"] = "return 'installed'",
        ["socket/unix.lua"] = "return 'installed'", ["dgram.lua"] = "return 'installed'",
    }
    prints("true\ttrue\ttrue\ttrue\n", files, [[
        local thrum = require "thrum"
        print(require "socket" == thrum.socket, require "socket.core" == thrum.socket,
            require "socket.unix" == thrum.socket.unix, require "dgram" == thrum.dgram)]])
    prints("installed\tinstalled\tinstalled\n", files, [[
        for _, name in ipairs {"socket", "socket.core", "dgram"} do
            package.preload[name] = nil
        end
        print(require "socket", require "socket.core", require "dgram")]])
end

t["test Defold's name finds socket"] = function()
    prints("true\n", {}, [[print(require "builtins.scripts.socket" == require "socket")]])
end

-- ---- an installed LuaSocket that was loaded before the prelude ----

-- With the names and the habits of the real one.
local luasocket = {
    ["socket.lua"] = "local core = require 'socket.core' return {who = core.who, core = core}",
    ["socket/core.lua"] = "return {who = 'installed'}",
    ["socket/unix.lua"] = "return {who = 'installed'}",
    ["socket/http.lua"] = "local socket = require 'socket' return {socket = socket}",
}

t["test after an installed LuaSocket no part is of the other"] = function()
    lu.skipIf(h.is_program, "the program has the prelude from the start")
    local stock = interpreter():match("^%S+")
    for _, first in ipairs {"socket", "socket.core", "socket.http"} do
        prints("installed\tinstalled\tinstalled\ttrue\ttrue\n", luasocket, ([[
            require %q
            require "thrum.prelude"
            local installed = require "socket"
            print(installed.who, require("socket.core").who, require("socket.unix").who,
                require("socket.http").socket == installed, socket == installed)
            assert(require "thrum.socket" ~= installed and require "thrum.socket".tcp)
            assert(require "builtins.scripts.socket" == installed)
            assert(require "dgram" == require "thrum.dgram")
        ]]):format(first), stock)
    end
end

t["test the prelude after a script has made the globals strict, or locked their metatable"] =
    function()
        lu.skipIf(h.is_program, "the program has the prelude from the start")
        for _, lock in ipairs {"nil", "false", "'locked'"} do
            prints("function\ttable\ttrue\tundeclared x\n", {}, [[
                setmetatable(_G, {
                    __metatable = ]] .. lock .. [[,
                    __index = function(_, name) error("undeclared " .. name, 0) end,
                    __newindex = function(_, name) error("assigned " .. name, 0) end,
                })
                local thrum = require "thrum.prelude"
                print(type(spawn), type(ip), coroutine == thrum.coroutine,
                    select(2, pcall(function() return x end)))
            ]], interpreter():match("^%S+"))
        end
    end

t["test after the prelude all parts are ours, those of Lua files included"] = function()
    prints("true\ttrue\ttrue\n", luasocket, [[
        local ours = require "thrum.socket"
        print(require "socket" == ours, require "socket.core" == ours,
            require("socket.http").socket == ours)]])
end

-- The real one, where it is installed.
t["test the real LuaSocket before the prelude keeps its own http and its own core"] = function()
    lu.skipIf(h.is_program, "the program has the prelude from the start")
    local stock = interpreter():match("^%S+")
    local has_it = select(2, h.shell(stock .. " -e 'require [[socket.http]]' 2>&1")) == 0
    lu.skipIf(not has_it, "LuaSocket is not installed")
    prints("true\ttrue\tfalse\n", {}, [[
        local installed = require "socket"
        require "thrum.prelude"
        local http = require "socket.http"
        local ours = require "thrum.socket"
        print(require "socket" == installed, socket == installed, installed == ours)
        local listener = assert(installed.bind("127.0.0.1", 0))
        local _, port = listener:getsockname()
        local client = assert(installed.connect("127.0.0.1", port))
        local server = assert(listener:accept())
        client:send "GET / HTTP/1.0\r\n"
        assert(server:receive() == "GET / HTTP/1.0")
        assert(type(http.request) == "function")
        assert(tostring(client):find "^tcp{client}")
    ]], stock)
end
