-- SPDX-License-Identifier: BSL-1.0
-- A TFTP server that hands out the files of one directory and takes none (RFC 1350, with the
-- options of RFC 2347, 2348 and 2349). Each transfer is a fiber with a socket of its own.
--
--     thrum tftp_server.lua DIRECTORY [address [port [timeout [tries]]]]
--
-- timeout: seconds until an unanswered packet is sent again, 1 unless the client asks for another;
-- tries: how often a packet is sent before the client is given up, 5.
-- DIRECTORY should hold plain files: symbolic links are followed, and a FIFO would block us all.
-- luacheck: globals spawn

local byte_span = require "byte_span"
local generic_error = require "generic_error"
local ip = require "ip"
local time = require "time"

local RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6
local UNDEFINED, NOT_FOUND, ACCESS_VIOLATION, ILLEGAL_OPERATION, UNKNOWN_TID = 0, 1, 2, 4, 5

local DEFAULT_BLOCK_SIZE, MIN_BLOCK_SIZE, MAX_BLOCK_SIZE = 512, 8, 65464
local MAX_TIMEOUT = 30 -- RFC 2349 has up to 255 seconds: too long to keep a fiber for a stranger
local MAX_TRANSFERS = 100

local directory = assert(arg[1], "usage: thrum tftp_server.lua DIRECTORY [address [port ...]]")
local address = ip.address.new(arg[2] or "127.0.0.1")
local port = tonumber(arg[3] or 6969)
local default_timeout = tonumber(arg[4] or 1)
local max_tries = tonumber(arg[5] or 5)

local function error_packet(code, text)
    return string.pack(">I2I2z", ERROR, code, text)
end

-- What a client sent, made fit for a line of the log.
local function printable(text)
    return (text:gsub("[^\x20-\x7E]", "?"))
end

-- Requests.

-- tag::parse[]
-- "file NUL mode NUL" and then pairs of "option NUL value NUL". Returns nil for anything else.
local function parse_request(text)
    local fields = {}
    for field in text:gmatch("([^\0]*)\0") do
        fields[#fields + 1] = field
    end
    if text:sub(-1) ~= "\0" or #fields < 2 or #fields % 2 ~= 0 then
        return nil
    end
    local request = { file = fields[1], mode = fields[2]:lower(), options = {} }
    for i = 3, #fields, 2 do
        request.options[fields[i]:lower()] = fields[i + 1]
    end
    if request.mode ~= "octet" and request.mode ~= "netascii" then
        return nil
    end
    return request
end
-- end::parse[]

-- tag::path[]
-- Only names below the directory: not absolute, and never a step up.
local function is_safe(name)
    if name == "" or name:sub(1, 1) == "/" then
        return false
    end
    for step in name:gmatch("[^/]+") do
        if step == ".." then
            return false
        end
    end
    return true
end
-- end::path[]

-- Returns the open file, or nil, an error code and a text for the client.
local function open_file(name)
    if not is_safe(name) then
        return nil, ACCESS_VIOLATION, "Access violation"
    end
    local file = io.open(directory .. "/" .. name, "rb")
    if not file then
        return nil, NOT_FOUND, "File not found"
    end
    local _, problem = file:read(0) -- opening a directory succeeds, reading from it does not
    if problem then
        file:close()
        return nil, NOT_FOUND, "Not a file"
    end
    return file
end

-- tag::options[]
local function integer_between(text, low, high)
    local value = text and text:match("^%d+$") and tonumber(text)
    return value and value >= low and value <= high and math.tointeger(value) or nil
end

-- Answers what the client asked for in its options. Those we do not know, or with values out of
-- their range, are left out of the answer, as RFC 2347 wants. Returns the block size, the timeout
-- and the OACK packet, nil when there is nothing to acknowledge.
local function negotiate(request, file)
    local accepted = {}
    local function accept(name, value)
        accepted[#accepted + 1] = string.pack("zz", name, tostring(value))
        return value
    end

    local block_size, timeout = DEFAULT_BLOCK_SIZE, default_timeout
    local asked = integer_between(request.options.blksize, MIN_BLOCK_SIZE, math.maxinteger)
    if asked then
        block_size = accept("blksize", math.min(asked, MAX_BLOCK_SIZE))
    end
    asked = integer_between(request.options.timeout, 1, MAX_TIMEOUT)
    if asked then
        timeout = accept("timeout", asked)
    end
    local size = file:seek("end")
    file:seek("set")
    -- In netascii the size would lie, and curl takes a size of 0 for an error.
    if request.options.tsize and request.mode == "octet" and size > 0 then
        accept("tsize", size)
    end
    local oack = #accepted > 0 and string.pack(">I2", OACK) .. table.concat(accepted) or nil
    return block_size, timeout, oack
end
-- end::options[]

-- Blocks. Both functions return one that gives the next block: shorter than `size` at the end.

local function read_or_raise(file, size)
    local bytes, problem = file:read(size)
    if problem then
        error(problem, 0)
    end
    return bytes
end

local function octet_blocks(file, size)
    return function()
        return read_or_raise(file, size) or ""
    end
end

-- Netascii (RFC 764) ends lines with CR LF; a CR that ends no line is followed by NUL.
local function netascii_blocks(file, size)
    local pending = ""
    return function()
        while #pending < size do
            local bytes = read_or_raise(file, size)
            if not bytes then
                break
            end
            pending = pending .. bytes:gsub("[\r\n]", { ["\r"] = "\r\0", ["\n"] = "\r\n" })
        end
        local block = pending:sub(1, size)
        pending = pending:sub(size + 1)
        return block
    end
end

-- Transfers. A transfer is a table: sock; peer and peer_port, which are the client's TID; timeout;
-- and buf, into which its answers are received.

-- tag::receive[]
-- Receives the next packet of the client, at the latest at the time `deadline`: returns its span,
-- or nil when the time is over. Other senders get an error: this is not their transfer. They must
-- not prolong the wait: so it is a deadline, not a timeout that starts again with each packet.
local function receive_until(transfer, deadline)
    local sock, buf = transfer.sock, transfer.buf
    while true do
        local remaining = deadline - time.steady_clock.now()
        if remaining <= 0 then
            return nil
        end
        sock.timeout = remaining
        local ok, nread, from, from_port = pcall(sock.receive_from, sock, buf)
        sock.timeout = nil
        if not ok then
            local err = nread
            if err ~= generic_error.ETIMEDOUT and err ~= generic_error.EMSGSIZE then
                error(err, 0)
            end
        elseif from == transfer.peer and from_port == transfer.peer_port then
            return buf:slice(1, nread)
        else
            pcall(sock.send_to, sock, error_packet(UNKNOWN_TID, "Unknown TID"), from, from_port)
        end
    end
end
-- end::receive[]

-- tag::exchange[]
-- Sends a packet, again after each timeout, until the client acknowledges block `number`. Returns
-- nil, or why the transfer is over. An acknowledgement of any other block is ignored: if it were
-- answered, each duplicate would double all packets that follow (the Sorcerer's Apprentice).
local function exchange(transfer, packet, number)
    for _ = 1, max_tries do
        transfer.sock:send_to(packet, transfer.peer, transfer.peer_port)
        local deadline = time.steady_clock.now() + transfer.timeout
        repeat
            local answer = receive_until(transfer, deadline)
            if answer and #answer >= 4 and answer:get_u16(1) == ACK then
                if answer:get_u16(3) == number then
                    return nil
                end
            elseif answer and #answer >= 4 and answer:get_u16(1) == ERROR then
                return "ended by the client: " .. printable(tostring(answer:slice(5)))
            elseif answer then
                transfer.sock:send_to(error_packet(ILLEGAL_OPERATION, "Expected an ACK"),
                    transfer.peer, transfer.peer_port)
                return "ended by a packet that is no ACK"
            end
        until not answer
    end
    return "gave up, the client does not answer"
end
-- end::exchange[]

-- tag::blocks[]
-- Sends the whole file in lockstep. Returns what became of it, for the log.
local function send_file(transfer, request, file)
    local block_size, timeout, oack = negotiate(request, file)
    transfer.timeout = timeout
    local blocks = request.mode == "octet" and octet_blocks or netascii_blocks
    local next_block = blocks(file, block_size)

    local failure = oack and exchange(transfer, oack, 0)
    local number, n_bytes = 0, 0
    local block
    while not failure do
        block = next_block()
        number = (number + 1) & 0xFFFF -- after block 65535 comes block 0
        failure = exchange(transfer, { string.pack(">I2I2", DATA, number), block }, number)
        n_bytes = n_bytes + #block
        if #block < block_size then
            break
        end
    end
    return failure or ("sent, %d bytes"):format(n_bytes)
end
-- end::blocks[]

-- tag::transfer[]
-- The fiber of one transfer. Whatever happens, it leaves neither a file nor a socket open.
local function serve_request(request, local_address, peer, peer_port)
    local sock = ip.udp.socket.new()
    local file
    local ok, outcome = pcall(function()
        sock:open(local_address)
        sock:bind(local_address, 0) -- the new port is our TID (RFC 1350, section 4)
        local code, text
        file, code, text = open_file(request.file)
        if not file then
            sock:send_to(error_packet(code, text), peer, peer_port)
            return "refused: " .. text
        end
        local transfer =
            { sock = sock, peer = peer, peer_port = peer_port, buf = byte_span.new(600) }
        return send_file(transfer, request, file)
    end)
    if file then
        file:close()
    end
    if not ok then
        pcall(sock.send_to, sock, error_packet(UNDEFINED, "Server error"), peer, peer_port)
    end
    sock:close()
    print(("%s %s: %s"):format(ip.tostring(peer, peer_port), printable(request.file),
        ok and outcome or "failed: " .. tostring(outcome)))
end
-- end::transfer[]

-- The listener.

local listener = ip.udp.socket.new()
local under_way, n_under_way = {}, 0

local function refuse(code, text, peer, peer_port)
    pcall(listener.send_to, listener, error_packet(code, text), peer, peer_port)
end

-- tag::start[]
-- A client that hears nothing repeats its request: that is no wish for a second transfer.
local function start_transfer(request, key, peer, peer_port)
    if under_way[key] then
        return
    elseif n_under_way >= MAX_TRANSFERS then
        return refuse(UNDEFINED, "Too many transfers", peer, peer_port)
    end
    under_way[key], n_under_way = true, n_under_way + 1
    spawn(function()
        serve_request(request, listener.local_address, peer, peer_port)
        under_way[key], n_under_way = nil, n_under_way - 1
    end):detach()
end
-- end::start[]

local function handle(message, peer, peer_port)
    local opcode = #message >= 2 and message:get_u16(1)
    if opcode == ERROR then
        return -- an error is never answered
    elseif opcode == WRQ then
        return refuse(ACCESS_VIOLATION, "This server is read only", peer, peer_port)
    end
    local text = tostring(message)
    local request = opcode == RRQ and parse_request(text:sub(3))
    if not request then
        return refuse(ILLEGAL_OPERATION, "Illegal operation", peer, peer_port)
    end
    start_transfer(request, ip.tostring(peer, peer_port) .. text, peer, peer_port)
end

-- tag::listen[]
io.stdout:setvbuf("line")
listener:open(address)
listener:bind(address, port)
print(("listening on %s port %d"):format(ip.tostring(listener.local_address), listener.local_port))

local buf = byte_span.new(2048)
while true do
    local ok, nread, peer, peer_port = pcall(listener.receive_from, listener, buf)
    if ok then
        handle(buf:slice(1, nread), peer, peer_port)
    elseif nread == generic_error.EMSGSIZE then
        refuse(ILLEGAL_OPERATION, "Illegal operation", nread.address, nread.port)
    else
        error(nread, 0)
    end
end
-- end::listen[]
