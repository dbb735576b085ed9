-- SPDX-License-Identifier: BSL-1.0
-- dgram's block lists: sets of addresses to receive nothing from, or to send nothing to, as Node's
-- net.BlockList.
--
-- An IPv4 address counts as its IPv4-mapped form, so all are 128 bits, in two integers, and every
-- rule is one or more prefixes: a range is cut into its prefixes. A check looks once for each
-- length of prefix that there is, however many rules there are.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local math_type, tointeger, ult = math.type, math.tointeger, math.ult
local setmetatable, tostring, type = setmetatable, tostring, type
local unpack_bytes = string.unpack

local block_list = {}

local BlockList = {}
BlockList.meta = {__index = BlockList, __name = "dgram.BlockList"}
block_list.BlockList = BlockList

-- By list: `lengths` is a list of the prefix lengths, `sets` has the prefixes by length (by the
-- first half and, if they are longer than it, the second), `texts` is what `rules` tells.
local states = setmetatable({}, {__mode = "k"})

-- ---- prefixes ----

-- The integer whose first n bits are set: 0 to 64.
local function mask(n)
    return n == 0 and 0 or ~0 << (64 - n)
end

local function masks(length)
    return length < 64 and mask(length) or ~0, length > 64 and mask(length - 64) or 0
end

local function add_prefix(state, high, low, length)
    local set = state.sets[length]
    if not set then
        set = {}
        state.sets[length] = set
        state.lengths[#state.lengths + 1] = length
    end
    local high_mask, low_mask = masks(length)
    high, low = high & high_mask, low & low_mask
    if length <= 64 then
        set[high] = true
    else
        set[high] = set[high] or {}
        set[high][low] = true
    end
end

local function has_prefix(state, high, low)
    local lengths, sets = state.lengths, state.sets
    for i = 1, #lengths do
        local length = lengths[i]
        local high_mask, low_mask = masks(length)
        local found = sets[length][high & high_mask]
        if found and (length <= 64 or found[low & low_mask]) then
            return true
        end
    end
    return false
end

local function is_less(high, low, other_high, other_low)
    return ult(high, other_high) or high == other_high and ult(low, other_low)
end

-- The shortest prefix that begins with the first address and does not pass the last one; and its
-- own last address.
local function cut_prefix(high, low, last_high, last_low)
    local length, end_high, end_low = 128, high, low
    while length > 0 do
        local high_mask, low_mask = masks(length - 1)
        local next_high, next_low = high | ~high_mask, low | ~low_mask
        if high & high_mask ~= high or low & low_mask ~= low
            or is_less(last_high, last_low, next_high, next_low) then
            break
        end
        length, end_high, end_low = length - 1, next_high, next_low
    end
    return length, end_high, end_low
end

local function add_range(state, high, low, last_high, last_low)
    while true do
        local length, end_high, end_low = cut_prefix(high, low, last_high, last_low)
        add_prefix(state, high, low, length)
        if end_high == last_high and end_low == last_low then
            return
        end
        low = end_low + 1
        high = low == 0 and end_high + 1 or end_high
    end
end

-- ---- arguments ----

local PREFIX = "dgram.BlockList."

local function state_of(self, op)
    local state = states[self]
    if not state then
        internal.raise_arg(PREFIX .. op, 1, "self", "dgram.BlockList", self)
    end
    return state
end

local families = {ipv4 = "v4", ipv6 = "v6"}

-- "v4", "v6", or nil for whatever the address is.
local function check_family(value, op, arg)
    if value == nil then
        return nil
    end
    local family = type(value) == "string" and families[value:lower()]
    if not family then
        internal.raise_arg(PREFIX .. op, arg, "family", "\"ipv4\" or \"ipv6\"", value)
    end
    return family
end

local function is_of(addr, family)
    return family == nil or (family == "v6") == addr.is_v6
end

-- The address object; nil for a text that is none, or one of another family.
local function to_address(value, family, op, arg, name)
    local addr = value
    if type(value) == "string" then
        addr = internal.address(value)
    elseif type(value) ~= "userdata" or not internal.address(value) then
        internal.raise_arg(PREFIX .. op, arg, name, "address", value)
    end
    return addr and is_of(addr, family) and addr or nil
end

local function check_address(value, family, op, arg, name)
    local addr = to_address(value, family, op, arg, name)
    if not addr then
        local wanted = family and "ip" .. family .. " address" or "address"
        internal.raise_arg(PREFIX .. op, arg, name, wanted .. " in numeric form", value)
    end
    return addr
end

-- Two integers. A zone plays no part.
local function to_bits(addr)
    return unpack_bytes(">i8i8", (addr.is_v6 and addr or addr:to_v6()):to_bytes())
end

local function note_rule(state, text)
    if not state.texts[text] then
        state.texts[text] = true
        state.texts[#state.texts + 1] = text
    end
end

local function family_name(addr)
    return addr.is_v6 and "IPv6" or "IPv4"
end

-- ---- methods ----

function BlockList:new()
    if self ~= BlockList then
        internal.raise_arg(PREFIX .. "new", 1, "self", "class", self)
    end
    local list = setmetatable({}, BlockList.meta)
    states[list] = {lengths = {}, sets = {}, texts = {}}
    return list
end

function BlockList:addAddress(addr, family)
    local state = state_of(self, "addAddress")
    addr = check_address(addr, check_family(family, "addAddress", 3), "addAddress", 2, "address")
    local high, low = to_bits(addr)
    add_prefix(state, high, low, 128)
    note_rule(state, "Address: " .. family_name(addr) .. " " .. tostring(addr))
end

function BlockList:addRange(first, last, family)
    local state = state_of(self, "addRange")
    family = check_family(family, "addRange", 4)
    first = check_address(first, family, "addRange", 2, "start")
    last = check_address(last, first.is_v6 and "v6" or "v4", "addRange", 3, "end")
    local high, low = to_bits(first)
    local last_high, last_low = to_bits(last)
    if is_less(last_high, last_low, high, low) then
        internal.raise("EINVAL", PREFIX .. "addRange", "start must come before end")
    end
    add_range(state, high, low, last_high, last_low)
    note_rule(state, "Range: " .. family_name(first) .. " " .. tostring(first) .. "-"
        .. tostring(last))
end

function BlockList:addSubnet(net, prefix, family)
    local state = state_of(self, "addSubnet")
    net = check_address(net, check_family(family, "addSubnet", 4), "addSubnet", 2, "net")
    local size = net.is_v6 and 128 or 32
    local length = math_type(prefix) and tointeger(prefix)
    if not length or length < 0 or length > size then
        internal.raise_arg(PREFIX .. "addSubnet", 3, "prefix", "integer from 0 to " .. size, prefix)
    end
    local high, low = to_bits(net)
    add_prefix(state, high, low, 128 - size + length)
    note_rule(state, "Subnet: " .. family_name(net) .. " " .. tostring(net) .. "/" .. length)
end

function BlockList:check(addr, family)
    local state = state_of(self, "check")
    addr = to_address(addr, check_family(family, "check", 3), "check", 2, "address")
    return addr ~= nil and has_prefix(state, to_bits(addr))
end

function BlockList:rules()
    return table.move(state_of(self, "rules").texts, 1, #states[self].texts, 1, {})
end

-- ---- for the sockets ----

-- Whether a value is such a list.
function block_list.is_list(value)
    return states[value] ~= nil
end

function block_list.has(list, addr)
    return has_prefix(states[list], to_bits(addr))
end

return block_list
