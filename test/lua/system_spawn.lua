-- SPDX-License-Identifier: BSL-1.0
-- system.spawn and its processes: what a child gets, how its end is told, and that nothing is left
-- of it. A child's output comes as datagrams, so that no case needs more than sockets.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local system, time, spawn, ip = thrum.system, thrum.time, thrum.spawn, thrum.ip
local generic_error = thrum.generic_error

-- The first set opens Asio's pipe, which stays as long as the state.
system.signal.set.new()

-- The children of this process, zombies too, as text; nil where the system does not tell.
local function children()
    local pid = system.getpid()
    local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    if not file then
        return nil
    end
    local list = file:read("a")
    file:close()
    return list
end

-- Until the loop has reaped what was let go.
local function assert_no_children()
    h.wait_until(function() return (children() or "") == "" end)
end

-- A process that runs a script of the shell; the other options as they are given.
local function shell(script, options)
    options = options or {}
    options.program, options.arguments = "sh", {"sh", "-c", script}
    return system.spawn(options)
end

-- A pair of a socket and a descriptor: what is written to one is received by the other.
local function pipe()
    local near, far = h.connected()
    return near, far:release()
end

local function drain(sock)
    local parts = {}
    sock.timeout = 0
    while true do
        local ok, part = pcall(h.receive, sock)
        if not ok then
            lu.assertTrue(part == generic_error.ETIMEDOUT, tostring(part))
            return table.concat(parts)
        end
        parts[#parts + 1] = part
    end
end

-- What it writes to `stdout`, or another field, until it has ended; and its end.
local function output(options, field)
    local sock, fd = pipe()
    options[field or "stdout"] = fd
    local process = system.spawn(options)
    fd:close()
    local status = process:wait()
    local text = drain(sock)
    sock:close()
    return text, status
end

local function shell_output(script, options)
    options = options or {}
    options.program, options.arguments = "sh", {"sh", "-c", script}
    return output(options)
end

-- A process that runs until it is told to end; and the function that tells it, waits, and gives
-- its end.
local fifo = os.tmpname()
os.remove(fifo)
h.shell("mkfifo -m 600 " .. fifo)

local function waiting()
    local process = shell("read line < " .. fifo)
    return process, function()
        local file = io.open(fifo, "r+") -- which does not wait for a reader
        file:write("\n")
        file:flush()
        local results = table.pack(pcall(process.wait, process))
        file:close()
        return table.unpack(results, 2, results.n)
    end
end

-- what a child gets

t["test a child runs a program with its arguments"] = function()
    local text, status = output {program = "printf", arguments = {"printf", "%s|%s|%s", "a b", "",
        "\xff"}}
    lu.assertEquals(text, "a b||\xff")
    lu.assertEquals(status, {exited = true, code = 0})
end

t["test the first argument is its name; without arguments that is the program"] = function()
    lu.assertEquals(output {program = "sh", arguments = {"name", "-c", "echo $0"}}, "name\n")
    local text = output {program = "cat", arguments = {"cat", "/proc/self/cmdline"}}
    lu.assertEquals(text, "cat\0/proc/self/cmdline\0")
    lu.assertEquals(system.spawn({program = "true"}):wait().code, 0)
end

t["test a child inherits the environment unless it is given one"] = function()
    local text = output {program = "env", environment = {A = "1", B = "x=y\n", C = ""}}
    local lines = {}
    for line in text:gmatch("[^\n]+") do
        lines[#lines + 1] = line
    end
    table.sort(lines)
    lu.assertEquals(lines, {"A=1", "B=x=y", "C="})
    lu.assertEquals(output {program = "env", environment = {}}, "")
    lu.assertEquals(shell_output("printf %s \"$PATH\""), os.getenv("PATH"))
end

t["test system.environment itself can be given"] = function()
    local text = shell_output("printf %s \"$PATH\"", {environment = system.environment})
    lu.assertEquals(text, os.getenv("PATH"))
    local changed = {}
    for name, value in pairs(system.environment) do
        changed[name] = value
    end
    changed.THRUM_SPEC = "added"
    text = shell_output("printf %s \"$PATH $THRUM_SPEC\"", {environment = changed})
    lu.assertEquals(text, os.getenv("PATH") .. " added")
end

t["test a child begins in its working directory, where a path of its program leads from"] =
function()
    lu.assertEquals(output {program = "pwd", working_directory = "/usr"}, "/usr\n")
    lu.assertEquals(output {program = "bin/pwd", working_directory = "/usr"}, "/usr\n")
    lu.assertEquals(shell_output("pwd"), h.shell("pwd"))
end

t["test standard descriptors are /dev/null unless something is given"] = function()
    lu.assertEquals(system.spawn({program = "cat"}):wait().code, 0) -- the end at once
    lu.assertEquals(shell_output("echo out; echo err >&2; cat"), "out\n")
    local text = output({program = "sh", arguments = {"sh", "-c", "echo out; echo err >&2"}},
        "stderr")
    lu.assertEquals(text, "err\n")
    local sock, fd = pipe()
    sock:send("a line\n")
    text = output {program = "head", arguments = {"head", "-n", "1"}, stdin = fd}
    lu.assertEquals(text, "a line\n")
    fd:close()
    sock:close()
end

t["test standard descriptors block, even if they come from a socket, and others are as they are"] =
function()
    local sock, fd = pipe()
    local process = system.spawn {program = "head", arguments = {"head", "-n", "1"}, stdin = fd,
        stdout = fd}
    h.raises("ETIMEDOUT", time.with_timeout, 0.01, process.wait, process)
    sock:send("a line\n") -- to who waits for it
    lu.assertEquals(h.receive(sock), "a line\n")
    lu.assertEquals(process:wait().code, 0)
    local status = shell_output("cat /proc/$$/fdinfo/0 /proc/$$/fdinfo/5",
        {stdin = fd, extra_fds = {[5] = h.bound():release()}})
    fd:close()
    sock:close()
    lu.skipIf(status == "", "no /proc here")
    local flags = {}
    for word in status:gmatch("flags:%s*(%d+)") do
        flags[#flags + 1] = tonumber(word, 8) & tonumber("4000", 8)
    end
    lu.assertEquals(flags, {0, tonumber("4000", 8)})
end

t["test one descriptor serves as several, and stays the caller's"] = function()
    local sock, fd = pipe()
    local process = shell("echo one; echo two >&2; echo three >&7",
        {stdout = fd, stderr = fd, extra_fds = {[7] = fd}})
    process:wait()
    lu.assertEquals(drain(sock), "one\ntwo\nthree\n")
    lu.assertEquals(fd:kind(), "udp v4")
    fd:close()
    sock:close()
end

t["test shared descriptors are the program's own"] = function()
    h.skip_without_program()
    local script = [[system.spawn{program = "sh", arguments = {"sh", "-c", "cat; echo err >&2"},
        stdin = "share", stdout = "share", stderr = "share"}:wait()]]
    local text = h.shell("echo in | " .. h.quote(h.program) .. " -e " .. h.quote(script))
    lu.assertEquals(text, "in\nerr\n")
    text = h.shell("exec <&-; exec " .. h.quote(h.program) .. " -e " .. h.quote(
        "print(select(2, pcall(system.spawn, {program = 'true', stdin = 'share'})))"))
    h.assert_contains(text, "Bad file descriptor: system.spawn: stdin: it is not ")
end

t["test extra_fds come under their numbers, and nothing else comes"] = function()
    local sock, fd = pipe()
    local other = h.bound()
    local file = io.open("/dev/null") -- without close-on-exec, but for the library's own
    local list = shell_output("ls /proc/$$/fd; exit", {extra_fds =
        {[3] = fd, [9] = fd, [100] = fd}})
    lu.assertEquals(list, "0\n1\n100\n2\n3\n9\n")
    lu.assertEquals(shell_output("ls /proc/$$/fd; exit"), "0\n1\n2\n")
    file:close()
    fd:close()
    sock:close()
    other:close()
end

t["test descriptors are put in one another's places"] = function()
    local a, b = h.bound():release(), h.bound():release()
    local number_a, number_b = a.native_handle, b.native_handle
    local script = ("readlink /proc/%s/fd/%d /proc/%s/fd/%d"):format("%s", number_a, "%s", number_b)
    local here = h.shell(script:format(system.getpid(), system.getpid()))
    lu.skipIf(not here:find("socket", 1, true), "no /proc here")
    local there = shell_output(script:format("$$", "$$") .. "; exit",
        {extra_fds = {[number_a] = b, [number_b] = a}})
    lu.assertEquals(there, (here:gsub("^(.-\n)(.-\n)$", "%2%1")))
    a:close()
    b:close()
end

t["test a child's signals have their defaults"] = function()
    h.skip_without_program()
    local script = [[
        local set = system.signal.set.new("SIGUSR1", "SIGCHLD")
        system.spawn{program = "cat", arguments = {"cat", "/proc/self/status"},
            stdout = "share"}:wait()]]
    local text = h.shell("trap '' PIPE TERM HUP; exec " .. h.quote(h.program) .. " -e " ..
        h.quote(script))
    lu.skipIf(not text:find("SigIgn", 1, true), "no /proc here")
    for _, name in ipairs {"SigBlk", "SigIgn", "SigCgt"} do
        lu.assertStrMatches(text, "(.-" .. name .. ":%s*0+\n.*)")
    end
end

t["test a child serves a socket that its parent has bound"] = function()
    h.skip_without_program()
    local sock = h.bound()
    local address, port = sock.local_address, sock.local_port
    local fd = sock:release()
    local process = system.spawn {program = h.program, arguments = {"thrum", "-e", [[
        local sock = ip.udp.socket.new()
        sock:assign("v4", system.inherited_fd(5))
        local buf = byte_span.new(100)
        local n, address, port = sock:receive_from(buf)
        sock:send_to(tostring(buf:slice(1, n)):upper(), address, port)]]}, extra_fds = {[5] = fd}}
    fd:close()
    local client = h.bound()
    client:send_to("question", address, port)
    lu.assertEquals(h.receive(client), "QUESTION")
    lu.assertEquals(process:wait().code, 0)
    client:close()
end

-- its end

t["test wait tells the code or the signal"] = function()
    for _, code in ipairs {0, 1, 255} do
        lu.assertEquals(shell("exit " .. code):wait(), {exited = true, code = code})
    end
    for _, name in ipairs {"SIGTERM", "SIGKILL", "SIGUSR1"} do
        local process = shell("kill -" .. name:sub(4) .. " $$")
        lu.assertEquals(process:wait(), {exited = false, signal = system.signal[name]})
    end
end

t["test wait answers at once and again after the end"] = function()
    local process = shell("exit 3")
    lu.assertEquals(process:wait().code, 3)
    for _ = 1, 200 do -- more than a fiber may complete in a row
        lu.assertEquals(process:wait().code, 3)
    end
    local status = process:wait()
    status.code = 4
    lu.assertEquals(process:wait().code, 3)
end

t["test several fibers wait for one process, and others go on meanwhile"] = function()
    local process, finish = waiting()
    local fibers = {}
    for i = 1, 5 do
        fibers[i] = h.start(process.wait, process)
    end
    h.let_others_run(10)
    lu.assertEquals(tostring(process), ("system.process (%d, running)"):format(process.pid))
    lu.assertEquals(finish(), {exited = true, code = 0})
    for i = 1, 5 do
        lu.assertEquals(fibers[i]:join().code, 0)
    end
end

t["test a look at the fibers shows which process is waited for"] = function()
    local process, finish = waiting()
    local fiber = h.start(thrum.fiber.named("waiter", process.wait), process)
    for _, entry in ipairs(thrum.fiber.list()) do
        if entry.name == "waiter" then
            lu.assertEquals(entry.waits_for, "system.process.wait " .. process.pid)
            fiber:interrupt()
        end
    end
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(finish().code, 0)
end

t["test a coroutine in a fiber waits, too"] = function()
    local process = shell("exit 9")
    lu.assertEquals(thrum.coroutine.wrap(function() return process:wait().code end)(), 9)
end

t["test an interrupted wait leaves the process and the other waits as they were"] = function()
    local process, finish = waiting()
    local other = h.start(process.wait, process)
    local fiber = h.start(process.wait, process)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(finish().code, 0)
    lu.assertEquals(other:join().code, 0)
end

t["test wait is an interruption point even when the end is known"] = function()
    local process = shell("exit 0")
    process:wait()
    local fiber = spawn(function()
        thrum.this_fiber.disable_interruption()
        thrum.this_fiber.yield()
        thrum.this_fiber.restore_interruption()
        process:wait()
    end)
    h.let_others_run(1)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

t["test a wait that takes too long ends with ETIMEDOUT, and can be taken up again"] = function()
    local process, finish = waiting()
    for _ = 1, 3 do
        h.raises("ETIMEDOUT", time.with_timeout, 0.002, process.wait, process)
    end
    lu.assertEquals(finish().code, 0)
end

t["test a collected process is reaped all the same"] = function()
    lu.skipIf(not children(), "the system does not tell of children")
    spawn(function()
        lu.assertEquals(type(shell("read line < " .. fifo).pid), "number")
        shell("exit 0")
    end):join()
    collectgarbage()
    collectgarbage()
    lu.assertNotEquals(children(), "")
    local _, finish = waiting()
    local file = io.open(fifo, "r+")
    file:write("\n")
    file:flush()
    lu.assertEquals(finish().code, 0)
    assert_no_children()
    file:close()
end

t["test a process that nobody waits for is no zombie for long"] = function()
    lu.skipIf(not children(), "the system does not tell of children")
    local process = shell("exit 8")
    assert_no_children()
    lu.assertEquals(process:wait().code, 8)
    lu.assertEquals(tostring(process), ("system.process (%d, exited 8)"):format(process.pid))
end

t["test many children at once all end"] = function()
    local processes = {}
    for i = 1, h.is_slow and 5 or 50 do
        processes[i] = shell("exit " .. i)
    end
    for i = #processes, 1, -1 do
        lu.assertEquals(processes[i]:wait().code, i)
    end
end

-- kill

t["test kill ends a process, by number and by name"] = function()
    for _, how in ipairs {"SIGTERM", system.signal.SIGTERM} do
        local process = waiting()
        local fiber = h.start(process.wait, process)
        lu.assertEquals(select("#", process:kill(how)), 0)
        lu.assertEquals(fiber:join(), {exited = false, signal = system.signal.SIGTERM})
        lu.assertEquals(tostring(process), ("system.process (%d, SIGTERM)"):format(process.pid))
    end
end

t["test kill after the end is ESRCH, whether or not the end was waited for"] = function()
    local process = shell("exit 0")
    local pid = process.pid
    process:wait()
    h.raises("ESRCH", process.kill, process, "SIGTERM")
    lu.assertEquals(process.pid, pid)
    process = shell("exit 5")
    h.wait_until(function() return not pcall(process.kill, process, "SIGCONT") end)
    h.raises("ESRCH", process.kill, process, "SIGKILL")
    lu.assertEquals(process:wait(), {exited = true, code = 5})
end

t["test kill refuses what is no signal, and 0"] = function()
    local process, finish = waiting()
    for _, bad in ipairs {0, -1, 65, 2 ^ 32, 0.5, "", "TERM", "SIGNONE", true, {}} do
        local err = h.raises_arg(2, process.kill, process, bad)
        h.assert_contains(tostring(err), "system.process.kill")
    end
    h.raises_arg(2, process.kill, process)
    lu.assertEquals(finish().code, 0)
end

-- signals

t["test a set of SIGCHLD hears of a child's end and not of one that did not start"] = function()
    local set = system.signal.set.new("SIGCHLD")
    local ok, err = pcall(function()
        h.raises("ENOENT", system.spawn, {program = "no-such-program"})
        h.raises("ETIMEDOUT", time.with_timeout, 0.01, set.wait, set)
        local process = shell("exit 6")
        lu.assertEquals(select(2, set:wait()), "SIGCHLD")
        lu.assertEquals(process:wait().code, 6)
        h.raises("ETIMEDOUT", time.with_timeout, 0.005, set.wait, set)
    end)
    set:clear()
    lu.assertTrue(ok, tostring(err))
end

t["test a program that is told to ignore SIGCHLD waits all the same"] = function()
    h.skip_without_program()
    local text = h.shell("trap '' CHLD; exec " .. h.quote(h.program) .. " -e " .. h.quote([[
        local process = system.spawn{program = "sh", arguments = {"sh", "-c", "exit 6"}}
        local ok, result = pcall(process.wait, process)
        print(ok and result.code or result)]]))
    -- Before Linux 6.15 nobody knows the code.
    lu.assertTrue(text == "6\n" or text:find("^No child processes: system.process.wait: it has") ~=
        nil, text)
end

-- the life of the program

t["test a wait keeps the program going, and a process alone does not"] = function()
    h.skip_without_program()
    local text, status = h.run_program("-e", [[
        local process = system.spawn{program = "sh", arguments = {"sh", "-c", "exit 5"}}
        spawn(function() print(process:wait().code) end):detach()]])
    lu.assertEquals(text, "5\n")
    lu.assertEquals(status, 0)
    local sock, fd = pipe()
    local process = system.spawn {program = h.program, arguments = {"thrum", "-e", ([[
        held = system.spawn{program = "sh", extra_fds = {[4] = system.inherited_fd(4)},
            arguments = {"sh", "-c", "read line < %s; echo end >&4"}}]]):format(fifo)},
        extra_fds = {[4] = fd}}
    fd:close()
    lu.assertEquals(process:wait(), {exited = true, code = 0})
    local file = io.open(fifo, "r+")
    file:write("\n")
    file:flush()
    lu.assertEquals(h.receive(sock), "end\n")
    file:close()
    sock:close()
end

t["test a program ends cleanly with children in every state"] = function()
    h.skip_without_program()
    for _, ending in ipairs {"", "system.exit(0)", "os.exit(0, true)", "os.exit(0)"} do
        local text, status = h.run_program("-e", [[
            local running = system.spawn{program = "sleep", arguments = {"sleep", "0.2"}}
            local ended = system.spawn{program = "true"}
            ended:wait()
            kept = {running, ended, system.spawn{program = "true"}}
            system.spawn{program = "sleep", arguments = {"sleep", "0.2"}}
            collectgarbage()
            setmetatable({}, {__gc = function()
                print(pcall(running.wait, running))
            end})
            local waiting = spawn(function() running:wait() end)
            this_fiber.yield()
            waiting:interrupt()
            waiting:detach() ]] .. ending)
        lu.assertEquals(status, 0, text)
        if ending ~= "os.exit(0)" then
            h.assert_contains(text, "false\t")
        end
    end
end

t["test the state of an interpreter may be closed while a child runs"] = function()
    lu.skipIf(h.is_program, "this is not a stock interpreter")
    local text, status = h.shell([[lua5.3 -e '
        local thrum = require "thrum"
        kept = thrum.system.spawn{program = "sleep", arguments = {"sleep", "0.1"}}
        print(thrum.system.spawn{program = "sh", arguments = {"sh", "-c", "exit 4"}}:wait().code)
        thrum.system.spawn{program = "sleep", arguments = {"sleep", "0.1"}}']])
    lu.assertEquals(text, "4\n")
    lu.assertEquals(status, 0)
end

-- errors: each names the function and the field, and leaves nothing behind

local function refused(expected, text, options)
    local before = h.descriptors()
    local err = h.raises(expected, system.spawn, options)
    h.assert_contains(tostring(err), ": system.spawn: " .. text)
    lu.assertEquals(h.descriptors(), before)
    lu.assertEquals(children() or "", "")
    return err
end

t["test a program that cannot be executed is an error of spawn"] = function()
    refused("ENOENT", 'program "no-such-program"', {program = "no-such-program"})
    refused("ENOENT", 'program "./no-such-program"', {program = "./no-such-program"})
    refused("ENOENT", 'program ""', {program = ""})
    refused("EACCES", 'program "/"', {program = "/"})
    h.with_file("no program at all", function(name)
        refused("EACCES", 'program "' .. name, {program = name})
        h.shell("chmod 700 " .. name)
        refused("ENOEXEC", 'program "' .. name, {program = name})
    end)
    if h.is_slow then -- valgrind does not come back from this one
        return
    end
    local many = {"true"}
    for i = 2, 2000 do
        many[i] = ("x"):rep(5000)
    end
    refused("E2BIG", 'program "true"', {program = "true", arguments = many})
end

t["test a working directory that is none is an error that names it"] = function()
    refused("ENOENT", 'working_directory "/nowhere"',
        {program = "true", working_directory = "/nowhere"})
    refused("ENOTDIR", 'working_directory "/dev/null"',
        {program = "true", working_directory = "/dev/null"})
    refused("ENOENT", 'working_directory ""', {program = "true", working_directory = ""})
end

t["test a wrong argument is EINVAL and names the field"] = function()
    local fd = h.bound():release()
    local closed = h.bound():release()
    closed:close()
    for _, row in ipairs {
        {"program): string expected, got nil", {}},
        {"program): string expected, got 5", {program = 5}},
        {"program): string without zero bytes", {program = "a\0b"}},
        {'a key of the options): program, arguments', {program = "true", enviroment = {}}},
        {'got "enviroment"', {program = "true", enviroment = {}}},
        {"a key of the options)", {program = "true", [1] = "x"}},
        {"a key of the options)", {program = "true", ["stdin\0"] = "x"}},
        {"arguments): list of strings expected, got", {program = "true", arguments = "true"}},
        {"arguments[1]): string expected, got nil", {program = "true", arguments = {}}},
        {"arguments[2]): string expected, got nil", {program = "true",
            arguments = {"a", nil, "c"}}},
        {"arguments[2]): string expected, got nil", {program = "true",
            arguments = {"a", [1000000] = "c"}}},
        {"arguments[2]): string expected, got 5", {program = "true", arguments = {"a", 5}}},
        {"arguments[2]): string without zero", {program = "true", arguments = {"a", "b\0"}}},
        {"a key of arguments): index", {program = "true", arguments = {"a", n = 1}}},
        {"a key of arguments): index", {program = "true", arguments = {"a", [0] = "b"}}},
        {"a key of arguments): index", {program = "true", arguments = {"a", [1.5] = "b"}}},
        {"environment): table of strings", {program = "true", environment = "A=1"}},
        {"environment.A): string expected, got 1", {program = "true", environment = {A = 1}}},
        {"environment.A): string without", {program = "true", environment = {A = "x\0"}}},
        {"a key of environment): string", {program = "true", environment = {"A=1"}}},
        {"a key of environment): string", {program = "true", environment = {["A=B"] = "1"}}},
        {"a key of environment): string", {program = "true", environment = {["A\0"] = "1"}}},
        {"a key of environment): string", {program = "true", environment = {[""] = "1"}}},
        {"working_directory): string", {program = "true", working_directory = {}}},
        {"working_directory): string without", {program = "true", working_directory = "/\0"}},
        {'stdin): file_descriptor, "share" or nil', {program = "true", stdin = 0}},
        {'stdout): file_descriptor, "share" or nil', {program = "true", stdout = "shared"}},
        {'stderr): file_descriptor, "share" or nil', {program = "true", stderr = io.stderr}},
        {"extra_fds): table", {program = "true", extra_fds = fd}},
        {"a key of extra_fds): integer from 3", {program = "true", extra_fds = {fd}}},
        {"a key of extra_fds): integer from 3", {program = "true", extra_fds = {[2] = fd}}},
        {"a key of extra_fds): integer from 3", {program = "true", extra_fds = {[3.5] = fd}}},
        {"a key of extra_fds): integer from 3", {program = "true", extra_fds = {[1 << 31] = fd}}},
        {"a key of extra_fds): integer from 3", {program = "true", extra_fds = {x = fd}}},
        {"extra_fds[3]): file_descriptor expected", {program = "true", extra_fds = {[3] = 4}}},
        {"extra_fds[3]): file_descriptor expected", {program = "true",
            extra_fds = {[3] = "share"}}},
    } do
        local err = refused("EINVAL", "argument 1 (", row[2])
        lu.assertEquals(err.arg, 1)
        h.assert_contains(tostring(err), row[1])
    end
    for _, bad in ipairs {5, "true", true, fd} do
        h.raises_arg(1, system.spawn, bad)
    end
    h.raises_arg(1, system.spawn)
    refused("EBADF", "stdin: it is closed", {program = "true", stdin = closed})
    refused("EBADF", "extra_fds[4]: it is closed", {program = "true", extra_fds = {[4] = closed}})
    refused("EBADF", "extra_fds[2147483647]: the number is beyond",
        {program = "true", extra_fds = {[(1 << 31) - 1] = fd}})
    local sock = ip.udp.socket.new()
    sock:assign("v4", fd)
    refused("EBUSY", "stdout: its descriptor has been taken", {program = "true", stdout = fd})
    sock:close()
end

t["test tables with metamethods are read as they are"] = function()
    local trap = setmetatable({}, {__index = function() error("trap") end,
        __len = function() error("trap") end, __pairs = function() error("trap") end})
    refused("EINVAL", "argument 1 (program)", trap)
    trap.program = "env"
    trap.environment = setmetatable({A = "1"}, getmetatable(trap))
    lu.assertEquals(output(trap), "A=1\n")
end

t["test finalizers that change everything meanwhile change nothing"] = function()
    local sock, fd = pipe()
    local arguments, environment, extra = {"sh", "-c", "echo $A $0 $1 >&5", "x", "y"}, {}, {}
    for i = 1, 300 do
        environment["V" .. i] = ("x"):rep(i)
    end
    environment.A, extra[5] = "good", fd
    for _ = 1, 50 do
        setmetatable({}, {__gc = function()
            for i = 1, #arguments do
                arguments[i] = arguments[i] and "changed" .. i
            end
            environment.A = "bad"
            collectgarbage()
        end})
    end
    collectgarbage("step", 1)
    local ok, process = pcall(system.spawn, {program = "sh", arguments = arguments,
        environment = environment, extra_fds = extra})
    if ok then
        process:wait()
    else
        lu.assertTrue(h.is_error(process))
    end
    fd:close()
    sock:close()
end

t["test the descriptor limit makes spawn EMFILE, and one more than enough is enough"] = function()
    h.skip_without_program()
    local text, status = h.shell("ulimit -n 30; exec " .. h.quote(h.program) .. " -e " .. h.quote([[
        local generic_error, held = require "generic_error", {}
        local sock = ip.udp.socket.new()
        sock:open("v4")
        held[1] = sock:release()
        while true do
            local ok, copy = pcall(held[1].dup, held[1])
            if not ok then
                break
            end
            held[#held + 1] = copy
        end
        local n_failed = 0
        while true do
            local ok, result = pcall(system.spawn, {program = "true"})
            if ok then
                assert(result:wait().code == 0)
                break
            end
            assert(result == generic_error.EMFILE, tostring(result))
            n_failed = n_failed + 1
            table.remove(held):close()
        end
        print(n_failed >= 3)]]))
    h.assert_contains(text, "true\n")
    lu.assertEquals(status, 0)
end

t["test the limit of processes is EAGAIN"] = function()
    h.skip_without_program()
    local script = "print(select(2, pcall(system.spawn, {program = 'true'})))"
    local command = "exec prlimit --nproc=1 " .. h.quote(h.program) .. " -e " .. h.quote(script)
    if h.shell("id -u") == "0\n" then -- whom the limit does not hold
        command = "exec setpriv --reuid=64321 --clear-groups " .. command:sub(6)
    end
    local text = h.shell(command)
    lu.skipIf(text:find("prlimit") or text:find("setpriv"), "cannot set it: " .. text)
    h.assert_contains(text, "Resource temporarily unavailable: system.spawn")
end

t["test an unknown field is an error, and nothing can be assigned"] = function()
    local process = shell("exit 0")
    h.raises("EINVAL", function() return process.nothing end)
    h.raises("EINVAL", function() process.pid = 1 end)
    lu.assertFalse(getmetatable(process))
    h.raises_arg(1, process.wait)
    h.raises_arg(1, process.kill, {}, 9)
    process:wait()
end

-- races

local rounds = math.max(10, math.min(h.rounds // 100, 1000) // (h.is_slow and 20 or 1))

t["test an interruption races with the end: the result or the interruption, and no more"] =
function()
    for round = 1, rounds do
        local process = shell("exit 2")
        local fiber = h.start(process.wait, process)
        if round % 2 == 0 then
            time.sleep(round % 30 / 10000)
        end
        fiber:interrupt()
        local status = fiber:join()
        lu.assertTrue(fiber.interruption_caught or status.code == 2)
        lu.assertEquals(process:wait().code, 2)
    end
end

t["test a timeout races with the end"] = function()
    for round = 1, rounds do
        local process = shell("exit 2")
        local ok, status = pcall(time.with_timeout, round % 30 / 10000, process.wait, process)
        lu.assertTrue(ok and status.code == 2 or status == generic_error.ETIMEDOUT)
        lu.assertEquals(process:wait().code, 2)
    end
end

t["test kill races with the end: the process or nobody"] = function()
    for round = 1, rounds do
        local process = shell("exit 2")
        if round % 2 == 0 then
            time.sleep(round % 30 / 10000)
        end
        local ok, err = pcall(process.kill, process, "SIGKILL")
        lu.assertTrue(ok or err == generic_error.ESRCH)
        local status = process:wait()
        lu.assertTrue(status.code == 2 or ok and status.signal == 9)
        h.raises("ESRCH", process.kill, process, "SIGKILL")
    end
end

t["test handles collected at any time leave no child"] = function()
    for round = 1, rounds do
        local process = shell("exit 2")
        local fiber = round % 3 == 0 and h.start(process.wait, process)
        process = nil
        if round % 5 == 0 then
            collectgarbage()
        end
        if fiber then
            lu.assertEquals(fiber:join().code, 2)
        end
        lu.assertNil(process)
    end
    collectgarbage()
    assert_no_children()
end

t["test the spec leaves no file"] = function()
    lu.assertTrue(os.remove(fifo))
end

-- Seen: the loop stood still. Cause: a socket that is a child's standard input as well is blocking
-- from then on, and it was trusted not to be.
t["test a socket that a child has for standard input does not block the loop"] = function()
    local ours, theirs = thrum.unix.stream.socket.pair()
    local fd = theirs:release()
    local shared = thrum.unix.stream.socket.new()
    shared:assign(fd:dup())
    local child = system.spawn {program = "sleep", arguments = {"sleep", "60"}, stdin = fd}
    fd:close()
    local reader = h.try(function() return shared:receive(thrum.byte_span.new(4)) end)
    time.sleep(0.001) -- would not come back
    ours:send("x")
    lu.assertEquals({reader:join()}, {true, 1})
    child:kill("SIGKILL")
    child:wait()
    ours:close()
    shared:close()
end
