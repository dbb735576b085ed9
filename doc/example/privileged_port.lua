-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- A service at a port below 1024 that does not run as root. The parent, who may, binds the port and
-- starts the child as another user with the socket; then it only waits.
--
--     sudo thrum privileged_port.lua [address [port [user [group]]]]
--
-- thrum has no call that changes its own user: user, groups, capabilities and more have to go, all
-- of them, in the right order. On Debian setpriv (util-linux) does that and then becomes the
-- program, with the descriptor. sudo would close it; su and runuser would stay as a process in
-- between. The child must be able to run thrum and to read this script.
--
-- There need not be a parent at all where systemd has the socket (activated_echo.lua and User=), or
-- where everybody may bind the port (sysctl net.ipv4.ip_unprivileged_port_start).

local byte_span = require "byte_span"
local ip = require "ip"
local system = require "system"
local unix = require "unix"

local SOCKET = 3 -- the child's descriptor of the socket

-- tag::child[]
-- Who we are: a pair of unix sockets knows who has made it.
local function user()
    local a, b = unix.stream.socket.pair()
    local _, uid, gid = a:remote_credentials()
    a:close()
    b:close()
    return uid, gid
end

local function serve()
    local fd = system.inherited_fd(SOCKET)
    local sock = ip.udp.socket.new()
    sock:assign(fd:kind():match("v%d$"), fd)
    local uid, gid = user()
    assert(uid ~= 0 and gid ~= 0, "still root")
    print(("listening on %s port %d"):format(ip.tostring(sock.local_address), sock.local_port))
    print(("process %d of user %d, group %d"):format(system.getpid(), uid, gid))

    local buf = byte_span.new(65535)
    while true do
        local nread, remote_addr, remote_port = sock:receive_from(buf)
        pcall(sock.send_to, sock, buf:slice(1, nread), remote_addr, remote_port)
    end
end
-- end::child[]

-- tag::parent[]
local function as_user(name, group, arguments)
    return {
        "setpriv", "--reuid=" .. name, "--regid=" .. group, "--init-groups", -- as at a login
        "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", -- and no way back
        "--pdeathsig=TERM", -- never without us
        "--", table.unpack(arguments),
    }
end

local function run(address, port, name, group)
    local signals = system.signal.set.new("SIGINT", "SIGTERM")
    local sock = ip.udp.socket.new()
    sock:open(ip.address.new(address))
    sock:bind(address, tonumber(port)) -- EACCES for who may not
    local fd = sock:release()
    local process = system.spawn {
        program = "setpriv",
        arguments = as_user(name, group, {system.arguments[1], arg[0], "--serve"}),
        stdout = "share",
        stderr = "share",
        extra_fds = {[SOCKET] = fd},
    }
    fd:close()

    spawn(function()
        process:kill(signals:wait()) -- setpriv has become the service: it is the same process
    end):detach()
    local status = process:wait()
    system.exit(status.exited and status.code or 128 + status.signal)
end
-- end::parent[]

io.stdout:setvbuf("line")
if arg[1] == "--serve" then
    serve()
else
    run(arg[1] or "127.0.0.1", arg[2] or 53, arg[3] or "nobody", arg[4] or "nogroup")
end
