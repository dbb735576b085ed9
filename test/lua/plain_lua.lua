-- SPDX-License-Identifier: BSL-1.0
-- The functions that take the place of Lua's own raise what Lua's raise, word for word: wrong calls
-- made in plain Lua, in the program, and in a stock interpreter with the prelude, compared.
local h, t = ...
local lu = h.lu

-- Makes every call in every way, and prints a line for each: whether it raised, and what came.
local caller = [==[
local dead = coroutine.create(function() end)
coroutine.resume(dead)
local values = {
    quiet = function() end, dead = dead,
    new = function() return coroutine.create(function(...) return ... end) end,
    failing = function() return coroutine.wrap(function() error "no" end) end,
}
setmetatable(values, {__index = _G})

local functions = {"pcall", "xpcall", "require", "coroutine.create", "coroutine.resume",
    "coroutine.wrap", "coroutine.status", "coroutine.isyieldable", "coroutine.running"}
local arguments = {"", "nil", "1", "1.5", "'no.such.thing'", "{}", "true", "quiet", "io.stdout",
    "new()", "dead", "nil, nil", "quiet, nil", "quiet, 1", "quiet, 'x'", "quiet, {}",
    "quiet, io.stdout",
    "nil, tostring", "1, tostring", "{}, tostring, 1", "setmetatable({}, {__name = 'name'})",
    "quiet, setmetatable({}, {__name = 'name'})", "quiet, setmetatable({}, {__name = 1})"}

-- What is wrong with the rest, and with os.exit, which else would do it.
local calls = {
    {"os.exit", "'x'"}, {"os.exit", "1.5"}, {"os.exit", "{}"}, {"os.exit", "quiet"},
    {"coroutine.resume", "coroutine.running()"}, {"coroutine.resume", "dead, 1, 2"},
    {"coroutine.wrap(quiet)", ""}, {"failing()", ""}, {"failing()", "1"},
    {"coroutine.wrap(coroutine.create)", ""}, {"coroutine.wrap(coroutine.resume)", "1"},
    {"coroutine.wrap(coroutine.wrap)", "nil"}, {"coroutine.wrap(pcall)", ""},
    {"coroutine.wrap(xpcall)", "quiet"},
    {"(function(...) return coroutine.resume(coroutine.create(table.unpack), {}, 1, 800000) end)",
        "table.unpack({}, 1, 300000)"},
    {"(function(...) return coroutine.wrap(table.unpack)({}, 1, 800000) end)",
        "table.unpack({}, 1, 300000)"},
}
for _, f in ipairs(functions) do
    for _, args in ipairs(arguments) do
        if not (f == "require" and args:find "^'no") then
            calls[#calls + 1] = {f, args}
        end
    end
end

local ways = {
    "FUNCTION(ARGS)",
    "return FUNCTION(ARGS)",
    "return (FUNCTION(ARGS))",
    "local f = FUNCTION return f(ARGS)",
    "local t = {field = FUNCTION} return t.field(ARGS)",
    "local t = {method = FUNCTION} return t:method(ARGS)",
    "return pcall(FUNCTION COMMA ARGS)",
    "return xpcall(FUNCTION, tostring COMMA ARGS)",
    "return coroutine.wrap(function() return FUNCTION(ARGS) end)()",
    "return coroutine.resume(coroutine.create(FUNCTION) COMMA ARGS)",
    "return ('x'):gsub('.', FUNCTION)",
    "return pcall(string.gsub, 'x', '.', FUNCTION)",
    "return setmetatable({}, {__index = FUNCTION}).x",
    "return -setmetatable({}, {__unm = FUNCTION})",
}

local function describe(...)
    local texts = table.pack(...)
    for i = 1, texts.n do
        local is_plain = type(texts[i]) ~= "table" and tostring(texts[i]):find("0x", 1, true) == nil
        texts[i] = is_plain and tostring(texts[i]) or type(texts[i])
    end
    return #texts > 9 and #texts .. " values" or table.concat(texts, " | ")
end

for _, call in ipairs(calls) do
    for _, way in ipairs(ways) do
        local comma = call[2] == "" and "" or ","
        local text = way:gsub("%u+", {FUNCTION = call[1], ARGS = call[2], COMMA = comma})
        local chunk = assert(load(text, "=chunk", "t", values))
        print(text, describe(pcall(chunk)))
    end
end
]==]

local function check_same(command, name)
    h.skip_without_program()
    local _, status = h.shell("command -v lua5.3")
    lu.skipIf(status ~= 0, "no stock interpreter to compare with")
    h.with_file(caller, function(file)
        local plain, plain_status = h.shell("lua5.3 " .. h.quote(file))
        local ours, ours_status = h.shell(command .. " " .. h.quote(file))
        lu.assertEquals(plain_status, 0)
        lu.assertEquals(ours_status, 0)
        local lines = {}
        for line in plain:gmatch("[^\n]+") do
            lines[#lines + 1] = line
        end
        lu.assertTrue(#lines > 2000)
        h.assert_contains(plain, "chunk:1: bad argument #1 to 'wrap' (function expected, got nil)")
        h.assert_contains(plain, "bad argument #1 to 'coroutine.resume' (thread expected)")
        h.assert_contains(plain, "too many results to resume")
        local i = 0
        for line in ours:gmatch("[^\n]+") do
            i = i + 1
            lu.assertEquals(line, lines[i], name)
        end
        lu.assertEquals(i, #lines)
    end)
end

t["test wrong calls of pcall, xpcall, require, os.exit and coroutines: the program"] = function()
    check_same(h.quote(h.program), "the program")
end

t["test wrong calls of pcall, xpcall, require, os.exit and coroutines: the prelude"] = function()
    lu.skipIf(h.is_program, "run in the stock interpreter")
    check_same("lua5.3 -l thrum.prelude", "the prelude")
end
