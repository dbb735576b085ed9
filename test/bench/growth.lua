-- SPDX-License-Identifier: BSL-1.0
-- Makes many of one thing and prints how the process grew: `count=N lua=BYTES process=BYTES`, both
-- per thing. Arguments: what, how many, and for receive_from the bytes of each fiber's own buffer
-- (0: all share one). The figures are those of measured.lua.
-- luacheck: globals ip byte_span spawn this_fiber time
local what, count, buffer_size = arg[1], tonumber(arg[2]), tonumber(arg[3] or 0)

local measured = dofile((arg[0]:match("^.*/") or "") .. "measured.lua")

-- Tables that the measurement itself needs are filled beforehand, so that they do not count.
local function filled(value)
    local list = {}
    for i = 1, count do
        list[i] = value
    end
    return list
end

local ports, kept = filled(0), filled(false)
local n_begun, n_woken = 0, 0

local function opened()
    local sock = ip.udp.socket.new()
    sock:open('v4')
    sock:bind(ip.address.loopback_v4(), 0)
    return sock
end

local function wait_until(holds)
    for _ = 1, 10000 do
        if holds() then
            return
        end
        time.sleep(0.001)
    end
    error(what .. ": not all fibers came so far")
end

local function suspended(f)
    for i = 1, count do
        spawn(function() f(i) end):detach()
    end
    wait_until(function() return n_begun == count end)
end

local make = {}

function make.coroutine()
    for i = 1, count do
        local co = coroutine.create(function() coroutine.yield(i) end)
        coroutine.resume(co)
        kept[i] = co
    end
end

function make.socket()
    for i = 1, count do
        kept[i] = opened()
    end
end

function make.sleep()
    suspended(function()
        n_begun = n_begun + 1
        time.sleep(1000)
    end)
end

function make.receive_from()
    local shared = byte_span.new(64)
    suspended(function(i)
        local sock = opened()
        local buf = buffer_size > 0 and byte_span.new(buffer_size) or shared
        ports[i] = sock.local_port
        n_begun = n_begun + 1
        sock:receive_from(buf)
        n_woken = n_woken + 1
    end)
end

-- A fiber that was not suspended in receive_from does not answer to this.
local function wake_all()
    local sender = opened()
    for i = 1, count do
        sender:send_to("!", ip.address.loopback_v4(), ports[i])
        if i % 100 == 0 then
            this_fiber.yield()
        end
    end
    wait_until(function() return n_woken == count end)
end

local lua_before, process_before = measured()
make[what]()
local lua_after, process_after = measured()
io.stdout:write(string.format("count=%d lua=%.1f process=%.1f\n", count,
    (lua_after - lua_before) / count, (process_after - process_before) / count))
io.stdout:flush()
if what == "receive_from" then
    wake_all()
end
os.exit(true)
