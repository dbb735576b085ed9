-- SPDX-License-Identifier: BSL-1.0
-- time: sleep and the clocks.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local time, spawn, this_fiber = thrum.time, thrum.spawn, thrum.this_fiber
local now = time.steady_clock.now

t["test sleep waits at least as long as it is told"] = function()
    for _, seconds in ipairs {0, 0.001, 0.01, 0.02} do
        local start = now()
        lu.assertEquals(select("#", time.sleep(seconds)), 0)
        lu.assertTrue(now() - start >= seconds)
    end
end

t["test sleepers wake in the order of their times and not of their start"] = function()
    local order, fibers = {}, {}
    for i, seconds in ipairs {0.030, 0.010, 0.020} do
        fibers[i] = spawn(function()
            time.sleep(seconds)
            order[#order + 1] = i
        end)
    end
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
    lu.assertEquals(order, {2, 3, 1})
end

t["test a sleeping fiber does not hold up the others"] = function()
    local count = 0
    local sleeper = spawn(time.sleep, 0.02)
    local worker = spawn(function()
        for _ = 1, 100 do
            count = count + 1
            this_fiber.yield()
        end
    end)
    worker:join()
    lu.assertEquals(count, 100)
    lu.assertTrue(sleeper.joinable)
    sleeper:join()
end

t["test sleep takes an integer, a float and a very long time"] = function()
    time.sleep(0)
    time.sleep(0.0)
    for _, seconds in ipairs {1e9, 1e300, math.huge, math.maxinteger} do
        local fiber = h.start(time.sleep, seconds)
        lu.assertTrue(fiber.joinable)
        fiber:interrupt()
        fiber:join()
        lu.assertTrue(fiber.interruption_caught)
    end
end

t["test sleep refuses what is no number of seconds"] = function()
    for _, bad in ipairs {-1, -0.001, 0 / 0, -math.huge, "1", true, {}, print} do
        h.raises_arg(1, time.sleep, bad)
    end
    h.raises_arg(1, time.sleep)
    h.raises_arg(1, time.sleep, nil)
end

-- Whatever takes seconds has one rule: 0 or more; what no clock reaches is for ever; nothing else
-- is a time. Each waits so long, for nothing that comes.
local places = {
    ["time.sleep"] = time.sleep,
    ["time.with_timeout"] = function(seconds)
        time.with_timeout(seconds, time.sleep, 3600)
    end,
    ["steady_timer.expires_after"] = function(seconds)
        local timer = time.steady_timer.new()
        timer:expires_after(seconds)
        timer:wait()
    end,
    ["system_timer.expires_after"] = function(seconds)
        local timer = time.system_timer.new()
        timer:expires_after(seconds)
        timer:wait()
    end,
    ["fiber.select"] = function(seconds)
        thrum.fiber.select {thrum.channel.new(), timeout = seconds}
    end,
    ["fiber.select without a case"] = function(seconds)
        thrum.fiber.select {timeout = seconds}
    end,
    ["a socket's timeout"] = function(seconds)
        local sock = h.bound()
        local ok, err = thrum.pcall(function()
            sock.timeout = seconds
            h.receive(sock)
        end)
        sock:close()
        if not ok then
            error(err, 0)
        end
    end,
    ["ip.connect_any's delay"] = function(seconds)
        thrum.ip.connect_any({}, {delay = seconds})
    end,
}

t["test every place that takes seconds refuses what is no time"] = function()
    for name, wait in pairs(places) do
        for _, bad in ipairs {-1, -1e-9, -1e300, -math.huge, 0 / 0, -(0 / 0), "1", true, {}} do
            local err = h.raises("EINVAL", wait, bad)
            h.assert_contains(tostring(err), "number of seconds, 0 or more", name)
        end
    end
end

t["test every place that takes seconds waits for ever where no clock gets to"] = function()
    places["ip.connect_any's delay"] = nil -- it waits for nobody
    for name, wait in pairs(places) do
        for _, seconds in ipairs {9e9, 9.3e9, 1e18, 1e300, math.huge, math.maxinteger} do
            local fiber = h.start(wait, seconds)
            time.sleep(0)
            lu.assertTrue(fiber.joinable, name)
            fiber:interrupt()
            fiber:join()
            lu.assertTrue(fiber.interruption_caught, name .. " " .. seconds)
        end
    end
end

-- LuaSocket's and Node's programs write less than nothing, and mean something else each.
t["test socket and dgram wait for ever where no clock gets to, too"] = function()
    local socket, never = thrum.socket, {9.3e9, 1e300, math.huge, math.maxinteger}
    local function waits(name, seconds, f, ...)
        local fiber = h.start(f, ...)
        time.sleep(0)
        lu.assertTrue(fiber.joinable, name .. " " .. seconds)
        fiber:interrupt()
        fiber:join()
        lu.assertTrue(fiber.interruption_caught, name .. " " .. seconds)
    end
    local sock = socket.udp4()
    sock:setsockname("127.0.0.1", 0)
    for i, seconds in ipairs {-1, -math.huge, 0 / 0, table.unpack(never)} do
        for _, mode in ipairs {"b", "t"} do
            sock:settimeout()
            sock:settimeout(nil, "t")
            sock:settimeout(seconds, mode)
            waits("settimeout", seconds, sock.receive, sock)
        end
        waits("select", seconds, socket.select, {sock}, nil, seconds)
        if i > 3 then
            waits("sleep", seconds, socket.sleep, seconds)
        else
            socket.sleep(seconds)
        end
    end
    sock:close()
    for _, milliseconds in ipairs(never) do
        local emitting = thrum.dgram.createSocket "udp4"
        local is_over = false
        emitting:bind(0, "127.0.0.1")
        emitting:setTimeout(milliseconds, function() is_over = true end)
        h.let_others_run(10)
        lu.assertFalse(is_over)
        emitting:close()
        h.let_others_run(10)
    end
end

t["test a sleep of 0 lets others run, and is an interruption point"] = function()
    local order = {}
    local other = spawn(function() order[#order + 1] = "other" end)
    time.sleep(0)
    order[#order + 1] = "sleeper"
    lu.assertEquals(order, {"other", "sleeper"})
    other:join()
    local sleeper = spawn(function()
        while true do
            time.sleep(0)
        end
    end)
    time.sleep(0)
    sleeper:interrupt()
    sleeper:join()
    lu.assertTrue(sleeper.interruption_caught)
end

t["test an interrupted sleep ends at once"] = function()
    local start = now()
    local fiber = h.start(time.sleep, 3600)
    fiber:interrupt()
    lu.assertEquals(select("#", fiber:join()), 0)
    lu.assertTrue(fiber.interruption_caught)
    lu.assertTrue(now() - start < 10)
end

t["test a fiber can sleep again after an interrupted sleep was caught"] = function()
    local fiber = h.start(function()
        local ok, err = pcall(time.sleep, 3600)
        local again, err_again = h.pcall_inside(time.sleep, 0)
        return ok, err, again, err_again
    end)
    fiber:interrupt()
    local ok, err, again, err_again = fiber:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    lu.assertFalse(again) -- an interrupted fiber stays interrupted
    lu.assertTrue(h.is_interruption(err_again))
end

t["test the steady clock is a float that never goes back"] = function()
    lu.assertEquals(math.type(now()), "float")
    local last = now()
    for _ = 1, 1000 do
        local next_one = now()
        lu.assertTrue(next_one >= last)
        last = next_one
    end
end

t["test the system clock tells the time of day"] = function()
    local clock = time.system_clock.now()
    lu.assertEquals(math.type(clock), "float")
    lu.assertTrue(math.abs(clock - os.time()) <= 2)
end

t["test a thousand sleepers sleep at once"] = function()
    local count = h.is_slow and 50 or 1000
    local start, woken, fibers = now(), 0, {}
    for i = 1, count do
        fibers[i] = spawn(function()
            time.sleep(0.02 + i % 7 * 0.001)
            woken = woken + 1
        end)
    end
    for _, fiber in ipairs(fibers) do
        fiber:join()
    end
    lu.assertEquals(woken, count)
    lu.assertTrue(now() - start < 10)
end
