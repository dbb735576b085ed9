-- SPDX-License-Identifier: BSL-1.0
-- dgram.BlockList, by the rules of Node's net.BlockList, and the sockets that have one.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local dgram, channel = thrum.dgram, thrum.channel
local BlockList = dgram.BlockList
local new_address = thrum.ip.address.new

-- ---- the lists ----

t["test a list has addresses, ranges and subnets, of both families"] = function()
    local list = BlockList:new()
    list:addAddress("123.123.123.123")
    list:addRange("10.0.0.1", "10.0.0.10")
    list:addSubnet("8592:757c:efae:4e45::", 64, "ipv6")
    local expected = {
        ["123.123.123.123"] = true, ["123.123.123.122"] = false, ["10.0.0.0"] = false,
        ["10.0.0.1"] = true, ["10.0.0.7"] = true, ["10.0.0.10"] = true, ["10.0.0.11"] = false,
        ["8592:757c:efae:4e45::1"] = true, ["8592:757c:efae:4e46::"] = false,
        ["8592:757c:efae:4e45:ffff:ffff:ffff:ffff"] = true, ["::ffff:7b7b:7b7b"] = true,
        ["::ffff:10.0.0.5"] = true, ["::ffff:10.0.0.11"] = false, ["::10.0.0.5"] = false,
    }
    for text, is_blocked in pairs(expected) do
        lu.assertEquals(list:check(text), is_blocked, text)
        lu.assertEquals(list:check(new_address(text)), is_blocked, text)
        lu.assertEquals(list:check(text, text:find(":") and "ipv6" or "ipv4"), is_blocked, text)
        lu.assertEquals(list:check(text, text:find(":") and "IPv6" or "IPv4"), is_blocked, text)
        lu.assertFalse(list:check(text, text:find(":") and "ipv4" or "ipv6"), text)
    end
    lu.assertFalse(list:check("nonsense"))
    lu.assertFalse(list:check(""))
    lu.assertEquals(list:rules(), {"Address: IPv4 123.123.123.123",
        "Range: IPv4 10.0.0.1-10.0.0.10", "Subnet: IPv6 8592:757c:efae:4e45::/64"})
    list:rules()[1] = nil
    lu.assertEquals(#list:rules(), 3)
    list:addAddress("123.123.123.123")
    lu.assertEquals(#list:rules(), 3)
    h.assert_starts(tostring(list), "dgram.BlockList")
    lu.assertFalse(BlockList:new():check("123.123.123.123"))
end

t["test an IPv4 address and its mapped form are the same to it"] = function()
    local cases = { -- what is added, what is blocked, what is not
        {{"addAddress", "::ffff:1.2.3.4"}, {"1.2.3.4", "::ffff:1.2.3.4"}, {"1.2.3.5", "::1"}},
        {{"addSubnet", "::ffff:0:0", 96}, {"9.9.9.9", "0.0.0.0"}, {"::9.9.9.9", "::fffe:1:2"}},
        {{"addSubnet", "::", 0}, {"9.9.9.9", "fe80::1", "::"}, {}},
        {{"addSubnet", "0.0.0.0", 0}, {"9.9.9.9", "::ffff:1.1.1.1"}, {"fe80::1", "::1"}},
        {{"addSubnet", "10.1.2.3", 8}, {"10.0.0.0", "10.255.255.255"}, {"11.0.0.0", "9.0.0.0"}},
        {{"addSubnet", "10.1.2.3", 32}, {"10.1.2.3"}, {"10.1.2.2", "10.1.2.4"}},
        {{"addSubnet", "2001:db8::7", 127}, {"2001:db8::6", "2001:db8::7"}, {"2001:db8::8"}},
        {{"addRange", "10.9.0.9", "10.9.0.9"}, {"10.9.0.9"}, {"10.9.0.8", "10.9.0.10"}},
        {{"addAddress", "fe80::1%1"}, {"fe80::1", "fe80::1%2"}, {"fe80::2"}},
    }
    for i, case in ipairs(cases) do
        local list = BlockList:new()
        lu.assertNil(list[case[1][1]](list, table.unpack(case[1], 2)))
        for _, text in ipairs(case[2]) do
            lu.assertTrue(list:check(text), i .. " " .. text)
        end
        for _, text in ipairs(case[3]) do
            lu.assertFalse(list:check(text), i .. " " .. text)
        end
    end
end

local function to_text(number)
    return ("%d.%d.%d.%d"):format(number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255)
end

t["test ranges are exact at both ends, wherever these are"] = function()
    local ends = {0, 1, 2, 3, 255, 256, 257, 0x0a000001, 0x0a0000fe, 0x7fffffff, 0x80000000,
        0xfffffffe, 0xffffffff}
    for i, first in ipairs(ends) do
        for j = i, #ends do
            local last = ends[j]
            local list = BlockList:new()
            list:addRange(to_text(first), to_text(last))
            for _, edge in ipairs(ends) do
                for number = math.max(edge - 1, 0), math.min(edge + 1, 0xffffffff) do
                    lu.assertEquals(list:check(to_text(number)), number >= first and number <= last,
                        to_text(number) .. " in " .. list:rules()[1])
                end
            end
        end
    end
    local list = BlockList:new() -- across the middle of 128 bits, and to their end
    list:addRange("2001:db8::ffff:ffff:ffff:fffe", "2001:db8:0:1::1")
    list:addRange("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    for text, is_blocked in pairs {
        ["2001:db8::ffff:ffff:ffff:fffd"] = false, ["2001:db8::ffff:ffff:ffff:fffe"] = true,
        ["2001:db8::ffff:ffff:ffff:ffff"] = true, ["2001:db8:0:1::"] = true,
        ["2001:db8:0:1::1"] = true, ["2001:db8:0:1::2"] = false,
        ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd"] = false,
        ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"] = true,
        ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] = true, ["::"] = false,
    } do
        lu.assertEquals(list:check(text), is_blocked, text)
    end
    list = BlockList:new()
    list:addRange("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    lu.assertTrue(list:check("1.2.3.4") and list:check("::") and list:check("ff02::1"))
end

t["test wrong arguments are refused"] = function()
    local list = BlockList:new()
    for _, bad in ipairs {1, true, {}, "x", "", "10.0.0.0/8", io.stdout} do
        h.raises_arg(2, list.addAddress, list, bad)
        h.raises_arg(2, list.addRange, list, bad, "10.0.0.1")
        h.raises_arg(3, list.addRange, list, "10.0.0.1", bad)
        h.raises_arg(2, list.addSubnet, list, bad, 8)
    end
    h.raises_arg(2, list.addAddress, list)
    for _, bad in ipairs {1, true, {}, io.stdout} do
        h.raises_arg(2, list.check, list, bad)
    end
    h.raises_arg(2, list.check, list)
    for _, bad in ipairs {"ipv5", "v4", "", 4, true} do
        h.raises_arg(3, list.addAddress, list, "10.0.0.1", bad)
        h.raises_arg(4, list.addRange, list, "10.0.0.1", "10.0.0.2", bad)
        h.raises_arg(4, list.addSubnet, list, "10.0.0.1", 8, bad)
        h.raises_arg(3, list.check, list, "10.0.0.1", bad)
    end
    h.raises_arg(2, list.addAddress, list, "10.0.0.1", "ipv6")
    h.raises_arg(2, list.addSubnet, list, "::1", 8, "ipv4")
    h.raises_arg(3, list.addRange, list, "10.0.0.1", "::1")
    for _, bad in ipairs {-1, 33, 1.5, "8", true, 0 / 0} do
        h.raises_arg(3, list.addSubnet, list, "10.0.0.0", bad)
    end
    h.raises_arg(3, list.addSubnet, list, "10.0.0.0")
    h.raises_arg(3, list.addSubnet, list, "::", 129)
    local err = h.raises("EINVAL", list.addRange, list, "10.0.0.9", "10.0.0.1")
    h.assert_contains(err.detail, "start must come before end")
    lu.assertEquals(err.op, "dgram.BlockList.addRange")
    lu.assertEquals(list:rules(), {})
    lu.assertFalse(list:check("10.0.0.5"))
    for _, name in ipairs {"addAddress", "addRange", "addSubnet", "check", "rules"} do
        for _, bad in ipairs {1, "x", {}, BlockList} do
            h.raises_arg(1, list[name], bad)
        end
    end
    h.raises_arg(1, list.new, list)
end

t["test a check takes the same time however many rules there are"] = function()
    local function cost(n_rules)
        local list, count = BlockList:new(), 0
        for i = 0, n_rules - 1 do
            list:addAddress(to_text(0x0a000000 + 7 * i))
            list:addSubnet(to_text(0x14000000 + 512 * i), 24)
        end
        debug.sethook(function() count = count + 1 end, "", 100)
        for i = 1, 200 do
            list:check(to_text(0xc0000000 + i))
        end
        debug.sethook()
        return count
    end
    local few, many = cost(20), cost(h.is_slow and 160 or 2000)
    lu.assertTrue(many < 2 * few, few .. " and " .. many)
end

-- ---- sockets ----

t["test receiveBlockList: what is on it is not heard, and may be added at any time"] = function()
    local list = BlockList:new()
    local server = dgram.createSocket {type = "udp4", receiveBlockList = list}
    server:bind(0, "127.0.0.1")
    local heard = {}
    server:on("message", function(msg) heard[#heard + 1] = msg end)
    local a, b = d.bound(), dgram.createSocket("udp4")
    b:bind(0, "127.0.0.2")
    list:addAddress("127.0.0.2")
    for i = 1, 20 do
        b:send("blocked " .. i, d.port(server), "127.0.0.1")
        a:send(tostring(i), d.port(server), "127.0.0.1")
    end
    h.wait_until(function() return #heard == 20 end)
    for i = 1, 20 do
        lu.assertEquals(heard[i], tostring(i))
    end
    list:addSubnet("127.0.0.0", 8)
    a:send("blocked, too", d.port(server), "127.0.0.1")
    h.let_others_run(8)
    lu.assertEquals(#heard, 20)
    d.close(server, a, b)
end

t["test receiveBlockList: an idle time is not begun anew by what is blocked"] = function()
    local list = BlockList:new()
    list:addAddress("127.0.0.1")
    local server = dgram.createSocket {type = "udp4", receiveBlockList = list}
    server:bind(0, "127.0.0.1")
    local a, n_timeouts = d.bound(), 0
    server:on("timeout", function() n_timeouts = n_timeouts + 1 end)
    server:setTimeout(2)
    d.wait(server, "timeout")
    a:send("blocked", d.port(server), "127.0.0.1")
    h.let_others_run(8)
    thrum.time.sleep(0.006)
    lu.assertEquals(n_timeouts, 1) -- it would have come again
    d.close(server, a)
end

t["test receiveBlockList: a v4 sender of a udp6 socket"] = function()
    h.skip_without_v6()
    local list = BlockList:new()
    list:addAddress("127.0.0.1")
    local server = dgram.createSocket {type = "udp6", ipv6Only = false, receiveBlockList = list}
    server:bind(0)
    local heard = {}
    server:on("message", function(msg) heard[#heard + 1] = msg end)
    local a, b = d.bound(), d.bound("udp6")
    a:send("blocked", d.port(server), "127.0.0.1")
    b:send("heard", d.port(server), "::1")
    h.wait_until(function() return heard[1] end)
    lu.assertEquals(heard, {"heard"})
    d.close(server, a, b)
end

t["test sendBlockList: a send is refused by callback or event, also by name"] = function()
    local list = BlockList:new()
    list:addAddress("127.0.0.1")
    local a = dgram.createSocket {type = "udp4", sendBlockList = list, lookup = function()
        return "127.0.0.1"
    end}
    a:bind(0, "127.0.0.2")
    local b = d.bound()
    b:on("message", function(msg) error("heard " .. msg) end)
    for _, host in ipairs {"127.0.0.1", "some.name", "::ffff:127.0.0.1"} do
        local answer = channel.new(1)
        a:send("abc", d.port(b), host, function(err, length) answer:send {err, length} end)
        local told = answer:receive()
        lu.assertEquals({told[1].errno, told[1].syscall, told[1].address, told[2]},
            {"EPERM", "send", host, 3})
        h.assert_contains(told[1].detail, "blocked by the socket's sendBlockList")
        a:send("abc", d.port(b), host)
        lu.assertEquals(d.wait(a, "error").errno, "EPERM")
    end
    a:send("abc", d.port(b)) -- the default address
    lu.assertEquals(d.wait(a, "error").errno, "EPERM")
    a:sendto("abc", 0, 3, d.port(b), "127.0.0.1")
    lu.assertEquals(d.wait(a, "error").errno, "EPERM")
    lu.assertEquals(a:getSendQueueCount(), 0)
    a:send("allowed", d.port(a), "127.0.0.2")
    lu.assertEquals(d.wait(a, "message"), "allowed")
    list:addSubnet("127.0.0.0", 8)
    a:send("no more", d.port(a), "127.0.0.2")
    lu.assertEquals(d.wait(a, "error").errno, "EPERM")
    d.close(a, b)
end

t["test sendBlockList: answers to a flood are refused, too"] = function()
    local list = BlockList:new()
    local a, b = d.bound(), dgram.createSocket {type = "udp4", sendBlockList = list}
    b:bind(0, "127.0.0.1")
    list:addAddress("127.0.0.1")
    local n_errors = 0
    a:on("message", function(msg) error("heard " .. msg) end)
    b:on("error", function() n_errors = n_errors + 1 end)
    b:on("message", function(msg, rinfo) b:send(msg, rinfo.port, rinfo.address) end)
    for i = 1, 20 do
        a:send(tostring(i), d.port(b), "127.0.0.1")
    end
    h.wait_until(function() return n_errors == 20 end)
    d.close(a, b)
end

t["test sendBlockList: connect is refused by callback or event"] = function()
    local list = BlockList:new()
    list:addAddress("127.0.0.1")
    local a = dgram.createSocket {type = "udp4", sendBlockList = list, lookup = function()
        return "127.0.0.1"
    end}
    for _, host in ipairs {"127.0.0.1", "some.name"} do
        local answer = channel.new(1)
        a:connect(9, host, function(err) answer:send(err) end)
        local err = answer:receive()
        lu.assertEquals({err.errno, err.syscall, err.address, err.port},
            {"EPERM", "connect", host, 9})
        a:connect(9, host)
        lu.assertEquals(d.wait(a, "error").errno, "EPERM")
    end
    a:connect(9, "127.0.0.2")
    d.wait(a, "connect")
    d.close(a)
end
