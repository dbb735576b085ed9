-- SPDX-License-Identifier: BSL-1.0
-- LuaSec on fibers. Its connections take the descriptor out of a tcp object and wait for it in C,
-- which would stop every fiber. So they are kept from waiting, with a timeout of 0, and say what
-- they want; their methods, which LuaSec lets one set, wait for that here, on a copy of the
-- descriptor, with the timeouts that the program has set.
--
-- LuaSec writes without regard to SIGPIPE, which LuaSocket has ignored for the whole process. Here
-- `native.quietly` keeps it away from LuaSec's calls, and from nothing else.
--
-- The chunk returns what makes `ssl.core`: a function that is given LuaSec's own, and changes it.
local thrum, native = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local getmetatable, pairs, select, setmetatable = getmetatable, pairs, select, setmetatable
local tonumber = tonumber
local concat = table.concat
local now = thrum.time.steady_clock.now
local args = thrum.socket and native.socket_args -- the module has to be there
local quietly, socket_copy, socket_wait = native.quietly, native.socket_copy, native.wait

-- What there is of a connection besides LuaSec's: its timeouts, and the copy, made when needed.
local states = setmetatable({}, {__mode = "k"})

local own -- LuaSec's methods

local function state_of(conn)
    local state = states[conn]
    if not state then
        state = {block = -1, total = -1}
        own.settimeout(conn, 0)
        states[conn] = state
    end
    return state
end

local wanted = {wantread = "read", wantwrite = "write"}

-- How long the next wait may be: for ever, or nil for not at all.
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

-- Wait for what the connection wants; false: there is no time, or it wants nothing.
local function wait(conn, state, want, start)
    local what = wanted[want]
    local seconds = what and time_left(state, start)
    if not seconds then
        return false
    elseif not state.copy then
        state.copy = socket_copy(conn:getfd())
    end
    if not state.copy then
        return false
    end
    return socket_wait(state.copy, what, seconds) -- also true when it was closed: it will say so
end

local methods = {}

function methods.settimeout(conn, ...)
    local seconds, mode = ...
    local state = state_of(conn)
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

function methods.dohandshake(conn, ...)
    local state, start = state_of(conn), now()
    local ok, err = quietly(own.dohandshake, conn, ...)
    while not ok and wait(conn, state, err, start) do
        ok, err = quietly(own.dohandshake, conn, ...)
    end
    if ok then
        return ok
    end
    return ok, err
end

-- What comes by and by is put together here: each call would copy it anew as its prefix, and "*a"
-- succeeds only in a call that has received something itself.
local function receive_rest(conn, state, pattern, err, prefix_size, first, start)
    local length, pieces, size = tonumber(pattern), {first}, #first
    while wait(conn, state, err, start) do
        local data, partial
        data, err, partial = quietly(own.receive, conn, length and length - size or pattern)
        local piece = data or partial
        pieces[#pieces + 1], size = piece, size + #piece
        if data or err == "closed" and pattern == "*a" and size > prefix_size then
            return concat(pieces)
        end
    end
    return nil, err, concat(pieces)
end

function methods.receive(conn, pattern, prefix)
    local state, start = state_of(conn), now()
    local data, err, partial = quietly(own.receive, conn, pattern, prefix)
    if data or not wanted[err] then
        return data, err, partial
    end
    return receive_rest(conn, state, pattern, err, #(prefix or ""), partial, start)
end

function methods.send(conn, data, i, j)
    local state, start = state_of(conn), now()
    local last, err, partial = quietly(own.send, conn, data, i, j)
    while not last and wait(conn, state, err, start) do
        last, err, partial = quietly(own.send, conn, data, partial + 1, j)
    end
    return last, err, partial
end

-- LuaSec blocks while the last bytes are taken by the system: let there be room for them.
function methods.close(conn)
    local state = states[conn]
    if state and state.copy then
        wait(conn, state, "wantwrite", now())
        states[conn] = nil
        state.copy:close()
    end
    return quietly(own.close, conn)
end

-- All connections have their methods from one table, which the first one shows.
local function patch(core, metatable)
    local index, collect = metatable.__index, metatable.__gc
    own = {}
    for name in pairs(methods) do
        own[name] = index[name]
    end
    for name, method in pairs(methods) do
        core.setmethod(name, method)
    end
    function metatable.__gc(conn) -- which says goodbye, too
        quietly(collect, conn)
    end
end

return function(core)
    local create = core.create
    function core.create(...)
        local conn, err = create(...)
        if conn and not own then
            patch(core, getmetatable(conn))
        end
        return conn, err
    end
    return core
end
