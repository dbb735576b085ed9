-- SPDX-License-Identifier: BSL-1.0
-- require, the fiber-aware one: what Lua's does, and modules whose chunk suspends.
local lu = require "luaunit"
local h, t = ...
local thrum = h.thrum
local spawn, this_fiber, time = thrum.spawn, thrum.this_fiber, thrum.time
local unpack, pack = table.unpack, table.pack

local name = "thrum_require_test"

local function forget()
    package.loaded[name], package.preload[name] = nil, nil
end

-- Runs `f` while `loader` is the module's.
local function with_module(loader, f)
    forget()
    package.preload[name] = loader
    local results = pack(pcall(f))
    forget()
    if not results[1] then
        error(results[2], 0)
    end
    return unpack(results, 2, results.n)
end

-- ---- as Lua's ----

t["test it is the prelude's require, and thrum's"] = function()
    lu.assertIs(require, thrum.require)
end

t["test the loader gets the name and what its searcher found, and its value is kept"] = function()
    local content = "local a, b = ... return {name = a, file = b}"
    h.with_file(content, function(file)
        local path = package.path
        package.path = file
        local ok, value = pcall(require, name)
        local _, again = pcall(require, name)
        package.path = path
        forget()
        lu.assertTrue(ok, tostring(value))
        lu.assertEquals(value, {name = name, file = file})
        lu.assertIs(again, value)
    end)
end

-- Runs `f` where nothing is installed.
local function with_nothing_installed(f)
    local path, cpath = package.path, package.cpath
    package.path, package.cpath = "", ""
    local ok, err = pcall(f)
    package.path, package.cpath = path, cpath
    if not ok then
        error(err, 0)
    end
end

-- Seen: "module 'socket.http' not found", where socket itself was there.
t["test a part of LuaSocket or LuaSec that is not there: which package has it"] = function()
    with_nothing_installed(function()
        for _, missing in ipairs {
            "ltn12", "mime", "mime.core", "socket.ftp", "socket.headers", "socket.http",
            "socket.serial", "socket.smtp", "socket.tp", "socket.url",
        } do
            local ok, err = pcall(require, missing)
            lu.assertFalse(ok)
            h.assert_contains(err, "module '" .. missing .. "' not found:")
            h.assert_contains(err, ("\n\t'%s' comes with LuaSocket: package lua-socket of Debian, "
                .. "luasocket of LuaRocks"):format(missing))
        end
        for _, missing in ipairs {"ssl", "ssl.core", "ssl.https"} do
            local ok, err = pcall(require, missing)
            lu.assertFalse(ok)
            h.assert_contains(err, "module '" .. missing .. "' not found:")
            h.assert_contains(err, "comes with LuaSec: package lua-sec of Debian, luasec of ")
        end
        for _, missing in ipairs {"socket.nothing", "thrum_no_such_module", "ssl.nothing"} do
            local _, err = pcall(require, missing)
            lu.assertNil(err:find("comes with", 1, true))
        end
        for _, ours in ipairs {"socket", "socket.core", "socket.unix"} do
            lu.assertIs(require(ours), ours == "socket.unix" and thrum.socket.unix or thrum.socket)
        end
    end)
end

t["test what counts when a chunk returns nothing, false, or sets the field itself"] = function()
    for _, case in ipairs {
        {function() end, true},
        {function() return false end, false},
        {function() package.loaded[name] = "set" end, "set"},
        {function() package.loaded[name] = "set" return "returned" end, "returned"},
    } do
        lu.assertEquals(with_module(case[1], function() return require(name) end), case[2])
    end
end

t["test one that is not false is not loaded again"] = function()
    local count = 0
    with_module(function()
        count = count + 1
        return count > 2
    end, function()
        lu.assertEquals({require(name), require(name), require(name)}, {false, false, true})
        require(name)
    end)
    lu.assertEquals(count, 3)
end

t["test a module that is nowhere: the text is Lua's"] = function()
    local ok, err = pcall(require, "thrum_no_such_module")
    lu.assertFalse(ok)
    h.assert_contains(err, "module 'thrum_no_such_module' not found:\n\tno field " ..
        "package.preload['thrum_no_such_module']\n\tno file '")
    ok, err = pcall(function() require "thrum_no_such_module" end)
    lu.assertFalse(ok)
    lu.assertStrMatches(err, "[^\n]*require.lua:%d+: module 'thrum_no_such_module' not found:.*")
end

t["test bad arguments, and searchers that are none"] = function()
    for _, bad in ipairs {{}, true, print} do
        local ok, err = pcall(require, bad)
        lu.assertFalse(ok)
        h.assert_contains(err, "string expected, got " .. type(bad))
    end
    local searchers = package.searchers
    package.searchers = nil
    local ok, err = pcall(require, name)
    package.searchers = searchers
    lu.assertFalse(ok)
    h.assert_contains(err, "'package.searchers' must be a table")
end

t["test a module that is required while it loads itself"] = function()
    local depth = 0
    with_module(function()
        depth = depth + 1
        return depth < 3 and require(name) or "at the bottom"
    end, function()
        lu.assertEquals(require(name), "at the bottom")
    end)
    lu.assertEquals(depth, 3)
end

-- ---- with fibers ----

t["test a chunk suspends, and its fiber only"] = function()
    local log = {}
    with_module(function()
        time.sleep(0.002)
        log[#log + 1] = "loaded"
        return "module"
    end, function()
        local other = spawn(function() log[#log + 1] = "other" end)
        lu.assertEquals(require(name), "module")
        other:join()
    end)
    lu.assertEquals(log, {"other", "loaded"})
end

t["test several fibers ask for one module: it is loaded once"] = function()
    local count, fibers = 0, {}
    with_module(function()
        count = count + 1
        time.sleep(0.002)
        return {}
    end, function()
        for i = 1, 5 do
            fibers[i] = spawn(require, name)
        end
        local module = fibers[1]:join()
        for i = 2, 5 do
            lu.assertIs(fibers[i]:join(), module)
        end
    end)
    lu.assertEquals(count, 1)
end

t["test a chunk that fails: who waited loads it anew"] = function()
    local count = 0
    with_module(function()
        count = count + 1
        time.sleep(0.001)
        return count == 1 and error("failed " .. count, 0) or count
    end, function()
        local first, second = h.try(require, name), h.try(require, name)
        lu.assertEquals({first:join()}, {false, "failed 1"})
        lu.assertEquals({second:join()}, {true, 2})
    end)
end

t["test who waits for another's chunk can be interrupted, and nobody notices"] = function()
    with_module(function()
        time.sleep(0.003)
        return "module"
    end, function()
        local first, second = spawn(require, name), spawn(require, name)
        h.let_others_run()
        second:interrupt()
        second:join()
        lu.assertTrue(second.interruption_caught)
        lu.assertEquals(first:join(), "module")
    end)
end

t["test the fiber that loads is interrupted: the next one loads"] = function()
    local count = 0
    with_module(function()
        count = count + 1
        if count == 1 then
            time.sleep(60)
        end
        return count
    end, function()
        local first, second = spawn(require, name), spawn(require, name)
        h.let_others_run()
        first:interrupt()
        first:join()
        lu.assertEquals(second:join(), 2)
    end)
end

-- Loaders of two modules and more that require one another in a circle, each begun by a fiber.
local function with_circle(n, f)
    local names = {}
    for i = 1, n do
        names[i] = name .. i
    end
    for i = 1, n do
        package.preload[names[i]] = function()
            this_fiber.yield() -- so that all have begun
            require(names[i % n + 1])
            return i
        end
    end
    local results = pack(pcall(f, names))
    for i = 1, n do
        package.loaded[names[i]], package.preload[names[i]] = nil, nil
    end
    if not results[1] then
        error(results[2], 0)
    end
end

-- Seen: they waited for ever.
t["test modules that require one another from different fibers are a loop"] = function()
    for n = 2, 5 do
        with_circle(n, function(names)
            local fibers, n_loops = {}, 0
            for i, module in ipairs(names) do
                fibers[i] = spawn(pcall, require, module)
            end
            for _, fiber in ipairs(fibers) do
                local ok, err = fiber:join()
                lu.assertFalse(ok) -- as in plain Lua, where such a circle overflows the stack
                lu.assertStrContains(err, "loop or previous error loading module '" .. name)
                n_loops = n_loops + 1
            end
            lu.assertEquals(n_loops, n)
        end)
    end
end

t["test a circle in one fiber is a loop, too, though its chunks suspend"] = function()
    with_circle(2, function(names)
        local ok, err = pcall(require, names[1])
        lu.assertFalse(ok)
        lu.assertStrContains(err, "loop or previous error loading module '" .. name)
    end)
end

t["test a chain of waits that is no circle goes on waiting"] = function()
    local first, second = name .. "1", name .. "2"
    package.preload[first] = function()
        time.sleep(0.002)
        return "first"
    end
    package.preload[second] = function()
        return require(first) .. " second"
    end
    local fibers = {spawn(require, first), spawn(require, second), spawn(require, second)}
    lu.assertEquals(fibers[3]:join(), "first second")
    lu.assertEquals(fibers[2]:join(), "first second")
    lu.assertEquals(fibers[1]:join(), "first")
    for _, module in ipairs {first, second} do
        package.loaded[module], package.preload[module] = nil, nil
    end
end

-- What an interrupted fiber has waited for is no part of a chain any more.
t["test a wait that was interrupted makes no loop"] = function()
    local first, second, gate = name .. "1", name .. "2", thrum.channel.new()
    package.preload[first] = function()
        pcall(require, second)
        gate:receive()
        return "first"
    end
    package.preload[second] = function()
        gate:receive()
        return require(first) .. " second"
    end
    local loads_second = h.start(require, second)
    local loads_first = spawn(function()
        local waits = spawn(require, second)
        this_fiber.yield()
        waits:interrupt()
        waits:join()
        return waits.interruption_caught
    end)
    lu.assertTrue(loads_first:join())
    package.preload[first] = function() return "first" end
    gate:send(true)
    lu.assertEquals(loads_second:join(), "first second")
    for _, module in ipairs {first, second} do
        package.loaded[module], package.preload[module] = nil, nil
    end
end

t["test what a dead fiber has begun to load, others load"] = function()
    local gate, n_begun = thrum.channel.new(), 0
    with_module(function()
        n_begun = n_begun + 1
        if n_begun == 1 then
            thrum.coroutine.yield()
        end
        return n_begun
    end, function()
        local loads
        local first = spawn(function()
            loads = thrum.coroutine.wrap(require)
            loads(name)
            gate:receive()
        end)
        local waits = h.start(require, name)
        gate:send(true)
        first:join()
        lu.assertEquals(waits:join(), 2)
        lu.assertEquals(require(name), 2)
        loads() -- where somebody does go on with it all the same, nobody else's is touched
        lu.assertEquals(require(name), 2)
    end)
end

t["test where nothing can suspend, a module that another loads is refused in the name of require"] =
    function()
        local gate = thrum.channel.new()
        with_module(function()
            gate:receive()
            return "module"
        end, function()
            local loads = h.start(require, name)
            local results
            string.gsub("x", "x", function() results = table.pack(pcall(require, name)) end)
            gate:send(true)
            lu.assertFalse(results[1])
            h.assert_starts(tostring(results[2]), "A fiber cannot be suspended here: thrum.require")
            lu.assertEquals(loads:join(), "module")
        end)
    end

t["test an uncaught error has the traceback of the chunk"] = function()
    with_module(function()
        local function a_function_of_the_module()
            error("a mistake")
        end
        a_function_of_the_module()
    end, function()
        spawn(function() require(name) end):detach()
        h.let_others_run()
        local reports = h.take_reports()
        lu.assertEquals(#reports, 1)
        h.assert_contains(reports[1].traceback, "a_function_of_the_module")
    end)
end

t["test a module that is there can be required where nothing can suspend"] = function()
    with_module(function() return "module" end, function()
        lu.assertEquals((("x"):gsub("x", function() return require(name) end)), "module")
    end)
end
