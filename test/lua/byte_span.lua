-- SPDX-License-Identifier: BSL-1.0
-- Class byte_span.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local byte_span = thrum.byte_span

local function span_of(text, capacity)
    local span = byte_span.new(#text, capacity)
    span:copy(text)
    return span
end

-- new

t["test new gives zero bytes of the length asked for"] = function()
    for _, length in ipairs {0, 1, 7, 4096, 100000, 3.0} do
        local span = byte_span.new(length)
        lu.assertEquals(#span, length)
        lu.assertEquals(span.capacity, length)
        lu.assertEquals(tostring(span), ("\0"):rep(math.tointeger(length)))
    end
    local span = byte_span.new(2, 10)
    lu.assertEquals(#span, 2)
    lu.assertEquals(span.capacity, 10)
    lu.assertEquals(byte_span.new(2, nil).capacity, 2)
end

t["test new refuses what is no length: EINVAL"] = function()
    for _, bad in ipairs {-1, 1.5, 0 / 0, math.huge, 2 ^ 63, math.mininteger, "3", true, {}} do
        h.raises_arg(1, byte_span.new, bad)
        h.raises_arg(2, byte_span.new, 1, bad)
    end
    h.raises_arg(1, byte_span.new)
    h.raises_arg(1, byte_span.new, nil)
    h.raises_arg(2, byte_span.new, 5, 4)
end

t["test a length no machine has is ENOMEM and no crash"] = function()
    for _, length in ipairs {1 << 40, 1 << 50, 1 << 62, math.maxinteger} do
        h.raises("ENOMEM", byte_span.new, length)
        h.raises("ENOMEM", byte_span.new, 0, length)
    end
    lu.assertEquals(#byte_span.new(10), 10)
end

-- elements

t["test an element is a number from 0 to 255, read and written"] = function()
    local span = byte_span.new(3)
    for i, value in ipairs {0, 255, 128} do
        span[i] = value
        lu.assertEquals(span[i], value)
    end
    span[2] = 7.0
    lu.assertEquals(span[2], 7)
    lu.assertEquals(math.type(span[2]), "integer")
end

t["test an index outside is ERANGE"] = function()
    local span = byte_span.new(3, 8)
    for _, index in ipairs {0, -1, 4, 8, math.maxinteger, math.mininteger} do
        h.raises("ERANGE", function() return span[index] end)
        h.raises("ERANGE", function() span[index] = 1 end)
    end
    for _, index in ipairs {1.5, 0 / 0, 2 ^ 63} do
        h.raises("EINVAL", function() return span[index] end)
    end
    h.raises("ERANGE", function() return byte_span.new(0)[1] end)
end

t["test a value that is no byte is EINVAL and writes nothing"] = function()
    local span = span_of("abc")
    for _, bad in ipairs {-1, 256, 1.5, 0 / 0, 2 ^ 40, "a", true, {}} do
        h.raises("EINVAL", function() span[2] = bad end)
    end
    h.raises("EINVAL", function() span[2] = nil end)
    lu.assertEquals(tostring(span), "abc")
end

t["test an unknown field raises with its name"] = function()
    local span = byte_span.new(1)
    h.assert_contains(tostring(h.raises("EINVAL", function() return span.nope end)), "nope")
    h.raises("EINVAL", function() span.capacity = 3 end)
    h.raises("EINVAL", function() span.slice = 3 end)
    h.raises("EINVAL", function() return span[true] end)
    h.raises("EINVAL", function() return span["1"] end)
    lu.assertFalse(getmetatable(span))
end

-- slice

t["test a slice is the same memory"] = function()
    local span = span_of("0123456789")
    local slice = span:slice(3, 6)
    lu.assertEquals(tostring(slice), "2345")
    slice[1] = ("x"):byte()
    lu.assertEquals(tostring(span), "01x3456789")
    span[4] = ("y"):byte()
    lu.assertEquals(tostring(slice), "xy45")
    lu.assertEquals(tostring(slice:slice(2, 3)), "y4")
    lu.assertEquals(slice.capacity, 8)
end

t["test slice without arguments, with one, and empty ones"] = function()
    local span = span_of("01234")
    lu.assertEquals(tostring(span:slice()), "01234")
    lu.assertEquals(tostring(span:slice(nil, 3)), "012")
    lu.assertEquals(tostring(span:slice(3)), "234")
    lu.assertEquals(tostring(span:slice(3, 2)), "")
    lu.assertEquals(tostring(span:slice(1, 0)), "")
    lu.assertEquals(tostring(span:slice(6)), "")
    lu.assertEquals(tostring(span:slice(6, 5)), "")
end

t["test last may reach the capacity"] = function()
    local span = span_of("abc", 6)
    local longer = span:slice(1, 6)
    lu.assertEquals(#longer, 6)
    lu.assertEquals(tostring(longer), "abc\0\0\0")
    lu.assertEquals(#span:slice(1, 2):slice(1, 6), 6) -- through a shorter one
    lu.assertEquals(#span:slice(4, 6), 3)
    lu.assertEquals(#span:slice(4), 0)
end

t["test a bad range is ERANGE"] = function()
    local span = span_of("abc", 6)
    for _, range in ipairs {{0}, {-1}, {1, 7}, {3, 1}, {8}, {5}, {1, -1}, {math.maxinteger},
        {1, math.maxinteger}, {math.mininteger, 2}, {0, 0}, {7, 7}} do
        h.raises("ERANGE", span.slice, span, table.unpack(range))
    end
    for _, bad in ipairs {1.5, "1", true, {}, 2 ^ 63} do
        h.raises_arg(2, span.slice, span, bad)
        h.raises_arg(3, span.slice, span, 1, bad)
    end
end

-- A span remembers the last slice that was made of it.
t["test slices taken in any order are the windows that were asked for"] = function()
    local span = byte_span.new(3, 4)
    span:copy("abc")
    span:slice(4, 4):copy("d")
    local ranges = {}
    for first = 1, 5 do
        for last = first - 1, 4 do
            ranges[#ranges + 1] = {first, last}
        end
    end
    for _, before in ipairs(ranges) do
        for _, range in ipairs(ranges) do
            span:slice(table.unpack(before))
            local slice = span:slice(table.unpack(range))
            lu.assertEquals(tostring(slice), ("abcd"):sub(table.unpack(range)))
            lu.assertEquals(slice.capacity, 5 - range[1])
        end
    end
end

t["test the same slice again and again costs no memory"] = function()
    local span = byte_span.new(100)
    local function part() return span:slice(1, 10) end
    local function whole() return span:slice() end
    for _, slice in ipairs {part, whole} do
        slice()
        collectgarbage("stop")
        local before = collectgarbage("count")
        for _ = 1, 1000 do
            slice()
        end
        local grown = collectgarbage("count") - before
        collectgarbage("restart")
        lu.assertTrue(grown < 1, grown)
    end
end

t["test a slice keeps its block alive, and no more than the block"] = function()
    local weak = setmetatable({}, {__mode = "v"})
    local slice
    do
        local span = span_of(("keep"):rep(1000))
        weak.span = span
        slice = span:slice(5, 8):slice(1, 4)
    end
    collectgarbage()
    collectgarbage()
    lu.assertEquals(tostring(slice), "keep")
    lu.assertNotNil(weak.span)
    slice = nil
    lu.assertNil(slice)
    collectgarbage()
    collectgarbage()
    lu.assertNil(weak.span)
end

-- copy

t["test copy takes spans and strings; the shorter length counts"] = function()
    local span = byte_span.new(4)
    lu.assertEquals(span:copy("ab"), 2)
    lu.assertEquals(tostring(span), "ab\0\0")
    lu.assertEquals(span:copy("ABCDEF"), 4)
    lu.assertEquals(tostring(span), "ABCD")
    lu.assertEquals(span:copy(span_of("xy")), 2)
    lu.assertEquals(tostring(span), "xyCD")
    lu.assertEquals(span:copy(""), 0)
    lu.assertEquals(byte_span.new(0):copy("abc"), 0)
end

t["test copy may overlap either way"] = function()
    local span = span_of("0123456789")
    lu.assertEquals(span:slice(3):copy(span), 8)
    lu.assertEquals(tostring(span), "0101234567")
    span:copy("0123456789")
    lu.assertEquals(span:copy(span:slice(3)), 8)
    lu.assertEquals(tostring(span), "2345678989")
    lu.assertEquals(span:copy(span), 10)
end

t["test copy refuses other values"] = function()
    local span = byte_span.new(4)
    for _, bad in ipairs {1, true, {}, print} do
        h.raises_arg(2, span.copy, span, bad)
    end
    h.raises_arg(2, span.copy, span)
    h.raises_arg(1, span.copy, "string", "x")
end

-- append

t["test append goes into place if the capacity suffices"] = function()
    local span = span_of("ab", 6)
    local longer = span:append("cd")
    lu.assertEquals(tostring(longer), "abcd")
    lu.assertEquals(#span, 2)
    lu.assertEquals(tostring(span:slice(1, 4)), "abcd") -- the same memory
    longer[1] = ("X"):byte()
    lu.assertEquals(tostring(span), "Xb")
end

t["test append makes a new block if the capacity does not suffice"] = function()
    local span = span_of("ab")
    local longer = span:append("cd", span_of("ef"))
    lu.assertEquals(tostring(longer), "abcdef")
    longer[1] = ("X"):byte()
    lu.assertEquals(tostring(span), "ab")
end

t["test append as a function and as a method, nil skipped"] = function()
    lu.assertEquals(tostring(byte_span.append(span_of("a"), nil, "b", nil, span_of("c"))), "abc")
    lu.assertEquals(tostring(byte_span.append(nil, "a", "b")), "ab")
    lu.assertEquals(tostring(byte_span.append("a", "b")), "ab")
    lu.assertEquals(tostring(byte_span.append(nil)), "")
    lu.assertEquals(tostring(byte_span.append()), "")
    lu.assertEquals(tostring(span_of("a"):append()), "a")
    lu.assertEquals(tostring(span_of("a"):append(nil, nil)), "a")
end

t["test append of a span to itself, in place and not"] = function()
    local span = span_of("abc", 100)
    lu.assertEquals(tostring(span:append(span, span)), "abcabcabc")
    lu.assertEquals(tostring(span_of("abc"):append(span, span)), "abcabcabc")
end

t["test appending in a loop is linear"] = function()
    local span, n = byte_span.new(0), h.is_slow and 100 or 20000
    local changes, capacity = 0, 0
    for _ = 1, n do
        span = span:append("0123456789")
        if span.capacity ~= capacity then
            changes, capacity = changes + 1, span.capacity
        end
    end
    lu.assertEquals(#span, 10 * n)
    lu.assertTrue(changes < 30)
end

t["test append refuses other values in every position"] = function()
    local span = span_of("a", 100)
    for _, bad in ipairs {1, true, {}, print} do
        h.raises_arg(2, span.append, span, bad)
        h.raises_arg(3, span.append, span, "b", bad)
        h.raises_arg(1, byte_span.append, bad, "x")
    end
    lu.assertEquals(tostring(span:slice(1, 2)), "a\0") -- nothing was written
end

-- equality and text

t["test == compares bytes"] = function()
    lu.assertTrue(span_of("abc") == span_of("abc"))
    lu.assertTrue(span_of("abc", 10) == span_of("xabc"):slice(2))
    lu.assertTrue(byte_span.new(0) == byte_span.new(0, 5))
    lu.assertFalse(span_of("abc") == span_of("abd"))
    lu.assertFalse(span_of("abc") == span_of("abcd"))
    lu.assertFalse(span_of("abc") == "abc")
    lu.assertFalse(span_of("abc") == thrum.ip.address.new())
end

t["test tostring gives the bytes, zeros and all"] = function()
    local bytes = {}
    for i = 0, 255 do
        bytes[i + 1] = string.char(i)
    end
    local text = table.concat(bytes)
    lu.assertEquals(tostring(span_of(text)), text)
end

t["test hex and fill"] = function()
    lu.assertEquals(span_of("\0\1\xab\xff"):hex(), "0001abff")
    lu.assertEquals(byte_span.new(0):hex(), "")
    local span = span_of("abcd")
    span:slice(2, 3):fill(0x7a)
    lu.assertEquals(tostring(span), "azzd")
    byte_span.new(0):fill(1)
    for _, bad in ipairs {-1, 256, 1.5, "a", true, {}} do
        h.raises_arg(2, span.fill, span, bad)
    end
    h.raises_arg(2, span.fill, span)
end

-- searching, against a model over strings

local function model_find(text, needle, first)
    return (text:find(needle, first, true))
end

local function model_rfind(text, needle, last)
    for i = math.min(last or #text + 1, #text - #needle + 1), 1, -1 do
        if text:sub(i, i + #needle - 1) == needle then
            return i
        end
    end
    return nil
end

local function model_of(text, set, from, to, step, is_member)
    for i = from, to, step do
        if (set:find(text:sub(i, i), 1, true) ~= nil) == is_member then
            return i
        end
    end
    return nil
end

local texts = {"", "a", "abcabc", "aaaa", "abc\0abc", "xyz", ("ab"):rep(20) .. "c"}
local needles = {"", "a", "b", "ab", "bc", "abc", "c", "aa", "\0", "abcabcabc", "q"}

t["test find and rfind agree with a model, for strings and spans"] = function()
    for _, text in ipairs(texts) do
        local span = span_of(text)
        for _, needle in ipairs(needles) do
            lu.assertEquals(span:find(needle), model_find(text, needle, 1))
            lu.assertEquals(span:find(span_of(needle)), model_find(text, needle, 1))
            lu.assertEquals(span:rfind(needle), model_rfind(text, needle))
            lu.assertEquals(span:rfind(span_of(needle)), model_rfind(text, needle))
            for position = 1, #text + 1 do
                lu.assertEquals(span:find(needle, position), model_find(text, needle, position))
                lu.assertEquals(span:rfind(needle, position), model_rfind(text, needle, position))
            end
        end
    end
end

t["test find_first_of and its kin agree with a model"] = function()
    for _, text in ipairs(texts) do
        local span, n = span_of(text), #text
        for _, set in ipairs(needles) do
            for position = 1, n + 1 do
                lu.assertEquals(span:find_first_of(set, position),
                    model_of(text, set, position, n, 1, true))
                lu.assertEquals(span:find_first_not_of(set, position),
                    model_of(text, set, position, n, 1, false))
                local last = math.min(position, n)
                lu.assertEquals(span:find_last_of(set, position),
                    model_of(text, set, last, 1, -1, true))
                lu.assertEquals(span:find_last_not_of(set, position),
                    model_of(text, set, last, 1, -1, false))
            end
            lu.assertEquals(span:find_first_of(span_of(set)), model_of(text, set, 1, n, 1, true))
            lu.assertEquals(span:find_last_not_of(set), model_of(text, set, n, 1, -1, false))
        end
    end
end

t["test searching refuses bad positions and bad needles"] = function()
    local span = span_of("abc", 10)
    for _, name in ipairs {"find", "rfind", "find_first_of", "find_last_of",
        "find_first_not_of", "find_last_not_of"} do
        for _, bad in ipairs {0, -1, 5, math.maxinteger, math.mininteger} do
            h.raises("ERANGE", span[name], span, "a", bad)
        end
        for _, bad in ipairs {1.5, "1", true, {}} do
            h.raises_arg(3, span[name], span, "a", bad)
        end
        for _, bad in ipairs {1, true, {}, print} do
            h.raises_arg(2, span[name], span, bad)
        end
        h.raises_arg(2, span[name], span)
    end
end

t["test starts_with and ends_with"] = function()
    local span = span_of("hello")
    for _, case in ipairs {{"", true, true}, {"h", true, false}, {"o", false, true},
        {"hello", true, true}, {"hello!", false, false}, {"he", true, false},
        {"lo", false, true}} do
        lu.assertEquals(span:starts_with(case[1]), case[2])
        lu.assertEquals(span:ends_with(case[1]), case[3])
        lu.assertEquals(span:starts_with(span_of(case[1])), case[2])
    end
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(2, span.starts_with, span, bad)
        h.raises_arg(2, span.ends_with, span, bad)
    end
end

t["test trimmed is a slice without white space, or without the set, at both ends"] = function()
    local span = span_of(" \t\r\n\f\v in the middle \v")
    local trimmed = span:trimmed()
    lu.assertEquals(tostring(trimmed), "in the middle")
    trimmed[1] = ("I"):byte()
    h.assert_contains(tostring(span), "In the middle")
    lu.assertEquals(tostring(span_of("xxabcxx"):trimmed("x")), "abc")
    lu.assertEquals(tostring(span_of("xxx"):trimmed("x")), "")
    lu.assertEquals(tostring(span_of(""):trimmed()), "")
    lu.assertEquals(tostring(span_of(" a "):trimmed("")), " a ")
    lu.assertEquals(tostring(span_of(" a "):trimmed(nil)), "a")
    for _, bad in ipairs {1, true, {}} do
        h.raises_arg(2, span.trimmed, span, bad)
    end
end

-- integers

t["test integers are read and written in both orders as string.pack has them"] = function()
    local span = byte_span.new(16)
    for width, values in pairs {
        [1] = {0, 1, 0x7f, 0x80, 0xff},
        [2] = {0, 0x1234, 0xffff},
        [4] = {0, 0x12345678, 0xffffffff},
        [8] = {0, 0x123456789abcdef0, -1, math.mininteger, math.maxinteger},
    } do
        local get, set = span["get_u" .. 8 * width], span["set_u" .. 8 * width]
        for _, value in ipairs(values) do
            for order, format in pairs {be = ">", le = "<"} do
                set(span, 3, value, order)
                lu.assertEquals(tostring(span:slice(3, 2 + width)),
                    string.pack(format .. "I" .. width, value))
                lu.assertEquals(get(span, 3, order), value)
            end
            set(span, 1, value) -- network order by default
            lu.assertEquals(get(span, 1, "be"), value)
            lu.assertEquals(get(span, 1), value)
            set(span, 17 - width, value)
            lu.assertEquals(get(span, 17 - width), value)
        end
    end
end

t["test integers outside the span are ERANGE, the capacity notwithstanding"] = function()
    local span = byte_span.new(4, 100)
    for _, width in ipairs {8, 16, 32, 64} do
        local get, set = span["get_u" .. width], span["set_u" .. width]
        for _, index in ipairs {0, -1, 6 - width // 8, math.maxinteger, math.mininteger} do
            h.raises("ERANGE", get, span, index)
            h.raises("ERANGE", set, span, index, 1)
        end
        h.raises_arg(2, get, byte_span.new(8), 1.5)
        h.raises_arg(2, get, byte_span.new(8))
    end
    h.raises("ERANGE", byte_span.new(0).get_u8, byte_span.new(0), 1)
end

t["test integers that do not fit, and unknown orders, are EINVAL"] = function()
    local span = byte_span.new(8)
    for width, bad in pairs {[8] = 256, [16] = 65536, [32] = 1 << 32} do
        h.raises_arg(3, span["set_u" .. width], span, 1, bad)
        h.raises_arg(3, span["set_u" .. width], span, 1, -1)
        h.raises_arg(3, span["set_u" .. width], span, 1)
    end
    h.raises_arg(3, span.set_u64, span, 1, 2 ^ 63)
    h.raises_arg(3, span.set_u64, span, 1, 1.5)
    for _, bad in ipairs {"", "BE", "big", "be\0", 1, true, {}} do
        h.raises_arg(3, span.get_u16, span, 1, bad)
        h.raises_arg(4, span.set_u16, span, 1, 1, bad)
    end
    lu.assertEquals(span:hex(), ("0"):rep(16))
end
