-- SPDX-License-Identifier: BSL-1.0
-- What LuaSocket has in Lua, too: connect4, connect6, bind, choose, and sources and sinks as LTN12
-- has them. The chunk returns a function that adds them to the module.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local error, ipairs, setmetatable, tostring, type = error, ipairs, setmetatable, tostring, type
local min = math.min

local function choose(choices)
    return function(name, a, b)
        if type(name) ~= "string" then
            name, a, b = "default", name, a
        end
        local f = choices[name]
        if not f then
            error("unknown key (" .. tostring(name) .. ")", 3)
        end
        return f(a, b)
    end
end

-- An object that select takes for the socket, called by the pump.
local function wrap(sock, call)
    return setmetatable({
        getfd = function() return sock:getfd() end,
        dirty = function() return sock:dirty() end,
    }, {__call = call})
end

local sinkt = {}

sinkt["close-when-done"] = function(sock)
    return wrap(sock, function(_, chunk)
        if chunk then
            return sock:send(chunk)
        end
        sock:close()
        return 1
    end)
end

sinkt["keep-open"] = function(sock)
    return wrap(sock, function(_, chunk)
        if chunk then
            return sock:send(chunk)
        end
        return 1
    end)
end

sinkt.default = sinkt["keep-open"]

local function make_sources(M)
    local sourcet = {}

    sourcet["by-length"] = function(sock, length)
        return wrap(sock, function()
            if length <= 0 then
                return nil
            end
            local chunk, err = sock:receive(min(M.BLOCKSIZE, length))
            if err then
                return nil, err
            end
            length = length - #chunk
            return chunk
        end)
    end

    sourcet["until-closed"] = function(sock)
        local is_done = false
        return wrap(sock, function()
            if is_done then
                return nil
            end
            local chunk, err, partial = sock:receive(M.BLOCKSIZE)
            if not err then
                return chunk
            elseif err ~= "closed" then
                return nil, err
            end
            sock:close()
            is_done = true
            return partial
        end)
    end

    sourcet.default = sourcet["until-closed"]
    return sourcet
end

-- A server at the first of the host's addresses that can be bound.
local function bind(M, host, port, backlog)
    local list, err = M.dns.getaddrinfo(host == "*" and "0.0.0.0" or host)
    if not list then
        return nil, err
    end
    err = "no info on address"
    for _, entry in ipairs(list) do
        local sock, res
        sock, err = internal.part "socket_kinds".make("tcp", "master", entry.family)
        if not sock then
            return nil, err
        end
        sock:setoption("reuseaddr", true)
        res, err = sock:bind(entry.addr, port)
        if res then
            res, err = sock:listen(backlog)
        end
        if res then
            return sock
        end
        sock:close()
    end
    return nil, err
end

return function(M)
    function M.connect4(host, port, local_host, local_port)
        return M.connect(host, port, local_host, local_port, "inet")
    end

    function M.connect6(host, port, local_host, local_port)
        return M.connect(host, port, local_host, local_port, "inet6")
    end

    function M.bind(host, port, backlog)
        return bind(M, host, port, backlog)
    end

    M.try = M.newtry()
    M.choose = choose
    M.sinkt = sinkt
    M.sink = choose(sinkt)
    M.sourcet = make_sources(M)
    M.source = choose(M.sourcet)
end
