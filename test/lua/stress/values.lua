-- SPDX-License-Identifier: BSL-1.0
-- Steps with what never suspends: byte spans against Lua's strings, addresses and networks, and the
-- collector.
local h, stress = ...
local thrum = h.thrum
local byte_span, ip = thrum.byte_span, thrum.ip

local values = {}

local function random_text(actor, n)
    local bytes = {}
    for i = 1, n do
        bytes[i] = string.char(96 + actor.dice(4))
    end
    return table.concat(bytes)
end

-- ---- byte_span ----

local function plain_find(text, s, first)
    return (text:find(s, first, true))
end

local function plain_rfind(text, s)
    for i = #text - #s + 1, 1, -1 do
        if text:sub(i, i + #s - 1) == s then
            return i
        end
    end
end

local function check_searches(actor, span, text)
    local s = random_text(actor, actor.dice(3) - 1)
    actor:check(span:find(s) == plain_find(text, s, 1), "find")
    actor:check(span:rfind(s) == plain_rfind(text, s), "rfind")
    actor:check(span:starts_with(s) == (text:sub(1, #s) == s), "starts_with")
    actor:check(span:ends_with(s) == (text:sub(#text - #s + 1) == s), "ends_with")
    local set = s == "" and "" or "[" .. s .. "]"
    local others = s == "" and "." or "[^" .. s .. "]"
    actor:check(span:find_first_of(s) == (set ~= "" and text:find(set) or nil), "first_of")
    actor:check(span:find_first_not_of(s) == (text:find(others) or nil), "first_not_of")
end

local function check_integers(actor, span, text)
    local size = actor:pick {1, 2, 4, 8}
    if #text < size then
        return
    end
    local at, order = actor.dice(#text - size + 1), actor:pick {"be", "le"}
    local format = (order == "be" and ">" or "<") .. (size == 8 and "i" or "I") .. size
    local get = span["get_u" .. size * 8]
    local number = size == 1 and get(span, at) or get(span, at, order)
    actor:check(number == string.unpack(format, text, at), "get_u%d", size * 8)
end

-- Windows on one block: what is written through one is seen through the others.
function values.span(actor)
    local text = random_text(actor, actor.dice(24) - 1)
    local span = byte_span.new(#text, #text + actor.dice(8) - 1)
    actor:check(span:copy(text) == #text and tostring(span) == text, "copy")
    check_searches(actor, span, text)
    check_integers(actor, span, text)
    local last = actor.dice(span.capacity + 1) - 1
    local first = actor.dice(last + 1)
    local window = span:slice(first, last)
    actor:check(#window == last - first + 1, "slice")
    local n_shared = math.max(0, #text - first + 1)
    actor:check(tostring(window):sub(1, n_shared) == text:sub(first, last), "slice")
    if #window > 0 then
        window[1] = 120
        window:set_u8(#window, 121)
        local seen = span:slice(1, span.capacity)
        actor:check(seen[last] == 121 and (first == last or seen[first] == 120), "a window")
    end
    local more = random_text(actor, actor.dice(12) - 1)
    local longer = window:append(more, nil, span)
    actor:check(tostring(longer):sub(#window + 1, #window + #more) == more, "append")
    actor:check(not stress.Actor.pcall(span.slice, span, 1, span.capacity + 1), "a slice too far")
end

-- ---- addresses ----

function values.address(actor)
    local dice = actor.dice
    local text = ("%d.%d.%d.%d"):format(dice(256) - 1, dice(256) - 1, dice(256) - 1, dice(256) - 1)
    local addr = ip.address.new(text)
    actor:check(tostring(addr) == text and addr.is_v4, "address.new")
    actor:check(rawequal(addr, ip.address.from_bytes(addr:to_bytes())), "addresses are interned")
    local mapped = addr:to_v6()
    actor:check(mapped.is_v4_mapped and rawequal(mapped:to_v4(), addr) and addr < mapped, "mapped")
    local kept = actor.world.addresses
    kept[addr] = text
    actor:check(kept[ip.address.new(text)] == text, "an address as a key")
    local v6 = ip.address.from_bytes(("\xfd"):rep(8) .. string.pack(">i8", dice(1 << 60)))
    actor:check(ip.address.new(tostring(v6)) == v6, "an address's text")
    local port = dice(65536) - 1
    local again, its_port = ip.toendpoint(ip.tostring(v6, port))
    actor:check(again == v6 and its_port == port, "toendpoint")
    actor:check(not stress.Actor.pcall(ip.address.new, text .. ".1"), "address.new takes nonsense")
end

function values.network(actor)
    local bits, length = actor.dice(1 << 32) - 1, actor.dice(33) - 1
    local addr = ip.address.from_bytes(string.pack(">I4", bits))
    local net = ip.network.new(("%s/%d"):format(addr, length))
    local mask = 0xffffffff & ~(0xffffffff >> length)
    local other = actor.dice(1 << 32) - 1
    if actor:chance(2) then
        other = bits ~ (1 << (actor.dice(32) - 1))
    end
    local is_inside = other & mask == bits & mask
    actor:check(net:contains(ip.address.from_bytes(string.pack(">I4", other))) == is_inside,
        "%s contains", net)
    actor:check(net.netmask:to_bytes() == string.pack(">I4", mask), "netmask of %s", net)
    actor:check(net == ip.network.new(tostring(net)) and net.address == addr, "a network's text")
end

-- ---- the collector ----

function values.collect(actor)
    if actor:chance(5) then
        collectgarbage()
    else
        collectgarbage("step", actor.dice(50))
    end
end

-- What a finalizer may do: whatever does not suspend. It runs in whichever fiber allocates next.
local function finalize(world)
    local ok, err = thrum.pcall(thrum.this_fiber.yield)
    world:check(not ok and h.is_error(err), "a finalizer has suspended a fiber: %s", err)
    world.n_finalized = world.n_finalized + 1
    thrum.spawn(function()
        thrum.this_fiber.yield()
        world.n_finalized = world.n_finalized - 1
    end)
end

-- Objects that nobody uses, for the collector to close.
function values.litter(actor)
    local world = actor.world
    setmetatable({}, {__gc = function()
        finalize(world)
    end})
    for _ = 1, 3 do
        local sock = ip.udp.socket.new()
        sock:open("v4")
        sock = sock:release() -- luacheck: ignore
        thrum.time.steady_timer.new()
        thrum.channel.new(1)
        thrum.coroutine.create(print)
    end
end

function values.stats(actor)
    local stats, n = thrum.stats(), 0
    for _, other in pairs(actor.world.actors) do
        n = other.n_starts > 0 and other.n_ends == 0 and n + 1 or n
    end
    actor:check(stats.fibers >= n, "%d fibers, and %d actors", stats.fibers, n)
end

function values.set_up(world)
    world.addresses = {}
    world.n_finalized = 0
end

-- The fibers that finalizers have spawned have ended as well.
function values.finish(world)
    collectgarbage()
    for _ = 1, 100 do
        thrum.this_fiber.yield()
    end
    world:check(world.n_finalized == 0, "%d fibers of finalizers are left", world.n_finalized)
end

values.steps = {
    {2, values.span}, {1, values.address}, {1, values.network}, {2, values.collect},
    {1, values.litter}, {1, values.stats},
}

return values
