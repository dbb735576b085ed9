-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Each way in which a body comes or goes, each in a fiber of its own: http_forms.lua BASE
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local http = require "socket.http"
local ltn12 = require "ltn12"
local base = arg[1]

local bytes = {}
for byte = 0, 255 do
    bytes[#bytes + 1] = string.char(byte)
end
local big = table.concat(bytes):rep(4000)

local function get(path)
    local body, code, headers = http.request(base .. path)
    assert(code == 200, code)
    assert(body == big, #body)
    assert(type(headers) == "table")
end

local function send(method, headers)
    local parts = {}
    local ok, code = http.request {
        url = base .. "/echo",
        method = method,
        headers = headers,
        source = ltn12.source.string(big),
        sink = ltn12.sink.table(parts),
    }
    assert(ok == 1 and code == 200, code)
    assert(table.concat(parts) == big)
end

local function fail()
    local body, code = http.request(base .. "/nowhere")
    assert(body == "no" and code == 404)
    local nothing, err = http.request("http://127.0.0.1:1/")
    assert(nothing == nil and err == "connection refused", err)
end

local fibers = {
    spawn(get, "/length"), spawn(get, "/end"), spawn(get, "/chunked"), spawn(get, "/moved"),
    spawn(send, "POST", {["content-length"] = #big}), spawn(send, "PUT"), spawn(fail),
}
for _, fiber in ipairs(fibers) do
    fiber:join()
end
print("done")
