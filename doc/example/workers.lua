-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn this_fiber
-- Several processes serve one UDP port: one for each processor, as a Lua state runs on one. Their
-- parent binds, starts them, starts one again that has died, and on SIGTERM or SIGINT lets all of
-- them finish what has come.
--
--     thrum workers.lua shared|reuse_port [address [port [workers [work for a request]]]]
--
-- shared: one socket, and whichever worker has time takes from it. So none is idle while another
-- has a queue; but all are woken when something comes.
-- reuse_port: a socket for each worker, and the kernel deals the datagrams by their sender: one
-- client always comes to the same worker, which may get more than its share.
--
-- In either case the parent keeps the descriptors. What comes for a worker that has died waits for
-- the next one: lost is only what it had in hand.

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"
local system = require "system"
local time = require "time"
local unix = require "unix"

local SOCKET, LINK = 3, 4 -- a worker's descriptors

-- Ctrl-C signals all processes of the group: the parent decides.
local signals = system.signal.set.new("SIGINT", "SIGTERM")
io.stdout:setvbuf("line")

-- tag::worker[]
local function answer(sock, buf, work)
    local nread, remote_addr, remote_port = sock:receive_from(buf)
    this_fiber.disable_interruption() -- what has been taken is answered
    for _ = 1, work do
        math.sin(nread) -- whatever takes its time
    end
    pcall(sock.send_to, sock, buf:slice(1, nread), remote_addr, remote_port)
    this_fiber.restore_interruption()
end

local function serve(work)
    local fd = system.inherited_fd(SOCKET)
    local sock = ip.udp.socket.new()
    sock:assign(fd:kind():match("v%d$"), fd)
    local link = unix.seqpacket.socket.new()
    link:assign(system.inherited_fd(LINK))

    local buf = byte_span.new(65535)
    local server = spawn(function()
        while true do
            answer(sock, buf, work)
        end
    end)
    spawn(function()
        pcall(link.receive, link, byte_span.new(1)) -- eof: we are to stop, or left alone
        server:interrupt()
    end):detach()
    link:send("ready")
    server:join() -- an error ends this worker, and the parent starts another

    sock.timeout = 0 -- take what is there and wait for nothing
    local ok, err
    repeat
        ok, err = pcall(answer, sock, buf, work)
    until not ok
    if err ~= generic_error.ETIMEDOUT then
        error(err, 0)
    end
end
-- end::worker[]

-- tag::bind[]
-- A descriptor for each worker; of as many sockets, or of one.
local function bind(mode, address, port, count)
    local fds = {}
    for i = 1, count do
        if mode == "shared" and i > 1 then
            fds[i] = fds[1]
        else
            local sock = ip.udp.socket.new()
            sock:open(address)
            if mode == "reuse_port" then
                sock:set_option("reuse_port", true)
            end
            sock:bind(address, port)
            port = sock.local_port -- if it was 0: the others take the same
            fds[i] = sock:release()
        end
    end
    print(("listening on %s port %d"):format(ip.tostring(address), port))
    return fds
end
-- end::bind[]

-- tag::supervise[]
local is_stopping = false
local links, pauses = {}, {} -- of the workers that run; of those that are to be started

local function start(fd, work)
    local link, theirs = unix.seqpacket.socket.pair()
    local theirs_fd = theirs:release()
    local process = system.spawn {
        program = system.arguments[1],
        arguments = {system.arguments[1], arg[0], "--worker", work},
        stdout = "share",
        stderr = "share",
        extra_fds = {[SOCKET] = fd, [LINK] = theirs_fd},
    }
    theirs_fd:close()
    return process, link
end

-- Runs one worker to its end, and returns how that was.
local function run_worker(i, fd, work)
    local process, link = start(fd, work)
    links[i] = link
    if pcall(link.receive, link, byte_span.new(16)) then -- "ready"
        print(("worker %d: process %d"):format(i, process.pid))
    end
    local status = process:wait()
    links[i] = nil
    link:close()
    return status.exited and "exit code " .. status.code or "signal " .. status.signal
end

-- Runs one after the other until all are to stop.
local function supervise(i, fd, work)
    local pause = 0.01
    pauses[i] = time.steady_timer.new()
    while not is_stopping do
        local began = time.steady_clock.now()
        local _, how = pcall(run_worker, i, fd, work)
        if not is_stopping then
            print(("worker %d died: %s"):format(i, tostring(how)))
            -- One that cannot even start is tried more and more rarely.
            local has_worked = time.steady_clock.now() - began > 1
            pause = has_worked and 0.01 or math.min(2 * pause, 10)
            pauses[i]:expires_after(pause)
            pcall(pauses[i].wait, pauses[i])
        end
    end
end

local function run(mode, address, port, count, work)
    local supervisors = {}
    for i, fd in ipairs(bind(mode, ip.address.new(address), port, count)) do
        supervisors[i] = spawn(supervise, i, fd, work)
    end
    local _, name = signals:wait()
    signals:clear() -- from here on a signal kills, as it does by default; the workers see our end
    print("stopping: " .. name)
    is_stopping = true
    for _, link in pairs(links) do
        link:shutdown("send") -- the worker takes what has come, answers, and ends
    end
    for i, supervisor in ipairs(supervisors) do
        pauses[i]:cancel()
        supervisor:join()
    end
    print("stopped")
end
-- end::supervise[]

if arg[1] == "--worker" then
    serve(tonumber(arg[2]))
elseif arg[1] == "shared" or arg[1] == "reuse_port" then
    local count, work = tonumber(arg[4] or 2), arg[5] or "0"
    run(arg[1], arg[2] or "127.0.0.1", tonumber(arg[3] or 7007), count, work)
else
    error("how? shared, or reuse_port", 0)
end
