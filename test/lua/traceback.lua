-- SPDX-License-Identifier: BSL-1.0
-- What a user reads of calls: reports, fiber.list, tracebacks and err.where show the script's own
-- frames as Lua's tracebacks do, and nothing of thrum's inside.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, fiber, this_fiber, time = thrum.spawn, thrum.fiber, thrum.this_fiber, thrum.time

-- Words that a reader could not place, wherever they stand.
local function check_no_internals(text)
    for _, part in ipairs {"tail calls", "[C]: in ?", "in field '?'", "prelude", "thrum.runner",
        "thrum.repl", "thrum.quit", "thrum.emitter", "thrum.dgram", "thrum.socket", "=thrum"} do
        lu.assertNil(text:find(part, 1, true), text)
    end
    lu.assertNil(text:find("thrum:%d"), text)
end

-- The traceback that fiber.list has of the running fiber, without where it was spawned.
local function own_traceback()
    for _, entry in ipairs(fiber.list()) do
        if entry.id == this_fiber.id then
            return (entry.traceback:gsub("\n[^\n]*%(in a fiber, spawned at [^\n]*%)$", ""))
        end
    end
    return nil
end

-- In a fiber of its own, whose stack is known.
local function in_fiber(f, ...)
    return spawn(f, ...):join()
end

-- as Lua's own

-- Both are made in the same place, but for the innermost line.
local function compare()
    local ours, expected = own_traceback(), debug.traceback()
    lu.assertEquals((ours:gsub("^([^\n]*\n)[^\n]*\n[^\n]*\n", "%1", 1)),
        (expected:gsub("^([^\n]*\n)[^\n]*\n", "%1", 1)))
    return expected
end

local object = {}

function object:method(f)
    f()
    return self
end

function object.field(f)
    f()
    return nil
end

t["test a traceback of a script's frames is Lua's own"] = function()
    in_fiber(function()
        local function inner()
            compare()
        end
        local function tail()
            return inner()
        end
        local expected
        inner()
        object:method(inner)
        object.field(inner)
        pcall(inner)
        string.gsub("x", ".", inner)
        load("local f = ... f()", "=a chunk")(inner)
        tail()
        pcall(tail)
        object.field(function() expected = compare() end)
        h.assert_contains(expected, "in function <")
    end)
end

local function descend(depth, f)
    if depth == 0 then
        f()
    else
        descend(depth - 1, f)
    end
    return depth
end

t["test a long traceback has its two ends, as Lua's own"] = function()
    for _, depth in ipairs {5, 18, 19, 20, 21, 22, 23, 24, 25, 26, 100, 10000} do
        local text = in_fiber(function()
            local ours, expected
            descend(depth, function()
                ours, expected = own_traceback(), debug.traceback()
            end)
            local _, count = ours:gsub("\n", "")
            lu.assertTrue(count <= 24, count)
            lu.assertEquals(ours:match("[^\n]*\n[^\n]*\n[^\n]*$"),
                expected:match("[^\n]*\n[^\n]*\n[^\n]*$"))
            return ours
        end)
        lu.assertEquals(text:find("\n\t...\n", 1, true) ~= nil, depth > 18, depth)
    end
end

-- To reach a level of a stack takes as many steps: not each of 200,000 may be looked at.
t["test the traceback of a stack overflow comes at once"] = function()
    h.watch_reports()
    spawn(function()
        local function overflow()
            return 1 + overflow()
        end
        overflow()
    end):detach()
    h.let_others_run()
    local report = h.take_reports()[1]
    h.assert_contains(report.err, "stack overflow")
    h.assert_contains(report.traceback, "\n\t...\n")
    lu.assertTrue(#report.traceback < 5000)
end

t["test a function of several modules has its short name"] = function()
    local kept = package.loaded["thrum.aaa"]
    local module = {shown = function()
        local text = own_traceback()
        return text
    end}
    for _, names in ipairs {{"thrum.aaa", "zzz.module"}, {"thrum.zzz", "aaa.module"}} do
        package.loaded[names[1]], package.loaded[names[2]] = module, module
        local text = in_fiber(function()
            local _, traceback = pcall(module.shown)
            return traceback
        end)
        package.loaded[names[1]], package.loaded[names[2]] = nil, nil
        h.assert_contains(text, "in function '" .. names[2] .. ".shown'\n")
    end
    package.loaded["thrum.aaa"] = kept
    _G.shown_globally, package.loaded.aaa = module.shown, module
    local text = in_fiber(function()
        local _, traceback = pcall(module.shown)
        return traceback
    end)
    _G.shown_globally, package.loaded.aaa = nil, nil
    h.assert_contains(text, "in function 'shown_globally'\n")
end

-- without thrum's own

local line = debug.getinfo(1, "l").currentline

t["test a listener's traceback has the call that emitted, and no frame of the emitter"] = function()
    local emitter = thrum.emitter.Emitter:new()
    emitter:on("event", function() error "boom" end)
    h.watch_reports()
    spawn(function() emitter:emit("event") end):detach()
    h.let_others_run()
    local report = h.take_reports()[1]
    local source = debug.getinfo(1, "S").short_src
    lu.assertEquals(report.traceback, ([[
stack traceback:
	[C]: in function 'error'
	SOURCE:A: in function <SOURCE:A>
	[thrum]: in method 'emit'
	SOURCE:B: in function <SOURCE:B>
	(in a fiber, spawned at SOURCE:B)]]):gsub("%a+", {SOURCE = source, A = line + 4, B = line + 6}),
        nil)
end

t["test the traceback of a datagram's listener has no frame of dgram"] = function()
    local sock = thrum.dgram.createSocket("udp4")
    local texts = {}
    sock:on("message", function()
        texts[#texts + 1] = own_traceback()
        texts[#texts + 1] = pcall(error) and "" or own_traceback()
    end)
    sock:bind(0, "127.0.0.1", function() texts[#texts + 1] = own_traceback() end)
    h.wait_until(function() return #texts == 1 end)
    sock:send("x", 0, 1, sock:address().port, "127.0.0.1")
    h.wait_until(function() return #texts == 3 end)
    for _, entry in ipairs(fiber.list()) do
        check_no_internals(entry.traceback)
        check_no_internals(entry.spawned_at or "")
    end
    sock:close()
    for _, text in ipairs(texts) do
        check_no_internals(text)
        h.assert_contains(text, "traceback.lua:")
    end
end

t["test what waits inside thrum's Lua code is shown by the call of the script"] = function()
    local server = thrum.socket.bind("127.0.0.1", 0)
    local sock = thrum.socket.udp()
    sock:setsockname("127.0.0.1", 0)
    local waiting = {
        spawn(function() server:accept() end),
        spawn(function() sock:receive() end),
        spawn(function() thrum.socket.sleep(60) end),
        spawn(function() thrum.socket.select({server}, nil, 60) end),
        spawn(coroutine.wrap(function() time.sleep(60) end)),
        spawn(time.sleep, 60),
        spawn(function()
            thrum.ip.connect_any({{address = thrum.ip.address.new "127.0.0.1", port = 1}}, {})
        end),
    }
    this_fiber.yield()
    local count = 0
    for _, entry in ipairs(fiber.list()) do
        if entry.state == "waiting" and entry.spawned_at and
            entry.spawned_at:find("traceback.lua", 1, true) then
            count = count + 1
            check_no_internals(entry.traceback)
            h.assert_contains(entry.traceback, "\n\t[C]: in ")
            lu.assertNil(entry.traceback:find("resumed at%)\n?[^\n]*fiber, spawned"))
        end
    end
    lu.assertTrue(count >= #waiting - 1)
    for _, waiter in ipairs(waiting) do
        waiter:interrupt()
    end
    for _, waiter in ipairs(waiting) do
        pcall(waiter.join, waiter)
    end
    server:close()
    sock:close()
end

-- the program and its session

-- Every way of giving the program a script that fails, and what it says: the same each time.
local failing = [[
local function inner() error "boom" end
spawn(fiber.named("other", function() print(debug.traceback "debug") time.sleep(60) end))
this_fiber.yield()
for _, entry in ipairs(fiber.list()) do
    print("spawned_at", entry.spawned_at)
    print(entry.traceback)
end
print(select(2, pcall(ip.address.new, "no address")).where)
print(select(2, xpcall(inner, debug.traceback)))
inner()
]]

local function check_program(command, chunk, last, failing_script)
    local output, status = h.shell(command)
    lu.assertEquals(status, 1, output)
    check_no_internals((output:gsub("thrum: ", "")))
    lu.assertNil(output:find("in field", 1, true), output)
    h.assert_contains(output, "thrum: " .. chunk .. ":1: boom\nstack traceback:\n" ..
        "\t[C]: in function 'error'\n\t" .. chunk .. ":1: in local 'inner'\n\t" .. chunk ..
        ":10: in main chunk\n" .. (last or ""))
    if failing_script then
        h.assert_contains(output, "[C]: in function 'xpcall'\n")
        h.assert_contains(output, "spawned_at\tnil\n")
        h.assert_contains(output, "spawned_at\t" .. chunk .. ":2\n")
        h.assert_contains(output, "\n" .. chunk .. ":8\n")
    end
end

t["test the program shows a script's frames only, however it was given"] = function()
    h.skip_without_program()
    local program = h.quote(h.program)
    h.with_file(failing, function(name)
        check_program(program .. " " .. name .. " an argument", name, "", true)
        check_program(program .. " - <" .. name, "stdin", "", true)
        check_program(program .. " <" .. name, "stdin", "", true)
        check_program(program .. " -e " .. h.quote(failing), "(command line)", "", true)
        check_program("LUA_INIT=" .. h.quote(failing) .. " " .. program .. " -v", "LUA_INIT", "",
            true)
        check_program("LUA_INIT=@" .. name .. " " .. program .. " -v", name, "", true)
        check_program(program .. " --fibers-on-quit " .. name, name, "", true)
        check_program(program .. " -i " .. name .. " </dev/null", name, "", true)
        local folder, module = name:match("^(.*)/([^/]*)$")
        check_program("LUA_PATH=" .. folder .. "/? " .. program .. " -l " .. module, name,
            "\t[C]: in function 'require'\n", true)
    end)
end

t["test the session shows a chunk's frames only"] = function()
    h.skip_without_program()
    local lines = {
        [[local function inner() error "boom" end print(debug.traceback "debug") inner()]],
        [[spawn(function() time.sleep(0) error "late" end):detach()]],
        [[for _, entry in ipairs(fiber.list()) do print(entry.spawned_at, entry.traceback) end]],
        [[print(select(2, pcall(ip.address.new, "no address")).where)]],
        [[setmetatable({}, {__tostring = function() error "no text" end})]],
        [[error(setmetatable({}, {__tostring = function() return "a text" end}))]],
        [[=nil .. 1]],
        [[function fail(...) error "failed" end]],
        [[fail()]], [[=fail()]], [[fail(), 1]], [[fail() -- with a comment]], [[fail();]],
        [[return 1, nil, (2)]], [[1, nil, nil]], [[select("#")]], [[=select("#", nil, nil);]],
    }
    local output = h.shell("printf '%s\\n' " .. h.quote(table.concat(lines, "\n")) .. " | " ..
        h.quote(h.program) .. " -i")
    check_no_internals(output)
    h.assert_contains(output, "stdin:1: boom\nstack traceback:\n\t[C]: in function 'error'\n" ..
        "\tstdin:1: in local 'inner'\n\tstdin:1: in main chunk\n")
    h.assert_contains(output, "(in a fiber, spawned at stdin:1)")
    h.assert_contains(output, "nil\tstack traceback:\n\tstdin:1: in main chunk\n")
    local failed = "stdin:1: failed\nstack traceback:\n\t[C]: in function 'error'\n" ..
        "\tstdin:1: in function 'fail'\n\tstdin:1: in main chunk\n"
    lu.assertEquals(select(2, output:gsub(failed:gsub("%p", "%%%0"), "")), 5)
    h.assert_contains(output, "1\tnil\t2\n")
    h.assert_contains(output, "1\tnil\tnil\n")
    h.assert_contains(output, "\n> 0\n> 2\n")
    h.assert_contains(output, "stdin:1\n")
end

t["test SIGQUIT's report shows scripts' frames only"] = function()
    h.skip_without_program()
    local output = h.run_program("--fibers-on-quit", "-e", [[
        local function spin() system.kill(system.getpid(), "SIGQUIT") for _ = 1, 1000 do end end
        spin()]])
    check_no_internals((output:gsub("thrum: ", "")))
    h.assert_contains(output, "(command line):2: in main chunk\n")
end

t["test Lua's own traceback names the prelude's functions as globals"] = function()
    local chunk = [[
        local text
        local function look() text = debug.traceback("", 2) end
        local function check(name)
            assert(text:find("in function '" .. name .. "'", 1, true), text)
        end
        pcall(pcall, look) check "pcall"
        pcall(xpcall, look, print) check "xpcall"
        pcall(scope, look) check "scope"
        package.preload.looked = look
        pcall(require, "looked") check "require"
        local thrum = require "thrum"
        assert(thrum.pcall == pcall and thrum.spawn == spawn and thrum.require == require)
        local n = 0
        for name, value in pairs(thrum) do assert(thrum[name] == value) n = n + 1 end
        assert(n > 25)
        print "ok"]]
    for _ = 1, 5 do -- the order of tables differs from run to run
        if h.program then
            lu.assertEquals(h.run_program("-e", chunk), "ok\n")
        end
        if not h.is_program then
            lu.assertEquals(h.shell("lua5.3 -l thrum.prelude -e " .. h.quote(chunk)), "ok\n")
        end
    end
end
