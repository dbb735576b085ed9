-- SPDX-License-Identifier: BSL-1.0
-- socket.dns: names and addresses, looked up while other fibers run.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.socket")

local ip, error, ipairs, select, tostring = thrum.ip, error, ipairs, select, tostring
local args, address_of = internal.part "socket_args", internal.address
local call = internal.part "socket_connect".call
local lookups = internal.socket_lookups.tcp
local CANONICAL_NAME = ip.address_info_flag.canonical_name

local NOT_KNOWN = "host or service not provided, or not known"

-- The texts of gethostbyname's errors, by getaddrinfo's.
local host_texts = {
    ["temporary failure in name resolution"] = "Host name lookup failure",
    ["non-recoverable failure in name resolution"] = "Unknown server error",
}

local function host_failure(text)
    return nil, host_texts[text] or "host not found"
end

-- The name of an address, or nil: a host without one is called by its address.
local function name_of(address)
    local found, text = call(lookups.get_name_info, address, 0)
    if not found then
        return nil, text
    end
    local name = found[1].host_name
    if address_of(name) then
        return nil
    end
    return name
end

local function gethost(host)
    local address = address_of(host)
    if address and address.is_v6 or host == "" or host == "*" then
        return nil, "host not found"
    elseif address then
        local name, text = name_of(address)
        if not name then
            return host_failure(text)
        end
        return {name = name, alias = {}, ip = {tostring(address)}}
    end
    local found, text = call(lookups.get_address_v4_info, host, 0, CANONICAL_NAME)
    if not found or not found[1] then
        return host_failure(text)
    end
    local list = {}
    for i, entry in ipairs(found) do
        list[i] = tostring(entry.address)
    end
    local name = found[1].canonical_name or host
    local is_alias = name:lower() ~= host:lower() -- others there may be, too
    return {name = name, alias = is_alias and {host} or {}, ip = list}
end

local M = {}

function M.toip(...)
    local resolved, err = gethost(args.string(1, "toip", (...), select("#", ...)))
    if not resolved then
        return nil, err
    end
    return resolved.ip[1], resolved
end

function M.tohostname(...)
    local resolved, err = gethost(args.string(1, "tohostname", (...), select("#", ...)))
    if not resolved then
        return nil, err
    end
    return resolved.name, resolved
end

function M.gethostname()
    return ip.host_name()
end

local function addresses_of(host, service)
    local address = address_of(host)
    if address then
        return {{address = address}}
    elseif host == "" or host == "*" then
        return nil, NOT_KNOWN
    end
    return call(lookups.get_address_info, host, service or 0)
end

function M.getaddrinfo(...)
    local host = args.string(1, "getaddrinfo", (...), select("#", ...))
    local found, text = addresses_of(host)
    if not found then
        return nil, text
    end
    local list = {}
    for i, entry in ipairs(found) do
        list[i] = {
            family = entry.address.is_v6 and "inet6" or "inet", addr = tostring(entry.address),
        }
    end
    return list
end

-- The service's usual name: "http" for "80".
local function service_name(service)
    local found, text = call(lookups.get_address_info, "127.0.0.1", service)
    if not found then
        return nil, text
    end
    local names
    names, text = call(lookups.get_name_info, found[1].address, found[1].port)
    if not names then
        return nil, text
    end
    return names[1].service_name
end

local function names_of(host)
    local found, text = addresses_of(host)
    if not found then
        return nil, text
    end
    local names = {}
    for i, entry in ipairs(found) do
        local list
        list, text = call(lookups.get_name_info, entry.address, 0)
        if not list then
            return nil, text
        end
        names[i] = list[1].host_name
    end
    return names
end

function M.getnameinfo(...)
    local host, service = ...
    local count = select("#", ...)
    host = host ~= nil and args.string(1, "getnameinfo", host, count) or nil
    service = service ~= nil and args.string(2, "getnameinfo", service, count) or nil
    if not host and not service then
        error("host and serv cannot be both nil", 2)
    end
    local names, text = {}, nil
    if host then
        names, text = names_of(host)
    end
    if names and service then
        local name
        name, text = service_name(service)
        return name and names, name or text
    end
    if not names then
        return nil, text
    end
    return names
end

return M
