-- SPDX-License-Identifier: BSL-1.0
-- What ip.connect and ip.connect_any do once their arguments have been checked (ip_connect.c). A
-- list of endpoints is flat: address, port, address, port, ...
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.ip")

local pcall, error, ipairs, pairs, tostring, type = thrum.pcall, error, ipairs, pairs, tostring,
    type
local max, huge = math.max, math.huge
local spawn, named = thrum.spawn, thrum.fiber.named
local new_socket, new_timer = thrum.ip.tcp.socket.new, thrum.time.steady_timer.new
local ECANCELED = thrum.generic_error.ECANCELED

-- ---- one after the other ----

-- Whether it is about more than one endpoint: the socket was cancelled or closed, the fiber was
-- interrupted or cannot be suspended, memory has run out.
local function is_final(err)
    return type(err) ~= "table" or err == ECANCELED or tostring(err.category) == "fiber"
end

local function connect(sock, list, condition)
    local last_error
    for i = 1, #list, 2 do
        local addr, port = list[i], list[i + 1]
        if not condition or condition(last_error, addr, port) then
            sock:close()
            local n_expired = internal.expired_scopes()
            local ok, err = pcall(sock.connect, sock, addr, port)
            if ok then
                return addr, port
            elseif is_final(err) or internal.expired_scopes() > n_expired then
                error(err, 0) -- the time of a with_timeout round all of this, in the latter case
            end
            last_error = err
        end
    end
    if last_error then
        error(last_error, 0)
    end
    internal.raise("not_found", "ip.connect")
end

-- ---- all of them, one a little later than the other: RFC 8305 ----

-- The families take turns, beginning with the first one's.
local function interleave(list)
    local same, other, order = {}, {}, {}
    for i = 1, #list, 2 do
        local family = list[i].is_v6 == list[1].is_v6 and same or other
        family[#family + 1] = {addr = list[i], port = list[i + 1]}
    end
    for i = 1, max(#same, #other) do
        order[#order + 1] = same[i]
        order[#order + 1] = other[i]
    end
    return order
end

-- A race: `winner` is the attempt that has connected; `socks` are those that are not closed.

local function attempt(race, try)
    local sock = try.sock
    if race.is_over or race.winner then -- before it could begin: a connect would open the socket
        race.n_pending = race.n_pending - 1
        return
    end
    local ok, err = pcall(sock.connect, sock, try.addr, try.port)
    race.n_pending = race.n_pending - 1
    if ok and not race.winner and not race.is_over then
        race.winner = try
    else
        sock:close()
        race.socks[sock] = nil
        race.last_error = not ok and err or race.last_error
    end
    race.timer:cancel()
end

local function start(race, try)
    try.sock = new_socket()
    race.socks[try.sock] = true
    spawn(named("ip.connect_any", attempt), race, try):detach()
    race.n_pending = race.n_pending + 1
end

-- Until an attempt has ended, or for so many seconds.
local function wait(race, seconds)
    race.timer:expires_after(seconds)
    local ok, err = pcall(race.timer.wait, race.timer)
    if not ok and err ~= ECANCELED then
        error(err, 0)
    end
end

local function run(race, order, delay)
    for _, try in ipairs(order) do
        if race.n_pending > 0 then
            wait(race, delay)
        end
        if race.winner then
            return
        end
        start(race, try)
    end
    while not race.winner and race.n_pending > 0 do
        wait(race, huge)
    end
end

local function connect_any(list, delay)
    if #list == 0 then
        internal.raise("not_found", "ip.connect_any")
    end
    local race = {timer = new_timer(), socks = {}, n_pending = 0}
    local ok, err = pcall(run, race, interleave(list), delay)
    local winner = ok and race.winner or nil
    race.is_over = true
    for sock in pairs(race.socks) do
        if not winner or sock ~= winner.sock then
            sock:close()
        end
    end
    if winner then
        return winner.sock, winner.addr, winner.port
    end
    error(not ok and err or race.last_error, 0)
end

return {connect = connect, connect_any = connect_any}
