-- SPDX-License-Identifier: BSL-1.0
-- The thrum program, run as a child: options, arg, exit statuses, what it says on stderr, its end.
local h, t = ...
local lu = h.lu

-- Output (both streams) and status of the program with these words.
local function run(...)
    h.skip_without_program()
    return h.run_program(...)
end

local function check(expected_output, expected_status, ...)
    local output, status = run(...)
    lu.assertEquals(output, expected_output)
    lu.assertEquals(status, expected_status)
end

local function check_contains(part, expected_status, ...)
    local output, status = run(...)
    h.assert_contains(output, part)
    lu.assertEquals(status, expected_status)
    return output
end

local function with_script(script, f)
    h.skip_without_program()
    h.with_file(script, f)
end

-- options

t["test -e runs a chunk, several in order"] = function()
    check("one\ntwo\n", 0, "-e", "print 'one'", "-eprint 'two'")
    check("", 0, "-e", "")
end

t["test -l requires a module into a global of its name, and -e sees it"] = function()
    check("table\n", 0, "-l", "byte_span", "-e", "print(type(byte_span))")
    check("table\n", 0, "-lthrum.ip", "-e", "print(type(_G['thrum.ip']))")
    check_contains("module 'no_such_module' not found", 1, "-l", "no_such_module")
end

t["test -v tells the versions and nothing else"] = function()
    local output = check_contains("thrum ", 0, "-v")
    h.assert_contains(output, "Lua 5.3")
    lu.assertEquals(select(2, output:gsub("\n", "")), 1)
    check_contains("chunk\n", 0, "-v", "-e", "print 'chunk'")
end

t["test -h tells the usage, and long names are known"] = function()
    for _, word in ipairs {"-h", "--help"} do
        local output = check_contains("usage: thrum", 0, word)
        h.assert_contains(output, "--fibers-on-quit")
    end
    lu.assertEquals(run("--version"), run("-v"))
end

t["test an unknown option and a missing argument are refused with the usage"] = function()
    for _, words in ipairs {{"-x"}, {"--no-such"}, {"-e"}, {"-l"}, {"-e", "-v"}} do
        local output, status = run(table.unpack(words))
        lu.assertEquals(status, 1)
        h.assert_contains(output, "usage: thrum")
        h.assert_contains(output, words[1])
    end
end

t["test a script is run with its arguments in ... and arg"] = function()
    with_script("print(#arg, arg[0] ~= nil, arg[1], arg[2], ...)", function(name)
        check("2\ttrue\ta\t-e\ta\t-e\n", 0, name, "a", "-e")
        check("0\ttrue\tnil\tnil\n", 0, name)
    end)
    with_script("print(arg[-1], arg[-2], arg[-3], arg[0] == ...)", function(name)
        local output = run("-e", "", name, name)
        lu.assertEquals(output, ("\t-e\t%s\ttrue\n"):format(h.program))
    end)
end

t["test -- ends the options"] = function()
    with_script("print(arg[1])", function(name)
        check("-e\n", 0, "--", name, "-e")
    end)
end

t["test standard input is a script, asked for with - or by default"] = function()
    h.skip_without_program()
    for _, words in ipairs {"- a b", "- a b -"} do
        local output, status = h.shell("echo 'print(arg[0], ...)' | " .. h.quote(h.program) ..
            " " .. words)
        h.assert_starts(output, "-\ta\tb")
        lu.assertEquals(status, 0)
    end
    local output = h.shell("echo 'print(1 + 1)' | " .. h.quote(h.program))
    lu.assertEquals(output, "2\n")
    output = h.shell("echo 'print(type(byte_span))' | " .. h.quote(h.program) .. " -l byte_span")
    lu.assertEquals(output, "table\n")
    output = h.shell("echo 'print(...)' | " .. h.quote(h.program) .. " -e 'print(1)'")
    lu.assertEquals(output, "1\n") -- with -e and no script, standard input is left alone
end

t["test a script may begin with #!"] = function()
    with_script("#!/usr/bin/env thrum\nprint 'ran'", function(name)
        check("ran\n", 0, name)
    end)
end

t["test LUA_INIT is run first"] = function()
    h.skip_without_program()
    local output = h.shell("LUA_INIT='print(1)' " .. h.quote(h.program) .. " -e 'print(2)'")
    lu.assertEquals(output, "1\n2\n")
    output = h.shell("LUA_INIT='print(1)' LUA_INIT_5_3='print(3)' " .. h.quote(h.program) ..
        " -e 'print(2)'")
    lu.assertEquals(output, "3\n2\n")
end

-- the end of the state

-- Seen: crashes. Cause: a socket, a process or a lookup is finalized before the fiber that waits
-- for it is forgotten, and another finalizer looks at it, or lets it go on, in between.
t["test finalizers may look inside, and drive the loop, while the state closes"] = function()
    check("looked\n", 0, "-e", [[
        setmetatable({}, {__gc = function() fiber.list() print "looked" end})
        local sock = ip.udp.socket.new()
        sock:open("v4")
        local process = system.spawn {program = "sleep", arguments = {"sleep", "0.1"}}
        spawn(function() sock:receive(byte_span.new(1)) end)
        spawn(function() process:wait() end)
        this_fiber.yield()
        os.exit(true, true)]])
    check("drove\n", 0, "-e", [[
        setmetatable({}, {__gc = function()
            pcall(time.sleep, 0.01)
            print "drove"
        end})
        local process = system.spawn {program = "true"}
        process:wait()
        spawn(function() while true do process:wait() end end)
        this_fiber.yield()
        process = nil
        os.exit(true, true)]])
end

-- --fibers-on-quit

-- Lines of the report without what differs from run to run.
local function report_of(script)
    local output, status = run("--fibers-on-quit", "-e", script)
    lu.assertEquals(status, 0)
    return (output:gsub(", %d+%.%d s\n", ", SECONDS\n"))
end

t["test SIGQUIT shows fibers that wait, and the program goes on"] = function()
    local output = report_of([[
        local sock = ip.udp.socket.new()
        sock:open("v4")
        sock:bind(ip.address.loopback_v4(), 0)
        local fib = spawn(fiber.named("rx", function() sock:receive_from(byte_span.new(1)) end))
        local set = system.signal.set.new("SIGUSR1")
        os.execute(("(sleep 0.1; kill -QUIT %d; kill -USR1 %d) &"):gsub("%%d", system.getpid()))
        set:wait()
        time.sleep(0.1)
        fib:interrupt()
        print(sock.local_port)
    ]])
    local port = output:match("(%d+)\n$")
    h.assert_contains(output, "thrum: ")
    h.assert_contains(output, " (main): waits in system.signal.set.wait, SECONDS\n" ..
        "stack traceback:\n\t[C]: in system.signal.set.wait\n")
    h.assert_contains(output, ' "rx": waits in ip.udp.socket.receive_from 127.0.0.1:' .. port ..
        ", SECONDS\n")
    h.assert_contains(output, "(in a fiber, spawned at (command line):4)")
    lu.assertNil(output:find("fibers on quit", 1, true)) -- the fiber that writes it
end

t["test SIGQUIT shows a fiber that keeps all others from running"] = function()
    local output = report_of([[
        local is_over
        spawn(fiber.named("late", function() is_over = true end))
        system.kill(system.getpid(), "SIGQUIT")
        local function spin() for i = 1, 1000 do math.sin(i) end end
        spin()
        assert(not is_over)
        print "went on"
    ]])
    h.assert_contains(output, "thrum: 2 fibers\n")
    h.assert_contains(output, " (main): running\n")
    h.assert_contains(output, ' "late": new\n')
    h.assert_contains(output, "went on\n")
    lu.assertEquals(select(2, output:gsub("thrum: ", "")), 1)
end

t["test SIGQUIT puts a debug hook back that it found"] = function()
    check_contains("true\n", 0, "--fibers-on-quit", "-e", [[
        local n = 0
        local function count() n = n + 1 end
        debug.sethook(count, "c")
        system.kill(system.getpid(), "SIGQUIT")
        math.sin(1)
        n = 0
        math.sin(1)
        local hook, mask = debug.gethook()
        debug.sethook()
        print(hook == count and mask == "c" and n >= 2)
    ]])
end

t["test without the option, or waited for by the script, SIGQUIT is as usual"] = function()
    local _, status = run("-e", "system.kill(system.getpid(), 'SIGQUIT') time.sleep(5)")
    lu.assertTrue(status ~= 0)
    check("3\tSIGQUIT\n", 0, "--fibers-on-quit", "-e", [[
        local set = system.signal.set.new("SIGQUIT")
        system.kill(system.getpid(), "SIGQUIT")
        print(set:wait())
    ]])
end

t["test --fibers-on-quit keeps no program alive, and hides no deadlock"] = function()
    check("", 0, "--fibers-on-quit", "-e", "")
    check_contains("thrum: Every fiber waits and nothing is pending: the main fiber waits in " ..
        "channel.receive\nstack traceback:\n\t[C]: in channel.receive\n" ..
        "\t(command line):1: in main chunk\n", 1, "--fibers-on-quit", "-e",
        "channel.new():receive()")
end

-- the prelude

t["test the short names are modules and globals that load on first use"] = function()
    check("ok\n", 0, "-e", [[
        assert(rawget(_G, "ip") == nil)
        assert(require "ip" == ip and ip == require "thrum.ip")
        assert(require "byte_span" == byte_span and require "time" == time)
        assert(require "generic_error" == generic_error)
        assert(require "file_descriptor" == file_descriptor)
        assert(require "this_fiber" == this_fiber and this_fiber.is_main)
        assert(spawn == require "thrum".spawn)
        assert(coroutine == require "thrum.coroutine")
        assert(no_such_global == nil)
        print "ok"]])
end

t["test a script may set the names to what it likes"] = function()
    check("5\t6\n", 0, "-e", "ip = 5 local time = 6 print(ip, time)")
end

-- Seen: `time = nil` had no effect, the next look loaded the module. Cause: only what is nil can be
-- told from what was set, and nil is what it was set to.
local lazy_globals = [[
    local names = {"byte_span", "channel", "condition_variable", "dgram", "emitter", "fiber",
        "file_descriptor", "generic_error", "ip", "mutex", "semaphore", "socket", "stream",
        "system", "this_fiber", "time", "unix"}
]]

t["test a name that a script sets to nil stays nil, used before or not, and can be set again"] =
function()
    check("ok\n", 0, "-e", lazy_globals .. [[
        for i, name in ipairs(names) do
            if i % 2 == 0 then assert(_G[name], name) end
            _G[name] = nil
            assert(_G[name] == nil and _G[name] == nil, name)
            assert(require(name) == require("thrum")[name] and _G[name] == nil, name)
            _G[name] = i
            assert(_G[name] == i, name)
            _G[name] = nil
            assert(_G[name] == nil, name)
        end
        print "ok"]])
    check("ok\n", 0, "-e", "time = false assert(time == false) time = nil", "-e",
        "assert(time == nil and not rawget(_G, 'time')) print 'ok'")
    for _, name in ipairs {"spawn", "scope", "scope_cleanup_push", "scope_cleanup_pop", "pcall",
        "xpcall", "require", "coroutine"} do
        check("nil\n", 0, "-e", name .. " = nil print(" .. name .. ")")
    end
end

t["test a fiber that has died for want of memory, and holds it all, is reported"] = function()
    local command = "ulimit -v 120000; " .. h.quote(h.program) .. " -e "
    local _, status = h.shell("(" .. command .. "'' ) 2>/dev/null")
    lu.skipIf(status ~= 0, "the program does not start with so little memory: a sanitizer")
    for _, size in ipairs {100, 1000, 10000} do
        local output
        output, status = h.shell(command .. h.quote(([[
            kept = spawn(function()
                local list = {}
                while true do
                    list[#list + 1] = ("x"):rep(%d) .. #list
                end
            end)
        ]]):format(size)) .. " 2>&1")
        lu.assertEquals(status, 0)
        -- string.rep's buffer says where, and for what: both are Lua's own errors.
        local message = output:match "^thrum: uncaught error in fiber 2: ([^\n]*)\nstack traceback:"
        h.assert_contains(tostring(message), "not enough memory")
        lu.assertNil(output:find "reporter")
    end
end

t["test scripts that are strict about globals declare our names as they do others"] = function()
    check("ok\n", 0, "-e", [[
        local declared, metatable = {}, getmetatable(_G)
        local index, assign = metatable.__index, metatable.__newindex
        function metatable.__newindex(globals, name, value)
            declared[name] = true
            return assign(globals, name, value)
        end
        function metatable.__index(globals, name)
            local value = index(globals, name)
            if value == nil and not declared[name] then error(name, 2) end
            return value
        end
        assert(ip.address and not pcall(load "return mistake"))
        time, stream = nil
        assert(time == nil and stream == nil and this_fiber.is_main)
        print "ok"]])
end

-- ends and exit statuses

t["test the main chunk is the main fiber"] = function()
    check("true\tfalse\n", 0, "-e",
        "print(this_fiber.is_main, spawn(function() return this_fiber.is_main end):join())")
end

t["test the process ends when no fiber can run and nothing is pending"] = function()
    check("main ended\nfiber ended\n", 0, "-e", [[
        spawn(function() time.sleep(0.01) print "fiber ended" end):detach()
        print "main ended"]])
end

t["test an error in the main fiber is reported with traceback, status 1"] = function()
    local output = check_contains("thrum: ", 1, "-e",
        "local function culprit() error 'kaboom' end culprit()")
    h.assert_contains(output, "kaboom")
    h.assert_contains(output, "stack traceback:")
    h.assert_contains(output, "culprit")
    check_contains("Invalid argument: ip.address.new", 1, "-e", "ip.address.new('x')")
    check_contains("(error object is a table value)", 1, "-e", "error({})")
    check_contains("(error object is a nil value)", 1, "-e", "error()")
    check_contains("42", 1, "-e", "error(42)")
end

t["test a script that cannot be read or does not compile is status 1"] = function()
    check_contains("/no/such/script", 1, "/no/such/script")
    with_script("x =", function(name) check_contains("unexpected symbol", 1, name) end)
    check_contains("unexpected symbol", 1, "-e", "x =")
end

t["test an error of the main fiber ends the process, others notwithstanding"] = function()
    local output = check_contains("main failed", 1, "-e", [[
        spawn(function() time.sleep(3600) end)
        this_fiber.yield()
        error "main failed"]])
    lu.assertNil(output:find("sleep", 1, true))
end

t["test an uncaught error of another fiber is reported and the process goes on, status 0"] =
function()
    for _, chunk in ipairs {
        "spawn(function() error 'boom' end):detach() time.sleep(0.01) print 'went on'",
        "spawn(function() error 'boom' end) time.sleep(0) collectgarbage() collectgarbage() " ..
            "time.sleep(0.01) print 'went on'",
        "local kept = spawn(function() error 'boom' end) time.sleep(0.01) print 'went on' " ..
            "_G.kept = kept",
    } do
        local output, status = run("-e", chunk)
        h.assert_contains(output, "uncaught error in fiber")
        h.assert_contains(output, "boom")
        h.assert_contains(output, "stack traceback:")
        h.assert_contains(output, "went on")
        lu.assertEquals(select(2, output:gsub("boom", "")), 1)
        lu.assertEquals(status, 0)
    end
end

t["test reports go to standard error and prints to standard output"] = function()
    h.skip_without_program()
    local output = h.shell(h.quote(h.program) ..
        [[ -e "spawn(error, 'boom'):detach() print 'out'" 2>/dev/null]])
    lu.assertEquals(output, "out\n")
end

t["test a joined error and an interruption are not reported"] = function()
    check("", 0, "-e", [[
        pcall(function() spawn(error, "x"):join() end)
        local fiber = spawn(time.sleep, 3600)
        this_fiber.yield()
        fiber:interrupt()
        fiber = nil]])
end

t["test an error value of any kind is reported"] = function()
    for _, value in ipairs {"nil", "{}", "42", "print", "true",
        "setmetatable({}, {__tostring = function() return 'custom text' end})"} do
        check_contains("uncaught error in fiber", 0, "-e",
            "spawn(error, " .. value .. "):detach()")
    end
    check_contains("uncaught error in fiber", 0, "-e",
        "spawn(error, setmetatable({}, {__tostring = function() error 'worse' end})):detach()")
end

-- That the main fiber waits so (status 1) cannot be shown yet: it has no handle to join in a cycle,
-- and everything else a fiber can wait for is pending.
t["test another fiber that waits for ever with nothing pending does not hold the process"] =
function()
    check("end\n", 0, "-e", [[
        local a, b
        a = spawn(function() b:join() end)
        b = spawn(function() a:join() end)
        print "end"]])
end

t["test os.exit ends the process with its status, from any fiber, closing or not"] = function()
    check("", 7, "-e", "os.exit(7)")
    check("", 0, "-e", "spawn(time.sleep, 3600) os.exit(true)")
    for _, closing in ipairs {"", ", true"} do
        check("", 8, "-e", "spawn(function() os.exit(8" .. closing .. ") end):join()")
        check("", 9, "-e", ([[
            local sock = ip.udp.socket.new()
            sock:open("v4")
            spawn(function() sock:receive(byte_span.new(1)) end)
            spawn(time.sleep, 3600)
            this_fiber.yield()
            os.exit(9%s)]]):format(closing))
    end
end

t["test the process ends cleanly with sockets, descriptors and coroutines left over"] = function()
    check("end\n", 0, "-e", [[
        local sock = ip.udp.socket.new()
        sock:open("v4")
        released = sock:release()
        kept = ip.udp.socket.new()
        kept:open("v4")
        wrapped = coroutine.wrap(function() coroutine.yield() end)
        wrapped()
        setmetatable({}, {__gc = function()
            assert(not pcall(time.sleep, 0))
            assert(not pcall(kept.receive, kept, byte_span.new(1)))
            pcall(spawn, print)
            print "end"
        end})]])
end

t["test SIGINT and SIGTERM keep their default meaning"] = function()
    h.skip_without_program()
    for signal, status in pairs {TERM = 143, INT = 130} do
        -- `exec` under sh -c: a background child would have SIGINT ignored
        local _, came = h.shell("timeout -s " .. signal .. " --preserve-status 0.2 " ..
            h.quote(h.program) .. " -e 'time.sleep(3600)'; exit $?")
        lu.assertEquals(came, status, signal)
    end
end

-- A script in the program, in a process of its own: what it wrote to both streams, and its status.
-- It finds the number of its process in `pid`, and `ask` sends that SIGINT from outside.
local function end_by_sigint(script, ...)
    h.skip_without_program()
    local words = {...}
    return h.with_file("", function(output)
        local process = h.thrum.system.spawn {
            program = "sh",
            arguments = {"sh", "-c", 'exec "$0" "$@" >' .. output .. " 2>&1 </dev/null", h.program,
                "-e", [[
                    pid = tostring(system.getpid())
                    function ask()
                        return system.spawn {program = "kill", arguments = {"kill", "-INT", pid}}
                    end]],
                "-e", script, table.unpack(words)},
        }
        local status = process:wait()
        local file = assert(io.open(output))
        local text = file:read("a")
        file:close()
        return text, status
    end)
end

local function check_died(status, text)
    lu.assertFalse(status.exited, text)
    lu.assertEquals(status.signal, h.thrum.system.signal.SIGINT)
end

t["test SIGINT shows where each fiber stands, and the process dies by it"] = function()
    local text, status = end_by_sigint([[
        local sock = ip.udp.socket.new()
        sock:open("v4")
        sock:bind("127.0.0.1", 0)
        spawn(fiber.named("rx", function()
            coroutine.wrap(function()
                sock:receive_from(byte_span.new(1)) -- line 6
            end)()
        end))
        spawn(time.sleep, 60)
        spawn(function() end)
        local client = dgram.createSocket("udp4")
        client:bind(0, "127.0.0.1")
        spawn(function()
            this_fiber.yield()
            ask():wait()
            time.sleep(60)
        end)
        channel.new():receive() -- line 18
        print "went on"]])
    check_died(status, text)
    h.assert_starts(text, "thrum: interrupted\nfiber 2 (main): waits in channel.receive at " ..
        "(command line):18\n")
    h.assert_contains(text, '"rx": waits in ip.udp.socket.receive_from at (command line):6\n')
    h.assert_contains(text, ": waits in time.sleep, spawned at (command line):9\n")
    h.assert_contains(text, '"dgram udp4 127.0.0.1:')
    lu.assertNil(text:find("traceback", 1, true))
    lu.assertNil(text:find("went on", 1, true))
end

t["test SIGINT shows the line of a fiber that keeps all others from running"] = function()
    local text, status = end_by_sigint([[
        spawn(fiber.named("late", function() end))
        ask():wait()
        while true do end -- line 3, or the one before]], "--fibers-on-quit")
    check_died(status, text)
    h.assert_contains(text, "thrum: interrupted\nfiber 3 (main): ")
    text, status = end_by_sigint([[
        spawn(fiber.named("late", function() end))
        system.kill(system.getpid(), "SIGINT")
        while true do end]])
    check_died(status, text)
    lu.assertStrMatches(text, "thrum: interrupted\nfiber 2 %(main%): running at " ..
        "%(command line%):[23]\nfiber 3 \"late\": new, spawned at %(command line%):1\n")
end

-- While the process is stopped its child ends, then it gets the signal: the loop sees both at once.
t["test SIGINT shows the line of a fiber that was about to go on"] = function()
    local text, status = end_by_sigint([[
        local script = "(sleep 0.2; kill -CONT $0) & kill -STOP $0; kill -INT $0"
        system.spawn {program = "sh", arguments = {"sh", "-c", script, pid}}:wait()
        while true do end]])
    check_died(status, text)
    lu.assertStrContains(text, "thrum: interrupted\nfiber 2 (main): ")
end

t["test SIGINT ends a blocking read, and what the script does about the read does not matter"] =
function()
    local text, status = end_by_sigint([[
        local file = io.popen("kill -INT " .. pid .. "; while kill -0 " .. pid .. "; do :; done")
        while true do
            pcall(file.read, file, "a")
        end]])
    check_died(status, text)
    h.assert_contains(text, "thrum: interrupted\nfiber 2 (main): running at (command line):")
end

-- A pattern that takes for ever never comes back to Lua code.
t["test SIGINT ends the program also in C code that goes on and on"] = function()
    local text, status = end_by_sigint([[
        local name = os.tmpname()
        local helper = io.popen("while test -e " .. name .. "; do :; done; kill -INT " .. pid)
        os.remove(name)
        string.find(string.rep("a", 60), string.rep("a-", 40) .. "b")
        helper:close()]])
    check_died(status, text)
end

t["test what the program has for SIGINT is nothing that a look for leaks finds"] = function()
    local chunk = [[
        local stats = require "thrum".stats()
        print(stats.fibers, stats.operations, stats.objects)]]
    check("1\t0\t0\n", 0, "-e", chunk)
end

t["test SIGINT shows some of many fibers and counts the rest"] = function()
    local text, status = end_by_sigint([[
        for i = 1, 100 do spawn(time.sleep, 60) end
        this_fiber.yield()
        system.kill(system.getpid(), "SIGINT")
        time.sleep(60)]])
    check_died(status, text)
    h.assert_contains(text, "\nand 81 more fibers\n")
    lu.assertEquals(select(2, text:gsub("\nfiber ", "")), 20)
end

t["test a program that was started with SIGINT ignored goes on ignoring it"] = function()
    h.skip_without_program()
    local output, status = h.shell("trap '' INT; " .. h.quote(h.program) ..
        [[ -e 'system.kill(system.getpid(), "SIGINT") time.sleep(0) print "went on"']])
    lu.assertEquals(output, "went on\n")
    lu.assertEquals(status, 0)
end

t["test a script that waits for SIGINT gets it, and nothing is shown"] = function()
    check("2\tSIGINT\n", 0, "-e", [[
        local set = system.signal.set.new("SIGINT")
        system.kill(system.getpid(), "SIGINT")
        print(set:wait())]])
end

t["test SIGINT while the state is closed ends the process"] = function()
    local text, status = end_by_sigint([[
        setmetatable({}, {__gc = function()
            io.popen("kill -INT " .. pid):close()
            while true do end
        end})
        os.exit(0, true)]])
    check_died(status, text)
end

t["test the library touches no signal disposition"] = function()
    h.skip_without_program()
    local output = h.shell(h.quote(h.program) .. [[ -e "
        local sock = ip.udp.socket.new()
        sock:open('v4')
        time.sleep(0)
        for line in io.lines('/proc/self/status') do
            if line:find('^SigIgn') or line:find('^SigCgt') or line:find('^SigBlk') then
                print(line:match('%x+$'))
            end
        end"]])
    local plain = h.shell("exec sed -En 's/^Sig(Blk|Ign|Cgt):.//p' /proc/self/status")
    lu.assertEquals(output:sub(1, 34), plain:sub(1, 34)) -- blocked, ignored
    local caught = tonumber(output:sub(35), 16) -- a sanitizer catches those of a crash
    for _, number in ipairs {1, 3, 10, 12, 13, 14, 15, 17} do -- the program itself catches SIGINT
        lu.assertEquals(caught >> (number - 1) & 1, 0, number)
    end
end
