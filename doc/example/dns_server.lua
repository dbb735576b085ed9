-- SPDX-License-Identifier: BSL-1.0
-- A DNS service that answers for one zone (RFC 1035, 2308, 3596, 6891) over UDP.
--
--     thrum dns_server.lua [address [port [zone.lua]]]
--
-- zone.lua is a Lua file that returns a table like `default_zone` below. No answer of this service
-- waits for anything, so one fiber and one socket do.

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"

-- tag::zone[]
-- Names that do not end in a dot are relative to the origin; "@" is the origin itself.
local default_zone = {
    origin = "thrum.test.",
    ttl = 300,
    soa = {
        primary = "ns", mailbox = "hostmaster",
        serial = 1, refresh = 7200, retry = 900, expire = 1209600, minimum = 60,
    },
    names = {
        ["@"] = { NS = { "ns" }, MX = { { 10, "mail" } }, TXT = { "answers from a fiber" } },
        ns = { A = { "127.0.0.1" }, AAAA = { "::1" } },
        mail = { A = { "192.0.2.25" } },
        www = { A = { "192.0.2.10", "192.0.2.11" }, AAAA = { "2001:db8::10" } },
        alias = { CNAME = { "www" } },
        elsewhere = { CNAME = { "www.example.org." } },
        dangling = { CNAME = { "nowhere" } },
        circle = { CNAME = { "circle" } },
        ["host.rack"] = { A = { "192.0.2.77" } },
        long = { TXT = { ("beyond 512 bytes, "):rep(40) } },
        huge = { TXT = { ("beyond 1232 bytes, "):rep(80) } },
    },
}
-- end::zone[]

local TYPE = {
    A = 1, NS = 2, CNAME = 5, SOA = 6, HINFO = 13, MX = 15, TXT = 16, AAAA = 28, OPT = 41,
}
local TYPE_ANY = 255
local CLASS_IN = 1
local RCODE = { NOERROR = 0, FORMERR = 1, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5, BADVERS = 16 }
local FLAG_RESPONSE, FLAG_AUTHORITATIVE, FLAG_TRUNCATED = 0x8000, 0x0400, 0x0200
local FLAG_RECURSION_DESIRED, OPCODE_MASK = 0x0100, 0x7800
local FLAG_DNSSEC_OK = 0x8000 -- among the flags of an OPT record

local HEADER_SIZE = 12
local PLAIN_SIZE = 512 -- the largest reply to a client without EDNS
local EDNS_SIZE = 1232 -- the largest reply at all: fits every usual path unfragmented
local QUESTION_NAME = "\xC0\x0C" -- a compression pointer to the name behind the header

-- Names.
-- Inside this program a name is its uncompressed wire form: labels behind their lengths, then a
-- zero. Lengths are below 64, "A" is 65: so string.lower folds the letters and leaves the lengths.

local function to_wire(text, origin)
    if text == "@" then
        return origin
    end
    local wire = {}
    for label in text:gmatch("[^.]+") do
        assert(#label < 64, "a label of more than 63 bytes")
        wire[#wire + 1] = string.pack("s1", label)
    end
    local name = table.concat(wire) .. (text:sub(-1) == "." and "\0" or origin)
    assert(#name <= 255, "a name of more than 255 bytes")
    return name
end

-- The name that is left without the first label.
local function parent(name)
    return name:sub(name:byte() + 2)
end

local function is_within(name, origin)
    while name ~= origin do
        if name == "\0" then
            return false
        end
        name = parent(name)
    end
    return true
end

-- The zone.

local function address_bytes(text, family)
    local address = ip.address.new(text)
    assert(address[family], text .. " belongs to the other family")
    return address:to_bytes()
end

-- What stands in the zone table for each type of record, as the bytes that go into an answer.
local encode = {
    A = function(text) return address_bytes(text, "is_v4") end,
    AAAA = function(text) return address_bytes(text, "is_v6") end,
    NS = to_wire,
    CNAME = to_wire,
    MX = function(value, origin)
        return string.pack(">I2", value[1]) .. to_wire(value[2], origin)
    end,
    TXT = function(text)
        local pieces = { #text == 0 and "\0" or nil }
        for from = 1, #text, 255 do
            pieces[#pieces + 1] = string.pack("s1", text:sub(from, from + 254))
        end
        return table.concat(pieces)
    end,
    SOA = function(soa, origin)
        local numbers = { soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum }
        return to_wire(soa.primary, origin) .. to_wire(soa.mailbox, origin)
            .. string.pack(">I4I4I4I4I4", table.unpack(numbers))
    end,
}

-- A resource record, ready to be appended to an answer.
local function record(owner, rtype, ttl, data)
    return owner .. string.pack(">I2I2I4s2", rtype, CLASS_IN, ttl, data)
end

-- Every name on the way from `name` up to the origin exists, if only to be empty.
local function node_at(nodes, name, origin)
    nodes[name] = nodes[name] or {}
    if name ~= origin then
        node_at(nodes, parent(name), origin)
    end
    return nodes[name]
end

local function compile_zone(source)
    local origin = to_wire(source.origin, "\0"):lower()
    local zone = { origin = origin, ttl = source.ttl, nodes = {} }
    for text, sets in pairs(source.names) do
        local name = to_wire(text, origin):lower()
        assert(is_within(name, origin), text .. " is outside the zone")
        local node = node_at(zone.nodes, name, origin)
        for rtype, values in pairs(sets) do
            assert(encode[rtype], "unknown type of record: " .. rtype)
            local set = {}
            for i, value in ipairs(values) do
                set[i] = encode[rtype](value, origin)
            end
            node[TYPE[rtype]] = set
        end
    end
    local soa = encode.SOA(source.soa, origin)
    node_at(zone.nodes, origin, origin)[TYPE.SOA] = { soa }
    zone.negative = record(origin, TYPE.SOA, math.min(source.ttl, source.soa.minimum), soa)
    return zone
end

-- tag::lookup[]
-- Returns the response code and the records for two sections: answer and authority.
local function look_up(zone, question_name, rtype)
    local name, owner = question_name:lower(), QUESTION_NAME
    if not is_within(name, zone.origin) then
        return RCODE.REFUSED, {}, {}
    end
    local answer, seen = {}, {}
    repeat
        local node = zone.nodes[name]
        if not node then
            return RCODE.NXDOMAIN, answer, { zone.negative }
        elseif rtype == TYPE_ANY then -- RFC 8482: no large answers to those who ask for everything
            return RCODE.NOERROR, { record(owner, TYPE.HINFO, zone.ttl, "\7RFC8482\0") }, {}
        elseif node[rtype] then
            for _, data in ipairs(node[rtype]) do
                answer[#answer + 1] = record(owner, rtype, zone.ttl, data)
            end
            return RCODE.NOERROR, answer, {}
        elseif not node[TYPE.CNAME] then
            return RCODE.NOERROR, answer, { zone.negative }
        end
        local target = node[TYPE.CNAME][1]
        answer[#answer + 1] = record(owner, TYPE.CNAME, zone.ttl, target)
        seen[name] = true
        name, owner = target:lower(), target
    until seen[name] or not is_within(name, zone.origin)
    return RCODE.NOERROR, answer, {} -- a circle, or a chain that leads out of the zone
end
-- end::lookup[]

-- Queries.

local function malformed()
    error(generic_error.EBADMSG)
end

-- tag::read_name[]
-- Reads the name at position `at`; returns its uncompressed form and the position behind it.
-- A compression pointer must lead to before the labels it ends, so it cannot make a circle.
-- Reading a number beyond the end of the message raises ERANGE.
local function read_name(message, at)
    local labels, size, start, behind = {}, 1, at, nil
    while true do
        local length = message:get_u8(at)
        if length == 0 then
            return table.concat(labels) .. "\0", behind or at + 1
        elseif length < 64 then
            size = size + 1 + length
            if size > 255 or at + length > #message then
                malformed()
            end
            labels[#labels + 1] = tostring(message:slice(at, at + length))
            at = at + 1 + length
        elseif length >= 192 then
            local target = (message:get_u16(at) & 0x3FFF) + 1
            if target <= HEADER_SIZE or target >= start then
                malformed()
            end
            behind = behind or at + 2
            at, start = target, target
        else
            malformed()
        end
    end
end
-- end::read_name[]

-- Takes over what the client says about itself in its OPT record (RFC 6891).
local function read_edns(query, message, at)
    query.limit = math.max(PLAIN_SIZE, math.min(message:get_u16(at + 2), EDNS_SIZE))
    query.edns = { version = message:get_u8(at + 5), flags = message:get_u16(at + 6) }
end

-- Raises EBADMSG or ERANGE for a message that is no query.
local function read_query(message)
    if message:get_u16(5) ~= 1 then -- exactly one question (RFC 9619)
        malformed()
    end
    local name, at = read_name(message, HEADER_SIZE + 1)
    local query = {
        name = name, type = message:get_u16(at), class = message:get_u16(at + 2),
        limit = PLAIN_SIZE,
    }
    query.question = name .. string.pack(">I2I2", query.type, query.class)
    at = at + 4

    local n_before = message:get_u16(7) + message:get_u16(9) -- answers and authorities
    for i = 1, n_before + message:get_u16(11) do
        local owner
        owner, at = read_name(message, at)
        if message:get_u16(at) == TYPE.OPT then
            if owner ~= "\0" or query.edns or i <= n_before then
                malformed()
            end
            read_edns(query, message, at)
        end
        at = at + 10 + message:get_u16(at + 8)
        if at > #message + 1 then
            malformed()
        end
    end
    return query
end

-- Replies.

-- Stands for a query of which only the header could be read: the reply to it is a bare header.
local UNREADABLE = { question = "", limit = PLAIN_SIZE }

local reply_block = byte_span.new(EDNS_SIZE)

local function opt_record(edns, rcode)
    return "\0" .. string.pack(">I2I2I1I1I2I2",
        TYPE.OPT, EDNS_SIZE, rcode >> 4, 0, edns.flags & FLAG_DNSSEC_OK, 0)
end

-- tag::reply[]
-- Writes the reply to `message` into the one block all replies use, and returns the span to send.
local function write_reply(message, query, rcode, answer, authority)
    local flags = FLAG_RESPONSE | rcode & 0xF
        | message:get_u16(3) & (OPCODE_MASK | FLAG_RECURSION_DESIRED)
    if rcode == RCODE.NOERROR or rcode == RCODE.NXDOMAIN then
        flags = flags | FLAG_AUTHORITATIVE
    end
    local opt = query.edns and opt_record(query.edns, rcode) or ""
    local records = table.concat(answer) .. table.concat(authority)
    if HEADER_SIZE + #query.question + #records + #opt > query.limit then
        flags, records, answer, authority = flags | FLAG_TRUNCATED, "", {}, {}
    end

    local out = reply_block:slice(1, HEADER_SIZE)
    out:set_u16(1, message:get_u16(1)) -- the client's number for its query
    out:set_u16(3, flags)
    out:set_u16(5, query == UNREADABLE and 0 or 1)
    out:set_u16(7, #answer)
    out:set_u16(9, #authority)
    out:set_u16(11, query.edns and 1 or 0)
    return out:append(query.question, records, opt)
end
-- end::reply[]

-- tag::respond[]
-- Returns the reply to a datagram, or nil if it deserves none.
local function respond(zone, message)
    if #message < HEADER_SIZE or message:get_u16(3) & FLAG_RESPONSE ~= 0 then
        return nil
    elseif message:get_u16(3) & OPCODE_MASK ~= 0 then
        return write_reply(message, UNREADABLE, RCODE.NOTIMP, {}, {})
    end

    local ok, query = pcall(read_query, message)
    if not ok then
        local err = query
        if err ~= generic_error.EBADMSG and err ~= generic_error.ERANGE then
            error(err, 0)
        end
        return write_reply(message, UNREADABLE, RCODE.FORMERR, {}, {})
    elseif query.edns and query.edns.version > 0 then
        return write_reply(message, query, RCODE.BADVERS, {}, {})
    elseif query.class ~= CLASS_IN then
        return write_reply(message, query, RCODE.REFUSED, {}, {})
    end
    return write_reply(message, query, look_up(zone, query.name, query.type))
end
-- end::respond[]

-- The service.

local function load_zone(path)
    local source = default_zone
    if path then
        source = assert(loadfile(path, "t", {}))()
    end
    return compile_zone(source)
end

-- tag::serve[]
local function serve(sock, zone)
    local buf = byte_span.new(4096)
    while true do
        local ok, nread, remote_addr, remote_port = pcall(sock.receive_from, sock, buf)
        if ok then
            local reply = respond(zone, buf:slice(1, nread))
            if reply then
                -- A client that cannot be reached is no concern of the others.
                pcall(sock.send_to, sock, reply, remote_addr, remote_port)
            end
        elseif nread ~= generic_error.EMSGSIZE then -- too long for a query: ignored
            error(nread, 0)
        end
    end
end
-- end::serve[]

local address = ip.address.new(arg[1] or "127.0.0.1")
local port = tonumber(arg[2] or 5300)
local zone = load_zone(arg[3])

local sock = ip.udp.socket.new()
sock:open(address)
sock:bind(address, port)
print(("listening on %s port %d"):format(ip.tostring(sock.local_address), sock.local_port))
io.stdout:flush()
serve(sock, zone)
