-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- N fibers send a message each: smtp.lua PORT N
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local smtp = require "socket.smtp"
local ltn12 = require "ltn12"
local mime = require "mime"
local port, n = arg[1], math.tointeger(arg[2])

local bytes = {}
for byte = 0, 255 do
    bytes[#bytes + 1] = string.char(byte)
end
local data = table.concat(bytes):rep(20)

local function message(i)
    return smtp.message {
        headers = {subject = "message " .. i, from = "sender@mail.test"},
        body = {
            {
                headers = {["content-type"] = "text/plain"},
                body = mime.eol(0, "a line\n.a line with a dot\nthe end of " .. i .. "\n"),
            },
            {
                headers = {
                    ["content-type"] = "application/octet-stream",
                    ["content-transfer-encoding"] = "BASE64",
                },
                body = ltn12.source.chain(ltn12.source.string(data),
                    ltn12.filter.chain(mime.encode("base64"), mime.wrap())),
            },
        },
    }
end

local function send(i)
    return smtp.send {
        server = "127.0.0.1",
        port = port,
        user = "user",
        password = "secret",
        from = "<sender@mail.test>",
        rcpt = {"<one@mail.test>", "<two@mail.test>"},
        source = message(i),
    }
end

local fibers = {}
for i = 1, n do
    fibers[i] = spawn(send, i)
end
for _, fiber in ipairs(fibers) do
    assert(fiber:join())
end
print(n .. " sent")
