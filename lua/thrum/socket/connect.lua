-- SPDX-License-Identifier: BSL-1.0
-- socket: binding and connecting, to names as well as to addresses.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local pcall, error, ipairs, pairs = thrum.pcall, error, ipairs, pairs
local select, tostring, type = select, tostring, type
local tonumber = tonumber
local args = internal.part "socket_args"
local address_of, become = internal.address, internal.part "socket_kinds".become
local is_self, check_string = args.self, args.string

local UNKNOWN_SERVICE = "service not supported for socket type"
local OTHER_FAMILY = "Address family for hostname not supported"

-- ---- names ----

-- Call a function that may suspend and raises: its result, or nil, the text and the error. What
-- is about the fiber and not the call, an interruption or the end of a timeout scope, is raised.
local function call(f, ...)
    local n_expired = internal.expired_scopes()
    local ok, result = pcall(f, ...)
    if ok then
        return result
    elseif type(result) ~= "table" or not result.category or internal.expired_scopes() > n_expired
        or tostring(result.category) == "fiber" then
        error(result, 0)
    end
    return nil, internal.socket_text(tostring(result.category), result.code), result
end

local lookups = {}
for protocol, functions in pairs(internal.socket_lookups) do
    lookups[protocol] = {
        any = functions.get_address_info, inet = functions.get_address_v4_info,
        inet6 = functions.get_address_v6_info,
    }
end

-- The port as a number; a name of a service as it is; nil for neither.
local function check_port(port)
    if not port:find "^%s*%d+%s*$" then
        return port ~= "" and #port < 32 and not port:find "%z" and port or nil
    end
    local number = tonumber(port)
    return number <= 65535 and number or nil
end

-- The addresses of a name or a numeric host, and the port; or nil and a text.
local function resolve(protocol, host, port, family)
    local address = address_of(host)
    port = check_port(port)
    if not port then
        return nil, UNKNOWN_SERVICE
    elseif address and family and (family == "inet6") ~= address.is_v6 then
        return nil, OTHER_FAMILY
    elseif address and type(port) == "number" then
        return {address}, port
    elseif host == "" then
        return nil, "host or service not provided, or not known"
    end
    local found, message = call(lookups[protocol][family or "any"], host, port)
    if not found then
        return nil, message
    end
    local list = {}
    for i, entry in ipairs(found) do
        list[i] = entry.address
    end
    return list, found[1] and found[1].port
end

local function any_host(family)
    return family == "inet6" and "::" or "0.0.0.0"
end

-- ---- binding ----

-- The attempts, address by address; one of another family than the last makes another descriptor,
-- unless the family is given.
local function try_all(self, protocol, host, port, attempt, is_final)
    local family = internal.socket_family(self)
    local list, number = resolve(protocol, host, port, family)
    if not list then
        return nil, number
    end
    local last, res, err
    for _, address in ipairs(list) do
        if not family and last and last.is_v6 ~= address.is_v6 then
            internal.socket_reset(self)
        end
        last = address
        res, err = attempt(self, address, number)
        if res or is_final and is_final(self, err) then
            break
        end
    end
    if res then
        return res
    end
    return nil, err
end

local function bind(self, protocol, host, port)
    if host == "*" then
        host = any_host(internal.socket_family(self))
    end
    return try_all(self, protocol, host, port, internal.socket_bind)
end

-- ---- connecting ----

-- Who does not wait, or has waited all the time there is, goes on with this address.
local function has_timed_out(_, err)
    return err == "timeout"
end

local function connect(self, host, port)
    local start = internal.socket_start(self)
    return try_all(self, "tcp", host, port, function(sock, address, number)
        return internal.connect(sock, address, number, start)
    end, has_timed_out)
end

local function set_peer(self, host, port)
    return try_all(self, "udp", host, port, internal.connect)
end

-- ---- methods ----

local function tcp_bind(name)
    return function(self, ...)
        is_self(self, name, "tcp", "master")
        local host, port = ...
        local count = select("#", ...)
        host = check_string(1, name, host, count)
        port = check_string(2, name, port, count)
        return bind(self, "tcp", host, port)
    end
end

local function tcp_connect(name)
    return function(self, ...)
        is_self(self, name, "tcp")
        local host, port = ...
        local count = select("#", ...)
        host = check_string(1, name, host, count)
        port = check_string(2, name, port, count)
        if internal.socket_is(self, "tcp", 1) then
            become(self, "client")
        end
        return connect(self, host, port)
    end
end

local function udp_setsockname(self, ...)
    is_self(self, "setsockname", "udp", "unconnected")
    local host, port = ...
    local count = select("#", ...)
    host = check_string(1, "setsockname", host, count)
    port = check_string(2, "setsockname", port, count)
    return bind(self, "udp", host, port)
end

local function udp_setpeername(self, ...)
    is_self(self, "setpeername", "udp")
    local host, port = ...
    local count = select("#", ...)
    host = check_string(1, "setpeername", host, count)
    if host == "*" then
        if self:getfd() >= 0 then
            internal.socket_disconnect(self)
        end
        become(self, "unconnected")
        return 1
    end
    port = check_string(2, "setpeername", port, count)
    local res, err = set_peer(self, host, port)
    if not res then
        return nil, err
    end
    become(self, "connected")
    return res
end

-- ---- socket.connect ----

local families = {inet = "inet", inet6 = "inet6", unspec = "any"}

local function connect_new(...)
    local host, port, local_host, local_port, family = ...
    local count = select("#", ...)
    host = check_string(1, "socket.connect", host, count)
    port = check_string(2, "connect", port, count)
    if local_host ~= nil then
        local_host = check_string(3, "connect", local_host, count)
    end
    local_port = local_port ~= nil and check_string(4, "connect", local_port, count) or "0"
    family = family == nil and "unspec" or check_string(5, "connect", family, count)
    if not families[family] then
        args.error(5, "socket.connect", "invalid option '" .. family .. "'")
    end
    local sock, err = internal.part "socket_kinds".make("tcp", "master", families[family])
    if not sock then
        return nil, err
    end
    local res = 1
    if local_host then
        res, err = bind(sock, "tcp", local_host, local_port)
    end
    if res then
        become(sock, "client")
        res, err = connect(sock, host, port)
    end
    if not res then
        sock:close()
        return nil, err
    end
    return sock
end

return {
    call = call,
    connect = connect_new,
    tcp = {
        bind = tcp_bind "bind", setsockname = tcp_bind "setsockname",
        connect = tcp_connect "connect", setpeername = tcp_connect "setpeername",
    },
    udp = {setsockname = udp_setsockname, setpeername = udp_setpeername},
}
