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

t["test a script that is called like a module of ours is still named by its line"] = function()
    local chunk = assert(load("local f = ... f()", "@thrum.emitter"))
    local err = h.raises("EINVAL", chunk, function(...) return thrum.ip.address.new(1, ...) end)
    h.assert_contains(err.where, ":")
    local direct = assert(load("local new = ... new(1)", "@thrum.emitter"))
    lu.assertEquals(h.raises("EINVAL", direct, thrum.ip.address.new).where, "thrum.emitter:1")
end

-- ---- on, emit ----

t["test on and emit: every listener in order, with the arguments"] = function()
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

t["test once: one time, and it is gone before it is called"] = function()
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

t["test removeListener gives the count, or nil when there was none"] = function()
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

t["test removeAllListeners of one event, and of all"] = function()
    local object = emitter.new()
    object:on("x", print):on("y", print):on("z", print)
    lu.assertIs(object:removeAllListeners("x"), object)
    lu.assertEquals({object:listenerCount("x"), object:listenerCount("y")}, {0, 1})
    object:removeAllListeners()
    lu.assertEquals({object:listenerCount("y"), object:listenerCount("z")}, {0, 0})
    emitter.new():removeAllListeners("x"):removeAllListeners()
end

t["test listeners are the functions, in a list of one's own"] = function()
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

t["test an error event without a listener is raised as it is"] = function()
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

t["test missingHandlerType hears of events without a listener, and may be replaced"] =
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

t["test wrap makes a callback of the object's method: an error first is an event"] =
function()
    local Joystick = Emitter:extend()
    local opened = {}
    function Joystick:on_open(...)
        opened[#opened + 1] = {self, ...}
        return "the method's result"
    end
    local object = Joystick:new()
    local on_error, errors = notes()
    object:on("error", on_error):on("on_open", function() error("no event of that name", 0) end)
    lu.assertNil(object:wrap("on_open"))
    local callback = object.on_open
    lu.assertEquals(callback(nil, 1, 2), "the method's result")
    lu.assertEquals(callback(false), "the method's result")
    callback("it failed", 1)
    lu.assertEquals(opened, {{object, 1, 2}, {object}})
    lu.assertEquals(errors, {"it failed"})
    object:wrap("on_open") -- it is one already
    lu.assertIs(object.on_open, callback)
    local other = Joystick:new()
    lu.assertIs(other.on_open, Joystick.on_open) -- only the object's own
    object:removeAllListeners()
    local ok, err = pcall(callback, "nobody listens")
    lu.assertEquals({ok, err}, {false, "nobody listens"})
    for _, bad in ipairs {"no_such_method", "meta", 1, true} do
        h.raises_arg(2, object.wrap, object, bad)
    end
    h.raises_arg(2, object.wrap, object)
end

t["test propagate passes an event on to another emitter"] = function()
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
end

t["test propagate without a target gives the emitter (luvit)"] = function()
    local from = emitter.new()
    lu.assertIs(from:propagate("x"), from)
    lu.assertEquals(from:listenerCount("x"), 0)
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

-- ---- against a model ----

-- The same rules in the simplest way: a list that is copied for each change and each event.
local Model = {}
Model.__index = Model

function Model:put(listener, is_once, is_first)
    local list = table.move(self.list, 1, #self.list, 1, {})
    table.insert(list, is_first and 1 or #list + 1, {listener = listener, is_once = is_once})
    self.list = list
end

function Model:removeListener(_, listener)
    local rest, count = {}, 0
    for _, entry in ipairs(self.list) do
        if listener == nil or entry.listener == listener then
            entry.is_removed = true
            count = count + 1
        else
            rest[#rest + 1] = entry
        end
    end
    self.list = rest
    return count > 0 and count or nil
end

function Model:emit(_, ...)
    for _, entry in ipairs(self.list) do
        if not entry.is_removed then
            if entry.is_once then
                entry.is_removed = true
                local rest = {}
                for _, other in ipairs(self.list) do
                    rest[#rest + 1] = other ~= entry and other or nil
                end
                self.list = rest
            end
            entry.listener(...)
        end
    end
end

function Model:listeners()
    local functions = {}
    for i, entry in ipairs(self.list) do
        functions[i] = entry.listener
    end
    return functions
end

function Model:listenerCount()
    return #self.list
end

function Model:on(_, f) self:put(f, false, false) end
function Model:once(_, f) self:put(f, true, false) end
function Model:prependListener(_, f) self:put(f, false, true) end
function Model:prependOnceListener(_, f) self:put(f, true, true) end

-- What happens to an emitter under calls at random, in listeners as well.
local function log_of(object, seed, n_steps)
    local log, names, step = {}, {}, nil
    local state = seed
    local function choose(n)
        state = (state * 1103515245 + 12345) & 0x7fffffff
        return (state >> 8) % n + 1
    end
    local listeners, depth = {}, 0
    for i = 1, 6 do
        listeners[i] = function(what)
            log[#log + 1] = i .. " hears " .. what
            if depth < 3 and choose(4) == 1 then
                step()
            end
        end
        names[listeners[i]] = i
    end
    local ways = {"on", "once", "once", "prependListener", "prependOnceListener"}
    function step()
        local what = choose(12)
        if what <= 6 then
            object[ways[choose(#ways)]](object, "x", listeners[choose(6)])
        elseif what <= 8 then
            local count = object:removeListener("x", listeners[choose(6)])
            log[#log + 1] = "removed " .. tostring(count)
        elseif what == 9 and choose(10) == 1 then
            object:removeListener("x")
        elseif what == 10 then -- many, for lists that become sparse
            for _ = 1, 30 do
                object:once("x", listeners[choose(6)])
            end
        elseif depth < 3 then
            depth = depth + 1
            object:emit("x", #log)
            depth = depth - 1
        end
    end
    for _ = 1, n_steps do
        step()
        local numbers = {}
        for i, f in ipairs(object:listeners("x")) do
            numbers[i] = names[f]
        end
        log[#log + 1] = object:listenerCount("x") .. ": " .. table.concat(numbers)
    end
    return log
end

t["test listeners are called as by a simple model, whatever happens meanwhile"] = function()
    for seed = 1, h.is_slow and 3 or 40 do
        local expected = log_of(setmetatable({list = {}}, Model), seed, 60)
        local log = log_of(emitter.new(), seed, 60)
        for i = 1, math.max(#log, #expected) do
            lu.assertEquals(log[i], expected[i], "seed " .. seed .. ", line " .. i)
        end
    end
end

-- ---- growth ----

-- How many instructions of the virtual machine a call takes, in hundreds.
local function cost(f, ...)
    local count = 0
    debug.sethook(function() count = count + 1 end, "", 100)
    f(...)
    debug.sethook()
    return count
end

local function new_functions(n)
    local functions = {}
    for i = 1, n do
        functions[i] = function() return i end
    end
    return functions
end

-- Each makes an emitter do something n times.
local grows = {
    ["added"] = function(n)
        local signal = emitter.new()
        for _ = 1, n do
            signal:once("abort", print)
        end
        lu.assertEquals(signal:listenerCount("abort"), n)
    end,
    ["added at the front"] = function(n)
        local object = emitter.new()
        for _, f in ipairs(new_functions(n)) do
            object:prependListener("x", f)
        end
    end,
    ["removed, the first first"] = function(n)
        local object, functions = emitter.new(), new_functions(n)
        for i = 1, n do
            object:on("x", functions[i])
        end
        for i = 1, n do
            lu.assertEquals(object:removeListener("x", functions[i]), 1)
        end
    end,
    ["removed, the last first"] = function(n)
        local object, functions = emitter.new(), new_functions(n)
        for i = 1, n do
            object:on("x", functions[i])
        end
        for i = n, 1, -1 do
            lu.assertEquals(object:removeListener("x", functions[i]), 1)
        end
    end,
    ["removed from between others, with an event each time"] = function(n)
        local object, functions = emitter.new(), new_functions(n)
        object:on("x", function() end)
        for i = 1, n do
            object:on("x", functions[i])
        end
        object:on("x", function() end)
        for i = 1, n do
            object:removeListener("x", functions[i * 7 % n + 1])
        end
        for _ = 1, n do
            object:emit("x")
        end
    end,
    ["heard once, all of them"] = function(n)
        local object = emitter.new()
        for i = 1, n do
            object:once("x", i % 2 == 0 and function() end or print)
        end
        object:removeListener("x", print)
        object:emit("x")
        lu.assertEquals(object:listenerCount("x"), 0)
    end,
    ["heard once, by one function"] = function(n)
        local object = emitter.new()
        local function listener() end
        object:on("x", listener)
        for _ = 1, n do
            object:once("x", listener)
        end
        object:emit("x")
        lu.assertEquals(object:listenerCount("x"), 1)
    end,
    ["added and heard in turns"] = function(n)
        local object = emitter.new()
        object:on("x", function() end)
        for _ = 1, n do
            object:once("x", function() end)
            object:emit("x")
        end
    end,
    ["events"] = function(n)
        local object = emitter.new()
        for i = 1, n do
            object:on(i, print)
        end
        object:removeAllListeners()
        lu.assertEquals(object:eventNames(), {})
    end,
}

-- Seen: with 8,000 sockets that obey one signal each `once` copied the list of all before it, and
-- an event copied it for each of them.
for what, run in pairs(grows) do
    t["test eight times as many listeners are eight times the work: " .. what] = function()
        local n = h.is_slow and 30 or 250
        local few, many = cost(run, n), cost(run, 8 * n)
        lu.assertTrue(many < 16 * few, few .. " and " .. many)
    end
end
