-- SPDX-License-Identifier: BSL-1.0
-- coroutine: the fiber-aware library keeps what the stock one means. Suspension through it:
-- fiber_coroutine.lua.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local coroutine = thrum.coroutine

t["test the library has the functions of the stock one"] = function()
    local names = {}
    for name in pairs(coroutine) do
        names[#names + 1] = name
    end
    table.sort(names)
    lu.assertEquals(names, {"create", "isyieldable", "resume", "running", "status", "wrap",
        "yield"})
end

t["test the program and the prelude put it in the stock one's place"] = function()
    lu.assertTrue(rawequal(_G.coroutine, coroutine))
    lu.assertTrue(rawequal(require("coroutine"), coroutine))
    lu.assertTrue(rawequal(require("thrum.coroutine"), coroutine))
end

t["test resume and yield pass values both ways"] = function()
    local co = coroutine.create(function(...)
        local first = table.pack(...)
        local second = table.pack(coroutine.yield(first.n, nil))
        return second.n, second[3]
    end)
    local results = table.pack(coroutine.resume(co, 1, nil, nil))
    lu.assertEquals(results.n, 3)
    lu.assertTrue(results[1])
    lu.assertEquals(results[2], 3)
    lu.assertNil(results[3])
    results = table.pack(coroutine.resume(co, nil, nil, "third"))
    lu.assertEquals(results.n, 3)
    lu.assertEquals(results[2], 3)
    lu.assertEquals(results[3], "third")
end

t["test resume takes and gives hundreds of values"] = function()
    local values = {}
    for i = 1, 240 do
        values[i] = i
    end
    local co = coroutine.create(function(...) return select("#", coroutine.yield(...)), ... end)
    lu.assertEquals(select("#", coroutine.resume(co, table.unpack(values))), 241)
    local _, count = coroutine.resume(co, table.unpack(values))
    lu.assertEquals(count, 240)
end

t["test a dead coroutine cannot be resumed"] = function()
    local co = coroutine.create(function() end)
    lu.assertTrue((coroutine.resume(co)))
    local ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertEquals(err, "cannot resume dead coroutine")
    lu.assertEquals(coroutine.status(co), "dead")
end

t["test an error kills the coroutine and comes out of resume as it is"] = function()
    local value = {}
    local co = coroutine.create(function() error(value) end)
    local ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertEquals(coroutine.status(co), "dead")
end

t["test wrap raises the error, with position for a text, as it is otherwise"] = function()
    local wrapped = coroutine.wrap(function() error("text", 0) end)
    local ok, err = pcall(function() wrapped() end)
    lu.assertFalse(ok)
    h.assert_contains(err, "coroutine.lua:")
    h.assert_contains(err, "text")
    local value = {}
    ok, err = pcall(coroutine.wrap(function() error(value) end))
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    local dead = coroutine.wrap(function() end)
    dead()
    ok, err = pcall(dead)
    lu.assertFalse(ok)
    h.assert_contains(err, "cannot resume dead coroutine")
end

t["test status: suspended, running, normal, dead"] = function()
    local outer
    outer = coroutine.create(function()
        lu.assertEquals(coroutine.status(outer), "running")
        local inner = coroutine.create(function() return coroutine.status(outer) end)
        lu.assertEquals(coroutine.status(inner), "suspended")
        local _, status = coroutine.resume(inner)
        lu.assertEquals(status, "normal")
        lu.assertEquals(coroutine.status(inner), "dead")
        coroutine.yield()
    end)
    lu.assertEquals(coroutine.status(outer), "suspended")
    local ok, err = coroutine.resume(outer)
    lu.assertTrue(ok, err)
    lu.assertEquals(coroutine.status(outer), "suspended")
    coroutine.resume(outer)
    lu.assertEquals(coroutine.status(outer), "dead")
end

t["test running tells the fiber's own coroutine as main, others not"] = function()
    local me, is_main = coroutine.running()
    lu.assertEquals(type(me), "thread")
    lu.assertTrue(is_main)
    lu.assertEquals(coroutine.status(me), "running")
    local co
    co = coroutine.create(function()
        local inner, inner_is_main = coroutine.running()
        return rawequal(inner, co), inner_is_main
    end)
    local _, is_same, inner_is_main = coroutine.resume(co)
    lu.assertTrue(is_same)
    lu.assertFalse(inner_is_main)
end

t["test isyieldable in a fiber, in a coroutine and across a C boundary"] = function()
    lu.assertFalse(coroutine.isyieldable()) -- the fiber's coroutine is the scheduler's
    lu.assertTrue(coroutine.wrap(function() return coroutine.isyieldable() end)())
    local answer
    coroutine.wrap(function()
        string.gsub("x", "x", function() answer = coroutine.isyieldable() end)
    end)()
    lu.assertFalse(answer)
end

t["test yield outside a user coroutine is refused: the coroutine is the scheduler's"] = function()
    h.raises_text("fiber", "The fiber coroutine is reserved to the scheduler", coroutine.yield, 1)
    thrum.this_fiber.yield()
end

t["test yield across a C boundary is an error and no crash"] = function()
    local co = coroutine.create(function()
        string.gsub("x", "x", function() coroutine.yield() end)
    end)
    local ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    h.assert_contains(tostring(err), "C-call boundary")
end

t["test a coroutine cannot resume itself, its parent or the fiber"] = function()
    local fiber_co = coroutine.running()
    local ok, err = coroutine.resume(fiber_co)
    lu.assertFalse(ok)
    lu.assertEquals(err, "cannot resume non-suspended coroutine")
    local co
    co = coroutine.create(function()
        local _, own = coroutine.resume(co)
        local _, parent = coroutine.resume(fiber_co)
        return own, parent
    end)
    local _, own, parent = coroutine.resume(co)
    lu.assertEquals(own, "cannot resume non-suspended coroutine")
    lu.assertEquals(parent, "cannot resume non-suspended coroutine")
end

t["test one fiber cannot resume another that waits or is ready"] = function()
    local waiting_co, ready_co
    local waiting = h.start(function()
        waiting_co = coroutine.running()
        thrum.time.sleep(0.01)
        return "unharmed"
    end)
    local ready = thrum.spawn(function()
        ready_co = coroutine.running()
        for _ = 1, 5 do
            thrum.this_fiber.yield()
        end
        return "unharmed too"
    end)
    thrum.this_fiber.yield()
    for _, co in ipairs {waiting_co, ready_co} do
        lu.assertEquals(coroutine.status(co), "normal")
        h.raises("EPERM", coroutine.resume, co, "meddling")
        lu.assertEquals(coroutine.status(co), "normal")
    end
    lu.assertEquals(waiting:join(), "unharmed")
    lu.assertEquals(ready:join(), "unharmed too")
end

-- With the words of Lua's own: plain_lua.lua.
t["test create, wrap, resume and status refuse other values"] = function()
    local function refuses(expected, f, ...)
        local ok, err = pcall(f, ...)
        lu.assertFalse(ok)
        lu.assertEquals(type(err), "string")
        h.assert_contains(err, "bad argument #1 to 'coroutine.")
        h.assert_contains(err, expected .. " expected")
    end
    for _, bad in ipairs {1, "x", true, {}, coroutine.create(print)} do
        refuses("function", coroutine.create, bad)
        refuses("function", coroutine.wrap, bad)
    end
    for _, bad in ipairs {1, "x", true, {}, print} do
        refuses("thread", coroutine.resume, bad)
        refuses("thread", coroutine.status, bad)
    end
    refuses("function", coroutine.create)
    refuses("function", coroutine.wrap)
    refuses("thread", coroutine.resume)
    refuses("thread", coroutine.status)
end

t["test ten thousand coroutines are collected"] = function()
    for _ = 1, h.is_slow and 100 or 10000 do
        local wrapped = coroutine.wrap(function() coroutine.yield(1) end)
        lu.assertEquals(wrapped(), 1)
    end
end

t["test resume nested too deep is an error and no crash"] = function()
    local deepest = 0
    local function nest(depth)
        deepest = depth
        local co = coroutine.create(nest)
        local ok, err = coroutine.resume(co, depth + 1)
        if not ok then
            error(err, 0)
        end
    end
    local ok, err = pcall(nest, 1)
    lu.assertFalse(ok)
    h.assert_contains(tostring(err), "stack overflow")
    lu.assertTrue(deepest > 100)
    thrum.this_fiber.yield()
end
