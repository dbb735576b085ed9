-- SPDX-License-Identifier: BSL-1.0
-- UDP objects.
local c, t = ...
local lu, socket = c.lu, c.socket

t["D70: close, and close again"] = function()
    local sock, other = c.udp_pair()
    lu.assertEquals(sock:close(), 1)
    lu.assertEquals(sock:close(), 1)
    lu.assertEquals(other:close(), 1)
    lu.assertEquals(other:getfd(), -1)
end

t["D70: receive on a closed socket"] = function()
    local sock, other = c.udp_pair()
    other:close()
    sock:close()
    c.differs("udp: receive on a closed socket", {other:receive()})
    c.differs("udp: receive on a closed socket", {sock:receive()})
end

t["D70: sendto, send and receivefrom on a closed socket"] = function()
    local sock, other = c.udp_pair()
    sock:close()
    other:close()
    c.differs("udp: send and sendto on a closed socket", {sock:send("x")})
    c.differs("udp: send and sendto on a closed socket", {other:sendto("x", "127.0.0.1", 9)})
    c.differs("udp: receivefrom on a closed socket", {other:receivefrom()})
end

t["D71: getpeername of a connected socket"] = function()
    local sock, other = c.udp_pair()
    local _, port = other:getsockname()
    local ip, peer_port, family = sock:getpeername()
    lu.assertEquals({ip, tonumber(peer_port), family}, {"127.0.0.1", tonumber(port), "inet"})
end

t["D72: getsockname, before and after the address is there"] = function()
    local sock = c.keep(socket.udp4())
    local ip, port, family = sock:getsockname()
    lu.assertEquals({ip, tonumber(port), family}, {"0.0.0.0", 0, "inet"})
    local other, other_port = c.bound()
    sock:sendto("x", "127.0.0.1", other_port)
    local _, own = sock:getsockname()
    lu.assertTrue(tonumber(own) > 0)
    lu.assertEquals((select(3, other:receivefrom())), tonumber(own))
end

t["D72: the types of ports"] = function()
    local sock, other = c.udp_pair()
    sock:send("x")
    local _, _, sender = other:receivefrom()
    local _, own = sock:getsockname()
    local _, peers = sock:getpeername()
    lu.assertEquals({type(sender), type(peers)}, {"number", "number"})
    c.differs("getsockname: the type of the port", type(own))
end

t["D73: receive gives a datagram, whatever its length"] = function()
    local sock, other = c.udp_pair()
    sock:send("short")
    sock:send(("x"):rep(5000))
    lu.assertEquals(other:receive(), "short")
    lu.assertEquals(other:receive(), ("x"):rep(5000))
end

t["D73: what is over the size asked for is lost"] = function()
    local sock, other = c.udp_pair()
    sock:send("0123456789")
    sock:send("next")
    lu.assertEquals(other:receive(4), "0123")
    lu.assertEquals(other:receive(100), "next")
end

t["D73: a connected socket hears its peer alone"] = function()
    local sock, other = c.udp_pair()
    local stranger = c.bound()
    local _, port = sock:getsockname()
    stranger:sendto("stranger", "127.0.0.1", port)
    other:sendto("peer", "127.0.0.1", port)
    lu.assertEquals(sock:receive(), "peer")
    sock:settimeout(0)
    c.fails("timeout", sock:receive())
end

t["D73: receive without a size, of a datagram of 10,000 bytes"] = function()
    local sock, other = c.udp_pair()
    sock:send(("x"):rep(10000))
    c.differs("udp: receive without a size", #other:receive())
    sock:send(("x"):rep(10000))
    c.differs("udp: receive without a size", #other:receivefrom())
    c.differs("udp: _DATAGRAMSIZE", socket._DATAGRAMSIZE)
end

t["D74: receivefrom gives the datagram and its sender"] = function()
    local sock, other = c.udp_pair()
    local _, own = sock:getsockname()
    sock:send("hello")
    lu.assertEquals({other:receivefrom()}, {"hello", "127.0.0.1", tonumber(own)})
    sock:send("hello")
    lu.assertEquals((other:receivefrom(2)), "he")
    other:settimeout(0.01)
    c.fails("timeout", other:receivefrom())
end

t["D75 D81: the options that are true or false are set, and read again"] = function()
    local sock = c.keep(socket.udp4())
    for _, name in ipairs {
        "dontroute", "broadcast", "reuseaddr", "reuseport", "ip-multicast-loop",
    } do
        lu.assertEquals(sock:setoption(name, true), 1, name)
        lu.assertTrue(sock:getoption(name), name)
        lu.assertEquals(sock:setoption(name, false), 1, name)
        lu.assertFalse(sock:getoption(name), name)
    end
    c.skip_without_v6()
    local six = c.keep(socket.udp6())
    lu.assertEquals(six:setoption("ipv6-v6only", false), 1)
    lu.assertFalse(six:getoption("ipv6-v6only"))
end

t["D75 D81: ip-multicast-if is set, and read again"] = function()
    local sock = c.keep(socket.udp4())
    lu.assertEquals(sock:setoption("ip-multicast-if", "127.0.0.1"), 1)
    lu.assertEquals(sock:getoption("ip-multicast-if"), "127.0.0.1")
    lu.assertEquals(sock:setoption("ip-multicast-if", "*"), 1)
    lu.assertEquals(sock:getoption("ip-multicast-if"), "0.0.0.0")
end

local function option_or_error(sock, name)
    local ok, value = pcall(sock.getoption, sock, name)
    return ok and value or "raises"
end

t["D75: getoption of the options that the documentation lists"] = function()
    local sock = c.keep(socket.udp4())
    lu.assertEquals(sock:setoption("ip-multicast-ttl", 3), 1)
    c.differs("getoption: ip-multicast-ttl", option_or_error(sock, "ip-multicast-ttl"))
    local group = {multiaddr = "224.1.2.3", interface = "127.0.0.1"}
    lu.assertEquals(sock:setoption("ip-add-membership", group), 1)
    c.differs("getoption: ip-add-membership", option_or_error(sock, "ip-add-membership"))
    c.differs("getoption: ip-drop-membership", option_or_error(sock, "ip-drop-membership"))
end

t["D76: send gives the count of bytes"] = function()
    local sock, other = c.udp_pair()
    lu.assertEquals(sock:send("hello"), 5)
    lu.assertEquals(other:receive(), "hello")
end

t["D76 D83: a datagram that is too long is refused"] = function()
    local sock = c.udp_pair()
    local n, err = sock:send(("x"):rep(65508))
    lu.assertEquals({n, err}, {nil, "Message too long"})
end

t["D76: what a connected socket sends to nobody is refused later, once"] = function()
    local sock, other = c.udp_pair()
    other:close()
    lu.assertEquals(sock:send("x"), 1)
    sock:settimeout(10)
    c.fails("connection refused", sock:receive())
    sock:settimeout(0)
    c.fails("timeout", sock:receive())
end

t["D77: sendto gives the count of bytes"] = function()
    local sock = c.keep(socket.udp4())
    local other, port = c.bound()
    lu.assertEquals(sock:sendto("hello", "127.0.0.1", port), 5)
    lu.assertEquals(sock:sendto("hello", "127.0.0.1", tostring(port)), 5)
    lu.assertEquals(other:receive(), "hello")
end

t["D77: sendto takes numbers, not names"] = function()
    local sock = c.keep(socket.udp4())
    c.fails("Name or service not known", sock:sendto("x", "localhost", 9))
end

t["D78: setpeername('*') disconnects"] = function()
    local sock, other = c.udp_pair()
    lu.assertEquals(sock:setpeername("*"), 1)
    lu.assertStrContains(tostring(sock), "udp{unconnected}: ")
    local _, port = other:getsockname()
    lu.assertEquals(sock:sendto("hello", "127.0.0.1", port), 5)
    lu.assertEquals(other:receive(), "hello")
    c.raises("udp{connected} expected", sock.send, sock, "x")
end

t["D79: setpeername makes a connected socket"] = function()
    local other, port = c.bound()
    local sock = c.keep(socket.udp4())
    lu.assertEquals(sock:setpeername("127.0.0.1", port), 1)
    lu.assertStrContains(tostring(sock), "udp{connected}: ")
    sock:send("hello")
    lu.assertEquals(other:receive(), "hello")
end

t["D79: setpeername knows names, and may be called again"] = function()
    c.skip_without_hosts()
    local sock = c.udp_pair()
    local _, port = c.bound()
    lu.assertEquals(sock:setpeername("nine.test", port), 1)
    lu.assertEquals(sock:getpeername(), "127.0.0.9")
end

t["D80: setsockname to an address, to any and to a name"] = function()
    local sock = c.keep(socket.udp4())
    lu.assertEquals(sock:setsockname("127.0.0.1", 0), 1)
    lu.assertTrue(tonumber((select(2, sock:getsockname()))) > 0)
    local any = c.keep(socket.udp4())
    lu.assertEquals(any:setsockname("*", 0), 1)
    lu.assertEquals(any:getsockname(), "0.0.0.0")
end

t["D80: setsockname works once"] = function()
    local sock, port = c.bound()
    c.fails("Invalid argument", sock:setsockname("127.0.0.1", 0))
    c.fails("address already in use", c.keep(socket.udp4()):setsockname("127.0.0.1", port))
    local sender = c.keep(socket.udp4())
    sender:sendto("x", "127.0.0.1", port)
    c.fails("Invalid argument", sender:setsockname("127.0.0.1", 0))
end

t["D81: multicast options are set, and a member hears the group"] = function()
    local sock = c.keep(socket.udp4())
    assert(sock:setsockname("*", 0))
    sock:settimeout(10)
    local _, port = sock:getsockname()
    local group = {multiaddr = "224.1.2.3", interface = "127.0.0.1"}
    lu.assertEquals(sock:setoption("ip-add-membership", group), 1)
    local sender = c.keep(socket.udp4())
    lu.assertEquals(sender:setoption("ip-multicast-if", "127.0.0.1"), 1)
    lu.assertEquals(sender:setoption("ip-multicast-ttl", 1), 1)
    lu.assertEquals(sender:setoption("ip-multicast-loop", true), 1)
    lu.assertEquals(sender:sendto("all", "224.1.2.3", port), 3)
    lu.assertEquals(sock:receive(), "all")
    lu.assertEquals(sock:setoption("ip-drop-membership", group), 1)
    local any = {multiaddr = "224.1.2.4", interface = "*"}
    local ok, err = sock:setoption("ip-add-membership", any)
    lu.assertTrue(ok == 1 or type(err) == "string") -- there may be no way to a group
end

t["D81: two that set reuseport share a port"] = function()
    local first = c.keep(socket.udp4())
    assert(first:setoption("reuseport", true))
    assert(first:setsockname("127.0.0.1", 0))
    local _, port = first:getsockname()
    local second = c.keep(socket.udp4())
    assert(second:setoption("reuseport", true))
    lu.assertEquals(second:setsockname("127.0.0.1", port), 1)
    c.fails("address already in use", c.keep(socket.udp4()):setsockname("127.0.0.1", port))
end

t["D81: wrong options and values are errors"] = function()
    local sock = c.keep(socket.udp4())
    c.raises("unsupported option", sock.setoption, sock, "nonsense", true)
    c.raises("unsupported option", sock.getoption, sock, "nonsense")
    c.raises("boolean expected", sock.setoption, sock, "broadcast", 1)
    c.raises("table expected", sock.setoption, sock, "ip-add-membership", "224.1.2.3")
    c.raises("string", sock.setoption, sock, "ip-add-membership", {interface = "*"})
    c.raises("string", sock.setoption, sock, "ip-add-membership", {multiaddr = "224.1.2.3"})
end

t["D82: a time-out counts for receive and receivefrom"] = function()
    local sock, other = c.udp_pair()
    lu.assertEquals(other:settimeout(0.02), 1)
    local start = socket.gettime()
    c.fails("timeout", other:receive())
    lu.assertTrue(socket.gettime() - start >= 0.015)
    c.fails("timeout", other:receivefrom())
    sock:settimeout(0)
    lu.assertEquals(sock:send("x"), 1)
    lu.assertEquals(other:receive(), "x")
end

t["D83: the longest datagram goes through"] = function()
    local sock, other = c.udp_pair()
    local payload = ("0123456789"):rep(6550) .. "1234567"
    lu.assertEquals(#payload, 65507)
    lu.assertEquals(sock:send(payload), 65507)
    lu.assertTrue(other:receive(65535) == payload)
end

t["D84: a connected socket sends, and receives, what an unconnected one would"] = function()
    -- That it is faster is a claim: test/bench/luasocket measures, no test.
    local sock, other = c.udp_pair()
    for i = 1, 100 do
        lu.assertEquals(sock:send("ping " .. i), #("ping " .. i))
        local payload, ip, port = other:receivefrom()
        lu.assertEquals(payload, "ping " .. i)
        other:sendto("pong " .. i, ip, port)
        lu.assertEquals(sock:receive(), "pong " .. i)
    end
end

t["D71 D85: calls that the object's kind has not are errors of their argument"] = function()
    local sock, other = c.udp_pair()
    c.raises("udp{unconnected} expected", sock.sendto, sock, "x", "127.0.0.1", 9)
    c.raises("udp{unconnected} expected", sock.receivefrom, sock)
    c.raises("udp{unconnected} expected", sock.setsockname, sock, "127.0.0.1", 0)
    c.raises("udp{connected} expected", other.send, other, "x")
    c.raises("udp{connected} expected", other.getpeername, other)
end

t["D86: an empty datagram is one"] = function()
    local sock, other = c.udp_pair()
    local _, port = sock:getsockname()
    lu.assertEquals(sock:send(""), 0)
    lu.assertEquals({other:receivefrom()}, {"", "127.0.0.1", tonumber(port)})
    lu.assertEquals(other:sendto("", "127.0.0.1", port), 0)
    lu.assertEquals(sock:receive(), "")
    sock:send("")
    lu.assertEquals(other:receive(), "")
end

t["D87: getfamily, gettimeout, getfd, setfd, dirty of UDP"] = function()
    local sock = c.keep(socket.udp4())
    lu.assertEquals(sock:getfamily(), "inet4")
    lu.assertEquals({sock:gettimeout()}, {-1, -1})
    sock:settimeout(0.5)
    lu.assertEquals((sock:gettimeout()), 0.5)
    lu.assertTrue(sock:getfd() >= 3)
    lu.assertFalse(sock:dirty())
    local fd = sock:getfd()
    sock:setfd(-1)
    lu.assertEquals(sock:getfd(), -1)
    sock:setfd(fd)
    assert(sock:setsockname("127.0.0.1", 0))
    c.skip_without_v6()
    lu.assertEquals(c.keep(socket.udp6()):getfamily(), "inet6")
end

t["D87: buffer sizes and the option error of UDP"] = function()
    local sock = c.keep(socket.udp4())
    for _, name in ipairs {"send-buffer-size", "recv-buffer-size"} do
        lu.assertEquals(sock:setoption(name, 30000), 1, name)
        lu.assertTrue(sock:getoption(name) >= 30000, name)
    end
    lu.assertNil((sock:getoption("error")))
end

t["D87: options of IPv6"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.udp6())
    lu.assertEquals(sock:setoption("ipv6-unicast-hops", 7), 1)
    lu.assertEquals(sock:getoption("ipv6-unicast-hops"), 7)
    lu.assertEquals(sock:setoption("ipv6-multicast-loop", true), 1)
    lu.assertTrue(sock:getoption("ipv6-multicast-loop"))
    lu.assertEquals(sock:setoption("ipv6-multicast-hops", 5), 1)
    c.differs("setoption: ipv6-multicast-hops",
        {sock:getoption("ipv6-multicast-hops"), sock:getoption("ipv6-unicast-hops")})
end

t["D81 D87: options of numbers take what LuaSocket's take"] = function()
    local four = c.keep(socket.udp4())
    for _, value in ipairs {true, -1, 3, "3", 3.9, {}} do
        lu.assertEquals(four:setoption("ip-multicast-ttl", value), 1, tostring(value))
    end
    lu.assertEquals(four:setoption("ip-multicast-ttl"), 1)
    c.fails("setsockopt failed", four:setoption("ip-multicast-ttl", 256))
    c.fails("setsockopt failed", four:setoption("ipv6-unicast-hops", 5))
    c.skip_without_v6()
    local six = c.keep(socket.udp6())
    for _, name in ipairs {"ipv6-unicast-hops", "ipv6-multicast-hops"} do
        for _, value in ipairs {5, -1} do -- -1: the system's choice
            lu.assertEquals(six:setoption(name, value), 1, name)
        end
        c.fails("setsockopt failed", six:setoption(name, 256))
    end
    assert(six:setoption("ipv6-unicast-hops", -1))
    lu.assertEquals(six:getoption("ipv6-unicast-hops"),
        c.keep(socket.udp6()):getoption("ipv6-unicast-hops"))
end

t["D87: membership of IPv6 groups"] = function()
    c.skip_without_v6()
    local sock = c.keep(socket.udp6())
    local group = {multiaddr = "ff02::1:2", interface = 1}
    lu.assertEquals(sock:setoption("ipv6-add-membership", group), 1)
    lu.assertEquals(sock:setoption("ipv6-drop-membership", group), 1)
end
