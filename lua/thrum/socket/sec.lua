-- SPDX-License-Identifier: BSL-1.0
-- LuaSec on fibers. Its connections take the descriptor out of a tcp object and wait for it in C;
-- kept from that (socket_foreign), they say what they want, and wait for it on a copy of the
-- descriptor.
--
-- The chunk returns what makes `ssl.core`: a function that is given LuaSec's own, and changes it.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local getmetatable, pairs = getmetatable, pairs
local now = thrum.time.steady_clock.now
local adapt, quietly = internal.part "socket_foreign", internal.quietly
local socket_copy, socket_wait = internal.socket_copy, internal.wait

local class = {name = "SSL:Connection"}

local wanted = {wantread = "read", wantwrite = "write"}

function class.wanted(err)
    return wanted[err]
end

function class.wait(conn, state, what, seconds)
    if not state.copy then
        state.copy = socket_copy(conn:getfd())
    end
    if not state.copy then
        return false
    end
    return socket_wait(state.copy, what, seconds) -- also true when it was closed: it will say so
end

local function make_methods()
    local own, adapted = class.own, adapt(class)
    local methods, wait = adapted.methods, adapted.wait

    function methods.dohandshake(conn, ...)
        local state, start = adapted.state_of(conn, "dohandshake"), now()
        local ok, err = quietly(own.dohandshake, conn, ...)
        while not ok and wait(conn, state, "read", err, start) do
            ok, err = quietly(own.dohandshake, conn, ...)
        end
        if ok then
            return ok
        end
        return ok, err
    end

    -- LuaSec blocks while the last bytes are taken by the system: let there be room for them.
    function methods.close(conn)
        local state = adapted.states[conn]
        if state and state.copy then
            wait(conn, state, "write", "wantwrite", now())
            adapted.states[conn] = nil
            state.copy:close()
        end
        return quietly(own.close, conn)
    end

    return methods
end

-- All connections have their methods from one table, which the first one shows.
local function patch(core, metatable)
    local index, collect = metatable.__index, metatable.__gc
    class.own, class.metatable = {}, metatable
    for name, method in pairs(index) do
        class.own[name] = method
    end
    for name, method in pairs(make_methods()) do
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
        if conn and not class.own then
            patch(core, getmetatable(conn))
        end
        return conn, err
    end
    return core
end
