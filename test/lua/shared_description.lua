-- SPDX-License-Identifier: BSL-1.0
-- O_NONBLOCK belongs to the open file description, which others may share: a child that is given a
-- socket as its standard input has it blocking, since system.spawn makes it so. No call may wait in
-- the kernel because of that, where nobody else would run.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, unix, system, time = thrum.ip, thrum.unix, thrum.system, thrum.time
local socket = thrum.socket
local loopback = ip.address.loopback_v4()

system.signal.set.new() -- it opens Asio's pipe, which stays as long as the state

local function is_blocking(number)
    local file = io.open("/proc/self/fdinfo/" .. number)
    if not file then
        lu.skip "this system does not tell the flags of descriptors"
    end
    local flags = tonumber(file:read("a"):match "flags:%s*(%d+)", 8)
    file:close()
    return flags & 2048 == 0 -- O_NONBLOCK
end

-- Have a child make the socket blocking; `...` is what assign wants before the descriptor. Returns
-- the descriptor's number.
local function make_blocking(sock, ...)
    local fd = sock:release()
    local number, copy = fd.native_handle, fd:dup()
    local arguments = {...}
    arguments[#arguments + 1] = fd
    sock:assign(table.unpack(arguments))
    system.spawn({program = "true", stdin = copy}):wait()
    copy:close()
    lu.assertTrue(is_blocking(number))
    return number
end

local function receive(sock)
    local buf = thrum.byte_span.new(100)
    return tostring(buf:slice(1, (sock:receive(buf))))
end

-- `f` waits, others run meanwhile, and its time is over.
local function times_out(f, ...)
    local n_turns, is_over = 0, false
    local other = thrum.spawn(function()
        while not is_over do
            n_turns = n_turns + 1
            time.sleep(0.001)
        end
    end)
    h.raises("ETIMEDOUT", f, ...)
    is_over = true
    other:join()
    lu.assertTrue(n_turns > 1)
end

local acceptors = {
    ["ip.tcp"] = {
        listen = function()
            local acceptor = ip.tcp.acceptor.new()
            acceptor:open "v4"
            acceptor:bind(loopback, 0)
            acceptor:listen()
            return acceptor, make_blocking(acceptor, "v4")
        end,
        connect = function(acceptor)
            local sock = ip.tcp.socket.new()
            sock:connect(loopback, acceptor.local_port)
            return sock
        end,
    },
}
for _, kind in ipairs {"stream", "seqpacket"} do
    acceptors["unix." .. kind] = {
        listen = function()
            local acceptor = unix[kind].acceptor.new()
            acceptor:open()
            acceptor:bind ""
            acceptor:listen()
            return acceptor, make_blocking(acceptor)
        end,
        connect = function(acceptor)
            local sock = unix[kind].socket.new()
            sock:connect(acceptor.local_path)
            return sock
        end,
    }
end

for name, class in pairs(acceptors) do
    t["test an acceptor that a child has made blocking stops nobody: " .. name] = function()
        local acceptor, number = class.listen()
        for _, seconds in ipairs {0.01, 0.01, 0} do
            acceptor.timeout = seconds
            if seconds > 0 then
                times_out(acceptor.accept, acceptor)
            else
                h.raises("ETIMEDOUT", acceptor.accept, acceptor)
            end
        end
        acceptor.timeout = 5
        local accepting = h.start(acceptor.accept, acceptor)
        local client = class.connect(acceptor)
        local server = accepting:join()
        lu.assertTrue(is_blocking(number)) -- the child finds it as it was made
        client:send "hello"
        lu.assertEquals(receive(server), "hello")
        client:close()
        server:close()
        acceptor:close()
    end
end

t["test a socket that a child has made blocking stops nobody"] = function()
    local a, b = unix.stream.socket.pair()
    make_blocking(a)
    a.timeout = 0.01
    times_out(receive, a)
    times_out(function()
        for _ = 1, 1000 do
            a:send(("x"):rep(65536))
        end
    end)
    a:close()
    b:close()
    local datagrams = h.bound()
    make_blocking(datagrams, "v4")
    datagrams.timeout = 0.01
    times_out(receive, datagrams)
    datagrams:close()
end

-- Its backlog is full: who connects has to wait.
local function full()
    local acceptor, clients = unix.stream.acceptor.new(), {}
    acceptor:open()
    acceptor:bind ""
    acceptor:listen(0)
    for i = 1, 4 do
        clients[i] = unix.stream.socket.new()
        clients[i].timeout = 0
        if not pcall(clients[i].connect, clients[i], acceptor.local_path) then
            clients[i]:close()
            return acceptor, clients
        end
    end
    lu.fail "a backlog of 0 takes everybody"
end

t["test a connect of a socket that a child has made blocking stops nobody"] = function()
    local acceptor, clients = full()
    local sock = unix.stream.socket.new()
    sock:open()
    make_blocking(sock)
    sock.timeout = 0.01
    times_out(sock.connect, sock, acceptor.local_path)
    sock:close()
    for _, client in ipairs(clients) do
        client:close()
    end
    acceptor:close()
end

t["test module socket: a server that a child has made blocking stops nobody"] = function()
    local acceptor, server = ip.tcp.acceptor.new(), socket.tcp()
    acceptor:open "v4"
    acceptor:bind(loopback, 0)
    local port = acceptor.local_port
    local fd = acceptor:release()
    local copy = fd:dup()
    server:setfd(copy.native_handle)
    lu.assertEquals(server:listen(), 1)
    system.spawn({program = "true", stdin = fd}):wait()
    lu.assertTrue(is_blocking(copy.native_handle))
    for _, seconds in ipairs {0.01, 0} do
        server:settimeout(seconds)
        lu.assertEquals({server:accept()}, {nil, "timeout"})
    end
    server:settimeout(5)
    local accepting = h.start(server.accept, server)
    local client = assert(socket.connect("127.0.0.1", port))
    local accepted = assert(accepting:join())
    lu.assertEquals(accepted:send "hello\n", 6)
    lu.assertEquals(client:receive(), "hello")
    accepted:close()
    client:close()
    server:setfd(-1) -- the descriptor is the copy's
    copy:close()
    fd:close()
end
