-- SPDX-License-Identifier: BSL-1.0
-- emitter: listeners by luvit's rules and Node's. L: a row of the luvit checklist.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local emitter = thrum.emitter
local Emitter = emitter.Emitter
local generic_error = thrum.generic_error

-- A listener that notes its arguments, and what it has noted.
local function notes()
    local list = {}
    return function(...)
        list[#list + 1] = table.concat({...}, " ")
    end, list
end

-- ---- the module, and modules written in Lua ----

t["test the module is one table, however it is asked for"] = function()
    lu.assertIs(require "thrum.emitter", emitter)
    lu.assertIs(require "emitter", emitter)
    lu.assertIs(thrum.emitter, emitter)
end

t["test pairs shows the modules written in Lua, loaded or not"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local thrum = require "thrum"
        assert(rawget(thrum, "emitter") == nil)
        local names = {}
        for name, value in pairs(thrum) do names[name] = type(value) end
        assert(names.emitter == "table" and names.ip == "table" and names.spawn == "function")
        assert(rawget(thrum, "emitter") == require "emitter")
        assert(thrum.no_such_module == nil)]])
    lu.assertEquals(output, "")
    lu.assertEquals(status, 0)
end

t["test the file of a module written in Lua answers with the module in the library"] = function()
    local chunk = assert(loadfile(h.source .. "/lua/thrum/emitter.lua"))
    lu.assertIs(chunk("thrum.emitter", "lua/thrum/emitter.lua"), emitter)
end

t["test an error's where is the line of the script, not of a module written in Lua"] = function()
    local object = emitter.new()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = h.raises_arg(3, function() object:on("x", 1) end)
    h.assert_contains(err.where, "emitter.lua:" .. line)
    lu.assertEquals(err.op, "emitter.Emitter.on")
    lu.assertEquals(err.detail, "argument 3 (listener): function expected, got 1")
    h.assert_contains(tostring(err), "Invalid argument: emitter.Emitter.on: argument 3")
end

t["test a script that is called like a module of ours is still told by its line"] = function()
    local chunk = assert(load("local f = ... f()", "@thrum.emitter"))
    local err = h.raises("EINVAL", chunk, function(...) return thrum.ip.address.new(1, ...) end)
    h.assert_contains(err.where, ":")
    local direct = assert(load("local new = ... new(1)", "@thrum.emitter"))
    lu.assertEquals(h.raises("EINVAL", direct, thrum.ip.address.new).where, "thrum.emitter:1")
end

-- ---- on, emit ----

t["test on and emit: every listener in order, with the arguments (L04, L05)"] = function()
    local object = emitter.new()
    local first, of_first = notes()
    local second, of_second = notes()
    lu.assertIs(object:on("ping", first), object)
    lu.assertIs(object:addListener("ping", second), object)
    lu.assertIs(object:emit("ping", 1, "two"), object)
    object:emit("ping")
    lu.assertEquals(of_first, {"1 two", ""})
    lu.assertEquals(of_second, of_first)
    lu.assertEquals(object:listenerCount("ping"), 2)
end

t["test emit is false when nobody listens, else true to ask (Node)"] = function()
    local object = emitter.new()
    lu.assertFalse(object:emit("ping"))
    object:on("ping", function() end)
    lu.assertTrue(object:emit("ping") and true)
    lu.assertFalse(object:emit("pong"))
end

t["test arguments may be nil, the last as well"] = function()
    local object = emitter.new()
    local count
    object:on("x", function(...) count = select("#", ...) end)
    object:emit("x", nil, 1, nil)
    lu.assertEquals(count, 3)
end

t["test an event's name may be any value but nil"] = function()
    local object = emitter.new()
    local key = {}
    for _, name in ipairs {1, true, 2.5, key} do
        local listener, heard = notes()
        object:on(name, listener)
        object:emit(name, "x")
        lu.assertEquals(heard, {"x"})
    end
    h.raises_arg(2, object.on, object, nil, print)
    h.raises_arg(2, object.on, object, 0 / 0, print)
    h.raises_arg(2, object.emit, object)
end

t["test a listener that was added twice is called twice"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:on("x", listener):on("x", listener)
    object:emit("x", "y")
    lu.assertEquals(heard, {"y", "y"})
end

t["test an error in a listener comes out of emit, and the later ones are not called"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:on("x", function() error("the first fails", 0) end)
    object:on("x", listener)
    local ok, err = pcall(object.emit, object, "x")
    lu.assertFalse(ok)
    lu.assertEquals(err, "the first fails")
    lu.assertEquals(heard, {})
end

-- ---- once ----

t["test once: one time, and it is gone before it is called (L05)"] = function()
    local object = emitter.new()
    local heard = 0
    lu.assertIs(object:once("x", function()
        heard = heard + 1
        lu.assertEquals(object:listenerCount("x"), 0)
        object:emit("x")
    end), object)
    object:emit("x")
    object:emit("x")
    lu.assertEquals(heard, 1)
end

t["test a once among others keeps their order"] = function()
    local object = emitter.new()
    local heard = {}
    for i, add in ipairs {"on", "once", "on"} do
        object[add](object, "x", function() heard[#heard + 1] = i end)
    end
    object:emit("x")
    object:emit("x")
    lu.assertEquals(heard, {1, 2, 3, 1, 3})
end

t["test prependListener and prependOnceListener come first (Node)"] = function()
    local object = emitter.new()
    local heard = {}
    local function add(how, what)
        object[how](object, "x", function() heard[#heard + 1] = what end)
    end
    add("on", "on")
    add("prependListener", "first")
    add("prependOnceListener", "once")
    object:emit("x")
    object:emit("x")
    lu.assertEquals(heard, {"once", "first", "on", "first", "on"})
end

-- ---- changes while emitting ----

t["test a listener removed while emitting is not called (luvit)"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:on("x", function() object:removeListener("x", listener) end)
    object:on("x", listener)
    object:emit("x")
    lu.assertEquals(heard, {})
end

t["test a listener that removes itself while emitting disturbs no other"] = function()
    local object = emitter.new()
    local heard = {}
    local function remove_me()
        heard[#heard + 1] = "once"
        object:removeListener("x", remove_me)
    end
    object:on("x", remove_me)
    object:on("x", function() heard[#heard + 1] = "on" end)
    object:emit("x")
    object:emit("x")
    lu.assertEquals(heard, {"once", "on", "on"})
end

t["test a listener added while emitting is called from the next event on"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:once("x", function() object:on("x", listener) end)
    object:emit("x", 1)
    lu.assertEquals(heard, {})
    object:emit("x", 2)
    lu.assertEquals(heard, {"2"})
end

t["test removeAllListeners while emitting ends it"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:on("x", function() object:removeAllListeners() end)
    object:on("x", listener)
    object:emit("x")
    lu.assertEquals(heard, {})
    lu.assertFalse(object:emit("x"))
end

t["test a listener may suspend, and events that come meanwhile are delivered"] = function()
    local object = emitter.new()
    local heard = {}
    object:on("x", function(what)
        heard[#heard + 1] = what .. " begins"
        thrum.this_fiber.yield()
        heard[#heard + 1] = what .. " ends"
    end)
    local other = thrum.spawn(function() object:emit("x", "b") end)
    object:emit("x", "a")
    other:join()
    lu.assertEquals(heard, {"a begins", "b begins", "a ends", "b ends"})
end

-- ---- removing and counting ----

t["test removeListener gives the count, or nil when there was none (L05)"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    lu.assertNil(object:removeListener("x", listener))
    object:on("x", listener):once("x", listener):on("x", print)
    lu.assertEquals(object:removeListener("x", listener), 2)
    lu.assertNil(object:removeListener("x", listener))
    lu.assertEquals(object:listenerCount("x"), 1)
    lu.assertEquals(object:removeListener("x"), 1)
    lu.assertEquals(object:listenerCount("x"), 0)
    lu.assertEquals(heard, {})
end

t["test off is removeListener that gives the emitter (Node)"] = function()
    local object = emitter.new()
    object:on("x", print)
    lu.assertIs(object:off("x", print), object)
    lu.assertEquals(object:listenerCount("x"), 0)
end

t["test removeAllListeners of one event, and of all (L05)"] = function()
    local object = emitter.new()
    object:on("x", print):on("y", print):on("z", print)
    lu.assertIs(object:removeAllListeners("x"), object)
    lu.assertEquals({object:listenerCount("x"), object:listenerCount("y")}, {0, 1})
    object:removeAllListeners()
    lu.assertEquals({object:listenerCount("y"), object:listenerCount("z")}, {0, 0})
    emitter.new():removeAllListeners("x"):removeAllListeners()
end

t["test listeners are the functions, in a list of one's own (L05)"] = function()
    local object = emitter.new()
    lu.assertEquals(object:listeners("x"), {})
    object:on("x", print):once("x", error)
    local list = object:listeners("x")
    lu.assertEquals(list, {print, error})
    list[1] = nil
    lu.assertEquals(object:listenerCount("x"), 2)
end

t["test eventNames are those that somebody listens to (Node)"] = function()
    local object = emitter.new()
    lu.assertEquals(object:eventNames(), {})
    object:on("x", print):on("y", print)
    local names = object:eventNames()
    table.sort(names)
    lu.assertEquals(names, {"x", "y"})
    object:removeListener("x")
    lu.assertEquals(object:eventNames(), {"y"})
end

-- ---- error ----

t["test an error event without a listener is raised as it is (L05, L20, I07)"] = function()
    local object = emitter.new()
    local err = h.raises("ECONNREFUSED", object.emit, object, "error", generic_error.ECONNREFUSED)
    lu.assertTrue(err == generic_error.ECONNREFUSED)
    local ok, text = pcall(object.emit, object, "error", "only a string")
    lu.assertFalse(ok)
    lu.assertEquals(text, "only a string")
    h.raises("EINVAL", object.emit, object, "error")
end

t["test an error event with a listener is an event like others"] = function()
    local object = emitter.new()
    local listener, heard = notes()
    object:on("error", listener)
    object:emit("error", "told")
    lu.assertEquals(heard, {"told"})
end

t["test an error event that a fiber raises is reported by the program"] = function()
    local object = emitter.new()
    thrum.spawn(function() object:emit("error", "nobody listens") end):detach()
    h.let_others_run()
    local reports = h.take_reports()
    lu.assertEquals(#reports, 1)
    lu.assertEquals(reports[1].err, "nobody listens")
    h.assert_contains(reports[1].traceback, "emitter")
end

t["test missingHandlerType hears of events without a listener, and may be replaced (L05)"] =
function()
    local object = emitter.new()
    local heard = {}
    function object:missingHandlerType(name, ...)
        lu.assertIs(self, object)
        heard[#heard + 1] = {name, ...}
    end
    object:emit("x", 1)
    object:emit("error", "dropped")
    object:on("x", function() end)
    object:emit("x", 2)
    lu.assertEquals(heard, {{"x", 1}, {"error", "dropped"}})
end

-- ---- wrap, propagate ----

t["test wrap makes a callback of an event: error first (L05)"] = function()
    local object = emitter.new()
    local on_error, errors = notes()
    local on_done, done = notes()
    object:on("error", on_error):on("done", on_done)
    local callback = object:wrap("done")
    callback(nil, 1, 2)
    callback("it failed", 1)
    lu.assertEquals(done, {"1 2"})
    lu.assertEquals(errors, {"it failed"})
end

t["test propagate passes an event on to another emitter (L05)"] = function()
    local from, to = emitter.new(), emitter.new()
    local listener, heard = notes()
    to:on("x", listener)
    lu.assertIs(from:propagate("x", to), to)
    from:emit("x", "a", "b")
    from:emit("y", "c")
    lu.assertEquals(heard, {"a b"})
    for _, bad in ipairs {1, "x", {}, print} do
        h.raises_arg(3, from.propagate, from, "x", bad)
    end
    h.raises_arg(3, from.propagate, from, "x")
end

-- ---- classes ----

t["test extend makes a class whose objects are emitters, and initialize is called"] = function()
    local Counter = Emitter:extend()
    function Counter:initialize(start)
        self.value = start
    end
    function Counter:add(n)
        self.value = self.value + n
        self:emit("changed", self.value)
    end
    local counter = Counter:new(10)
    local listener, heard = notes()
    counter:on("changed", listener)
    counter:add(5)
    lu.assertEquals(heard, {"15"})
    lu.assertIs(Counter.meta.super, Emitter)

    local Loud = Counter:extend()
    function Loud:add(n)
        Counter.add(self, 2 * n)
    end
    local loud = Loud:new(0)
    loud:on("changed", listener)
    loud:add(3)
    lu.assertEquals(heard, {"15", "6"})
    h.raises_arg(1, counter.new, counter)
    h.raises_arg(1, counter.extend, counter)
end

-- How many instructions of the virtual machine a call takes, in hundreds.
local function cost(f, ...)
    local count = 0
    debug.sethook(function() count = count + 1 end, "", 100)
    f(...)
    debug.sethook()
    return count
end

-- Seen: with 8,000 sockets that obey one signal each `once` copied the list of all before it.
t["test twice as many listeners are twice the work to add"] = function()
    local function add(n)
        local signal = emitter.new()
        for _ = 1, n do
            signal:once("abort", print)
        end
        lu.assertEquals(signal:listenerCount("abort"), n)
    end
    lu.assertTrue(cost(add, 500) < 3 * cost(add, 250))
end

t["test a listener added and removed between and during events"] = function()
    local e, called = emitter.new(), {}
    local function note(name)
        return function() called[#called + 1] = name end
    end
    local a, b, c = note "a", note "b", note "c"
    e:on("x", a)
    e:emit("x")
    e:on("x", b):prependListener("x", c)
    e:emit("x")
    lu.assertEquals(table.concat(called), "acab")
    local function change()
        e:removeListener("x", b)
        e:on("x", note "d")
        e:emit("x")
    end
    e:prependOnceListener("x", change)
    e:emit("x")
    lu.assertEquals(table.concat(called), "acab" .. "cad" .. "ca")
    lu.assertEquals(e:listenerCount("x"), 3)
    e:removeAllListeners("x"):on("x", b):emit("x")
    lu.assertEquals(table.concat(called), "acab" .. "cad" .. "ca" .. "b")
end

t["test any table can have listeners"] = function()
    local object = {}
    local listener, heard = notes()
    Emitter.on(object, "x", listener)
    Emitter.emit(object, "x", "y")
    lu.assertEquals(heard, {"y"})
    lu.assertFalse(Emitter.emit({}, "x"))
    lu.assertEquals(pcall(Emitter.emit, {}, "error", "e"), false)
end

t["test objects of one class do not share listeners"] = function()
    local a, b = emitter.new(), emitter.new()
    a:on("x", print)
    lu.assertEquals(b:listenerCount("x"), 0)
    h.assert_starts(tostring(a), "emitter.Emitter")
end

t["test an emitter and its listeners are collected together"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    do
        local object = emitter.new()
        object:on("x", function() return object end)
        weak[object] = true
    end
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
end

t["test every method refuses a self that is no table"] = function()
    for _, method in pairs(Emitter) do
        if type(method) == "function" then
            for _, bad in ipairs {1, "x", true, print} do
                h.raises_arg(1, method, bad, "x", print)
            end
            h.raises_arg(1, method, nil, "x", print)
        end
    end
end
