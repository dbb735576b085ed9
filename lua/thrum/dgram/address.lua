-- SPDX-License-Identifier: BSL-1.0
-- dgram's addresses: how they are shown to programs, and what texts and names stand for.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, block_list = internal.part "dgram_base", internal.part "dgram_block_list"
local ip = thrum.ip
local ipairs, setmetatable, tostring = ipairs, setmetatable, tostring

local address = {
    any = {v4 = ip.address.any_v4(), v6 = ip.address.any_v6()},
    loopback = {v4 = ip.address.loopback_v4(), v6 = ip.address.loopback_v6()},
    -- The addresses of texts, by family, as long as somebody else has them as well.
    known = {v4 = setmetatable({}, {__mode = "v"}), v6 = setmetatable({}, {__mode = "v"})},
    -- What programs see of an address, by the address: its text and its family.
    shown = setmetatable({}, {__mode = "k"}),
}

-- Whether its text has the name of an interface, which may be another's at any time: such texts
-- are neither known nor shown from memory.
local function has_zone(addr)
    return addr.is_v6 and addr.scope_id ~= 0
end

-- An IPv4 sender of a udp6 socket is ::ffff:a.b.c.d, as in Node.
function address.show(addr)
    local entry = {text = tostring(addr), family = addr.is_v6 and "IPv6" or "IPv4"}
    if not has_zone(addr) then
        address.shown[addr] = entry
    end
    return entry
end

function address.describe(addr, port)
    local entry = address.show(addr)
    return {address = entry.text, ip = entry.text, family = entry.family, port = port}
end

-- The address if it is one in numeric form that such a socket can reach; nil and an error if it
-- cannot; nil for a name.
function address.parse(s, op, text)
    local addr = s.known[text]
    if addr then
        return addr
    end
    addr = internal.address(text)
    if not addr then
        return nil
    end
    if s.family == "v4" and addr.is_v6 then
        if not addr.is_v4_mapped then
            return nil, internal.error("EAFNOSUPPORT", base.PREFIX .. op,
                "a v6 address for a udp4 socket")
        end
        addr = addr:to_v4()
    end
    if not has_zone(addr) then
        s.known[text] = addr
    end
    return addr
end

-- The error of a send or connect to an address that the socket's list blocks, or nil.
function address.check_allowed(s, op, addr)
    if s.send_block_list and block_list.has(s.send_block_list, addr) then
        return internal.error("EPERM", base.PREFIX .. op, "blocked by the socket's sendBlockList")
    end
    return nil
end

-- ---- names ----

-- A udp6 socket reaches v4 addresses as well, and takes one if there is no other.
local function ask_resolver(s, host)
    if s.family == "v4" then
        return ip.udp.get_address_v4_info(host, 0)[1].address
    end
    local results = ip.udp.get_address_info(host, 0)
    for _, result in ipairs(results) do
        if result.address.is_v6 then
            return result.address
        end
    end
    return results[1].address
end

-- Call finish(err) or finish(nil, result); a program's own function does, or returns the result.
local function ask(s, host, finish)
    local is_well, result
    if s.lookup then
        local options = {family = s.family == "v6" and 6 or 4}
        is_well, result = thrum.pcall(s.lookup, host, options, finish)
    else
        is_well, result = thrum.pcall(ask_resolver, s, host)
    end
    if not is_well then
        finish(result)
    elseif result ~= nil then
        finish(nil, result)
    end
end

local function check_result(s, op, result)
    local addr, err
    if result ~= nil then
        addr, err = address.parse(s, op, tostring(result))
    end
    if not addr and not err then
        err = internal.error("EADDRNOTAVAIL", base.PREFIX .. op, "no address found for the name")
    end
    return addr, err
end

-- Have `done(err, addr)` called once, in another fiber, with what the name stands for. A lookup of
-- the program's may answer later than that fiber ends.
function address.look_up(s, op, host, port, done)
    local is_done, has_asked = false, false
    local function finish(err, result)
        if is_done then
            return
        end
        local addr
        if not err then
            addr, err = check_result(s, op, result)
        end
        if err then
            err = base.adapt(err, op, "getaddrinfo", host, port)
        end
        is_done = true
        done(err, addr)
    end
    local function run(start)
        if start.is_made then
            ask(s, host, finish)
            has_asked = true
        end
    end
    base.run_watched(function()
        if not has_asked then -- there was no memory for that
            finish(internal.error("ENOMEM", base.PREFIX .. op))
        end
    end, thrum.fiber.named("dgram lookup of " .. host, run)):detach()
end

return address
