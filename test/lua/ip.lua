-- SPDX-License-Identifier: BSL-1.0
-- ip: host_name, tostring, toendpoint.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip = thrum.ip
local address = ip.address

t["test host_name is the system's"] = function()
    local name = ip.host_name()
    lu.assertEquals(type(name), "string")
    lu.assertTrue(#name > 0)
    local file = io.open("/proc/sys/kernel/hostname")
    if file then
        lu.assertEquals(name, file:read("l"))
        file:close()
    end
end

t["test tostring with and without a port, brackets round v6"] = function()
    for _, case in ipairs {
        {"127.0.0.1", 80, "127.0.0.1:80"}, {"0.0.0.0", 0, "0.0.0.0:0"},
        {"255.255.255.255", 65535, "255.255.255.255:65535"}, {"::1", 443, "[::1]:443"},
        {"::", 0, "[::]:0"}, {"fe80::1%lo", 5353, "[fe80::1%lo]:5353"},
        {"::ffff:127.0.0.1", 1, "[::ffff:127.0.0.1]:1"},
    } do
        local addr = address.new(case[1])
        lu.assertEquals(ip.tostring(addr, case[2]), case[3])
        lu.assertEquals(ip.tostring(addr), case[1])
        lu.assertEquals(ip.tostring(addr, nil), case[1])
    end
end

t["test tostring refuses other values and ports out of range"] = function()
    for _, bad in ipairs {"127.0.0.1", 1, true, {}} do
        h.raises_arg(1, ip.tostring, bad, 80)
    end
    h.raises_arg(1, ip.tostring)
    for _, bad in ipairs {-1, 65536, 70000, 1.5, 2 ^ 40, 0 / 0, "80", true, {}} do
        h.raises_arg(2, ip.tostring, address.new(), bad)
    end
end

t["test toendpoint takes what tostring gives"] = function()
    for _, text in ipairs {"127.0.0.1:80", "0.0.0.0:0", "[::1]:443", "[fe80::1%lo]:5353",
        "[::]:65535", "[::ffff:127.0.0.1]:1"} do
        local addr, port = ip.toendpoint(text)
        lu.assertEquals(math.type(port), "integer")
        lu.assertEquals(ip.tostring(addr, port), text)
        lu.assertTrue(addr == address.new(tostring(addr)))
    end
end

t["test toendpoint refuses what is no endpoint"] = function()
    for _, bad in ipairs {"", ":", "127.0.0.1", "127.0.0.1:", ":80", "::1:80", "[::1]", "[::1]:",
        "[::1]80", "[::1", "::1]:80", "[127.0.0.1]:80", "127.0.0.1:65536", "127.0.0.1:70000",
        "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:1\0",
        "127.0.0.1:0x50", "127.0.0.1:99999999999999999999", "localhost:80", "1.2.3.4:5:6",
        ("1"):rep(100000)} do
        h.raises_arg(1, ip.toendpoint, bad)
    end
    h.assert_contains(tostring(h.raises_arg(1, ip.toendpoint, "nonsense")), "nonsense")
    for _, bad in ipairs {1, true, {}, address.new()} do
        h.raises_arg(1, ip.toendpoint, bad)
    end
    h.raises_arg(1, ip.toendpoint)
end
