-- SPDX-License-Identifier: BSL-1.0
-- Each program in doc/example that ends by itself runs with status 0 and says what it should.
local h, t = ...
local lu = h.lu

local directory = h.source .. "/doc/example/"

-- These run until they are stopped; test/peer talks to them.
local is_server = {
    ["activated_echo.lua"] = true,
    ["echo_server.lua"] = true,
    ["dns_server.lua"] = true,
    ["tftp_server.lua"] = true,
    ["graceful_shutdown.lua"] = true,
    ["handover.lua"] = true,
    ["http_server.lua"] = true,
    ["privileged_port.lua"] = true,
    ["workers.lua"] = true,
}

-- Parts of the output of some, in their order.
local parts = {
    ["udp_echo.lua"] = {"server: listening on 127.0.0.1:", "server: 13 bytes from 127.0.0.1:",
        "client: 13 bytes came back, as they were sent", "server: 0 bytes",
        "client: 0 bytes came back", "client: 30000 bytes came back", "server: stopped"},
    ["errors.lua"] = {"ip.udp.socket.bind", "End of file"},
    ["spawn.lua"] = {"hello from process ", "the first child exited with code 3", "codes is 6",
        "sleeps was ended by signal 15", "answers: A QUESTION\nit exited with code 0",
        "No such file or directory: system.spawn: program \"no-such-program\""},
    ["collect_output.lua"] = {"one\ntwo\nwhat?\n3\n588890\ttrue"},
    ["release_assign.lua"] = {"udp v4", "still there"},
    ["connect.lua"] = {"connected to 127.0.0.1:", "welcome"},
    ["coroutines.lua"] = {"one", "two", "three"},
    ["timeout.lua"] = {"answer to the question"},
    ["scope.lua"] = {"true\tfalse", "the task failed", "the worker has cleaned up\ntrue",
        "first part\ntaken apart", "something is wrong"},
    ["mutex.lua"] = {"20\tmutex (free)", "a value", "false\ttrue\tmutex (held by fiber", "\n2\n"},
    ["channel.lua"] = {"1\n2\n3\n", "1 4 9 16 25 36 49 64"},
    ["dgram.lua"] = {"HELLO", "WHAT TIME IS IT?", "100 datagrams"},
    ["porting_socket.lua"] = {"you said one\nyou said two\nyou said three\n",
        "false\tConnection timed out: ", "false\ttrue\nyou said one at a time\ntrue\ttrue\n"},
    ["porting.lua"] = {"done: one", "done: two", "done: three"},
    ["porting_luvit.lua"] = {"answer to ping from 127.0.0.1\nanswer to ping from 127.0.0.1\n",
        "closed\t", "porting_luvit.lua\n"},
    ["luasocket.lua"] = {"ONE\tnil\tnil\nTWO\tnil\tnil\n\tnil\tnil\nnil\ttimeout\t\n",
        "1\ttrue\t1\na datagram\n"},
    ["emitter.lua"] = {"full at\t14", "1 of 3\n2 of 3\n3 of 3", "the task is done"},
    ["with_timeout.lua"] = {"false\ttrue\ttrue", "attempt 3 took too long\ntrue\tgave up",
        "ann runs\tbob runs", "1\ntrue"},
    ["supervisor.lua"] = {"the second child failed\ntrue", "attempt 2): not yet\nup",
        "Connection timed out: fiber.group"},
    ["host.lua"] = {"localhost", " has address 127.0.0.1", "127.0.0.1 is "},
    ["dns_query.lua"] = {"www.example.org has address 192.0.2.7\nfalse\ttrue"},
    ["fibers.lua"] = {"both halves are done", "within a forbid-suspend block"},
    ["pass_descriptor.lua"] = {"udp v4\t1\tudp v4", "sent in between", "false\tEnd of file"},
    ["tcp_echo.lua"] = {"listening on 127.0.0.1 port ", "hello, stream"},
    ["unix_stream.lua"] = {"process ", " of user ", "hello, stream", "true\tunix stream acceptor"},
    ["line_server.lua"] = {"ok\none line\nand two", "none\nerror line too long\tnil\n",
        "HELLO, STREAM"},
    ["unix_datagram.lua"] = {"1\tdisk is full", "noted as number 1"},
    ["socket_desk.lua"] = {"true\nnil\tno: Invalid argument"},
    ["group.lua"] = {"page of one\tpage of two\n", "false\tno answer from bad\n",
        "near: closed\nfar: closed\npage of near\n5\t2\n"},
    ["select.lua"] = {"serving one\n", "serving two\n", "still there\n", "stopped\n",
        "true\tfalse\tkept\n", "child ", "child ", "child "},
    ["stock_interpreter.lua"] = {"hello, stock Lua"},
}

local function names()
    local list = {}
    local pipe = io.popen("ls " .. h.quote(directory))
    for name in pipe:lines() do
        if name:find("%.lua$") then
            list[#list + 1] = name
        end
    end
    pipe:close()
    return list
end

-- What an example needs that not every machine has.
local needs = {
    ["host.lua"] = function()
        return h.shell("getent hosts localhost") ~= "", "no localhost here"
    end,
}

local function check(name, command)
    local is_there, reason = true, nil
    if needs[name] then
        is_there, reason = needs[name]()
    end
    lu.skipIf(not is_there, reason)
    local output, status = h.shell(command .. " " .. h.quote(directory .. name))
    lu.assertEquals(status, 0, output)
    lu.assertNil(output:find("uncaught error", 1, true), output)
    local position = 1
    for _, part in ipairs(parts[name] or {}) do
        local _, last = output:find(part, position, true)
        if not last then
            lu.fail(("'%s' is not in its place in: %s"):format(part, output))
        end
        position = last + 1
    end
end

for _, name in ipairs(names()) do
    if name == "stock_interpreter.lua" then
        t["test doc/example/" .. name .. " runs to its end in a stock interpreter"] = function()
            lu.skipIf(h.is_program, "this is not a stock interpreter")
            check(name, "lua5.3")
        end
    elseif not is_server[name] then
        t["test doc/example/" .. name .. " runs to its end"] = function()
            h.skip_without_program()
            check(name, h.quote(h.program))
        end
    end
end

t["test there are examples"] = function()
    lu.assertTrue(#names() > 1)
end

t["test udp_echo talks over v6 as well"] = function()
    h.skip_without_program()
    h.skip_without_v6()
    local output, status = h.run_program(directory .. "udp_echo.lua", "::1")
    lu.assertEquals(status, 0)
    h.assert_contains(output, "listening on [::1]:")
    h.assert_contains(output, "server: stopped")
end

t["test the servers refuse a bad address cleanly"] = function()
    h.skip_without_program()
    for _, name in ipairs {"echo_server.lua", "dns_server.lua"} do
        local output, status = h.run_program(directory .. name, "nonsense")
        lu.assertEquals(status, 1)
        h.assert_contains(output, "Invalid argument")
    end
end

-- The function `serve` of the region "server" of an example, with one of its constants replaced.
local function load_server(name, old, new)
    local file = assert(io.open(directory .. name))
    local text = file:read("a")
    file:close()
    local modules = text:match("\n(local [%w_]+ = require .-)\n\n")
    local region = text:match("%-%- tag::server%[%]\n(.-)%-%- end::server%[%]")
    region = region:gsub("\nspawn%b()%S*", "") -- what accepts: the test does
    local replaced, count = region:gsub(old, new)
    lu.assertEquals(count, 1)
    local chunk = modules .. "\n" .. replaced .. "\nreturn serve, server"
    return assert(load(chunk, "=" .. name))()
end

local TIME, PAUSE, N_PAUSES = 0.1, 0.005, 400

-- Seen: each byte began the timeout anew. `send_one` sends one and tells whether the server is
-- still there.
local function check_drip(send_one)
    for _ = 1, N_PAUSES do
        if not send_one() then
            return
        end
        h.thrum.time.sleep(PAUSE)
    end
    lu.fail("a client that drips stays")
end

t["test line_server: a client that drips has a time for its command"] = function()
    local serve = load_server("line_server.lua", "SECONDS = 60", "SECONDS = " .. TIME)
    local ours, theirs = h.thrum.unix.stream.socket.pair()
    local serving = h.thrum.spawn(serve, theirs)
    check_drip(function()
        return pcall(ours.write_some, ours, "x")
    end)
    serving:join()
    ours:close()
end

t["test line_server: so has a client that sips the answer"] = function()
    local thrum = h.thrum
    local serve = load_server("line_server.lua", "SECONDS = 60", "SECONDS = " .. TIME)
    local size = 1 << 20
    local function client()
        local ours, theirs = thrum.unix.stream.socket.pair()
        local serving = thrum.spawn(serve, theirs)
        return ours, serving, thrum.stream.reader(ours)
    end
    local ours, serving, reader = client()
    thrum.stream.write_all(ours, ("set big %d\n%s"):format(size, ("x"):rep(size)))
    lu.assertEquals(reader:line(), "ok")
    ours:close()
    serving:join()
    ours, serving = client()
    thrum.stream.write_all(ours, "get big\n")
    local buf, taken = thrum.byte_span.new(16384), 0
    repeat
        local ok, n = pcall(ours.read_some, ours, buf)
        taken = taken + (ok and n or 0)
        thrum.time.sleep(PAUSE)
    until not ok
    lu.assertTrue(taken > 0 and taken < size, taken)
    serving:join()
    ours:close()
end

t["test luasocket: a client that drips has a time for its line"] = function()
    local serve, server = load_server("luasocket.lua", "settimeout%(10", "settimeout(" .. TIME)
    local socket = h.thrum.socket
    local host, port = server:getsockname()
    local client = assert(socket.connect(host, port))
    local told
    local serving = h.thrum.spawn(function() told = serve(server:accept()) end)
    check_drip(function()
        return not told and client:send("x")
    end)
    serving:join()
    lu.assertEquals(told, "timeout")
    client:close()
    server:close()
end
