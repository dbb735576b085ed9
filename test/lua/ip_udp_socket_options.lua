-- SPDX-License-Identifier: BSL-1.0
-- ip.udp.socket: set_option, get_option, io_control. E: a row of the Emilua checklist.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span = thrum.ip, thrum.byte_span
local loopback = ip.address.loopback_v4()

local function opened(family)
    local sock = ip.udp.socket.new()
    sock:open(family or "v4")
    return sock
end

-- Every row that can be set and read: the values to go through. Where the kernel may refuse an
-- ordinary user, EPERM or EACCES is an answer.
local rows = {
    {"debug", {true, false}, privileged = true},
    {"broadcast", {true, false}},
    {"do_not_route", {true, false}},
    {"reuse_address", {true, false}},
    {"reuse_port", {true, false}},
    {"multicast_loop", {false, true}},
    {"multicast_hops", {0, 1, 7, 255}},
    {"unicast_hops", {1, 33, 255}},
    {"v6_only", {true, false}, only = "v6"},
    {"type_of_service", {0x10, 0xb8, 0}},
    {"mark", {0, 7, 2 ^ 31, 2 ^ 32 - 1}, privileged = true},
    {"multicast_all", {false, true}},
    {"mtu_discover", {"want", "do", "dont", "probe"}},
}

local function families(row)
    if row.only then
        return h.has_v6 and {row.only} or {}
    end
    return h.has_v6 and {"v4", "v6"} or {"v4"}
end

-- One option that sets another.
t["test every option is set, read and touches no other"] =
function()
    for _, row in ipairs(rows) do
        for _, family in ipairs(families(row)) do
            for _, value in ipairs(row[2]) do
                local sock = opened(family)
                local before = {}
                for _, other in ipairs(rows) do
                    if not other.only or other.only == family then
                        before[other[1]] = sock:get_option(other[1])
                    end
                end
                local ok, err = pcall(sock.set_option, sock, row[1], value)
                if ok then
                    lu.assertNil(err)
                    lu.assertEquals(sock:get_option(row[1]), value, row[1] .. " " .. family)
                else
                    lu.assertTrue(row.privileged and (err == thrum.generic_error.EACCES or
                        err == thrum.generic_error.EPERM), row[1] .. ": " .. tostring(err))
                end
                for name, was in pairs(before) do
                    if name ~= row[1] then
                        lu.assertEquals(sock:get_option(name), was, row[1] .. " touched " .. name)
                    end
                end
                sock:close()
            end
        end
    end
end

t["test set_option returns nothing"] = function()
    local sock = opened()
    lu.assertEquals(select("#", sock:set_option("broadcast", true)), 0)
    sock:close()
end

t["test buffer sizes tell what was granted"] = function()
    for _, name in ipairs {"send_buffer_size", "receive_buffer_size"} do
        local sock = opened()
        sock:set_option(name, 8192)
        local granted = sock:get_option(name)
        lu.assertTrue(granted >= 8192)
        sock:set_option(name, 2147483647) -- clamped by the kernel, and told
        lu.assertTrue(sock:get_option(name) > granted)
        sock:set_option(name, 0)
        lu.assertTrue(sock:get_option(name) > 0)
        sock:close()
    end
end

t["test booleans take booleans, integers take integers in range"] = function()
    local sock = opened()
    for _, name in ipairs {"debug", "broadcast", "do_not_route", "reuse_address", "reuse_port",
        "multicast_loop", "multicast_all"} do
        for _, bad in ipairs {0, 1, "true", {}, 1.5} do
            h.raises_arg(3, sock.set_option, sock, name, bad)
        end
        h.raises_arg(3, sock.set_option, sock, name)
    end
    for _, name in ipairs {"send_buffer_size", "receive_buffer_size", "multicast_hops",
        "unicast_hops", "type_of_service"} do
        for _, bad in ipairs {-1, 1.5, 2 ^ 31, 2 ^ 40, 2 ^ 63, 0 / 0, "1", true, {}} do
            h.raises_arg(3, sock.set_option, sock, name, bad)
        end
    end
    for _, bad in ipairs {-1, 1.5, 2 ^ 32, 2 ^ 40, 2 ^ 63, 0 / 0, "1", true, {}} do
        h.raises_arg(3, sock.set_option, sock, "mark", bad)
    end
    for _, name in ipairs {"multicast_hops", "unicast_hops", "type_of_service"} do
        h.raises_arg(3, sock.set_option, sock, name, 256)
    end
    h.raises("EINVAL", sock.set_option, sock, "unicast_hops", 0)
    for _, bad in ipairs {"", "wants", "want\0", 1, true} do
        h.raises_arg(3, sock.set_option, sock, "mtu_discover", bad)
    end
    sock:close()
end

t["test an unknown option is ENOPROTOOPT with its name"] = function()
    local sock = opened()
    for _, name in ipairs {"no_such_option", "", "broadcast\0", "Broadcast"} do
        for _, f in ipairs {sock.set_option, sock.get_option} do
            h.raises("ENOPROTOOPT", f, sock, name, true)
        end
    end
    local err = h.raises("ENOPROTOOPT", sock.get_option, sock, "no_such_option")
    h.assert_contains(tostring(err), "no_such_option")
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(2, sock.set_option, sock, bad, true)
        h.raises_arg(2, sock.get_option, sock, bad)
    end
    sock:close()
end

t["test options without a getter or a setter say so"] = function()
    local sock = opened()
    for _, name in ipairs {"join_multicast_group", "leave_multicast_group", "join_source_group",
        "leave_source_group", "multicast_interface"} do
        local err = h.raises("ENOPROTOOPT", sock.get_option, sock, name)
        h.assert_contains(tostring(err), name)
    end
    h.raises("ENOPROTOOPT", sock.set_option, sock, "error", 0)
    sock:close()
end

t["test v6_only is not for a v4 socket"] = function()
    local sock = opened()
    h.raises("ENOPROTOOPT", sock.set_option, sock, "v6_only", true)
    h.raises("ENOPROTOOPT", sock.get_option, sock, "v6_only")
    sock:close()
end

t["test options of a stream socket are unknown here"] = function()
    local sock = opened()
    for _, name in ipairs {"tcp_no_delay", "keep_alive", "linger"} do
        h.raises("ENOPROTOOPT", sock.get_option, sock, name)
    end
    sock:close()
end

t["test reuse_address and reuse_port are off by default and separate"] = function()
    local sock = opened()
    lu.assertFalse(sock:get_option("reuse_address"))
    lu.assertFalse(sock:get_option("reuse_port"))
    sock:set_option("reuse_address", true)
    lu.assertFalse(sock:get_option("reuse_port"))
    sock:close()
end

t["test reuse_port lets two sockets share a port, and only then"] = function()
    local first, second = opened(), opened()
    first:set_option("reuse_port", true)
    first:bind(loopback, 0)
    h.raises("EADDRINUSE", second.bind, second, loopback, first.local_port)
    second:set_option("reuse_port", true)
    second:bind(loopback, first.local_port)
    first:close()
    second:close()
end

t["test broadcast is refused until it is allowed"] = function()
    local sock = opened()
    local address = ip.address.new("127.255.255.255")
    h.raises("EACCES", sock.send_to, sock, "x", address, 9)
    sock:set_option("broadcast", true)
    lu.assertEquals(sock:send_to("x", address, 9), 1)
    sock:close()
end

t["test error is nil, or the pending error once"] = function()
    local sock = h.bound()
    lu.assertNil(sock:get_option("error"))
    local gone = h.bound()
    local port = gone.local_port
    gone:close()
    sock:connect(loopback, port)
    sock:send("into the void")
    local err = sock:get_option("error")
    lu.assertTrue(err == thrum.generic_error.ECONNREFUSED)
    lu.assertNil(sock:get_option("error"))
    sock:close()
end

t["test bind_to_device takes a name and gives it back"] = function()
    local sock = opened()
    lu.assertEquals(sock:get_option("bind_to_device"), "")
    local ok, err = pcall(sock.set_option, sock, "bind_to_device", "lo")
    if ok then
        lu.assertEquals(sock:get_option("bind_to_device"), "lo")
        sock:set_option("bind_to_device", "")
        lu.assertEquals(sock:get_option("bind_to_device"), "")
    else
        lu.assertTrue(err == thrum.generic_error.EPERM)
    end
    h.raises("ENODEV", sock.set_option, sock, "bind_to_device", "no-such-if")
    for _, bad in ipairs {("x"):rep(16), "lo\0", 1, true, {}} do
        h.raises_arg(3, sock.set_option, sock, "bind_to_device", bad)
    end
    sock:close()
end

-- multicast

local group = ip.address.new("239.255.77.7")

local function has_multicast()
    local sock = opened()
    local ok = pcall(sock.set_option, sock, "join_multicast_group", group, loopback)
    sock:close()
    return ok
end

-- Everything goes over loopback's interface, and back by the loop option.
local function exchange(join)
    local receiver = opened()
    receiver:bind(ip.address.any_v4(), 0)
    local sender = opened()
    sender:bind(loopback, 0)
    sender:set_option("multicast_interface", loopback)
    sender:set_option("multicast_loop", true)
    join(receiver, "join_multicast_group")
    sender:send_to("to the group", group, receiver.local_port)
    receiver.timeout = 5
    lu.assertEquals(h.receive(receiver), "to the group")
    join(receiver, "leave_multicast_group")
    sender:send_to("after leaving", group, receiver.local_port)
    receiver.timeout = 0.005
    receiver:set_option("multicast_all", false)
    h.raises("ETIMEDOUT", h.receive, receiver)
    receiver:close()
    sender:close()
end

t["test a group is joined and left by interface address, name and index"] = function()
    lu.skipIf(not has_multicast(), "no multicast on loopback here")
    for _, interface in ipairs {loopback, "lo", 1} do
        exchange(function(sock, option) sock:set_option(option, group, interface) end)
    end
end

t["test multicast_interface takes an address, a name and an index"] = function()
    local sock = opened()
    for _, interface in ipairs {loopback, "lo", 1, ip.address.any_v4(), 0} do
        sock:set_option("multicast_interface", interface)
    end
    h.raises("ENODEV", sock.set_option, sock, "multicast_interface", "no-such-if")
    h.raises("EADDRNOTAVAIL", sock.set_option, sock, "multicast_interface",
        ip.address.new("192.0.2.77"))
    h.raises("EAFNOSUPPORT", sock.set_option, sock, "multicast_interface",
        ip.address.loopback_v6())
    for _, bad in ipairs {-1, 1.5, 2 ^ 40, true, {}} do
        h.raises_arg(3, sock.set_option, sock, "multicast_interface", bad)
    end
    sock:close()
    h.skip_without_v6()
    sock:open("v6")
    for _, interface in ipairs {"lo", 1, 0} do
        sock:set_option("multicast_interface", interface)
    end
    h.raises("EADDRNOTAVAIL", sock.set_option, sock, "multicast_interface",
        ip.address.new("2001:db8::77"))
    h.raises("EAFNOSUPPORT", sock.set_option, sock, "multicast_interface", loopback)
    sock:close()
end

t["test joining refuses what is no group, other families and unknown interfaces"] = function()
    local sock = opened()
    for _, option in ipairs {"join_multicast_group", "leave_multicast_group"} do
        h.raises_arg(3, sock.set_option, sock, option, loopback)
        h.raises("EAFNOSUPPORT", sock.set_option, sock, option, ip.address.new("ff02::1"))
        for _, bad in ipairs {"239.1.1.1", 1, true, {}} do
            h.raises_arg(3, sock.set_option, sock, option, bad)
        end
        h.raises_arg(3, sock.set_option, sock, option)
        h.raises("ENODEV", sock.set_option, sock, option, group, "no-such-if")
        for _, bad in ipairs {true, {}, 1.5, -1} do
            h.raises_arg(4, sock.set_option, sock, option, group, bad)
        end
    end
    h.raises("EADDRNOTAVAIL", sock.set_option, sock, "leave_multicast_group", group, loopback)
    sock:close()
end

t["test a source of a group is joined by interface address, name and index"] = function()
    local ssm, source = ip.address.new("232.1.2.3"), ip.address.new("192.0.2.1")
    for _, interface in ipairs {loopback, "lo", 1} do
        local sock = opened()
        local ok = pcall(sock.set_option, sock, "join_source_group", ssm, source, interface)
        lu.skipIf(not ok, "no multicast on loopback here")
        h.raises("EADDRNOTAVAIL", sock.set_option, sock, "join_source_group", ssm, source,
            interface)
        sock:set_option("leave_source_group", ssm, source, interface)
        h.raises("EINVAL", sock.set_option, sock, "leave_source_group", ssm, source, interface)
        sock:close()
    end
end

t["test only the joined source of a group is heard"] = function()
    local ssm = ip.address.new("232.1.2.4")
    local receiver, sender = opened(), opened()
    receiver:set_option("multicast_all", false)
    receiver:bind(ip.address.any_v4(), 0)
    sender:bind(loopback, 0)
    sender:set_option("multicast_interface", loopback)
    local ok = pcall(receiver.set_option, receiver, "join_source_group", ssm,
        ip.address.new("127.0.0.2"), "lo")
    lu.skipIf(not ok, "no multicast on loopback here")
    local other = opened()
    other:bind("127.0.0.2", 0)
    other:set_option("multicast_interface", loopback)
    sender:send_to("from one who is not", ssm, receiver.local_port)
    other:send_to("from the source", ssm, receiver.local_port)
    receiver.timeout = 5
    lu.assertEquals(h.receive(receiver), "from the source")
    for _, sock in ipairs {receiver, sender, other} do
        sock:close()
    end
end

t["test a source is refused that is of another family, missing or no address"] = function()
    local sock = opened()
    for _, option in ipairs {"join_source_group", "leave_source_group"} do
        h.raises_arg(3, sock.set_option, sock, option, loopback, loopback)
        h.raises("EAFNOSUPPORT", sock.set_option, sock, option, group, ip.address.loopback_v6())
        for _, bad in ipairs {"127.0.0.1", 1, true, {}} do
            h.raises_arg(4, sock.set_option, sock, option, group, bad)
            h.raises_arg(3, sock.set_option, sock, option, bad, loopback)
        end
        h.raises_arg(4, sock.set_option, sock, option, group)
        h.raises("ENODEV", sock.set_option, sock, option, group, loopback, "no-such-if")
        for _, bad in ipairs {true, {}, 1.5, -1} do
            h.raises_arg(5, sock.set_option, sock, option, group, loopback, bad)
        end
    end
    sock:close()
end

t["test a v6 group takes its interface from the scope id, by name and by number"] = function()
    h.skip_without_v6()
    local sock = opened("v6")
    local link_local = ip.address.new("ff02::7777")
    local joined = pcall(sock.set_option, sock, "join_multicast_group",
        link_local:with_scope_id("lo"))
    lu.skipIf(not joined, "no IPv6 multicast on loopback here")
    sock:set_option("leave_multicast_group", link_local:with_scope_id(1))
    sock:set_option("join_multicast_group", link_local, "lo")
    sock:set_option("leave_multicast_group", link_local, 1)
    sock:close()
end

-- io_control

t["test bytes_readable tells the next datagram's size"] = function()
    local sock = h.bound()
    lu.assertEquals(sock:io_control("bytes_readable"), 0)
    h.send_to(sock, sock, ("x"):rep(1000))
    h.send_to(sock, sock, "yy")
    lu.assertEquals(sock:io_control("bytes_readable"), 1000)
    h.receive(sock)
    lu.assertEquals(sock:io_control("bytes_readable"), 2)
    sock:close()
end

t["test an unknown command is refused with its name"] = function()
    local sock = h.bound()
    for _, command in ipairs {"", "no_such_command", "bytes_readable\0"} do
        h.raises("ENOTSUP", sock.io_control, sock, command)
    end
    h.assert_contains(tostring(select(2, pcall(sock.io_control, sock, "no_such_command"))),
        "no_such_command")
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(2, sock.io_control, sock, bad)
    end
    sock:close()
end

t["test an empty span with peek waits, then bytes_readable sizes the buffer"] = function()
    local sock = h.bound()
    local reader = h.start(function()
        sock:receive(byte_span.new(0), ip.message_flag.peek)
        local buf = byte_span.new(sock:io_control("bytes_readable"))
        local n = sock:receive(buf)
        return n, #buf, tostring(buf)
    end)
    local payload = ("large "):rep(1000)
    h.send_to(sock, sock, payload)
    local n, size, text = reader:join()
    lu.assertEquals(n, #payload)
    lu.assertEquals(size, #payload)
    lu.assertEquals(text, payload)
    sock:close()
end
