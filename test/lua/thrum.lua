-- SPDX-License-Identifier: BSL-1.0
-- thrum: run, poll, stats, set_reporter, and suspending calls outside any fiber. These cases run in
-- a stock interpreter, outside any fiber (harness.lua --outside).
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip, byte_span =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip, thrum.byte_span
local generic_error = thrum.generic_error

local function stock(chunk)
    return h.shell("lua5.3 -e " .. h.quote(chunk))
end

-- require

t["test require thrum changes no global and no library"] = function()
    local output, status = stock([[
        local before, library = {}, {}
        for name, value in pairs(_G) do before[name] = value end
        for name, value in pairs(coroutine) do library[name] = value end
        local meta = getmetatable(_G)
        local thrum = require "thrum"
        for name, value in pairs(_G) do assert(before[name] == value, name) end
        for name, value in pairs(coroutine) do assert(library[name] == value, name) end
        assert(getmetatable(_G) == meta and package.loaded.coroutine == coroutine)
        assert(package.loaded.ip == nil)
        print(type(thrum), thrum == require "thrum")]])
    lu.assertEquals(output, "table\ttrue\n")
    lu.assertEquals(status, 0)
end

t["test each module is required by its long name and is the field of thrum"] = function()
    for _, name in ipairs {"byte_span", "coroutine", "file_descriptor", "generic_error", "ip",
        "this_fiber", "time"} do
        lu.assertTrue(rawequal(require("thrum." .. name), thrum[name]), name)
        local output = stock(("print(type(require 'thrum.%s'), require 'thrum.%s' == " ..
            "require 'thrum'.%s)"):format(name, name, name))
        lu.assertEquals(output, "table\ttrue\n")
    end
    lu.assertEquals(type(thrum.version), "string")
end

t["test the prelude makes the short names and keeps a metatable of the globals working"] =
function()
    local output, status = stock([[
        setmetatable(_G, {__index = function(_, name) return "inherited " .. name end})
        require "thrum.prelude"
        assert(ip == require "ip" and spawn == require "thrum".spawn)
        assert(time == require "thrum.time")
        print(something)]])
    lu.assertEquals(output, "inherited something\n")
    lu.assertEquals(status, 0)
end

t["test the prelude leaves a global that a script has set, and one that it has set to nil"] =
function()
    local output, status = stock([[
        time = "mine"
        require "thrum.prelude"
        assert(time == "mine")
        time, stream, ip = nil
        assert(time == nil and stream == nil and ip == nil and mutex ~= nil)
        mutex = nil
        assert(mutex == nil)
        print(require "ip" == require "thrum.ip")]])
    lu.assertEquals(output, "true\n")
    lu.assertEquals(status, 0)
end

-- As strict.lua does, which looks at the level above it for who assigns.
t["test the prelude keeps a script's own rules for assigning globals"] = function()
    local output, status = stock([[
        local declared, stored = {}, {}
        setmetatable(_G, {
            __newindex = function(globals, name, value)
                if debug.getinfo(2, "S").what ~= "main" then error("undeclared " .. name, 2) end
                declared[#declared + 1] = name
                rawset(globals, name, value)
            end,
        })
        require "thrum.prelude"
        print(pcall(function() mistake = 1 end))
        answer, time = 42
        print(answer, time, table.concat(declared, " "))
        getmetatable(_G).__newindex = nil
        setmetatable(_G, {__newindex = stored})
        package.loaded["thrum.prelude"] = nil
        require "thrum.prelude"
        other = 7
        print(rawget(_G, "other"), stored.other)]])
    h.assert_contains(output, "undeclared mistake\n42\tnil\t")
    local assigned = output:match("42\tnil\t([^\n]*)")
    h.assert_contains(assigned, "answer")
    h.assert_contains(assigned, "time")
    lu.assertEquals(output:match("[^\n]*\n$"), "nil\t7\n")
    lu.assertEquals(status, 0)
end

-- run

t["test run returns the results of the main fiber, nil and all"] = function()
    local function f(...)
        return select("#", ...), nil, ...
    end
    local results = table.pack(thrum.run(f, 1, nil))
    lu.assertEquals(results.n, 4)
    lu.assertEquals(results[1], 2)
    lu.assertEquals(results[3], 1)
    lu.assertEquals(select("#", thrum.run(function() end)), 0)
    lu.assertEquals(select("#", thrum.run()), 0)
    lu.assertEquals(select("#", thrum.run(nil)), 0)
end

t["test run goes on until all work is done"] = function()
    local done = 0
    thrum.run(function()
        for i = 1, 5 do
            spawn(function()
                time.sleep(i * 0.001)
                done = done + 1
            end):detach()
        end
    end)
    lu.assertEquals(done, 5)
end

t["test run without a function runs what was spawned before"] = function()
    local done = false
    local fiber = spawn(function() done = true end)
    thrum.run()
    lu.assertTrue(done)
    fiber:join()
end

t["test run raises the main fiber's error, whatever value it is"] = function()
    local value = {}
    for _, err in ipairs {"text", 7, value, generic_error.EPERM} do
        local ok, came = pcall(thrum.run, error, err, 0)
        lu.assertFalse(ok)
        lu.assertTrue(rawequal(came, err))
    end
    lu.assertFalse((pcall(thrum.run, error)))
end

t["test the main fiber of run is main"] = function()
    lu.assertTrue(thrum.run(function() return this_fiber.is_main end))
    lu.assertFalse(thrum.run(function()
        return spawn(function() return this_fiber.is_main end):join()
    end))
end

t["test run can be called again and again, after errors too"] = function()
    for i = 1, 50 do
        local ok, value = pcall(thrum.run, function()
            time.sleep(0)
            if i % 3 == 0 then
                error("third", 0)
            end
            return i
        end)
        lu.assertEquals(ok, i % 3 ~= 0)
        lu.assertEquals(value, ok and i or "third")
    end
end

t["test fibers left by a failed run go on in the next"] = function()
    local done = false
    lu.assertFalse((pcall(thrum.run, function()
        spawn(function()
            time.sleep(0.001)
            done = true
        end):detach()
        error("main", 0)
    end)))
    lu.assertFalse(done)
    thrum.run()
    lu.assertTrue(done)
end

t["test run and poll are refused while the loop is driven"] = function()
    thrum.run(function()
        h.raises("EDEADLK", thrum.run)
        h.raises("EDEADLK", thrum.poll)
    end)
    h.raises("EDEADLK", function()
        spawn(function() thrum.run() end):join()
    end)
    local seen = {}
    thrum.set_reporter(function() -- in no fiber
        seen[1] = h.raises("EDEADLK", thrum.run, function() end)
        seen[2] = h.raises("EDEADLK", thrum.poll)
    end)
    spawn(error):detach()
    thrum.poll()
    lu.assertEquals(#seen, 2)
end

t["test run inside a run calls the function there"] = function()
    local outer, inner = {}, {}
    lu.assertEquals({thrum.run(function()
        outer.id = this_fiber.id
        return thrum.run(function(...)
            inner.id = this_fiber.id
            time.sleep(0)
            return ...
        end, 1, 2)
    end)}, {1, 2})
    lu.assertEquals(inner, outer)
end

t["test run refuses what is no function"] = function()
    for _, bad in ipairs {1, "f", true, {}} do
        h.raises_arg(1, thrum.run, bad)
    end
end

-- poll

t["test poll runs what is ready, does not block and tells whether there is more"] = function()
    lu.assertFalse(thrum.poll())
    local steps = 0
    local fiber = spawn(function()
        steps = 1
        time.sleep(0.005)
        steps = 2
    end)
    lu.assertEquals(steps, 0)
    lu.assertTrue(thrum.poll())
    lu.assertEquals(steps, 1)
    while thrum.poll() do
        lu.assertTrue(steps < 2)
    end
    lu.assertEquals(steps, 2)
    fiber:join()
    lu.assertFalse(thrum.poll())
end

t["test poll and run raise no other fiber's error: that goes to the reporter"] = function()
    for _, drive in ipairs {thrum.poll, thrum.run} do
        spawn(error, "elsewhere", 0):detach()
        drive()
        lu.assertEquals(h.take_reports()[1].err, "elsewhere")
        thrum.set_reporter(false)
        spawn(error, "silenced", 0):detach()
        drive()
        h.watch_reports()
        drive()
        lu.assertEquals(h.take_reports(), {})
    end
end

t["test run gives the error of a fiber whose handle was dropped to the reporter"] = function()
    lu.skipIf(not h.is_outside, "run is for callers outside any fiber")
    local came
    thrum.set_reporter(function(problem) came = problem end)
    thrum.run(function() spawn(error, "dropped", 0) end)
    lu.assertEquals(came, "dropped")
end

t["test report gives the errors that nobody has joined to the reporter"] = function()
    local came
    thrum.set_reporter(function(err) came = err end)
    local fiber = h.start(error, "left", 0)
    lu.assertNil(came)
    thrum.report()
    lu.assertEquals(came, "left")
    came = nil
    thrum.report()
    local ok, err = pcall(fiber.join, fiber)
    lu.assertFalse(ok)
    lu.assertEquals(err, "left")
    lu.assertNil(came)
end

-- A stock interpreter, once with nothing but the package and once with the prelude.
local function each_stock(chunk, check)
    for _, name in ipairs {"thrum", "thrum.prelude"} do
        check(stock(("local thrum = require %q "):format(name) .. chunk))
    end
end

local function occurrences(text, part)
    return select(2, text:gsub(part:gsub("%p", "%%%0"), ""))
end

t["test a stock interpreter writes uncaught errors to standard error"] = function()
    each_stock([[
        local named = thrum.fiber.named("rx", function() error("lost", 0) end)
        thrum.run(function() thrum.spawn(named):detach() end)
        print("went on")]], function(output, status)
        lu.assertEquals(status, 0)
        h.assert_starts(output, 'thrum: uncaught error in fiber 2 "rx": lost\nstack traceback:\n')
        h.assert_contains(output, "\nwent on\n")
    end)
    each_stock([[
        thrum.set_reporter(false)
        thrum.run(function() thrum.spawn(error, "lost"):detach() end)
        kept = thrum.spawn(error, "lost, too")
        thrum.poll()]], function(output, status)
        lu.assertEquals(status, 0)
        lu.assertEquals(output, "")
    end)
end

t["test a stock interpreter that ends reports what is left, and waits for nothing"] = function()
    for ending, expected in pairs {[""] = 0, ["os.exit(3, true)"] = 3, ["error()"] = 1} do
        each_stock([[
            kept = thrum.spawn(error, "left", 0)
            thrum.spawn(error, "dropped", 0)
            thrum.time.sleep(0) ]] .. ending, function(output, status)
            lu.assertEquals(status, expected)
            lu.assertEquals(occurrences(output, "uncaught error in fiber 1: left\n"), 1, output)
            lu.assertEquals(occurrences(output, "uncaught error in fiber 2: dropped\n"), 1, output)
        end)
    end
end

t["test a stock script that spawned and never ran is reported when its state closes"] = function()
    each_stock([[
        thrum.spawn(print, "never")
        kept = thrum.spawn(thrum.fiber.named("rx", print), "never")]], function(output, status)
        lu.assertEquals(status, 0)
        h.assert_starts(output, "thrum: 2 fibers were spawned and have never run, the first at " ..
            "(command line):1: in a stock interpreter a script ends with thrum.run()\n")
        lu.assertEquals(occurrences(output, "\n"), 1)
    end)
    each_stock([[
        local told
        thrum.set_reporter(function(err, traceback, id, name)
            print(err:match("^1 fiber was spawned and has never run"), type(traceback), id, name)
        end)
        thrum.spawn(function() end)
        thrum.poll()
        thrum.spawn(thrum.fiber.named("late", print))]], function(output)
        lu.assertEquals(output, "1 fiber was spawned and has never run\tstring\t2\tlate\n")
    end)
end

t["test nobody is told that who let the loop run, or ended, never ran"] = function()
    for _, chunk in ipairs {
        "thrum.spawn(thrum.time.sleep, 3600) thrum.poll()",
        "thrum.run(function() kept = thrum.spawn(print) os.exit(0, true) end)",
        "pcall(thrum.run, function() kept = thrum.spawn(print) error() end)",
        "thrum.set_reporter(false) thrum.spawn(print)",
    } do
        each_stock(chunk, function(output, status)
            lu.assertEquals(output, "", chunk)
            lu.assertEquals(status, 0)
        end)
    end
end

t["test a reporter that runs when the state closes cannot drive the loop any more"] = function()
    each_stock([[
        thrum.set_reporter(function(err)
            print(err, pcall(thrum.poll), (pcall(thrum.time.sleep, 0)))
        end)
        kept = thrum.spawn(error, "left", 0)
        thrum.time.sleep(0)]], function(output, status)
        lu.assertEquals(status, 0)
        lu.assertEquals(output, "left\tfalse\tfalse\n")
    end)
end

t["test set_reporter refuses what is no function"] = function()
    for _, bad in ipairs {1, "f", true, {}} do
        h.raises_arg(1, thrum.set_reporter, bad)
    end
end

-- stats

t["test stats counts fibers, operations and objects"] = function()
    local before = thrum.stats()
    for _, name in ipairs {"fibers", "operations", "objects"} do
        lu.assertEquals(math.type(before[name]), "integer")
    end
    local sock = h.bound()
    local fiber = spawn(function() return pcall(sock.receive, sock, byte_span.new(1)) end)
    thrum.poll()
    local now = thrum.stats()
    lu.assertEquals(now.fibers, before.fibers + 1)
    lu.assertTrue(now.operations > before.operations)
    lu.assertTrue(now.objects > before.objects)
    sock:close()
    fiber:join()
end

-- outside any fiber

t["test outside any fiber is the program's main thread of control"] = function()
    lu.assertTrue(this_fiber.is_main)
    lu.assertEquals(type(this_fiber.id), "string")
    this_fiber.local_.x = 1
    lu.assertEquals(this_fiber.local_.x, 1)
end

t["test a suspending call drives the loop until its own result is there"] = function()
    local start = time.steady_clock.now()
    time.sleep(0.005)
    lu.assertTrue(time.steady_clock.now() - start >= 0.005)

    local a, b = h.connected()
    local buf = byte_span.new(64)
    local echo = spawn(function()
        local mine = byte_span.new(64)
        for _ = 1, 3 do
            b:send(mine:slice(1, b:receive(mine)))
        end
    end)
    for i = 1, 3 do
        a:send("round " .. i)
        lu.assertEquals(tostring(buf:slice(1, a:receive(buf))), "round " .. i)
    end
    echo:join()
    a:close()
    b:close()
end

t["test other fibers go on meanwhile"] = function()
    local count = 0
    local worker = spawn(function()
        for _ = 1, 20 do
            time.sleep(0.0001)
            count = count + 1
        end
    end)
    while count < 20 do
        time.sleep(0.001)
    end
    worker:join()
end

t["test join outside gives results and errors"] = function()
    lu.assertEquals(spawn(function() time.sleep(0.001) return 7 end):join(), 7)
    local ok, err = pcall(function() spawn(error, "joined", 0):join() end)
    lu.assertFalse(ok)
    lu.assertEquals(err, "joined")
    local fiber = spawn(time.sleep, 3600)
    thrum.poll()
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

t["test yield outside lets the fibers run once"] = function()
    local steps = 0
    local fiber = spawn(function()
        for _ = 1, 3 do
            steps = steps + 1
            this_fiber.yield()
        end
    end)
    for i = 1, 3 do
        this_fiber.yield()
        lu.assertEquals(steps, i)
    end
    fiber:join()
end

t["test timeout, cancel and close end a wait outside"] = function()
    local sock = h.bound()
    sock.timeout = 0.002
    h.raises("ETIMEDOUT", sock.receive, sock, byte_span.new(1))
    sock.timeout = nil
    for _, method in ipairs {"cancel", "close"} do
        local meddler = spawn(function()
            time.sleep(0.001)
            sock[method](sock)
        end)
        h.raises("ECANCELED", sock.receive, sock, byte_span.new(1))
        meddler:join()
    end
end

t["test a call in a callback or a coroutine outside any fiber works as well"] = function()
    local count = 0
    string.gsub("xyz", ".", function()
        time.sleep(0)
        count = count + 1
    end)
    lu.assertEquals(count, 3)
    for _, library in ipairs {thrum.coroutine, h.stock_coroutine} do
        local wrapped = library.wrap(function()
            time.sleep(0.001)
            library.yield(1)
            this_fiber.yield()
            return 2
        end)
        lu.assertEquals(wrapped(), 1)
        lu.assertEquals(wrapped(), 2)
    end
end

t["test an error in another fiber does not disturb a wait outside"] = function()
    spawn(error, "elsewhere", 0):detach()
    time.sleep(0.002)
    lu.assertEquals(h.take_reports()[1].err, "elsewhere")
end

t["test a thousand calls that complete at once outside let fibers run"] = function()
    local sock = h.bound()
    local turns, stop = 0, false
    local other = spawn(function()
        while not stop do
            turns = turns + 1
            this_fiber.yield()
        end
    end)
    local buf = byte_span.new(8)
    for _ = 1, 1000 do
        sock:send_to("x", sock.local_address, sock.local_port)
        sock:receive_from(buf)
    end
    lu.assertTrue(turns > 10)
    stop = true
    other:join()
    sock:close()
end

t["test coroutine.yield in a coroutine outside any fiber is the stock one"] = function()
    local co = thrum.coroutine.create(function(a)
        return a + thrum.coroutine.yield(a * 2)
    end)
    local _, doubled = thrum.coroutine.resume(co, 5)
    lu.assertEquals(doubled, 10)
    local _, sum = thrum.coroutine.resume(co, 1)
    lu.assertEquals(sum, 6)
end

-- interpreters that end

t["test an interpreter that ends with work pending ends cleanly"] = function()
    local output, status = stock([[
        local thrum = require "thrum"
        local sock = thrum.ip.udp.socket.new()
        sock:open("v4")
        sock.timeout = 100
        for _ = 1, 10 do
            thrum.spawn(function() sock:receive(thrum.byte_span.new(10)) end)
            thrum.spawn(thrum.time.sleep, 3600)
            thrum.spawn(function()
                thrum.coroutine.wrap(function() thrum.time.sleep(3600) end)()
            end)
        end
        thrum.poll()
        kept = setmetatable({}, {__gc = function() pcall(sock.close, sock) print "end" end})]])
    lu.assertEquals(output, "end\n")
    lu.assertEquals(status, 0)
end

t["test the interpreter's own main chunk may use the prelude's names without run"] = function()
    local output, status = stock([[
        require "thrum.prelude"
        local sock = ip.udp.socket.new()
        sock:open("v4")
        sock:bind(ip.address.loopback_v4(), 0)
        local fiber = spawn(function()
            local buf = byte_span.new(16)
            return tostring(buf:slice(1, sock:receive(buf)))
        end)
        sock:send_to("prompt", sock.local_address, sock.local_port)
        print(fiber:join())
        spawn(error, "reported", 0):detach()
        time.sleep(0.001)]])
    h.assert_starts(output, "prompt\n")
    h.assert_contains(output, "uncaught error in fiber")
    h.assert_contains(output, "reported")
    lu.assertEquals(status, 0)
end

t["test a fiber resumed by the stock library is refused with the remedy"] = function()
    local ok, text = thrum.run(function()
        local co = h.stock_coroutine.create(function()
            local ok, err = pcall(time.sleep, 0)
            return ok, tostring(err)
        end)
        return select(2, h.stock_coroutine.resume(co))
    end)
    lu.assertFalse(ok)
    h.assert_contains(text, "thrum.coroutine")
end

t["test stock yield in a fiber itself ends that fiber with an error"] = function()
    h.raises_text("fiber", "The fiber coroutine is reserved to the scheduler", thrum.run,
        function() h.stock_coroutine.yield() end)
    time.sleep(0)
end

t["test sockets outlive their fibers and runs"] = function()
    local sock = thrum.run(function() return h.bound() end)
    lu.assertTrue(sock.is_open)
    lu.assertEquals(thrum.run(function()
        h.send_to(sock, sock, "later")
        return h.receive(sock)
    end), "later")
    sock:close()
    lu.assertTrue(ip.address.new() == thrum.run(ip.address.new))
end
