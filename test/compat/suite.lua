-- SPDX-License-Identifier: BSL-1.0
-- Runs the cases of cases/*.lua on the module `socket` that there is: LuaSocket's own or ours.
--
--     lua5.3 suite.lua real [pattern]       LuaSocket's own
--     lua5.3 suite.lua prelude [pattern]    ours in a stock interpreter, outside any fiber
--     thrum suite.lua fiber [pattern]       ours in the program, each case in a fiber of its own
--
-- A file of cases is given two values: the table `c` of this file, and the table `t` it adds its
-- cases to, as t["D50: what is so"] = function() ... end. What a case is about stands before the
-- colon, as the number of an item of the features that LuaSocket's documentation (version 3.1.0)
-- describes, page by page; every item has to have a case:
--
--     D01 to D05   what all functions share: results, messages, time-outs, collection; and the
--                  helpers of socket.lua: connect4, connect6, bind, choose, sinks, sources
--     D10 to D16   socket.select
--     D17 to D30   the other functions and values of the namespace `socket`
--     D40 to D44   socket.dns
--     D50 to D68   TCP: accept, bind, close, connect, ... by the names of the methods
--     D70 to D86   UDP: likewise; D83 to D86 are about datagrams as such
--     D87          what LuaSocket has and its documentation leaves out: socket.unix,
--                  socket.serial, getfamily, gettimeout, more options
--
-- Both modules block when nothing else can run, so a case has both ends of what it is about: small
-- messages over loopback, which the system holds until they are taken. Where an end has to come
-- later it is a helper process (c.helper).
--
-- Where ours differs on purpose, the case says c.differs(name, got), and differences.lua has what
-- either module gives.
local setup, pattern = arg[1], arg[2]
local directory = arg[0]:match("^(.*)/[^/]*$") or "."
_G.arg = {[0] = arg[0]} -- LuaUnit would read it as its own
local lu = require "luaunit"

local is_ours = setup ~= "real"
local thrum = nil
if setup == "fiber" then
    thrum = require "thrum"
elseif setup == "prelude" then
    thrum = require "thrum.prelude"
end
local socket = require "socket"

local items = {}
for _, range in ipairs {{1, 5}, {10, 30}, {40, 44}, {50, 68}, {70, 87}} do
    for number = range[1], range[2] do
        items[("D%02d"):format(number)] = 0
    end
end

local c = {
    lu = lu,
    socket = socket,
    is_ours = is_ours,
    setup = setup,
    thrum = thrum,
    has_hosts = os.getenv("COMPAT_HOSTS") ~= nil, -- the names below are known here
}

-- What a case leaves to be closed.

local kept = {}

-- Closed when the case is over.
function c.keep(object, err)
    if not object then
        error(tostring(err), 2)
    end
    kept[#kept + 1] = object
    return object
end

local function close_kept()
    for i = #kept, 1, -1 do
        pcall(kept[i].close, kept[i])
        kept[i] = nil
    end
end

local function descriptors()
    local open = {}
    for number = 0, 63 do
        local file = io.open("/proc/self/fdinfo/" .. number)
        if file then
            file:close()
            open[#open + 1] = number
        end
    end
    return table.concat(open, " ")
end

local function snapshot()
    local text = "descriptors: " .. descriptors()
    if thrum then
        local stats = thrum.stats()
        text = ("%s; fibers: %d; objects: %d"):format(text, stats.fibers, stats.objects)
        if setup == "fiber" then -- the timer of the caller outside stays armed until its time
            text = ("%s; operations: %d"):format(text, stats.operations)
        end
    end
    return text
end

-- Cancelled operations end within a few turns of the loop.
local function settled(wanted)
    local now
    for round = 1, 100 do
        collectgarbage()
        collectgarbage()
        if thrum then
            thrum.time.sleep(round > 10 and 0.001 or 0)
        end
        local last = now
        now = snapshot()
        if now == (wanted or last) then
            break
        end
    end
    return now
end

-- What cases lean on.

-- A listening socket on a port of loopback, and the port.
function c.server()
    local server = c.keep(socket.tcp4())
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(32))
    server:settimeout(10)
    local _, port = server:getsockname()
    return server, math.tointeger(tonumber(port))
end

-- Both ends of a connection. A case that hangs fails for the time-out.
function c.pair()
    local server, port = c.server()
    local client = c.keep(socket.tcp4())
    client:settimeout(10)
    assert(client:connect("127.0.0.1", port))
    local peer = c.keep(server:accept())
    peer:settimeout(10)
    server:close()
    return client, peer
end

-- A UDP socket on a port of loopback, and the port.
function c.bound()
    local sock = c.keep(socket.udp4())
    assert(sock:setsockname("127.0.0.1", 0))
    sock:settimeout(10)
    local _, port = sock:getsockname()
    return sock, math.tointeger(tonumber(port))
end

-- A connected UDP socket and the one it is connected to, which is not.
function c.udp_pair()
    local other, port = c.bound()
    local sock = c.keep(socket.udp4())
    assert(sock:setpeername("127.0.0.1", port))
    sock:settimeout(10)
    return sock, other
end

-- A port of loopback at which nobody is.
function c.free_port()
    local server, port = c.server()
    server:close()
    return port
end

-- Something that a Python process does meanwhile; the words are its arguments, `socket` and `sys`
-- are imported. It is waited for when the case is over; read() gives what it prints.
function c.helper(program, ...)
    local words = {"timeout 20 python3 -c", c.quote("import socket, sys\n" .. program)}
    for _, word in ipairs {...} do
        words[#words + 1] = c.quote(tostring(word))
    end
    local pipe = assert(io.popen(table.concat(words, " ")))
    return c.keep({
        read = function()
            return pipe:read("a")
        end,
        close = function()
            pipe:close()
        end,
    })
end

function c.quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

function c.skip_without_hosts()
    lu.skipIf(not c.has_hosts, "the names it asks for are not known here (no namespace of its own)")
end

function c.has_v6()
    local sock = socket.udp6()
    local ok = sock and sock:setsockname("::1", 0)
    if sock then
        sock:close()
    end
    return ok
end

function c.skip_without_v6()
    lu.skipIf(not c.has_v6(), "no IPv6 here")
end

-- A case for which only one of the modules will do.
function c.only(wanted, why)
    lu.skipIf((wanted == "ours") ~= is_ours, ("only on %s: %s"):format(wanted, why))
end

-- nil and that message, and what else there is.
function c.fails(message, ...)
    local results = table.pack(...)
    lu.assertNil(results[1])
    lu.assertEquals(results[2], message)
    return table.unpack(results, 3, results.n)
end

-- An error is raised, whose message has that part.
function c.raises(part, f, ...)
    local ok, err = pcall(f, ...)
    if ok then
        lu.fail(("no error, where '%s' was expected"):format(part))
    end
    if not tostring(err):find(part, 1, true) then
        lu.fail(("'%s' is not in: %s"):format(part, tostring(err)))
    end
end

-- One row of differences.lua.
local differences, elsewhere = dofile(directory .. "/cases/differences.lua")
local seen = {}

function c.differs(name, got)
    local row = differences[name]
    if not row then
        error("differences.lua has no row " .. name, 2)
    end
    seen[name] = true
    lu.assertEquals(got, row[is_ours and "ours" or "real"], name)
end

-- The cases.

local cases = {}
local t = setmetatable({}, {
    __newindex = function(_, name, case)
        assert(name:find("^D%d%d[D%d ]*: "), "a case's name begins with its items: " .. name)
        for _, known in ipairs(cases) do
            assert(known.name ~= name, "two cases with one name: " .. name)
        end
        for item in name:match("^[^:]*"):gmatch("D%d%d") do
            assert(items[item], "no such item: " .. item)
            items[item] = items[item] + 1
        end
        cases[#cases + 1] = {name = name, case = case}
    end,
})

for _, name in ipairs {"general", "namespace", "select", "dns", "tcp", "transfer", "udp"} do
    assert(loadfile(("%s/cases/%s.lua"):format(directory, name)))(c, t)
end

local function explain(err)
    if type(err) == "string" and err:find("LuaUnit test ", 1, true) then
        return err
    end
    return debug.traceback(tostring(err), 2)
end

local function call_case(case)
    local ok, err
    local function protected()
        ok, err = xpcall(case, explain)
    end
    if setup == "fiber" then
        thrum.spawn(protected):join()
    else
        protected()
    end
    return ok, err
end

local function outcome(ok, err)
    local reason = not ok and err:match("LuaUnit test SKIP:%s*(.*)")
    if ok then
        return "ok"
    elseif reason then
        return "skip", reason
    end
    return "FAILED", err
end

local count = {ok = 0, skip = 0, FAILED = 0}

local function run_case(entry)
    local before = settled()
    local word, text = outcome(call_case(entry.case))
    close_kept()
    local after = settled(before)
    if word ~= "FAILED" and after ~= before then
        word, text = "FAILED", ("left behind: before %s, now %s"):format(before, after)
    end
    count[word] = count[word] + 1
    print(("%-7s%s%s"):format(word, entry.name, text and ": " .. text or ""))
    io.stdout:flush()
end

local function fail(...)
    count.FAILED = count.FAILED + 1
    print("FAILED " .. string.format(...))
end

-- The beginnings of the rows of the page's table.
local function page_rows()
    local page = assert(io.open(directory .. "/../../doc/man/socket.3thrum.adoc"))
    local notes = page:read("a"):match("\n== NOTES\n(.-)\n== ")
    page:close()
    local rows, n_cells = {}, 0
    for cell in notes:match("|===\n.-\n\n(.*)|==="):gmatch("|([^|]*)") do
        if n_cells % 3 == 0 then
            rows[#rows + 1] = cell:gsub("%s+", " ")
        end
        n_cells = n_cells + 1
    end
    return rows
end

local function begins(row, words)
    return row:sub(1, #words) == words
end

local function check_page()
    local rows, is_shown = page_rows(), {}
    for name, difference in pairs(differences) do
        local found
        for _, row in ipairs(rows) do
            if begins(row, difference.page) then
                found, is_shown[row] = true, true
            end
        end
        if not found then
            fail("the page has no row for: %s", name)
        end
    end
    for _, row in ipairs(rows) do
        for words in pairs(elsewhere) do
            is_shown[row] = is_shown[row] or begins(row, words)
        end
        if not is_shown[row] then
            fail("no case shows the page's row: %s", row)
        end
    end
end

-- Lists that have to be whole, when everything was run.
local function check_lists()
    for item, n in pairs(items) do
        if n == 0 then
            fail("%s has no case", item)
        end
    end
    for name in pairs(count.skip == 0 and differences or {}) do
        if not seen[name] then
            fail("no case shows the difference: %s", name)
        end
    end
    check_page()
end

-- What is loaded and opened at the first use stays.
local function warm_up()
    local client, peer = c.pair()
    client:settimeout(0)
    client:receive(1)
    client:send("x")
    peer:receive(1)
    socket.select({client}, nil, 0)
    socket.sleep(0.001) -- 0 asks for no timer
    socket.dns.toip("localhost")
    close_kept()
end

-- As the cases are: a time-out that it has set in the main fiber would be armed for ten seconds
-- more, and its end would be taken for something that a case has left behind.
assert(call_case(warm_up))
for _, entry in ipairs(cases) do
    if not pattern or entry.name:find(pattern) then
        run_case(entry)
    end
end
if not pattern then
    check_lists()
end
print(("%d passed, %d failed, %d skipped"):format(count.ok, count.FAILED, count.skip))
io.stdout:flush()
os.exit(count.FAILED == 0 and 0 or 1)
