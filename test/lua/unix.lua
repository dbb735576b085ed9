-- SPDX-License-Identifier: BSL-1.0
-- unix: the module, its classes, paths and abstract names, pairs, credentials.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, spawn = thrum.unix, thrum.byte_span, thrum.spawn

local kinds = {"datagram", "stream", "seqpacket"}
local connecting_kinds = {"stream", "seqpacket"}

local function each_class(visit)
    for _, kind in ipairs(kinds) do
        visit(unix[kind].socket, "unix." .. kind .. ".socket")
        if kind ~= "datagram" then
            visit(unix[kind].acceptor, "unix." .. kind .. ".acceptor")
        end
    end
end

-- A path where nothing is, removed afterwards.
local function with_path(f)
    local path = os.tmpname()
    os.remove(path)
    local ok, err = pcall(f, path)
    os.remove(path)
    if not ok then
        error(err, 0)
    end
end

local function abstract(name)
    return ("\0thrum-test-%d-%s"):format(thrum.system.getpid(), name)
end

t["test the module has a table for each kind, and datagrams have no acceptor"] = function()
    lu.assertNil(unix.datagram.acceptor)
    for name in pairs(unix) do
        lu.assertTrue(name == "datagram" or name == "stream" or name == "seqpacket", name)
    end
    lu.assertNil(unix.stream.acceptor.pair)
end

t["test new makes no descriptor, and the object says its class"] = function()
    local before = h.descriptors()
    each_class(function(class, name)
        local sock = class.new()
        lu.assertFalse(sock.is_open)
        lu.assertEquals(tostring(sock), name .. " (closed)")
        sock:close()
        sock:close()
    end)
    lu.assertEquals(h.descriptors(), before)
end

t["test every call on a closed socket is EBADF"] = function()
    local buf = byte_span.new(8)
    local arguments = {
        bind = {"\0x"}, shutdown = {"both"}, receive = {buf}, receive_from = {buf},
        read_some = {buf}, send = {"x"}, send_to = {"x", "\0x"}, write_some = {"x"},
        receive_with_fds = {buf, 1}, receive_from_with_fds = {buf, 1}, send_with_fds = {"x", {}},
        send_to_with_fds = {"x", "\0x", {}}, set_option = {"debug", false},
        get_option = {"send_buffer_size"}, io_control = {"bytes_readable"}, cancel = {},
        release = {}, disconnect = {}, listen = {}, accept = {}, remote_credentials = {},
    }
    local count = 0
    each_class(function(class, name)
        local sock = class.new()
        for method, given in pairs(arguments) do
            local ok, f = pcall(function() return sock[method] end)
            if ok then
                count = count + 1
                local err = h.raises("EBADF", f, sock, table.unpack(given))
                lu.assertEquals(err.op, name .. "." .. method)
                h.assert_contains(tostring(err), "not open")
            end
        end
        h.raises("EBADF", function() return sock.local_path end)
    end)
    lu.assertEquals(count, 57)
end

t["test classes have the methods of their kind and no others"] = function()
    local function has(class, name)
        local sock = class.new()
        return (pcall(function() return sock[name] end))
    end
    for name, row in pairs {
        receive_from = {true, false, false, false, false},
        send_to_with_fds = {true, false, false, false, false},
        disconnect = {true, false, false, false, false},
        read_some = {false, true, false, false, false},
        write_some = {false, true, false, false, false},
        send_with_fds = {true, true, false, true, false},
        remote_credentials = {true, true, false, true, false},
        accept = {false, false, true, false, true},
        listen = {false, false, true, false, true},
        receive = {true, true, false, true, false},
        shutdown = {true, true, false, true, false},
        release = {true, true, true, true, true},
        local_address = {false, false, false, false, false},
        at_mark = {false, false, false, false, false},
    } do
        local i = 0
        each_class(function(class, class_name)
            i = i + 1
            local found = has(class, name)
            -- a property of an open socket raises EBADF here, and has no row above
            lu.assertEquals(found, row[i], class_name .. "." .. name)
        end)
    end
end

t["test a method of one class is not for another"] = function()
    local stream, acceptor = unix.stream.socket.new(), unix.stream.acceptor.new()
    local datagram = unix.datagram.socket.new()
    h.raises_arg(1, acceptor.accept, stream)
    h.raises_arg(1, stream.receive, acceptor, byte_span.new(1))
    h.raises_arg(1, datagram.receive_from, stream, byte_span.new(1))
    h.raises_arg(1, stream.read_some, datagram, byte_span.new(1))
    h.raises_arg(1, datagram.send_with_fds, h.thrum.ip.udp.socket.new(), "x", {})
end

t["test open takes no family, and is already_open the second time"] = function()
    each_class(function(class)
        local sock = class.new()
        lu.assertEquals(select("#", sock:open()), 0)
        lu.assertTrue(sock.is_open)
        lu.assertEquals(sock.local_path, "")
        h.assert_contains(tostring(sock), "(open)")
        h.raises_text("misc", "Already open", sock.open, sock)
        sock:close()
        lu.assertFalse(sock.is_open)
        sock:open()
        sock:close()
    end)
end

-- names

t["test bind makes the file, tells the path, and leaves the file behind"] = function()
    each_class(function(class, name)
        with_path(function(path)
            local sock = class.new()
            sock:open()
            sock:bind(path)
            lu.assertEquals(sock.local_path, path)
            lu.assertEquals(tostring(sock), ("%s (%s)"):format(name, path))
            sock:close()
            sock:open()
            local err = h.raises("EADDRINUSE", sock.bind, sock, path)
            lu.assertEquals(err.path, path)
            h.assert_contains(tostring(err), "Address already in use: " .. name .. ".bind " .. path)
            lu.assertTrue(os.remove(path))
            sock:bind(path)
            sock:close()
        end)
    end)
end

t["test an abstract name is any bytes after a NUL, and goes with the socket"] = function()
    each_class(function(class)
        for _, name in ipairs {
            abstract("plain"), abstract("a\0b\0"), abstract(("x"):rep(80)), "\0",
        } do
            local sock, other = class.new(), class.new()
            sock:open()
            other:open()
            sock:bind(name)
            lu.assertEquals(sock.local_path, name)
            h.assert_contains(tostring(sock), "(@")
            local err = h.raises("EADDRINUSE", other.bind, other, name)
            lu.assertEquals(err.path, name)
            lu.assertNil(tostring(err):find("\0", 1, true))
            sock:close()
            other:bind(name)
            other:close()
        end
    end)
end

t["test an empty path has bind take an abstract name"] = function()
    each_class(function(class)
        local a, b = class.new(), class.new()
        a:open()
        b:open()
        a:bind("")
        b:bind("")
        lu.assertEquals(a.local_path:byte(1), 0)
        lu.assertTrue(#a.local_path > 1)
        lu.assertNotEquals(a.local_path, b.local_path)
        a:close()
        b:close()
    end)
end

t["test names of the greatest length, and one byte more"] = function()
    each_class(function(class, name)
        local sock = class.new()
        sock:open()
        local longest = "\0" .. ("x"):rep(107)
        sock:bind(longest)
        lu.assertEquals(sock.local_path, longest)
        sock:close()
        sock:open()
        for _, bad in ipairs {longest .. "x", "/" .. ("x"):rep(107), ("x"):rep(1 << 20)} do
            local err = h.raises("ENAMETOOLONG", sock.bind, sock, bad)
            lu.assertEquals(err.arg, 2)
            h.assert_contains(tostring(err), name .. ".bind: argument 2 (path): at most 10")
        end
        lu.assertEquals(sock.local_path, "")
        sock:close()
    end)
    with_path(function(path)
        local sock = unix.datagram.socket.new()
        sock:open()
        local padded = path:match("^(.*/)") .. ("./"):rep(60)
        padded = padded:sub(1, 107 - #path:match("[^/]*$")) -- a longest path that can be made
        if padded:sub(-1) ~= "/" then
            padded = padded:sub(1, -2)
        end
        local longest = padded .. path:match("[^/]*$")
        lu.assertTrue(#longest >= 106 and #longest <= 107)
        sock:bind(longest)
        lu.assertEquals(sock.local_path, longest)
        sock:close()
    end)
end

t["test bad paths are EINVAL for argument 2 and leave the socket as it was"] = function()
    each_class(function(class)
        local sock = class.new()
        sock:open()
        for _, bad in ipairs {"a\0b", "/tmp/x\0", 5, true, {}, sock} do
            h.raises_arg(2, sock.bind, sock, bad)
        end
        h.raises_arg(2, sock.bind, sock)
        lu.assertEquals(sock.local_path, "")
        if pcall(function() return sock.connect end) then
            for _, bad in ipairs {"a\0b", "", 5, {}} do
                h.raises_arg(2, sock.connect, sock, bad)
            end
        end
        sock:close()
    end)
    local sock = unix.datagram.socket.new()
    sock:open()
    for _, bad in ipairs {"a\0b", "", 5, {}} do
        h.raises_arg(3, sock.send_to, sock, "x", bad)
        h.raises_arg(3, sock.send_to_with_fds, sock, "x", bad, {})
    end
    h.raises("ENAMETOOLONG", sock.send_to, sock, "x", ("x"):rep(108))
    sock:close()
end

t["test a directory that is not there is ENOENT with the path"] = function()
    each_class(function(class)
        local sock = class.new()
        sock:open()
        local err = h.raises("ENOENT", sock.bind, sock, "/nowhere/at/all")
        lu.assertEquals(err.path, "/nowhere/at/all")
        sock:close()
    end)
end

-- pairs and peers

t["test a pair is open, connected, nameless, and both ways"] = function()
    for _, kind in ipairs(kinds) do
        local class = unix[kind].socket
        local a, b = class.pair()
        local buf = byte_span.new(8)
        for _, each in ipairs {a, b} do
            lu.assertTrue(each.is_open)
            lu.assertEquals(each.local_path, "")
            lu.assertEquals(each.remote_path, "")
        end
        a:send("there")
        lu.assertEquals(b:receive(buf), 5)
        b:send("back")
        lu.assertEquals(a:receive(buf), 4)
        a:close()
        b:close()
    end
end

t["test the descriptors of pairs and accepted sockets are close-on-exec"] = function()
    local flag = tonumber("2000000", 8)
    local function is_close_on_exec(sock)
        local fd = sock:release()
        local file = io.open("/proc/self/fdinfo/" .. fd.native_handle)
        lu.skipIf(not file, "no /proc here")
        local flags = tonumber(file:read("a"):match("flags:%s*(%d+)"), 8)
        file:close()
        fd:close()
        return flags & flag == flag
    end
    for _, kind in ipairs(kinds) do
        local a, b = unix[kind].socket.pair()
        lu.assertTrue(is_close_on_exec(a))
        lu.assertTrue(is_close_on_exec(b))
    end
    for _, kind in ipairs(connecting_kinds) do
        local acceptor, client = unix[kind].acceptor.new(), unix[kind].socket.new()
        acceptor:open()
        acceptor:bind("")
        acceptor:listen()
        client:connect(acceptor.local_path)
        local server = acceptor:accept()
        lu.assertTrue(is_close_on_exec(server))
        client:close()
        acceptor:close()
    end
end

t["test remote_credentials are the process's own in a pair and over a connection"] = function()
    local pid = thrum.system.getpid()
    local function check(sock)
        local peer_pid, uid, gid = sock:remote_credentials()
        lu.assertEquals(peer_pid, pid)
        lu.assertEquals(math.type(uid), "integer")
        lu.assertEquals(math.type(gid), "integer")
        local file = io.open("/proc/self/status")
        if file then
            local text = file:read("a")
            file:close()
            lu.assertEquals(uid, tonumber(text:match("Uid:%s+%d+%s+(%d+)")))
            lu.assertEquals(gid, tonumber(text:match("Gid:%s+%d+%s+(%d+)")))
        end
    end
    for _, kind in ipairs(kinds) do
        local a, b = unix[kind].socket.pair()
        check(a)
        check(b)
        a:close()
        b:close()
    end
    for _, kind in ipairs(connecting_kinds) do
        local acceptor, client = unix[kind].acceptor.new(), unix[kind].socket.new()
        acceptor:open()
        acceptor:bind(abstract("credentials"))
        acceptor:listen()
        client:open()
        h.raises("ENOTCONN", client.remote_credentials, client)
        client:connect(abstract("credentials"))
        local server = acceptor:accept()
        check(client)
        check(server)
        lu.assertEquals(client.remote_path, abstract("credentials"))
        lu.assertEquals(server.local_path, abstract("credentials"))
        lu.assertEquals(server.remote_path, "")
        for _, each in ipairs {server, client, acceptor} do
            each:close()
        end
    end
end

t["test the credentials of another process are its own"] = function()
    h.skip_without_program()
    local name = abstract("other process")
    local acceptor = unix.stream.acceptor.new()
    acceptor:open()
    acceptor:bind(name)
    acceptor:listen()
    local pipe = io.popen(h.quote(h.program) .. " -e " .. h.quote(([[
        local sock = require "unix".stream.socket.new()
        sock:connect(%q)
        sock:write_some(tostring(system.getpid()))
        sock:shutdown("send")
        pcall(sock.read_some, sock, byte_span.new(1))]]):format(name):gsub("\0", "\\0")))
    local server = acceptor:accept()
    local buf = byte_span.new(32)
    local n = server:read_some(buf)
    lu.assertEquals(tostring(server:remote_credentials()), tostring(buf:slice(1, n)))
    server:close()
    acceptor:close()
    lu.assertTrue(pipe:close())
end

-- options

t["test the options of unix sockets, and that others are ENOPROTOOPT by name"] = function()
    each_class(function(class)
        local sock = class.new()
        sock:open()
        sock:set_option("send_buffer_size", 16384)
        lu.assertEquals(sock:get_option("send_buffer_size"), 16384)
        sock:set_option("receive_buffer_size", 16384)
        lu.assertEquals(sock:get_option("receive_buffer_size"), 16384)
        lu.assertFalse(sock:get_option("debug"))
        lu.assertNil(sock:get_option("error"))
        for _, name in ipairs {"broadcast", "reuse_port", "tcp_no_delay", "nonsense"} do
            local err = h.raises("ENOPROTOOPT", sock.get_option, sock, name)
            h.assert_contains(tostring(err), name)
        end
        h.raises("ENOPROTOOPT", sock.set_option, sock, "error", 1)
        h.raises_arg(3, sock.set_option, sock, "send_buffer_size", -1)
        sock:close()
    end)
end

t["test fiber.list says which unix socket a fiber waits for"] = function()
    local function look(f)
        local fiber = h.try(f)
        local found
        for _, entry in ipairs(thrum.fiber.list()) do
            if entry.waits_for and entry.waits_for:find("^unix%.") then
                found = entry.waits_for
            end
        end
        fiber:interrupt()
        fiber:join()
        return found
    end
    local buf = byte_span.new(1)
    local acceptor, client = unix.stream.acceptor.new(), unix.stream.socket.new()
    acceptor:open()
    acceptor:bind(abstract("list"))
    local shown = "@" .. abstract("list"):sub(2)
    acceptor:listen()
    lu.assertEquals(look(function() acceptor:accept() end), "unix.stream.acceptor.accept " .. shown)
    client:connect(abstract("list"))
    lu.assertEquals(look(function() client:read_some(buf) end),
        "unix.stream.socket.read_some -> " .. shown)
    local a, b = unix.seqpacket.socket.pair()
    lu.assertEquals(look(function() a:receive_with_fds(buf, 1) end),
        "unix.seqpacket.socket.receive_with_fds (no name)")
    for _, each in ipairs {acceptor, client, a, b} do
        each:close()
    end
end

t["test a fiber that waits on one end is woken by another on the other"] = function()
    for _, kind in ipairs(kinds) do
        local a, b = unix[kind].socket.pair()
        local buf = byte_span.new(8)
        local receiver = h.start(function() return b:receive(buf) end)
        spawn(function() a:send("wake up") end):join()
        lu.assertEquals(receiver:join(), 7)
        a:close()
        b:close()
    end
end
