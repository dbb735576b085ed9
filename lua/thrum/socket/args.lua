-- SPDX-License-Identifier: BSL-1.0
-- socket: errors of arguments, as luaL_argerror has them.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local tonumber, tostring, type = tonumber, tostring, type
local format = string.format
local state_numbers = internal.part "socket_kinds".state_numbers

local args = {}

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

local ANY = 31

-- The object must be of that kind and in one of those states.
function args.self(self, method, kind, states)
    local mask = states and state_numbers[states] or ANY
    if not internal.socket_is(self, kind, mask) then
        internal.raise_text(format("calling '%s' on bad self (%s{%s} expected)", method, kind,
            states or "any"))
    end
end

return args
