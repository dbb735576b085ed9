-- SPDX-License-Identifier: BSL-1.0
-- ip.udp and ip.tcp: lookups, with numbers and with the one name that every system has. What a name
-- server is needed for stands in test/peer/test_resolver.py.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time, ip, fiber =
    thrum.spawn, thrum.this_fiber, thrum.time, thrum.ip, thrum.fiber
local udp, tcp, flag = ip.udp, ip.tcp, ip.address_info_flag
local ETIMEDOUT = thrum.generic_error.ETIMEDOUT
local forward = {"get_address_info", "get_address_v4_info", "get_address_v6_info"}
local flag_names = {
    "address_configured", "all_matching", "canonical_name", "numeric_host", "numeric_service",
    "passive", "v4_mapped",
}

-- "127.0.0.1 80" and so on.
local function texts(results)
    local list = {}
    for i, entry in ipairs(results) do
        list[i] = ("%s %d"):format(entry.address, entry.port)
    end
    return table.concat(list, ", ")
end

local function skip_without_localhost()
    local ok, results = pcall(udp.get_address_v4_info, "localhost", 0)
    lu.skipIf(not ok or tostring(results[1].address) ~= "127.0.0.1", "no localhost here")
end

local function count_threads()
    for line in io.lines("/proc/self/status") do
        local count = line:match("^Threads:%s*(%d+)")
        if count then
            return tonumber(count)
        end
    end
end

-- The threads of lookups before this one are on their way out.
local function settled_threads()
    local last, n_same = nil, 0
    repeat
        local now = count_threads()
        n_same = now == last and n_same + 1 or 0
        last = now
        time.sleep(0.001)
    until n_same == 20
    return last
end

-- numbers

t["test numeric hosts and services are answered, whatever their types"] = function()
    local hosts = {
        {"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"2001:DB8:0::1", "2001:db8::1"},
        {ip.address.loopback_v4(), "127.0.0.1"}, {ip.address.any_v6(), "::"},
        {ip.address.new("192.0.2.1"), "192.0.2.1"},
    }
    for _, protocol in ipairs {udp, tcp} do
        for _, host in ipairs(hosts) do
            for _, service in ipairs {80, "80", 80.0, "080"} do
                local results = protocol.get_address_info(host[1], service)
                lu.assertEquals(texts(results), host[2] .. " 80")
                lu.assertIs(results[1].address, ip.address.new(host[2]))
                lu.assertEquals(math.type(results[1].port), "integer")
                lu.assertNil(results[1].canonical_name)
            end
        end
        lu.assertEquals(texts(protocol.get_address_info("127.0.0.1", 0)), "127.0.0.1 0")
        lu.assertEquals(texts(protocol.get_address_info("127.0.0.1", "65535")), "127.0.0.1 65535")
    end
end

t["test what is numeric needs no thread, suspends nobody and is no operation"] = function()
    local n_threads = settled_threads()
    local has_run = false
    local other = spawn(function() has_run = true end)
    for _ = 1, 30 do
        udp.get_address_info("127.0.0.1", 80)
        tcp.get_address_v6_info(ip.address.loopback_v6(), "443")
    end
    lu.assertFalse(has_run)
    lu.assertEquals(count_threads(), n_threads)
    other:join()
    lu.assertTrue(has_run)
end

t["test a numeric lookup lets others run every now and then"] = function()
    local has_run = false
    local other = spawn(function() has_run = true end)
    for _ = 1, 100 do
        udp.get_address_info("127.0.0.1", 80)
    end
    lu.assertTrue(has_run)
    other:join()
end

t["test the families: v4 only, v6 only, and what the other address is"] = function()
    lu.assertEquals(texts(udp.get_address_v4_info("127.0.0.1", 1)), "127.0.0.1 1")
    lu.assertEquals(texts(udp.get_address_v6_info("::1", 1)), "::1 1")
    local text = "Address family for hostname not supported"
    h.raises_text("resolver", text, udp.get_address_v6_info, "127.0.0.1", 1)
    h.raises_text("resolver", text, tcp.get_address_v4_info, ip.address.loopback_v6(), 1)
    lu.assertEquals(texts(udp.get_address_v6_info("127.0.0.1", 1, flag.v4_mapped)),
        "::ffff:127.0.0.1 1")
end

t["test zones are kept"] = function()
    for _, text in ipairs {"fe80::1", "2001:db8::1", "ff02::1"} do
        local address = ip.address.new(text):with_scope_id("lo")
        for _, host in ipairs {address, tostring(address), text .. "%1"} do
            local found = udp.get_address_info(host, 53)[1].address
            lu.assertIs(found, address)
            lu.assertEquals(found.scope_id, address.scope_id)
        end
    end
end

t["test no host is loopback, or with passive the unspecified address"] = function()
    lu.assertEquals(texts(udp.get_address_v4_info(nil, 80)), "127.0.0.1 80")
    lu.assertEquals(texts(udp.get_address_v4_info(nil, 80, flag.passive)), "0.0.0.0 80")
    lu.assertEquals(texts(tcp.get_address_v6_info(nil, 80, flag.passive)), ":: 80")
end

t["test a canonical name is there when it is asked for, in each entry"] = function()
    local results = udp.get_address_info("127.0.0.1", 80, flag.canonical_name)
    lu.assertEquals(results[1].canonical_name, "127.0.0.1")
    skip_without_localhost()
    results = udp.get_address_info("localhost", 80, flag.canonical_name)
    for _, entry in ipairs(results) do
        lu.assertEquals(entry.canonical_name, results[1].canonical_name)
        lu.assertTrue(#entry.canonical_name > 0)
    end
end

-- flags

t["test the flags are distinct bits that combine with |, and there are no others"] = function()
    local all, names = 0, {}
    for name, value in pairs(flag) do
        names[#names + 1] = name
        lu.assertEquals(math.type(value), "integer")
        lu.assertTrue(value > 0 and value & (value - 1) == 0, name)
        lu.assertEquals(all & value, 0)
        all = all | value
    end
    table.sort(names)
    lu.assertEquals(names, flag_names)
    h.assert_contains(tostring(h.raises("EINVAL", function() return flag.no_such end)), "no_such")
    lu.assertEquals(texts(udp.get_address_v4_info("127.0.0.1", 80, all)), "127.0.0.1 80")
end

t["test numeric_host and numeric_service keep names from being looked up"] = function()
    local n_threads = settled_threads()
    local text = "Name or service not known"
    local both = flag.numeric_host | flag.numeric_service
    h.raises_text("resolver", text, udp.get_address_info, "localhost", 80, flag.numeric_host)
    h.raises_text("resolver", text, udp.get_address_info, "localhost", "domain", both)
    h.raises_text("resolver", text, udp.get_address_info, "::zz", 80)
    h.raises_text("resolver", text, udp.get_address_info, "fe80::1%nosuchif", 80)
    lu.assertEquals(count_threads(), n_threads)
end

-- arguments

t["test bad hosts are EINVAL and say what came"] = function()
    for _, name in ipairs(forward) do
        local f = udp[name]
        for _, bad in ipairs {1, true, {}, print, "", "a\0b", "\0", ("x"):rep(1025)} do
            local err = h.raises_arg(1, f, bad, 80)
            h.assert_contains(tostring(err), "ip.udp." .. name .. ": argument 1 (host): ")
        end
        h.raises_arg(2, f)
        h.raises_arg(2, f, "127.0.0.1")
    end
end

t["test bad services are EINVAL and say what came"] = function()
    local bad_services = {
        true, {}, print, "", "8\0", ("x"):rep(32), -1, 65536, 80.5, 2 ^ 53, math.huge, 0 / 0,
        "65536", "70000", "4294967376", "+80", "-1", " 80", "\t80",
    }
    for _, bad in ipairs(bad_services) do
        local err = h.raises_arg(2, tcp.get_address_info, "127.0.0.1", bad)
        h.assert_contains(tostring(err), "ip.tcp.get_address_info: argument 2 (service): ")
        h.raises_arg(2, tcp.get_address_info, "localhost", bad)
    end
end

t["test bad flags are EINVAL"] = function()
    for _, bad in ipairs {-1, 1 << 20, 1 << 40, 0.5, "1", true, {}} do
        h.raises_arg(3, udp.get_address_info, "127.0.0.1", 80, bad)
    end
    lu.assertEquals(texts(udp.get_address_info("127.0.0.1", 80, nil)), "127.0.0.1 80")
    lu.assertEquals(texts(udp.get_address_info("127.0.0.1", 80, 0)), "127.0.0.1 80")
end

t["test get_name_info refuses what is no address or no port"] = function()
    for _, bad in ipairs {1, true, {}, "", "localhost", "127.0.0.1:80", "127.1"} do
        h.raises_arg(1, udp.get_name_info, bad, 80)
    end
    h.raises_arg(1, udp.get_name_info)
    for _, bad in ipairs {-1, 65536, 0.5, "80", true, {}} do
        h.raises_arg(2, udp.get_name_info, "127.0.0.1", bad)
    end
    h.raises_arg(2, udp.get_name_info, "127.0.0.1")
end

-- names

t["test a name is looked up while other fibers run"] = function()
    skip_without_localhost()
    local n_turns, is_over = 0, false
    local other = spawn(function()
        while not is_over do
            n_turns = n_turns + 1
            this_fiber.yield()
        end
    end)
    local results = tcp.get_address_v4_info("localhost", 8080)
    is_over = true
    other:join()
    lu.assertTrue(n_turns > 0)
    h.assert_starts(texts(results), "127.0.0.1 8080")
end

t["test an address has names, and they lead back to it"] = function()
    skip_without_localhost()
    for _, address in ipairs {ip.address.loopback_v4(), "127.0.0.1"} do
        local names = tcp.get_name_info(address, 54321)
        lu.assertEquals(#names, 1)
        lu.assertEquals(names[1].service_name, "54321")
        h.assert_contains(texts(tcp.get_address_v4_info(names[1].host_name, 1)), "127.0.0.1 1")
    end
end

t["test a service has the name that its protocol gives it"] = function()
    local ok, results = pcall(udp.get_address_info, "127.0.0.1", "syslog")
    lu.skipIf(not ok, "no names of services here")
    lu.assertEquals(texts(results), "127.0.0.1 514")
    lu.assertEquals(udp.get_name_info("127.0.0.1", 514)[1].service_name, "syslog")
    lu.assertNotEquals(tcp.get_name_info("127.0.0.1", 514)[1].service_name, "syslog")
end

t["test an unknown service is the resolver's error, which says what was looked up"] = function()
    local err = h.raises_text("resolver", "Servname not supported for ai_socktype",
        udp.get_address_info, "127.0.0.1", "no-such-service")
    lu.assertEquals(err.op, "ip.udp.get_address_info")
    lu.assertEquals(err.detail, "127.0.0.1:no-such-service")
    lu.assertEquals(err.category:message(err.code), "Servname not supported for ai_socktype")
    lu.assertNil(err.arg)
    lu.assertNotEquals(err, thrum.generic_error.EINVAL)
    err = h.raises_text("resolver", "Servname", tcp.get_address_info, "::1", "no-such-service")
    lu.assertEquals(err.detail, "[::1]:no-such-service")
end

t["test many fibers look up at once"] = function()
    skip_without_localhost()
    local fibers = {}
    for i = 1, 200 do
        fibers[i] = spawn(i % 2 == 0 and udp.get_address_v4_info or tcp.get_address_v4_info,
            "localhost", i)
    end
    for i, fib in ipairs(fibers) do
        h.assert_starts(texts(fib:join()), "127.0.0.1 " .. i)
    end
end

t["test a lookup inside a coroutine suspends its fiber"] = function()
    skip_without_localhost()
    local results = thrum.coroutine.wrap(function()
        return tcp.get_address_v4_info("localhost", 1)
    end)()
    h.assert_starts(texts(results), "127.0.0.1 1")
end

t["test a lookup is refused where nobody may suspend, numeric or not"] = function()
    for _, host in ipairs {"127.0.0.1", "localhost"} do
        this_fiber.forbid_suspend()
        local ok, err = pcall(udp.get_address_info, host, 80)
        this_fiber.allow_suspend()
        lu.assertFalse(ok)
        h.assert_contains(tostring(err), "within a forbid-suspend block")
    end
    h.raises_text("fiber", "A fiber cannot be suspended here", string.gsub, "x", "x", function()
        udp.get_address_info("localhost", 80)
    end)
end

-- waits

t["test a lookup that waits is shown by what it looks up"] = function()
    local f, g = udp.get_address_info, tcp.get_address_v4_info
    local waits = {
        [{f, "localhost", 53}] = "ip.udp.get_address_info localhost:53",
        [{g, "localhost", "http"}] = "ip.tcp.get_address_v4_info localhost:http",
        [{f, "::1", "domain"}] = "ip.udp.get_address_info [::1]:domain",
        [{f, nil, "domain"}] = "ip.udp.get_address_info :domain",
        [{tcp.get_name_info, "127.0.0.1", 80}] = "ip.tcp.get_name_info 127.0.0.1:80",
    }
    for call, text in pairs(waits) do
        local fib = spawn(fiber.named("asks", function() pcall(table.unpack(call, 1, 3)) end))
        this_fiber.yield()
        local waits_for
        for _, entry in ipairs(fiber.list()) do
            waits_for = entry.name == "asks" and entry.waits_for or waits_for
        end
        lu.assertEquals(waits_for, text)
        fib:interrupt()
        fib:join()
    end
end

t["test a lookup that waits is one operation and one object"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        local function stats()
            collectgarbage()
            local stats = require "thrum".stats()
            return stats.operations .. " " .. stats.objects
        end
        spawn(function()
            local fib = spawn(pcall, ip.udp.get_address_info, "localhost", 1)
            this_fiber.yield()
            print(stats())
            fib:interrupt()
            fib:join()
            print(stats())
        end)
    ]])
    lu.assertEquals(output, "1 1\n0 0\n")
    lu.assertEquals(status, 0)
end

-- The answer may be there before the interruption; then it is what counts.
t["test an interrupted lookup does not disturb its neighbors"] = function()
    skip_without_localhost()
    local is_interrupted
    for _ = 1, 1000 do
        local one = spawn(udp.get_address_v4_info, "localhost", 1)
        local two = spawn(udp.get_address_v4_info, "localhost", 2)
        this_fiber.yield()
        one:interrupt()
        local results = one:join()
        is_interrupted = one.interruption_caught
        lu.assertTrue(is_interrupted or texts(results) ~= "")
        h.assert_starts(texts(two:join()), "127.0.0.1 2")
        lu.assertFalse(two.interruption_caught)
        if is_interrupted then
            break
        end
    end
    lu.assertTrue(is_interrupted)
end

t["test an interrupted fiber begins no lookup"] = function()
    local fib
    fib = spawn(function()
        fib:interrupt()
        udp.get_address_info("127.0.0.1", 1)
        lu.fail("it went on")
    end)
    fib:join()
    lu.assertTrue(fib.interruption_caught)
end

t["test a lookup that takes too long times out"] = function()
    skip_without_localhost()
    h.raises("ETIMEDOUT", time.with_timeout, 0, udp.get_address_info, "localhost", 1)
    h.assert_starts(texts(time.with_timeout(20, udp.get_address_v4_info, "localhost", 1)),
        "127.0.0.1 1")
end

-- the end

t["test a lookup keeps the program alive"] = function()
    h.skip_without_program()
    skip_without_localhost()
    local output, status = h.run_program("-e", [[
        spawn(function() print(ip.udp.get_address_v4_info("localhost", 7)[1].port) end):detach()
    ]])
    lu.assertEquals(output, "7\n")
    lu.assertEquals(status, 0)
end

t["test a program may end while lookups are under way"] = function()
    h.skip_without_program()
    local output, status = h.run_program("-e", [[
        for i = 1, 50 do spawn(ip.udp.get_address_info, "localhost", i):detach() end
        this_fiber.yield()
        system.exit(3)
    ]])
    lu.assertEquals(output, "")
    lu.assertEquals(status, 3)
    output, status = h.run_program("-e", [[
        for i = 1, 50 do spawn(ip.udp.get_address_info, "localhost", i):detach() end
        this_fiber.yield()
        error("enough", 0)
    ]])
    h.assert_contains(output, "enough")
    lu.assertEquals(status, 1)
end

-- races

-- One lookup whose end is reported exactly once.
local function new_record(number)
    local record = {n_ends = 0}
    record.fiber = spawn(function()
        local ok, results = pcall(udp.get_address_v4_info, "localhost", number)
        record.n_ends = record.n_ends + 1
        if ok then
            record.text = texts(results):match("^127%.0%.0%.1 (%d+)")
        else
            record.err = results
        end
    end)
    return record
end

local rounds = h.is_slow and math.min(h.rounds, 300) or h.rounds // 4 -- a thread each

t["test interrupt against the answer"] = function()
    skip_without_localhost()
    local random = h.new_random(1)
    local n_found, n_interrupted = 0, 0
    for round = 1, rounds do
        local record = new_record(round % 60000)
        for _ = 1, random(20) do
            this_fiber.yield()
        end
        record.fiber:interrupt()
        record.fiber:join()
        lu.assertTrue(record.n_ends <= 1)
        if record.text then
            lu.assertEquals(record.text, tostring(round % 60000))
            n_found = n_found + 1
        else
            lu.assertTrue(record.err == nil or h.is_interruption(record.err), tostring(record.err))
            n_interrupted = n_interrupted + 1
        end
    end
    lu.assertEquals(n_found + n_interrupted, rounds)
    lu.assertTrue(n_interrupted > 0)
end

t["test timeout against the answer"] = function()
    skip_without_localhost()
    local random = h.new_random(2)
    local n_found, n_timeouts = 0, 0
    for round = 1, rounds do
        local port = round % 60000
        local ok, results = pcall(time.with_timeout, random(20) * 0.00001, udp.get_address_v4_info,
            "localhost", port)
        if ok then
            h.assert_starts(texts(results), "127.0.0.1 " .. port)
            n_found = n_found + 1
        else
            lu.assertTrue(results == ETIMEDOUT, tostring(results))
            n_timeouts = n_timeouts + 1
        end
    end
    lu.assertEquals(n_found + n_timeouts, rounds)
    lu.assertTrue(n_timeouts > 0)
end

-- glibc says of the first lookup that the name is not known: it could not open its files.
-- The undefined behavior sanitizer needs a pipe to look at a type, and complains to stderr.
t["test the first lookup without a descriptor left raises EMFILE, the next one is answered"] =
function()
    h.skip_without_program()
    skip_without_localhost()
    local command = "ulimit -n 24; exec " .. h.quote(h.program) .. " -e "
    local output, status = h.shell(command .. h.quote [[
        local filler, held = ip.udp.socket.new(), {}
        filler:open("v4")
        local fd = filler:release()
        while true do
            local ok, copy = pcall(fd.dup, fd)
            if not ok then break end
            held[#held + 1] = copy
        end
        for _, call in ipairs {ip.udp.get_address_info, ip.tcp.get_address_v4_info} do
            local ok, err = pcall(call, "localhost", 80)
            assert(not ok and err == generic_error.EMFILE, tostring(err))
        end
        local ok, err = pcall(ip.udp.get_name_info, "127.0.0.1", 80)
        assert(not ok and err == generic_error.EMFILE, tostring(err))
        assert(ip.udp.get_address_info("127.0.0.1", 80)[1].port == 80)
        for _, copy in ipairs(held) do copy:close() end
        print(ip.udp.get_address_v4_info("localhost", 80)[1].address)
    ]] .. " 2>/dev/null")
    lu.assertEquals(output, "127.0.0.1\n")
    lu.assertEquals(status, 0)
end

t["test no thread is left when there is nothing to look up"] = function()
    local n_threads = settled_threads()
    for _ = 1, 20 do
        pcall(time.with_timeout, 0, udp.get_address_info, "localhost", 1)
    end
    h.wait_until(function() return count_threads() == n_threads end)
end
