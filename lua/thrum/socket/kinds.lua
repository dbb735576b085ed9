-- SPDX-License-Identifier: BSL-1.0
-- socket: the kinds of objects, and a metatable for each state of each.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local getmetatable, ipairs, pairs = getmetatable, ipairs, pairs
local format = string.format

local kinds = {}

kinds.state_numbers = {master = 1, client = 2, server = 4, unconnected = 8, connected = 16}
local state_numbers = kinds.state_numbers

local function to_string(object)
    return format("%s: %s", getmetatable(object).__index.class, internal.socket_pointer(object))
end

local function define(kind, states, methods)
    for _, state in ipairs(states) do
        local class = kind .. "{" .. state .. "}"
        local index = {class = class}
        for name, method in pairs(methods) do
            index[name] = method
        end
        internal.socket_set_metatable(kind, state_numbers[state], {
            __index = index, __gc = methods.close, __name = class, __tostring = to_string,
            [kind .. "{any}"] = true, [class] = true,
        })
    end
end

-- Make a kind: the C methods of those names, and those of the parts.
function kinds.define(kind, states, names, ...)
    local all, methods = internal.socket_methods(kind), {}
    for name in names:gmatch "%S+" do
        methods[name] = all[name]
    end
    for _, part in ipairs {...} do
        for name, method in pairs(part) do
            methods[name] = method
        end
    end
    define(kind, states, methods)
end

function kinds.make(kind, state, family)
    return internal.socket_new(kind, state_numbers[state], family)
end

function kinds.become(object, state)
    internal.socket_set_state(object, state_numbers[state])
end

return kinds
