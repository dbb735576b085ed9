-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn this_fiber
-- A service that restarts itself and loses nothing: on SIGHUP it starts its successor, which may be
-- another version of this file by then, passes it the socket that it serves, finishes what it has
-- begun, and ends. SIGTERM ends it without a successor.
--
--     thrum handover.lua udp address port     sends datagrams back
--     thrum handover.lua unix path            sends back what comes in connections

local byte_span = require "byte_span"
local ip = require "ip"
local system = require "system"
local time = require "time"
local unix = require "unix"

local LINK = 3 -- the descriptor that leads a successor to the one before it
local TIMEOUT = 20 -- seconds for a successor to be there

-- Before anything else: from here on no signal kills.
local signals = system.signal.set.new("SIGHUP", "SIGTERM", "SIGINT")

-- tag::kinds[]
-- What is to be known of a kind of service: how its socket is made, how it is made of a descriptor
-- that somebody else has bound, and one step of serving it.
local kinds = {udp = {}, unix = {}}

function kinds.udp.open(address, port)
    local sock = ip.udp.socket.new()
    sock:open(ip.address.new(address))
    sock:bind(address, tonumber(port))
    return sock
end

function kinds.udp.adopt(fd)
    local sock = ip.udp.socket.new()
    sock:assign(fd:kind():match("v%d$"), fd)
    return sock
end

local datagram = byte_span.new(65535)
function kinds.udp.step(sock)
    local nread, remote_addr, remote_port = sock:receive_from(datagram)
    this_fiber.disable_interruption() -- what has been taken out of the socket is answered
    local ok, err = pcall(sock.send_to, sock, datagram:slice(1, nread), remote_addr, remote_port)
    if not ok then
        io.stderr:write(ip.tostring(remote_addr, remote_port), ": ", tostring(err), "\n")
    end
    this_fiber.restore_interruption()
end

function kinds.unix.open(path)
    local acceptor = unix.stream.acceptor.new()
    acceptor:open()
    acceptor:bind(path)
    acceptor:listen()
    return acceptor
end

function kinds.unix.adopt(fd)
    local acceptor = unix.stream.acceptor.new()
    acceptor:assign(fd)
    return acceptor
end

local function converse(sock)
    local buf = byte_span.new(4096)
    pcall(function()
        while true do
            local n, sent = sock:read_some(buf), 0
            while sent < n do
                sent = sent + sock:write_some(buf:slice(sent + 1, n))
            end
        end
    end) -- until the client has had enough
    sock:close()
end

function kinds.unix.step(acceptor)
    spawn(converse, acceptor:accept()):detach()
end
-- end::kinds[]

-- A successor is started with the same arguments, and a word before them.
local is_successor = arg[1] == "--successor"
if is_successor then
    table.remove(arg, 1)
end
local kind = kinds[arg[1]] or error("serve what? udp address port, or unix path", 0)

-- tag::successor[]
-- In the successor: say that we are there, get the socket, say that we have it.
local function inherit()
    local link = unix.seqpacket.socket.new()
    link:assign(system.inherited_fd(LINK))
    link.timeout = TIMEOUT
    link:send("ready")
    local _, fds = link:receive_with_fds(byte_span.new(16), 1) -- eof if nothing came of it
    local sock = kind.adopt(fds[1])
    link:send("taken")
    link:close()
    return sock
end
-- end::successor[]

-- tag::serve[]
local sock = is_successor and inherit() or kind.open(table.unpack(arg, 2))
local server

local function serve()
    while true do
        local ok, err = pcall(kind.step, sock)
        if not ok then
            time.sleep(0.1) -- raises when it is we who are to stop
            io.stderr:write(tostring(err), "\n") -- no descriptor left, for example
        end
    end
end

local function start_serving()
    server = spawn(serve)
end

local function stop_serving()
    server:interrupt() -- loses nothing: what it has not taken is still in the socket
    server:join()
end
-- end::serve[]

-- tag::handover[]
local function start_successor()
    local link, theirs = unix.seqpacket.socket.pair()
    local fd = theirs:release()
    local ok, process = pcall(system.spawn, {
        program = system.arguments[1],
        arguments = {system.arguments[1], arg[0], "--successor", table.unpack(arg)},
        stdout = "share",
        stderr = "share",
        extra_fds = {[LINK] = fd},
    })
    fd:close() -- or we would never see that the successor has closed it
    if not ok then
        error(process, 0)
    end
    link.timeout = TIMEOUT
    return process, link
end

local function expect(link, word)
    local buf = byte_span.new(16)
    local n = link:receive(buf) -- eof if the successor has died
    assert(tostring(buf:slice(1, n)) == word, "the successor talks nonsense")
end

local function hand_over()
    local process, link = start_successor()
    local fd
    local ok, err = pcall(function()
        expect(link, "ready") -- while it starts, we serve
        stop_serving()
        fd = sock:release() -- what comes from here on waits in the socket
        link:send_with_fds("the socket", {fd})
        expect(link, "taken")
    end)
    link:close()
    if not ok then
        pcall(process.kill, process, "SIGKILL") -- two must not serve
        process:wait()
        if fd then -- the child had a copy: this one is still ours
            sock = kind.adopt(fd)
            start_serving()
        end
        error(err, 0)
    end
    fd:close()
end
-- end::handover[]

local function where()
    if arg[1] == "unix" then
        return sock.local_path
    end
    return ("%s port %d"):format(ip.tostring(sock.local_address), sock.local_port)
end

-- tag::main[]
start_serving()
io.stdout:setvbuf("line")
print(("process %d serves %s"):format(system.getpid(), where()))

local is_handed_over = false
repeat
    local _, name = signals:wait()
    if name == "SIGHUP" then
        local ok, err = pcall(hand_over)
        is_handed_over = ok
        if not ok then
            io.stderr:write("still here: ", tostring(err), "\n")
        end
    end
until is_handed_over or name ~= "SIGHUP"
signals:clear() -- from here on a signal kills, as it does by default

if not is_handed_over then
    stop_serving()
    sock:close()
    if arg[1] == "unix" then
        os.remove(arg[2])
    end
end
-- The program ends when the last connection has: nobody is cut off.
-- end::main[]
