-- SPDX-License-Identifier: BSL-1.0
-- socket.newtry, protect and skip: exceptions of LuaSocket's own.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local error, getmetatable, select, setmetatable, tostring = error, getmetatable, select,
    setmetatable, tostring
local pcall, args = thrum.pcall, internal.part "socket_args"

-- What try throws, and nobody else: a list with the message.
local exception = {__name = "socket.exception", __tostring = function(self)
    return tostring(self[1])
end}

local function newtry(finalizer)
    if finalizer ~= nil then
        args.type(1, "newtry", "function", finalizer)
    end
    return function(...)
        if ... then
            return ...
        end
        if finalizer then
            finalizer()
        end
        error(setmetatable({(select(2, ...))}, exception), 0)
    end
end

local function unwrap(ok, ...)
    if ok then
        return ...
    end
    local err = ...
    if type(err) == "table" and getmetatable(err) == exception then
        return nil, err[1]
    end
    error(err, 0)
end

local function protect(...)
    local f = args.type(1, "protect", "function", (...), select("#", ...))
    return function(...)
        return unwrap(pcall(f, ...))
    end
end

local function skip(...)
    local n = select("#", ...)
    local count = args.number(1, "skip", (...), n) // 1
    if count < 0 then
        return ...
    elseif count < n then
        return select((count | 0) + 2, ...)
    end
end

return {newtry = newtry, protect = protect, skip = skip}
