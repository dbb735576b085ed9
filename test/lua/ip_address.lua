-- SPDX-License-Identifier: BSL-1.0
-- Class ip.address.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip = thrum.ip
local address = ip.address

t["test the constructors give the well-known addresses"] = function()
    lu.assertEquals(tostring(address.new()), "0.0.0.0")
    lu.assertEquals(tostring(address.new(nil)), "0.0.0.0")
    lu.assertEquals(tostring(address.any_v4()), "0.0.0.0")
    lu.assertEquals(tostring(address.any_v6()), "::")
    lu.assertEquals(tostring(address.loopback_v4()), "127.0.0.1")
    lu.assertEquals(tostring(address.loopback_v6()), "::1")
    lu.assertEquals(tostring(address.broadcast_v4()), "255.255.255.255")
end

t["test text goes in and comes out in its canonical form (RFC 5952)"] = function()
    for text, canonical in pairs {
        ["192.0.2.1"] = "192.0.2.1", ["0.0.0.0"] = "0.0.0.0",
        ["::"] = "::", ["::1"] = "::1", ["0:0:0:0:0:0:0:1"] = "::1",
        ["2001:DB8::A"] = "2001:db8::a", ["2001:db8:0:0:1:0:0:1"] = "2001:db8::1:0:0:1",
        ["::ffff:127.0.0.1"] = "::ffff:127.0.0.1", ["::ffff:7f00:1"] = "::ffff:127.0.0.1",
        ["ff02::1"] = "ff02::1", ["fe80::1"] = "fe80::1",
    } do
        lu.assertEquals(tostring(address.new(text)), canonical)
    end
end

t["test a bad text is EINVAL with the text"] = function()
    for _, bad in ipairs {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4",
        " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\0", "1.2.3.4%lo", ":", ":::", "1::2::3", "12345::",
        "::1/64", "[::1]", "fe80::1%", "fe80::1%no-such-if", "fe80::1%4294967296", "fe80::1%-1",
        "::g", ("1"):rep(100000)} do
        local err = h.raises_arg(1, address.new, bad)
        lu.assertTrue(#tostring(err) < 1000)
    end
    h.assert_contains(tostring(h.raises_arg(1, address.new, "nonsense")), "nonsense")
    for _, bad in ipairs {1, 1.5, true, {}, print} do
        h.raises_arg(1, address.new, bad)
    end
end

t["test the same address is the same object, whatever way it came"] = function()
    local one = address.new("10.1.2.3")
    lu.assertTrue(rawequal(one, address.new("10.1.2.3")))
    lu.assertTrue(rawequal(one, address.from_bytes("\10\1\2\3")))
    lu.assertTrue(rawequal(one, one:to_v6():to_v4()))
    lu.assertTrue(rawequal(address.new("::1"), address.loopback_v6()))
    lu.assertFalse(one == address.new("10.1.2.4"))
    lu.assertFalse(address.new("::ffff:10.1.2.3") == one)
    local sessions = {[one] = "found"}
    lu.assertEquals(sessions[address.new("10.1.2.3")], "found")
    lu.assertFalse(one == "10.1.2.3")
end

t["test addresses nobody holds are collected"] = function()
    local count = h.is_slow and 100 or 20000
    for i = 1, count do
        address.from_bytes(string.pack(">I4", i))
    end
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for i = count + 1, 6 * count do
        address.from_bytes(string.pack(">I4", i))
    end
    collectgarbage()
    collectgarbage()
    -- The table that finds them may have grown meanwhile, by 2.5 MB; they would be more than 10.
    lu.assertTrue(collectgarbage("count") < before + 4000)
end

-- Seen: 14 microseconds for each address of a network, for Lua hashes an integer by its low bits
-- and the key was the address as it stands in memory. Cure: the key's bits are scattered.
t["test thousands of addresses of one network are found as quickly as others"] = function()
    local count = h.is_slow and 100 or 20000
    local function time_of(format)
        local held = {}
        local start = os.clock()
        for _ = 1, 2 do
            for i = 1, count do
                held[i] = address.from_bytes(string.pack(format, i))
            end
        end
        lu.assertEquals(#held, count)
        return os.clock() - start
    end
    for _, format in ipairs {">I4", "<I4"} do
        lu.assertTrue(time_of(format) < 0.5, format)
    end
end

t["test v4 addresses that differ only far apart are told apart as keys"] = function()
    local seen = {}
    for _, text in ipairs {"0.0.0.0", "0.0.0.1", "1.0.0.0", "255.255.255.255", "128.0.0.0",
        "::", "::1", "::ffff:0.0.0.0", "fe80::1", "fe80::1%1", "fe80::1%2"} do
        local addr = address.new(text)
        lu.assertNil(seen[addr])
        seen[addr] = text
    end
    for addr, text in pairs(seen) do
        lu.assertTrue(address.new(text) == addr)
    end
end

t["test zones are parsed by name and by number and printed by name"] = function()
    local by_number = address.new("fe80::1%1")
    lu.assertEquals(by_number.scope_id, 1)
    lu.assertEquals(address.new("fe80::1").scope_id, 0)
    local by_name = address.new("fe80::1%lo")
    lu.assertTrue(by_name == by_number)
    lu.assertEquals(tostring(by_number), "fe80::1%lo")
    lu.assertEquals(tostring(address.new("fe80::1%4000000000")), "fe80::1%4000000000")
    lu.assertEquals(address.new("fe80::1%4294967295").scope_id, 4294967295)
end

t["test with_scope_id by number and by name"] = function()
    local addr = address.new("fe80::1")
    lu.assertEquals(addr:with_scope_id(7).scope_id, 7)
    lu.assertTrue(addr:with_scope_id("lo") == address.new("fe80::1%lo"))
    lu.assertTrue(addr:with_scope_id(7):with_scope_id(0) == addr)
    lu.assertEquals(addr.scope_id, 0) -- immutable
    for _, bad in ipairs {-1, 1.5, 1 << 32, 0 / 0, true, {}} do
        h.raises_arg(2, addr.with_scope_id, addr, bad)
    end
    h.raises_arg(2, addr.with_scope_id, addr)
    for _, bad in ipairs {"no-such-if", "", "lo\0", ("x"):rep(1000)} do
        lu.assertEquals(h.raises("ENODEV", addr.with_scope_id, addr, bad).arg, 2)
    end
    h.raises("EINVAL", address.new("1.2.3.4").with_scope_id, address.new("1.2.3.4"), 1)
end

t["test addresses are immutable"] = function()
    local addr = address.new("fe80::1")
    h.raises("EINVAL", function() addr.scope_id = 1 end)
    h.raises("EINVAL", function() addr.is_v4 = true end)
    h.raises("EINVAL", function() addr.x = 1 end)
    h.raises("EINVAL", function() return addr.nope end)
    lu.assertFalse(getmetatable(addr))
end

t["test to_v6 maps and to_v4 takes the mapped ones only"] = function()
    local v4 = address.new("192.0.2.33")
    lu.assertEquals(tostring(v4:to_v6()), "::ffff:192.0.2.33")
    lu.assertTrue(v4:to_v6().is_v4_mapped)
    lu.assertTrue(v4:to_v6():to_v4() == v4)
    for _, text in ipairs {"::1", "2001:db8::1", "::192.0.2.33"} do
        h.raises("EINVAL", address.new(text).to_v4, address.new(text))
    end
end

t["test bytes go out and come in"] = function()
    lu.assertEquals(address.new("1.2.3.4"):to_bytes(), "\1\2\3\4")
    lu.assertEquals(address.new("2001:db8::1"):to_bytes(),
        "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\1")
    for _, text in ipairs {"0.0.0.0", "255.1.0.7", "::", "fe80::9", "::ffff:1.2.3.4"} do
        lu.assertTrue(address.from_bytes(address.new(text):to_bytes()) == address.new(text))
    end
    for _, size in ipairs {0, 1, 3, 5, 15, 17, 1000} do
        h.raises("EINVAL", address.from_bytes, ("\0"):rep(size))
    end
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(1, address.from_bytes, bad)
    end
    h.raises_arg(1, address.from_bytes)
end

t["test order: v4 before v6, then by the bytes, then by the zone"] = function()
    local sorted = {"0.0.0.0", "1.2.3.4", "1.2.3.5", "127.0.0.1", "128.0.0.0", "255.255.255.255",
        "::", "::1", "::ffff:1.2.3.4", "fe80::1", "fe80::1%1", "fe80::1%2", "ff02::1"}
    for i, a in ipairs(sorted) do
        for k, b in ipairs(sorted) do
            local x, y = address.new(a), address.new(b)
            lu.assertEquals(x < y, i < k)
            lu.assertEquals(x <= y, i <= k)
            lu.assertEquals(x > y, i > k)
            lu.assertEquals(x == y, i == k)
        end
    end
    h.raises("EINVAL", function() return address.new() < 1 end)
    h.raises("EINVAL", function() return "127.0.0.1" <= address.new() end)
end

-- Properties: the addresses for which each is true, out of all of them.
local all = {"0.0.0.0", "127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "172.32.0.1", "192.168.1.1", "169.254.1.1", "8.8.8.8", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "100.64.0.1", "192.0.2.1",
    "::", "::1", "::2", "::ffff:10.0.0.1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1",
    "2001:db8::1", "2606:4700::1111", "ff01::1", "ff02::1", "ff05::1", "ff08::1", "ff0e::1"}

local function true_for(property, texts, is_v6_only)
    local wanted = {}
    for _, text in ipairs(texts) do
        wanted[text] = true
    end
    for _, text in ipairs(all) do
        local addr = address.new(text)
        if is_v6_only and addr.is_v4 then
            h.raises("EINVAL", function() return addr[property] end)
        else
            lu.assertEquals(addr[property], wanted[text] or false, property .. " of " .. text)
        end
    end
end

t["test properties of every address"] = function()
    local v4, v6 = {}, {}
    for _, text in ipairs(all) do
        local list = text:find(":") and v6 or v4
        list[#list + 1] = text
    end
    true_for("is_v4", v4)
    true_for("is_v6", v6)
    true_for("is_loopback", {"127.0.0.1", "127.255.0.1", "::1"})
    true_for("is_unspecified", {"0.0.0.0", "::"})
    true_for("is_multicast", {"224.0.0.1", "239.255.255.255", "ff01::1", "ff02::1", "ff05::1",
        "ff08::1", "ff0e::1"})
    true_for("is_private", {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "::ffff:10.0.0.1", "fc00::1", "fdff::1"})
end

t["test properties only v6 addresses have raise on v4"] = function()
    true_for("is_link_local", {"fe80::1", "febf::1"}, true)
    true_for("is_site_local", {"fec0::1"}, true)
    true_for("is_v4_mapped", {"::ffff:10.0.0.1"}, true)
    true_for("is_multicast_node_local", {"ff01::1"}, true)
    true_for("is_multicast_link_local", {"ff02::1"}, true)
    true_for("is_multicast_site_local", {"ff05::1"}, true)
    true_for("is_multicast_org_local", {"ff08::1"}, true)
    true_for("is_multicast_global", {"ff0e::1"}, true)
    h.raises("EINVAL", function() return address.new("1.2.3.4").scope_id end)
end

t["test is_global follows the registries"] = function()
    for text, is_global in pairs {["8.8.8.8"] = true, ["2606:4700::1111"] = true,
        ["127.0.0.1"] = false, ["10.0.0.1"] = false, ["192.0.2.1"] = false, ["::1"] = false,
        ["fe80::1"] = false, ["2001:db8::1"] = false, ["100.64.0.1"] = false,
        ["255.255.255.255"] = false} do
        lu.assertEquals(address.new(text).is_global, is_global, text)
    end
end

t["test methods refuse a self that is no address"] = function()
    local addr = address.new()
    for _, bad in ipairs {"127.0.0.1", 1, true, {}, thrum.byte_span.new(1)} do
        h.raises_arg(1, addr.to_v6, bad)
        h.raises_arg(1, addr.to_bytes, bad)
    end
    h.raises_arg(1, addr.to_v6)
end
