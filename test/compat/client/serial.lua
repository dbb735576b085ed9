-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Fibers that each have a device: serial.lua CASE DEVICE...
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local serial = require "socket.serial"
local socket = require "socket"
local time = require "time"
local thrum = require "thrum"
local paths = table.pack(table.unpack(arg, 2))

local BIG = 200000 -- more than a terminal keeps for its reader

local function open(path)
    local device = assert(serial(path))
    device:settimeout(20)
    return device
end

local function check(expected, ...)
    local results = table.pack(...)
    assert(results.n == 3, results.n)
    for i = 1, 3 do
        assert(results[i] == expected[i], ("%s, not %s"):format(results[i], expected[i]))
    end
end

-- Runs `f` for each device, all at once.
local function for_each(f)
    local fibers = {}
    for i, path in ipairs(paths) do
        fibers[i] = spawn(function()
            local device = open(path)
            f(device, i)
            device:close()
        end)
    end
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
end

local cases = {}

-- Nobody is answered before all have asked; the answer comes in pieces.
function cases.together()
    for_each(function(device, i)
        check({#("ask %d\n"):format(i)}, device:send(("ask %d\n"):format(i)))
        check({"answer " .. i}, device:receive())
        check({"0123456789"}, device:receive(10))
        check({"not a prefix"}, device:receive("*l", "not "))
    end)
    print(#paths .. " answers")
end

-- Nobody's is read before all have begun.
function cases.big()
    for_each(function(device)
        check({BIG}, device:send(("x"):rep(BIG - 1) .. "\n"))
        check({"whole"}, device:receive())
    end)
    print(#paths .. " of " .. BIG)
end

function cases.waits()
    local device = open(paths[1])
    device:settimeout(0)
    check({nil, "timeout", ""}, device:receive())
    device:settimeout(0.01)
    check({nil, "timeout", "ab"}, device:receive(5, "ab"))
    device:settimeout(nil)
    device:settimeout(0.01, "t")
    check({nil, "timeout", ""}, device:receive("*a"))
    device:settimeout(nil, "t")
    local ok, err = pcall(time.with_timeout, 0.01, device.receive, device)
    assert(not ok and err == thrum.generic_error.ETIMEDOUT)
    local ready, _, why = socket.select({device}, nil, 0.01)
    assert(#ready == 0 and why == "timeout")
    print("time-outs")

    local reading = spawn(device.receive, device)
    time.sleep(0)
    reading:interrupt()
    reading:join()
    assert(reading.interruption_caught)
    assert(device:send("still there\n"))
    check({"still there"}, device:receive())
    print("interrupted")

    local selecting = spawn(socket.select, {device})
    reading = spawn(function() return table.pack(device:receive()) end)
    time.sleep(0)
    assert(device:close() == 1)
    check({nil, "closed", ""}, table.unpack(reading:join(), 1, 3))
    assert(selecting:join()[1] == device)
    check({nil, "closed", 0}, device:send("x"))
    assert(device:getfd() == -1)
    print("closed")

    check({nil, "No such file or directory", 2}, serial("/nonexistent/device"))
    for _, call in ipairs {
        {serial}, {serial, {}}, {device.receive, 1}, {device.send}, {device.close, io.stdout},
        {device.settimeout, device, "x"}, {device.settimeout, device, 1, "x"},
        {device.receive, device, "no pattern"},
    } do
        local is_done, text = pcall(table.unpack(call))
        assert(not is_done and not text:find("thrum.socket_", 1, true), text)
    end
    print("errors")
end

cases[arg[1]]()
