-- SPDX-License-Identifier: BSL-1.0
-- TCP: what receive and send do.
local c, t = ...
local lu = c.lu

t["D58: a line is what receive gives by default, and for '*l'"] = function()
    local client, peer = c.pair()
    client:send("one\ntwo\n\nfive\n")
    lu.assertEquals(peer:receive(), "one")
    lu.assertEquals(peer:receive("*l"), "two")
    lu.assertEquals(peer:receive(), "")
    lu.assertEquals(peer:receive(), "five")
end

t["D58: every CR of a line is dropped"] = function()
    local client, peer = c.pair()
    client:send("one\r\nt\rw\ro\r\n")
    lu.assertEquals(peer:receive(), "one")
    lu.assertEquals(peer:receive(), "two")
end

t["D58: NULs and all other bytes come through"] = function()
    local client, peer = c.pair()
    local all = {}
    for byte = 0, 255 do
        if byte ~= 10 and byte ~= 13 then
            all[#all + 1] = string.char(byte)
        end
    end
    local text = table.concat(all)
    client:send(text .. "\n" .. text)
    lu.assertEquals(peer:receive(), text)
    lu.assertEquals(peer:receive(#text), text)
end

t["D58: a number is that many bytes, wherever lines end"] = function()
    local client, peer = c.pair()
    client:send("12\r\n5678\n")
    lu.assertEquals(peer:receive(5), "12\r\n5")
    lu.assertEquals(peer:receive(1), "6")
    lu.assertEquals(peer:receive("*l"), "78")
end

t["D58: to receive no bytes waits until there are some, and takes none"] = function()
    local client, peer = c.pair()
    client:settimeout(0.01)
    lu.assertEquals(table.pack(client:receive(0)), {nil, "timeout", "", n = 3})
    peer:send("ab")
    client:settimeout(10)
    lu.assertEquals(client:receive(0), "")
    lu.assertEquals(client:receive(2), "ab")
end

t["D58: '*a' is all until the end"] = function()
    local client, peer = c.pair()
    client:send("one\ntwo")
    client:close()
    lu.assertEquals(peer:receive("*a"), "one\ntwo")
    lu.assertEquals(table.pack(peer:receive("*a")), {nil, "closed", "", n = 3})
end

t["D58: '*a' of nothing"] = function()
    local client, peer = c.pair()
    client:close()
    lu.assertEquals(table.pack(peer:receive("*a")), {nil, "closed", "", n = 3})
end

t["D58: a prefix is put before what comes"] = function()
    local client, peer = c.pair()
    client:send("def\nghi\njkl")
    lu.assertEquals(peer:receive("*l", "abc"), "abcdef")
    lu.assertEquals(peer:receive(6, "12"), "12ghi\n")
    client:close()
    lu.assertEquals(peer:receive("*a", "all: "), "all: jkl")
end

t["D58: a prefix counts among the bytes asked for"] = function()
    local client, peer = c.pair()
    client:send("cdef")
    lu.assertEquals(peer:receive(4, "ab"), "abcd")
    lu.assertEquals(peer:receive(2), "ef")
    lu.assertEquals(peer:receive(2, "whole"), "whole")
end

t["D58: what has come before a time-out is the third result"] = function()
    local client, peer = c.pair()
    client:send("part")
    peer:settimeout(0.01)
    lu.assertEquals(table.pack(peer:receive()), {nil, "timeout", "part", n = 3})
    lu.assertEquals(table.pack(peer:receive()), {nil, "timeout", "", n = 3})
    client:send("ial\n")
    lu.assertEquals(peer:receive("*l", "part"), "partial")
    client:send("12")
    peer:settimeout(0.02)
    lu.assertEquals(table.pack(peer:receive(3)), {nil, "timeout", "12", n = 3})
    client:send("all")
    lu.assertEquals(table.pack(peer:receive("*a")), {nil, "timeout", "all", n = 3})
end

t["D58: what has come before the end is the third result"] = function()
    local client, peer = c.pair()
    client:send("part")
    client:close()
    lu.assertEquals(table.pack(peer:receive("*l")), {nil, "closed", "part", n = 3})
    local other, others = c.pair()
    other:send("12")
    other:close()
    lu.assertEquals(table.pack(others:receive(4, "0")), {nil, "closed", "012", n = 3})
end

t["D58: a wrong pattern is an error"] = function()
    local client = c.pair()
    c.raises("invalid receive pattern", client.receive, client, "*x")
    c.raises("invalid receive pattern", client.receive, client, -1)
end

t["D58: lines and blocks that are longer than a buffer"] = function()
    local client, peer = c.pair()
    local line = ("0123456789"):rep(2000)
    client:send(line .. "\n" .. line)
    client:close()
    lu.assertEquals(peer:receive(), line)
    lu.assertEquals(peer:receive(15000), line:sub(1, 15000))
    lu.assertEquals(peer:receive("*a"), line:sub(15001))
end

t["D59: send gives the index of the last byte"] = function()
    local client, peer = c.pair()
    lu.assertEquals(client:send("hello"), 5)
    lu.assertEquals(client:send("hello", 2), 5)
    lu.assertEquals(client:send("hello", 2, 3), 3)
    lu.assertEquals(client:send("hello", -2), 5)
    lu.assertEquals(client:send("hello", -4, -3), 3)
    lu.assertEquals(client:send("hello", 4, 100), 5)
    client:close()
    lu.assertEquals(peer:receive("*a"), "hello" .. "ello" .. "el" .. "lo" .. "el" .. "lo")
end

t["D59: nothing to send"] = function()
    local client, peer = c.pair()
    lu.assertEquals(client:send(""), 0)
    lu.assertEquals(client:send("hello", 3, 2), 2)
    lu.assertEquals(client:send("hello", 6), 5)
    lu.assertEquals(client:send("hello", 0, 1), 1)
    client:close()
    lu.assertEquals(peer:receive("*a"), "h")
end

t["D59: the type of counts"] = function()
    local client = c.pair()
    c.differs("counts: integers or floats", math.type((client:send("x"))))
    c.differs("counts: integers or floats", math.type((client:getstats())))
    c.differs("counts: integers or floats", math.type((client:getfd())))
end

t["D59: a number is sent as its text"] = function()
    local client, peer = c.pair()
    lu.assertEquals(client:send(12345), 5)
    client:close()
    lu.assertEquals(peer:receive("*a"), "12345")
end

t["D59: send that times out tells the last byte sent"] = function()
    local client, peer = c.pair()
    client:settimeout(0.01)
    local data = ("x"):rep(10000000)
    local last = c.fails("timeout", client:send(data))
    lu.assertTrue(last > 0 and last < #data)
    peer:settimeout(10)
    client:close()
    lu.assertEquals(#peer:receive("*a"), last)
end

t["D59: send that times out goes on with the next byte"] = function()
    local client, peer = c.pair()
    client:settimeout(0)
    peer:settimeout(0)
    local words = {}
    for i = 1, 400000 do
        words[i] = ("%07d,"):format(i)
    end
    local data = table.concat(words)
    local from, parts = 1, {}
    while from <= #data do
        local last, err, partial = client:send(data, from)
        lu.assertTrue(last ~= nil or err == "timeout")
        from = (last or partial) + 1
        local piece, _, rest = peer:receive(1000000)
        parts[#parts + 1] = piece or rest
    end
    client:close()
    peer:settimeout(10)
    parts[#parts + 1] = peer:receive("*a")
    lu.assertTrue(table.concat(parts) == data)
end

t["D59: send to a peer that is gone fails with 'closed', and no signal comes"] = function()
    local client, peer = c.pair()
    peer:setoption("linger", {on = true, timeout = 0})
    peer:close()
    client:receive(1)
    local last = c.fails("closed", client:send("x"))
    lu.assertEquals(last, 0)
    c.fails("closed", client:send("x"))
    for line in io.lines("/proc/self/status") do
        local mask = line:match("^SigIgn:%s*(%x+)")
        if mask then
            c.differs("SIGPIPE: whether it is ignored", tonumber(mask, 16) & 1 << 12 ~= 0)
        end
    end
end
