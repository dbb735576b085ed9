-- SPDX-License-Identifier: BSL-1.0
-- ip.tcp.socket and ip.tcp.acceptor: options.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip, byte_span = thrum.ip, thrum.byte_span
local loopback = ip.address.loopback_v4()

local function opened(class, family)
    local sock = ip.tcp[class].new()
    sock:open(family or "v4")
    return sock
end

local booleans = {"debug", "do_not_route", "reuse_address", "reuse_port", "tcp_no_delay",
    "keep_alive"}
local integers = {"send_buffer_size", "receive_buffer_size", "unicast_hops", "type_of_service",
    "tcp_keep_idle", "tcp_keep_interval", "tcp_keep_count"}

-- Where the kernel may refuse an ordinary user, EPERM or EACCES is an answer.
local rows = {
    {"debug", {true, false}, privileged = true},
    {"do_not_route", {true, false}},
    {"reuse_address", {true, false}},
    {"reuse_port", {true, false}},
    {"tcp_no_delay", {true, false}},
    {"keep_alive", {true, false}},
    {"unicast_hops", {1, 33, 255}},
    {"v6_only", {true, false}, family = "v6"},
    {"type_of_service", {0x10, 0xb8, 0}},
    {"mark", {0, 7, 2 ^ 31, 2 ^ 32 - 1}, privileged = true},
    {"mtu_discover", {"want", "do", "dont", "probe"}},
    {"linger", {{true, 5}, {true, 0}, {false, 0}, {true, 65536}, {true, 2147483647}}},
    {"tcp_keep_idle", {1, 60, 32767}},
    {"tcp_keep_interval", {1, 5, 32767}},
    {"tcp_keep_count", {1, 4, 127}},
    {"tcp_user_timeout", {1.5, 30, 0}},
    {"out_of_band_inline", {true, false}, class = "socket"},
    {"receive_low_watermark", {7, 1}, class = "socket"},
    {"fast_open", {true, false}, class = "socket", optional = true},
    {"fast_open", {0, 16}, class = "acceptor", optional = true},
}

local function is_for(row, class, family)
    return (not row.class or row.class == class) and (not row.family or row.family == family)
end

local function is_refusal(row, err)
    local names = row.privileged and {"EACCES", "EPERM"} or row.optional and
        {"EOPNOTSUPP", "ENOPROTOOPT"} or {}
    for _, name in ipairs(names) do
        if err == thrum.generic_error[name] then
            return true
        end
    end
    return false
end

local function values_of(sock, class, family)
    local values = {}
    for _, row in ipairs(rows) do
        if is_for(row, class, family) then
            values[row[1]] = sock:get_option(row[1])
        end
    end
    return values
end

-- One option that sets another.
local function walk(class, family)
    for _, row in ipairs(rows) do
        for _, value in ipairs(is_for(row, class, family) and row[2] or {}) do
            local sock = opened(class, family)
            local before = values_of(sock, class, family)
            local ok, err = pcall(sock.set_option, sock, row[1], value)
            if ok then
                lu.assertNil(err)
                before[row[1]] = value
            else
                lu.assertTrue(is_refusal(row, err), row[1] .. ": " .. tostring(err))
            end
            lu.assertEquals(values_of(sock, class, family), before, row[1])
            sock:close()
        end
    end
end

for _, class in ipairs {"socket", "acceptor"} do
    for _, family in ipairs {"v4", "v6"} do
        t[("test every option of the %s is set, read and touches no other: %s"):format(class,
            family)] = function()
            if family == "v6" then
                h.skip_without_v6()
            end
            walk(class, family)
        end
    end

    t["test buffer sizes of the " .. class .. " tell what was granted"] = function()
        for _, name in ipairs {"send_buffer_size", "receive_buffer_size"} do
            local sock = opened(class)
            sock:set_option(name, 8192)
            local granted = sock:get_option(name)
            lu.assertTrue(granted >= 8192)
            sock:set_option(name, 2147483647) -- clamped by the kernel, and told
            lu.assertTrue(sock:get_option(name) > granted)
            sock:close()
        end
    end

    t["test bad values are refused: " .. class] = function()
        local sock = opened(class)
        for _, name in ipairs(booleans) do
            for _, bad in ipairs {0, 1, "true", {}, 1.5} do
                h.raises_arg(3, sock.set_option, sock, name, bad)
            end
        end
        for _, name in ipairs(integers) do
            for _, bad in ipairs {-1, 1.5, 2 ^ 31, 2 ^ 63, 0 / 0, "1", true, {}} do
                h.raises_arg(3, sock.set_option, sock, name, bad)
            end
        end
        for _, bad in ipairs {-1, 1.5, 2 ^ 32, 2 ^ 63, 0 / 0, "1", true, {}} do
            h.raises_arg(3, sock.set_option, sock, "mark", bad)
        end
        for name, bad in pairs {tcp_keep_idle = 0, tcp_keep_interval = 32768, tcp_keep_count = 128,
            unicast_hops = 256} do
            h.raises_arg(3, sock.set_option, sock, name, bad)
        end
        for _, bad in ipairs {-1, -0.001, 2147484, 2 ^ 53, 0 / 0, math.huge, "1", true, {}} do
            h.raises_arg(3, sock.set_option, sock, "tcp_user_timeout", bad)
        end
        local trap = setmetatable({}, {__index = function() error("trap") end})
        for _, bad in ipairs {true, 5, "on", {}, {true}, {5}, {true, -1}, {true, 2 ^ 31},
            {true, 1.5}, {true, "5"}, {"true", 5}, {1, 5}, trap} do
            h.raises_arg(3, sock.set_option, sock, "linger", bad)
        end
        for _, name in ipairs {"broadcast", "multicast_hops", "join_multicast_group", "linger\0"} do
            h.raises("ENOPROTOOPT", sock.get_option, sock, name)
            h.raises("ENOPROTOOPT", sock.set_option, sock, name, true)
        end
        sock:close()
    end
end

t["test options of the other class, or of neither direction, are unknown"] = function()
    local sock, acceptor = opened("socket"), opened("acceptor")
    for _, name in ipairs {"out_of_band_inline", "send_low_watermark", "receive_low_watermark"} do
        h.raises("ENOPROTOOPT", acceptor.get_option, acceptor, name)
    end
    h.raises("ENOPROTOOPT", sock.get_option, sock, "defer_accept")
    h.raises("ENOPROTOOPT", sock.set_option, sock, "error", 0)
    h.raises("ENOPROTOOPT", sock.get_option, sock, "v6_only")
    lu.assertTrue(sock:get_option("send_low_watermark") >= 1)
    sock:close()
    acceptor:close()
end

t["test error is nil, or what connect left"] = function()
    local sock = opened("socket")
    lu.assertNil(sock:get_option("error"))
    sock:close()
end

t["test tcp_user_timeout is kept in thousandths and never rounded to none"] = function()
    local sock = opened("socket")
    sock:set_option("tcp_user_timeout", 0.0001)
    lu.assertEquals(sock:get_option("tcp_user_timeout"), 0.001)
    sock:close()
end

t["test defer_accept: a connection is accepted when its client has said something"] = function()
    local acceptor, client = opened("acceptor"), ip.tcp.socket.new()
    acceptor:set_option("defer_accept", 5)
    lu.assertTrue(acceptor:get_option("defer_accept") >= 5)
    acceptor:bind(loopback, 0)
    acceptor:listen()
    client:connect(loopback, acceptor.local_port)
    acceptor.timeout = 0.01
    h.raises("ETIMEDOUT", acceptor.accept, acceptor)
    acceptor.timeout = 10
    client:write_some("hello")
    local server = acceptor:accept()
    lu.assertEquals(server:read_some(byte_span.new(8)), 5)
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end

t["test fast_open at both ends: bytes and answers go through, twice"] = function()
    local acceptor = opened("acceptor")
    local ok, err = pcall(acceptor.set_option, acceptor, "fast_open", 16)
    lu.skipIf(not ok, tostring(err))
    acceptor:bind(loopback, 0)
    acceptor:listen()
    for _ = 1, 2 do -- the second with a cookie, where the system allows it
        local client = opened("socket")
        ok, err = pcall(client.set_option, client, "fast_open", true)
        lu.skipIf(not ok, tostring(err))
        client:connect(loopback, acceptor.local_port)
        lu.assertEquals(client:write_some("early"), 5)
        local server = acceptor:accept()
        lu.assertEquals(server:read_some(byte_span.new(8)), 5)
        server:write_some("back")
        lu.assertEquals(client:read_some(byte_span.new(8)), 4)
        client:close()
        server:close()
    end
    acceptor:close()
end

t["test what the acceptor has set its sockets have"] = function()
    local acceptor, client = opened("acceptor"), ip.tcp.socket.new()
    acceptor:set_option("tcp_no_delay", true)
    acceptor:set_option("keep_alive", true)
    acceptor:bind(loopback, 0)
    acceptor:listen()
    client:connect(loopback, acceptor.local_port)
    local server = acceptor:accept()
    lu.assertTrue(server:get_option("tcp_no_delay"))
    lu.assertTrue(server:get_option("keep_alive"))
    lu.assertFalse(client:get_option("keep_alive"))
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end

t["test receive_low_watermark: one that waits is woken by so many bytes"] = function()
    local acceptor, client = opened("acceptor"), ip.tcp.socket.new()
    acceptor:bind(loopback, 0)
    acceptor:listen()
    client:connect(loopback, acceptor.local_port)
    local server = acceptor:accept()
    server:set_option("receive_low_watermark", 5)
    local reader = h.try(server.read_some, server, byte_span.new(16))
    client:write_some("ab")
    h.wait_until(function() return server:io_control("bytes_readable") == 2 end)
    h.let_others_run(10)
    lu.assertTrue(reader.joinable)
    client:write_some("cde")
    local ok, n = reader:join()
    lu.assertTrue(ok)
    lu.assertEquals(n, 5)
    for _, each in ipairs {acceptor, client, server} do
        each:close()
    end
end
