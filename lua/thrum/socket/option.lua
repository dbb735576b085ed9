-- SPDX-License-Identifier: BSL-1.0
-- socket: setoption and getoption. Each option is a row: how its value is checked and set, and how
-- it is read. What is behind an object has most of them under another name.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local ipairs, select, setmetatable, tonumber, tostring, type = ipairs, select, setmetatable,
    tonumber, tostring, type
local tointeger = math.tointeger
local pcall = internal.pcall
local args = internal.part "socket_args"
local address_of, socket_of = internal.address, internal.socket_of

local function bad_value(message)
    args.error(2, "setoption", message)
end

-- A number without its fraction; nil for one that no integer can hold.
local function whole(number)
    return tointeger(number < 0 and -(-number // 1) or number // 1)
end

local function is_family(self, family)
    return not family or internal.socket_family(self) == family
end

local function set_socket_option(self, name, ...)
    local sock = socket_of(self)
    return (pcall(sock.set_option, sock, name, ...))
end

local function get_socket_option(self, name)
    local sock = socket_of(self)
    return pcall(sock.get_option, sock, name)
end

-- ---- shapes ----
--
-- `set(self, value)` returns whether it was set; `get(self)` whether it could be read, and the
-- value.

local function boolean(name, family)
    return {
        set = function(self, value, count)
            args.type(2, "setoption", "boolean", value, count)
            return is_family(self, family) and set_socket_option(self, name, value)
        end,
        get = function(self)
            if is_family(self, family) then
                return get_socket_option(self, name)
            end
        end,
    }
end

-- Whatever is no number counts as 0, as LuaSocket has it: `true`, too, and nothing at all.
local function set_number(option, family)
    return function(self, value)
        value = whole(tonumber(value) or 0)
        return value and value >= -1 << 31 and value < 1 << 31 and is_family(self, family)
            and internal.socket_set_number(self, option, value)
    end
end

-- The system doubles the size of a buffer; LuaSocket tells what the system says.
local function integer(option, name, family, factor)
    return {
        set = set_number(option, family),
        get = function(self)
            if not is_family(self, family) then
                return false
            end
            local ok, value = get_socket_option(self, name)
            return ok, ok and value * (factor or 1)
        end,
    }
end

local function check_linger(value, count)
    args.type(2, "setoption", "table", value, count)
    if type(value.on) ~= "boolean" then
        bad_value("boolean 'on' field expected")
    elseif not tonumber(value.timeout) then
        bad_value("number 'timeout' field expected")
    end
end

local linger = {
    set = function(self, value, count)
        check_linger(value, count)
        return set_socket_option(self, "linger", {value.on, whole(tonumber(value.timeout))})
    end,
    get = function(self)
        local ok, value = get_socket_option(self, "linger")
        return ok, ok and {on = value[1], timeout = value[2]}
    end,
}

local pending_error = {
    get = function(self)
        local ok, err = get_socket_option(self, "error")
        return ok, ok and err and internal.socket_text(tostring(err.category), err.code) or nil
    end,
}

-- ---- multicast ----

-- What has been joined: lists of {multiaddr=, interface=} by socket and by family.
local joined = {inet = setmetatable({}, {__mode = "k"}), inet6 = setmetatable({}, {__mode = "k"})}

local function v4_address(text)
    local address = type(text) == "string" and address_of(text)
    return address and not address.is_v6 and address or nil
end

local function field_error(name)
    bad_value("invalid '" .. name .. "' ip address")
end

local function v4_group(value, count)
    args.type(2, "setoption", "table", value, count)
    if type(value.multiaddr) ~= "string" then
        bad_value("string 'multiaddr' field expected")
    end
    local group = v4_address(value.multiaddr) or field_error "multiaddr"
    if type(value.interface) ~= "string" then
        bad_value("string 'interface' field expected")
    end
    local interface
    if value.interface ~= "*" then
        interface = v4_address(value.interface) or field_error "interface"
    end
    return group, interface
end

local function v6_group(value, count)
    args.type(2, "setoption", "table", value, count)
    if type(value.multiaddr) ~= "string" then
        bad_value("string 'multiaddr' field expected")
    end
    local group = address_of(value.multiaddr)
    if not group or not group.is_v6 then
        field_error "multiaddr"
    elseif value.interface ~= nil and type(value.interface) ~= "number" then
        bad_value("number 'interface' field expected")
    end
    local interface = value.interface and (whole(value.interface) or -1)
    return group, interface ~= 0 and interface or nil
end

local function copy(entry)
    return {multiaddr = entry.multiaddr, interface = entry.interface}
end

local function same(a, b)
    return a.multiaddr == b.multiaddr and a.interface == b.interface
end

local function note_joined(self, family, value)
    local list = joined[family][self] or {}
    joined[family][self] = list
    list[#list + 1] = copy(value)
end

local function note_left(self, family, value)
    local list = joined[family][self] or {}
    for i, entry in ipairs(list) do
        if same(entry, value) then
            table.remove(list, i)
            return
        end
    end
end

local function get_joined(family)
    return function(self)
        local list = {}
        for i, entry in ipairs(joined[family][self] or {}) do
            list[i] = copy(entry)
        end
        return self:getfd() >= 0 and is_family(self, family), list
    end
end

local function membership(name, family, check, note)
    return {
        set = function(self, value, count)
            local group, interface = check(value, count)
            if not is_family(self, family)
                or not set_socket_option(self, name, group, interface) then
                return false
            end
            note(self, family, value)
            return true
        end,
        get = get_joined(family),
    }
end

local multicast_if = {
    set = function(self, value, count)
        value = args.string(2, "setoption", value, count)
        local address = value == "*" and address_of "0.0.0.0" or v4_address(value)
        if not address then
            bad_value("ip expected")
        end
        return is_family(self, "inet") and set_socket_option(self, "multicast_interface", address)
    end,
    get = function(self)
        local address = internal.socket_multicast_if(self)
        return address ~= nil, address
    end,
}

-- ---- the rows ----

local function flag(name)
    return {
        set = function(self, value, count)
            args.type(2, "setoption", "boolean", value, count)
            return internal.socket_flag(self, name, value) ~= nil
        end,
        get = function(self)
            local value = internal.socket_flag(self, name)
            return value ~= nil, value
        end,
    }
end

-- Unix sockets have it, and nothing comes of it.
local unix_linger = {
    set = function(self, value, count)
        check_linger(value, count)
        return self:getfd() >= 0
    end,
}

-- LuaSocket has no getoption of these.
local function set_only(option)
    return {set = set_number(option)}
end

local receive_size = integer("recv-buffer-size", "receive_buffer_size", nil, 2)
local send_size = integer("send-buffer-size", "send_buffer_size", nil, 2)

local rows = {
    tcp = {
        ["tcp-defer-accept"] = set_only "tcp-defer-accept",
        ["tcp-fastopen"] = set_only "tcp-fastopen",
        ["tcp-fastopen-connect"] = set_only "tcp-fastopen-connect",
        keepalive = boolean "keep_alive", reuseaddr = boolean "reuse_address",
        reuseport = boolean "reuse_port", ["tcp-nodelay"] = boolean "tcp_no_delay",
        ["tcp-keepidle"] = integer("tcp-keepidle", "tcp_keep_idle"),
        ["tcp-keepcnt"] = integer("tcp-keepcnt", "tcp_keep_count"),
        ["tcp-keepintvl"] = integer("tcp-keepintvl", "tcp_keep_interval"),
        ["ipv6-v6only"] = boolean("v6_only", "inet6"), linger = linger, error = pending_error,
        ["recv-buffer-size"] = receive_size, ["send-buffer-size"] = send_size,
    },
    udp = {
        dontroute = boolean "do_not_route", broadcast = boolean "broadcast",
        reuseaddr = boolean "reuse_address", reuseport = boolean "reuse_port",
        ["ip-multicast-if"] = multicast_if,
        ["ip-multicast-ttl"] = integer("ip-multicast-ttl", "multicast_hops", "inet"),
        ["ip-multicast-loop"] = boolean("multicast_loop", "inet"),
        ["ip-add-membership"] =
            membership("join_multicast_group", "inet", v4_group, note_joined),
        ["ip-drop-membership"] =
            membership("leave_multicast_group", "inet", v4_group, note_left),
        ["ipv6-unicast-hops"] = integer("ipv6-unicast-hops", "unicast_hops", "inet6"),
        ["ipv6-multicast-hops"] = integer("ipv6-multicast-hops", "multicast_hops", "inet6"),
        ["ipv6-multicast-loop"] = boolean("multicast_loop", "inet6"),
        ["ipv6-add-membership"] =
            membership("join_multicast_group", "inet6", v6_group, note_joined),
        ["ipv6-drop-membership"] =
            membership("leave_multicast_group", "inet6", v6_group, note_left),
        ["ipv6-v6only"] = boolean("v6_only", "inet6"), error = pending_error,
        ["recv-buffer-size"] = receive_size, ["send-buffer-size"] = send_size,
    },
    unixstream = {
        keepalive = flag "keepalive", reuseaddr = flag "reuseaddr", linger = unix_linger,
        error = pending_error,
        ["recv-buffer-size"] = receive_size, ["send-buffer-size"] = send_size,
    },
}
rows.unixdgram = {
    reuseaddr = rows.unixstream.reuseaddr, error = pending_error,
    ["recv-buffer-size"] = receive_size, ["send-buffer-size"] = send_size,
}

local function find(kind, method, access, name, count)
    name = args.string(1, method, name, count)
    local row = rows[kind][name]
    if not row or not row[access] then
        args.error(1, method, "unsupported option `" .. name .. "'")
    end
    return row
end

local function methods(kind)
    return {
        setoption = function(self, ...)
            args.self(self, "setoption", kind)
            local name, value = ...
            local count = select("#", ...)
            if find(kind, "setoption", "set", name, count).set(self, value, count) then
                return 1
            end
            return nil, "setsockopt failed"
        end,
        getoption = function(self, ...)
            args.self(self, "getoption", kind)
            local ok, value = find(kind, "getoption", "get", (...), select("#", ...)).get(self)
            if ok then
                return value
            end
            return nil, "getsockopt failed"
        end,
    }
end

return {
    tcp = methods "tcp", udp = methods "udp", unixstream = methods "unixstream",
    unixdgram = methods "unixdgram",
}
