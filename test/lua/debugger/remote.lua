-- SPDX-License-Identifier: BSL-1.0
-- A remote debugger that works the way MobDebug does, for the spec `debugger`: it lives in a debug
-- hook, where it talks to its controller by the module socket, in a coroutine of its own. It knows
-- nothing of fibers but that their threads need the hook, too.
--
-- The controller sends lines and gets lines:
--     SETB file line, DELB file line   -> ok
--     EXEC chunk                       -> ok value | error text    with the variables of the place
--     STEP, OVER, RUN                  -> ok, and later: paused file line thread
local socket = require "socket"

local M = {}

local corocreate, cororesume, coroyield = coroutine.create, coroutine.resume, coroutine.yield
local running, sethook, getinfo, getlocal = coroutine.running, debug.sethook, debug.getinfo,
    debug.getlocal
local getupvalue, setlocal = debug.getupvalue, debug.setlocal

local server, debugger
local breakpoints = {} -- by line, then by file
local step -- nil, or {thread =, depth =}: stop there, no deeper than that
local depths = setmetatable({}, {__mode = "k"}) -- of calls, by thread

local function has_breakpoint(file, line)
    return breakpoints[line] and breakpoints[line][file]
end

local function set_breakpoint(file, line, value)
    breakpoints[line] = breakpoints[line] or {}
    breakpoints[line][file] = value
end

-- What is visible in the function at that level of the stack of who calls this.
local function capture(level)
    local vars, places = {}, {}
    local func = getinfo(level + 1, "f").func
    for i = 1, 250 do
        local name, value = getupvalue(func, i)
        if not name then
            break
        end
        vars[name] = value
    end
    for i = 1, 250 do
        local name, value = getlocal(level + 1, i)
        if not name then
            break
        elseif name:sub(1, 1) ~= "(" then
            vars[name], places[name] = value, i
        end
    end
    return setmetatable(vars, {__index = _G}), places
end

local function restore(level, vars, places)
    for name, i in pairs(places) do
        setlocal(level + 1, i, vars[name])
    end
end

local function send(text)
    assert(server:send(text .. "\n"))
end

local commands = {}

function commands.SETB(rest)
    local file, line = rest:match("^(%S+) (%d+)$")
    set_breakpoint(file, tonumber(line), true)
end

function commands.DELB(rest)
    local file, line = rest:match("^(%S+) (%d+)$")
    set_breakpoint(file, tonumber(line), nil)
end

-- A command of these goes back to the program.
local moves = {RUN = true, STEP = true, OVER = true}

-- Until the program is to move on; runs in the debugger's coroutine.
local function talk(vars)
    while true do
        local line = assert(server:receive())
        local name, rest = line:match("^(%u+) ?(.*)$")
        if moves[name] then
            send "ok"
            return name
        elseif name == "EXEC" then
            local chunk, err = load(rest, "=exec", "t", vars)
            local ok, value = false, err
            if chunk then
                ok, value = pcall(chunk)
            end
            send((ok and "ok " or "error ") .. tostring(value))
        else
            commands[name](rest)
            send "ok"
        end
    end
end

local function loop(vars, file, line, thread)
    while true do
        if file then
            send(("paused %s %d %s"):format(file, line, thread))
        end
        vars, file, line, thread = coroyield(talk(vars))
    end
end

-- Whether the controller wants something though the program runs.
local function is_pending()
    server:settimeout(0)
    local char = server:receive(1)
    server:settimeout(nil)
    return char ~= nil
end

local function move(thread, name)
    if name == "RUN" then
        step = nil
    else
        step = {thread = thread, depth = name == "OVER" and depths[thread] or math.huge}
    end
end

local function hook(event, line)
    local thread = running()
    if event == "call" then
        depths[thread] = (depths[thread] or 0) + 1
        return
    elseif event == "return" then
        depths[thread] = (depths[thread] or 0) - 1
        return
    elseif event ~= "line" then
        return
    end
    local file = getinfo(2, "S").source:match("([^/]+)$")
    local is_here = step and step.thread == thread and (depths[thread] or 0) <= step.depth
    if is_here or has_breakpoint(file, line) or is_pending() then
        local vars, places = capture(2)
        local ok, name = cororesume(debugger, vars, file, line, tostring(thread))
        assert(ok, name)
        restore(2, vars, places)
        move(thread, name)
    end
end

-- In each thread that is to be debugged.
function M.on()
    local thread = running()
    depths[thread] = depths[thread] or 0
    sethook(thread, hook, "lcr")
end

-- All fibers that are spawned from here on are debugged, too.
function M.follow()
    local original = spawn -- luacheck: globals spawn
    spawn = function(f, ...) -- luacheck: globals spawn
        return original(function(...)
            M.on()
            return f(...)
        end, ...)
    end
end

function M.start(port)
    server = assert(socket.connect("127.0.0.1", port))
    debugger = corocreate(loop)
    local ok, name = cororesume(debugger, {}) -- until the controller lets the program go
    assert(ok, name)
    move(running(), name)
    M.on()
end

return M
