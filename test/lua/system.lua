-- SPDX-License-Identifier: BSL-1.0
-- system: kill, the process's numbers, arguments, environment, exit.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local system = thrum.system

local function check(expected_output, expected_status, ...)
    h.skip_without_program()
    local output, status = h.run_program(...)
    lu.assertEquals(output, expected_output)
    lu.assertEquals(status, expected_status)
end

-- processes

t["test getpid and getppid are the process's and its parent's numbers"] = function()
    lu.assertEquals(math.type(system.getpid()), "integer")
    lu.assertTrue(system.getpid() > 0 and system.getppid() >= 0)
    h.skip_without_program()
    local program = h.quote(h.program)
    local output = h.shell("echo $$; exec " .. program .. " -e 'print(system.getpid())'")
    lu.assertStrMatches(output, "(%d+)\n%1\n")
    output = h.shell("echo $$; " .. program .. " -e 'print(system.getppid())'; true")
    lu.assertStrMatches(output, "(%d+)\n%1\n")
end

t["test kill with 0 asks whether a process is there"] = function()
    lu.assertEquals(select("#", system.kill(system.getpid(), 0)), 0)
    h.raises("ESRCH", system.kill, 2 ^ 31 - 1, 0)
end

t["test kill ends a child that this case has started, by number and by name"] = function()
    h.skip_without_program()
    for _, how in ipairs {"SIGKILL", system.signal.SIGKILL} do
        local pipe = io.popen("exec timeout -k 1 20 " .. h.quote(h.program) ..
            " -e 'print(system.getpid()) io.stdout:flush() time.sleep(20)' 2>&1")
        system.kill(pipe:read("n"), how)
        pipe:read("a")
        local _, ending, code = pipe:close()
        lu.assertTrue(ending == "signal" and code == 9 or code == 128 + 9)
    end
end

t["test kill refuses what is no process or no signal"] = function()
    local pid = system.getpid()
    for _, bad in ipairs {0, -1, -pid, 2 ^ 31, 2 ^ 53, 1.5, tostring(pid), true, {}} do
        h.raises_arg(1, system.kill, bad, 0)
    end
    h.raises_arg(1, system.kill)
    h.raises_arg(1, system.kill, nil, 0)
    for _, bad in ipairs {-1, 65, 2 ^ 32, 0.5, "", "0", "SIGNONE", "KILL", true, {}} do
        h.raises_arg(2, system.kill, pid, bad)
    end
    h.raises_arg(2, system.kill, pid)
    h.raises_arg(2, system.kill, pid, nil)
end

-- random_bytes

t["test random_bytes gives as many bytes as were asked for"] = function()
    for _, n in ipairs {0, 1, 2, 255, 256, 257, 4096.0, 65537, 1 << 20} do
        local bytes = system.random_bytes(n)
        lu.assertEquals(type(bytes), "string")
        lu.assertEquals(#bytes, n)
    end
end

-- By chance this fails once in more runs than anybody will make.
t["test random_bytes gives other bytes each time, of every value, to the last"] = function()
    lu.assertTrue(system.random_bytes(16) ~= system.random_bytes(16))
    local bytes = system.random_bytes(1 << 20)
    local counts = {}
    for i = 0, 255 do
        counts[i] = 0
    end
    for i = 1, #bytes, 4096 do
        for _, byte in ipairs {bytes:byte(i, i + 4095)} do
            counts[byte] = counts[byte] + 1
        end
    end
    for i = 0, 255 do -- each 4,096 times, give or take 64
        lu.assertTrue(counts[i] > 3400 and counts[i] < 4800, i)
    end
    lu.assertTrue(bytes:sub(-256):find("[^\0]") ~= nil)
    lu.assertTrue(bytes:sub(-16) ~= bytes:sub(-32, -17))
end

t["test random_bytes refuses what is no number of bytes"] = function()
    for _, bad in ipairs {-1, (1 << 20) + 1, 1 << 32, math.maxinteger, math.mininteger, 0.5,
        math.huge, -math.huge, 0 / 0, "4", "", true, {}, print} do
        h.raises_arg(1, system.random_bytes, bad)
    end
    h.raises_arg(1, system.random_bytes)
    h.raises_arg(1, system.random_bytes, nil)
end

-- Seen: two runs of a program made the same ids.
t["test math.random differs from run to run of the program, and randomseed decides"] = function()
    h.skip_without_program()
    local seen = {}
    for _ = 1, 5 do
        local output = h.run_program("-e", "print(math.random(1 << 30), math.random(1 << 30))")
        lu.assertStrMatches(output, "%d+\t%d+\n")
        lu.assertNil(seen[output])
        seen[output] = true
    end
    local seeded = "math.randomseed(7) print(math.random(1 << 30), math.random(1 << 30))"
    lu.assertEquals(h.run_program("-e", seeded), (h.run_program("-e", seeded)))
end

t["test the library leaves math.random as it is"] = function()
    local _, status = h.shell("command -v lua5.3")
    lu.skipIf(status ~= 0 or h.is_program, "run in the stock interpreter")
    local chunk = " -e 'print(math.random(1 << 30), math.random(1 << 30))'"
    local plain = h.shell("lua5.3" .. chunk)
    lu.assertEquals(h.shell("lua5.3 -l thrum.prelude" .. chunk), plain)
end

t["test an unknown field is an error"] = function()
    h.raises("EINVAL", function() return system.nothing end)
end

-- arguments

t["test arguments has the program, the script and its arguments"] = function()
    h.skip_without_program()
    h.with_file("print(table.unpack(system.arguments))", function(name)
        check(("%s\t%s\ta\t-e\n"):format(h.program, name), 0, name, "a", "-e")
        check(("%s\t%s\n"):format(h.program, name), 0, "-e", "arg = nil", name)
        check(("%s\t%s\tx\n"):format(h.program, name), 0, "--", name, "x")
    end)
end

t["test arguments is one table, made before a script can change arg"] = function()
    lu.assertTrue(rawequal(system.arguments, system.arguments))
    check("x\n", 0, "-e", "arg[0] = 'changed' arg = {} system.arguments[1] = 'x' " ..
        "print(system.arguments[1])")
end

t["test arguments comes from arg in a stock interpreter, if there is one"] = function()
    lu.skipIf(h.is_program, "this is not a stock interpreter")
    h.with_file("print(table.unpack(require 'thrum'.system.arguments))", function(name)
        local output = h.shell("lua5.3 -e '' " .. name .. " a b")
        lu.assertEquals(output, "lua5.3\t" .. name .. "\ta\tb\n")
    end)
    lu.assertEquals(h.shell(
        [[lua5.3 -e 'arg = nil print(#require "thrum".system.arguments)']]), "0\n")
end

-- environment

t["test environment has the process's variables"] = function()
    local count = 0
    for name, value in pairs(system.environment) do
        lu.assertEquals(os.getenv(name), value)
        lu.assertEquals(system.environment[name], value)
        count = count + 1
    end
    lu.assertTrue(count > 0)
    lu.assertNil(system.environment["no such variable"])
    h.skip_without_program()
    local output = h.shell("A='x=y' B= " .. h.quote(h.program) ..
        " -e 'print(system.environment.A, #system.environment.B)'")
    lu.assertEquals(output, "x=y\t0\n")
    output = h.shell("env -i " .. h.quote(h.program) .. " -e 'print(pairs(system.environment)" ..
        "(system.environment))'")
    lu.assertEquals(output, "nil\n")
end

t["test environment can only be read"] = function()
    local err = h.raises("EINVAL", function() system.environment.PATH = "/nowhere" end)
    h.assert_contains(tostring(err), "can only be read")
    h.raises("EINVAL", function() system.environment.NEW_ONE = "x" end)
    lu.assertEquals(system.environment.PATH, os.getenv("PATH"))
    lu.assertEquals(getmetatable(system.environment), false)
end

-- exit

t["test exit ends the process with the status"] = function()
    check("", 0, "-e", "system.exit()")
    check("", 0, "-e", "system.exit(nil)")
    check("", 7, "-e", "system.exit(7)")
    check("", 255, "-e", "system.exit(255.0)")
    check("buffered", 3, "-e", "io.write('buffered') system.exit(3) print 'not reached'")
end

t["test exit works from every place, while others wait"] = function()
    check("", 4, "-e", [[
        spawn(time.sleep, 3600)
        local sock = ip.udp.socket.new()
        sock:open("v4")
        sock:bind("127.0.0.1", 0)
        spawn(function() sock:receive(byte_span.new(1)) end):detach()
        spawn(function() time.with_timeout(3600, time.sleep, 3600) end)
        spawn(function()
            this_fiber.yield()
            pcall(coroutine.wrap(function()
                string.gsub("x", "x", function() system.exit(4) end)
            end))
        end):join()]])
end

t["test exit runs finalizers, which can start nothing, and no cleanup handlers"] = function()
    check("finalized\tfalse\n", 6, "-e", [[
        setmetatable({}, {__gc = function()
            print("finalized", (pcall(time.sleep, 0)))
        end})
        scope_cleanup_push(function() print "cleanup" end)
        system.exit(6)]])
end

t["test exit refuses what is no status"] = function()
    for _, bad in ipairs {-1, 256, 0.5, "0", true, {}} do
        h.raises_arg(1, system.exit, bad)
    end
end
