-- SPDX-License-Identifier: BSL-1.0
-- Runs one spec: LuaUnit inside a fiber, and after each case a look for what it left behind.
--
--     thrum harness.lua [--eager] spec.lua [pattern]      in the program
--     lua5.3 harness.lua [--eager] spec.lua [pattern]     in a stock interpreter, after the prelude
--     lua5.3 harness.lua --outside spec.lua [pattern]     the same, the cases outside any fiber
--
-- --eager collects at every allocation; --slow is for valgrind and its like.
--
-- A spec is given two values: the table `h` of this file, and the table `t` it adds its cases to,
-- as t["test what is so"] = function() ... end. They run in the order of the file, each in a fiber
-- of its own. A case fails that leaves a fiber, an operation, an object (socket, timer), a
-- descriptor or an uncaught error behind.
--
-- Environment: THRUM, the program, for the specs that start it; THRUM_SOURCE, the project's root;
-- THRUM_ROUNDS, how many rounds a race runs; THRUM_CASE_SECONDS, after which a case is hung.
local command_line = arg
_G.arg = {[0] = arg[0]} -- LuaUnit would read it as its own
local exit = os.exit -- LuaUnit puts its own in its place
local lu = require "luaunit"

local is_program = rawget(_G, "spawn") ~= nil
local stock_coroutine = not is_program and coroutine or nil
local thrum = require(is_program and "thrum" or "thrum.prelude")

local spawn = thrum.spawn
local time = thrum.time
local this_fiber = thrum.this_fiber
local ip = thrum.ip
local byte_span = thrum.byte_span
local generic_error = thrum.generic_error
local unpack = table.unpack

local h = {
    lu = lu,
    thrum = thrum,
    is_program = is_program,
    stock_coroutine = stock_coroutine, -- the library before the prelude; the program has none
    is_outside = false,
    is_eager = false,
    is_slow = false, -- eager, or under a tool that makes everything slow: fewer rounds
    program = os.getenv("THRUM") or (is_program and command_line[-1]) or nil,
    interpreter = command_line[-1], -- what runs this: the program or a stock one
    source = os.getenv("THRUM_SOURCE") or ".",
    rounds_given = tonumber(os.getenv("THRUM_ROUNDS")),
    rounds = tonumber(os.getenv("THRUM_ROUNDS")) or 20000,
}
local case_seconds = tonumber(os.getenv("THRUM_CASE_SECONDS")) or 30

-- What is there: stats() and the open descriptors.

-- The numbers of the open descriptors, as text. A descriptor takes the lowest free number, so the
-- first 256 tell, unless a case is about more.
function h.descriptors(last)
    local open = {}
    for number = 0, last or 255 do
        local file = io.open("/proc/self/fdinfo/" .. number)
        if file then
            file:close()
            open[#open + 1] = number
        end
    end
    return table.concat(open, " ")
end

local function snapshot()
    local stats = thrum.stats()
    return {
        fibers = stats.fibers,
        operations = stats.operations,
        objects = stats.objects,
        descriptors = h.descriptors(),
    }
end

local function difference(before, now)
    local changes = {}
    for _, key in ipairs {"fibers", "operations", "objects", "descriptors"} do
        if before[key] ~= now[key] then
            changes[#changes + 1] = ("%s: %s before, %s now"):format(key, before[key], now[key])
        end
    end
    return #changes > 0 and table.concat(changes, "; ") or nil
end

-- Cancelled operations complete, and what they held is collected, within a few turns of the loop.
local function turn(round)
    collectgarbage()
    collectgarbage()
    this_fiber.yield()
    time.sleep(round > 10 and 0.001 or 0)
    this_fiber.yield()
end

local function stable_snapshot()
    local last
    for round = 1, 200 do
        turn(round)
        local now = snapshot()
        if last and not difference(last, now) then
            return now
        end
        last = now
    end
    return last
end

local function find_leak(before)
    local leak
    for round = 1, 200 do
        turn(round)
        leak = difference(before, snapshot())
        if not leak then
            return nil
        end
    end
    return leak
end

-- Uncaught errors of fibers that nobody joins.

local reports = {}

function h.watch_reports()
    thrum.set_reporter(function(err, traceback, id, name)
        reports[#reports + 1] = {err = err, traceback = traceback, id = id, name = name}
    end)
end

-- The reports so far, which the case thereby has taken notice of.
function h.take_reports()
    local taken = reports
    reports = {}
    return taken
end

-- One case.

local current, started = "the spec itself", time.steady_clock.now()

-- For a case that runs long and knows that it goes on. When it does not, h.describe says more, if
-- the spec has set it.
function h.not_hung()
    started = time.steady_clock.now()
end

local function explain(err)
    if type(err) == "string" and err:find("LuaUnit test ", 1, true) then
        return err
    end
    return debug.traceback(tostring(err), 2)
end

-- In a fiber of its own: a dead fiber's stack anchors nothing.
local function call_case(case)
    local failure
    local function protected()
        local ok, err = xpcall(case, explain)
        failure = not ok and err or nil
    end
    if h.is_outside then
        protected()
    else
        local fiber = spawn(protected)
        fiber:join()
        if fiber.interruption_caught then
            failure = "the case's fiber was interrupted"
        end
    end
    return failure
end

local function run_case(name, case)
    current, started = name, time.steady_clock.now()
    h.watch_reports()
    local before = stable_snapshot()
    local failure = call_case(case)
    local leak = find_leak(before)
    local left = h.take_reports()
    current, started = "between cases", time.steady_clock.now()
    if failure then
        error(failure, 0)
    elseif leak then
        error("LuaUnit test FAILURE: left behind: " .. leak, 0)
    elseif #left > 0 then
        error("LuaUnit test FAILURE: uncaught: " .. tostring(left[1].err) .. "\n" ..
            tostring(left[1].traceback), 0)
    end
end

-- A case that hangs ends the program. One that computes for ever is left to the caller's clock.
local function watch()
    while true do
        time.sleep(0.5)
        if time.steady_clock.now() - started > case_seconds then
            io.stderr:write("hung for more than ", case_seconds, " seconds: ", current, "\n")
            if h.describe then
                io.stderr:write(h.describe(), "\n")
            end
            io.stderr:flush()
            exit(1)
        end
    end
end

-- What specs lean on.

-- Whether loopback has IPv6: asked of the system through a socket of our own.
h.has_v6 = (function()
    local sock = ip.udp.socket.new()
    local ok = pcall(function()
        sock:open("v6")
        sock:bind(ip.address.loopback_v6(), 0)
    end)
    sock:close()
    return ok
end)()

function h.skip_without_v6()
    lu.skipIf(not h.has_v6, "no IPv6 here")
end

function h.loopback(family)
    return family == "v6" and ip.address.loopback_v6() or ip.address.loopback_v4()
end

-- An open socket on a port of loopback.
function h.bound(family)
    local sock = ip.udp.socket.new()
    sock:open(family or "v4")
    sock:bind(h.loopback(family), 0)
    return sock
end

-- The timers that a caller outside any fiber makes once and keeps.
local function warm_up()
    local sock = h.bound()
    sock.timeout = 1e-6 -- with 0 there would be none
    pcall(sock.receive, sock, byte_span.new(1))
    sock:close()
    time.sleep(1e-6)
end

-- Two sockets, each connected to the other.
function h.connected(family)
    local a, b = h.bound(family), h.bound(family)
    a:connect(b.local_address, b.local_port)
    b:connect(a.local_address, a.local_port)
    return a, b
end

function h.send_to(from, to, payload)
    return from:send_to(payload, to.local_address, to.local_port)
end

-- The next datagram as a string, and its sender.
function h.receive(sock, size)
    local buf = byte_span.new(size or 65535)
    local n, addr, port = sock:receive_from(buf)
    return tostring(buf:slice(1, n)), addr, port
end

function h.is_error(value)
    return type(value) == "table" and getmetatable(value) == false and
        math.type(rawget(value, "code")) == "integer" and rawget(value, "category") ~= nil
end

-- f(...) must raise an error object equal to `expected`, an error or the name of a POSIX one.
function h.raises(expected, f, ...)
    local wanted = type(expected) == "string" and generic_error[expected] or expected
    local results = table.pack(pcall(f, ...))
    if results[1] then
        lu.fail(("no error, where %s was expected"):format(tostring(wanted)))
    end
    local err = results[2]
    if not h.is_error(err) then
        lu.fail(("a %s, not an error object: %s"):format(type(err), tostring(err)))
    end
    if err ~= wanted then
        lu.fail(("%s expected, got: %s"):format(tostring(wanted), tostring(err)))
    end
    return err
end

-- The same for an error of a category that has no POSIX names: by its category and its text.
function h.raises_text(category, text, f, ...)
    local ok, err = pcall(f, ...)
    if ok then
        lu.fail(("no error, where '%s' was expected"):format(text))
    end
    if not h.is_error(err) then
        lu.fail(("a %s, not an error object: %s"):format(type(err), tostring(err)))
    end
    lu.assertEquals(tostring(err.category), category)
    lu.assertEquals(tostring(err):sub(1, #text), text)
    return err
end

function h.raises_arg(arg, f, ...)
    local err = h.raises("EINVAL", f, ...)
    lu.assertEquals(err.arg, arg)
    return err
end

-- pcall is an interruption point itself: this gives what comes of f in an interrupted fiber.
function h.pcall_inside(f, ...)
    this_fiber.disable_interruption()
    return pcall(function(...)
        this_fiber.restore_interruption()
        return f(...)
    end, ...)
end

function h.is_interruption(err)
    return h.is_error(err) and tostring(err.category) == "fiber" and
        tostring(err):find("^Fiber interrupted") ~= nil
end

function h.assert_starts(text, start)
    lu.assertEquals(text:sub(1, #start), start)
end

function h.assert_contains(text, part)
    if not text:find(part, 1, true) then
        lu.fail(("'%s' is not in: %s"):format(part, text))
    end
end

-- Random numbers from a seed alone (splitmix64): dice(n) is an integer from 1 to n.
function h.new_dice(seed)
    local state = seed
    return function(n)
        state = state + 0x9E3779B97F4A7C15
        local z = state
        z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
        z = (z ~ (z >> 27)) * 0x94D049BB133111EB
        z = z ~ (z >> 31)
        return (z >> 1) % n + 1
    end
end

-- The same from 0 to n - 1.
function h.new_random(seed)
    local dice = h.new_dice(seed)
    return function(n)
        return dice(n) - 1
    end
end

-- Let the others run until nothing but the loop's events can change anything: a spawned fiber has
-- by then begun to wait.
function h.let_others_run(turns)
    for _ = 1, turns or 2 do
        this_fiber.yield()
    end
end

-- Through a stream, all of it.
function h.write_all(sock, text)
    local sent = 0
    while sent < #text do
        sent = sent + sock:write_some(text:sub(sent + 1))
    end
end

-- Until its end, `size` bytes at a time.
function h.read_all(sock, size)
    local buf, pieces = thrum.byte_span.new(size or 65536), {}
    while true do
        local ok, n = pcall(sock.read_some, sock, buf)
        if not ok then
            h.assert_starts(tostring(n), "End of file")
            return table.concat(pieces)
        end
        pieces[#pieces + 1] = tostring(buf:slice(1, n))
    end
end

-- A program whose `script` makes an acceptor and connects a client runs out of descriptors: accept
-- says so once per call, and the connection waits on.
function h.check_descriptor_limit(script)
    local output, status = h.shell("ulimit -n 24; exec " .. h.quote(h.program) .. " -e " ..
        h.quote(script .. [[
        local filler, held = ip.udp.socket.new(), {}
        filler:open("v4")
        local fd = filler:release()
        while true do
            local ok, copy = pcall(fd.dup, fd)
            if not ok then break end
            held[#held + 1] = copy
        end
        for _ = 1, 3 do
            local ok, err = pcall(acceptor.accept, acceptor)
            assert(not ok and err == generic_error.EMFILE, tostring(err))
        end
        local waiting = spawn(function() return pcall(acceptor.accept, acceptor) end)
        local ok, err = waiting:join()
        assert(not ok and err == generic_error.EMFILE, tostring(err))
        held[1]:close()
        assert(acceptor:accept().is_open)
        print("went on")]]))
    h.assert_contains(output, "went on\n")
    lu.assertEquals(status, 0, output)
end

-- Until the condition holds. The watchdog is the deadline.
function h.wait_until(condition)
    while not condition() do
        time.sleep(0.0005)
    end
end

-- Spawn a receiver and let it begin to wait.
function h.start(f, ...)
    local fiber = spawn(f, ...)
    h.let_others_run()
    return fiber
end

-- spawn, for a function whose error is an expected result: join gives what pcall gives.
function h.try(f, ...)
    return h.start(function(...)
        return pcall(f, ...)
    end, ...)
end

-- Run a command of the shell: its whole output, standard error included, and its exit status.
-- A command that hangs is killed: 124.
function h.shell(command)
    local pipe = assert(io.popen("timeout -k 1 20 sh -c " .. h.quote(command) .. " 2>&1"))
    local output = pipe:read("a")
    local _, _, status = pipe:close()
    return output, status
end

function h.quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Run the thrum program on a chunk or with words of its command line.
function h.run_program(...)
    local words = {h.quote(h.program)}
    for _, word in ipairs {...} do
        words[#words + 1] = h.quote(word)
    end
    return h.shell(table.concat(words, " "))
end

function h.skip_without_program()
    lu.skipIf(not h.program, "the program is not known: set THRUM")
end

-- A file with that content until the case's function ends.
function h.with_file(content, f)
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(content)
    file:close()
    local results = table.pack(pcall(f, name))
    os.remove(name)
    if not results[1] then
        error(results[2], 0)
    end
    return unpack(results, 2, results.n)
end

-- The whole.

local function parse()
    local options, rest = {}, {}
    for _, word in ipairs(command_line) do
        if word:sub(1, 2) == "--" then
            options[word] = true
        else
            rest[#rest + 1] = word
        end
    end
    return options, assert(rest[1], "which spec?"), rest[2]
end

local function new_case_list()
    local cases = {}
    local t = setmetatable({}, {
        __newindex = function(_, name, case)
            for _, known in ipairs(cases) do
                assert(known.name ~= name, "two cases with one name: " .. name)
            end
            cases[#cases + 1] = {name = name, case = case}
        end,
    })
    return cases, t
end

-- As eager as the collector gets: a new cycle begins when one has ended, and each step is one.
function h.collect_eagerly()
    collectgarbage("setpause", 0)
    collectgarbage("setstepmul", 1000000)
    collectgarbage() -- the pause counts from the end of a cycle
end

function h.collect_as_usual()
    if not h.is_eager then
        collectgarbage("setpause", 200)
        collectgarbage("setstepmul", 200)
    end
end

local function main()
    local options, spec, pattern = parse()
    h.is_outside = options["--outside"] or false
    h.is_eager = options["--eager"] or false
    h.is_slow = h.is_eager or options["--slow"] or false
    local cases, t = new_case_list()
    assert(loadfile(spec))(h, t)

    -- Outside, thrum.run would wait for it: there the caller's clock has to do.
    local watchdog = not h.is_outside and spawn(watch)
    local list = {}
    for _, entry in ipairs(cases) do
        if not pattern or entry.name:find(pattern) then
            list[#list + 1] = {entry.name, function() run_case(entry.name, entry.case) end}
        end
    end
    warm_up()
    if h.is_eager then
        h.collect_eagerly()
    end

    local runner = lu.LuaUnit.new()
    runner:setOutputType("text")
    runner:runSuiteByInstances(list)
    if watchdog then
        watchdog:interrupt()
        watchdog:join()
    end
    for _, node in ipairs(runner.result.skippedTests) do
        print(("skipped: %s: %s"):format(node.testName, node.msg))
    end
    local failed = runner.result.notSuccessCount
    print(("%d passed, %d failed"):format(runner.result.successCount, failed))
    io.stdout:flush()
    if failed > 0 then
        exit(1)
    end
end

if is_program or parse()["--outside"] then
    main()
else
    thrum.run(main)
end
