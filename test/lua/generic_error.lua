-- SPDX-License-Identifier: BSL-1.0
-- generic_error, and error objects in general.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local generic_error, ip, byte_span = thrum.generic_error, thrum.ip, thrum.byte_span

local function caught(f, ...)
    local ok, err = pcall(f, ...)
    lu.assertFalse(ok)
    return err
end

local function bad_argument()
    return caught(ip.address.new, "bad")
end

t["test .. joins an error's text with strings and numbers on either side"] = function()
    local err = generic_error.EPERM
    lu.assertEquals("it failed: " .. err, "it failed: Operation not permitted")
    lu.assertEquals(err .. "!", "Operation not permitted!")
    lu.assertEquals(err .. 1 .. err, "Operation not permitted1Operation not permitted")
    lu.assertEquals(err .. err, "Operation not permittedOperation not permitted")
    h.raises_arg(2, function() return err .. {} end)
    h.raises_arg(1, function() return nil .. err end)
end

-- Programs written for errors that are strings call these on what pcall brings.
t["test an error answers the string methods, as its text would"] = function()
    local err = bad_argument()
    err.length = 7
    local text = tostring(err)
    local calls = {
        match = {{"op"}, {"(%w+) argument"}, {"^%d"}, {"()a", 5}},
        find = {{"argument"}, {".", 1, true}, {"no such"}, {"(arg)", 3}},
        gsub = {{"a", "b"}, {"%w+", string.upper, 2}, {"n", {n = "N"}}, {"(i)", "<%1>"}},
        sub = {{1, 7}, {-3}, {3}, {100000}},
        byte = {{}, {2}, {1, 5}, {-1}},
        rep = {{2}, {3, "-"}, {0}},
        lower = {{}}, upper = {{}}, len = {{}}, reverse = {{}},
    }
    for name, list in pairs(calls) do
        for _, arguments in ipairs(list) do
            lu.assertEquals(table.pack(err[name](err, table.unpack(arguments))),
                table.pack(text[name](text, table.unpack(arguments))), name)
        end
    end
    lu.assertEquals(#err, #text)
    local words, expected = {}, {}
    for word in err:gmatch("%a+") do
        words[#words + 1] = word
    end
    for word in text:gmatch("%a+") do
        expected[#expected + 1] = word
    end
    lu.assertTrue(#words > 5)
    lu.assertEquals(words, expected)
    local percent = generic_error.EPERM
    percent.detail = "%d of %s"
    lu.assertEquals(percent:format(3, "four"), "Operation not permitted: 3 of four")
end

t["test the string methods of an error take its fields as they are now"] = function()
    local err = generic_error.EPERM
    err.op = "first.op"
    lu.assertTrue(err:find("first.op", 1, true) ~= nil)
    err.op, err.detail = nil, "second"
    lu.assertNil(err:find("first.op", 1, true))
    lu.assertEquals(err:sub(-6), "second")
    lu.assertEquals(#err, #"Operation not permitted: second")
    err.match = "a field of the program's"
    lu.assertEquals(err.match, "a field of the program's")
end

t["test the string methods of an error refuse a self that is none, and raise what Lua's do"] =
function()
    for _, name in ipairs {"byte", "find", "format", "gmatch", "gsub", "len", "lower", "match",
        "rep", "reverse", "sub", "upper"} do
        for _, bad in ipairs {{}, 1, "x", generic_error.EPERM.category} do
            h.raises_arg(1, generic_error.EPERM[name], bad)
        end
        h.raises_arg(1, generic_error.EPERM[name])
    end
    h.assert_contains(caught(function() generic_error.EPERM:rep {} end), "number expected")
    h.assert_contains(caught(function() generic_error.EPERM:find() end), "string expected")
    local err = bad_argument()
    err.code = nil
    h.raises_arg(1, function() return #err end)
    h.raises_arg(1, function() return err:len() end)
end

t["test the string methods leave comparisons and tables' functions as they are"] = function()
    local err = generic_error.EPERM
    lu.assertFalse(err == tostring(err))
    lu.assertTrue(err == generic_error.EPERM)
    lu.assertFalse(pcall(function() return err < generic_error.EPERM end))
    lu.assertFalse(pcall(function() return err < "text" end))
    lu.assertNil(err.char)
    lu.assertNil(err.dump)
    lu.assertEquals(rawlen(err), 0)
end

t["test an address that is a text stands in an error's text like an object"] = function()
    local err = generic_error.EPERM
    err.op, err.address, err.port = "some.call", "192.0.2.1", 53
    lu.assertEquals(tostring(err), "Operation not permitted: some.call 192.0.2.1:53")
    err.address = "::1"
    lu.assertEquals(tostring(err), "Operation not permitted: some.call [::1]:53")
    err.port = 65536
    lu.assertEquals(tostring(err), "Operation not permitted: some.call")
    err.address, err.port = 1, 2
    lu.assertEquals(tostring(err), "Operation not permitted: some.call")
end

t["test a POSIX name makes an error of the generic category"] = function()
    local err = generic_error.EADDRINUSE
    lu.assertEquals(math.type(err.code), "integer")
    lu.assertEquals(tostring(err.category), "generic")
    lu.assertEquals(tostring(err), "Address already in use")
    lu.assertTrue(err == generic_error.EADDRINUSE)
    lu.assertFalse(err == generic_error.EADDRNOTAVAIL)
end

t["test every POSIX name makes its error"] = function()
    local count = 0
    for name, err in pairs(generic_error) do
        count = count + 1
        lu.assertTrue(h.is_error(err), name)
        lu.assertTrue(err == generic_error[name], name)
        lu.assertTrue(#tostring(err) > 0)
        lu.assertTrue(err.code > 0)
    end
    lu.assertTrue(count > 70)
    for _, name in ipairs {"E2BIG", "EACCES", "EAGAIN", "EBADF", "ECANCELED", "ECONNREFUSED",
        "EINTR", "EINVAL", "EMSGSIZE", "ENOMEM", "ENOTCONN", "EPERM", "EPIPE", "ERANGE",
        "ETIMEDOUT", "EXDEV"} do
        lu.assertTrue(h.is_error(generic_error[name]), name)
    end
end

t["test an unknown name raises with the name"] = function()
    for _, name in ipairs {"ENOSUCHERROR", "", "einval", "EINVAL\0"} do
        h.raises("EINVAL", function() return generic_error[name] end)
    end
    h.assert_contains(tostring(caught(function() return generic_error.ENOSUCHERROR end)),
        "ENOSUCHERROR")
    h.raises("EINVAL", function() return generic_error[1] end)
    h.raises("EINVAL", function() return generic_error[{}] end)
end

t["test each look-up gives an object of its own"] = function()
    local err = generic_error.EPERM
    err.note = "mine"
    lu.assertNil(generic_error.EPERM.note)
end

t["test a bad argument tells op, arg, what was expected and what came"] = function()
    local err = bad_argument()
    lu.assertTrue(err == generic_error.EINVAL)
    lu.assertEquals(err.op, "ip.address.new")
    lu.assertEquals(err.arg, 1)
    local text = tostring(err)
    h.assert_starts(text, "Invalid argument")
    h.assert_contains(text, "ip.address.new")
    h.assert_contains(text, "expected")
    h.assert_contains(text, "bad")
    h.assert_contains(tostring(caught(byte_span.new, {})), "table")
    h.assert_contains(tostring(caught(byte_span.new, nil)), "nil")
    h.assert_contains(tostring(caught(byte_span.new)), "nothing")
    h.assert_contains(tostring(caught(byte_span.new, ip.udp.socket.new())), "ip.udp.socket")
end

t["test a system error equals the generic one of the same meaning"] = function()
    local sock = ip.udp.socket.new()
    local err = caught(sock.bind, sock, ip.address.any_v4(), 0)
    lu.assertEquals(tostring(err.category), "system")
    lu.assertTrue(err == generic_error.EBADF)
    lu.assertTrue(generic_error.EBADF == err)
    lu.assertFalse(err == generic_error.EPERM)
    lu.assertEquals(err.op, "ip.udp.socket.bind")
end

t["test == with other values is false"] = function()
    local err = generic_error.EPERM
    lu.assertFalse(err == 1)
    lu.assertFalse(err == "Operation not permitted")
    lu.assertFalse(err == {code = err.code, category = err.category})
    lu.assertFalse(err == nil)
end

t["test errors of different categories with one code differ"] = function()
    local sock = h.bound()
    local already_open = caught(sock.open, sock, "v4")
    lu.assertEquals(tostring(already_open.category), "misc")
    for _, err in pairs(generic_error) do
        lu.assertFalse(already_open == err)
    end
    sock:close()
end

t["test togeneric maps where there is a mapping"] = function()
    local sock = ip.udp.socket.new()
    local system = caught(sock.bind, sock, ip.address.any_v4(), 0)
    local generic = system:togeneric()
    lu.assertEquals(tostring(generic.category), "generic")
    lu.assertEquals(generic.code, system.code)
    lu.assertTrue(generic_error.EPERM:togeneric() == generic_error.EPERM)

    local fiber = h.try(thrum.time.sleep, 3600)
    fiber:interrupt()
    local _, interruption = fiber:join()
    lu.assertTrue(interruption:togeneric() == generic_error.ECANCELED)

    sock:open("v4")
    local already_open = caught(sock.open, sock, "v4")
    sock:close()
    lu.assertTrue(already_open:togeneric() == already_open) -- no mapping: itself
end

t["test a category has a name and messages"] = function()
    local category = generic_error.EINVAL.category
    lu.assertEquals(tostring(category), "generic")
    lu.assertEquals(category:message(generic_error.EPERM.code), "Operation not permitted")
    lu.assertTrue(category == generic_error.EPERM.category)
    for _, code in ipairs {-1, 0, 99999, 1 << 40, math.mininteger, math.maxinteger} do
        lu.assertEquals(type(category:message(code)), "string")
    end
    for _, bad in ipairs {1.5, "x", true, {}} do
        h.raises_arg(2, category.message, category, bad)
    end
    h.raises_arg(2, category.message, category)
    h.raises_arg(1, category.message, generic_error.EINVAL, 1)
    h.raises("EINVAL", function() return category.nope end)
    h.raises("EINVAL", function() category.x = 1 end)
    lu.assertFalse(getmetatable(category))
end

-- The line behind the one it is called in.
local function next_line()
    local frame = debug.getinfo(2, "Sl")
    return frame.short_src .. ":" .. frame.currentline + 1
end

t["test an error says which line has called, at once or after a wait"] = function()
    local where = next_line()
    local _, err = pcall(function() thrum.ip.address.new("no address") end)
    lu.assertEquals(err.where, where)
    lu.assertEquals(tostring(err):sub(-#where - 3), " (" .. where .. ")")

    local sock = h.bound("v4")
    sock.timeout = 0.001
    where = next_line()
    _, err = pcall(function() sock:receive(thrum.byte_span.new(1)) end)
    lu.assertEquals(err.where, where)
    sock:close()
end

t["test a C function in between does not hide the line, and join keeps it"] = function()
    local where = next_line()
    local _, err = pcall(thrum.ip.address.new, "no address")
    lu.assertEquals(err.where, where)

    where = next_line()
    local fiber = thrum.spawn(function() thrum.time.sleep("long") end)
    _, err = pcall(fiber.join, fiber)
    lu.assertEquals(err.where, where)
end

t["test an error that no script has called for has no line"] = function()
    local fiber = thrum.spawn(thrum.time.sleep, "long")
    local _, err = pcall(fiber.join, fiber)
    lu.assertNil(err.where)
    lu.assertEquals(tostring(err):sub(-1), '"')
end

t["test an error is a plain table: users may add fields, unknown ones are nil"] = function()
    local err = bad_argument()
    lu.assertNil(err.nope)
    err.attempt = 3
    lu.assertEquals(err.attempt, 3)
    lu.assertFalse(getmetatable(err))
    local names = {}
    for name in pairs(err) do
        names[#names + 1] = name
    end
    table.sort(names)
    lu.assertEquals(names, {"arg", "attempt", "category", "code", "detail", "op", "where"})
end

t["test an error whose fields were spoiled is handled without a crash"] = function()
    local spoils = {{code = "x"}, {code = 1.5}, {category = 1}, {category = {}}, {op = {}},
        {op = 7}, {detail = {}}, {address = "x", port = 1}, {address = 1},
        {port = {}}, {port = 1 << 40}, {arg = {}}, {code = 1 << 62}, {code = -5}}
    for _, spoil in ipairs(spoils) do
        local err = bad_argument()
        for name, value in pairs(spoil) do
            err[name] = value
        end
        local ok, text = pcall(tostring, err)
        lu.assertTrue(ok and type(text) == "string" or h.is_error(text) or
            type(text) == "string")
        pcall(function() return err == generic_error.EINVAL end)
        pcall(err.togeneric, err)
    end
    local err = bad_argument()
    err.code, err.category = nil, nil
    lu.assertFalse(pcall(tostring, err))
    lu.assertFalse(err == generic_error.EINVAL)
end

t["test an error can be raised again and keeps its identity"] = function()
    local err = bad_argument()
    local again = caught(error, err)
    lu.assertTrue(rawequal(err, again))
    local joined = caught(function() thrum.spawn(error, err):join() end)
    lu.assertTrue(rawequal(err, joined))
end

t["test togeneric refuses a self that is no error"] = function()
    for _, bad in ipairs {{}, 1, "x", generic_error.EPERM.category} do
        h.raises_arg(1, generic_error.EPERM.togeneric, bad)
    end
    h.raises_arg(1, generic_error.EPERM.togeneric)
end
