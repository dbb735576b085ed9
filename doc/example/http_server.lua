-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push spawn
-- An HTTP/1.1 service (RFC 9112): persistent connections, pipelined requests, chunked bodies both
-- ways, "Expect: 100-continue"; limits for all that a client can send, and for the time it takes.
-- SIGTERM and SIGINT end it when the requests under way are answered; a second one at once.
--
--     thrum http_server.lua [address [port [seconds]]]

local byte_span = require "byte_span"
local fiber = require "fiber"
local generic_error = require "generic_error"
local ip = require "ip"
local stream = require "stream"
local system = require "system"
local time = require "time"

local address = ip.address.new(arg[1] or "127.0.0.1")
local port = tonumber(arg[2] or 8080)

-- How long a client may take for a request's head, for its body, and for each MAX_BODY bytes of an
-- answer. A timeout for each wait would not do: who reads a byte now and then never exceeds it.
local SECONDS = tonumber(arg[3] or 20)
local MAX_LINE, MAX_HEADERS, MAX_BODY = 8000, 100, 1 << 20 -- bytes, lines, bytes

local REASONS = {
    [200] = "OK", [400] = "Bad Request", [404] = "Not Found", [405] = "Method Not Allowed",
    [408] = "Request Timeout", [413] = "Content Too Large", [414] = "URI Too Long",
    [417] = "Expectation Failed", [431] = "Request Header Fields Too Large",
    [500] = "Internal Server Error", [501] = "Not Implemented",
    [505] = "HTTP Version Not Supported",
}

-- What is served: a function for each path. It gets the request and returns the body, a string or
-- a function that gives one piece after the other and then nil; and its type unless it is text.
local function hello()
    return "hello\n"
end

local function echo(request)
    return request.body, request.headers["content-type"]
end

local function count(request) -- /count?1000
    local i, last = 0, math.tointeger(request.query) or 10
    return function()
        i = i + 1
        return i <= last and i .. "\n" or nil
    end
end

local routes = {
    ["/"] = {method = "GET", serve = hello}, -- HEAD comes with it
    ["/count"] = {method = "GET", serve = count},
    ["/echo"] = {method = "POST", serve = echo},
}

-- What refuses a request raises the status of the answer, or none when the client has gone. Other
-- errors are the connection's.
local function check(value, status, field)
    return value or error({status = status, field = field}, 0)
end

-- A line that is too long raises EMSGSIZE: `conn.too_long` is the status that this means.
local function read_line(conn)
    return check(conn.reader:line(MAX_LINE))
end

local function read_headers(conn)
    local headers = {}
    conn.too_long = 431
    for _ = 0, MAX_HEADERS do
        local line = read_line(conn)
        if line == "" then
            return headers
        end
        local name, value = line:match("^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.*)$")
        check(name and not value:find("[\0\r]"), 400)
        name, value = name:lower(), value:match("^.*[^ \t]") or ""
        headers[name] = headers[name] and headers[name] .. ", " .. value or value
    end
    check(false, 431)
end

-- Who disagrees with others on where a request ends can be played off against them: no guesses.
local function check_body(request)
    local headers, is_old = request.headers, request.minor == 0
    local coding, length = headers["transfer-encoding"], headers["content-length"]
    check(not coding or not length and not is_old, 400)
    check(not coding or coding:lower() == "chunked", 501)
    check(not length or length:find("^%d+$"), 400)
    check(tonumber(length or 0) <= MAX_BODY, 413)
    request.is_chunked = coding ~= nil
    request.length = tonumber(length or 0)
    request.has_body = request.is_chunked or request.length > 0 -- which is still to be read
    local expect = not is_old and headers.expect
    check(not expect or expect:lower() == "100-continue", 417)
    request.is_waiting = expect and request.has_body
end

local function read_head(conn)
    conn.too_long = 414
    local line = read_line(conn)
    if line == "" then -- some clients end a body with it
        line = read_line(conn)
    end
    conn.is_idle = false
    local method, target, major, minor = line:match("^(%S+) (%S+) HTTP/(%d)%.(%d)$")
    check(method, 400)
    check(major == "1", 505)
    local request = {method = method, minor = tonumber(minor), headers = read_headers(conn)}
    request.path, request.query = target:gsub("^%a+://[^/?]*", ""):match("^([^?]*)%??(.*)$")
    local host = request.headers.host
    check(host and not host:find(",") or not host and minor == "0", 400)
    check_body(request)
    conn.request = request
    return request
end

local function read_chunks(conn)
    local chunks, size = {}, 0
    while true do
        conn.too_long = 400
        local line = read_line(conn)
        local digits = line:match("^(%x+)[ \t]*$") or line:match("^(%x+)[ \t]*;")
        local length = tonumber(check(digits and #digits < 16 and digits, 400), 16)
        if length == 0 then
            break
        end
        size = size + length
        check(size <= MAX_BODY, 413)
        chunks[#chunks + 1] = conn.reader:exactly(length)
        check(read_line(conn) == "", 400)
    end
    read_headers(conn) -- there may be some behind a body, too: dropped
    return table.concat(chunks)
end

local function read_body(conn, request)
    if request.is_waiting and conn.reader.buffered == 0 then
        stream.write_all(conn.sock, "HTTP/1.1 100 Continue\r\n\r\n")
    end
    request.body = request.is_chunked and read_chunks(conn) or conn.reader:exactly(request.length)
    request.has_body = false
end

local is_stopping = false

-- What is served may refuse a request by `check`, too. Any other error of it is no fault of the
-- client's.
local function call(f, ...)
    local ok, value, content_type = pcall(f, ...)
    if ok then
        return value, content_type
    elseif type(value) ~= "table" then
        io.stderr:write(tostring(value), "\n")
        value = {status = 500}
    end
    error(value, 0)
end

-- Every write of an answer uses up some of the client's time, and what it has taken gives some
-- back, up to SECONDS.
local function write(conn, pieces)
    local start, size = time.steady_clock.now(), 0
    time.with_timeout(conn.seconds_left, stream.write_all, conn.sock, pieces)
    for _, piece in ipairs(pieces) do
        size = size + #piece
    end
    local left = conn.seconds_left - (time.steady_clock.now() - start) + SECONDS * size / MAX_BODY
    conn.seconds_left = math.max(0, math.min(left, SECONDS))
end

-- `request` is nil for one that could not be understood, and `field` one more line of the head.
local function answer(conn, request, status, body, field)
    local is_text = type(body) == "string"
    local is_chunked = not is_text and request.minor > 0 -- else it ends with the connection
    local asked = request and ("," .. (request.headers.connection or "") .. ","):lower() or ""
    conn.is_last = is_stopping or not request or request.minor == 0 or asked:find("[ ,]close[ ,]")
        or request.has_body -- unread: who knows where the next one begins?
    local lines = {
        ("HTTP/1.1 %d %s"):format(status, REASONS[status]),
        "Date: " .. os.date("!%a, %d %b %Y %H:%M:%S GMT"),
        field or "Content-Type: text/plain",
        conn.is_last and "Connection: close" or "Connection: keep-alive",
    }
    lines[#lines + 1] = is_text and "Content-Length: " .. #body
        or is_chunked and "Transfer-Encoding: chunked" or nil
    local head = table.concat(lines, "\r\n") .. "\r\n\r\n"
    conn.is_answered, conn.seconds_left = true, SECONDS
    if request and request.method == "HEAD" then
        body = ""
    end
    if type(body) == "string" then
        write(conn, {head, body})
        return
    end
    write(conn, {head})
    for piece in call, body do
        local size = ("%x\r\n"):format(#piece) -- 0 would be the end
        write(conn, is_chunked and #piece > 0 and {size, piece, "\r\n"} or {piece})
    end
    if is_chunked then
        write(conn, {"0\r\n\r\n"})
    end
end

local function serve_request(conn)
    local request = time.with_timeout(SECONDS, read_head, conn)
    local route = check(routes[request.path], 404)
    local method = request.method == "HEAD" and "GET" or request.method
    local allowed = route.method == "GET" and "GET, HEAD" or route.method
    check(method == route.method, 405, "Allow: " .. allowed)
    time.with_timeout(SECONDS, read_body, conn, request)
    local body, content_type = call(route.serve, request)
    answer(conn, request, 200, body, content_type and "Content-Type: " .. content_type)
end

-- The answer to a request that came to nothing; none if that was the connection.
local function refuse(conn, err)
    local is_untouched = conn.is_idle and conn.reader.buffered == 0
    local status = type(err) == "table" and err.status
    if err == generic_error.EMSGSIZE then
        status = conn.too_long
    elseif err == generic_error.ETIMEDOUT and not is_untouched then
        status = 408
    end
    check(status and not conn.is_answered)
    answer(conn, conn.request, status, REASONS[status] .. "\n", err.field)
end

local connections = {}
local rest = byte_span.new(65536) -- whatever comes here is not read by anybody

local function converse(conn)
    repeat
        conn.request, conn.is_idle, conn.is_answered = nil, true, false
        local ok, err = pcall(serve_request, conn)
        if not ok then
            refuse(conn, err)
        end
    until conn.is_last or is_stopping
end

-- To close while more is coming might cost the client the answer.
local function take_leave(sock)
    sock:shutdown("send")
    while true do
        sock:read_some(rest) -- raises eof
    end
end

local function serve(sock)
    local conn = {sock = sock, reader = stream.reader(sock)}
    connections[conn] = true
    scope_cleanup_push(function()
        connections[conn] = nil
        sock:close()
    end)
    pcall(sock.set_option, sock, "tcp_no_delay", true)
    local ok, err = pcall(converse, conn)
    if not ok and type(err) == "string" then -- a mistake in this file
        io.stderr:write(err, "\n")
    end
    pcall(time.with_timeout, 2, take_leave, sock)
end

local acceptor = ip.tcp.acceptor.new()
acceptor:open(address)
acceptor:set_option("reuse_address", true)
acceptor:bind(address, port)
acceptor:listen()

local stop = system.signal.set.new("SIGINT", "SIGTERM")
local clients = fiber.group()
local server = spawn(function()
    while true do
        local ok, sock = pcall(acceptor.accept, acceptor)
        if ok then
            clients:spawn(serve, sock)
        else
            time.sleep(0.1) -- such as EMFILE: until some client has gone
        end
    end
end)
io.stdout:setvbuf("line")
print(("listening on %s port %d"):format(ip.tostring(acceptor.local_address), acceptor.local_port))

local _, name = stop:wait()
stop:clear()
print("stopping: " .. name)
is_stopping = true
server:interrupt()
server:join()
acceptor:close()
for conn in pairs(connections) do
    if conn.is_idle and conn.reader.buffered == 0 then
        pcall(conn.sock.shutdown, conn.sock, "receive") -- it reads that there is nothing more
    end
end
clients:join()
print("stopped")
