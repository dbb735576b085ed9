-- SPDX-License-Identifier: BSL-1.0
-- Every public function, method and property setter with bad values in every argument position: a
-- clean error or a success, never a crash, and afterwards the object still works. The functions
-- are found by walking the modules and the metatables, so that a new one is tried as well.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span, time, spawn = thrum.ip, thrum.byte_span, thrum.time, thrum.spawn
local unix = thrum.unix
local generic_error = thrum.generic_error

local huge = ("huge"):rep(1 << 18)

-- The bad values. Made anew for each round: a call may close or consume what it is given.
local function new_values()
    local closed_socket = h.bound()
    closed_socket:close()
    local closed_fd = h.bound():release()
    closed_fd:close()
    local joined = spawn(function() end)
    joined:join()
    local function f() return closed_socket end
    return {
        n = 34,
        nil, true, false, -1, 0, 1, 1.5, 2 ^ 40, 1 << 40, 2 ^ 63, math.maxinteger,
        math.mininteger, 0 / 0, math.huge, -math.huge, "", "x", "v4", "127.0.0.1", "a\0b",
        huge, {}, setmetatable({}, {__index = function() error("trap") end,
            __len = function() error("trap") end}), os.clock, f,
        byte_span.new(8), ip.address.loopback_v4(), ip.network.new("10.0.0.0/8"), closed_socket,
        closed_fd, joined, generic_error.EPERM, coroutine.create(os.clock), io.stdout,
        debug.upvalueid(f, 1), -- a light userdata
    }
end
local n_values = 35

local function name_of(value)
    if type(value) == "string" and #value > 20 then
        return "string of " .. #value
    end
    return ("%s %s"):format(type(value), type(value) == "number" and value or "")
end

local function assert_clean(ok, err, where)
    if ok or h.is_error(err) then
        return
    end
    if type(err) == "string" then -- Lua's own: memory, or what the caller's values raise
        if err:find("not enough memory", 1, true) or err:find("trap", 1, true) then
            return
        end
    end
    lu.fail(("%s: not a clean error: %s"):format(where, tostring(err)))
end

-- The module socket raises texts, as LuaSocket does; so do the functions that take the place of
-- Lua's own, and an error's string methods, which are Lua's.
local function is_text_of_peer(where, err)
    if type(err) ~= "string" then
        return false
    elseif where:find("^thrum%.require,") then
        return err:find("require' (string expected", 1, true) or err:find("' not found:", 1, true)
    elseif where:find("^thrum%.x?pcall,") or where:find("^thrum%.coroutine%.") then
        return err:find("bad argument #%d to '[%w.]+' %([%w ]+ expected", 1)
    elseif where:find("^error:") then
        return not where:find("^error:togeneric")
    elseif not where:find("^thrum%.socket%.") then
        return false
    end
    return err:find("bad argument #%d+ to '", 1) or err:find("on bad self (", 1, true) or
        err:find("unknown key (", 1, true)
end

-- Every call that waits is ended soon, for the sockets have a timeout, and the rest is interrupted.
local function call(where, f, ...)
    local arguments = table.pack(...)
    local ok, err
    local fiber = spawn(function()
        ok, err = pcall(f, table.unpack(arguments, 1, arguments.n))
    end)
    thrum.this_fiber.yield()
    thrum.this_fiber.yield()
    if fiber.joinable then
        fiber:interrupt()
    end
    fiber:join()
    assert_clean(ok or fiber.interruption_caught or is_text_of_peer(where, err), err, where)
end

-- Bad values in each position, with good ones in the others; then too few and too many.
local function try_all(where, f, good)
    for position = 1, #good + 1 do
        for i = 1, n_values do
            local arguments = good()
            arguments.n = math.max(arguments.n, position)
            arguments[position] = new_values()[i]
            call(("%s, argument %d: %s"):format(where, position, name_of(arguments[position])), f,
                table.unpack(arguments, 1, arguments.n))
        end
    end
end

-- A table that makes its arguments when it is called, and knows their number.
local function arguments(n, make)
    return setmetatable({}, {
        __call = function() return table.pack(make()) end,
        __len = function() return n end,
    })
end

local function own_stream()
    return {
        read_some = function(_, buf) return buf:copy("read") end,
        write_some = function(_, buf) return #buf end,
    }
end

-- Functions of modules: the good arguments of those that have any.
local loopback = ip.address.loopback_v4()
local numeric = arguments(3, function() -- so that no name server hears of it
    local flag = ip.address_info_flag
    return "127.0.0.1", 80, flag.numeric_host | flag.numeric_service
end)
local module_arguments = {
    ["thrum.spawn"] = arguments(2, function() return function() end, 1 end),
    ["thrum.set_reporter"] = false, -- the harness has one: tried below
    ["thrum.system.exit"] = false, -- these two would do it: system.lua tries them
    ["thrum.system.kill"] = false,
    ["thrum.system.inherited_fd"] = false, -- it would take standard input: system_inherit.lua
    ["thrum.system.random_bytes"] = arguments(1, function() return 4 end),
    ["thrum.system.spawn"] = arguments(1, function() return {program = "true"} end),
    ["thrum.coroutine.create"] = arguments(1, function() return print end),
    ["thrum.coroutine.wrap"] = arguments(1, function() return print end),
    ["thrum.coroutine.resume"] = arguments(2, function()
        return coroutine.create(function() end), 1
    end),
    ["thrum.coroutine.status"] = arguments(1, function() return coroutine.create(print) end),
    ["thrum.fiber.group"] = arguments(2, function() return function() end, 1 end),
    ["thrum.fiber.select"] = arguments(1, function()
        return {thrum.channel.new(1), timeout = 0}
    end),
    ["thrum.time.sleep"] = arguments(1, function() return 0 end),
    ["thrum.byte_span.new"] = arguments(2, function() return 1, 2 end),
    ["thrum.byte_span.append"] = arguments(3, function() return byte_span.new(1), "a", "b" end),
    ["thrum.stream.read_all"] = arguments(2, function() return own_stream(), byte_span.new(8) end),
    ["thrum.stream.read_at_least"] = arguments(3, function()
        return own_stream(), byte_span.new(8), 4
    end),
    ["thrum.stream.write_all"] = arguments(2, function() return own_stream(), "x" end),
    ["thrum.stream.write_at_least"] = arguments(3, function() return own_stream(), "xy", 1 end),
    ["thrum.stream.reader"] = arguments(1, function() return own_stream() end),
    ["thrum.socket.bind"] = false, -- these would ask name servers: socket.lua tries them
    ["thrum.socket.connect"] = false,
    ["thrum.socket.connect4"] = false,
    ["thrum.socket.connect6"] = false,
    ["thrum.socket.dns.getaddrinfo"] = false,
    ["thrum.socket.dns.getnameinfo"] = false,
    ["thrum.socket.dns.tohostname"] = false,
    ["thrum.socket.dns.toip"] = false,
    ["thrum.socket.try"] = false, -- it throws what is no error object, and is meant to
    ["thrum.socket.newtry"] = arguments(1, function() return print end),
    ["thrum.socket.protect"] = arguments(1, function() return print end),
    ["thrum.socket.select"] = arguments(3, function() return {}, {}, 0 end),
    ["thrum.socket.skip"] = arguments(2, function() return 1, 2 end),
    ["thrum.socket.sleep"] = arguments(1, function() return 0 end),
    ["thrum.ip.tostring"] = arguments(2, function() return loopback, 80 end),
    ["thrum.ip.toendpoint"] = arguments(1, function() return "127.0.0.1:80" end),
    ["thrum.ip.address.new"] = arguments(1, function() return "::1" end),
    ["thrum.ip.address.from_bytes"] = arguments(1, function() return "\1\2\3\4" end),
    ["thrum.dgram.createSocket"] = arguments(2, function() return "udp4", print end),
    ["thrum.ip.udp.get_address_info"] = numeric,
    ["thrum.ip.udp.get_address_v4_info"] = numeric,
    ["thrum.ip.udp.get_address_v6_info"] = numeric,
    ["thrum.ip.udp.get_name_info"] = arguments(2, function() return loopback, 80 end),
    ["thrum.ip.tcp.get_address_info"] = numeric,
    ["thrum.ip.tcp.get_address_v4_info"] = numeric,
    ["thrum.ip.tcp.get_address_v6_info"] = numeric,
    ["thrum.ip.tcp.get_name_info"] = arguments(2, function() return loopback, 80 end),
    ["thrum.ip.connect"] = arguments(3, function() return ip.tcp.socket.new(), {}, print end),
    ["thrum.ip.connect_any"] = arguments(2, function() return {}, {delay = 1} end),
    ["thrum.ip.network.new"] = arguments(1, function() return "10.0.0.0/8" end),
}

-- What a class written in Lua is: methods, tried below.
local function is_lua_class(value)
    return type(rawget(value, "meta")) == "table"
end

local no_arguments = arguments(0, function() end)

local function walk(module, path, visit)
    -- pairs of the package loads the modules written in Lua
    for name, value in pairs(module) do
        if type(value) == "table" and getmetatable(value) ~= getmetatable(generic_error.EPERM) or
            type(value) == "table" and (name == "this_fiber" or name:find("_flag$")) then
            if name ~= "generic_error" and not is_lua_class(value) then
                walk(value, path .. "." .. name, visit)
            end
        elseif type(value) == "function" then
            visit(path .. "." .. name, value)
        end
    end
end

t["test functions of the modules survive every bad value in every position"] = function()
    local count = 0
    walk(thrum, "thrum", function(path, f)
        local good = module_arguments[path]
        if good ~= false then
            count = count + 1
            try_all(path, f, good or no_arguments)
        end
    end)
    lu.assertTrue(count >= 25, tostring(count))
    lu.assertNotNil(rawget(thrum, "emitter"))
end

t["test set_reporter survives every bad value"] = function()
    local reporter_values = new_values()
    for i = 1, n_values do
        local ok, err = pcall(thrum.set_reporter, reporter_values[i])
        assert_clean(ok, err, "set_reporter")
    end
    h.watch_reports()
end

-- Classes: how to make an object, the good arguments of its methods, and whether it still works.

local function new_socket()
    local sock = h.bound()
    sock.timeout = 0.0005
    return sock
end

local function socket_works(sock)
    sock:close()
    sock:open("v4")
    sock:bind(loopback, 0)
    sock.timeout = 5
    lu.assertEquals(h.send_to(sock, sock, "works"), 5)
    lu.assertEquals(h.receive(sock), "works")
    sock:close()
end

-- Names lead nowhere, and errors that come by event are heard.
local function new_dgram()
    local function lookup(_, _, callback)
        callback("no names here")
    end
    local socket = thrum.dgram.createSocket {type = "udp4", lookup = lookup}
    return socket:on("error", function() end)
end

local function nothing() end

local function dgram_works(socket)
    local heard
    local other = new_dgram():bind(0, "127.0.0.1")
    other:on("message", function(msg) heard = msg end)
    if not pcall(socket.getRecvBufferSize, socket) then -- it was closed
        socket = new_dgram()
    elseif pcall(socket.disconnect, socket) then
        socket:setTimeout(0)
    end
    socket:setMulticastTTL(1)
    socket:send("works", other:address().port, "127.0.0.1")
    h.wait_until(function() return heard end)
    lu.assertEquals(heard, "works")
    other:close()
    socket:close()
end

-- Unix sockets bind to whatever string they get. What they leave behind is removed, unless
-- something of that name was here before.
local is_ours = {}
for _, name in ipairs {"x", "v4", "127.0.0.1"} do
    local file = io.open(name)
    is_ours[name] = file == nil
    if file then
        file:close()
    end
end

local function remove_left_behind()
    for name, ours in pairs(is_ours) do
        if ours then
            os.remove(name)
        end
    end
end

local function unix_methods(kind, is_acceptor)
    return {
        assign = arguments(1, function()
            local sock = unix[kind][is_acceptor and "acceptor" or "socket"].new()
            sock:open()
            if is_acceptor then
                sock:bind("")
                sock:listen()
            end
            return sock:release()
        end),
        bind = arguments(1, function() return "" end),
        listen = is_acceptor and arguments(1, function() return 1 end) or nil,
        connect = not is_acceptor and arguments(1, function() return "\0thrum-nobody" end) or nil,
        shutdown = not is_acceptor and arguments(1, function() return "both" end) or nil,
        receive = not is_acceptor and arguments(2, function()
            return byte_span.new(8), 0
        end) or nil,
        send = not is_acceptor and arguments(2, function() return "x", 0 end) or nil,
        receive_with_fds = not is_acceptor and arguments(2, function()
            return byte_span.new(8), 1
        end) or nil,
        send_with_fds = not is_acceptor and arguments(2, function()
            return "x", {h.bound():release()}
        end) or nil,
        set_option = arguments(2, function() return "send_buffer_size", 4096 end),
        get_option = arguments(1, function() return "error" end),
    }
end

local function unix_class(kind, is_acceptor)
    local class = unix[kind][is_acceptor and "acceptor" or "socket"]
    local methods = unix_methods(kind, is_acceptor)
    if kind == "datagram" then
        methods.receive_from = arguments(2, function() return byte_span.new(8), 0 end)
        methods.receive_from_with_fds = arguments(2, function() return byte_span.new(8), 1 end)
        methods.send_to = arguments(3, function() return "x", "\0thrum-nobody", 0 end)
        methods.send_to_with_fds = arguments(3, function() return "x", "\0thrum-nobody", {} end)
    elseif kind == "stream" and not is_acceptor then
        methods.read_some = arguments(1, function() return byte_span.new(8) end)
        methods.write_some = arguments(1, function() return "x" end)
    end
    return {
        new = function()
            local sock = class.new()
            if is_acceptor then
                sock:open()
                sock:bind("")
                sock:listen()
            elseif kind == "datagram" then
                sock:open()
            else
                sock = class.pair()
            end
            sock.timeout = 0.0005
            return sock
        end,
        works = function(sock)
            remove_left_behind()
            sock:close()
            sock:open()
            sock:bind("")
            lu.assertEquals(sock.local_path:byte(1), 0)
            sock:close()
        end,
        done = function(sock) sock:close() end,
        methods = methods,
    }
end

local function tcp_acceptor()
    local acceptor = ip.tcp.acceptor.new()
    acceptor:open("v4")
    acceptor:bind(loopback, 0)
    acceptor:listen()
    acceptor.timeout = 0.0005
    return acceptor
end

local function tcp_pair()
    local acceptor, client = tcp_acceptor(), ip.tcp.socket.new()
    client:connect(loopback, acceptor.local_port)
    acceptor.timeout = 5
    local server = acceptor:accept()
    acceptor:close()
    return client, server
end

local tcp_methods = {
    open = arguments(1, function() return "v4" end),
    bind = arguments(2, function() return loopback, 0 end),
    set_option = arguments(2, function() return "linger", {false, 0} end),
    get_option = arguments(1, function() return "linger" end),
}

local function with_tcp_methods(methods)
    for name, good in pairs(tcp_methods) do
        methods[name] = good
    end
    return methods
end

local classes = {
    ["ip.tcp.socket"] = {
        new = function()
            local sock = tcp_pair()
            sock.timeout = 0.0005
            return sock
        end,
        works = function(sock)
            local acceptor = tcp_acceptor()
            sock:close()
            sock.timeout = 5
            sock:connect(loopback, acceptor.local_port)
            lu.assertEquals(sock:send("works"), 5)
            sock:set_option("linger", {true, 0}) -- so many would wait for their ends otherwise
            sock:close()
            acceptor:close()
        end,
        done = function(sock) sock:close() end,
        methods = with_tcp_methods {
            assign = arguments(2, function()
                local client, server = tcp_pair()
                server:close()
                return "v4", client:release()
            end),
            connect = arguments(2, function() return loopback, 9 end),
            shutdown = arguments(1, function() return "both" end),
            receive = arguments(2, function() return byte_span.new(8), 0 end),
            read_some = arguments(1, function() return byte_span.new(8) end),
            send = arguments(2, function() return "x", 0 end),
            write_some = arguments(1, function() return "x" end),
            io_control = arguments(1, function() return "bytes_readable" end),
        },
    },
    ["ip.tcp.acceptor"] = {
        new = tcp_acceptor,
        works = function(acceptor)
            acceptor:close()
            acceptor:open("v4")
            acceptor:bind(loopback, 0)
            acceptor:listen()
            acceptor.timeout = 0
            h.raises("ETIMEDOUT", acceptor.accept, acceptor)
            acceptor:close()
        end,
        done = function(acceptor) acceptor:close() end,
        methods = with_tcp_methods {
            assign = arguments(2, function() return "v4", tcp_acceptor():release() end),
            listen = arguments(1, function() return 1 end),
        },
    },
    ["unix.datagram.socket"] = unix_class("datagram", false),
    ["unix.stream.socket"] = unix_class("stream", false),
    ["unix.stream.acceptor"] = unix_class("stream", true),
    ["unix.seqpacket.socket"] = unix_class("seqpacket", false),
    ["unix.seqpacket.acceptor"] = unix_class("seqpacket", true),
    ["ip.udp.socket"] = {
        new = new_socket,
        works = socket_works,
        done = function(sock) sock:close() end,
        methods = {
            open = arguments(1, function() return "v4" end),
            assign = arguments(2, function() return "v4", h.bound():release() end),
            bind = arguments(2, function() return loopback, 0 end),
            connect = arguments(2, function() return loopback, 9 end),
            shutdown = arguments(1, function() return "both" end),
            receive = arguments(2, function() return byte_span.new(8), 0 end),
            receive_from = arguments(2, function() return byte_span.new(8), 0 end),
            send = arguments(2, function() return "x", 0 end),
            send_to = arguments(4, function() return "x", loopback, 9, 0 end),
            set_option = arguments(3, function() return "broadcast", true end),
            get_option = arguments(1, function() return "broadcast" end),
            io_control = arguments(1, function() return "bytes_readable" end),
        },
    },
    byte_span = {
        new = function() return byte_span.new(8, 16) end,
        works = function(span)
            span:fill(1)
            lu.assertEquals(span:hex(), ("01"):rep(8))
        end,
        methods = {
            slice = arguments(2, function() return 1, 2 end),
            copy = arguments(1, function() return "x" end),
            append = arguments(2, function() return "x", "y" end),
            starts_with = arguments(1, function() return "x" end),
            ends_with = arguments(1, function() return "x" end),
            find = arguments(2, function() return "x", 1 end),
            rfind = arguments(2, function() return "x", 1 end),
            find_first_of = arguments(2, function() return "x", 1 end),
            find_last_of = arguments(2, function() return "x", 1 end),
            find_first_not_of = arguments(2, function() return "x", 1 end),
            find_last_not_of = arguments(2, function() return "x", 1 end),
            trimmed = arguments(1, function() return "x" end),
            get_u8 = arguments(2, function() return 1, "be" end),
            get_u16 = arguments(2, function() return 1, "be" end),
            get_u32 = arguments(2, function() return 1, "be" end),
            get_u64 = arguments(2, function() return 1, "be" end),
            set_u8 = arguments(3, function() return 1, 1, "be" end),
            set_u16 = arguments(3, function() return 1, 1, "be" end),
            set_u32 = arguments(3, function() return 1, 1, "be" end),
            set_u64 = arguments(3, function() return 1, 1, "be" end),
            fill = arguments(1, function() return 1 end),
        },
    },
    ["stream.reader"] = {
        new = function()
            local a, b = unix.stream.socket.pair()
            a:write_some("works\nrest")
            a:close()
            return thrum.stream.reader(b)
        end,
        works = function(r)
            lu.assertEquals(type(r.buffered), "number")
            lu.assertEquals(r:exactly(0), "")
            r:all()
            lu.assertNil(r:line())
        end,
        done = function(r) r.stream:close() end,
        methods = {
            line = arguments(1, function() return 100 end),
            read_until = arguments(2, function() return "k", 100 end),
            exactly = arguments(1, function() return 3 end),
            all = arguments(1, function() return 100 end),
        },
    },
    ["ip.address"] = {
        new = function() return ip.address.new("fe80::1") end,
        works = function(addr) lu.assertEquals(tostring(addr), "fe80::1") end,
        methods = {with_scope_id = arguments(1, function() return 1 end)},
    },
    ["ip.network"] = {
        new = function() return ip.network.new("10.0.0.0/8") end,
        works = function(net) lu.assertTrue(net:contains(ip.address.new("10.1.1.1"))) end,
        methods = {contains = arguments(1, function() return loopback end)},
    },
    file_descriptor = {
        new = function() return h.bound():release() end,
        works = function(fd)
            if pcall(fd.kind, fd) then
                fd:close()
            end
            h.raises("EBADF", fd.close, fd)
        end,
        methods = {},
    },
    ["system.process"] = {
        new = function() -- one that is dropped ends soon
            return thrum.system.spawn {program = "sleep", arguments = {"sleep", "0.02"}}
        end,
        works = function(process)
            pcall(process.kill, process, "SIGKILL")
            lu.assertEquals(type(process:wait().exited), "boolean")
            h.raises("ESRCH", process.kill, process, "SIGKILL")
        end,
        methods = {kill = arguments(1, function() return "SIGTERM" end)},
    },
    fiber = {
        new = function() return spawn(function() time.sleep(0) end) end,
        works = function(fiber)
            if fiber.joinable then
                fiber:join()
            end
            h.raises("EINVAL", fiber.join, fiber)
        end,
        methods = {},
    },
    ["fiber.group"] = {
        new = function() return thrum.fiber.group() end,
        works = function(group)
            if tostring(group) ~= "fiber.group (ended)" then
                group:join()
            end
            h.raises("EINVAL", group.join, group)
        end,
        methods = {spawn = arguments(2, function() return function() end, 1 end)},
    },
    emitter = {
        new = function() return thrum.emitter.new() end,
        works = function(em)
            local heard
            em:on("works", function(value) heard = value end)
            lu.assertIs(em:emit("works", "well"), em)
            lu.assertEquals(heard, "well")
        end,
        takes_self = function(value) return type(value) == "table" end,
        methods = {
            on = arguments(2, function() return "x", print end),
            once = arguments(2, function() return "x", print end),
            addListener = arguments(2, function() return "x", print end),
            prependListener = arguments(2, function() return "x", print end),
            prependOnceListener = arguments(2, function() return "x", print end),
            removeListener = arguments(2, function() return "x", print end),
            off = arguments(2, function() return "x", print end),
            emit = arguments(2, function() return "x", 1 end),
            missingHandlerType = arguments(2, function() return "x", 1 end),
            listeners = arguments(1, function() return "x" end),
            listenerCount = arguments(1, function() return "x" end),
            removeAllListeners = arguments(1, function() return "x" end),
            wrap = arguments(1, function() return "x" end),
            propagate = arguments(2, function() return "x", thrum.emitter.new() end),
        },
    },
    ["dgram.Socket"] = {
        new = new_dgram,
        works = dgram_works,
        done = function(socket) socket:close() end,
        methods = {
            initialize = arguments(2, function() return "udp4", nothing end),
            bind = arguments(4, function() return 0, "127.0.0.1", {}, nothing end),
            send = arguments(6, function() return "xyz", 0, 1, 9, "127.0.0.1", nothing end),
            sendto = arguments(6, function() return "xyz", 0, 1, 9, "127.0.0.1", nothing end),
            connect = arguments(3, function() return 9, "127.0.0.1", nothing end),
            close = arguments(1, function() return nothing end),
            setTimeout = arguments(2, function() return 1000, nothing end),
            setBroadcast = arguments(1, function() return true end),
            setTTL = arguments(1, function() return 64 end),
            setMulticastTTL = arguments(1, function() return 1 end),
            setMulticastLoopback = arguments(1, function() return true end),
            setMulticastInterface = arguments(1, function() return "127.0.0.1" end),
            setRecvBufferSize = arguments(1, function() return 8192 end),
            setSendBufferSize = arguments(1, function() return 8192 end),
            setMembership = arguments(3, function() return "239.1.2.3", "lo", "join" end),
            addMembership = arguments(2, function() return "239.1.2.3", "lo" end),
            dropMembership = arguments(2, function() return "239.1.2.3", "lo" end),
            addSourceSpecificMembership = arguments(3, function()
                return "127.0.0.1", "232.1.2.3", "lo"
            end),
            dropSourceSpecificMembership = arguments(3, function()
                return "127.0.0.1", "232.1.2.3", "lo"
            end),
        },
    },
    error_category = {
        new = function() return generic_error.EPERM.category end,
        works = function(category) lu.assertEquals(tostring(category), "generic") end,
        methods = {message = arguments(1, function() return 1 end)},
    },
    error = {
        new = function() return generic_error.EPERM end,
        works = function(err) lu.assertEquals(tostring(err), "Operation not permitted") end,
        methods = {
            byte = arguments(2, function() return 1, 2 end),
            find = arguments(3, function() return "p", 1, true end),
            gmatch = arguments(1, function() return "p" end),
            gsub = arguments(3, function() return "p", "q", 1 end),
            match = arguments(2, function() return "p", 1 end),
            rep = arguments(2, function() return 2, "-" end),
            sub = arguments(2, function() return 1, 2 end),
        },
    },
}

-- The names of a class's fields: methods, and properties.
local function fields_of(object)
    local index = debug.getmetatable(object).__index
    local fields = index
    if type(index) == "function" then
        local _, value = debug.getupvalue(index, 2)
        if type(value) ~= "table" then -- C functions' upvalues have no names, but they are there
            return {}, {}
        end
        fields = value
    end
    local methods, properties = {}, {}
    for name, value in pairs(fields) do
        local list = type(value) == "function" and methods or properties
        list[#list + 1] = name
    end
    table.sort(methods)
    table.sort(properties)
    return methods, properties
end

for class_name, class in pairs(classes) do
    local function finish(object)
        class.works(object)
        if class.done then
            class.done(object)
        end
    end

    t["test methods of " .. class_name .. " survive every bad value in every position"] = function()
        local methods = fields_of(class.new())
        lu.assertTrue(#methods > 0)
        for name in pairs(class.methods) do
            lu.assertEquals(type(class.new()[name]), "function", name)
        end
        for _, name in ipairs(methods) do
            local good = class.methods[name] or no_arguments
            local where = class_name .. ":" .. name
            for position = 1, #good + 1 do
                for i = 1, n_values do
                    local object = class.new()
                    local given = good()
                    given.n = math.max(given.n, position)
                    given[position] = new_values()[i]
                    call(("%s, argument %d: %s"):format(where, position, name_of(given[position])),
                        object[name], object, table.unpack(given, 1, given.n))
                    finish(object)
                end
            end
        end
    end

    t["test methods of " .. class_name .. " refuse every other self"] = function()
        local methods = fields_of(class.new())
        for _, name in ipairs(methods) do
            local good = class.methods[name] or no_arguments
            local object = class.new()
            for i = 1, n_values do
                local bad = new_values()[i]
                local given = good()
                local ok, err = pcall(object[name], bad, table.unpack(given, 1, given.n))
                assert_clean(ok, err, class_name .. "." .. name)
                local is_taken = class.takes_self and class.takes_self(bad)
                local is_shared = class_name == "byte_span" and name == "append" or
                    class_name:find("[xp]%.%l+%.") and tostring(bad):find("^ip%.udp%.socket %(")
                if ok and not is_taken and not is_shared then
                    -- only an object of the class itself, or for what all sockets have in common
                    -- another socket, may succeed
                    lu.assertTrue(rawequal(debug.getmetatable(bad), debug.getmetatable(object)),
                        class_name .. "." .. name .. " of a " .. name_of(bad))
                end
            end
            lu.assertFalse(pcall(object[name]) and name ~= "append")
            finish(object)
        end
    end

    t["test properties of " .. class_name .. " survive every bad key and value"] = function()
        local object = class.new()
        local _, properties = fields_of(object)
        for i = 1, n_values do
            local bad = new_values()[i]
            for _, name in ipairs(properties) do
                local ok, err = pcall(function() object[name] = bad end)
                assert_clean(ok, err, class_name .. "." .. name)
            end
            if class_name ~= "error" then
                local ok, err = pcall(function() return object[bad] end)
                assert_clean(ok, err, class_name .. " key")
                ok, err = pcall(function() object[bad] = bad end)
                assert_clean(ok or bad == nil or bad ~= bad, err, class_name .. " key")
            end
            for _, operator in ipairs {
                function(a, b) return a == b end, function(a, b) return a < b end,
                function(a, b) return a <= b end,
            } do
                pcall(operator, object, bad)
                pcall(operator, bad, object)
            end
        end
        finish(object)
    end
end

t["test closed, connected and shut down sockets survive every call"] = function()
    local states = {
        function() return ip.udp.socket.new() end,
        function()
            local sock = h.bound()
            sock:close()
            return sock
        end,
        function()
            local sock = h.bound()
            sock:release():close()
            return sock
        end,
        function()
            local sock = new_socket()
            sock:shutdown("both")
            return sock
        end,
        function()
            local sock = new_socket()
            sock:connect(loopback, 9)
            return sock
        end,
    }
    local class = classes["ip.udp.socket"]
    for _, new_state in ipairs(states) do
        local methods, properties = fields_of(new_state())
        for _, name in ipairs(methods) do
            local sock = new_state()
            local given = (class.methods[name] or no_arguments)()
            call("ip.udp.socket:" .. name, sock[name], sock, table.unpack(given, 1, given.n))
            socket_works(sock)
        end
        for _, name in ipairs(properties) do
            local sock = new_state()
            local ok, err = pcall(function() return sock[name] end)
            assert_clean(ok, err, name)
            socket_works(sock)
        end
    end
end

t["test options survive every bad value"] = function()
    local names = {"debug", "broadcast", "do_not_route", "send_buffer_size", "receive_buffer_size",
        "reuse_address", "multicast_loop", "multicast_hops", "unicast_hops", "v6_only",
        "join_multicast_group", "leave_multicast_group", "multicast_interface", "reuse_port",
        "join_source_group", "leave_source_group",
        "error", "type_of_service", "bind_to_device", "mark", "multicast_all", "mtu_discover"}
    for _, family in ipairs(h.has_v6 and {"v4", "v6"} or {"v4"}) do
        for _, name in ipairs(names) do
            for i = 1, n_values do
                local sock = ip.udp.socket.new()
                sock:open(family)
                local bad = new_values()[i]
                local ok, err = pcall(sock.set_option, sock, name, bad)
                assert_clean(ok, err, name)
                ok, err = pcall(sock.set_option, sock, name, ip.address.new("239.1.2.3"), bad)
                assert_clean(ok, err, name)
                sock:close()
            end
        end
    end
end
