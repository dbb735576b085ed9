-- SPDX-License-Identifier: BSL-1.0
-- Reports of uncaught errors: when they come and how often, what the handle of a dead fiber tells,
-- whence an error came, and who writes it.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, fiber, coroutine =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.fiber, thrum.coroutine
local pcall, now = thrum.pcall, thrum.time.steady_clock.now

-- The reports, once there are that many.
local function wait_for_reports(count)
    local reports = {}
    h.wait_until(function()
        for _, report in ipairs(h.take_reports()) do
            reports[#reports + 1] = report
        end
        return #reports >= count
    end)
    lu.assertEquals(#reports, count)
    return reports
end

local function raises_value(value, f, ...)
    local ok, err = pcall(f, ...)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value), tostring(err))
end

-- The report of a detached fiber that has run f.
local function report_of(f, ...)
    spawn(f, ...):detach()
    return wait_for_reports(1)[1]
end

local function count(text, part)
    local n, position = 0, 1
    while true do
        local first, last = text:find(part, position, true)
        if not first then
            return n
        end
        n, position = n + 1, last + 1
    end
end

-- when

t["test an error whose handle is kept is reported once, after a second, and joined all the same"] =
    function()
        local value, begun = {}, now()
        local kept = spawn(fiber.named("rx", error), value)
        local report = wait_for_reports(1)[1]
        lu.assertTrue(now() - begun >= 1)
        lu.assertTrue(rawequal(report.err, value))
        lu.assertEquals({report.id, report.name}, {tostring(kept):match("%d+"), "rx"})
        lu.assertEquals(report.traceback, kept.traceback)
        lu.assertTrue(kept.joinable)
        raises_value(value, kept.join, kept)
        lu.assertEquals(next(value), nil) -- nothing is written on it
        lu.assertEquals(report.traceback, kept.traceback)
        thrum.report()
        lu.assertEquals(h.take_reports(), {})
    end

t["test an error that was reported is not when the handle is given up, nor by thrum.report"] =
    function()
        local fibers = {}
        for i = 1, 3 do
            fibers[i] = spawn(error, i, 0)
        end
        wait_for_reports(3)
        thrum.report()
        fibers[1]:detach()
        fibers[2] = nil
        collectgarbage()
        collectgarbage()
        h.let_others_run()
        raises_value(3, fibers[3].join, fibers[3])
        lu.assertEquals(h.take_reports(), {})
    end

-- Whose turn would have come before the last one's has been passed over.
t["test an error that is joined, or about to be, is not reported"] = function()
    local gate, g = thrum.channel.new(), fiber.group()
    local joined = h.start(error, "joined", 0)
    raises_value("joined", joined.join, joined)
    local failing = spawn(function()
        gate:receive()
        error("awaited", 0)
    end)
    local joiner = h.try(failing.join, failing)
    local child = g:spawn(error, "of a group", 0)
    local sibling = g:spawn(function()
        this_fiber.disable_interruption()
        gate:receive()
        this_fiber.restore_interruption()
    end)
    local group_joiner = h.try(g.join, g)
    local with_function = h.try(fiber.group, function(inner)
        inner:spawn(error, "of a group with a function", 0)
        this_fiber.disable_interruption()
        gate:receive()
        this_fiber.restore_interruption()
    end)
    local last = h.start(error, "last", 0)
    lu.assertEquals(wait_for_reports(1)[1].err, "last")
    for _ = 1, 3 do
        gate:send(1)
    end
    lu.assertEquals({joiner:join()}, {false, "awaited"})
    lu.assertEquals({group_joiner:join()}, {false, "of a group"})
    lu.assertEquals({with_function:join()}, {false, "of a group with a function"})
    sibling:join()
    for _, f in ipairs {child, last} do
        pcall(f.join, f)
    end
    lu.assertEquals(h.take_reports(), {})
end

t["test a group that nobody joins is reported after a second, and joined all the same"] = function()
    for _, keeps_child in ipairs {true, false} do
        local g = fiber.group()
        local child = g:spawn(fiber.named("child", error), "failed", 0)
        local later = g:spawn(function()
            this_fiber.disable_interruption()
            this_fiber.yield()
            error("later", 0)
        end)
        if not keeps_child then
            child = nil
            collectgarbage()
            collectgarbage()
        end
        local reports = wait_for_reports(2)
        lu.assertEquals({reports[1].err, reports[1].name}, {"failed", "child"})
        lu.assertEquals(reports[2].err, "later")
        raises_value("failed", g.join, g)
        raises_value("later", later.join, later)
        if child then
            raises_value("failed", child.join, child)
        end
        lu.assertEquals(h.take_reports(), {})
    end
end

t["test each of many has its own second"] = function()
    local fibers, n = {}, h.is_slow and 20 or 200
    for i = 1, n do
        fibers[i] = spawn(function()
            time.sleep(i * 0.0005)
            fibers[-i] = now()
            error(i, 0)
        end)
    end
    local n_reports = 0
    thrum.set_reporter(function(err)
        n_reports = n_reports + 1
        lu.assertEquals(err, n_reports)
        lu.assertTrue(now() - fibers[-err] >= 1)
    end)
    h.wait_until(function() return n_reports == n end)
    for i = 1, n do
        raises_value(i, fibers[i].join, fibers[i])
    end
end

t["test joins in a reporter, and reporters that fail fibers, find each error once"] = function()
    local fibers, seen = {}, {}
    thrum.set_reporter(function(err)
        seen[#seen + 1] = err
        if fibers[2].joinable then
            fibers[2]:detach() -- is reported all the same, once
        end
        fibers[#fibers + 1] = spawn(function() end)
        setmetatable({}, {__gc = thrum.report})
        collectgarbage()
    end)
    for i = 1, 3 do
        fibers[i] = spawn(error, i, 0)
    end
    h.wait_until(function() return #seen >= 3 end)
    lu.assertEquals(#seen, 3)
    table.sort(seen)
    lu.assertEquals(seen, {1, 2, 3})
    fibers = {} -- luacheck: ignore
end

-- the handle

local function ends()
    return {
        well = function() return "result" end,
        failed = function() error("failed", 0) end,
        interrupted = function() this_fiber.yield() end,
    }
end

t["test the handle keeps name and traceback, whatever becomes of the fiber"] = function()
    for ending, f in pairs(ends()) do
        for _, name in ipairs {"rx", false} do
            for _, fate in ipairs {"join", "detach before", "detach after"} do
                local fib = spawn(name and fiber.named(name, f) or f)
                local text = ("%s, %s, %s"):format(ending, name, fate)
                local function check(is_dead)
                    lu.assertEquals(fib.name, name or nil, text)
                    if is_dead and ending == "failed" then
                        h.assert_contains(fib.traceback, "spawned at")
                    else
                        lu.assertNil(fib.traceback, text)
                    end
                end
                check(false)
                if ending == "interrupted" then
                    fib:interrupt()
                end
                if fate == "detach before" then
                    fib:detach()
                    check(false)
                end
                h.let_others_run(4)
                check(true)
                if fate == "join" then
                    pcall(fib.join, fib)
                elseif fate == "detach after" then
                    fib:detach()
                end
                check(true)
                h.let_others_run()
                check(true)
            end
        end
    end
    lu.assertEquals(#h.take_reports(), 4)
end

t["test a child's handle has name and traceback, too"] = function()
    local g = fiber.group()
    local child = g:spawn(fiber.named("child", error), "failed", 0)
    raises_value("failed", g.join, g)
    lu.assertEquals(child.name, "child")
    h.assert_contains(child.traceback, "spawned at")
    raises_value("failed", child.join, child)
    lu.assertEquals(child.name, "child")
    h.assert_contains(child.traceback, "spawned at")
end

-- whence an error came

local function explode()
    error("boom")
end

t["test the report of an error out of a join shows both tracebacks and the name"] = function()
    local report = report_of(function()
        spawn(fiber.named("rx", explode)):join()
    end)
    local own, joined = report.traceback:match('^(.*)\nraised by fiber %d+ "rx"\n(.*)$')
    h.assert_starts(own, "stack traceback:\n")
    h.assert_contains(own, "in method 'join'")
    h.assert_starts(joined, "stack traceback:\n")
    h.assert_contains(joined, "in function <" .. debug.getinfo(explode).short_src)
    lu.assertEquals(count(joined, "raised by"), 0)
end

t["test it shows them wherever the error went through"] = function()
    local value = {}
    local ways = {
        join = function(f) spawn(f):join() end,
        ["ended before"] = function(f)
            local fib = spawn(f)
            this_fiber.yield()
            fib:join()
        end,
        ["raised again"] = function(f)
            local fib = spawn(f)
            local ok, err = pcall(fib.join, fib)
            error(not ok and err, 0)
        end,
        ["after others were caught"] = function(f)
            local other = spawn(error, "other", 0)
            pcall(other.join, other)
            spawn(f):join()
        end,
        ["in a coroutine"] = function(f)
            coroutine.wrap(function() spawn(f):join() end)()
        end,
        ["in a scope"] = function(f)
            thrum.scope(function() spawn(f):join() end)
        end,
        ["with a time"] = function(f)
            time.with_timeout(3600, function() spawn(f):join() end)
        end,
        group = function(f)
            local g = fiber.group()
            g:spawn(f)
            g:join()
        end,
        ["group with a function"] = function(f)
            fiber.group(function(g) g:spawn(f) end)
        end,
        ["handle of a child"] = function(f)
            local g = fiber.group()
            local child = g:spawn(f)
            this_fiber.yield()
            child:join()
        end,
    }
    for name, way in pairs(ways) do
        for _, err in ipairs {value, "text", thrum.generic_error.EPIPE} do
            local report = report_of(way, fiber.named("rx", function() error(err, 0) end))
            lu.assertEquals(count(report.traceback, 'raised by fiber'), 1, name)
            lu.assertEquals(count(report.traceback, '"rx"\nstack traceback:\n'), 1, name)
            if name ~= "in a coroutine" or err ~= "text" then -- where Lua puts a position before it
                lu.assertTrue(rawequal(report.err, err), name)
            end
        end
    end
    local report = report_of(function()
        local fib = spawn(fiber.named("rx", explode))
        local _, err = pcall(fib.join, fib)
        error("it failed: " .. err)
    end)
    h.assert_contains(report.traceback, 'raised by fiber')
end

t["test an error that went through several fibers shows them all, the last first"] = function()
    local report = report_of(function()
        spawn(fiber.named("second", function()
            spawn(fiber.named("first", explode)):join()
        end)):join()
    end)
    h.assert_contains(report.traceback:gsub("\n.*\n", " "), "stack traceback:")
    local names = {}
    for name in report.traceback:gmatch('raised by fiber %d+ "(%a+)"\n') do
        names[#names + 1] = name
    end
    lu.assertEquals(names, {"second", "first"})
    lu.assertEquals(count(report.traceback, "stack traceback:"), 3)
end

t["test an error of the fiber's own is raised by nobody else"] = function()
    local report = report_of(function()
        local fib = spawn(error, "theirs", 0)
        pcall(fib.join, fib)
        error("mine", 0)
    end)
    lu.assertEquals(count(report.traceback, "raised by"), 0)
    report = report_of(function()
        local fib = spawn(error)
        pcall(fib.join, fib)
        error()
    end)
    lu.assertEquals(count(report.traceback, "raised by"), 0)
end

t["test an error that was dealt with is not kept alive by the fiber that joined it"] = function()
    local weak = setmetatable({}, {__mode = "k"})
    local gate = thrum.channel.new()
    local fib = h.start(function()
        do
            local err = {}
            weak[err] = true
            local failing = spawn(error, err)
            pcall(failing.join, failing)
        end
        gate:receive()
    end)
    h.wait_until(function()
        collectgarbage()
        return not next(weak)
    end)
    gate:send(1)
    fib:join()
end

t["test the main fiber's error tells whence it came"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e",
        [[spawn(fiber.named("rx", function() error("boom", 0) end)):join()]])
    lu.assertEquals(status, 1)
    lu.assertEquals(count(output, "boom"), 1)
    h.assert_contains(output, '\nraised by fiber 2 "rx"\nstack traceback:\n')
end

-- the end

local function seconds_of(f)
    local begun = now()
    f()
    return now() - begun
end

t["test the program's end reports what is left, once, and waits for nothing"] = function()
    h.skip_without_program()
    local endings = {
        [""] = 0, ["os.exit(3)"] = 3, ["os.exit(3, true)"] = 3, ["system.exit(3)"] = 3,
        ["spawn(os.exit, 3) time.sleep(3600)"] = 3, ["error('main', 0)"] = 1,
    }
    for ending, expected in pairs(endings) do
        local output, status
        local seconds = seconds_of(function()
            output, status = h.run_program("-e", [[
                kept = spawn(fiber.named("rx", function() error("left", 0) end))
                g = fiber.group()
                g:spawn(error, "of a group", 0)
                this_fiber.yield()
                ]] .. ending)
        end)
        lu.assertEquals(status, expected, ending .. output)
        lu.assertEquals(count(output, 'uncaught error in fiber 2 "rx": left\n'), 1, output)
        lu.assertEquals(count(output, "uncaught error in fiber 3: of a group\n"), 1, output)
        lu.assertTrue(h.is_slow or seconds < 0.9, "the program waited: " .. seconds)
    end
end

t["test the program reports after a second while it waits for something else"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local buffer = byte_span.new(1)
        local a, b = unix.stream.socket.pair()
        kept = spawn(error, "dead all day", 0)
        spawn(function()
            pcall(a.read_some, a, buffer) -- only the report's time ends the loop's wait
        end):detach()
        thrum = require "thrum"
        thrum.set_reporter(function(err)
            print(err)
            b:close()
        end)]])
    lu.assertEquals(status, 0)
    lu.assertEquals(output, "dead all day\n")
end

-- the reporter

t["test set_reporter takes a function, false for silence, nil for the default"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local thrum = require "thrum"
        local function fail(name)
            spawn(fiber.named(name, function() error(name, 0) end)):detach()
            this_fiber.yield()
            this_fiber.yield()
        end
        fail "first"
        thrum.set_reporter(false)
        fail "second"
        thrum.set_reporter(function(err, traceback, id, name)
            io.stderr:write(table.concat({"mine", err, type(traceback), type(id), name}, " "), "\n")
        end)
        fail "third"
        thrum.set_reporter(nil)
        fail "fourth"
        thrum.set_reporter(false)
        kept = spawn(error, "fifth", 0)]])
    lu.assertEquals(status, 0)
    h.assert_contains(output, 'thrum: uncaught error in fiber 2 "first": first\nstack traceback:\n')
    h.assert_contains(output, "mine third string string third\n")
    h.assert_contains(output, 'thrum: uncaught error in fiber 5 "fourth": fourth\n')
    lu.assertEquals(count(output, "second") + count(output, "fifth"), 0, output)
end

t["test what a reporter raises is written, and what it was to report"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        require("thrum").set_reporter(function() error("my mistake", 0) end)
        spawn(error, "told nobody", 0):detach()]])
    lu.assertEquals(status, 0)
    h.assert_contains(output, "thrum: uncaught error in fiber 2: told nobody\n")
    h.assert_contains(output, "thrum: the reporter has raised an error: my mistake\n")
end

t["test the default reporter writes every kind of error value"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local function fail(err) spawn(error, err, 0):detach() end
        fail(12)
        fail(nil)
        fail({})
        fail(setmetatable({}, {__tostring = function() return "an object" end}))
        fail(setmetatable({}, {__tostring = error}))
        fail(generic_error.EPIPE)
        fail("a\0b")]])
    lu.assertEquals(status, 0)
    for _, text in ipairs {"12", "(error object is a nil value)", "(error object is a table value)",
        "an object", "(an error object that cannot be made a string)", "Broken pipe", "a\0b"} do
        lu.assertEquals(count(output, ": " .. text .. "\nstack traceback:\n"), 1, text)
    end
end

-- thrum.run inside a fiber

t["test thrum.run inside a fiber calls the function there and waits for nobody else"] = function()
    lu.skipIf(h.is_outside, "inside a fiber")
    local id, is_done = this_fiber.id, false
    local other = spawn(function()
        this_fiber.yield()
        this_fiber.yield()
        is_done = true
    end)
    local function main(...)
        lu.assertEquals(this_fiber.id, id)
        this_fiber.yield()
        return ...
    end
    lu.assertEquals(table.pack(thrum.run(main, 1, nil, 3, nil)), {1, nil, 3, nil, n = 4})
    lu.assertFalse(is_done)
    lu.assertEquals(thrum.run(fiber.named("main", main), "named"), "named")
    lu.assertEquals(coroutine.wrap(function()
        return thrum.run(function(x) return x, coroutine.yield(x) end, "x")
    end)(), "x")
    local value = {}
    raises_value(value, thrum.run, error, value)
    lu.assertEquals(thrum.run(thrum.run, main, "nested"), "nested")
    other:join()
end

t["test thrum.run inside a fiber without a function is EDEADLK, with another value EINVAL"] =
    function()
        lu.skipIf(h.is_outside, "inside a fiber")
        h.raises("EDEADLK", thrum.run)
        h.raises("EDEADLK", thrum.run, nil)
        for _, bad in ipairs {1, "f", true, {}} do
            h.raises_arg(1, thrum.run, bad)
        end
    end

t["test a script that ends with thrum.run runs in the program as well"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local thrum = require "thrum"
        print(thrum.run(function(n)
            time.sleep(0)
            return spawn(function() return n + 1 end):join()
        end, 41))]])
    lu.assertEquals(output, "42\n")
    lu.assertEquals(status, 0)
end
