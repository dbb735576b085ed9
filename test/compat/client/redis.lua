-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- redis-lua in several fibers: redis.lua CASE (PORT | PATH) N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local redis = require "redis"
local where, n = arg[2], math.tointeger(arg[3])

local cases = {}

local function join_all(fibers)
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
end

local function connect()
    return redis.connect("127.0.0.1", where)
end

local function use(i)
    local client = connect()
    local key = "key " .. i
    assert(client:set(key, ("value %d\r\n"):format(i)))
    assert(client:get(key) == ("value %d\r\n"):format(i))
    client:incrby("sum", i)
    client:rpush("list " .. i, "a")
    client:rpush("list " .. i, ("b"):rep(100000))
    local list = client:lrange("list " .. i, 0, -1)
    assert(list[1] == "a" and #list[2] == 100000)
    client:hmset("hash " .. i, {name = "fiber", number = i})
    assert(client:hgetall("hash " .. i).number == tostring(i))
    client:transaction(function(t)
        t:incr("done")
        t:del(key)
    end)
    assert(client:exists(key) == false)
    client:quit()
end

function cases.together()
    local client = connect()
    client:flushdb()
    local fibers = {}
    for i = 1, n do
        fibers[i] = spawn(use, i)
    end
    join_all(fibers)
    assert(tonumber(client:get("sum")) == n * (n + 1) // 2)
    print(("%s of %d"):format(client:get("done"), n))
    client:quit()
end

-- Each waits before anything is pushed: what is blocked is known to the server.
function cases.blocked()
    local client = connect()
    client:flushdb()
    local n_popped, fibers = 0, {}
    for i = 1, n do
        fibers[i] = spawn(function()
            local own = connect()
            local reply = own:blpop("queue " .. i, 10)
            assert(reply[2] == "for " .. i)
            n_popped = n_popped + 1
            own:quit()
        end)
    end
    repeat
        local info = client:info()
    until tonumber(info.clients.blocked_clients) == n
    assert(n_popped == 0)
    for i = 1, n do
        client:lpush("queue " .. i, "for " .. i)
    end
    join_all(fibers)
    print(n_popped .. " popped")
    client:quit()
end

function cases.subscribed()
    local publisher = connect()
    local subscriber = connect()
    local fiber
    local n_heard = 0
    for message, abort in subscriber:pubsub {subscribe = {"channel"}} do
        if message.kind == "subscribe" then
            fiber = spawn(function()
                for i = 1, n do
                    assert(publisher:publish("channel", "message " .. i) == 1)
                end
            end)
        elseif message.kind == "message" then
            n_heard = n_heard + 1
            assert(message.payload == "message " .. n_heard)
            if n_heard == n then
                abort()
            end
        end
    end
    fiber:join()
    print(n_heard .. " heard")
end

function cases.unix()
    local client = redis.connect {scheme = "unix", path = where}
    print(client:ping() and "PONG")
    client:quit()
end

cases[arg[1]]()
