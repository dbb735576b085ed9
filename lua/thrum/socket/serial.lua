-- SPDX-License-Identifier: BSL-1.0
-- LuaSocket's socket.serial on fibers: devices that it opens, and waits for in C. Kept from that
-- (socket_foreign), they wait in `select`, which takes any descriptor.
--
-- The chunk returns what makes `socket.serial`: a function that is given LuaSocket's own, a
-- function that opens a device, and returns ours.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local getmetatable, pairs, select = getmetatable, pairs, select
local adapt = internal.part "socket_foreign"
local ready, closing = internal.select, internal.select_closing
local args, quietly = internal.part "socket_args", internal.quietly

local class = {name = "serial{client}"}

function class.wanted(err, direction)
    return err == "timeout" and direction or nil
end

-- Also true when somebody has closed the device: a call of its own will say so.
function class.wait(device, _, what, seconds)
    local devices = {device}
    if what == "read" then
        return #ready(devices, nil, seconds) > 0
    end
    local _, writable = ready(nil, devices, seconds)
    return #writable > 0
end

-- All devices have their methods from one table, which the first one shows.
local function patch(metatable)
    local index, own = metatable.__index, {}
    for name, method in pairs(index) do
        own[name] = method
    end
    class.own, class.metatable = own, metatable
    local adapted = adapt(class)

    -- Those that wait in it come back before the descriptor's number is somebody else's.
    function adapted.methods.close(device)
        adapted.state_of(device, "close")
        closing(own.getfd(device))
        return quietly(own.close, device)
    end

    for name, method in pairs(adapted.methods) do
        index[name] = method
    end
    return adapted
end

return function(open)
    local adapted
    return function(...)
        local path = args.string(1, "socket.serial", (...), select("#", ...))
        local device, err, code = open(path)
        if not device then
            return device, err, code
        end
        adapted = adapted or patch(getmetatable(device))
        adapted.state_of(device, "socket.serial")
        return device
    end
end
