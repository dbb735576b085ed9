-- SPDX-License-Identifier: BSL-1.0
-- unix.stream.acceptor and unix.seqpacket.acceptor, which differ in nothing but their kind.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local unix, byte_span, spawn, time = thrum.unix, thrum.byte_span, thrum.spawn, thrum.time
local ECANCELED = thrum.generic_error.ECANCELED

local kinds = {"stream", "seqpacket"}

local function listening(kind, backlog)
    local acceptor = unix[kind].acceptor.new()
    acceptor:open()
    acceptor:bind("")
    acceptor:listen(backlog)
    return acceptor
end

local function client_of(kind, acceptor)
    local client = unix[kind].socket.new()
    client:connect(acceptor.local_path)
    return client
end

local function each_kind(name, case)
    for _, kind in ipairs(kinds) do
        t[("test %s: %s"):format(kind, name)] = function() case(kind) end
    end
end

each_kind("accept gives a connected socket of the same kind", function(kind)
    local acceptor = listening(kind)
    local client = client_of(kind, acceptor)
    local server = acceptor:accept()
    lu.assertTrue(server.is_open)
    h.assert_starts(tostring(server), "unix." .. kind .. ".socket (@")
    local buf = byte_span.new(8)
    client:send("hello")
    lu.assertEquals(server:receive(buf), 5)
    server:send("back")
    lu.assertEquals(client:receive(buf), 4)
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end)

each_kind("a fiber waits in accept, and the first who came is served first", function(kind)
    local acceptor = listening(kind)
    local fibers, clients = {}, {}
    for i = 1, 4 do
        fibers[i] = h.start(function() return acceptor:accept() end)
    end
    for i = 1, 4 do
        clients[i] = client_of(kind, acceptor)
        clients[i]:send(tostring(i))
    end
    local buf = byte_span.new(4)
    for i = 1, 4 do
        local server = fibers[i]:join()
        lu.assertEquals(tostring(buf:slice(1, (server:receive(buf)))), tostring(i))
        server:close()
        clients[i]:close()
    end
    acceptor:close()
end)

each_kind("accept without listen is EINVAL, and listen takes a number", function(kind)
    local acceptor = unix[kind].acceptor.new()
    acceptor:open()
    acceptor:bind("")
    local err = h.raises("EINVAL", acceptor.accept, acceptor)
    lu.assertNil(err.arg)
    for _, bad in ipairs {-1, 1.5, "1", true, 2 ^ 31} do
        h.raises_arg(2, acceptor.listen, acceptor, bad)
    end
    for _, backlog in ipairs {0, 1, 4096} do
        lu.assertEquals(select("#", acceptor:listen(backlog)), 0)
    end
    acceptor:listen(nil)
    acceptor:close()
end)

each_kind("close, cancel and release wake all who accept", function(kind)
    for _, how in ipairs {"close", "cancel", "release"} do
        local acceptor = listening(kind)
        local path = acceptor.local_path
        local fibers = {}
        for i = 1, 3 do
            fibers[i] = h.try(acceptor.accept, acceptor)
        end
        local fd = acceptor[how](acceptor)
        for i = 1, 3 do
            local ok, err = fibers[i]:join()
            lu.assertFalse(ok)
            lu.assertTrue(err == ECANCELED, tostring(err))
        end
        lu.assertEquals(acceptor.is_open, how == "cancel")
        if how == "cancel" then
            client_of(kind, acceptor):close()
            acceptor:accept():close()
        elseif how == "release" then
            lu.assertEquals(fd:kind(), ("unix %s acceptor"):format(kind))
            acceptor:assign(fd)
            lu.assertEquals(acceptor.local_path, path)
            client_of(kind, acceptor):close()
            acceptor:accept():close()
        end
        acceptor:close()
    end
end)

each_kind("interrupting one who accepts leaves the next in line", function(kind)
    local acceptor = listening(kind)
    local first = h.try(acceptor.accept, acceptor)
    local second = h.try(acceptor.accept, acceptor)
    first:interrupt()
    local ok, err = first:join()
    lu.assertFalse(ok)
    lu.assertTrue(h.is_interruption(err))
    local client = client_of(kind, acceptor)
    local server
    ok, server = second:join()
    lu.assertTrue(ok)
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end)

each_kind("the timeout of an acceptor", function(kind)
    local acceptor = listening(kind)
    acceptor.timeout = 0
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    acceptor.timeout = 0.005
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    local client = client_of(kind, acceptor)
    acceptor.timeout = 0
    local server = acceptor:accept()
    lu.assertNil(server.timeout)
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end)

each_kind("a connection that waits when the acceptor is released is the heir's", function(kind)
    local acceptor = listening(kind)
    local client = client_of(kind, acceptor)
    client:send("early")
    local heir = unix[kind].acceptor.new()
    heir:assign(acceptor:release())
    local server = heir:accept()
    lu.assertEquals(server:receive(byte_span.new(8)), 5)
    for _, each in ipairs {heir, client, server} do
        each:close()
    end
end)

each_kind("connect waits while the backlog is full", function(kind)
    local acceptor = listening(kind, 0)
    local path = acceptor.local_path
    local fibers, clients = {}, {}
    for i = 1, 4 do
        clients[i] = unix[kind].socket.new()
        fibers[i] = h.try(clients[i].connect, clients[i], path)
    end
    time.sleep(0.005)
    local impatient = unix[kind].socket.new()
    impatient.timeout = 0.005
    local err = h.raises("ETIMEDOUT", impatient.connect, impatient, path)
    lu.assertEquals(err.path, path)
    local servers = {}
    for i = 1, 4 do
        servers[i] = acceptor:accept()
    end
    for i = 1, 4 do
        lu.assertTrue((fibers[i]:join()))
        clients[i]:send("x")
    end
    for i = 1, 4 do
        lu.assertEquals(servers[i]:receive(byte_span.new(1)), 1)
        servers[i]:close()
        clients[i]:close()
    end
    impatient:connect(path) -- it can be used again
    impatient:close()
    acceptor:close()
end)

each_kind("the descriptor limit is EMFILE once per call, and the connection waits on",
function(kind)
    h.skip_without_program()
    local script = ([[
        local kind = %q
        local acceptor, client = unix[kind].acceptor.new(), unix[kind].socket.new()
        acceptor:open()
        acceptor:bind("")
        acceptor:listen()
        client:connect(acceptor.local_path)
    ]]):format(kind)
    h.check_descriptor_limit(script)
end)

each_kind("an accepted socket that nobody keeps is closed", function(kind)
    local before = h.descriptors()
    do
        local acceptor = listening(kind)
        local client = client_of(kind, acceptor)
        spawn(function() acceptor:accept() end):join()
        acceptor:close()
        collectgarbage()
        collectgarbage()
        local err = h.raises_text("misc", "End of file", client.receive, client, byte_span.new(1))
        lu.assertNotNil(err)
        client:close()
    end
    lu.assertEquals(h.descriptors(), before)
end)
