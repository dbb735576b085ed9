-- SPDX-License-Identifier: BSL-1.0
-- socket.select
local c, t = ...
local lu, socket = c.lu, c.socket

t["D10: select tells who is ready, by number and by socket"] = function()
    local client, peer = c.pair()
    peer:send("x")
    local readable, writable, err = socket.select({client, peer}, {client}, 10)
    lu.assertEquals(#readable, 1)
    lu.assertTrue(readable[1] == client)
    lu.assertEquals(readable[client], 1)
    lu.assertNil(readable[peer])
    lu.assertTrue(writable[1] == client)
    lu.assertEquals(writable[client], 1)
    lu.assertNil(err)
end

t["D10: select's time-out gives two empty tables and 'timeout'"] = function()
    local client = c.pair()
    local readable, writable, err = socket.select({client}, nil, 0.01)
    lu.assertEquals({readable, writable, err}, {{}, {}, "timeout"})
end

t["D10: several are ready at once, and keep their order"] = function()
    local readers = {}
    for i = 1, 5 do
        local client, peer = c.pair()
        readers[i] = peer
        client:send("x")
    end
    for _, reader in ipairs(readers) do
        socket.select({reader}, nil, 10)
    end
    local readable = socket.select(readers, nil, 10)
    lu.assertEquals(#readable, 5)
    for i, reader in ipairs(readable) do
        lu.assertTrue(reader == readers[i])
        lu.assertEquals(readable[reader], i)
    end
end

t["D10: data in an object's buffer counts"] = function()
    local client, peer = c.pair()
    client:send("one\ntwo\n")
    lu.assertEquals(peer:receive(), "one")
    lu.assertTrue(peer:dirty())
    local readable = socket.select({peer}, nil, 0)
    lu.assertTrue(readable[1] == peer)
    lu.assertEquals(peer:receive(), "two")
end

t["D10: datagrams and the ends of connections are ready, too"] = function()
    local sock, other = c.udp_pair()
    sock:send("x")
    lu.assertTrue(socket.select({other}, nil, 10)[1] == other)
    local client, peer = c.pair()
    peer:close()
    lu.assertTrue(socket.select({client}, nil, 10)[1] == client)
end

-- LuaSocket finds by descriptor whom the system has named, by object who has data in its buffer.
t["D10: an object given twice comes once, but with data in its buffer twice"] = function()
    local client, peer = c.pair()
    client:send("one\ntwo\n")
    local function ask()
        local readable, writable, err = socket.select({peer, client, peer, peer}, {peer, peer}, 10)
        lu.assertTrue(#writable == 1 and writable[1] == peer and writable[peer] == 1)
        lu.assertNil(err)
        for _, sock in ipairs(readable) do
            lu.assertTrue(sock == peer)
        end
        lu.assertEquals(readable[peer], #readable)
        return #readable
    end
    lu.assertEquals(ask(), 1)
    lu.assertEquals(peer:receive(), "one")
    lu.assertTrue(peer:dirty())
    lu.assertEquals(ask(), 3)
    lu.assertEquals(peer:receive(), "two")
    client:send("three\n")
    lu.assertEquals(ask(), 1)
end

t["D10: those with data in their buffers come first, in their order"] = function()
    local names, list = {}, {}
    for _, name in ipairs {"a", "b", "c"} do
        local client, peer = c.pair()
        assert(client:send(name .. "\n"))
        if name ~= "c" then
            assert(client:send("more\n"))
            assert(peer:receive() == name and peer:dirty())
        end
        names[peer], list[name] = name, peer
    end
    assert(socket.select({list.c}, nil, 10)[1])
    local readable = socket.select({list.b, list.c, list.a, list.b, list.c}, nil, 10)
    local order = {}
    for i, sock in ipairs(readable) do
        order[i] = names[sock]
    end
    lu.assertEquals(table.concat(order, " "), "b a b c")
    lu.assertEquals({readable[list.a], readable[list.b], readable[list.c]}, {2, 3, 4})
end

t["D14: two objects with one descriptor"] = function()
    local client, peer = c.pair()
    client:send("x")
    local sink = socket.sink("keep-open", peer)
    local readable = socket.select({peer, sink}, nil, 10)
    c.differs("select: two objects with one descriptor", {readable[peer] or 0, readable[sink]})
end

t["D11: lists may be empty or nil"] = function()
    lu.assertEquals({socket.select({}, {}, 0)}, {{}, {}, "timeout"})
    lu.assertEquals({socket.select(nil, nil, 0)}, {{}, {}, "timeout"})
    lu.assertEquals({socket.select({}, nil, 0)}, {{}, {}, "timeout"})
end

t["D11: what is no socket, and what has no number, is passed over"] = function()
    local client, peer = c.pair()
    peer:send("x")
    local readable = socket.select({"text", {}, client, name = peer}, nil, 10)
    lu.assertEquals(#readable, 1)
    lu.assertTrue(readable[1] == client)
end

t["D11: a number among the sockets"] = function()
    local client, peer = c.pair()
    peer:send("x")
    local ok, readable = pcall(socket.select, {17, client}, nil, 10)
    c.differs("select: a number among the sockets", ok and #readable or "raises")
end

t["D12: more sockets than _SETSIZE"] = function()
    local list = {}
    for i = 1, 1100 do
        local sock = socket.udp4()
        lu.skipIf(not sock, "too few descriptors")
        list[i] = c.keep(sock)
    end
    local ok, _, _, err = pcall(socket.select, list, nil, 0)
    c.differs("select: 1,100 sockets", ok and err or "raises")
end

t["D13: closed sockets are passed over"] = function()
    local client, peer = c.pair()
    local closed = c.keep(socket.tcp4())
    closed:close()
    peer:send("x")
    local readable, writable = socket.select({closed, client}, {closed}, 10)
    lu.assertEquals(#readable, 1)
    lu.assertTrue(readable[1] == client)
    lu.assertEquals(#writable, 0)
    lu.assertEquals({socket.select({closed}, {closed}, 0)}, {{}, {}, "timeout"})
end

t["D14: anything with getfd and dirty will do"] = function()
    local client, peer = c.pair()
    local asked = 0
    local object = {
        getfd = function()
            asked = asked + 1
            return client:getfd()
        end,
        dirty = function() return false end,
    }
    lu.assertEquals({socket.select({object}, nil, 0)}, {{}, {}, "timeout"})
    peer:send("x")
    local readable, writable = socket.select({object}, {object}, 10)
    lu.assertTrue(readable[1] == object)
    lu.assertEquals(readable[object], 1)
    lu.assertTrue(writable[1] == object)
    lu.assertTrue(asked >= 2)
end

t["D14: an object that says that it is dirty is ready at once"] = function()
    local client = c.pair()
    local object = {
        getfd = function() return client:getfd() end,
        dirty = function() return true end,
    }
    local readable = socket.select({object}, nil, 0)
    lu.assertTrue(readable[1] == object)
    local with_others = socket.select({client, object})
    lu.assertEquals(#with_others, 1)
    lu.assertTrue(with_others[1] == object)
end

t["D14: an object whose descriptor is negative is passed over"] = function()
    local object = {
        getfd = function() return -1 end,
        dirty = function() return false end,
    }
    lu.assertEquals({socket.select({object}, nil, 0)}, {{}, {}, "timeout"})
end

t["D14: sinks and sources are such objects"] = function()
    local client = c.pair()
    local sink = socket.sink("keep-open", client)
    local _, writable = socket.select(nil, {sink}, 10)
    lu.assertTrue(writable[1] == sink)
end

t["D15: a server is ready when somebody has connected, and accept may still find nobody"] =
function()
    local server, port = c.server()
    lu.assertEquals(select(3, socket.select({server}, nil, 0)), "timeout")
    c.keep(socket.connect("127.0.0.1", port))
    lu.assertTrue(socket.select({server}, nil, 10)[1] == server)
    server:settimeout(0)
    c.keep(server:accept())
    c.fails("timeout", server:accept())
end

t["D15: a socket whose buffer is full is not writable, and a new one is"] = function()
    local client, peer = c.pair()
    lu.assertTrue(select(2, socket.select(nil, {client}, 0))[1] == client)
    client:settimeout(0)
    repeat
        local n = client:send(("x"):rep(100000))
    until not n
    lu.assertEquals({socket.select(nil, {client}, 0)}, {{}, {}, "timeout"})
    peer:settimeout(0)
    repeat -- until the system says so, which is after a good part has been taken
        peer:receive(100000)
        local _, writable = socket.select(nil, {client}, 0)
    until writable[1] == client
end

t["D16: without a time-out, or with a negative one, select waits for ever"] = function()
    for _, timeout in ipairs {"none", "nil", -1} do
        local server, port = c.server()
        c.helper('socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()', port)
        local readable
        if timeout == "none" then
            readable = socket.select({server})
        elseif timeout == "nil" then
            readable = socket.select({server}, nil, nil)
        else
            readable = socket.select({server}, nil, timeout)
        end
        lu.assertTrue(readable[1] == server)
    end
end
