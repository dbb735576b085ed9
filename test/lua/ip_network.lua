-- SPDX-License-Identifier: BSL-1.0
-- ip.network.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local address, network = thrum.ip.address, thrum.ip.network

t["test a network has an address, a prefix length, a netmask and a broadcast"] = function()
    for text, parts in pairs {
        ["10.0.0.0/8"] = {"10.0.0.0", 8, "255.0.0.0", "10.255.255.255"},
        ["192.0.2.128/25"] = {"192.0.2.128", 25, "255.255.255.128", "192.0.2.255"},
        ["0.0.0.0/0"] = {"0.0.0.0", 0, "0.0.0.0", "255.255.255.255"},
        ["192.0.2.1/32"] = {"192.0.2.1", 32, "255.255.255.255", "192.0.2.1"},
    } do
        local net = network.new(text)
        lu.assertTrue(net.address == address.new(parts[1]))
        lu.assertEquals(net.prefix_length, parts[2])
        lu.assertEquals(tostring(net.netmask), parts[3])
        lu.assertEquals(tostring(net.broadcast), parts[4])
        lu.assertEquals(tostring(net), text)
    end
end

t["test v6 networks have everything but a broadcast"] = function()
    local net = network.new("2001:db8::/33")
    lu.assertEquals(tostring(net), "2001:db8::/33")
    lu.assertEquals(net.prefix_length, 33)
    lu.assertEquals(tostring(net.netmask), "ffff:ffff:8000::")
    h.raises("EINVAL", function() return net.broadcast end)
    lu.assertEquals(network.new("::/0").prefix_length, 0)
    lu.assertEquals(network.new("::1/128").prefix_length, 128)
end

t["test contains, at the edges and across families"] = function()
    for text, cases in pairs {
        ["10.0.0.0/8"] = {["10.0.0.0"] = true, ["10.255.255.255"] = true, ["9.255.255.255"] = false,
            ["11.0.0.0"] = false, ["::ffff:10.0.0.1"] = false, ["::"] = false},
        ["0.0.0.0/0"] = {["255.255.255.255"] = true, ["::"] = false},
        ["192.0.2.1/32"] = {["192.0.2.1"] = true, ["192.0.2.0"] = false},
        ["192.0.2.8/29"] = {["192.0.2.8"] = true, ["192.0.2.15"] = true, ["192.0.2.16"] = false,
            ["192.0.2.7"] = false},
        ["fe80::/10"] = {["fe80::1"] = true, ["febf:ffff::"] = true, ["fec0::"] = false,
            ["fe80::1%1"] = true, ["1.2.3.4"] = false},
        ["::/0"] = {["ff02::1"] = true, ["0.0.0.0"] = false},
    } do
        local net = network.new(text)
        for addr, is_inside in pairs(cases) do
            lu.assertEquals(net:contains(address.new(addr)), is_inside, text .. " " .. addr)
        end
    end
end

t["test contains takes an address and nothing else"] = function()
    local net = network.new("10.0.0.0/8")
    for _, bad in ipairs {"10.0.0.1", 1, true, {}, net} do
        h.raises_arg(2, net.contains, net, bad)
    end
    h.raises_arg(2, net.contains, net)
end

t["test == compares address and prefix length"] = function()
    lu.assertTrue(network.new("10.0.0.0/8") == network.new("10.0.0.0/8"))
    lu.assertFalse(network.new("10.0.0.0/8") == network.new("10.0.0.0/9"))
    lu.assertFalse(network.new("10.0.0.0/8") == network.new("11.0.0.0/8"))
    lu.assertFalse(network.new("0.0.0.0/0") == network.new("::/0"))
    lu.assertFalse(network.new("0.0.0.0/0") == address.new())
end

t["test a bad text is EINVAL with the text"] = function()
    for _, bad in ipairs {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8\0", "10.0.0.0/ 8", "10.0.0.0/8/8", "/8", "::/129",
        "fe80::1%lo/64", "fe80::1/64%lo", "10.0.0.0/255.0.0.0", "10/8",
        "10.0.0.0/4294967304", "10.0.0.0/99999999999999999999"} do
        h.raises_arg(1, network.new, bad)
    end
    h.assert_contains(tostring(h.raises_arg(1, network.new, "nonsense")), "nonsense")
    for _, bad in ipairs {1, true, {}, address.new()} do
        h.raises_arg(1, network.new, bad)
    end
    h.raises_arg(1, network.new)
end

t["test networks are immutable and unknown fields raise"] = function()
    local net = network.new("10.0.0.0/8")
    h.raises("EINVAL", function() net.prefix_length = 9 end)
    h.raises("EINVAL", function() net.x = 9 end)
    h.raises("EINVAL", function() return net.nope end)
    lu.assertFalse(getmetatable(net))
end
