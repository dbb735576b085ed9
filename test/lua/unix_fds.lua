-- SPDX-License-Identifier: BSL-1.0
-- Descriptors that travel with the messages of unix sockets: send_with_fds, receive_with_fds,
-- send_to_with_fds, receive_from_with_fds. Each case leaves as many descriptors as it found.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, ip, spawn = thrum.unix, thrum.byte_span, thrum.ip, thrum.spawn

local kinds = {"datagram", "stream", "seqpacket"}

local function each_kind(name, case)
    for _, kind in ipairs(kinds) do
        t[("test %s: %s"):format(kind, name)] = function() case(kind) end
    end
end

local function pair(kind)
    return unix[kind].socket.pair()
end

local function close(...)
    for _, each in ipairs {...} do
        each:close()
    end
end

local function close_all(fds)
    for _, fd in ipairs(fds) do
        fd:close()
    end
end

-- n descriptors, of n sockets whose ports tell them apart; or, for many, of one.
local function new_fds(n)
    local fds, ports = {}, {}
    for i = 1, n do
        if i <= 8 then
            local sock = h.bound()
            ports[i] = sock.local_port
            fds[i] = sock:release()
        else
            ports[i] = ports[8]
            fds[i] = fds[8]:dup()
        end
    end
    return fds, ports
end

-- The ports behind descriptors, which are used up.
local function take_ports(fds)
    local ports = {}
    for i, fd in ipairs(fds) do
        local sock = ip.udp.socket.new()
        sock:assign("v4", fd)
        ports[i] = sock.local_port
        sock:close()
    end
    return ports
end

local function receive(sock, max)
    local buf = byte_span.new(64)
    local n, fds = sock:receive_with_fds(buf, max)
    return tostring(buf:slice(1, n)), fds
end

-- How many descriptors there are; 253 of ours and as many that came are more than the usual 256.
local function count_descriptors()
    return select(2, h.descriptors(700):gsub("%d+", ""))
end

each_kind("none, one, some and 253 descriptors come as they were sent", function(kind)
    local a, b = pair(kind)
    for _, n in ipairs(h.is_slow and {0, 1, 3, 9} or {0, 1, 2, 3, 8, 253}) do
        for _, is_waiting in ipairs {false, true} do
            local fds, ports = new_fds(n)
            local before = count_descriptors()
            local receiver = is_waiting and h.start(receive, b, n)
            lu.assertEquals(a:send_with_fds("with", fds), 4)
            local text, came
            if receiver then
                text, came = receiver:join()
            else
                text, came = receive(b, n)
            end
            lu.assertEquals(text, "with")
            lu.assertEquals(#came, n)
            lu.assertEquals(count_descriptors(), before + n)
            for i = 1, n do
                lu.assertNotEquals(came[i].native_handle, fds[i].native_handle)
                lu.assertEquals(fds[i]:kind(), "udp v4") -- sent as a copy, and still ours
            end
            lu.assertEquals(take_ports(came), ports)
            close_all(fds)
        end
    end
    close(a, b)
end)

t["test what arrives is close-on-exec"] = function()
    local a, b = pair("seqpacket")
    local fds = new_fds(3)
    a:send_with_fds("x", fds)
    local _, came = receive(b, 3)
    for _, fd in ipairs(came) do
        local file = io.open("/proc/self/fdinfo/" .. fd.native_handle)
        lu.skipIf(not file, "no /proc here")
        local flags = tonumber(file:read("a"):match("flags:%s*(%d+)"), 8)
        file:close()
        lu.assertEquals(flags & tonumber("2000000", 8), tonumber("2000000", 8))
    end
    close_all(came)
    close_all(fds)
    close(a, b)
end

t["test datagrams with descriptors go to a path and tell where they come from"] = function()
    local sock, client = unix.datagram.socket.new(), unix.datagram.socket.new()
    for _, each in ipairs {sock, client} do
        each:open()
        each:bind("")
    end
    local fds, ports = new_fds(2)
    local buf = byte_span.new(8)
    for _, is_waiting in ipairs {false, true} do
        local receiver = is_waiting and h.start(sock.receive_from_with_fds, sock, buf, 2)
        lu.assertEquals(client:send_to_with_fds({"t", "o"}, sock.local_path, fds), 2)
        local n, path, came
        if receiver then
            n, path, came = receiver:join()
        else
            n, path, came = sock:receive_from_with_fds(buf, 2)
        end
        lu.assertEquals(n, 2)
        lu.assertEquals(path, client.local_path)
        lu.assertEquals(take_ports(came), ports)
    end
    local err = h.raises("ECONNREFUSED", client.send_to_with_fds, client, "x", "\0thrum-nobody",
        fds)
    lu.assertEquals(err.path, "\0thrum-nobody")
    client:send_to_with_fds("too long for it", sock.local_path, fds)
    err = h.raises("EMSGSIZE", sock.receive_from_with_fds, sock, buf, 2)
    lu.assertEquals(err.length, 15)
    lu.assertEquals(err.path, client.local_path)
    client:send_to_with_fds("x", sock.local_path, {})
    local n, path, none = sock:receive_from_with_fds(buf, 0)
    lu.assertEquals(n, 1)
    lu.assertEquals(path, client.local_path)
    lu.assertEquals(none, {})
    close_all(fds)
    close(sock, client)
end

t["test on a stream descriptors come with the byte they were sent with"] = function()
    local a, b = pair("stream")
    local first, first_ports = new_fds(1)
    local second, second_ports = new_fds(2)
    a:write_some("ab")
    a:send_with_fds("cd", first)
    a:send_with_fds("ef", second)
    local buf = byte_span.new(16)
    lu.assertEquals(b:read_some(buf:slice(1, 1)), 1)
    local text, came = receive(b, 5)
    lu.assertEquals(text, "bcd") -- and not beyond the byte that has others
    lu.assertEquals(take_ports(came), first_ports)
    local n, fds = b:receive_with_fds(buf:slice(1, 1), 5)
    lu.assertEquals(n, 1)
    lu.assertEquals(take_ports(fds), second_ports)
    text, came = receive(b, 5)
    lu.assertEquals(text, "f")
    lu.assertEquals(came, {})
    close_all(first)
    close_all(second)
    close(a, b)
end

t["test on a stream there has to be a byte for descriptors to go with"] = function()
    local a, b = pair("stream")
    local fds = new_fds(1)
    h.raises_arg(2, a.send_with_fds, a, "", fds)
    h.raises_arg(2, a.send_with_fds, a, {}, fds)
    h.raises_arg(2, b.receive_with_fds, b, byte_span.new(0), 1)
    for _, kind in ipairs {"datagram", "seqpacket"} do
        local c, d = pair(kind)
        lu.assertEquals(c:send_with_fds("", fds), 0)
        local text, came = receive(d, 1)
        lu.assertEquals(text, "")
        lu.assertEquals(#came, 1)
        close(c, d, came[1])
    end
    close_all(fds)
    close(a, b)
end

each_kind("spans, strings and lists go with descriptors", function(kind)
    local a, b = pair(kind)
    local fds = new_fds(1)
    for _, payload in ipairs {"text", byte_span.append("text"), {"te", byte_span.append("xt")}} do
        lu.assertEquals(a:send_with_fds(payload, fds), 4)
        local text, came = receive(b, 1)
        lu.assertEquals(text, "text")
        close_all(came)
    end
    close_all(fds)
    close(a, b)
end)

-- What is wrong with a list

each_kind("a list with anything else in it is EINVAL, and nothing is sent", function(kind)
    local a, b = pair(kind)
    local fds = new_fds(2)
    local x, y = fds[1], fds[2]
    local before = h.descriptors()
    local looped = {}
    looped[1] = looped
    for what, bad in pairs {
        number = {x, 1}, string = {x, "fd"}, boolean = {true}, socket = {x, a}, file = {io.stdout},
        hole = {x, nil, y}, gap = {[1] = x, [3] = y}, late = {[2] = x}, named = {x, fd = y},
        zero = {[0] = x, y}, fraction = {x, [1.5] = y}, nested = {{x}}, looped = looped,
        negative = {[-1] = x}, packed = table.pack(x, y),
        trap = setmetatable({x, 1}, {__index = function() error("trap") end}),
    } do
        local err = h.raises_arg(3, a.send_with_fds, a, what, bad)
        h.assert_contains(tostring(err), "argument 3 (fds")
    end
    for _, bad in ipairs {1, "fds", true, x, byte_span.new(1), print} do
        local err = h.raises_arg(3, a.send_with_fds, a, "x", bad)
        h.assert_contains(tostring(err), "list of file_descriptor expected")
    end
    h.raises_arg(3, a.send_with_fds, a, "x")
    h.raises_arg(2, a.send_with_fds, a)
    h.raises_arg(2, a.send_with_fds, a, 5, fds)
    h.assert_contains(tostring(h.raises_arg(3, a.send_with_fds, a, "x", {x, a})),
        "argument 3 (fds[2]): file_descriptor expected, got unix." .. kind .. ".socket")
    if kind == "datagram" then
        a:bind("")
        h.raises_arg(4, b.send_to_with_fds, b, "x", a.local_path, {x, 1})
        h.raises_arg(4, b.send_to_with_fds, b, "x", a.local_path)
    end
    lu.assertEquals(h.descriptors(), before)
    b.timeout = 0
    h.raises("ETIMEDOUT", receive, b, 2)
    close_all(fds)
    close(a, b)
end)

each_kind("more than 253 descriptors are EINVAL", function(kind)
    local a, b = pair(kind)
    local fds = new_fds(1)
    local many = {}
    for i = 1, 253 do
        many[i] = fds[1] -- one as often as one likes
    end
    a:send_with_fds("x", many)
    local _, came = receive(b, 253)
    lu.assertEquals(#came, 253)
    close_all(came)
    many[254] = fds[1]
    local err = h.raises_arg(3, a.send_with_fds, a, "x", many)
    h.assert_contains(tostring(err), "at most 253 descriptors expected, got 254")
    for _, bad in ipairs {-1, 254, 1.5, "1", true, {}, 2 ^ 40} do
        h.raises_arg(3, b.receive_with_fds, b, byte_span.new(1), bad)
    end
    h.raises_arg(3, b.receive_with_fds, b, byte_span.new(1))
    h.raises_arg(2, b.receive_with_fds, b, "buffer", 1)
    close_all(fds)
    close(a, b)
end)

each_kind("a closed descriptor is EBADF and a taken one EBUSY, before anything is sent",
function(kind)
    local a, b = pair(kind)
    local fds = new_fds(3)
    local heir = ip.udp.socket.new()
    heir:assign("v4", fds[2])
    local err = h.raises("EBUSY", a.send_with_fds, a, "x", fds)
    lu.assertEquals(err.arg, 3)
    h.assert_contains(tostring(err), "argument 3 (fds[2]): its descriptor has been taken over")
    fds[1]:close()
    err = h.raises("EBADF", a.send_with_fds, a, "x", fds)
    lu.assertEquals(err.arg, 3)
    h.assert_contains(tostring(err), "argument 3 (fds[1]): it is closed")
    b.timeout = 0
    h.raises("ETIMEDOUT", receive, b, 3)
    a:send_with_fds("the socket was not to blame", {fds[3]})
    b.timeout = nil
    local _, came = receive(b, 1)
    close(a, b, heir, fds[3], came[1])
end)

-- What is wrong with what comes

each_kind("more than maxfds are all closed, and EMSGSIZE says how long the message was",
function(kind)
    local a, b = pair(kind)
    local cases = {{1, 0}, {2, 1}, {3, 2}, {8, 7}, {253, 252}, {253, 0}}
    for _, case in ipairs {table.unpack(cases, 1, h.is_slow and 3 or #cases)} do
        local fds = new_fds(case[1])
        for _, is_waiting in ipairs {false, true} do
            local before = count_descriptors()
            local receiver = is_waiting and h.try(receive, b, case[2])
            a:send_with_fds("lost", fds)
            local ok, err
            if receiver then
                ok, err = receiver:join()
            else
                ok, err = pcall(receive, b, case[2])
            end
            lu.assertFalse(ok)
            lu.assertTrue(err == thrum.generic_error.EMSGSIZE, tostring(err))
            lu.assertEquals(err.length, 4)
            h.assert_contains(tostring(err), ("more than %d descriptors came"):format(case[2]))
            lu.assertEquals(count_descriptors(), before)
        end
        close_all(fds)
    end
    a:send("next")
    lu.assertEquals((receive(b, 0)), "next")
    close(a, b)
end)

t["test a message longer than the buffer closes what came with it"] = function()
    for _, kind in ipairs {"datagram", "seqpacket"} do
        local a, b = pair(kind)
        local fds = new_fds(2)
        local before = h.descriptors()
        a:send_with_fds("too long", fds)
        local err = h.raises("EMSGSIZE", b.receive_with_fds, b, byte_span.new(3), 2)
        lu.assertEquals(err.length, 8)
        h.assert_contains(tostring(err), "a datagram of 8 bytes came, the buffer has 3")
        lu.assertEquals(h.descriptors(), before)
        close_all(fds)
        close(a, b)
    end
end

each_kind("a receive without _with_fds drops them", function(kind)
    local a, b = pair(kind)
    local fds = new_fds(3)
    local before = h.descriptors()
    a:send_with_fds("gone", fds)
    lu.assertEquals(b:receive(byte_span.new(8)), 4)
    lu.assertEquals(h.descriptors(), before)
    close_all(fds)
    close(a, b)
end)

each_kind("a message that nobody receives takes its descriptors along", function(kind)
    local a, b = pair(kind)
    local sock = h.bound()
    local port = sock.local_port
    local fd = sock:release()
    a:send_with_fds("on its way", {fd})
    fd:close()
    local second = ip.udp.socket.new()
    second:open("v4")
    h.raises("EADDRINUSE", second.bind, second, "127.0.0.1", port) -- it lives, in the message
    close(a, b)
    second:bind("127.0.0.1", port)
    second:close()
end)

each_kind("the descriptor limit in the middle closes what came, and it goes on", function(kind)
    h.skip_without_program()
    local script = ([[
        local function count()
            local n = 0
            for i = 0, 63 do
                local file = io.open("/proc/self/fdinfo/" .. i)
                if file then file:close() n = n + 1 end
            end
            return n
        end
        local a, b = unix[%q].socket.pair()
        local buf = byte_span.new(8)
        local sock = ip.udp.socket.new()
        sock:open("v4")
        local fd = sock:release()
        local message = {fd, fd, fd, fd, fd, fd, fd, fd}
        local held = {}
        local function fill()
            while true do
                local ok, copy = pcall(fd.dup, fd)
                if not ok then return end
                held[#held + 1] = copy
            end
        end
        local function free(n)
            for _ = 1, n do table.remove(held):close() end
        end
        local function receive() return pcall(b.receive_with_fds, b, buf, 8) end
        for n_free = 1, 7 do
            for _, is_waiting in ipairs {false, true} do
                fill()
                free(n_free)
                local before = count()
                local receiver = is_waiting and spawn(receive)
                this_fiber.yield()
                this_fiber.yield()
                a:send_with_fds("many", message)
                local ok, err
                if receiver then ok, err = receiver:join() else ok, err = receive() end
                assert(not ok and err == generic_error.EMFILE, tostring(err))
                assert(err.length == 4, tostring(err.length))
                assert(count() == before, "leaked")
            end
        end
        fill()
        free(8)
        a:send_with_fds("many", message)
        local n, fds = b:receive_with_fds(buf, 8)
        assert(n == 4 and #fds == 8)
        print("went on")]]):format(kind)
    local output, status = h.shell("ulimit -n 40; exec " .. h.quote(h.program) .. " -e " ..
        h.quote(script))
    h.assert_contains(output, "went on\n")
    lu.assertEquals(status, 0, output)
end)

-- Waiting

each_kind("a send that waits has copies: the list and its descriptors may go", function(kind)
    local a, b = pair(kind)
    local fds, ports = new_fds(2)
    a:set_option("send_buffer_size", 4096)
    a.timeout = 0
    repeat until not pcall(a.send, a, ("x"):rep(1000))
    repeat until not pcall(a.send, a, "x")
    a.timeout = nil
    local list = {table.unpack(fds)}
    local sender = h.start(a.send_with_fds, a, "!", list)
    list[1], list[2] = nil, "something else"
    close_all(fds)
    collectgarbage()
    local buf = byte_span.new(1000)
    local n, came
    b.timeout = 5
    repeat
        n, came = b:receive_with_fds(buf, 2)
    until #came > 0
    lu.assertEquals(tostring(buf:slice(n, n)), "!")
    lu.assertEquals(take_ports(came), ports)
    lu.assertEquals(sender:join(), 1)
    close(a, b)
end)

each_kind("receives with and without descriptors are served in the order they came in",
function(kind)
    local a, b = pair(kind)
    local fds = new_fds(1)
    local fibers = {}
    for i = 1, 6 do
        fibers[i] = h.start(function()
            local buf = byte_span.new(1)
            if i % 3 == 0 then
                b:receive(buf)
                return tostring(buf), 0
            end
            local _, came = b:receive_with_fds(buf, 1)
            close_all(came)
            return tostring(buf), #came
        end)
    end
    for i = 1, 6 do
        a:send_with_fds(tostring(i), fds)
    end
    for i = 1, 6 do
        local text, n_fds = fibers[i]:join()
        lu.assertEquals(text, tostring(i))
        lu.assertEquals(n_fds, i % 3 == 0 and 0 or 1)
    end
    close_all(fds)
    close(a, b)
end)

t["test a socket passes over a socket that was passed"] = function()
    local a, b = pair("seqpacket")
    local c, d = pair("stream")
    local fd = d:release()
    a:send_with_fds("the other end", {fd})
    fd:close()
    local _, came = receive(b, 1)
    local heir = unix.stream.socket.new()
    heir:assign(came[1])
    local fds, ports = new_fds(1)
    c:send_with_fds("x", fds)
    close_all(fds)
    _, came = receive(heir, 1)
    lu.assertEquals(take_ports(came), ports)
    close(a, b, c, heir)
end

t["test received descriptors that nobody keeps are closed"] = function()
    local a, b = pair("stream")
    local fds = new_fds(3)
    local before = h.descriptors()
    a:send_with_fds("x", fds)
    do
        receive(b, 3)
    end
    spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertEquals(h.descriptors(), before)
    close_all(fds)
    close(a, b)
end

-- Another process, with other habits: its descriptors block, and survive an exec.
t["test descriptors go to Python and come back, and what blocked does not any more"] = function()
    lu.skipIf(not os.execute("python3 -c 'import socket; socket.send_fds' 2>/dev/null"),
        "no python3 with send_fds")
    local path = os.tmpname()
    os.remove(path)
    local acceptor = unix.stream.acceptor.new()
    acceptor:open()
    acceptor:bind(path)
    acceptor:listen()
    local pipe = io.popen("timeout 20 python3 -c " .. h.quote([[
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.connect(sys.argv[1])
message, fds, flags, address = socket.recv_fds(sock, 100, 4)
udp = socket.socket(fileno=fds[0])
print(message.decode(), len(fds), udp.getsockname()[1])
mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mine.bind(("127.0.0.1", 0))
socket.send_fds(sock, [b"back"], [mine.fileno(), udp.fileno(), 0])
print(mine.getsockname()[1])
sock.recv(1)]]) .. " " .. h.quote(path) .. " </dev/null")
    local server = acceptor:accept()
    local fds, ports = new_fds(1)
    server:send_with_fds("there", fds)
    close_all(fds)
    local text, came = receive(server, 3)
    lu.assertEquals(text, "back")
    lu.assertEquals(#came, 3)
    lu.assertEquals(came[3]:kind(), "character device")
    local blocking = ip.udp.socket.new()
    blocking:assign("v4", came[1])
    local their_port = blocking.local_port
    blocking.timeout = 0
    h.raises("ETIMEDOUT", blocking.receive, blocking, byte_span.new(1))
    blocking:close()
    came[3]:close()
    lu.assertEquals(take_ports({came[2]}), ports)
    server:close()
    acceptor:close()
    os.remove(path)
    lu.assertEquals(pipe:read("a"), ("there 1 %d\n%d\n"):format(ports[1], their_port))
    pipe:close()
end

t["test outside any fiber and in coroutines they work as well"] = function()
    local a, b = pair("seqpacket")
    local fds, ports = new_fds(1)
    local routine = coroutine.wrap(function()
        local _, came = receive(b, 1)
        return take_ports(came)
    end)
    local sender = spawn(function() a:send_with_fds("x", fds) end)
    lu.assertEquals(routine(), ports)
    sender:join()
    close_all(fds)
    close(a, b)
end
