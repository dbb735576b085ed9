-- SPDX-License-Identifier: BSL-1.0
-- system.signal: the names, sets that wait, what becomes of the dispositions. Signals go to this
-- process, or to a child that a case has started, by its pid.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local system, time, spawn = thrum.system, thrum.time, thrum.spawn
local signal = system.signal
local set = signal.set

local function raise(...)
    for _, name in ipairs {...} do
        system.kill(system.getpid(), name)
    end
end

-- The set has nothing queued.
local function assert_quiet(s)
    h.raises("ETIMEDOUT", time.with_timeout, 0.005, s.wait, s)
end

-- A set for the time of the case: cleared whatever happens, so that nothing stays caught.
local function with_set(f, ...)
    local s = set.new(...)
    local ok, err = pcall(f, s)
    s:clear()
    if not ok then
        error(err, 0)
    end
end

-- names

t["test the names are the system's numbers"] = function()
    for name, number in pairs {SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGKILL = 9, SIGTERM = 15} do
        lu.assertEquals(signal[name], number)
    end
    local count = 0
    for name, number in pairs(signal) do
        if name ~= "set" then
            lu.assertEquals(math.type(number), "integer")
            lu.assertTrue(number > 0)
            local listed = name:gsub("^SIG", "")
            if not listed:find("^RTM") and listed ~= "POLL" then
                lu.assertEquals(h.shell("kill -l " .. number), listed .. "\n")
            end
            count = count + 1
        end
    end
    lu.assertTrue(count >= 20)
end

t["test an unknown name is an error and not nil"] = function()
    for _, name in ipairs {"SIGNONE", "sigterm", "TERM", "", 1} do
        h.raises("EINVAL", function()
            return signal[name]
        end)
    end
end

-- waiting

t["test wait gives the number and the name"] = function()
    with_set(function(s)
        raise("SIGUSR1")
        local number, name, nothing = s:wait()
        lu.assertEquals(number, signal.SIGUSR1)
        lu.assertEquals(name, "SIGUSR1")
        lu.assertNil(nothing)
        raise(signal.SIGUSR2)
        lu.assertEquals(select(2, s:wait()), "SIGUSR2")
    end, "SIGUSR1", signal.SIGUSR2)
end

t["test a fiber that waits is woken, and the others go on meanwhile"] = function()
    with_set(function(s)
        local fiber = h.start(s.wait, s)
        local count = 0
        for _ = 1, 10 do
            thrum.this_fiber.yield()
            count = count + 1
        end
        raise("SIGUSR1")
        lu.assertEquals({fiber:join()}, {signal.SIGUSR1, "SIGUSR1"})
        lu.assertEquals(count, 10)
    end, "SIGUSR1")
end

t["test realtime signals have names, which new takes as well"] = function()
    lu.skipIf(not pcall(function() return signal.SIGRTMIN end), "no realtime signals here")
    local names = {"SIGRTMIN", "SIGRTMIN+3", "SIGRTMIN+5"}
    with_set(function(s)
        raise(table.unpack(names))
        for _ = 1, #names do
            local number, name = s:wait()
            lu.assertTrue(number >= signal.SIGRTMIN and number <= signal.SIGRTMAX)
            lu.assertEquals(name, table.remove(names, 1))
        end
        s:remove("SIGRTMAX") -- valgrind has taken it
    end, table.unpack(names))
end

t["test signals that come before anybody waits are queued"] = function()
    with_set(function(s)
        raise("SIGUSR1", "SIGUSR2", "SIGUSR1")
        local counts = {}
        for _ = 1, 3 do
            local _, name = s:wait()
            counts[name] = (counts[name] or 0) + 1
        end
        lu.assertEquals(counts, {SIGUSR1 = 2, SIGUSR2 = 1})
        assert_quiet(s)
    end, "SIGUSR1", "SIGUSR2")
end

t["test a notification wakes every fiber that waits for the set"] = function()
    with_set(function(s)
        local fibers = {}
        for i = 1, 3 do
            fibers[i] = h.start(s.wait, s)
        end
        raise("SIGUSR1")
        for i = 1, 3 do
            lu.assertEquals(fibers[i]:join(), signal.SIGUSR1)
        end
        assert_quiet(s)
    end, "SIGUSR1")
end

t["test two sets are both notified"] = function()
    with_set(function(a)
        with_set(function(b)
            local waits_a, waits_b = h.start(a.wait, a), h.start(b.wait, b)
            raise("SIGUSR1")
            lu.assertEquals(waits_a:join(), signal.SIGUSR1)
            lu.assertEquals(waits_b:join(), signal.SIGUSR1)
        end, "SIGUSR1")
    end, "SIGUSR1")
end

t["test a coroutine in a fiber can wait"] = function()
    with_set(function(s)
        local wait = thrum.coroutine.wrap(s.wait)
        raise("SIGUSR1")
        lu.assertEquals(wait(s), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test signals can be added while somebody waits, and removed with what is queued"] = function()
    local s = set.new()
    local fiber = h.start(s.wait, s)
    s:add("SIGUSR2")
    s:add(signal.SIGUSR1)
    s:add(signal.SIGUSR1)
    raise("SIGUSR2", "SIGUSR1")
    lu.assertEquals(fiber:join(), signal.SIGUSR2)
    s:remove("SIGUSR1")
    s:remove("SIGHUP")
    assert_quiet(s)
    s:clear()
    s:clear()
end

-- ends other than a signal

t["test cancel ends every wait, and the set goes on"] = function()
    with_set(function(s)
        local one, two = h.try(s.wait, s), h.try(s.wait, s)
        lu.assertEquals(select("#", s:cancel()), 0)
        for _, fiber in ipairs {one, two} do
            local ok, err = fiber:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == thrum.generic_error.ECANCELED)
        end
        s:cancel()
        raise("SIGUSR1")
        lu.assertEquals(s:wait(), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test interrupting one waiter leaves the others"] = function()
    with_set(function(s)
        local one, two = h.start(s.wait, s), h.start(s.wait, s)
        one:interrupt()
        lu.assertEquals(select("#", one:join()), 0)
        lu.assertTrue(one.interruption_caught)
        raise("SIGUSR1")
        lu.assertEquals(two:join(), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test an interrupted fiber does not wait, though a signal is queued"] = function()
    with_set(function(s)
        raise("SIGUSR1")
        local fiber = spawn(function()
            thrum.this_fiber.disable_interruption()
            thrum.this_fiber.yield()
            thrum.this_fiber.restore_interruption()
            s:wait()
        end)
        h.let_others_run(1)
        fiber:interrupt()
        fiber:join()
        lu.assertTrue(fiber.interruption_caught)
        lu.assertEquals(s:wait(), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test a timeout ends a wait and loses no signal"] = function()
    with_set(function(s)
        h.raises("ETIMEDOUT", time.with_timeout, 0.005, s.wait, s)
        raise("SIGUSR1")
        lu.assertEquals(time.with_timeout(10, s.wait, s), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test interruption against arrival: a signal is delivered once, to one or the other"] = function()
    with_set(function(s)
        local taken = 0
        for round = 1, 300 do
            local fiber = h.start(s.wait, s)
            if round % 3 == 0 then
                fiber:interrupt()
                raise("SIGUSR1")
            else
                raise("SIGUSR1")
                h.let_others_run(round % 3 - 1)
                fiber:interrupt()
            end
            if fiber:join() == nil then
                lu.assertEquals(s:wait(), signal.SIGUSR1)
            else
                taken = taken + 1
            end
        end
        assert_quiet(s)
        lu.assertTrue(taken < 300)
    end, "SIGUSR1")
end

t["test a set that only its waiter holds is not collected"] = function()
    local fiber = h.start(function()
        return set.new("SIGUSR1"):wait()
    end)
    collectgarbage()
    collectgarbage()
    raise("SIGUSR1")
    lu.assertEquals(fiber:join(), signal.SIGUSR1)
end

t["test other signals keep their dispositions, SIGCHLD too"] = function()
    with_set(function()
        local output, status = h.shell("echo out; exit 3")
        lu.assertEquals(output, "out\n")
        lu.assertEquals(status, 3)
    end, "SIGUSR1", "SIGTERM")
    with_set(function(s)
        local _, _, status = os.execute("exit 3")
        lu.assertEquals(status, 3)
        lu.assertEquals(select(2, s:wait()), "SIGCHLD")
    end, "SIGCHLD")
end

-- Blocking calls of Lua's own go on when a signal arrives: with a handler that did not restart them
-- io.popen gave nil and EINTR, and print lost lines.

t["test a signal does not end a blocking read from io.popen"] = function()
    with_set(function(s)
        local output = h.shell(([[
            asleep() { read -r _ _ state _ < /proc/PID/stat; test "$state" = S; }
            for round in 1 2 3; do
                n=0
                until asleep || test $n -eq 100000; do n=$((n + 1)); done
                kill -USR1 PID
            done
            echo out]]):gsub("PID", math.tointeger(system.getpid())))
        lu.assertEquals(output, "out\n")
        lu.assertEquals(s:wait(), signal.SIGUSR1)
    end, "SIGUSR1")
end

t["test the end of a child does not end a blocking read from io.popen"] = function()
    with_set(function(s)
        local children = {}
        for i = 1, 5 do
            children[i] = system.spawn {program = "/bin/sh", arguments = {"sh", "-c", "exec true"}}
        end
        lu.assertEquals(h.shell("for i in 1 2 3 4 5; do (exit 3); done; echo out"), "out\n")
        for _, child in ipairs(children) do
            child:wait()
        end
        lu.assertEquals(s:wait(), signal.SIGCHLD)
    end, "SIGCHLD")
end

t["test no line is lost that is printed into a slow pipe while signals arrive"] = function()
    h.skip_without_program()
    local script = [[
        local system = require "thrum.system"
        local set = system.signal.set.new("SIGUSR1")
        print(system.getpid())
        for i = 1, 20000 do print(string.format("line %d", i)) end
        io.stdout:flush()]]
    local command = h.quote(h.program) .. " -e " .. h.quote(script) .. [[ | {
        read -r pid
        n=0
        while read -r line; do
            n=$((n + 1))
            case $n in
            ?00 | ??00) kill -USR1 $pid ;;
            esac
        done
        echo $n
    }]]
    lu.assertEquals(h.shell(command), "20000\n")
end

-- bad input

t["test new takes signals and nothing else, and catches none if one is bad"] = function()
    for _, bad in ipairs {0, -1, 65, 1.5, 2 ^ 53, "", "SIGNONE", "TERM", "sigterm", "SIGTERM\0",
        "15", "SIGRTMIN+", "SIGRTMIN+99", true, {}, print} do
        h.raises_arg(1, set.new, bad)
        h.raises_arg(3, set.new, "SIGUSR1", "SIGUSR2", bad)
    end
    h.raises_arg(2, set.new, "SIGUSR1", nil, "SIGUSR2")
    for _, name in ipairs {"SIGKILL", "SIGSTOP"} do
        local err = h.raises_arg(2, set.new, "SIGUSR1", name)
        h.assert_contains(tostring(err), "signal that can be waited for")
    end
end

t["test add and remove check their argument"] = function()
    local s = set.new()
    for _, bad in ipairs {0, -1, 65, 0.5, "SIGNONE", true, {}} do
        h.raises_arg(2, s.add, s, bad)
        h.raises_arg(2, s.remove, s, bad)
    end
    h.raises_arg(2, s.add, s)
    h.raises_arg(2, s.remove, s)
    h.raises_arg(2, s.add, s, "SIGKILL")
    s:remove("SIGKILL") -- it is not there
end

t["test the methods want a set, and an unknown field is an error"] = function()
    local s = set.new()
    for _, name in ipairs {"add", "remove", "clear", "cancel", "wait"} do
        h.raises_arg(1, s[name])
        h.raises_arg(1, s[name], {})
        h.raises_arg(1, s[name], io.stdout)
    end
    h.raises("EINVAL", function() return s.close end)
    h.raises("EINVAL", function() s.add = print end)
    lu.assertEquals(getmetatable(s), false)
end

t["test tostring lists the signals"] = function()
    local s = set.new("SIGUSR2", "SIGUSR1")
    lu.assertEquals(tostring(s), "system.signal.set (SIGUSR1, SIGUSR2)")
    s:remove("SIGUSR1")
    lu.assertEquals(tostring(s), "system.signal.set (SIGUSR2)")
    s:clear()
    lu.assertEquals(tostring(s), "system.signal.set (empty)")
end

t["test a finalizer that still holds a collected set gets an error"] = function()
    local ok, err
    do
        local holder = setmetatable({}, {__gc = function(holder)
            ok, err = pcall(holder.set.add, holder.set, "SIGUSR1")
        end})
        holder.set = set.new()
    end
    collectgarbage()
    collectgarbage()
    lu.assertFalse(ok)
    lu.assertTrue(err == thrum.generic_error.EINVAL)
end

t["test a wait where nothing can be suspended is refused before it begins"] = function()
    with_set(function(s)
        h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x", function()
            s:wait()
        end)
        raise("SIGUSR1")
        lu.assertEquals(s:wait(), signal.SIGUSR1)
    end, "SIGUSR1")
end

-- children

-- Start the program on a chunk that may call ready(): it says that the child may be signalled.
local function start_child(chunk)
    h.skip_without_program()
    local script = [[
        io.stdout:setvbuf("no")
        local set = system.signal.set
        local function ready() print(system.getpid()) end
    ]] .. chunk
    local command = ("exec timeout -k 1 20 %s -e %s 2>&1"):format(h.quote(h.program),
        h.quote(script))
    local pipe = assert(io.popen(command))
    local line = pipe:read("l")
    local pid = math.tointeger(tonumber(line))
    if not pid then
        local rest = pipe:read("a")
        pipe:close()
        lu.fail("the child says: " .. tostring(line) .. rest)
    end
    return pid, pipe
end

-- What the child says and how it ends, after these signals.
local function check_child(chunk, names, expected_output, expected_how, expected_code)
    local pid, pipe = start_child(chunk)
    for _, name in ipairs(names) do
        system.kill(pid, name)
    end
    local output = pipe:read("a")
    local _, how, code = pipe:close()
    -- SIGINT shows where the fibers stood: program.lua
    lu.assertEquals((output:gsub("^thrum: interrupted\nfiber .*\n$", "(fibers)")), expected_output)
    lu.assertEquals(how .. " " .. code, expected_how .. " " .. expected_code)
end

-- A signal that this process was started to ignore kills no child either.
local function skip_if_ignored(name)
    local file = io.open("/proc/self/status")
    local mask = file and file:read("a"):match("SigIgn:%s*(%x+)")
    if file then
        file:close()
    end
    local bit = 1 << (signal[name] - 1)
    lu.skipIf(mask and tonumber(mask, 16) & bit ~= 0, name .. " is ignored here")
end

t["test a script that waits for no signal dies of SIGINT and SIGTERM"] = function()
    for _, name in ipairs {"SIGINT", "SIGTERM"} do
        local output = name == "SIGINT" and "(fibers)" or ""
        skip_if_ignored(name)
        check_child("ready() time.sleep(20)", {name}, output, "signal", signal[name])
        check_child([[
            spawn(function() pcall(time.sleep, 20) end)
            local unused = set.new()
            set.new("SIGUSR1")
            ready()
        ]], {name}, output, "signal", signal[name])
    end
end

t["test a script that waits for SIGINT or SIGTERM gets it, and can end in its own way"] = function()
    for _, name in ipairs {"SIGINT", "SIGTERM"} do
        check_child([[
            local s = set.new("SIGINT", "SIGTERM")
            ready()
            local number, name = s:wait()
            print("caught", number, name)
        ]], {name}, ("caught\t%d\t%s\n"):format(signal[name], name), "exit", 0)
    end
end

t["test only what a set has is caught"] = function()
    skip_if_ignored("SIGTERM")
    check_child([[
        local s = set.new("SIGINT")
        ready()
        s:wait()
        print "not reached"
    ]], {"SIGTERM"}, "", "signal", signal.SIGTERM)
end

t["test a signal that is not waited for yet is queued and kills nobody"] = function()
    check_child([[
        local s, other = set.new("SIGTERM", "SIGUSR1"), set.new("SIGUSR2")
        ready()
        other:wait()
        print(select(2, s:wait()))
    ]], {"SIGTERM", "SIGUSR2"}, "SIGTERM\n", "exit", 0)
end

t["test clear, remove and collection restore the default disposition"] = function()
    for _, let_go in ipairs {
        "s:clear()", "s:remove('SIGTERM')", "s = nil collectgarbage() collectgarbage()",
    } do
        check_child([[
            local s = set.new("SIGTERM")
            system.kill(system.getpid(), "SIGTERM")
            assert(s:wait() == 15)
            ]] .. let_go .. [[

            ready()
            time.sleep(20)
            print "not reached"
        ]], {"SIGTERM"}, "", "signal", signal.SIGTERM)
    end
end

t["test the last of several sets restores it, and cancel does not"] = function()
    check_child([[
        local a, b = set.new("SIGTERM"), set.new("SIGTERM")
        a:clear()
        b:cancel()
        ready()
        print(select(2, b:wait()))
        b:clear()
        system.kill(system.getpid(), "SIGTERM")
        print "not reached"
    ]], {"SIGTERM"}, "SIGTERM\n", "signal", signal.SIGTERM)
end

t["test a set without a waiter does not keep the program"] = function()
    check_child("kept = set.new('SIGTERM') ready()", {}, "", "exit", 0)
end

t["test a fiber that waits keeps the program, until it is told"] = function()
    check_child([[
        spawn(function()
            print(select(2, set.new("SIGTERM"):wait()))
        end):detach()
        this_fiber.yield()
        ready()
    ]], {"SIGTERM"}, "SIGTERM\n", "exit", 0)
end

t["test a state that closes with a wait pending ends silently"] = function()
    check_child([[
        for _ = 1, 3 do
            spawn(function() set.new("SIGTERM", "SIGUSR1"):wait() end)
        end
        this_fiber.yield()
        ready()
        system.kill(system.getpid(), "SIGUSR1")
        system.exit(5)
    ]], {}, "", "exit", 5)
end
