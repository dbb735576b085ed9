-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- What comes by and by, what does not come, and a peer that is gone: tls_pieces.lua CERTIFICATE KEY
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local socket = require "socket"
local ssl = require "ssl"
local certificate, key = arg[1], arg[2]

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()

local function shake(sock, params)
    params.protocol = "any"
    local conn = assert(ssl.wrap(sock, params))
    assert(conn:dohandshake())
    return conn
end

-- Both ends of a connection.
local function pair()
    local accepting = spawn(function()
        return shake((server:accept()), {mode = "server", certificate = certificate, key = key})
    end)
    local client = shake(socket.connect("127.0.0.1", port), {mode = "client"})
    return client, (accepting:join())
end

-- Each piece is sent when the other end has taken the last one, which its descriptor tells.
local function send_in_pieces(conn, other, pieces)
    for _, piece in ipairs(pieces) do
        assert(conn:send(piece))
        repeat
            socket.sleep(0.001)
            local waiting = socket.select({{
                getfd = function() return other:getfd() end,
                dirty = function() return false end,
            }}, nil, 0)
        until not waiting[1]
    end
end

local function check(expected, ...)
    local results = table.pack(...)
    assert(results.n == 3, results.n) -- also of those that had to wait
    for i = 1, 3 do
        assert(results[i] == expected[i], ("%s, not %s"):format(results[i], expected[i]))
    end
end

local client, peer = pair()
local sending = spawn(send_in_pieces, client, peer, {
    "par", "ti", "al\n", "1234", "5", "67890", "a prefix\n",
})
check({"partial"}, peer:receive())
check({"1234567890"}, peer:receive(10))
check({"not a prefix"}, peer:receive("*l", "not "))
sending:join()
print("pieces")

client:send("ab")
peer:settimeout(0.02)
check({nil, "wantread", "0ab"}, peer:receive(5, "0"))
check({nil, "wantread", ""}, peer:receive())
client:send("cd")
check({"abcd"}, peer:receive(4, "ab"))
peer:settimeout(0)
check({nil, "wantread", ""}, peer:receive())
peer:settimeout(nil)
peer:settimeout(0.02, "t")
check({nil, "wantread", ""}, peer:receive())
peer:settimeout(10)
peer:settimeout(nil, "t")
print("time-outs")

sending = spawn(function()
    send_in_pieces(client, peer, {("x"):rep(10000), ("y"):rep(10000)})
    client:close()
end)
check({("x"):rep(10000) .. ("y"):rep(10000)}, peer:receive("*a"))
check({nil, "closed", ""}, peer:receive("*a"))
sending:join()
peer:close()
print("all until the end")

-- What cannot be sent is an error, and no signal.
client, peer = pair()
peer:close()
local last, err
repeat
    last, err = client:send("is anybody there?\n")
until not last
assert(err == "closed" or err:find("Broken pipe", 1, true), err)
client = nil -- luacheck: ignore
collectgarbage()
collectgarbage()
print("nobody there")

for line in io.lines "/proc/self/status" do
    if line:find("^SigIgn") or line:find("^SigBlk") then
        assert(tonumber(line:match("%x+$"), 16) & 1 << 12 == 0, line)
    end
end
print("as before")
server:close()
