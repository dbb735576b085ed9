-- SPDX-License-Identifier: BSL-1.0
-- socket: objects whose C code is another module's and waits by itself, which would stop every
-- fiber: LuaSec's connections, LuaSocket's serial devices. So they are kept from waiting, with a
-- timeout of 0, and their methods, which stand in a table that Lua can change, wait here, with the
-- timeouts that the program has set.
--
-- What they write may raise SIGPIPE, which LuaSocket has ignored for the whole process.
-- `internal.quietly` keeps it away from their calls, and from nothing else.
--
-- The chunk returns adapt(class). A class is a table: `name` and `metatable` of its objects; `own`,
-- the module's methods; `wanted(err, direction)`, "read" or "write" where a call of that direction
-- that failed with that error has to wait for it, or nil; and `wait(object, state, what, seconds)`,
-- which returns false when the time is over, and otherwise true. Negative seconds are for ever.
-- The module's methods are called by way of `quietly`, which is C: so no error that they raise
-- names a line of this file.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local getmetatable, rawequal, select, setmetatable, tonumber, tostring = getmetatable, rawequal,
    select, setmetatable, tonumber, tostring
local concat, format = table.concat, string.format
local now = thrum.time.steady_clock.now
local args = internal.part "socket_args"
local quietly = internal.quietly

-- How long the next wait may be: negative for ever, or nil for not at all.
local function time_left(state, start)
    if state.block == 0 then
        return nil
    elseif state.total < 0 then
        return state.block
    end
    local rest = state.total - (now() - start)
    if rest <= 0 then
        return nil
    end
    return state.block > 0 and state.block < rest and state.block or rest
end

-- Returns a table: `methods`, which are settimeout, receive and send; `states`, of the objects that
-- have one; `state_of(object, method)`, which makes it; and a function `wait(object, state,
-- direction, err, start)` for what a failed call wants: false when there is no time, or nothing is
-- wanted.
local function adapt(class)
    local own, methods = class.own, {}
    -- What there is of an object besides the module's: its timeouts, and what the class adds.
    local states = setmetatable({}, {__mode = "k"})

    local function state_of(object, method)
        local state = states[object]
        if not state then
            if not rawequal(getmetatable(object), class.metatable) then
                internal.raise_text(format("calling '%s' on bad self (%s expected)", method,
                    class.name))
            end
            state = {block = -1, total = -1}
            quietly(own.settimeout, object, 0)
            states[object] = state
        end
        return state
    end

    local function wait(object, state, direction, err, start)
        local what = class.wanted(err, direction)
        local seconds = what and time_left(state, start)
        if not seconds then
            return false
        end
        return class.wait(object, state, what, seconds)
    end

    function methods.settimeout(object, ...)
        local seconds, mode = ...
        local state = state_of(object, "settimeout")
        if seconds ~= nil then
            seconds = args.number(1, "settimeout", seconds, select("#", ...))
            seconds = seconds == seconds and seconds or -1 -- NaN is for ever, too
        end
        mode = mode ~= nil and args.string(2, "settimeout", mode) or "b"
        local first = mode:sub(1, 1)
        if first == "b" then
            state.block = seconds or -1
        elseif first == "t" or first == "r" then
            state.total = seconds or -1
        else
            args.error(2, "settimeout", "invalid timeout mode")
        end
        return 1
    end

    -- What comes by and by is put together here: each call would copy it anew as its prefix, and
    -- "*a" succeeds only in a call that has received something itself. Three results, as the
    -- modules have them.
    local function receive_rest(object, state, pattern, err, prefix_size, first, start)
        local length, pieces, size = tonumber(pattern), {first}, #first
        while wait(object, state, "read", err, start) do
            local data, partial
            data, err, partial = quietly(own.receive, object, length and length - size or pattern)
            local piece = data or partial
            pieces[#pieces + 1], size = piece, size + #piece
            if data or err == "closed" and pattern == "*a" and size > prefix_size then
                return concat(pieces), nil, nil
            end
        end
        return nil, err, concat(pieces)
    end

    function methods.receive(object, pattern, prefix)
        local state, start = state_of(object, "receive"), now()
        local data, err, partial = quietly(own.receive, object, pattern, prefix)
        if data or not class.wanted(err, "read") then
            return data, err, partial
        end
        local prefix_size = prefix and #tostring(prefix) or 0
        return receive_rest(object, state, pattern, err, prefix_size, partial, start)
    end

    function methods.send(object, data, i, j)
        local state, start = state_of(object, "send"), now()
        local last, err, partial = quietly(own.send, object, data, i, j)
        while not last and wait(object, state, "write", err, start) do
            last, err, partial = quietly(own.send, object, data, partial + 1, j)
        end
        return last, err, partial
    end

    return {methods = methods, states = states, state_of = state_of, wait = wait}
end

return adapt
