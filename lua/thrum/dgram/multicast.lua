-- SPDX-License-Identifier: BSL-1.0
-- dgram's multicast: the interface to send by, and memberships.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, args = internal.part "dgram_base", internal.part "dgram_args"
local adapt, set_option, PREFIX, Socket = base.adapt, base.set_option, base.PREFIX, base.Socket
local error, ipairs = error, ipairs

function Socket:setMulticastTTL(ttl)
    local s = args.running(self, "setMulticastTTL")
    ttl = args.check_integer(ttl, 0, 255, "setMulticastTTL", 2, "ttl")
    set_option(s, "setMulticastTTL", "multicast_hops", ttl)
    return ttl
end

function Socket:setMulticastLoopback(flag)
    local s = args.running(self, "setMulticastLoopback")
    set_option(s, "setMulticastLoopback", "multicast_loop",
        args.check_type(flag, "boolean", "setMulticastLoopback", 2, "flag"))
    return flag
end

-- An interface: one of its addresses ("::%eth0" names one, too), its name or its index.
local function check_interface(value, op, arg)
    if math.type(value) then
        return args.check_integer(value, 0, 0x7fffffff, op, arg, "interface")
    end
    local addr = internal.address(args.check_type(value, "string", op, arg, "interface"))
    if addr and addr.is_v6 and addr.scope_id ~= 0 then
        return addr.scope_id
    end
    local interface = addr or internal.interface(value)
    if not interface then
        internal.raise("ENODEV", PREFIX .. op, "there is no interface ", value)
    end
    return interface
end

function Socket:setMulticastInterface(interface)
    local s = args.running(self, "setMulticastInterface")
    set_option(s, "setMulticastInterface", "multicast_interface",
        check_interface(interface, "setMulticastInterface", 2))
end

-- ---- memberships ----

local function check_address(value, op, arg, name)
    local addr = internal.address(args.check_type(value, "string", op, arg, name))
    if not addr then
        internal.raise_arg(PREFIX .. op, arg, name, "address in numeric form", value)
    end
    return addr
end

local function check_group(value, op, arg, name)
    if value == nil then
        internal.raise("EINVAL", PREFIX .. op, "multicast address must be specified")
    end
    return check_address(value, op, arg, name)
end

local function set_one(s, option, group, source, interface)
    local handle = s.handle
    s.is_changed = s.is_changed or not s.bound
    if source then
        return internal.pcall(handle.set_option, handle, option, group, source, interface)
    end
    return internal.pcall(handle.set_option, handle, option, group, interface)
end

-- What an interface says that cannot have this group, or has it already, or not.
local is_passed_over = {
    ENODEV = true, EADDRNOTAVAIL = true, EINVAL = true, EOPNOTSUPP = true, EADDRINUSE = true,
}

-- Every interface that can: there must be one.
local function set_everywhere(s, op, option, group, source)
    local count, first = 0, nil
    for _, index in ipairs(internal.interfaces()) do
        local is_set, err = set_one(s, option, group, source, index)
        if is_set then
            count = count + 1
        elseif is_passed_over[internal.error_name(err) or ""] then
            first = first or err
        else
            error(adapt(err, op, "setsockopt"), 0)
        end
    end
    if count == 0 and first then
        error(adapt(first, op, "setsockopt"), 0)
    end
end

-- Without an interface, or with luvit's 0.0.0.0 or ::0, the system chooses one. `arg` is the
-- interface's.
local function set_membership(s, op, option, group, source, interface, arg)
    if interface == "*" then
        set_everywhere(s, op, option, group, source)
        return 0
    elseif interface == "" then
        interface = nil
    elseif interface ~= nil then
        interface = check_interface(interface, op, arg)
    end
    local is_set, err = set_one(s, option, group, source, interface)
    if not is_set then
        error(adapt(err, op, "setsockopt"), 0)
    end
    return 0
end

function Socket:addMembership(group, interface)
    local s = args.running(self, "addMembership")
    group = check_group(group, "addMembership", 2, "multicastAddress")
    return set_membership(s, "addMembership", "join_multicast_group", group, nil, interface, 3)
end

function Socket:dropMembership(group, interface)
    local s = args.running(self, "dropMembership")
    group = check_group(group, "dropMembership", 2, "multicastAddress")
    return set_membership(s, "dropMembership", "leave_multicast_group", group, nil, interface, 3)
end

local membership_options = {join = "join_multicast_group", leave = "leave_multicast_group"}

function Socket:setMembership(group, interface, what)
    local s = args.running(self, "setMembership")
    group = check_group(group, "setMembership", 2, "multicastAddress")
    local arg = 4
    if what == nil and membership_options[interface] then
        interface, what, arg = nil, interface, 3
    end
    local option = membership_options[what]
    if not option then
        internal.raise_arg(PREFIX .. "setMembership", arg, "op", "\"join\" or \"leave\"", what)
    end
    return set_membership(s, "setMembership", option, group, nil, interface, 3)
end

local function set_source_membership(self, op, option, source, group, interface)
    local s = args.running(self, op)
    source = check_address(source, op, 2, "sourceAddress")
    group = check_group(group, op, 3, "groupAddress")
    return set_membership(s, op, option, group, source, interface, 4)
end

function Socket:addSourceSpecificMembership(source, group, interface)
    return set_source_membership(self, "addSourceSpecificMembership", "join_source_group", source,
        group, interface)
end

function Socket:dropSourceSpecificMembership(source, group, interface)
    return set_source_membership(self, "dropSourceSpecificMembership", "leave_source_group", source,
        group, interface)
end
