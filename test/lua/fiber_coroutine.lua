-- SPDX-License-Identifier: BSL-1.0
-- fiber and coroutine together: suspension from user coroutines, and where it is impossible.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, byte_span =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.byte_span
local coroutine = thrum.coroutine

local stock_coroutine = h.stock_coroutine

local function cannot_suspend(f, ...)
    return h.raises_text("fiber", "A fiber cannot be suspended here", f, ...)
end

t["test an operation in a coroutine suspends the whole fiber"] = function()
    local log = {}
    local co = coroutine.create(function(a)
        log[#log + 1] = a
        time.sleep(0.002)
        log[#log + 1] = "slept"
        local b = coroutine.yield("yielded")
        log[#log + 1] = b
        this_fiber.yield()
        return "returned"
    end)
    local other = spawn(function() log[#log + 1] = "other" end)
    local ok, value = coroutine.resume(co, "first")
    lu.assertTrue(ok)
    lu.assertEquals(value, "yielded")
    ok, value = coroutine.resume(co, "second")
    lu.assertTrue(ok)
    lu.assertEquals(value, "returned")
    lu.assertEquals(coroutine.status(co), "dead")
    other:join()
    lu.assertEquals(log, {"first", "other", "slept", "second"})
end

t["test a wrap iterator may do I/O at each step"] = function()
    local a, b = h.connected()
    local function datagrams(sock, count)
        return coroutine.wrap(function()
            local buf = byte_span.new(64)
            for i = 1, count do
                local n = sock:receive(buf)
                coroutine.yield(i, tostring(buf:slice(1, n)))
            end
        end)
    end
    local sender = spawn(function()
        for i = 1, 10 do
            time.sleep(0)
            b:send("datagram " .. i)
        end
    end)
    local seen = 0
    for i, text in datagrams(a, 10) do
        seen = seen + 1
        lu.assertEquals(text, "datagram " .. i)
    end
    lu.assertEquals(seen, 10)
    sender:join()
    a:close()
    b:close()
end

t["test suspension passes through several levels of coroutines"] = function()
    local function level(n)
        if n == 0 then
            time.sleep(0.001)
            this_fiber.yield()
            return 0
        end
        local wrapped = coroutine.wrap(function()
            coroutine.yield(level(n - 1))
            time.sleep(0)
            return "done"
        end)
        local inner = wrapped()
        lu.assertEquals(wrapped(), "done")
        return inner + 1
    end
    for _, depth in ipairs {1, 2, 3, 10, 50} do
        lu.assertEquals(level(depth), depth)
    end
end

t["test many fibers suspend in nested coroutines at once without mixing"] = function()
    local fibers = {}
    for i = 1, 20 do
        fibers[i] = spawn(function()
            local sum = 0
            local numbers = coroutine.wrap(function()
                for k = 1, 10 do
                    time.sleep(0.0001 * ((i + k) % 3))
                    coroutine.yield(i * 100 + k)
                end
            end)
            for n in numbers do
                sum = sum + n
            end
            return sum
        end)
    end
    for i = 1, 20 do
        lu.assertEquals(fibers[i]:join(), i * 1000 + 55)
    end
end

t["test an error after a suspension inside a coroutine reaches resume"] = function()
    local co = coroutine.create(function()
        time.sleep(0)
        error("from inside", 0)
    end)
    local ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertEquals(err, "from inside")
    lu.assertEquals(coroutine.status(co), "dead")
end

t["test a fiber is interrupted while it waits inside a coroutine"] = function()
    local fiber = h.start(function()
        local wrapped = coroutine.wrap(function()
            local ok, err = pcall(time.sleep, 3600)
            coroutine.yield(ok, h.is_interruption(err))
        end)
        return wrapped()
    end)
    fiber:interrupt()
    local ok, is_interruption = fiber:join()
    lu.assertFalse(ok)
    lu.assertTrue(is_interruption)
end

t["test an interruption out of a coroutine ends the fiber as interrupted"] = function()
    local fiber = h.start(function()
        coroutine.wrap(function() time.sleep(3600) end)()
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

t["test resume and wrap calls are interruption points, checked before the callee runs"] = function()
    local self, ran
    self = spawn(function()
        local co = coroutine.create(function() ran = true end)
        local wrapped = coroutine.wrap(function() ran = true end)
        self:interrupt()
        local ok, err = h.pcall_inside(coroutine.resume, co)
        local ok_wrap, err_wrap = h.pcall_inside(wrapped)
        return ok, err, ok_wrap, err_wrap
    end)
    local ok, err, ok_wrap, err_wrap = self:join()
    lu.assertFalse(ok)
    lu.assertFalse(ok_wrap)
    lu.assertTrue(h.is_interruption(err))
    lu.assertTrue(h.is_interruption(err_wrap))
    lu.assertNil(ran)
end

-- Coroutines at work, outermost first, while `look` is called: nested, and each the other's by one
-- of the library's two ways; the innermost waits in `wait`.
local function at_work(wait, look)
    local cos, inner_wrap = {}, nil
    cos[1] = coroutine.create(function()
        inner_wrap = coroutine.wrap(function()
            cos[2] = coroutine.running()
            cos[3] = coroutine.create(wait)
            return coroutine.resume(cos[3])
        end)
        return inner_wrap()
    end)
    local owner = h.start(coroutine.resume, cos[1])
    look(cos, inner_wrap, owner)
end

local function meddle(cos, wrapped)
    for _, co in ipairs(cos) do
        lu.assertEquals(coroutine.status(co), "normal")
        h.raises("EPERM", coroutine.resume, co, "meddling")
        lu.assertEquals(coroutine.status(co), "normal")
    end
    h.raises("EPERM", wrapped, "meddling")
end

t["test a coroutine that waits is normal for others, who get EPERM for a resume"] = function()
    local gate = thrum.channel.new()
    at_work(function() return gate:receive() end, function(cos, wrapped, owner)
        meddle(cos, wrapped) -- from the case's fiber, or outside any
        spawn(meddle, cos, wrapped):join()
        spawn(function() coroutine.wrap(meddle)(cos, wrapped) end):join()
        gate:send("unharmed")
        lu.assertEquals({owner:join()}, {true, true, "unharmed"})
        for _, co in ipairs(cos) do
            lu.assertEquals(coroutine.status(co), "dead")
            local ok, err = coroutine.resume(co)
            lu.assertFalse(ok)
            lu.assertEquals(err, "cannot resume dead coroutine")
        end
    end)
end

t["test a coroutine whose fiber is ready to go on is at work, too"] = function()
    at_work(function()
        for _ = 1, 10 do
            this_fiber.yield()
        end
        return "unharmed"
    end, function(cos, wrapped, owner)
        meddle(cos, wrapped)
        lu.assertEquals({owner:join()}, {true, true, "unharmed"})
    end)
end

-- The caller outside drives the loop from inside its coroutines; they have yielded to nobody.
t["test a coroutine in which the caller waits is at work for the fibers that run"] = function()
    local seen
    local cos, own = {}, coroutine.running()
    local other = spawn(function()
        local ok, err = pcall(function()
            meddle(cos, cos.wrapped)
            h.raises("EPERM", coroutine.resume, own)
        end)
        seen = ok or err
    end)
    cos[1] = coroutine.create(function()
        cos.wrapped = coroutine.wrap(function()
            cos[2] = coroutine.running()
            other:join()
        end)
        cos.wrapped()
    end)
    assert(coroutine.resume(cos[1]))
    lu.assertEquals(seen, true)
end

t["test a coroutine's own fiber gets the error of plain Lua"] = function()
    local co
    co = coroutine.create(function()
        this_fiber.yield()
        return coroutine.wrap(function() return coroutine.status(co), coroutine.resume(co) end)()
    end)
    local owner = h.start(coroutine.resume, co)
    lu.assertEquals({owner:join()},
        {true, "normal", false, "cannot resume non-suspended coroutine"})
end

-- A finalizer runs in whatever fiber has allocated, and once more when the state closes.
t["test finalizers are others, also when the state closes"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local co = coroutine.create(function() time.sleep(3600) end)
        local wrapped
        spawn(function() coroutine.resume(co) end):detach()
        spawn(function()
            wrapped = coroutine.wrap(function() time.sleep(3600) end)
            wrapped()
        end):detach()
        this_fiber.yield()
        local function look()
            print(coroutine.status(co))
            for _, f in ipairs {function() return coroutine.resume(co) end, wrapped} do
                local ok, err = pcall(f)
                print(ok, err == generic_error.EPERM)
            end
        end
        setmetatable({}, {__gc = look})
        collectgarbage()
        kept = setmetatable({}, {__gc = look})
        os.exit(true, true)]])
    lu.assertEquals(status, 0)
    lu.assertEquals(output, ("normal\nfalse\ttrue\nfalse\ttrue\n"):rep(2))
end

t["test a coroutine may be begun in one fiber and continued in another"] = function()
    local co = coroutine.create(function()
        time.sleep(0)
        coroutine.yield(this_fiber.id)
        time.sleep(0)
        return this_fiber.id
    end)
    local function step()
        local _, id = coroutine.resume(co)
        return id, this_fiber.id
    end
    local seen, id = spawn(step):join()
    lu.assertEquals(seen, id)
    seen, id = spawn(step):join()
    lu.assertEquals(seen, id)
end

t["test a coroutine dropped in the middle of its iteration is collected"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    do
        local wrapped = coroutine.wrap(function()
            local marker = {}
            weak[marker] = true
            time.sleep(0)
            coroutine.yield(1)
            return marker
        end)
        lu.assertEquals(wrapped(), 1)
    end
    spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
end

-- places where suspension is impossible

t["test a gsub callback cannot suspend, and nothing was started"] = function()
    local before = thrum.stats().operations
    cannot_suspend(string.gsub, "x", "x", function() time.sleep(0) end)
    lu.assertEquals(thrum.stats().operations, before)
    time.sleep(0)
end

t["test a sort comparator cannot suspend"] = function()
    cannot_suspend(table.sort, {2, 1, 3}, function(a, b)
        this_fiber.yield()
        return a < b
    end)
end

t["test a metamethod called from C cannot suspend"] = function()
    local object = setmetatable({}, {__tostring = function() time.sleep(0) end})
    cannot_suspend(tostring, object)
    local sorted = setmetatable({}, {__lt = function() time.sleep(0) end})
    cannot_suspend(table.sort, {sorted, sorted})
end

t["test a metamethod called from Lua may suspend"] = function()
    local object = setmetatable({}, {
        __index = function(_, key)
            time.sleep(0)
            return key
        end,
        __add = function()
            this_fiber.yield()
            return "sum"
        end,
    })
    lu.assertEquals(object.field, "field")
    lu.assertEquals(object + 1, "sum")
end

t["test pcall, xpcall, load, for iterators and dofile's kin behave at a suspension"] = function()
    lu.assertTrue((pcall(time.sleep, 0)))
    lu.assertTrue((xpcall(time.sleep, debug.traceback, 0)))
    lu.assertTrue((pcall(pcall, pcall, time.sleep, 0)))
    load("(...)(0)")(time.sleep)
    local count = 0
    for _ in function() time.sleep(0) count = count + 1 return count < 3 or nil end do
        this_fiber.yield()
    end
    lu.assertEquals(count, 3)
    local _, chunk, err = pcall(load, function() time.sleep(0) end)
    lu.assertNil(chunk)
    lu.assertEquals(tostring(err.category), "fiber")
end

t["test a finalizer cannot suspend"] = function()
    local answer
    setmetatable({}, {__gc = function() answer = table.pack(pcall(time.sleep, 0)) end})
    collectgarbage()
    collectgarbage()
    lu.assertNotNil(answer)
    lu.assertFalse(answer[1])
    lu.assertEquals(tostring(answer[2].category), "fiber")
end

t["test a debug hook cannot suspend"] = function()
    local answer
    debug.sethook(function()
        debug.sethook()
        answer = table.pack(pcall(time.sleep, 0))
    end, "l")
    local _ = 1
    debug.sethook()
    lu.assertNotNil(answer)
    lu.assertFalse(answer[1])
end

t["test every suspending call is refused where it cannot suspend, and starts nothing"] = function()
    local a, b = h.connected()
    local buf = byte_span.new(8)
    local fiber = h.start(time.sleep, 3600)
    local before = thrum.stats().operations
    local calls = {
        function() time.sleep(0) end,
        function() this_fiber.yield() end,
        function() fiber:join() end,
        function() a:receive(buf) end,
        function() a:receive_from(buf) end,
    }
    for _, call in ipairs(calls) do
        cannot_suspend(string.gsub, "x", "x", call)
    end
    lu.assertEquals(thrum.stats().operations, before)
    lu.assertEquals(b:io_control("bytes_readable"), 0)
    lu.assertTrue(fiber.joinable)
    fiber:interrupt()
    fiber:join()
    a:close()
    b:close()
end

t["test a coroutine resumed across a C boundary cannot suspend but may yield"] = function()
    local values = {}
    local wrapped = coroutine.wrap(function()
        coroutine.yield("a")
        local ok, err = pcall(time.sleep, 0)
        coroutine.yield(not ok and tostring(err.category))
        coroutine.yield("c")
    end)
    string.gsub("123", "%d", function() values[#values + 1] = wrapped() end)
    lu.assertEquals(values, {"a", "fiber", "c"})
    time.sleep(0)
end

t["test a coroutine begun across a C boundary can suspend once resumed outside it"] = function()
    local co = coroutine.create(function()
        coroutine.yield()
        time.sleep(0)
        return "suspended"
    end)
    string.gsub("x", "x", function() coroutine.resume(co) end)
    local ok, value = coroutine.resume(co)
    lu.assertTrue(ok)
    lu.assertEquals(value, "suspended")
end

t["test a coroutine resumed by a stock resume is refused with the remedy"] = function()
    lu.skipIf(not stock_coroutine, "the program has no stock coroutine library")
    local co = stock_coroutine.create(function()
        cannot_suspend(time.sleep, 0)
        local ok, err = pcall(time.sleep, 0)
        return ok, tostring(err)
    end)
    local resumed, ok, text = stock_coroutine.resume(co)
    lu.assertTrue(resumed)
    lu.assertFalse(ok)
    h.assert_contains(text, "prelude")
    time.sleep(0)
end
